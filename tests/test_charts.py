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


def test_lying_bars_say_what_upright_ones_said():
    series = {"left": [1.0, -2.0], "back": [0.5, 0.25]}
    upright = plots.grouped_bars(["head 0.1", "head 0.2"], series, "Heads", "head", "share")
    upright.add_hline(y=0.75)
    lying = plots.sideways(
        plots.grouped_bars(["head 0.1", "head 0.2"], series, "Heads", "head", "share").add_hline(y=0.75)
    )
    for a, b in zip(upright.data, lying.data, strict=True):
        assert (list(a.x), list(a.y), a.name) == (list(b.y), list(b.x), b.name)
        assert b.orientation == "h"
        assert b.hovertemplate.replace("%{y}", "X").replace("%{x", "Y") == a.hovertemplate.replace("%{x}", "X").replace(
            "%{y", "Y"
        )
    assert (lying.layout.xaxis.title.text, lying.layout.yaxis.title.text) == ("share", "head")
    assert lying.layout.yaxis.autorange == "reversed"  # the first on top
    (line,) = lying.layout.shapes
    assert (line.x0, line.x1, line.xref, line.yref) == (0.75, 0.75, "x", "y domain")


def test_lying_bars_keep_their_whiskers_and_their_marks():
    values = {"a": 1.0, "b": 0.5}
    figure = plots.sideways(plots.bars(values, "", "nats", errors={"a": 0.1, "b": 0.2}, marks={"the bound": 0.7}))
    (bar,) = figure.data
    assert (list(bar.error_x.array), bar.error_y.array) == ([0.1, 0.2], None)
    (name,) = figure.layout.annotations
    assert (name.text, name.x, name.xref, name.yref) == ("the bound", 0.7, "x", "y domain")


def test_lying_bars_have_more_room_the_more_they_are_and_break_long_names():
    def lying(names):
        return plots.sideways(plots.grouped_bars(names, {"one": [1.0] * len(names)}, "", "", "nats"))

    assert lying(["a"] * 3).layout.height < lying(["a"] * 9).layout.height
    assert list(lying(["short", "the query of head one"]).data[0].y) == ["short", "the query<br>of head one"]
    assert list(lying(["embed->a1.h1.v.long"]).data[0].y) == ["embed->a1.h1.v.long"]  # nowhere to break


def test_runs_of_one_kind_have_one_colour_one_mark_and_one_place_in_the_legend():
    runs = {"all kinds": [[0.8, 0.1], [0.7, 0.2]], "few": [[0.5, 0.5]]}
    ends = {name: [[(v - 0.1, v + 0.2) for v in run] for run in each] for name, each in runs.items()}
    figure = plots.dots(["asked", "new"], runs, ends, "", "", "share")
    assert [dot.name for dot in figure.data if dot.showlegend] == ["all kinds", "few"]
    first, second, other = figure.data
    assert first.marker.color == second.marker.color != other.marker.color
    assert first.marker.symbol == second.marker.symbol != other.marker.symbol
    assert len({dot.offsetgroup for dot in figure.data}) == 3  # so that none lies upon another
    assert np.allclose(other.error_y.array, 0.2)
    assert np.allclose(other.error_y.arrayminus, 0.1)


def test_long_names_below_bars_have_lines_and_lying_bars_have_none_of_them_left_below():
    names = ["the noun", "the nearer noun, untrained"]
    upright = plots.grouped_bars(names, {"a": [1.0, 2.0]}, "Bars", "", "share")
    axis = upright.layout.xaxis
    assert list(axis.tickvals) == names == list(upright.data[0].x)
    assert list(axis.ticktext) == ["the noun", "the nearer noun,<br>untrained"]
    assert list(axis.autotickangles) == [0, -90]  # slanted they would take a third of a phone's width
    assert plots.grouped_bars(["a", "b"], {"a": [1.0, 2.0]}, "Bars", "", "share").layout.xaxis.ticktext is None
    lying = plots.sideways(upright).layout.xaxis
    assert lying.ticktext is lying.tickvals is None
