"""What a figure shows, in words."""

from __future__ import annotations

import inspect
import re

import numpy as np
import plotly.graph_objects as go
import pytest
from budget import sample
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_lib import plots
from mi_lib.course import figures, index, lesson
from mi_lib.plots import told

RNG = np.random.default_rng(0)
WORDS = ["river", "lamp", "cat"]
SAID = [["a", "b", "c"], ["d", "e", "f"]]
UP = ["up", "down"]
EXAMPLES = {  # every function that draws, as a chapter or a page calls it
    "arrows": lambda: plots.arrows(RNG.normal(size=(3, 2)), WORDS, "Arrows", "dimension"),
    "attention": lambda: plots.attention(np.eye(3), WORDS, "A pattern", highlight=[-1, 0, 1]),
    "bars": lambda: plots.bars({"a": 1.0, "b": -2.0}, "Bars", "nats"),
    "circle": lambda: plots.circle(RNG.normal(size=(3, 2)), WORDS, "A circle", "first", "second"),
    "circuit_graph": lambda: plots.circuit_graph(
        {"a": plots.Place(0, 0, "A"), "b": plots.Place(1, 0, "B")}, [plots.Line("a", "b", "", 1, "found", "A to B: 1")],
        "A circuit", {"found": "found"}, {0: "early", 1: "late"}, {"a": "the first", "b": "the second"},
    ),
    "click_map": lambda: plots.click_map(RNG.normal(size=(2, 3)), SAID, UP, WORDS, "To click", "nats", "word", "part"),
    "clouds": lambda: plots.clouds({"near": RNG.normal(size=(4, 2))}, "Clouds", "first", "second"),
    "contributions": lambda: plots.contributions({"a": 1.0, "b": -2.0}, "Who wrote it", "nats"),
    "dots": lambda: plots.dots(UP, {"one": [[1, 2], [2, 3]]}, {"one": [[(0, 2), (1, 3)]] * 2}, "Dots", "x", "share"),
    "gallery": lambda: plots.gallery({"row": [np.zeros((3, 8, 8))] * 3}, WORDS, "Pictures"),
    "glance": lambda: plots.glance(RNG.normal(size=(3, 5)), (1, 1)),
    "grouped_bars": lambda: plots.grouped_bars(UP, {"one": [1, 2], "other": [3, 4]}, "Groups", "x", "nats"),
    "head_grid": lambda: plots.head_grid(np.stack([np.eye(3)] * 2), WORDS, ["0.0", "0.1"], "Two heads"),
    "histogram": lambda: plots.histogram([1, 5, 2], [0, 1, 2, 3], "A histogram", "value", "how many"),
    "kinds_map": lambda: plots.kinds_map([[0, 1, 1], [1, 0, 0]], ["no", "yes"], SAID, UP, WORDS, "Kinds", "x", "y"),
    "lens_table": lambda: plots.lens_table(RNG.random((2, 3)), SAID, SAID, UP, WORDS, "A lens", "probability", 0, 1),
    "lines": lambda: plots.lines([0, 1, 2], {"up": [0, 1, 4], "down": [3, 2, 1]}, "Lines", "step", "nats"),
    "maps": lambda: plots.maps(RNG.normal(size=(2, 3, 4)), ["first", "second"], "Maps"),
    "matrix": lambda: plots.matrix([[1.0, 2.0], [3.0, 4.0]], ["r0", "r1"], ["c0", "c1"], "A matrix"),
    "sideways": lambda: plots.sideways(plots.bars({"a": 1.0, "b": -2.0}, "Lying bars", "nats")),
    "spectrum": lambda: plots.spectrum({"all": RNG.random(6)}, "A spectrum", "share"),
    "square": lambda: plots.square(RNG.normal(size=(3, 3)), WORDS, [*SAID, SAID[0]], "A square", "cosine", "a", "b"),
    "token_loss": lambda: plots.token_loss({"whole": RNG.random(2)}, WORDS, "Loss"),
}  # fmt: skip
DRAWN = [(chapter, block.arg) for chapter in index.chapters() for block in lesson.blocks(chapter)
         if block.kind == "figure" and not block.follows]  # fmt: skip


def drawing() -> set[str]:
    """The library's public functions that return a figure."""
    functions = inspect.getmembers(plots, inspect.isfunction)
    return {name for name, f in functions if str(inspect.signature(f).return_annotation).endswith("go.Figure")}


def test_every_function_that_draws_has_an_example_here():
    assert drawing() == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_kind_of_figure_is_told_with_its_title_its_axes_and_a_number_or_a_name_of_it(name):
    figure = EXAMPLES[name]()
    said = told(figure)
    layout = figure.layout
    titles = [layout.title.text, layout.xaxis.title.text, layout.yaxis.title.text]
    written = [re.sub("<[^>]*>", " ", title) for title in titles if title]
    assert all(" ".join(title.split()) in said for title in written)
    assert re.search(
        r"least .* at |A to B: 1|lamp: .* long|to 2.00: 5|3 pictures in rows: row, under: river|everywhere", said
    ), said
    assert "nan" not in said


@pytest.mark.parametrize(("chapter", "name"), [(c, n) for c, n in sample(DRAWN, 6, "told")], ids=lambda x: str(x)[:20])
def test_a_lesson_s_figure_is_told(chapter, name):
    drawn = figures.figure(chapter, name)
    said = told(drawn)
    assert said.startswith(drawn.layout.title.text.rstrip("."))
    assert len(said) > len(drawn.layout.title.text) + 40
    assert len(said) < 2000


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20), st.text(st.characters(codec="ascii"), max_size=20))
@settings(max_examples=40, deadline=None)
def test_the_least_and_the_most_of_a_curve_are_told_at_their_places(values, name):
    said = told(go.Figure(go.Scatter(x=list(range(len(values))), y=values, name=f"n {name}")))
    assert "<" not in re.sub(r"<(?![^>]*>)", "", said)
    low, high = min(values), max(values)
    if low == high:
        assert "everywhere" in said
    else:
        assert said.endswith(f"at {values.index(high)}.")
        assert f" at {values.index(low)}, most" in said


def test_what_came_as_bytes_is_read_and_what_cannot_be_read_is_named():
    figure = go.Figure(go.Scatter(x=[0, 1], y=np.array([1.0, 3.0]), name="a curve"))
    again = go.Figure(figure.to_plotly_json())
    assert told(again) == told(figure) == "a curve: 2 points, least 1 at 0, most 3 at 1."
    assert told(go.Figure(go.Pie(values=[1, 2], name="a pie"))) == "a pie (pie)."
    assert told(go.Figure()) == "An empty figure."


def test_of_many_curves_the_rest_is_counted_and_what_lies_under_the_pointer_alone_is_left_out():
    figure = go.Figure([go.Scatter(x=[0, 1], y=[0, i], name=f"c{i}") for i in range(1, 12)])
    assert told(figure).endswith("And 3 more.")
    figure = plots.click_map([[1.0, 2.0, 3.0]], SAID[:1], ["row"], WORDS, "Map", "nats", "x", "y")
    assert "a, b" not in told(figure)
    assert told(figure).endswith("least 1 at row row, column river, most 3 at row row, column cat.")
