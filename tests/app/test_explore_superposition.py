"""The superposition explorer: what it trains, what it says of it, and a click into its map."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from app import explore_superposition, superposition_run
from app.superposition_run import STEPS, Settings, begun, go_on, shape
from mi_lib import plots
from mi_lib import superposition as sp
from mi_lib.course import Workspace

ROOT = Path(__file__).parents[2]
SCRIPT = (
    f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport streamlit as st\nfrom app import explore_superposition\n"
)
SCRIPT += "st.session_state.get('elsewhere') or explore_superposition.show()"


@pytest.fixture(autouse=True)
def few_pictures(tmp_path, monkeypatch):
    """Three pictures of a training: it is the same training, and each of them is a run of the page."""
    monkeypatch.setenv("MI_WORKSPACE", str(Workspace.init(tmp_path / "work").path))
    monkeypatch.setattr(superposition_run, "PICTURES", (1, 100, STEPS))


def fresh() -> AppTest:
    app = AppTest.from_string(SCRIPT, default_timeout=60).run()
    assert not app.exception
    return app


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception
    return app


def opened() -> AppTest:
    return press(fresh(), "Go on without a prediction")


def trained(app: AppTest) -> AppTest:
    """The page when all is trained. In a browser its fragment runs by itself."""
    for _ in range(4):
        if not app.session_state["super-run"].going:
            break
        app.run()
    assert not app.exception
    assert app.session_state["super-run"].finished
    return app


def words(app: AppTest) -> str:
    return " ".join(e.value for kind in ("markdown", "caption") for e in getattr(app, kind))


def metrics(app: AppTest) -> dict[str, float]:
    return {metric.label: float(re.match(r"[\d.]+", metric.value)[0]) for metric in app.metric}


def figures(app: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def test_the_page_asks_first_and_tells_whether_the_prediction_was_right():
    app = fresh()
    assert not app.get("plotly_chart")
    assert not app.slider
    app.radio[0].set_value("A regular star of five arrows").run()
    app = trained(press(app, "That is my prediction"))
    assert "has found: **pentagon**" in words(app)
    assert "So it is." in words(app)
    again = fresh()
    again.radio[0].set_value("Five arrows in no order").run()
    assert "It is not so." in words(trained(press(again, "That is my prediction")))


def test_training_is_seen_as_it_goes_can_be_stopped_gone_on_with_and_looked_back_upon():
    app = opened()
    run = app.session_state["super-run"]
    assert [frame.step for frame in run.frames] == [1]
    assert len(app.get("plotly_chart")) == 3  # arrows and room of the first step, and the map
    press(app, "Stop")
    seen = len(run.frames)
    app.run()
    assert len(run.frames) == seen
    assert "step" in app.get("progress")[0].proto.text
    trained(press(app, "Go on"))
    steps = next(slider for slider in app.select_slider if slider.label == "Training step")
    late = figures(app)[1]["data"][0]["y"]
    steps.set_value(1).run()
    assert not app.exception
    assert figures(app)[1]["data"][0]["y"] != late


def test_the_bars_and_numbers_are_those_of_the_network_with_the_smallest_loss():
    app = trained(press(opened(), "Three in two, often there"))
    run = app.session_state["super-run"]
    W = run.frames[-1].W[int(run.losses.argmin())]
    bar = figures(app)[1]["data"][0]["y"]
    values = bar if isinstance(bar, list) else np.frombuffer(base64.b64decode(bar["bdata"]), bar["dtype"])
    assert list(values) == pytest.approx(sp.dimensionality(W).tolist(), abs=1e-5)
    assert metrics(app)["Room used"] == pytest.approx(float(sp.dimensionality(W).sum()), abs=0.006)
    assert metrics(app)["Stored"] == 3


def test_without_the_relu_the_network_stores_no_more_than_it_has_dimensions_for():
    app = trained(press(opened(), "Twenty in five, unequal"))
    with_it = metrics(app)
    app.toggle[0].set_value(False).run()
    without = metrics(trained(app))
    assert without["Stored"] == 5 < with_it["Stored"]
    assert without["Loss, against the best linear network"] > 0.8 > with_it["Loss, against the best linear network"]


@pytest.mark.parametrize(
    ("sparsity", "decay", "phase"), [(0.0, 0.1, "dropped"), (0.0, 10.0, "alone"), (0.9, 0.7, "shares")]
)
def test_what_training_does_with_the_second_feature_is_set_beside_what_was_worked_out(sparsity, decay, phase):
    app = press(opened(), "Two in one")
    app.select_slider(key="super-sparsity").set_value(sparsity)
    app.select_slider(key="super-decay").set_value(decay).run()
    said = words(trained(app))
    assert f"Worked out: **{phase}**" in said
    assert f"Trained: **{phase}**" in said


def test_another_start_trains_anew_and_a_visit_to_another_page_loses_nothing():
    app = trained(opened())
    first = app.session_state["super-run"]
    app = trained(press(app, "Once more, from another start"))
    second = app.session_state["super-run"]
    assert not torch.equal(first.frames[-1].W, second.frames[-1].W)
    app.slider(key="super-features").set_value(6).run()
    trained(app)
    for elsewhere in (True, False):
        app.session_state["elsewhere"] = elsewhere
        app.run()
    assert not app.exception
    assert app.slider(key="super-features").value == 6
    assert app.session_state["super-run"].finished


def test_importance_falls_by_the_same_factor_and_the_largest_is_1():
    assert Settings(4, 2, decay=0.5).importance.tolist() == pytest.approx([1, 0.5, 0.25, 0.125])
    assert Settings(3, 2, decay=10.0).importance.tolist() == pytest.approx([0.01, 0.1, 1])


def test_the_explorer_s_training_is_the_library_s():
    run = begun(Settings(3, 2, 0.9, seed=4))
    while not run.finished:
        go_on(run)
    toy = sp.train(torch.full((8,), 0.9), 3, 2, steps=STEPS, batch=superposition_run.BATCH, seed=4)
    torch.testing.assert_close(run.frames[-1].W, toy.W)
    losses = [sp.measured_loss(sp.Toy(toy.W[[i]], toy.b[[i]]), torch.tensor([0.9])) for i in range(8)]
    assert run.losses.tolist() == pytest.approx(torch.cat(losses).tolist(), rel=1e-3)


PAIR, SAME = torch.tensor([[1.0, -1.0]]), torch.tensor([[1.0, 0.9]])


@pytest.mark.parametrize(
    ("W", "said"),
    [
        (torch.block_diag(PAIR, PAIR, torch.ones(1, 1)), "2 × antipodal pair + own axis"),
        (SAME, "two in one direction"),
        (torch.zeros(2, 3), "nothing stored"),
        (torch.tensor([[1.0, 0.8, 0.0], [0.0, 0.6, 1.0]]), "triangle (uneven)"),
    ],
)
def test_shapes_are_named_in_words(W, said):
    assert shape(W) == said


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_arrows_end_where_their_vectors_do_and_weak_ones_stand_back(dimensions):
    vectors = np.eye(4, dimensions) + 0.25
    figure = plots.arrows(vectors, ["a", "b", "c", "d"], "title", "dimension", faint=[1])
    weak, strong, names = figure.data
    assert list(names.text) == ["a", "c", "d"]
    for k, axis in enumerate("xyz"[:dimensions]):
        assert list(weak[axis][1::3]) == [vectors[1, k]]
        assert list(strong[axis][1::3]) == vectors[[0, 2, 3], k].tolist()
        assert set(strong[axis][::3]) == {0.0}
    assert weak.line.color != strong.line.color


def test_arrows_in_four_dimensions_are_refused():
    with pytest.raises(ValueError, match=r"one to three dimensions, not of the shape \[2, 4\]"):
        plots.arrows(np.ones((2, 4)), ["a", "b"], "title", "dimension")


@pytest.mark.browser
@pytest.mark.slow
def test_a_click_into_the_map_moves_the_sliders_there_and_trains(page):
    page.set_default_timeout(180_000)  # two trainings with all their pictures: seconds, and on a busy machine minutes
    page.goto("/explore-superposition")
    page.get_by_role("button", name="Go on without a prediction").click()
    page.get_by_text("The network with the smallest loss has found").wait_for()
    cells = page.locator("[class*=st-key-super-phases] .nsewdrag").first
    cells.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)  # figures have found their height
    box = cells.bounding_box()
    rows, columns = len(explore_superposition.PHASE_R), len(explore_superposition.PHASE_S)
    page.mouse.click(box["x"] + box["width"] * 5.5 / columns, box["y"] + box["height"] * 3.5 / rows)
    page.get_by_text("90% absent, the second counts 0.7 ×. Worked out: shares. Trained: shares").wait_for()
    assert not page.errors
