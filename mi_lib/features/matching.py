"""Which unit of one network does what a unit of another does? The one whose activations rise and fall with its own.

Two networks that were trained from different seeds have no numbering in common. Units are matched by the correlation of
their activations on the same images. So one can ask whether a picture that was made for a unit also excites the unit of
another network that does the same on data: if it does not, the picture shows the one network's accidents.

Source: Li et al. 2015, "Convergent learning" (arXiv 1511.07543), section 3.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.features.data import Unusable


def correlations(a: Float[Tensor, "image unit"], b: Float[Tensor, "image other"]) -> Float[Tensor, "unit other"]:
    """Pearson's r of each unit of one network with each of another, over images. 0 for a unit that never varies."""
    if len(a) != len(b) or len(a) < 2:
        raise Unusable(f"both networks must have seen the same images, two or more, not {len(a)} and {len(b)}")
    return _unit_length(a.double()).T @ _unit_length(b.double())


def _unit_length(x: Tensor) -> Tensor:
    away = x - x.mean(0)
    return away / away.norm(dim=0).clamp(min=1e-9)


def matched(r: Float[Tensor, "unit other"], one_to_one: bool = False) -> Int[Tensor, " unit"]:
    """For each unit its counterpart: the other with the largest correlation.

    one_to_one: no other is taken twice, and the sum of correlations is as large as can be (Hungarian method).
    """
    if not one_to_one:
        return r.argmax(1)
    from scipy.optimize import linear_sum_assignment

    if r.shape[0] > r.shape[1]:
        raise Unusable(f"{r.shape[0]} units cannot each have one of {r.shape[1]} others for itself")
    return torch.from_numpy(linear_sum_assignment(r.numpy(), maximize=True)[1])


def unmatched(r: Float[Tensor, "unit other"]) -> Int[Tensor, " unit"]:
    """For each unit the other whose correlation is nearest to 0: the control of a match."""
    return r.abs().argmin(1)
