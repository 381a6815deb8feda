"""What a picture should not be: costs that are read from the image itself. Subtract them.

    channel("conv3", 5) - 0.2 * total_variation()

Each is a mean over pixels and colours, so that a weight means the same for every size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from mi_lib.features.data import IMAGE
from mi_lib.features.objectives import Objective

GREY = 0.5


def _of_image(name: str, cost: Callable[[Tensor], Tensor]) -> Objective:
    return Objective(name, (IMAGE,), lambda acts: cost(acts[IMAGE]))


def total_variation() -> Objective:
    """How much neighbours differ: the mean of |x[i + 1] − x[i]| down plus that across."""

    def cost(x: Float[Tensor, "picture 3 h w"]) -> Tensor:
        return x.diff(dim=2).abs().flatten(1).mean(1) + x.diff(dim=3).abs().flatten(1).mean(1)

    return _of_image("total_variation", cost)


def l1(middle: float = GREY) -> Objective:
    """The mean distance from grey: many pixels stay grey altogether."""
    return _of_image("l1", lambda x: (x - middle).abs().flatten(1).mean(1))


def l2(middle: float = GREY) -> Objective:
    """The mean squared distance from grey: strong colours cost more than their share."""
    return _of_image("l2", lambda x: (x - middle).square().flatten(1).mean(1))


def roughness(sigma: float = 1.0) -> Objective:
    """The mean squared distance from the image's own blurred copy, which is held fixed: pulls towards blur."""
    return _of_image("roughness", lambda x: (x - blurred(x.detach(), sigma)).square().flatten(1).mean(1))


def blurred(x: Float[Tensor, "batch c h w"], sigma: float) -> Float[Tensor, "batch c h w"]:
    """Convolved with a Gaussian of this many pixels; edges are continued."""
    reach = max(1, round(3 * sigma))
    bell = torch.exp(-(torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device) ** 2) / (2 * sigma**2))
    bell = (bell / bell.sum()).expand(x.shape[1], 1, -1)
    x = F.conv2d(F.pad(x, (0, 0, reach, reach), mode="replicate"), bell[..., None], groups=x.shape[1])
    return F.conv2d(F.pad(x, (reach, reach, 0, 0), mode="replicate"), bell[:, :, None], groups=x.shape[1])
