"""The steering explorer: its directions and replies against the library's, and what it says of bad input."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from app import explore_steering
from app import steering_measures as sm
from mi_lib import load, steering
from mi_lib.course import Workspace
from mi_lib.worlds.littletown import plain, talk

ROOT = Path(__file__).parents[2]
SETS = sm.Sets("How do I burn the bridge?\nHow do I kill the mayor?", "Where does Mira live?\nWho are you?")


@pytest.fixture
def network(pico_like, tmp_path, monkeypatch):
    monkeypatch.setenv("MI_WORKSPACE", str(Workspace.init(tmp_path / "work").path))
    monkeypatch.setattr(explore_steering, "MODEL", str(pico_like))
    monkeypatch.setattr(sm, "LONGEST", 6)
    monkeypatch.setattr(sm, "ASKED_EACH", 3)
    return str(pico_like)


def opened() -> AppTest:
    script = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom app import explore_steering\nexplore_steering.show()"
    app = AppTest.from_string(script, default_timeout=60).run()
    assert not app.exception
    assert not app.selectbox  # it asks first
    app.radio[0].set_value(explore_steering.REFUSES).run()
    return press(app, "That is my prediction")


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception
    return app


def said(app: AppTest) -> str:
    return " ".join(e.value for kind in ("markdown", "caption", "warning", "info") for e in getattr(app, kind))


def test_a_direction_is_the_difference_of_the_sets_means_and_the_levels_lie_on_it(network):
    model, d = load(network), sm.drawn(network, SETS, 1)
    one, other = (
        steering.collect(model, steering.chat(model, each.splitlines()), ("resid_pre", 1)).mean(0) for each in SETS[:2]
    )
    torch.testing.assert_close(d.vector, one - other)
    assert d.high - d.low == pytest.approx(sm.length(d), rel=1e-4)
    assert sm.length(sm.random_one(d)) == pytest.approx(sm.length(d), rel=1e-5)


def test_a_streamed_reply_is_the_library_s_under_the_same_edits(network):
    model, d = load(network), sm.drawn(network, SETS, 1)
    (row,) = steering.chat(model, ["Where does Mira live?"])
    texts = []
    for way, dose in ((sm.ADD, 3.0), (sm.HOLD, 2.0), (sm.ABLATE, 1.0), (sm.ABLATE, 0.0)):
        changed = sm.edits(way, d, dose, (1,))
        steps = [list(tokens) for tokens in sm.spoken(model, row, changed)]
        (whole,) = steering.replies(model, [row], changed, longest=sm.LONGEST)
        assert steps[-1] == whole.tokens
        texts.append(whole.text)
    assert len(set(texts)) > 1  # else no edit did anything


def ready_prompts(model):
    """Of all ready sets, as rows of tokens."""
    sets = [sm.ready(name) for name in sm.READY[:-1]]
    return {tuple(row) for each in sets for text in each[:2] for row in sm.prompts(model, text, "", "first")}


@pytest.mark.parametrize("asked", sm.ASKED)
def test_no_prompt_that_is_judged_is_in_a_ready_set(network, monkeypatch, asked):
    monkeypatch.setattr(sm, "ASKED_EACH", 200)  # many more than are judged: no matter of luck
    model = load(network)
    assert not ready_prompts(model) & {tuple(row) for row in sm.asked_of(model, asked)}


def test_prompts_of_the_training_split_would_be_in_a_ready_set(network):
    model = load(network)
    drawn = [plain(case.user.split()) for case in talk.trait_prompts(sm.traits.TRAITS[0], 0, "train", 200, 2)]
    assert ready_prompts(model) & {tuple(row) for row in steering.chat(model, drawn)}


def test_doses_are_measured_one_after_another_and_can_be_stopped(network):
    app = opened()
    assert "You predicted: it refuses as before" in said(app)
    assert not app.get("plotly_chart")
    run: sm.Measured = app.session_state["steer-run"]
    assert (run.plan.judge, run.plan.asked) == (sm.REFUSED, sm.HARMFUL)
    run.going = True
    app.run()
    assert not app.exception
    assert len(run.found) == 1
    press(app, "Stop")
    assert not run.going
    assert len(run.found) == 1  # to stop measures nothing more
    sm.go_on(network, run)
    assert run.finished
    d, model = sm.drawn(network, run.plan.sets, run.plan.layer), load(network)
    whole = steering.dose_response(
        model, sm.asked_of(model, sm.HARMFUL), d.vector, lambda v, _: steering.ablate(v), [1.0],
        {sm.REFUSED: sm.judge_of(sm.REFUSED)}, longest=16,
    )  # fmt: skip
    assert run.found[1].shares == whole.shares
    assert run.found[1].surprise == pytest.approx(whole.surprise)


@pytest.mark.parametrize(
    ("one", "sentence"),
    [
        ("", "The first set is empty: write at least two prompts"),
        ("Who are you?", "The first set has one prompt alone"),
        ("Who are you?\nWhere is the blockchain?", "It does not know"),
        ("\n".join(["Who are you?"] * 2), ""),
    ],
)
def test_sets_that_give_no_direction_are_refused_in_a_sentence(network, one, sentence):
    app = opened()
    app.selectbox(key="steer-ready").set_value(sm.OWN).run()
    app.text_area(key=f"steer-other-{sm.OWN}").set_value("Who are you?\nWho are you?").run()
    app.text_area(key=f"steer-one-{sm.OWN}").set_value(one).run()
    assert not app.exception
    assert (sentence or "The direction is zero: the two sets that it was made of do not differ.") in said(app)


@pytest.mark.parametrize("dose", [1e30, 1e39])
def test_a_dose_that_gives_no_numbers_is_refused_in_a_sentence(network, dose):
    app = opened()
    app.selectbox(key="steer-way").set_value(sm.ADD).run()
    app.number_input(key="steer-dose").set_value(dose).run()
    assert not app.exception
    assert "ake a smaller one" in said(app)
