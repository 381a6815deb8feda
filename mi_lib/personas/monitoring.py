"""Monitoring: how strong a trait will be, told from the prompt alone, before a word is said (Chen et al. 2025, §3.3).

The projection at the last prompt token on the trait's vector, against the score of the reply that follows.

One correlation over everything flatters: prompts of different kinds (told to be evil, told not to be) differ in both,
so that anything which tells the kinds apart correlates. Within each kind is the harder question: of two prompts that
say the same, which reply will be worse?
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mi_lib.statistics import interval, pearson


class Monitored(NamedTuple):
    """pooled: Pearson's r over everything. within: of what is left when each kind's mean is taken off. by_kind: r in
    each kind alone. With 95 % bootstrap intervals over prompts."""

    pooled: float
    pooled_interval: tuple[float, float]
    within: float
    within_interval: tuple[float, float]
    by_kind: dict[str, float]


def monitored(along: Float[np.ndarray, " n"], scores: Float[np.ndarray, " n"], kinds: Sequence[str]) -> Monitored:
    """How well projections tell scores. ValueError for unlike lengths, and for fewer than three prompts."""
    x, y, names = np.asarray(along, float), np.asarray(scores, float), np.asarray(kinds)
    if not len(x) == len(y) == len(names) or len(x) < 3:
        raise ValueError(
            f"give a projection, a score and a kind for each of at least three prompts, not {len(x)}, {len(y)} and "
            f"{len(names)}"
        )

    def pooled(rows: np.ndarray) -> float:
        return pearson(x[rows], y[rows])

    def inside(rows: np.ndarray) -> float:
        return within(x[rows], y[rows], names[rows])

    every = np.arange(len(x))
    return Monitored(
        pooled(every),
        interval(pooled, len(x)),
        inside(every),
        interval(inside, len(x)),
        {str(kind): pearson(x[names == kind], y[names == kind]) for kind in dict.fromkeys(names.tolist())},
    )


def within(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], kinds: np.ndarray) -> float:
    """Pearson's r of what is left of both when the mean of each kind is taken off."""
    x, y = x.astype(float).copy(), y.astype(float).copy()
    for kind in set(kinds.tolist()):
        rows = kinds == kind
        x[rows] -= x[rows].mean()
        y[rows] -= y[rows].mean()
    return pearson(np.where(np.abs(x) < 1e-12, 0, x), np.where(np.abs(y) < 1e-12, 0, y))
