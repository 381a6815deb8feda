"""The probes explorer: what it says against probes and edits made by hand, on a small random network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from app import explore_probes
from app import probe_measures as pm
from mi_lib import load, plots, probing
from mi_lib.course import Workspace

ROOT = Path(__file__).parents[2]
PAIR = pm.Pair(1, 0)


@pytest.fixture
def network(pico_like, tmp_path, monkeypatch):
    monkeypatch.setenv("MI_WORKSPACE", str(Workspace.init(tmp_path / "work").path))
    monkeypatch.setattr(explore_probes, "MODEL", str(pico_like))
    monkeypatch.setattr(pm, "FITTED", 60)
    monkeypatch.setattr(pm, "READ", 30)
    monkeypatch.setattr(pm, "EDITED", 6)
    return str(pico_like)


def opened() -> AppTest:
    script = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom app import explore_probes\nexplore_probes.show()"
    app = AppTest.from_string(script, default_timeout=60).run()
    assert not app.exception
    assert not app.get("plotly_chart")  # it asks first
    app.radio[0].set_value("Both").run()
    next(button for button in app.button if button.label == "That is my prediction").click().run()
    assert not app.exception
    return app


def said(app: AppTest) -> str:
    return " ".join(e.value for kind in ("markdown", "caption", "warning", "info") for e in getattr(app, kind))


def test_the_accuracies_are_those_of_probes_fitted_by_hand(network):
    d, depth = pm.data(network, pm.OWN, "resid"), 1
    found = pm.accuracies(network, pm.OWN, "resid", "ridge")
    right = probing.ridge(d.x[depth], d.y)(d.held[depth]) == d.held_y
    assert found[depth].real.share == pytest.approx(right.double().mean().item())
    assert found[depth].selectivity.value == pytest.approx(found[depth].real.share - found[depth].control.share)
    assert len(found) == 3  # two blocks: before each, and after the last
    assert not set(d.fitted.types) & set(d.read.types)


def test_a_projection_is_plus_one_at_one_mean_and_minus_one_at_the_other(network):
    model, d = load(network), pm.data(network, pm.OWN, "resid")
    ends = []
    for row in d.fitted.rows:
        ends.append(pm.projections(model, d, "resid", "means", 1, PAIR, torch.tensor([row]))[-1])
    ends = torch.tensor(ends)
    assert [ends[d.y == label].mean().item() for label in (1, 0)] == pytest.approx([1, -1], abs=1e-3)


def test_the_mirror_changes_sides_and_the_random_push_is_as_long(network):
    d = pm.data(network, pm.OWN, "resid")
    x = d.held[1]
    edits = pm.changes(d, "ridge", 1, PAIR)
    lengths = {name: (change(x) - x).norm(dim=-1) for name, change in edits.items()}
    torch.testing.assert_close(lengths[pm.RANDOM], lengths[pm.MEANS], rtol=1e-3, atol=1e-4)
    means = probing.mass_mean(d.x[1], d.y)
    assert bool((means(edits[pm.MEANS](x)) != means(x)).all())


def test_the_page_compares_three_edits_and_says_what_was_predicted(network):
    app = opened()
    assert len(app.get("plotly_chart")) == 4
    assert "You predicted: both. At this depth" in said(app)
    app.selectbox(key="probes-name").set_value("sentiment").run()
    assert not app.exception
    assert app.selectbox(key="probes-one-sentiment").value == "2"
    assert "rather “2” or “−2”" in said(app)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (" ", "Type at least one word."),
        ("The blockchain", "It does not know"),
        ("The dog " * 40, "There is room for 60"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_in_a_sentence(network, text, sentence):
    app = opened()
    app.text_area[0].set_value(text).run()
    assert not app.exception
    assert sentence in said(app)


def test_a_word_is_shaded_by_its_side_and_numbered():
    html = explore_probes.shaded(["a<b", "dogs"], [-3.0, 0.75], "many", "one")
    assert "a&lt;b<small>−3.0</small>" in html
    assert f"--side: {explore_probes.OTHER}; --far: 60" in html
    assert f"--side: {explore_probes.ONE}; --far: 30" in html


def test_curves_over_named_depths_stand_on_an_axis_of_names():
    ends = {"read": [(0.4, 0.6), (0.8, 1.0)]}
    figure = plots.lines(["embedding", "after block 0"], {"read": [0.5, 0.9]}, "", "", "", intervals=ends)
    assert figure.layout.xaxis.type == "category"  # on one of numbers they would not be seen
    assert list(figure.data[0].error_y.array) == pytest.approx([0.1, 0.1])


def test_the_edits_of_all_depths_at_once_are_those_of_a_run_each(network):
    d, model = pm.data(network, pm.OWN, "resid"), load(network)
    rows = [i for i, label in enumerate(d.held_y.tolist()) if label in PAIR][:6]
    asked, forms = [d.read.rows[i] for i in rows], torch.tensor([d.read.forms[i] for i in rows])
    before = probing.end_logits(model, asked).gather(1, forms).argmax(-1)
    found = pm.effects(network, pm.OWN, "resid", "ridge", PAIR)
    assert list(found) == [pm.MEANS, pm.NORMAL, pm.RANDOM]
    for depth, place in enumerate(pm.sites(model, "resid")):
        for edit, change in pm.changes(d, "ridge", depth, PAIR).items():
            after = probing.end_logits(model, asked, place, change).gather(1, forms).argmax(-1)
            assert found[edit][depth].value == pytest.approx((after != before).double().mean().item())


# --- in a browser -------------------------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.slow
def test_what_was_predicted_is_held_beside_what_pico_does_and_another_property_gives_another_answer(page):
    page.goto("/explore-probes")
    page.get_by_text("The number of the noun itself").click()
    page.get_by_role("button", name="That is my prediction").click()
    page.get_by_text("You predicted: the number of the noun itself").wait_for()
    page.get_by_text("So it is.").wait_for()
    page.locator(".st-key-probes-next .legend", has_text="as it is").wait_for()
    assert page.locator(".probed small").count() > 3
    page.get_by_role("combobox", name="Property").click()
    page.get_by_role("option", name="how good a review is").click()
    page.get_by_text(re.compile("is it rather “(2” or “−2|−2” or “2)”")).wait_for()
    page.get_by_text("You predicted").wait_for(state="hidden")
    assert not page.errors
