"""A picture that is saved of a figure has the figure's title in it."""

from __future__ import annotations

import io

import plotly.graph_objects as go

from app import figures
from mi_lib import plots


def test_a_figure_hands_its_title_on_to_the_picture_and_keeps_what_else_stands_beside_it():
    drawn = plots.lines([0, 1], {"a": [1, 2]}, "Lines", "step", "nats").update_layout(meta={"least": 500})
    layout = figures.ready(drawn, dark=False, title="Lines").to_dict()["layout"]
    assert layout["meta"] == {"least": 500, "title": "Lines"}
    assert not layout["title"]["text"]


def test_what_a_learners_own_figure_holds_there_is_left_alone():
    drawn = go.Figure(layout={"meta": ["mine"]})
    assert figures.ready(drawn, dark=False, title="Lines").to_dict()["layout"]["meta"] == ["mine"]


def test_the_title_stands_in_the_picture_and_the_page_is_as_it_was(page):
    from PIL import Image

    page.goto("/chapter?chapter=08&exercise=end")
    figure = page.locator(".st-key-figure-before_and_after .js-plotly-plot")
    figure.wait_for(timeout=60_000)
    page.wait_for_function("() => document.documentElement.dataset.miSaving")
    state = "f => JSON.stringify([f.layout.annotations, f.layout.margin, f.layout.font, f.clientHeight])"
    before = figure.evaluate(state)
    figure.hover()
    with page.expect_download(timeout=60_000) as saved:
        figure.locator(".modebar-btn[data-title^='Download plot']").click()
    assert saved.value.suggested_filename == "straighten-the-part-that-is-to-blame.png"
    assert figure.evaluate(state) == before
    picture = Image.open(io.BytesIO(saved.value.path().read_bytes())).convert("L")
    assert picture.height > 2 * figure.evaluate("f => f.clientHeight")  # twice as fine, and a line higher
    low, high = picture.crop((0, 0, picture.width // 2, 60)).getextrema()
    assert high - low > 100  # letters: without them this corner has the colour of the ground
    assert page.errors == []
