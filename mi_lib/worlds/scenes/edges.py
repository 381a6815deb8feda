"""Edges on a straight line through the middle: the plainest scenes that hold a change of focus, or of brightness.

`angle` is where the sharp side lies (or the bright one), anticlockwise from the right, in radians. They are for
measuring what a unit answers to, and no part of what `sample` draws.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.worlds.scenes.drawing import FRONT, GROUND, NOISE, PLAIN, SIZE, Drawn, Layout, blank, draw
from mi_lib.worlds.scenes.shapes import HALF

SHARP, SOFT = 0.6, 2.6  # blur in pixels: the middle of what `sample` draws, on either side
CONTRAST = 0.25


def focus_edges(
    angle: Float[Tensor, " n"],
    *,
    seed: int,
    sharp: float = SHARP,
    soft: float = SOFT,
    contrast: float = CONTRAST,
    size: int = SIZE,
) -> Drawn:
    """Noise of blur `sharp` on the side to which `angle` points, of blur `soft` on the other; one brightness, grey."""
    lay = _halves(angle)
    lay.texture[:] = NOISE
    lay.blur[:, FRONT], lay.blur[:, GROUND] = sharp, soft
    lay.contrast[:] = contrast
    return draw(lay, seed, size)


def brightness_edges(
    angle: Float[Tensor, " n"],
    *,
    seed: int,
    blur: float | None = None,
    step: float = 2 * CONTRAST,
    contrast: float = CONTRAST,
    size: int = SIZE,
) -> Drawn:
    """The side to which `angle` points is brighter by `step` of the mean. blur: of one noise over both sides; None for
    plain sides."""
    lay = _halves(angle)
    lay.field[:, FRONT] = GROUND
    lay.texture[:] = PLAIN if blur is None else NOISE
    lay.blur[:] = blur or 0.0
    lay.contrast[:] = contrast
    lay.colour[:, FRONT], lay.colour[:, GROUND] = 0.5 * (1 + step / 2), 0.5 * (1 - step / 2)
    return draw(lay, seed, size)


def uniform(n: int, blur: float, *, seed: int, contrast: float = CONTRAST, size: int = SIZE) -> Drawn:
    """One noise all over, and no edge."""
    lay = blank(n)
    lay.texture[:] = NOISE
    lay.blur[:] = blur
    lay.contrast[:] = contrast
    return draw(lay, seed, size)


def _halves(angle: Float[Tensor, " n"]) -> Layout:
    lay = blank(len(angle))
    lay.there[:, FRONT] = True
    lay.shape[:, FRONT] = HALF
    lay.angle[:, FRONT] = torch.as_tensor(angle)
    return lay
