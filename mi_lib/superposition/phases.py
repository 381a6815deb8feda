"""What a model ought to do, worked out: the least loss of a linear one, and the phases of two features in one place.

Elhage et al. 2022, "Mathematical Understanding" and "The Phase Change". p = 1 − S is the probability that a feature is
present; its value is then uniform between 0 and 1, so E[x²] = p/3 and its variance v = p/3 − p²/4.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.superposition.data import variance

PHASES = ("dropped", "own axis", "superposed")


def linear_floor(
    sparsity: Float[Tensor, " instance"], importance: Float[Tensor, " feature"], n_hidden: int
) -> Float[Tensor, " instance"]:
    """The least loss of a linear model with m hidden dimensions: v Σ I_i over all but the m most important features.

    The features are independent and have the same variance, so this is PCA of the weighted features: no matrix of rank
    m comes nearer to diag(√I) than the one that keeps its m largest entries (Eckart & Young 1936).
    """
    rest = importance.sort(descending=True).values[n_hidden:].sum()
    return variance(sparsity) * rest


def phase_losses(sparsity: Float[Tensor, "..."], importance: Float[Tensor, "..."]) -> Float[Tensor, "phase ..."]:
    """Two features, one hidden dimension, importances 1 and r: the loss of each phase of the SECOND feature.

    dropped: W = [1 0], and b_2 is the mean of feature 2: r v. own axis: W = [0 1], and the first is dropped: v.
    superposed: W = [1 −1], b = 0. Alone, each comes back exactly. Together, both outputs are off by the smaller of the
    two values, whose square is 1/6 in the mean: p² (1 + r) / 6.
    """
    v, presence = variance(sparsity), 1 - sparsity
    return torch.stack(torch.broadcast_tensors(importance * v, v + 0 * importance, presence**2 * (1 + importance) / 6))


def phase(sparsity: Float[Tensor, "..."], importance: Float[Tensor, "..."]) -> Int[Tensor, "..."]:
    """The number in `PHASES` of the phase with the least loss."""
    return phase_losses(sparsity, importance).argmin(0)


def phase_of(W: Float[Tensor, "instance hidden feature"], least: float = 0.5) -> Int[Tensor, " instance"]:
    """The phase of the second of two features in trained models: dropped where its column is shorter than `least`,
    its own axis where the first one's is, else superposed. ValueError for other than two features."""
    if W.shape[-1] != 2:
        raise ValueError(f"a phase is that of the second of two features, and W has {W.shape[-1]}")
    first, second = (W.norm(dim=-2) >= least).unbind(-1)
    return torch.where(~second, 0, torch.where(first, 2, 1))
