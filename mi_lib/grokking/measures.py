"""Numbers that follow training: how sparse, how large, and when each phase begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


def gini(x: Float[Tensor, " n"]) -> float:
    """The Gini coefficient of n numbers that are not negative: 0 if all are equal, (n − 1)/n if only one is not 0.

    G = Σ_i (2i − n − 1) x_(i) / (n Σ x), with x_(1) ≤ … ≤ x_(n) (Hurley and Rickard 2009, arXiv 0811.4706).
    Raises ValueError if a number is negative or all are 0.
    """
    x = x.double().sort().values
    n = len(x)
    if x[0] < 0 or x.sum() == 0:
        raise ValueError("the Gini coefficient needs numbers that are not negative and not all 0")
    ranks = torch.arange(1, n + 1, dtype=torch.float64)
    return (((2 * ranks - n - 1) * x).sum() / (n * x.sum())).item()


def weight_norm(model: torch.nn.Module) -> float:
    """The sum of squares of all weights."""
    return sum(parameter.double().pow(2).sum().item() for parameter in model.parameters())


class Phases(NamedTuple):
    """The step at which each phase is over; None if that never happens."""

    memorised: int | None
    circuit: int | None
    cleaned: int | None


def phases(
    steps: Sequence[int],
    train_accuracy: Sequence[float],
    excluded_loss: Sequence[float],
    test_accuracy: Sequence[float],
) -> Phases:
    """When memorisation, circuit formation and clean-up are over (Nanda et al. 2023, section 5.2, with stated bounds).

    memorised: training accuracy reaches 99.9 %. circuit: from then on, without the key waves, the loss on the training
    set is at least 1 nat, so the training set itself is now answered by the circuit. (Before that it says nothing: an
    untrained network has a loss of log p with or without waves.) cleaned: test accuracy reaches 99.9 %.
    """

    def first(reached: list[bool]) -> int | None:
        return next((step for step, yes in zip(steps, reached, strict=True) if yes), None)

    memorised = first([x >= 0.999 for x in train_accuracy])
    after = [memorised is not None and step >= memorised for step in steps]
    return Phases(
        memorised=memorised,
        circuit=first([x >= 1.0 and late for x, late in zip(excluded_loss, after, strict=True)]),
        cleaned=first([x >= 0.999 for x in test_accuracy]),
    )
