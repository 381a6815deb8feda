"""Persona vectors (Chen et al. 2025, arXiv 2507.21509): where replies with a trait stand, and replies held there.

To *hold* lifts the stream along a vector to a floor: how far a prompt's reply has to be pushed differs between prompts,
and adding a vector pushes all of them alike (`steering.hold`).

How high the floor must be is found on training prompts: by halving, the level at which about as many replies show the
trait as wanted; then the best few ways, and levels near them, once more on other prompts. The first round's best is the
luckiest, which the second finds out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.steering.directions import random_like
from mi_lib.steering.ways import Edits, hold


class Drawn(NamedTuple):
    """Where replies without a trait and with it stand: the means over their words, at every depth."""

    plain: Float[Tensor, "depth d_model"]
    showing: Float[Tensor, "depth d_model"]

    @property
    def vectors(self) -> Float[Tensor, "depth d_model"]:
        """The persona vectors, a difference of means at every depth (section 2.2)."""
        return self.showing - self.plain


class Held(NamedTuple):
    """How a trait is steered: by vectors drawn from which replies, at the inputs of blocks first to last, how high.

    level: 0 is where plain replies stand along the vector, 1 where those with the trait stand, on average.
    """

    drawn: str
    first: int
    last: int
    level: float


@dataclass(frozen=True)
class Floors:
    """A trait's directions, on which replies are held at or above a floor, at the inputs of some blocks in turn.

    reach: how far the floors lie from where plain replies stand.
    """

    how: Held
    units: Float[Tensor, "layer d_model"]
    plain: Float[Tensor, "layer d_model"]
    reach: Float[Tensor, " layer"]

    @classmethod
    def of(cls, found: Drawn, how: Held) -> Floors:
        blocks = slice(how.first, how.last + 1)
        vectors = found.vectors[blocks]
        units = torch.nn.functional.normalize(vectors, dim=-1)
        return cls(how, units, found.plain[blocks], how.level * vectors.norm(dim=-1))

    def edits(self) -> Edits:
        """At the prompt's last token and at every word of the reply."""
        floors = (self.plain * self.units).sum(-1) + self.reach
        return hold(self.units, floors.tolist(), range(self.how.first, self.how.last + 1), where="last")

    def random(self, seed: int) -> Floors:
        """Random directions, with floors as far from where plain replies stand."""
        return replace(self, units=random_like(self.units, 1, seed)[0])


Margin = Callable[[Floors], tuple[float, float]]  # how good (higher is better), and which share shows the trait


def level_for(
    found: Drawn,
    name: str,
    span: tuple[int, int],
    margin: Margin,
    wanted: float,
    levels: tuple[float, float],
    steps: int,
) -> Iterator[tuple[float, Floors]]:
    """Levels on the way to the one at which about as many replies show the trait as wanted, with how good each is."""
    low, high = levels
    for _ in range(steps):
        middle = (low + high) / 2
        floors = Floors.of(found, Held(name, *span, middle))
        good, shown = margin(floors)
        yield good, floors
        low, high = (middle, high) if shown < wanted else (low, middle)


def choose(
    found: Mapping[str, Drawn],
    spans: Sequence[tuple[int, int]],
    first: Margin,
    again: Margin,
    *,
    wanted: float,
    levels: tuple[float, float],
    steps: int,
    best: int,
    near: Sequence[float],
) -> Held:
    """Which vectors, at which blocks, how high: what does best on the first prompts, and once more on others.

    found: vectors by the name of the replies that they were drawn from. first, again: two sets of training prompts.
    best: how many ways are compared once more, each at its level plus every one of `near`.
    """
    tried = [
        max(level_for(found[name], name, span, first, wanted, levels, steps), key=lambda one: one[0])
        for name in found
        for span in spans
    ]
    kept = [floors.how for _, floors in sorted(tried, key=lambda one: -one[0])[:best]]
    around = [how._replace(level=how.level + step) for how in kept for step in near]
    return max(around, key=lambda how: again(Floors.of(found[how.drawn], how))[0])
