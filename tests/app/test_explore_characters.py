"""The explorer of characters: its places and replies against the library's, and what it says of bad input."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from app import character_measures as cm
from app import explore_characters as page
from mi_lib import load, steering
from mi_lib.course import Workspace
from mi_lib.worlds.littletown import traits, voices

ROOT = Path(__file__).parents[2]


@pytest.fixture
def network(pico_like, tmp_path, monkeypatch):
    monkeypatch.setenv("MI_WORKSPACE", str(Workspace.init(tmp_path / "work").path))
    monkeypatch.setattr(page, "MODEL", str(pico_like))
    monkeypatch.setattr(cm, "LONGEST", 6)
    for name in ("PER_ROLE", "PER_TRAIT"):
        monkeypatch.setattr(cm, name, 2)
    monkeypatch.setattr(cm, "OWN", 4)
    return str(pico_like)


def script() -> AppTest:
    text = (
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom app import explore_characters\nexplore_characters.show()"
    )
    return AppTest.from_string(text, default_timeout=60)


def opened() -> AppTest:
    app = script().run()
    assert not app.exception
    assert not app.text_input  # it asks first
    app.radio[0].set_value(page.FALLS).run()
    return press(app, "That is my prediction")


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    return " ".join(e.value for kind in ("markdown", "caption", "warning", "info") for e in getattr(app, kind))


def say(app: AppTest, text: str) -> AppTest:
    app.text_input[0].set_value(text)
    return press(app, "Say it")


def test_the_assistant_stands_at_1_the_roles_at_0_and_each_trait_at_1_on_its_own_vector(network):
    known = cm.known(network)
    assert len(known.axis.roles) == len(voices.ROLES)
    assert set(known.traits) == set(traits.TRAITS)
    place = known.axis.place(known.axis.assistant[known.depth], known.depth)
    assert float(place) == pytest.approx(1, abs=1e-3)
    assert float(known.axis.place(known.axis.roles[:, known.depth], known.depth).mean()) == pytest.approx(0, abs=1e-3)


def test_each_turn_is_placed_where_the_library_says_and_capped_it_is_another_conversation(network):
    app = say(opened(), "Who are you?")
    talk = app.session_state["char-talk"]
    model, known = load(network), cm.known(network)
    assert set(talk[0].texts) == {page.FREE, page.CAPPED}
    (row,) = steering.chat(model, ["Who are you?"])
    for way, edits in ((page.FREE, []), (page.CAPPED, known.cap.edits())):
        (said,) = steering.replies(model, [row], edits, longest=cm.LONGEST)
        assert talk[0].texts[way] == said.text
        (state,) = steering.collect_replies(model, [row], [said.tokens], [("resid_pre", known.depth)])[:, 0]
        place = float(known.axis.place(state, known.depth, known.later))
        assert talk[0].places[way].axis == pytest.approx(place, abs=1e-3)
        drawn = known.traits["evil"]
        v = drawn.vectors[known.depth]
        level = float((state - drawn.plain[known.depth]) @ v / (v @ v))
        assert talk[0].places[way].traits["evil"] == pytest.approx(level, abs=1e-3)
    assert len(app.get("plotly_chart")) == 3
    assert "place" in shown(app)
    say(app, "Who are you?")
    assert len(app.session_state["char-talk"]) == 2
    press(app, "Begin anew")
    assert "char-talk" not in app.session_state or not app.session_state["char-talk"]
    assert not app.get("plotly_chart")


def test_a_link_brings_back_what_was_said(network):
    app = say(opened(), "Who are you?")
    assert app.session_state["char-said"] == ["Who are you?"]
    again = script()
    again.session_state["char-anyway"], again.session_state["char-said"] = True, ["Who are you?"]
    again.run()
    assert again.session_state["char-talk"] == app.session_state["char-talk"]
    press(again, "Begin anew")
    assert not again.session_state["char-talk"]


def test_a_higher_floor_holds_the_conversation_higher(network):
    known, app = cm.known(network), opened()
    app.select_slider[0].set_value(1.0).run()
    say(app, "Who are you?")
    model = load(network)
    (row,) = steering.chat(model, ["Who are you?"])
    high = cm.floor(known, 1.0)
    assert bool((high.floors > known.cap.floors).all())
    (said,) = steering.replies(model, [row], high.edits(), longest=cm.LONGEST)
    assert app.session_state["char-talk"][0].texts[page.CAPPED] == said.text


def test_without_the_switch_there_is_one_conversation(network):
    app = opened()
    app.toggle[0].set_value(False).run()
    say(app, "Who are you?")
    assert set(app.session_state["char-talk"][0].texts) == {page.FREE}


@pytest.mark.parametrize(
    ("text", "sentence"), [("", "Type something"), ("Where is the blockchain?", "It does not know")]
)
def test_what_cannot_be_said_is_told_in_a_sentence(network, text, sentence):
    app = say(opened(), text)
    assert sentence in shown(app)
    assert not app.session_state["char-talk"]


def test_a_conversation_that_has_grown_too_long_is_told_in_a_sentence(network):
    app = opened()
    for _ in range(40):
        say(app, "Who are you?")
        if "begin a new one" in shown(app):
            break
    assert "as long as Pico can read" in shown(app)


def test_the_cap_keeps_the_stream_at_or_above_its_floors(network):
    known, model = cm.known(network), load(network)
    (row,) = steering.chat(model, ["Who are you?"])
    site = ("resid_pre", known.cap.layers[0])
    with model.hooks(known.cap.edits()):
        (states,) = steering.collect_all(model, [row], site)
    assert bool((states[0] @ known.cap.units[0] >= known.cap.floors[0] - 1e-3).all())
    assert torch.isfinite(known.cap.floors).all()
