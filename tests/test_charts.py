"""Axes and marks of charts."""

from __future__ import annotations

import numpy as np

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


def test_zeros_lie_below_a_logarithmic_axis_and_are_told_and_pointed_at_as_zeros():
    figure = plots.lines(["x", "y", "z"], {"a": [0.0, 2e-3, 50.0]}, "T", "", "", log_y=True)
    curve, axis = figure.data[0], figure.layout.yaxis
    assert list(curve.y) == [1e-4, 2e-3, 50.0]
    assert dict(zip(axis.ticktext, axis.tickvals, strict=True))["0"] == 1e-4
    assert list(axis.ticktext) == [
        "0",
        "10<sup>−3</sup>",
        "10<sup>−2</sup>",
        "10<sup>−1</sup>",
        "1",
        "10",
        "10<sup>2</sup>",
    ]
    assert "%{customdata" in curve.hovertemplate
    assert list(curve.customdata) == [0.0, 2e-3, 50.0]
    assert "least 0 at x" in plots.told(figure)


def test_a_logarithmic_axis_without_zeros_has_no_line_for_them():
    figure = plots.lines(["x", "y"], {"a": [2e-3, 50.0]}, "T", "", "", log_y=True)
    assert list(figure.data[0].y) == [2e-3, 50.0]
    assert figure.layout.yaxis.ticktext is None


def test_many_names_below_a_figure_do_not_take_its_height():
    def height(draw, n):
        return draw({f"{i}": [1.0, 2.0] for i in range(n)}).layout.height

    def curves(series):
        return plots.lines([1, 2], series, "T", "x", "y")

    def columns(series):
        return plots.grouped_bars([1, 2], series, "T", "x", "y")

    for draw in (curves, columns):
        assert height(draw, 1) == height(draw, 2) < height(draw, 3) < height(draw, 8)


def test_maps_have_numbers_at_their_axes():
    alone, beside = (plots.maps([np.eye(32)] * n, [""] * n, "Maps") for n in (1, 3))
    assert alone.layout.xaxis.showticklabels is None is alone.layout.xaxis.tickvals  # those that Plotly chooses
    assert list(beside.layout.xaxis2.tickvals) == list(beside.layout.yaxis.tickvals) == [0, 31]
    assert beside.layout.yaxis.showticklabels
    assert not beside.layout.yaxis2.showticklabels


def test_all_numbers_of_a_matrix_are_of_one_size_and_have_the_decimals_that_are_asked_for():
    few, many = (plots.matrix([[-0.0614] * n], ["a long name of a row"], ["b"] * n, "M", decimals=3) for n in (2, 7))
    assert few.data[0].text[0][0] == "−0.061"
    assert 8 <= many.data[0].textfont.size < few.data[0].textfont.size <= 13
