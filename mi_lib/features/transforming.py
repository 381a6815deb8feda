"""A picture has to please the unit even when it is moved, scaled and turned a little: noise that only fits one pixel
grid does not survive this.

Each transformation takes images and a source of random numbers, and gives images, which may be smaller. All images of a
batch are moved alike, and gradients pass through.

Source: lucid's standard transformations: pad, jitter 8, scale 0.9 to 1.1, rotate −10° to 10°, jitter 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from mi_lib.features.data import Unusable

Images = Float[Tensor, "batch 3 h w"]
Transform = Callable[[Images, torch.Generator], Images]
GREY = 0.5


def pad(width: int, value: float = GREY) -> Transform:
    """A grey frame of so many pixels."""
    return lambda images, source: F.pad(images, (width,) * 4, value=value)


def jitter(most: int) -> Transform:
    """Cut out a window that is `most` pixels smaller, at any of its (most + 1)² places."""

    def apply(images: Images, source: torch.Generator) -> Images:
        height, width = images.shape[2] - most, images.shape[3] - most
        if height < 1 or width < 1:
            raise Unusable(f"an image of {images.shape[2]} × {images.shape[3]} is too small for a jitter of {most}")
        y, x = torch.randint(0, most + 1, (2,), generator=source).tolist()
        return images[:, :, y : y + height, x : x + width]

    return apply


def scale(factors: Sequence[float]) -> Transform:
    """Make images larger or smaller by one of these factors."""
    if not factors or min(factors) <= 0:
        raise Unusable("the factors of a scaling must be above 0, and there must be one at least")

    def apply(images: Images, source: torch.Generator) -> Images:
        factor = factors[int(torch.randint(len(factors), (1,), generator=source))]
        if factor == 1:
            return images
        size = [max(1, round(n * factor)) for n in images.shape[2:]]
        return F.interpolate(images, size=size, mode="bilinear", align_corners=False)

    return apply


def rotate(degrees: float) -> Transform:
    """Turn images by an angle between −degrees and degrees, about their middle. Corners are filled with the edge."""

    def apply(images: Images, source: torch.Generator) -> Images:
        angle = math.radians(degrees) * (2 * float(torch.rand(1, generator=source)) - 1)
        height, width = images.shape[2:]
        cos, sin = math.cos(angle), math.sin(angle)
        table = torch.tensor([[cos, -sin * height / width, 0.0], [sin * width / height, cos, 0.0]], dtype=images.dtype)
        grid = F.affine_grid(table[None].to(images), [1, 1, height, width], align_corners=False)
        return F.grid_sample(images, grid.expand(len(images), -1, -1, -1), padding_mode="border", align_corners=False)

    return apply


def compose(*steps: Transform) -> Transform:
    """One after the other."""

    def apply(images: Images, source: torch.Generator) -> Images:
        for step in steps:
            images = step(images, source)
        return images

    return apply


def standard(most: int = 8, degrees: float = 10.0) -> Transform:
    """lucid's order, for any size: pad, jitter, scale, rotate, jitter by half as much.

    The frame is as wide as all that is cut off again, so that images leave as large as they came, up to the scaling.
    """
    half = most // 2
    factors = [0.9, 0.92, 0.94, 0.96, 0.98, 1.0, 1.02, 1.04, 1.06, 1.08, 1.1]
    frame = -(-(most + half) // 2)
    return compose(pad(frame), jitter(most), scale(factors), rotate(degrees), jitter(half))


def none() -> Transform:
    """Leave images as they are: a control."""
    return lambda images, source: images
