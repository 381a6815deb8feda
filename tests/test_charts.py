"""Axes and marks of charts."""

from __future__ import annotations

from mi_lib import plots


def test_a_curve_over_few_whole_numbers_has_ticks_at_them_alone():
    def ticks(x):
        return plots.lines(x, {"a": [0.5] * len(x)}, "", "input of block", "").layout.xaxis.dtick

    assert ticks([1, 2, 3, 4, 5]) == ticks([1.0, 3.0]) == 1
    assert ticks([0.0, 0.5, 1.0]) is None
    assert ticks(range(100)) is None
    assert ticks([3]) is None


def test_the_name_of_a_mark_has_room_beside_the_bars():
    def room(**marks):
        return plots.bars({"a": 1.0}, "", "", marks=marks).layout.margin.r

    assert room() < room(**{"the bound": 0.5}) < room(**{"a name that is longer": 0.5})
