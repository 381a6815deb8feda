"""How sure a figure is that was measured on a sample of texts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Int

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
