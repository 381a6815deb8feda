"""Numbers that are written into figures."""

from __future__ import annotations

import pytest

from mi_lib import plots
from mi_lib.plots.style import written


@pytest.mark.parametrize(
    ("number", "decimals", "sign", "says"),
    [(-0.224, 2, "", "−0.22"), (-0.001, 2, "", "0.00"), (0.5, 2, "+", "+0.50"), (-3.0, 0, "", "−3"), (7.0, 0, "", "7")],
)
def test_a_number_below_zero_has_a_minus_sign_and_zero_has_none(number, decimals, sign, says):
    assert written(number, decimals, sign) == says


def test_figures_write_minus_signs_and_no_hyphens():
    (cells,) = plots.matrix([[-0.5, 0.25]], ["row"], ["a", "b"], "").data
    (bars,) = plots.contributions({"a": -1.0, "b": 2.0}, "", "").data
    assert [list(row) for row in cells.text] == [["−0.50", "0.25"]]
    assert list(bars.text) == ["−1.00", "+2.00"]
