"""What the techniques of this package share: a model to look into, images that are looked at before they are used.

images  [batch 3 height width]  red, green and blue, each between 0 and 1
acts    {layer: activations}     of a run: [batch channel height width], or [batch unit] behind a linear layer
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

Acts = Mapping[str, Tensor]
IMAGE = "image"  # under this name objectives find the image itself, beside the layers of the model
GRAIN = 1e-4  # so far beyond 0 and 1 a colour may lie by rounding


class Unusable(ValueError):
    """Images, units or objectives that nothing can be computed with. The text is a sentence that says what to do."""


class Vision(Protocol):
    """A network that can be run up to some of its layers: `mi_lib.models.vision.VisionModel` is one."""

    def run(self, images: Float[Tensor, "batch 3 height width"], layers: Any) -> Any: ...


def images(x: Any, what: str = "the images") -> Float[Tensor, "batch 3 height width"]:
    """x itself, if it is a batch of images. `Unusable` for another shape or range, or where it holds NaN."""
    if not isinstance(x, Tensor) or x.ndim != 4 or x.shape[1] != 3 or not x.numel():
        shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise Unusable(f"{what} must be a tensor [batch 3 height width] with at least one image, not {shape}")
    if not x.is_floating_point():
        raise Unusable(f"{what} hold whole numbers ({x.dtype}): divide by 255, so that colours lie between 0 and 1")
    if not bool(torch.isfinite(x).all()):
        raise Unusable(f"{what} hold NaN or an infinite number, first in image {_first(~torch.isfinite(x))}")
    low, high = (float(v) for v in x.detach().aminmax())
    if low < -GRAIN or high > 1 + GRAIN:
        raise Unusable(f"{what} have colours from {low:.3g} to {high:.3g}: bring them to the range from 0 to 1")
    return x


def _first(bad: Tensor) -> int:
    return int(bad.flatten(1).any(1).int().argmax())


def unit(acts: Tensor, number: int, layer: str) -> Tensor:
    """The activations of one unit, [batch height width] or [batch]. `Unusable` for a number that the layer lacks."""
    n = acts.shape[1]
    if not 0 <= number < n:
        raise Unusable(f"layer {layer} has the units 0 to {n - 1}, and {number} is none of them")
    return acts[:, number]


def at_centre(acts: Tensor) -> Float[Tensor, "batch channel"]:
    """What stands in the middle of each map; of a layer without a map, itself."""
    return acts if acts.ndim == 2 else acts[:, :, acts.shape[2] // 2, acts.shape[3] // 2]


def over_map(acts: Tensor) -> Float[Tensor, "batch channel"]:
    """The mean over the places of each map; of a layer without a map, itself."""
    return acts if acts.ndim == 2 else acts.mean((2, 3))
