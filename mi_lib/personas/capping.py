"""Capping: the stream kept from falling below a floor along the assistant axis (Lu et al. 2026, arXiv 2601.10387, §5).

    h ← h − v̂ · min(⟨h, v̂⟩ − τ, 0)

What lies above τ stays as it is; what lies below is lifted to τ, no farther. It is not adding: that pushes what is in
its place already. And it is a floor, not a ceiling: the sign reversed cuts off all that is more assistant than τ.

τ is taken from what the assistant does by itself: the 25th percentile of its own replies' projections, block by block.
Take it from training replies, and look at what it does on others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.steering import Edits, add, hold, random_like, unit
from mi_lib.steering.ways import Where

QUANTILE = 0.25


@dataclass(frozen=True)
class Cap:
    """A floor at the input of each of some blocks."""

    layers: tuple[int, ...]
    units: Float[Tensor, "layer d_model"]
    floors: Float[Tensor, " layer"]
    at_rest: Float[Tensor, "layer reply d_model"]  # the replies that the floors were taken from

    @classmethod
    def of(
        cls,
        axis: Float[Tensor, "layer d_model"],
        replies: Float[Tensor, "reply layer d_model"],
        layers: Sequence[int],
        quantile: float = QUANTILE,
    ) -> Cap:
        """axis, replies: at the inputs of these blocks, in their order; the replies are the assistant's own.

        ValueError for unlike shapes, fewer than two replies, and a quantile outside 0 to 1.
        """
        if axis.ndim != 2 or replies.shape[1:] != axis.shape or len(layers) != len(axis):
            raise ValueError(
                f"give an axis [layer d_model] and replies [reply layer d_model] for {len(layers)} blocks, not "
                f"{tuple(axis.shape)} and {tuple(replies.shape)}"
            )
        if len(replies) < 2:
            raise ValueError("a floor is a quantile of the assistant's own replies: give at least two")
        if not 0 <= quantile <= 1:
            raise ValueError(f"a quantile lies between 0 and 1, so it is not {quantile}")
        units, at_rest = unit(axis), replies.transpose(0, 1)
        return cls(tuple(layers), units, _floors(units, at_rest, quantile), at_rest)

    def edits(self, where: Where = "both") -> Edits:
        """where: "both", every position of prompt and reply; "reply", its words alone; and so on (`steering.ways`)."""
        return hold(self.units, self.floors.tolist(), self.layers, where=where)

    def ceiling(self, where: Where = "both") -> Edits:
        """The sign reversed: nothing may lie ABOVE τ. A known error; here to show what it does."""
        return hold(self.units, self.floors.tolist(), self.layers, at="most", where=where)

    def added(self, size: float, where: Where = "both") -> Edits:
        """What capping is not: the axis added everywhere, `size` units of the stream along it, at every block."""
        return add(self.units * size, 1.0, self.layers, where=where)

    def random(self, seed: int, quantile: float = QUANTILE) -> Cap:
        """Random directions, with floors at the same quantile of the same replies: the control."""
        units = random_like(self.units, 1, seed)[0]
        return replace(self, units=units, floors=_floors(units, self.at_rest, quantile))


def _floors(units: Tensor, at_rest: Tensor, quantile: float) -> Float[Tensor, " layer"]:
    return torch.einsum("lrd,ld->lr", at_rest, units).quantile(quantile, dim=1)
