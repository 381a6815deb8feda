"""Ways to apply a direction: edits for `model.hooks(...)`, for generation and for `steering.replies`.

    with model.hooks(add(direction, dose=4, layers=3)):
        logits = model(tokens)

    add               x + dose · v
    hold              x + max(0, floor − ⟨x, v̂⟩) v̂         the projection is lifted to a floor (or cut at a ceiling)
    clamp             x + (value − ⟨x, v̂⟩) v̂               the projection is set
    ablate            x − v̂ v̂ᵀ x                          the projection is taken out, at every write to the stream
    add_at_start      x_p + dose · v_p                     ActAdd: a vector of its own for each of the first positions

Each acts at some sites (by default at the inputs of the blocks that `layers` names) and at some positions:

    where="both"      every position of prompt and reply
          "prompt"    the prompt alone
          "reply"     the words of the reply, as they are read back
          "last"      where a word of the reply is chosen: the last position of the prompt, and every word of the reply
    start=n           in a reply: from its word n on
    positions=…       instead: these of each text, from its beginning (0, 1, …) or from the end of its prompt (−1, …)

In one pass over texts without a reply, "last" is the last position of each. A pass over prompts with their replies
needs to be told where the prompts end: `with steering.prompts_end(lengths):`. `steering.replies` and `models.generate`
know it; the `generate` of `transformers` tells nobody, so that only "both" means the same there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mi_lib.models import Hook
from mi_lib.models.passes import current
from mi_lib.steering.directions import checked, unit

Where = Literal["both", "prompt", "reply", "last"]
Edits = list[tuple[Any, Callable[[Tensor, Hook], Tensor | None]]]
Layers = int | Sequence[int]

WRITES = ("hook_resid_pre", "hook_attn_out", "hook_mlp_out")  # what enters a block, and what its two parts write


@dataclass(frozen=True)
class Places:
    """At which positions a way acts."""

    where: Where = "both"
    positions: int | tuple[int, ...] | None = None
    start: int = 0

    def __post_init__(self) -> None:
        if self.where not in get_args(Where):
            raise ValueError(f"where must be one of {', '.join(map(repr, get_args(Where)))}, not {self.where!r}")
        if self.positions is not None and (self.where != "both" or self.start):
            raise ValueError("give `positions`, or else `where` and `start`: they say the same thing twice")
        if self.start and self.where not in ("reply", "last"):
            raise ValueError("`start` counts words of the reply: it needs where='reply' or where='last'")
        if self.start < 0:
            raise ValueError(f"`start` counts the words of the reply from 0, so it is not {self.start}")

    def of(self, value: Tensor, hook: Hook) -> Bool[Tensor, "rows pos"] | None:
        """True where it acts; None for everywhere."""
        if self.where == "both" and self.positions is None:
            return None
        run, new = current(), value.shape[1]
        number, length = run.numbers(new, value.device), run.lengths(new, value.device)[:, None]
        if self.positions is not None:
            return self._at_positions(number, length)
        match self.where:
            case "prompt":
                return (number >= 0) & (number < length)
            case "last":
                return number >= length - 1 + self.start
            case _:
                if not run.has_reply:
                    raise ValueError(
                        f"an edit at {hook.name} acts in the reply, and this pass has none: use `steering.replies`, or "
                        "say how long the prompts are with `steering.prompts_end(lengths)`"
                    )
                return number >= length + self.start

    def _at_positions(self, number: Tensor, length: Tensor) -> Tensor:
        wanted = [self.positions] if isinstance(self.positions, int) else list(self.positions or ())
        acts = torch.zeros(torch.broadcast_shapes(number.shape, length.shape), dtype=torch.bool, device=number.device)
        for at in wanted:
            if at < 0 and bool((length + at < 0).any()):
                raise ValueError(f"there is no position {at} in a prompt of {int(length.min())} tokens")
            acts |= number == (at if at >= 0 else length + at)
        return acts & (number >= 0)


@dataclass(frozen=True, eq=False)
class Way:
    """An edit that makes of each position something that depends on this position alone.

    change: what it makes of values [... d]. `direction` is kept for whoever wants to draw or to name it.
    """

    change: Callable[[Tensor], Tensor]
    direction: Float[Tensor, "... d"]
    places: Places
    by_position = True  # generation then hands it the new positions alone (see `mi_lib.models.whole`)

    def __call__(self, value: Tensor, hook: Hook) -> Tensor:
        if value.shape[-1] != self.direction.shape[-1]:
            raise ValueError(
                f"the direction has {self.direction.shape[-1]} numbers, and what stands at {hook.name} has "
                f"{value.shape[-1]}: collect the direction at a site of the same width"
            )
        acts = self.places.of(value, hook)
        changed = self.change(value)
        if acts is None:
            return changed
        return torch.where(acts.view(*acts.shape, *[1] * (value.ndim - 2)), changed, value)


def add(
    direction: Float[Tensor, "*layer d"],
    dose: float = 1.0,
    layers: Layers = 0,
    *,
    site: str = "resid_pre",
    where: Where = "both",
    positions: int | Sequence[int] | None = None,
    start: int = 0,
) -> Edits:
    """x + dose · v, v as it is: not of length 1. dose: how often it is added; negative subtracts it.

    direction: one for all layers, or [layer d], one for each.
    """
    _finite("dose", dose)

    def one(vector: Tensor) -> Callable[[Tensor], Tensor]:
        push = _finite_push(dose, vector)
        return lambda value: value + push.to(value)

    return _edits(direction, layers, site, one, _places(where, positions, start))


def hold(
    direction: Float[Tensor, "*layer d"],
    level: float | Sequence[float],
    layers: Layers = 0,
    *,
    at: Literal["least", "most"] = "least",
    site: str = "resid_pre",
    where: Where = "both",
    positions: int | Sequence[int] | None = None,
    start: int = 0,
) -> Edits:
    """x + max(0, level − ⟨x, v̂⟩) v̂: the projection on v̂ is lifted to the level where it lies below; at="most": cut.

    Activation capping (Lu et al. 2026, arXiv 2601.10387). What lies on the right side already is not pushed once more,
    as it would be by adding. level: of the projection, in the units of the stream; one for all layers, or one for each.
    """
    if at not in ("least", "most"):
        raise ValueError(f"at must be 'least' or 'most', not {at!r}")
    levels = _levels(level, layers)

    def one(vector: Tensor, floor: float) -> Callable[[Tensor], Tensor]:
        def change(value: Tensor) -> Tensor:
            along = vector.to(value)
            gap = floor - value @ along
            return value + (gap.clamp(min=0) if at == "least" else gap.clamp(max=0))[..., None] * along

        return change

    return _edits(unit(direction), layers, site, one, _places(where, positions, start), levels)


def clamp(
    direction: Float[Tensor, "*layer d"],
    level: float | Sequence[float],
    layers: Layers = 0,
    *,
    site: str = "resid_pre",
    where: Where = "both",
    positions: int | Sequence[int] | None = None,
    start: int = 0,
) -> Edits:
    """x + (level − ⟨x, v̂⟩) v̂: the projection on v̂ is this level wherever it acts."""

    def one(vector: Tensor, wanted: float) -> Callable[[Tensor], Tensor]:
        def change(value: Tensor) -> Tensor:
            along = vector.to(value)
            return value + (wanted - value @ along)[..., None] * along

        return change

    return _edits(
        unit(direction), layers, site, one, _places(where, positions, start), _levels(level, layers)
    )  # fmt: skip


def ablate(
    direction: Float[Tensor, "*k d"],
    sites: Any = None,
    *,
    where: Where = "both",
    positions: int | Sequence[int] | None = None,
    start: int = 0,
) -> Edits:
    """x − v̂ v̂ᵀ x at every write to the stream: block inputs, attention outputs, MLP outputs (Arditi et al. 2024, §2.4).

    direction: one, or several [k d] whose whole span is taken out. sites: others, as `model.hooks` takes them; to take
    a direction out at one place alone leaves what later blocks write along it.
    """
    checked(direction)
    if direction.ndim > 2:
        raise ValueError(f"give one direction [d] or several [k d], not {tuple(direction.shape)}")

    basis = direction / direction.norm() if direction.ndim == 1 else span(direction)

    def change(value: Tensor) -> Tensor:
        along = basis.to(value)
        if along.ndim == 1:
            return value - (value @ along)[..., None] * along
        return value - (value @ along.T) @ along

    everywhere = (lambda name: name.endswith(WRITES)) if sites is None else sites
    return [(everywhere, Way(change, direction, _places(where, positions, start)))]


def add_at_start(
    vectors: Float[Tensor, "pos d"], dose: float = 1.0, layer: int = 0, *, site: str = "resid_pre", first: int = 0
) -> Edits:
    """x_p + dose · v_p at positions first, first + 1, … of each text (ActAdd, section 3): a vector for each.

    A position of a text that is shorter than that gets none.
    """
    _finite("dose", dose)
    if vectors.ndim != 2:
        raise ValueError(f"ActAdd has a vector for each position, [pos d]; this has shape {tuple(vectors.shape)}")
    if not torch.isfinite(vectors).all():
        raise ValueError("the vectors hold NaN or infinite numbers: look at the activations they were made of")
    return [
        edit
        for at, vector in enumerate(vectors, first)
        if vector.norm() > 0  # the prompts begin alike: nothing is added there
        for edit in add(vector, dose, layer, site=site, positions=at)
    ]


def span(directions: Float[Tensor, "k d"]) -> Float[Tensor, "rank d"]:
    """An orthonormal basis of what these directions span. ValueError where one depends on the others."""
    basis, triangle = torch.linalg.qr(directions.double().T)
    size = triangle.diagonal().abs()
    if len(directions) > directions.shape[1] or bool((size < 1e-6 * size.max()).any()):
        raise ValueError(f"these {len(directions)} directions are not independent: leave out what the others span")
    return basis.T.to(directions.dtype)


def _edits(
    direction: Tensor,
    layers: Layers,
    site: str,
    one: Callable[..., Callable[[Tensor], Tensor]],
    places: Places,
    levels: Sequence[float] | None = None,
) -> Edits:
    """One edit for each layer, made by `one` of its direction (and its level)."""
    checked(direction)
    at = [layers] if isinstance(layers, int) else list(layers)
    if not at:
        raise ValueError("there are no layers: name at least one")
    if direction.ndim > 2 or (direction.ndim == 2 and len(direction) != len(at)):
        raise ValueError(f"give one direction [d], or one for each of {len(at)} layers, not {tuple(direction.shape)}")
    each = direction if direction.ndim == 2 else direction.expand(len(at), -1)
    edits: Edits = []
    for i, (layer, vector) in enumerate(zip(at, each, strict=True)):
        change = one(vector) if levels is None else one(vector, levels[i])
        edits.append(((site, layer), Way(change, vector, places)))
    return edits


def _places(where: Where, positions: int | Sequence[int] | None, start: int) -> Places:
    return Places(where, positions if positions is None or isinstance(positions, int) else tuple(positions), start)


def _levels(level: float | Sequence[float], layers: Layers) -> list[float]:
    count = 1 if isinstance(layers, int) else len(layers)
    found = [float(x) for x in level] if isinstance(level, Sequence | Tensor) else [float(level)] * count
    if len(found) != count:
        raise ValueError(f"give one level, or one for each of {count} layers, not {len(found)}")
    for one in found:
        _finite("level", one)
    return found


def _finite(name: str, number: float) -> None:
    if not math.isfinite(number):
        raise ValueError(f"the {name} must be a finite number, not {number}")


def _finite_push(dose: float, vector: Tensor) -> Tensor:
    push = dose * vector
    if not torch.isfinite(push).all():
        raise ValueError(f"the dose {dose:g} goes beyond the numbers that {vector.dtype} has: take a smaller one")

    return push
