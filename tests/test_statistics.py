"""How sure a figure is that was measured on a sample."""

from __future__ import annotations

import numpy as np
import pytest

from mi_lib.course import findings
from mi_lib.statistics import interval, pearson, separation


def test_an_interval_is_that_of_the_statistic_over_texts_drawn_anew() -> None:
    """A mean's is known: two standard errors to each side."""
    values = np.random.default_rng(1).normal(3, 2, 400)
    low, high = interval(lambda rows: values[rows].mean(), 400)
    error = values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.25 * error)
    assert interval(lambda rows: values[rows].mean(), 400) == (low, high)  # the same texts are drawn every time
    wide = interval(lambda rows: values[rows[:100]].mean(), 400)
    assert wide[1] - wide[0] == pytest.approx(2 * (high - low), rel=0.15)


def test_a_finding_has_the_interval_of_its_mean_over_texts() -> None:
    words = np.random.default_rng(2).normal(3, 2, (50, 4))
    found = findings.mean("loss", words)
    assert found["loss_interval"] == pytest.approx(interval(lambda rows: words[rows].mean(), 50))
    assert found["loss"] == pytest.approx(words.mean())


def test_separation_is_the_difference_in_standard_deviations():
    rng = np.random.default_rng(0)
    group = np.repeat([True, False], 2000)
    values = rng.normal(size=4000) * 2 + 6 * group
    assert separation(values, group) == pytest.approx(3, abs=0.2)
    assert separation(values, ~group) == -separation(values, group)


def test_correlation_is_one_of_a_line_and_zero_where_nothing_varies():
    x = np.arange(5.0)
    assert pearson(x, 3 - 2 * x) == pytest.approx(-1)
    assert pearson(x, np.ones(5)) == 0
