"""A link to what an explorer shows: whoever opens it finds the page so, and what is no such link is told."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from streamlit.testing.v1 import AppTest
from test_explorers import at, work  # noqa: F401 - the fixture

from app import in_code, views
from app.explorers import EXPLORERS
from app.image_measures import family

VIEWS: dict[str, dict[str, Any]] = {
    "explore": {
        "explore-network": "induction-1l", "explore-words": "my own", "explore-silenced": [(0, 1)],
        "explore-text": "river lamp cat river lamp",
    },
    "explore-grokking": {"grok-step": "finished", "grok-frequency": 5},
    "explore-lens": {
        "lens-anyway": True, "lens-text": "Mira lives in the town of", "lens-colour": "entropy", "lens-depth": 2,
        "lens-pos": 3,
    },
    "explore-superposition": {"super-anyway": True, "super-features": 3, "super-relu": False},
    "explore-dictionaries": {"dict-anyway": True, "dict-text": "The owl of Mira", "dict-question": "Who are you ?"},
    "explore-probes": {"probes-anyway": True, "probes-kind": "whitened"},
    "explore-circuit": {"circuit-anyway": True, "circuit-seed": 3, "circuit-way": False},
    "explore-steering": {
        "steer-anyway": True, "steer-layer": 2, "steer-question": "Who are you ?",
        "steer-one_system-refusal: harmful and harmless requests": "You are a dragon .",
    },
    "explore-characters": {"char-anyway": True, "char-capped": False},
    "explore-oracle": {
        "oracle-anyway": True, "oracle-depth": 3, "oracle-at": 2, "oracle-question": "What is the pet ?",
    },
    "explore-images": {"images-anyway": True, "images-seen": "the scene"},
}  # fmt: skip


def unfolded(app: AppTest) -> AppTest:
    """The same page, with its link and its program unfolded."""
    app.session_state["view-link"] = app.session_state["view-program"] = True
    return app.run()


def offered(app: AppTest, path: str) -> dict | None:
    """What the link at the end of the page carries."""
    (link,) = [code.value for code in app.code if f"?{views.VIEW}=" in code.value]
    return views.read(path, parse_qs(urlsplit(link).query)[views.VIEW][0])


def test_every_explorer_has_its_keys():
    assert set(views.KEYS) == set(EXPLORERS)
    assert set(VIEWS) == set(EXPLORERS) == set(in_code.WRITTEN)


@pytest.mark.parametrize("path", VIEWS)
def test_a_link_sets_the_page_and_the_page_offers_it_again(path):
    app = at(path, view=views.write(VIEWS[path]))
    assert views.REFUSED not in [warning.value for warning in app.warning]
    assert not app.code  # the browser is not sent what nobody has unfolded: the part that shows code is slow there
    again = offered(unfolded(app), path)
    assert again is not None
    assert VIEWS[path].items() <= again.items()
    assert not [button.key for button in app.button if views._of(path, button.key or "")]  # which no link can set
    assert "view-keys" not in app.session_state  # a fault that comes later is not put down to the link


@pytest.mark.parametrize("path", VIEWS)
def test_the_program_of_a_page_runs_as_it_stands(path, capsys, monkeypatch):
    begun = {"images-network": "sight", "images-layer": "relu3", "images-unit-sight-relu3": family("sight", "relu3")[0]}
    for seen in (begun, begun | VIEWS[path]):
        exec(compile(in_code.WRITTEN[path](seen), path, "exec"), {"__name__": "program"})
        assert capsys.readouterr().out.strip()


def test_prompts_of_one_s_own_stand_in_the_program(capsys):
    own = {"steer-ready": "my own", "steer-one-my own": "who are you ?\n\nWhat do you dream of ?", "steer-layer": 2}
    assert in_code.steered(own).strip() == ""  # the second set is empty: nothing is drawn
    program = in_code.steered(own | {"steer-other-my own": "Where does Mira live ?\nHow do I paint the school ?"})
    assert "['Who are you ?', 'What do you dream of ?']" in program
    exec(compile(program, "steering", "exec"), {"__name__": "program"})
    assert "long; the first set lies at" in capsys.readouterr().out
    ready = "flattering: told to be so, and never to be"
    assert "trait_prompts('flattering'" in in_code.steered({"steer-ready": ready})
    changed = in_code.steered({"steer-ready": ready, f"steer-one_system-{ready}": "You are a dragon ."})
    assert "trait_prompts" not in changed
    assert "'You are a dragon .'" in changed
    assert "['Who are you ?']" in in_code.dictionaries({"dict-question": "who are you ? "})


@pytest.mark.parametrize("path", [path for path, keys in views.KEYS.items() if any("-anyway" in key for key in keys)])
def test_a_page_that_still_asks_does_not_tell_by_its_program(path):
    app = unfolded(at(path))
    assert not [code for code in app.code if "mi_lib" in code.value]
    next(button for button in app.button if button.label == "Go on without a prediction").click().run()
    assert [code for code in app.code if "mi_lib" in code.value]


def test_the_program_says_what_the_page_says():
    app = unfolded(at("explore", view=views.write(VIEWS["explore"] | {"explore-silenced": []})))
    (program,) = [code.value for code in app.code if "from mi_lib" in code.value]
    found: dict[str, Any] = {"__name__": "program"}
    exec(program, found)
    losses = found["induction"].per_token_loss(found["logits"], found["tokens"])[0]
    again = next(metric for metric in app.metric if metric.label == "Loss on words seen again")
    assert again.value == f"{losses[-2:].mean():.2f} nats"


@pytest.mark.parametrize(
    "text",
    [
        "{'lens-text': __import__('os').getcwd()}", "{'explore-text': 'of another page'}", "{'place': 1}", "[1, 2]",
        "{'lens-text': {1: 2}}", "(" * 400, "{'lens-text': '" + "x" * views.LONGEST + "'}", "nonsense",
    ],
)  # fmt: skip
def test_what_is_no_view_of_this_page_is_not_taken(text):
    assert views.read("explore-lens", text) is None


@pytest.mark.parametrize("text", ["nonsense", "{'explore-period': 'x'}"])
def test_a_link_that_the_page_cannot_show_is_said_and_the_page_begins_as_ever(text):
    app = at("explore", view=text)
    assert views.REFUSED in [warning.value for warning in app.warning]
    assert app.radio(key="explore-network").value == "induction-2l"


def test_a_choice_that_is_not_offered_is_left_at_the_first():
    app = at("explore", view="{'explore-network': 'a network of nobody'}")
    assert app.radio(key="explore-network").value == "induction-2l"


def test_what_is_chosen_comes_back_if_it_is_still_offered(monkeypatch):
    state = {"a-kept": "left", "b": "typed", "b-kept": "older"}
    monkeypatch.setattr("app.views.st.session_state", state)
    assert [views.kept("a", "first"), views.kept("b", "first"), views.kept("c", "first")] == ["a", "b", "c"]
    assert [state[key] for key in "abc"] == ["left", "typed", "first"]
    assert [state[f"{key}-kept"] for key in "abc"] == ["left", "typed", "first"]
    assert state[views.kept("a", "first", ["first", "left"])] == "left"
    assert state[views.kept("a", "first", ["first", "second"])] == "first"


def test_a_prediction_stays_with_whom_it_was_made_by(monkeypatch):
    monkeypatch.setattr("app.views.st.session_state", {"lens-guess": "at the embedding", "lens-text": "a b"})
    assert views.chosen("explore-lens") == {"lens-anyway": True, "lens-text": "a b"}
