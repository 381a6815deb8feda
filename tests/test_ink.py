"""What stands in the cells of a map can be read, in both themes."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.figures import DIVERGING_IN_THE_DARK
from mi_lib import plots
from mi_lib.plots import ink

ENOUGH = 4.5  # WCAG 2, of letters on their ground
SCALES = ("RdBu", "Cividis", DIVERGING_IN_THE_DARK, ((0.0, "#000000"), (1.0, "#ffffff")))


def the_map(numbers, scale) -> go.Figure:
    text = [[f"{number:.3f}" for number in row] for row in numbers]
    return go.Figure(go.Heatmap(z=numbers, zmin=0, zmax=1, colorscale=scale, text=text, texttemplate="%{text}"))


def shown(figure: go.Figure) -> list[dict]:
    return ink.legible(figure.to_dict()["data"])


def read(traces: list[dict]) -> list[tuple[str, float, float]]:
    """Of each cell that something is written in: what, the number it stands for, and its contrast."""
    cells = []
    for trace in traces:
        letters = ink.luminance(ink._rgb(trace["textfont"]["color"]))
        for said, z in zip(np.ravel(trace["text"]), np.ravel(trace["z"]), strict=True):
            if said:
                ground = ink.luminance(ink.between(trace["colorscale"], z))
                cells.append((said, float(z), float(ink.contrast(letters, ground))))
    return cells


@pytest.mark.parametrize("scale", SCALES)
@given(share=st.floats(0, 1))
def test_a_number_can_be_read_on_every_colour_of_a_scale(scale, share):
    ((said, z, contrast),) = read(shown(the_map([[share]], scale)))
    assert (said, z) == (f"{share:.3f}", share)
    assert contrast >= ENOUGH


def test_one_colour_of_letters_alone_would_not_do():
    shares = np.linspace(0, 1, 101)
    ground = ink.luminance(ink.between(the_map([[0.5]], "RdBu").data[0].colorscale, shares))
    for letters in (ink.BLACK, ink.WHITE, "#444444"):  # the third is Plotly's own
        assert ink.contrast(ink.luminance(ink._rgb(letters)), ground).min() < ENOUGH


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_every_number_is_written_once_on_its_own_colour(row):
    traces = shown(the_map([row], "RdBu"))
    assert sorted((said, z) for said, z, _ in read(traces)) == sorted((f"{z:.3f}", z) for z in row)
    assert sum(z is not None for trace in traces for z in trace["z"][0]) == len(row)


@pytest.mark.parametrize(
    "figure",
    [
        plots.lens_table([[0.1, 0.9]], [["a", "b"]], [["a", "b"]], ["0"], ["x", "y"], "T", "share", 0, 1),
        plots.kinds_map([[0, 1]], ["no", "yes"], [["a", "b"]], ["row"], ["x", "y"], "T", "x", "y"),
        plots.square([[1.0]], ["a"], [["a"]], "T", "s", "x", "y"),
        plots.maps([np.eye(2)], ["one"], "T"),
    ],
)
def test_maps_whose_letters_have_a_colour_and_maps_without_letters_are_left_alone(figure):
    traces = figure.to_dict()["data"]
    assert all(one is other for one, other in zip(ink.legible(traces), traces, strict=True))


def test_a_point_that_can_be_clicked_keeps_its_place_among_the_traces():
    figure = plots.click_map([[-1.0, 1.0]], [["a", "b"]], ["row"], ["x", "y"], "T", "s", "x", "y")
    assert [trace["type"] for trace in shown(figure)] == ["heatmap", "scatter", "heatmap"]


@pytest.mark.parametrize(
    ("x", "places"),
    [
        ([1, 2, 4, 256], ["1", "2", "4", "256"]),
        ([1.05, 2.5, 10.0], ["2", "5", "10"]),
        ([1.00000001, 2.5], ["1", "2"]),
        (list(range(1, 2000)), None),
    ],
)
def test_a_logarithmic_axis_says_whole_numbers(x, places):
    axis = plots.lines(x, {"y": x}, "T", "x", "y", log_x=True).layout.xaxis
    assert (list(axis.ticktext) if axis.ticktext else None) == places
    assert places or axis.dtick == 1
