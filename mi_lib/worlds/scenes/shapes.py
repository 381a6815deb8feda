"""Shapes as signed distances: below 0 inside, 0 on the outline, in pixels.

All shapes of one size have the area of a disc with that radius, so that none stands out by how much it covers.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.worlds.scenes.textures import coordinates

SHAPES = ("disc", "square", "triangle", "bar")  # what a figure can be
HALF = len(SHAPES)  # all that lies on one side of a straight line through the centre: for edges

# Of equal area with a disc of radius 1: half the square's side, the triangle's inner radius, half the bar's sides.
_SQUARE = math.sqrt(math.pi) / 2
_TRIANGLE = math.sqrt(math.pi / (3 * math.sqrt(3)))
_BAR = (3 * math.sqrt(math.pi / 12), math.sqrt(math.pi / 12))


def distance(
    shape: Int[Tensor, " n"],
    centre: Float[Tensor, "n 2"],
    radius: Float[Tensor, " n"],
    angle: Float[Tensor, " n"],
    size: int,
) -> Float[Tensor, "n h w"]:
    """How far each pixel lies outside the outline; exact for the disc, and near the outline for the others.

    shape: a number of SHAPES, or HALF: then inside is where `angle` points to. centre: (x, y), y upwards. angle:
    anticlockwise; at 0 the triangle points up and the bar lies flat.
    """
    x, y = coordinates(size)
    x, y = x - centre[:, 0, None, None], y - centre[:, 1, None, None]
    cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    x, y, r = x * cos + y * sin, y * cos - x * sin, radius[:, None, None]
    out = torch.empty_like(x)
    for number in shape.unique().tolist():
        i = shape == number
        out[i] = _OUTSIDE[number](x[i], y[i], r[i])
    return out


def _disc(x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    return torch.hypot(x, y) - r


def _square(x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    return torch.maximum(x.abs(), y.abs()) - _SQUARE * r


def _triangle(x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    slanted = (math.sqrt(3) * x.abs() + y) / 2  # the distance along the normals of the two upper sides
    return torch.maximum(-y, slanted) - _TRIANGLE * r


def _bar(x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    return torch.maximum(x.abs() - _BAR[0] * r, y.abs() - _BAR[1] * r)


def _half(x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    return -x


_OUTSIDE = (_disc, _square, _triangle, _bar, _half)
