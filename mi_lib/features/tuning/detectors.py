"""What a high-low frequency detector is, in numbers.

A unit is one if, at the best of 16 angles of a boundary between a sharp and a blurred texture of equal contrast,

1. its mean response is more than 1.5 times the largest of: all sharp, all blurred, the best edge of brightness;
2. it is more than 2 times the response to the opposite side: sharp and blurred exchanged;
3. it is at least a quarter of what the units of the layer say at their best in the mean.

The best angle is chosen on one set of draws and its responses are measured on another: the largest of 16 means is
large by chance too, most of all in a unit that seldom says anything.

`COLOUR_TOO` counts edges of colour among the rivals: in a world in which figures are told by colour as well, some units
see both, and the rule alone lets them in. (That it must, was seen when the family was ablated, and not before.)

The first demand says that it is the boundary that counts, and neither a texture nor an edge. The second says that it
knows which side is which. The third keeps out units that fire once in a while, for whatever reason. All bounds were
written down before a trained network was looked at (the third after untrained ones had been), and so were those of the
invariances: an invariant unit says at least half as much to the less favourable polarity as to the other, and a third
as much to the least favourable colour as to the best. (Colours are equally strong as vectors. A unit that adds up three
colours, whatever their sign, says 1/√3 as much to red alone as to white, less what its bias takes.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mi_lib.features.tuning import curves, stimuli
from mi_lib.features.tuning.curves import Eye, Network, Texture


@dataclass(frozen=True)
class Rule:
    """How many times more a detector must say to its boundary."""

    alone: float = 1.5  # than to either texture, or to the best edge of brightness
    opposite: float = 2.0  # than to the same boundary with its sides exchanged
    colour_edges: bool = False  # whether the best edge of any colour is a rival, too
    least: float = 0.25  # of what units of the layer say at their best in the mean: less is as good as silence


RULE = Rule()
COLOUR_TOO = Rule(colour_edges=True)
INVARIANT_POLARITY, INVARIANT_COLOUR = 1 / 2, 1 / 3  # the least response, in shares of the largest


class Profile(NamedTuple):
    """What all units of a layer say to what matters for the definition. `angles` are those of `stimuli.angles`."""

    boundary: Float[Tensor, "unit angle"]  # mean response, sharp on the side of the angle: to choose the best
    again: Float[Tensor, "unit angle"]  # the same on other draws: to measure it
    sharp: Float[Tensor, " unit"]
    blurred: Float[Tensor, " unit"]
    edge: Float[Tensor, "unit angle"]  # of brightness
    colour_edge: Float[Tensor, " unit"]  # the best, of all colours and angles

    @property
    def best(self) -> Float[Tensor, " unit"]:
        """Response at the best angle, on the other draws."""
        return self.again.gather(1, self.boundary.argmax(1, keepdim=True))[:, 0]

    @property
    def angle(self) -> Float[Tensor, " unit"]:
        """The best angle, in radians: on which side it wants the high frequency."""
        return stimuli.angles(self.boundary.shape[1])[self.boundary.argmax(1)]

    @property
    def opposite(self) -> Float[Tensor, " unit"]:
        """Response at the angle opposite to the best, on the other draws."""
        n = self.boundary.shape[1]
        there = (self.boundary.argmax(1) + n // 2) % n
        return self.again.gather(1, there[:, None])[:, 0]

    @property
    def rival(self) -> Float[Tensor, " unit"]:
        """The largest response to what is no boundary of textures: a texture alone, the best edge of brightness."""
        return torch.stack([self.sharp, self.blurred, self.edge.amax(1)]).amax(0)


def profile(
    model: Network, layer: str, eye: Eye, seed: int = 0, draws: int = 32,
    high: Texture = curves.sharp, low: Texture = curves.blurred,
) -> Profile:  # fmt: skip
    """Everything that the definition asks for, of all units of a layer at once."""
    coloured = [curves.to_edges(model, layer, eye, colour=c) for name, c in stimuli.COLOURS.items() if name != "white"]
    return Profile(
        boundary=curves.by_angle(model, layer, eye, high, low, 2 * seed, draws),
        again=curves.by_angle(model, layer, eye, high, low, 2 * seed + 1, draws),
        sharp=curves.alone(model, layer, eye, high, 2 * seed + 1000, 2 * draws),
        blurred=curves.alone(model, layer, eye, low, 2 * seed + 1001, 2 * draws),
        edge=curves.to_edges(model, layer, eye),
        colour_edge=torch.stack(coloured).amax((0, 2)),
    )


def detectors(found: Profile, rule: Rule = RULE) -> Bool[Tensor, " unit"]:
    """Which units are high-low frequency detectors. A unit that is silent at every boundary is none."""
    rival = torch.maximum(found.rival, found.colour_edge) if rule.colour_edges else found.rival
    beats = found.best > rule.alone * rival.clamp(min=0)
    knows = found.best > rule.opposite * found.opposite.clamp(min=0)
    heard = found.best >= rule.least * found.best.clamp(min=0).mean()
    return (found.best > 0) & heard & beats & knows


def edge_detectors(found: Profile, rule: Rule = RULE) -> Bool[Tensor, " unit"]:
    """The same demands with an edge of brightness in the place of the boundary: what must not be mistaken for it."""
    n = found.edge.shape[1]
    best, where = found.edge.max(1)
    opposite = found.edge.gather(1, ((where + n // 2) % n)[:, None])[:, 0]
    rival = torch.stack([found.sharp, found.blurred, found.boundary.amax(1)]).amax(0)
    return (best > 0) & (best > rule.alone * rival.clamp(min=0)) & (best > rule.opposite * opposite.clamp(min=0))


class Invariance(NamedTuple):
    """Between 0 and 1: what a unit says to the least favourable case, in shares of what it says to the best one."""

    polarity: Float[Tensor, " unit"]  # an image and its negative
    colour: Float[Tensor, " unit"]  # the colours of `stimuli.COLOURS`

    @property
    def holds(self) -> Bool[Tensor, " unit"]:
        """Both, by the bounds above."""
        return (self.polarity >= INVARIANT_POLARITY) & (self.colour >= INVARIANT_COLOUR)


def invariance(
    model: Network, layer: str, eye: Eye, at: Float[Tensor, " unit"], seed: int = 0, draws: int = 32,
    high: Texture = curves.sharp, low: Texture = curves.blurred,
) -> Invariance:  # fmt: skip
    """Of each unit at its own best angle, `at` (0 for a unit that is silent there).

    Polarity is compared image by image: each boundary and its negative, the smaller answer and the larger one, both
    averaged over draws. Means over draws alone would say nothing: noise is its own negative on average.
    """
    polarity, colour = torch.zeros(len(at)), torch.zeros(len(at))
    for angle in sorted({float(a) for a in at}):
        mine = (at - angle).abs() < 1e-6
        patterns = curves.boundaries(high, low, angle, eye, draws, seed)

        def said(contrast: float, direction: tuple[float, ...], patterns: Tensor = patterns) -> Tensor:
            images = stimuli.paint(patterns, contrast, direction)
            return curves.respond(model, layer, images, eye).clamp(min=0)  # [draw unit]

        both = torch.stack([said(sign * stimuli.CONTRAST, stimuli.White) for sign in (1, -1)])
        means = torch.stack([said(stimuli.CONTRAST, c).mean(0) for c in stimuli.COLOURS.values()])
        polarity[mine] = _share(both.amin(0).mean(0), both.amax(0).mean(0))[mine]
        colour[mine] = _share(means.amin(0), means.amax(0))[mine]
    return Invariance(polarity, colour)


def _share(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part / whole.clamp(min=1e-30), torch.zeros_like(whole))
