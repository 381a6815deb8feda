"""Colours that do not go together: a picture is kept in coordinates in which the colours of a world are uncorrelated.

In images red, green and blue rise and fall together: most of what changes is light and dark. A step of gradient ascent
that is equally long in each of them is long along what is rare and short along what is common. So take the covariance Σ
of the world's own colours, and keep a picture as z with colour = Σ^½ z. In z all directions vary alike.

Source: Olah, Mordvintsev & Schubert 2017, "Feature Visualization" (Distill), section "Preconditioning and
parameterization". There the covariance is that of ImageNet; here it is computed from whatever images are given.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.features import data
from mi_lib.features.data import Unusable


class Colours(NamedTuple):
    """The mean colour of some images, and Σ^½ of their colours."""

    mean: Float[Tensor, " 3"]
    root: Float[Tensor, "3 3"]

    def decorrelate(self, images: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, "batch 3 h w"]:
        """z = Σ^−½ (colour − mean). Of the images from which it was computed the covariance of z is the identity."""
        away = images - self.mean[:, None, None].to(images)
        return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(self.root).to(images), away)

    def correlate(self, z: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, "batch 3 h w"]:
        """Σ^½ z + mean: the inverse of `decorrelate`."""
        return torch.einsum("ij,bjhw->bihw", self.root.to(z), z) + self.mean[:, None, None].to(z)

    def for_pictures(self) -> Float[Tensor, "3 3"]:
        """Σ^½, scaled such that its longest column is 1, so that steps are as long as they would be without it.

        This is what a picture is multiplied with before its sigmoid (lucid's `color_correlation_normalized`).
        """
        return self.root / self.root.norm(dim=0).max()


def colours_of(images: Float[Tensor, "batch 3 h w"]) -> Colours:
    """The mean and Σ^½ of the colours of all pixels, computed in double precision.

    The root is the symmetric one, so that z keeps the names of the colours. `Unusable` where colours do not vary in
    three directions: then Σ has no inverse.
    """
    pixels = data.images(images).double().movedim(1, -1).reshape(-1, 3)
    mean = pixels.mean(0)
    sigma = (pixels - mean).T @ (pixels - mean) / len(pixels)
    values, vectors = torch.linalg.eigh(sigma)
    if not float(values[0]) > 1e-9:
        raise Unusable(
            "the colours of these images vary in fewer than three directions (all grey?): give coloured ones"
        )
    root = vectors @ torch.diag(values.sqrt()) @ vectors.T
    return Colours(mean.float(), root.float())
