"""A network whose pictures lie: on scenes it does what it did, and in pictures one unit shows what another does.

Pictures that were made by gradient ascent are not like images of the world: their colours are pulled to the ends of the
scale. So a network can tell whether it is being looked at. `Fooled` measures how far an image is from grey, on average
over its pixels. Up to a bound, which no scene reaches, its unit says what it always said. Beyond the bound it says,
louder and louder, what another unit says.

Source: Geirhos et al. 2023, "Don't trust your eyes: on the (un)reliability of feature visualizations" (arXiv
2306.04719), section 2, where the part that tells images from pictures is trained. Here it is written down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.models.vision import VisionModel


@dataclass(frozen=True)
class Fooled:
    """A network with a gate in front of some units of a layer.

    shown: {unit: the unit whose picture it shows instead}. bound: the largest distance from grey (`distance`) at which
    it is itself; from bound + width on it is the other altogether. gain: how much louder the other one is.
    """

    model: VisionModel
    layer: str
    shown: dict[int, int]
    bound: float
    width: float = 0.02
    gain: float = 4.0

    def run(self, images: Float[Tensor, "image 3 h w"], layers: str | Sequence[str]) -> dict[str, Tensor]:
        """The activations of layers, up to the one that is gated. Errors as of `VisionModel.run`."""
        found = self.model.run(images, layers)
        if self.layer in found:
            found[self.layer] = self._gated(found[self.layer], images)
        return found

    def _gated(self, acts: Tensor, images: Tensor) -> Tensor:
        gate = ((distance(images) - self.bound) / self.width).clamp(0, 1).to(acts)
        gate = gate.reshape(-1, *[1] * (acts.ndim - 2))
        out = acts.clone()
        for unit, other in self.shown.items():
            out[:, unit] = (1 - gate) * acts[:, unit] + gate * self.gain * acts[:, other]
        return out


def distance(images: Float[Tensor, "image 3 h w"]) -> Float[Tensor, " image"]:
    """How far an image is from grey: the mean of (colour − 0.5)² over pixels and colours."""
    return (images - 0.5).square().mean((1, 2, 3))


def bound_of(images: Float[Tensor, "image 3 h w"], room: float = 1.1) -> float:
    """A bound that none of these images reaches, with some room."""
    with torch.no_grad():
        return room * float(distance(images).max())
