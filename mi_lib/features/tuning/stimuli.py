"""Stimuli: two textures, one on either side of a straight boundary, and what must not be mistaken for it.

A pattern is a number for each pixel, [height width], of mean 0 and root mean square 1, so that a sharp texture and a
blurred one differ in frequency and in nothing else. `paint` makes an image of it: grey plus contrast times the pattern
in a colour. The sign of the contrast is the *polarity*.

Angles are in radians, counter-clockwise, from "right"; rows of an image run downwards, so y = −row. The angle of a
boundary is the direction in which the first texture lies: at angle 0 it is the right half.

    left_blurred = across(noise(8, 33, 0.6, seed=0), noise(8, 33, 2.6, seed=1), angle=0.0)    # sharp on the right
    images = paint(left_blurred, contrast=-0.18)                                               # [8 3 33 33]

Source: the synthetic stimuli of Schubert et al. 2021, "High-Low Frequency Detectors", Distill.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

ANGLES = 16  # of a whole turn
GREY = 0.5
CONTRAST = 0.125  # root mean square of a pattern, in images from 0 to 1: the middle of what `worlds.scenes` draws
SOFT = 1.0  # px over which one texture gives way to the other

White = (1.0, 1.0, 1.0)
COLOURS = {  # directions in RGB of length √3, as long as that of white
    "white": White,
    "red": (math.sqrt(3), 0.0, 0.0),
    "green": (0.0, math.sqrt(3), 0.0),
    "blue": (0.0, 0.0, math.sqrt(3)),
    "red against green": (math.sqrt(1.5), -math.sqrt(1.5), 0.0),
    "blue against yellow": (-math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2)),
}


def angles(count: int = ANGLES) -> Float[Tensor, " angle"]:
    """`count` directions of a whole turn, from 0 on. The opposite of angle i is i + count / 2: count is even."""
    if count < 2 or count % 2:
        raise ValueError(f"there must be an even number of angles, so that each has its opposite, not {count}")
    return torch.arange(count) * (2 * math.pi / count)


def along(size: int, angle: float, centre: tuple[float, float] | None = None) -> Float[Tensor, "height width"]:
    """How far each pixel lies from the centre in the direction of an angle, in pixels.

    centre: (row, column); the image's own if it is not given. It may lie between pixels.
    """
    row, column = centre or ((size - 1) / 2, (size - 1) / 2)
    y, x = row - torch.arange(size)[:, None], torch.arange(size)[None, :] - column
    return x * math.cos(angle) + y * math.sin(angle)


def noise(count: int, size: int, blur: float, seed: int) -> Float[Tensor, "image height width"]:
    """White noise, blurred by a Gaussian of standard deviation `blur` in pixels: the smaller, the finer.

    Each image has mean 0 and root mean square 1.
    """
    edge = math.ceil(3 * blur)
    drawn = torch.randn(count, 1, size + 2 * edge, size + 2 * edge, generator=torch.Generator().manual_seed(seed))
    kernel = torch.exp(-(torch.arange(-edge, edge + 1) ** 2) / (2 * blur**2))[None, None]
    drawn = torch.nn.functional.conv2d(drawn, kernel[..., None])
    return standard(torch.nn.functional.conv2d(drawn, kernel[..., None, :])[:, 0])


def grating(
    size: int, frequency: float, orientation: float, phase: float, centre: tuple[float, float] | None = None
) -> Float[Tensor, "height width"]:
    """√2 cos(2π · frequency · distance + phase): waves that run in the direction `orientation`.

    frequency: in cycles per pixel, at most 0.5. Its root mean square over whole waves is 1.
    """
    if not 0 < frequency <= 0.5:
        raise ValueError(f"a grating has between 0 and 0.5 cycles per pixel, not {frequency}: pixels show no finer one")
    return math.sqrt(2) * torch.cos(2 * math.pi * frequency * along(size, orientation, centre) + phase)


def gratings(count: int, size: int, frequency: float, seed: int) -> Float[Tensor, "image height width"]:
    """Gratings of one frequency, in random orientations and phases."""
    drawn = torch.rand(2, count, generator=torch.Generator().manual_seed(seed)) * 2 * math.pi
    return torch.stack([grating(size, frequency, float(o), float(p)) for o, p in zip(*drawn, strict=True)])


def standard(pattern: Float[Tensor, "... height width"]) -> Float[Tensor, "... height width"]:
    """The same with mean 0 and root mean square 1."""
    pattern = pattern - pattern.mean((-2, -1), keepdim=True)
    return pattern / pattern.square().mean((-2, -1), keepdim=True).sqrt().clamp(min=1e-9)


def across(
    first: Float[Tensor, "*image height width"],
    second: Float[Tensor, "*image height width"],
    angle: float,
    centre: tuple[float, float] | None = None,
    soft: float = SOFT,
) -> Float[Tensor, "*image height width"]:
    """The first texture on the side of `angle`, the second on the other; within `soft` pixels they are mixed."""
    return second + _share(first.shape[-1], angle, centre, soft) * (first - second)


@lru_cache(256)
def _share(size: int, angle: float, centre: tuple[float, float] | None, soft: float) -> Tensor:
    return (along(size, angle, centre) / max(soft, 1e-6) + 0.5).clamp(0, 1)


def step(
    size: int, angle: float, centre: tuple[float, float] | None = None, soft: float = SOFT
) -> Float[Tensor, "height width"]:
    """+1 on the side of `angle`, −1 on the other: an edge of brightness, or of colour. No texture."""
    ones = torch.ones(size, size)
    return across(ones, -ones, angle, centre, soft)


def paint(
    pattern: Float[Tensor, "*image height width"],
    contrast: float | Float[Tensor, "*image"] = CONTRAST,
    colour: Sequence[float] | Float[Tensor, "*image rgb"] = White,
    grey: float = GREY,
) -> Float[Tensor, "*image rgb height width"]:
    """grey + contrast · pattern · colour, cut off at 0 and 1. A negative contrast turns the polarity over.

    contrast and colour: one for all images, or one for each.
    """
    amount = torch.as_tensor(contrast, dtype=pattern.dtype)[..., None, None] * pattern
    return (grey + torch.as_tensor(colour, dtype=pattern.dtype)[..., None, None] * amount[..., None, :, :]).clamp(0, 1)


def signs(count: int, seed: int) -> Float[Tensor, " image"]:
    """As many +1 as −1 (one more of one, if count is odd), in random order."""
    return (torch.randperm(count, generator=torch.Generator().manual_seed(seed)) % 2 * 2 - 1).float()
