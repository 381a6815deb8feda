"""How sure a figure is that was measured on a sample of texts; how far apart groups are, what goes with what."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

RESAMPLES = 1000


def interval(
    statistic: Callable[[Int[np.ndarray, " n"]], float], n: int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """The 95 % interval of what is measured on n texts: a seeded percentile bootstrap (Efron & Tibshirani 1993, §13.3).

    statistic: its value on the texts with these numbers, n of them, some of them more than once. Draw texts and not
    words, since the words of one text are no independent draws. ValueError of NumPy where n is below 1.
    """
    drawn = np.random.default_rng(0).integers(0, n, (resamples, n))
    low, high = np.quantile([statistic(rows) for rows in drawn], [0.025, 0.975])
    return float(low), float(high)


def pearson(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> float:
    """The correlation of two quantities, −1 to 1; 0 where one of them does not vary."""
    return float(np.corrcoef(x, y)[0, 1]) if x.std() and y.std() else 0.0


def separation(values: Float[np.ndarray, " n"], group: Bool[np.ndarray, " n"]) -> float:
    """The mean inside a group minus that outside it, in standard deviations within the two (Cohen's d)."""
    one, other = values[group], values[~group]
    return float((one.mean() - other.mean()) / max(1e-9, np.sqrt((one.var() + other.var()) / 2)))
