"""What a picture should please: objectives that are added, subtracted and multiplied.

    objective = channel("conv3", [0, 1, 2]) - 0.3 * total_variation()

An objective gives one number for each picture of a batch; `render` makes all of them large. A unit may be one number,
then every picture is for it, or a list with one for each picture: so many units are rendered in one optimisation.

Source: lucid's `optvis.objectives`. Diversity is a cost there and here: subtract it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.features.data import Acts, Unusable, unit

Units = int | Sequence[int]
Values = Float[Tensor, " picture"]


@dataclass(frozen=True)
class Objective:
    """What to make large. layers: what it reads. value: from activations to a number for each picture."""

    name: str
    layers: tuple[str, ...]
    value: Callable[[Acts], Values]

    def __call__(self, acts: Acts) -> Values:
        return self.value(acts)

    def __add__(self, other: Objective | float) -> Objective:
        return _both(self, other, "+", torch.add)

    def __sub__(self, other: Objective | float) -> Objective:
        return _both(self, other, "−", torch.sub)

    def __mul__(self, other: Objective | float) -> Objective:
        return _both(self, other, "×", torch.mul)

    def __radd__(self, other: float) -> Objective:
        return _both(number(other), self, "+", torch.add)

    def __rsub__(self, other: float) -> Objective:
        return _both(number(other), self, "−", torch.sub)

    def __rmul__(self, other: float) -> Objective:
        return _both(number(other), self, "×", torch.mul)

    def __neg__(self) -> Objective:
        return _both(number(0.0), self, "−", torch.sub)

    def __truediv__(self, other: float) -> Objective:
        return self * (1 / other)

    def __repr__(self) -> str:
        return self.name


def number(value: float) -> Objective:
    """The same for every picture."""
    return Objective(f"{value:g}", (), lambda acts: torch.tensor(float(value)))


def _both(a: Objective, b: Objective | float, sign: str, join: Callable[[Tensor, Tensor], Tensor]) -> Objective:
    other = b if isinstance(b, Objective) else number(b)
    layers = tuple(dict.fromkeys(a.layers + other.layers))
    return Objective(f"({a} {sign} {other})", layers, lambda acts: join(a(acts), other(acts)))


def chosen(acts: Tensor, units: Units, layer: str) -> Tensor:
    """Of each picture the activations of its own unit, [picture height width] or [picture]."""
    if isinstance(units, int):
        return unit(acts, units, layer)
    if len(units) != len(acts):
        raise Unusable(
            f"{len(units)} units of {layer} are asked for, and there are {len(acts)} pictures: give one each"
        )
    return torch.stack([unit(acts, k, layer)[i] for i, k in enumerate(units)])


def channel(layer: str, units: Units) -> Objective:
    """The mean of a unit's map: the unit at every place."""
    return Objective(f"channel({layer}, {units})", (layer,), lambda acts: _mean(chosen(acts[layer], units, layer)))


def neuron(layer: str, units: Units, row: int | None = None, column: int | None = None) -> Objective:
    """A unit at one place of its map; None: the middle."""

    def value(acts: Acts) -> Values:
        maps = chosen(acts[layer], units, layer)
        if maps.ndim == 1:
            return maps
        places = [n // 2 if at is None else at for n, at in zip(maps.shape[1:], (row, column), strict=True)]
        for at, n in zip(places, maps.shape[1:], strict=True):
            if not 0 <= at < n:
                raise Unusable(f"the maps of {layer} are {maps.shape[1]} × {maps.shape[2]}: there is no place {places}")
        return maps[:, places[0], places[1]]

    return Objective(f"neuron({layer}, {units})", (layer,), value)


def direction(layer: str, vector: Float[Tensor, "*picture channel"], power: float = 0.0) -> Objective:
    """a · v × max(cos(a, v), 0.1)^power, averaged over places: a direction that may lie across units.

    With power 0 a picture may reach far along v while it goes elsewhere too; a larger one asks it to point along v.
    vector: one for all pictures, or a table with one for each.
    """

    def value(acts: Acts) -> Values:
        a, v = _columns(acts[layer], vector, layer)
        return ((a * v).sum(-1) * _cosines(a, v).clamp(min=0.1) ** power).mean(1)

    return Objective(f"direction({layer})", (layer,), value)


def cosine(layer: str, vector: Float[Tensor, "*picture channel"]) -> Objective:
    """cos(a, v), averaged over places: the direction alone, however weak. vector: as in `direction`."""
    return Objective(f"cosine({layer})", (layer,), lambda acts: _cosines(*_columns(acts[layer], vector, layer)).mean(1))


def resembles(layer: str, target: Float[Tensor, "channel h w"], power: float = 1.0) -> Objective:
    """a · t × max(cos(a, t), 0.1)^power over the whole map: more of what an image does in a layer (caricatures)."""

    def value(acts: Acts) -> Values:
        a, t = acts[layer].flatten(1), target.flatten().to(acts[layer])
        if a.shape[1] != len(t):
            raise Unusable(
                f"the target has {tuple(target.shape)}, and {layer} has {tuple(acts[layer].shape[1:])} of a picture: "
                "give both images one size"
            )
        return a @ t * _cosines(a, t[None]).clamp(min=0.1) ** power

    return Objective(f"resembles({layer})", (layer,), value)


def diversity(layer: str) -> Objective:
    """How alike the pictures of a batch are: for each the mean cosine of its Gram matrix with those of all others.

    The Gram matrix says which units are active together, wherever they are: it is the picture's texture in this layer.
    It is a cost. `channel(layer, k) - weight * diversity(layer)` makes different pictures; added, it makes equal ones.
    `Unusable` for one picture alone.
    """

    def value(acts: Acts) -> Values:
        flat = acts[layer].flatten(2)
        if len(flat) < 2:
            raise Unusable("diversity compares pictures, and there is one alone: render two or more at once")
        gram = torch.nn.functional.normalize((flat @ flat.mT).flatten(1), dim=1)
        alike = gram @ gram.T
        return (alike.sum(1) - alike.diagonal()) / (len(flat) - 1)

    return Objective(f"diversity({layer})", (layer,), value)


def _mean(maps: Tensor) -> Values:
    return maps if maps.ndim == 1 else maps.flatten(1).mean(1)


def _columns(acts: Tensor, vector: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """Activations place by place, [picture place channel], and the vector beside them, [1 or picture, 1, channel]."""
    if vector.shape[-1:] != acts.shape[1:2] or vector.ndim > 2 or (vector.ndim == 2 and len(vector) != len(acts)):
        raise Unusable(
            f"layer {layer} has {acts.shape[1]} units of {len(acts)} pictures, and the direction has "
            f"{tuple(vector.shape)}: it needs a number for each unit"
        )
    a = acts[:, None] if acts.ndim == 2 else acts.flatten(2).mT
    return a, vector.to(a).reshape(-1, 1, acts.shape[1])


def _cosines(a: Tensor, v: Tensor) -> Tensor:
    return (a * v).sum(-1) / (a.norm(dim=-1) * v.norm(dim=-1)).clamp(min=1e-8)
