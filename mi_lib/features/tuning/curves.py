"""How a unit of a convolutional layer answers to stimuli: tuning curves.

A channel has the same weights at every place, so one place is enough: the one in the middle of the layer. A boundary
must run through the middle of what that place sees, its *receptive field*.

    eye = look(model, "conv3", size=48)                                       # where that is
    turn = by_angle(model, "conv3", eye, sharp, blurred, seed=0)              # [unit angle], means over draws

A `model` is whatever has `run(images, layers) → {layer: [image unit row column]}` (`mi_lib.models.vision`).
Source: Schubert et al. 2021, "High-Low Frequency Detectors", Distill, section "How are they tuned?".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.features.tuning import stimuli

BATCH = 256
PROBES = 2  # images by which a receptive field is found


class Network(Protocol):
    """What is asked of a network."""

    def run(self, images: Any, layers: Any) -> Any:
        """{layer: what its units say, [image unit row column]}"""


class Eye(NamedTuple):
    """A place of a layer, and what it sees of an image."""

    size: int  # of the image
    row: int  # of the layer
    column: int
    top: int  # of the receptive field, in pixels of the image
    bottom: int  # the first row beyond it
    left: int
    right: int

    @property
    def centre(self) -> tuple[float, float]:
        """(row, column) of the middle of the receptive field; it may lie between pixels."""
        return (self.top + self.bottom - 1) / 2, (self.left + self.right - 1) / 2


def look(model: Network, layer: str, size: int, seed: int = 0) -> Eye:
    """The place in the middle of a layer, and its receptive field on images of size × size pixels.

    A row (or column) of pixels is seen if drawing it anew changes what any unit says at that place. ValueError where
    nothing is seen: a layer whose units are all silent.
    """
    source = torch.Generator().manual_seed(seed)
    base = torch.rand(PROBES, 3, size, size, generator=source)
    other = torch.rand(PROBES, 3, size, size, generator=source)
    said = model.run(base, [layer])[layer]
    row, column = said.shape[-2] // 2, said.shape[-1] // 2
    ends = []
    for axis in (-2, -1):
        drawn = torch.stack([base.index_copy(axis, torch.tensor([i]), other.narrow(axis, i, 1)) for i in range(size)])
        now = model.run(drawn.flatten(0, 1), [layer])[layer][:, :, row, column].unflatten(0, (size, PROBES))
        seen = (now != said[None, :, :, row, column]).flatten(1).any(1).nonzero()[:, 0]
        if not len(seen):
            raise ValueError(f"no unit of {layer} answers to anything in the middle; look at a layer that is alive")
        ends += [int(seen[0]), int(seen[-1]) + 1]
    return Eye(size, row, column, *ends)


def respond(
    model: Network, layer: str, images: Float[Tensor, "image rgb height width"], eye: Eye
) -> Float[Tensor, "image unit"]:
    """What every unit of a layer says at the eye's place, for each image."""
    parts = [model.run(part, [layer])[layer][:, :, eye.row, eye.column] for part in images.split(BATCH)]
    return torch.cat(parts)


Texture = Callable[[int, int, int], Tensor]  # (count, size, seed) → patterns [image height width]


def sharp(count: int, size: int, seed: int) -> Float[Tensor, "image height width"]:
    """Noise of high frequency."""
    return stimuli.noise(count, size, HIGH, seed)


def blurred(count: int, size: int, seed: int) -> Float[Tensor, "image height width"]:
    """Noise of low frequency, of the same contrast."""
    return stimuli.noise(count, size, LOW, seed)


HIGH, LOW = 0.6, 2.6  # px, by which noise is blurred


def waves(frequency: float) -> Texture:
    """Gratings of one frequency in cycles per pixel, in random orientations and phases."""

    def drawn(count: int, size: int, seed: int) -> Tensor:
        return stimuli.gratings(count, size, frequency, seed)

    return drawn


def boundaries(
    first: Texture, second: Texture, angle: float, eye: Eye, draws: int, seed: int
) -> Float[Tensor, "draw height width"]:
    """Patterns with the first texture on the side of `angle`, drawn anew each time."""
    a, b = first(draws, eye.size, 2 * seed), second(draws, eye.size, 2 * seed + 1)
    return stimuli.across(a, b, angle, eye.centre)


def by_angle(
    model: Network, layer: str, eye: Eye, first: Texture, second: Texture, seed: int,
    draws: int = 32, count: int = stimuli.ANGLES, colour: Sequence[float] = stimuli.White,
    contrast: float = stimuli.CONTRAST,
) -> Float[Tensor, "unit angle"]:  # fmt: skip
    """The tuning curve: mean response to a boundary at each of `count` angles, over draws of both textures and of the
    contrast's sign. All angles get the same draws, so that they differ in the angle alone."""
    a, b = first(draws, eye.size, 2 * seed), second(draws, eye.size, 2 * seed + 1)
    amount = contrast * stimuli.signs(draws, seed)
    found = []
    for angle in stimuli.angles(count).tolist():
        images = stimuli.paint(stimuli.across(a, b, angle, eye.centre), amount, colour)
        found.append(respond(model, layer, images, eye).mean(0))
    return torch.stack(found, 1)


def alone(
    model: Network, layer: str, eye: Eye, texture: Texture, seed: int, draws: int = 32,
    colour: Sequence[float] = stimuli.White, contrast: float = stimuli.CONTRAST,
) -> Float[Tensor, " unit"]:  # fmt: skip
    """The mean response to one texture everywhere, over draws and signs of the contrast."""
    images = stimuli.paint(texture(draws, eye.size, seed), contrast * stimuli.signs(draws, seed), colour)
    return respond(model, layer, images, eye).mean(0)


def to_edges(
    model: Network, layer: str, eye: Eye, count: int = stimuli.ANGLES,
    colour: Sequence[float] = stimuli.White, contrast: float = stimuli.CONTRAST,
) -> Float[Tensor, "unit angle"]:  # fmt: skip
    """Responses to edges without any texture: brighter on the side of each angle (in `colour`: more of it there)."""
    steps = torch.stack([stimuli.step(eye.size, a, eye.centre) for a in stimuli.angles(count).tolist()])
    return respond(model, layer, stimuli.paint(steps, contrast, colour), eye).T


def by_ratio(
    model: Network, layer: str, eye: Eye, ratios: Sequence[float], seed: int, high: float = 0.25,
    draws: int = 32, count: int = stimuli.ANGLES,
) -> Float[Tensor, "unit ratio angle"]:  # fmt: skip
    """Tuning over angle and ratio of frequencies: gratings of `high` cycles per pixel on the side of the angle, of
    high / ratio on the other. At ratio 1 the two sides are alike but for orientation and phase."""
    curves = [by_angle(model, layer, eye, waves(high), waves(high / r), seed, draws, count) for r in ratios]
    return torch.stack(curves, 1)


def normalised(curves: Float[Tensor, "unit ..."]) -> Float[Tensor, "unit ..."]:
    """Each unit's curve divided by its largest value; a unit that never answers stays at 0."""
    most = curves.flatten(1).amax(1).clamp(min=0)
    scale = torch.where(most > 0, 1 / most.clamp(min=1e-30), torch.zeros_like(most))
    return curves * scale.view(-1, *[1] * (curves.ndim - 1))
