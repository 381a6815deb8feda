"""The pages as Streamlit runs them, without a browser."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app import chapter_page, common, exercise_card, explore_grokking, explorer
from mi_lib import plots, zoo
from mi_lib.course import Progress, Workspace, exercise, lesson
from mi_lib.course.grading import Verdict
from mi_lib.course.index import chapters

ROOT = Path(__file__).parents[2]


def run(workspace, monkeypatch, body: str) -> AppTest:
    """One page, as a small script of its own."""
    monkeypatch.setenv("MI_WORKSPACE", str(workspace))
    script = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{body}"
    app = AppTest.from_string(script, default_timeout=60)
    app.run()
    return app


def chapter(exercise: str = "1", number: str = "02") -> str:
    """A script that shows the chapter page at an address."""
    address = f"if not st.query_params: st.query_params.update(chapter={number!r}, exercise={exercise!r})"
    return f"import streamlit as st\n{address}\nfrom app import chapter_page\nchapter_page.show()"


def words(app: AppTest) -> str:
    return " ".join(element.value for kind in ("title", "markdown", "caption") for element in getattr(app, kind))


def test_the_map_names_all_chapters_and_the_next_step(tmp_path, monkeypatch):
    Workspace.init(tmp_path / "work")
    app = run(tmp_path / "work", monkeypatch, "from app import home\nhome.show()")
    assert not app.exception
    text = words(app)
    assert f"Next: {chapters()[0].exercises[0].id}" in text
    assert "16 The audit" in text
    assert "planned" in text


def test_a_chapter_opens_at_the_exercise_that_the_address_names(tmp_path, monkeypatch):
    Workspace.init(tmp_path / "work")
    app = run(tmp_path / "work", monkeypatch, chapter("5"))
    assert not app.exception
    assert any(header.value.startswith("02.5") for header in app.subheader)


def broken(*_: object) -> None:
    raise RuntimeError("a secret of the course's inside")


def test_a_page_that_raises_is_our_sentence_and_a_way_on_and_the_trace_goes_to_the_terminal(
    tmp_path, monkeypatch, caplog
):
    Workspace.init(tmp_path / "work")
    monkeypatch.setattr("mi_lib.course.index.chapters", broken)
    script = "from app import common, home\ncommon.guarded(home.show, common.go_home)()"
    app = run(tmp_path / "work", monkeypatch, script)
    assert not app.exception
    assert "Your answers and your progress are safe" in app.error[0].value
    assert "secret" not in app.error[0].value
    assert [button.label for button in app.button] == ["Try again", "Course map"]
    assert "a secret of the course's inside" in caplog.text
    monkeypatch.undo()
    monkeypatch.setenv("MI_WORKSPACE", str(tmp_path / "work"))
    app.button[0].click().run()
    assert not app.error
    assert "Next:" in words(app)


def test_a_card_that_raises_leaves_the_rest_of_its_page(tmp_path, monkeypatch):
    Workspace.init(tmp_path / "work")
    monkeypatch.setattr("app.exercise_card._help", broken)
    app = run(tmp_path / "work", monkeypatch, chapter("5"))
    assert not app.exception
    assert "Your answers and your progress are safe" in app.error[0].value
    assert "Next" in [button.label for button in app.button]


def test_the_wait_for_a_check_says_what_is_waited_for():
    assert "until the grader is loaded" in exercise_card._what_is_waited_for(1, 20, loading=True)
    told = exercise_card._what_is_waited_for(19, 20, loading=False)
    assert "may take 20 seconds" in told
    assert "busy" not in told
    assert "after 80 seconds at the latest" in exercise_card._what_is_waited_for(21, 20, loading=False)


@pytest.mark.parametrize(
    ("option", "set_to", "at_first"), [("server.fileWatcherType", "none", "auto"), ("runner.postScriptGC", False, True)]
)
def test_nothing_looks_through_all_modules_or_objects_after_every_run(option, set_to, at_first, tmp_path):
    """As Streamlit itself understands the course's settings; what it does without them is the control."""
    ask = [sys.executable, "-c", f"from streamlit import config; print(config.get_option({option!r}))"]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIT_")} | {
        "HOME": str(tmp_path)
    }
    for folder, expected in ((ROOT, set_to), (tmp_path, at_first)):
        told = subprocess.run(ask, cwd=folder, env=bare, capture_output=True, text=True, timeout=60, check=True)
        assert told.stdout.split() == [str(expected)]


LOST = {
    "no such chapter": ({"chapter": "77"}, "There is no chapter '77'"),
    "a chapter to come": ({"chapter": "16"}, "planned but not here yet"),
    "no such exercise": ({"chapter": "02", "exercise": "99"}, "It has 02.1 to 02.14"),
    "an exercise of no chapter": ({"exercise": "99.9"}, "There is no chapter '99'"),
    "an exercise of another chapter": ({"chapter": "02", "exercise": "03.1"}, "no exercise of chapter 02"),
    "an unknown parameter": ({"page": "7"}, "page=7"),
}


@pytest.mark.parametrize("case", LOST)
def test_a_link_that_leads_nowhere_says_so_and_offers_the_way_back(tmp_path, monkeypatch, case):
    address, sentence = LOST[case]
    Workspace.init(tmp_path / "work")
    script = f"import streamlit as st\nst.query_params.update({address!r})\n"
    app = run(tmp_path / "work", monkeypatch, f"{script}from app import chapter_page\nchapter_page.show()")
    assert not app.exception
    assert sentence in app.warning[0].value
    assert "Course map" in [button.label for button in app.button]


def test_an_exercise_may_be_named_in_full(tmp_path, monkeypatch):
    Workspace.init(tmp_path / "work")
    app = run(tmp_path / "work", monkeypatch, chapter("02.5"))
    assert any(header.value.startswith("02.5") for header in app.subheader)


def passed(exercise_id: str) -> Verdict:
    points = exercise(exercise_id).points
    return Verdict(exercise_id, "passed", points, points)


def failed(exercise_id: str) -> Verdict:
    return Verdict(exercise_id, "failed", 0, exercise(exercise_id).points, diagnosis="The sign is turned round.")


def test_home_and_the_chapter_page_go_on_with_the_exercise_that_was_worked_on_last(tmp_path, monkeypatch):
    workspace = Workspace.init(tmp_path / "work")
    Progress(workspace).record(failed("03.4"), "text")
    app = run(workspace.path, monkeypatch, "from app import home\nhome.show()")
    assert "Go on with 03.4" in words(app)
    app = run(workspace.path, monkeypatch, "from app import chapter_page\nchapter_page.show()")
    assert any(header.value.startswith("03.4") for header in app.subheader)
    Progress(workspace).record(passed("03.4"), "text")
    app = run(workspace.path, monkeypatch, "from app import home\nhome.show()")
    assert "Next: 03.5" in words(app)


def test_a_verdict_stays_after_a_reload_and_says_whether_the_code_has_changed_since(tmp_path, monkeypatch):
    workspace = Workspace.init(tmp_path / "work")
    text, version = workspace.read(exercise("02.5"))
    Progress(workspace).record(failed("02.5"), text)
    app = run(workspace.path, monkeypatch, chapter("5"))
    assert "The sign is turned round." in app.error[0].value
    assert "Checked (" in words(app)
    workspace.write(exercise("02.5"), text + "# more\n", version)
    app = run(workspace.path, monkeypatch, chapter("5"))
    assert "You have changed the code since this check (" in words(app)


def test_the_end_of_a_chapter_names_what_is_open_and_offers_the_next_chapter(tmp_path, monkeypatch):
    workspace = Workspace.init(tmp_path / "work")
    here = exercise("02.1").chapter
    for each in here.required[:-1]:
        Progress(workspace).record(passed(each.id), "")
    app = run(workspace.path, monkeypatch, chapter("end"))
    assert f"{len(here.required) - 1} of the {len(here.required)} exercises" in app.info[-1].value
    assert here.required[-1].title in " ".join(button.label for button in app.button)
    Progress(workspace).record(passed(here.required[-1].id), "")
    app = run(workspace.path, monkeypatch, chapter("end"))
    assert f"passed all {len(here.required)} exercises" in app.success[-1].value
    next(button for button in app.button if button.label == "Open chapter 03").click().run()
    assert not app.exception
    assert any(header.value.startswith("03.1") for header in app.subheader)


def test_without_a_workspace_the_page_offers_to_make_one(tmp_path, monkeypatch):
    app = run(tmp_path / "none", monkeypatch, "from app import home\nhome.show()")
    assert not app.exception
    assert app.error
    next(button for button in app.button if button.label == "Make a workspace").click().run()
    assert (tmp_path / "none" / "ch02_induction_heads" / "exercises.py").exists()


def test_a_prediction_is_asked_before_its_figure_and_explained_after_it(tmp_path, monkeypatch):
    workspace = Workspace.init(tmp_path / "work")
    app = run(workspace.path, monkeypatch, chapter())
    assert "spread the bet evenly" not in words(app)
    guess = app.radio[0]
    guess.set_value(guess.options[0]).run()
    next(button for button in app.button if button.label == "That is my prediction").click().run()
    assert "spread the bet evenly" in words(app)
    assert Progress(workspace).predictions("02")


def test_one_switch_goes_past_a_question_that_holds_back_two_figures(tmp_path, monkeypatch):
    workspace = Workspace.init(tmp_path / "work")
    app = run(workspace.path, monkeypatch, chapter("9", number="03"))
    figures = len(app.get("plotly_chart"))
    # One for each of the two questions of this step: the first holds back words, the second the figures.
    behind = "Go on without a prediction (the question above 03.9)"
    assert [toggle.label for toggle in app.toggle] == [behind, "Go on without a prediction"]
    app.toggle[1].set_value(True).run()
    assert len(app.get("plotly_chart")) == figures + 2


def test_a_switch_stands_at_its_question_or_behind_an_exercise_says_which_question_it_goes_past(tmp_path):
    chapter, workspace = exercise("02.1").chapter, Workspace.init(tmp_path / "work")
    progress = Progress(workspace)
    asked = ":::{predict} Which?\n- [x] this\n- [ ] that\n\nBecause.\n:::\n\n"
    exercise_, figure = ":::{exercise} 02.1\n:::\n\n", "Look at this.\n\n:::{figure} beginning\nIts caption.\n:::\n"

    def switches(text: str) -> list[str]:
        with mock.patch.object(chapter_page.st, "toggle", return_value=False) as toggle:
            list(chapter_page._revealed(chapter, lesson.parse(text), progress))
        return [call.args[0] for call in toggle.call_args_list]

    assert switches(asked + figure) == ["Go on without a prediction"]
    assert switches(asked + "Words.\n\n" + exercise_ + figure) == ["Go on without a prediction"]
    behind = ["Go on without a prediction (the question above 02.1)"]
    assert switches(asked + exercise_ + figure) == behind
    assert switches(asked + exercise_ + "What it has shown.\n") == behind
    assert switches(asked + exercise_ + exercise_ + "What they have shown.\n") == behind
    assert switches(asked + exercise_ + "## Next\n\nWords.\n") == []


def test_the_switch_past_a_question_shows_the_words_that_lead_to_its_figure_too(tmp_path, monkeypatch):
    app = run(Workspace.init(tmp_path / "work").path, monkeypatch, chapter("2", number="12"))
    before_the_exercise, before_the_figure = "So look at the whole table", "So ask in a way that Pico knows"
    assert before_the_exercise not in words(app)
    assert before_the_figure not in words(app)
    app.toggle[0].set_value(True).run()
    assert before_the_exercise in words(app)
    assert before_the_figure in words(app)
    assert app.get("plotly_chart")
    app.toggle[0].set_value(False).run()
    assert before_the_figure not in words(app)


def test_a_question_holds_back_what_is_about_it_up_to_the_next_heading_or_question_but_no_exercise(tmp_path):
    asked = ":::{predict} Which?\n- [x] this\n- [ ] that\n\nBecause.\n:::\n\nWords after it.\n\n"
    chapter, workspace = exercise("02.1").chapter, Workspace.init(tmp_path / "work")
    progress = Progress(workspace)

    def seen(text: str) -> str:
        return " ".join(block.text for block in chapter_page._revealed(chapter, lesson.parse(text), progress))

    assert "Words after it." not in seen(asked)
    assert "Words of the next." in seen(asked + "## Next\n\nWords of the next.\n")
    shown_by_it = ":::{exercise} 02.1\n:::\n\nWhat it has shown.\n\n:::{note} More\nOf it.\n:::\n"
    assert "What it has shown." not in seen(asked + shown_by_it)
    assert "Of it." not in seen(asked + shown_by_it)
    assert "exercise" in [b.kind for b in chapter_page._revealed(chapter, lesson.parse(asked + shown_by_it), progress)]
    progress.predict("02", lesson.parse(asked)[0].id, "this")
    assert "Words after it." in seen(asked)


def test_a_question_without_a_figure_has_a_switch_too_where_words_about_it_wait(tmp_path, monkeypatch):
    workspace = Workspace.init(tmp_path / "work")
    app = run(workspace.path, monkeypatch, chapter("13", number="01"))
    held = "one keeps two tables"
    assert held not in words(app)
    app.toggle[0].set_value(True).run()
    assert held in words(app)


def test_the_glossary_is_searched_and_an_address_leads_to_an_entry(tmp_path, monkeypatch):
    app = run(tmp_path / "work", monkeypatch, "from app import glossary\nglossary.show()")
    entries = " ".join(text.value for text in app.markdown)
    assert "**residual stream**" in entries
    assert "[R](#letter-r)" in entries
    assert "letter-r" in [heading.anchor for heading in app.header]
    assert "[01.1 Words become vectors](chapter?chapter=01&exercise=1)" in entries
    app.text_input[0].set_value("lenses").run()
    assert [text.value[:8] for text in app.markdown[1:]] == ["**lens**"]
    app.text_input[0].set_value("lens").run()
    assert [text.value.split("**")[1] for text in app.markdown[1:]] == ["lens", "logit lens", "tuned lens"]
    app.text_input[0].set_value("circuit f").run()
    assert [text.value[:21] for text in app.markdown[1:]] == ["**circuit formation**"]
    app.text_input[0].set_value("residual streem").run()
    assert "residual stream" in app.warning[0].value.partition("Near it")[2]
    next(button for button in app.button if button.label == "Show all").click().run()
    assert "**residual stream**" in " ".join(text.value for text in app.markdown)
    assert not app.exception


def test_hints_come_one_at_a_time_and_the_solution_on_request(tmp_path, monkeypatch):
    workspace = Workspace.init(tmp_path / "work")
    app = run(workspace.path, monkeypatch, chapter("2"))
    hints = exercise("02.2").hints
    for shown in (1, 2, 3):
        next(button for button in app.button if button.label.startswith("Hint")).click().run()
        told = " ".join(info.value for info in app.info)
        assert [hint in told for hint in hints] == [True] * shown + [False] * (3 - shown)
    next(button for button in app.button if button.label == "Show it all the same").click().run()
    assert any("log_softmax" in code.value for code in app.code)
    assert Progress(workspace).state("02.2").solution_seen


@pytest.mark.parametrize("choice", ["two layers", "one layer"])
def test_the_explorer_shows_both_networks(tmp_path, monkeypatch, choice):
    app = run(tmp_path / "work", monkeypatch, "from app import explorer\nexplorer.show()")
    app.radio[0].set_value({"two layers": "induction-2l", "one layer": "induction-1l"}[choice]).run()
    assert not app.exception
    assert not app.error
    assert len(app.metric) == 2


def test_the_induction_explorer_asks_before_a_layer_is_silenced_and_says_what_became_of_it(tmp_path, monkeypatch):
    from app import explorer

    app = run(tmp_path / "work", monkeypatch, "from app import explorer\nexplorer.show()")
    assert any("`<bos>` is no word" in caption.value for caption in app.caption)
    app.radio(key="explore-guess").set_value(explorer.HARDLY).run()
    assert not any("You predicted" in text.value for text in app.markdown)
    app.session_state["explore-silenced"] = [(0, head) for head in range(4)]
    app.run()
    (verdict,) = [text.value for text in app.markdown if "You predicted" in text.value]
    model, tokens = (
        explorer.network("induction-2l", None),
        explorer.repeats.sample(1, seed=1, period=8, offset=2).tokens,
    )
    again = explorer.repeats.previous_occurrence(tokens)[0, 1:] >= 0
    before = explorer.induction.per_token_loss(model(tokens), tokens)[0]
    logits = explorer.induction.ablate_heads(model, tokens, [(0, head) for head in range(4)])
    after = explorer.induction.per_token_loss(logits, tokens)[0][again].mean().item()
    assert f"from {before[again].mean():.2f} to {after:.2f} nats" in verdict
    right = explorer.found(before[again].mean().item(), after, before[~again].mean().item()) == explorer.HARDLY
    assert ("So it is." in verdict) == right


@pytest.mark.parametrize(("after", "said"), [(1.2, "HARDLY"), (3.0, "BELOW"), (6.0, "BEYOND"), (9.0, "BEYOND")])
def test_each_prediction_of_the_induction_explorer_can_come_true(after, said):
    from app import explorer

    assert explorer.found(1.0, after, 6.0) == getattr(explorer, said)


def test_words_that_the_network_does_not_know_are_named(tmp_path, monkeypatch):
    app = run(tmp_path / "work", monkeypatch, "from app import explorer\nexplorer.show()")
    app.session_state["explore-text"] = "rivr blockchain $lamp$"
    app.radio[1].set_value("my own").run()
    assert not app.exception
    told = app.warning[0].value
    assert "“rivr”. Near it: **river**" in told
    assert "blockchain" in told
    assert r"\$lamp\$" in told  # a dollar sign that is typed is no formula
    app.session_state["explore-text"] = "rivr lamp rivr"
    app.run()
    next(button for button in app.button if button.label == "Take: river lamp river").click().run()
    assert not app.exception
    assert not app.warning
    assert app.session_state["explore-read"] == "river lamp river"


GROKKING = "from app import explore_grokking\nexplore_grokking.show()"


def test_the_grokking_explorer_sets_the_network_beside_its_control(tmp_path, monkeypatch):
    app = run(tmp_path / "work", monkeypatch, GROKKING)
    assert not app.exception
    assert not app.error
    told = words(app)
    assert "This network has grokked a + b mod 113" in told
    assert "This network has not grokked" in told


def test_the_losses_of_the_network_and_of_its_control_are_drawn_on_one_scale(tmp_path, monkeypatch):
    app = run(tmp_path / "work", monkeypatch, GROKKING)
    drawn = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")[:2]]
    first, second = (figure["layout"]["yaxis"] for figure in drawn)
    assert first["range"] == second["range"]
    assert first["dtick"] == second["dtick"]
    for figure in drawn:  # and nothing of either is cut off
        seen = [math.log10(y) for trace in figure["data"] for y in trace["y"] if y > 0]
        assert first["range"][0] < min(seen) <= max(seen) < first["range"][1]


def test_key_waves_knocked_out_cost_the_network_and_not_the_control(tmp_path, monkeypatch):
    app = run(tmp_path / "work", monkeypatch, GROKKING)
    app.button_group[0].set_value(zoo.card("grokking-113")["frequencies"]).run()
    assert not app.exception
    right = {m.label: float(m.value.rstrip("%")) for m in app.metric if m.label.endswith("answers rightly")}
    assert right["Sums that the network answers rightly"] < 5
    assert right["Sums that the control answers rightly"] > 25  # 34 % with these waves


@pytest.mark.parametrize("guess", ["a half to nine tenths", "more than nine tenths"])
def test_what_was_predicted_of_a_wave_taken_out_stands_beside_what_came(guess, tmp_path, monkeypatch):
    app = run(tmp_path / "work", monkeypatch, GROKKING)
    app.button_group[0].set_value(zoo.card("grokking-113")["frequencies"][:1])
    app.radio(key="grok-guess").set_value(guess).run()
    right = next(m for m in reversed(app.metric) if m.label == "Sums that the network answers rightly")
    least, most = explore_grokking.GUESSES[guess]
    assert f"You predicted: {guess}." in words(app)
    assert ("So it is." in words(app)) == (least <= float(right.value.rstrip("%")) / 100 < most)


def test_a_network_is_trained_live_and_can_be_paused(tmp_path, monkeypatch):
    app = run(tmp_path / "work", monkeypatch, GROKKING)
    next(button for button in app.button if button.label == "Start anew").click().run()
    assert not app.exception
    state = app.session_state["grokking-live"]
    assert state["run"].step > 0
    next(button for button in app.button if button.label == "Pause").click().run()
    assert not app.exception
    assert not app.session_state["grokking-live"]["going"]


def test_missing_networks_are_one_sentence_that_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "HERE", tmp_path)
    app = run(tmp_path / "work", monkeypatch, "from app import explorer\nexplorer.show()")
    assert not app.exception
    assert "git checkout -- mi_lib/zoo" in app.error[0].value


def test_a_network_with_a_broken_card_is_one_sentence(tmp_path, monkeypatch):
    import shutil

    shutil.copytree(zoo.folder("induction-1l"), tmp_path / "zoo" / "induction-1l")
    (tmp_path / "zoo" / "induction-1l" / "card.json").write_text("{")
    monkeypatch.setattr(zoo, "HERE", tmp_path / "zoo")
    explorer._curves.clear()
    app = run(tmp_path / "work", monkeypatch, "from app import explorer\nexplorer.show()")
    assert not app.exception
    assert "cannot be shown" in app.error[0].value


def test_a_broken_exercise_file_is_told_on_the_page(tmp_path, monkeypatch):
    workspace = Workspace.init(tmp_path / "work")
    workspace.file("02").write_text("def lost(:\n")
    app = run(workspace.path, monkeypatch, chapter("2"))
    assert not app.exception
    assert "02.2" in app.error[0].value
    assert workspace.file("02").read_text() == "def lost(:\n"


@pytest.fixture
def card(tmp_path, monkeypatch):
    """An exercise's card after it was shown: the exercise, the workspace, and what the page keeps of it."""
    workspace = Workspace.init(tmp_path / "work")
    app = run(tmp_path / "work", monkeypatch, chapter("6"))
    return exercise("02.6"), workspace, app.session_state["card-02.6"]


def typed(text: str, base: str, number: int) -> dict:
    """What the editor sends, before it has heard of any choice."""
    return {"text": text, "base": base, "number": number, "adopt": 0}


@pytest.fixture
def asked(card):
    """A card that asks which of two texts to keep, "# mine" or "# theirs"; with the version that both began from."""
    here, workspace, kept = card
    text, base = workspace.read(here)
    workspace.write(here, text + "# theirs\n", base)
    exercise_card._keep(here, workspace, kept, typed("# mine", base, 1))
    assert "# mine" in kept["conflict"]
    return here, workspace, kept, base


def test_text_that_was_on_its_way_does_not_undo_the_choice_of_the_file(asked):
    here, workspace, kept, base = asked
    exercise_card._decide(here, workspace, kept, workspace.read(here)[1], mine=False)
    exercise_card._keep(here, workspace, kept, typed("# mine, and more", base, 2))
    assert kept["conflict"] is None
    assert "# theirs" in workspace.read(here)[0]
    assert "# mine" not in workspace.read(here)[0]


def test_text_that_was_on_its_way_is_not_lost_by_the_choice_of_what_was_typed(asked):
    here, workspace, kept, base = asked
    exercise_card._decide(here, workspace, kept, workspace.read(here)[1], mine=True)
    exercise_card._keep(here, workspace, kept, typed("# mine, and more", base, 2))
    assert kept["conflict"] is None
    assert "# mine, and more" in workspace.read(here)[0]


def test_a_choice_does_not_overwrite_what_the_other_editor_saved_after_the_question(asked):
    here, workspace, kept, _ = asked
    seen = workspace.read(here)[1]
    workspace.write(here, workspace.read(here)[0] + "# theirs again\n", seen)
    exercise_card._decide(here, workspace, kept, seen, mine=True)
    assert "# mine" in kept["conflict"]
    assert "# theirs again" in workspace.read(here)[0]


def test_a_second_click_on_a_question_that_is_answered_does_nothing(asked):
    here, workspace, kept, _ = asked
    seen = workspace.read(here)[1]
    for mine in (True, False):
        exercise_card._decide(here, workspace, kept, seen, mine=mine)
    assert kept["adopt"] == 0
    assert "# mine" in workspace.read(here)[0]


def test_an_older_text_that_is_handed_over_after_a_newer_one_is_left_aside(card):
    here, workspace, kept = card
    _, base = workspace.read(here)
    exercise_card._save_and_check(here, workspace, kept, typed("# newer", base, 2))
    exercise_card._keep(here, workspace, kept, typed("# older", base, 1))
    assert "# newer" in workspace.read(here)[0]
    assert kept["heard"] == 2


def test_no_scale_stands_beside_a_map_where_a_phone_has_no_room():
    written = plots.matrix([[0.0, 2.0]], ["row"], ["a", "b"], "Phases").data[0]
    assert not written.showscale
    assert [list(row) for row in written.text] == [["0", "2"]]  # whole numbers are written as such
    looks = np.eye(3)
    for figure in (plots.attention(looks, "abc", "One"), plots.head_grid(looks[None], "abc", ["0.0"], "All")):
        assert figure.data[0].colorbar.orientation == "h"
    side_by_side = plots.maps([looks, looks], ["frequency 19", "rest"], "Maps")
    assert [title.text for title in side_by_side.layout.annotations] == ["frequency<br>19", "rest"]


def test_a_long_title_of_an_axis_is_broken_and_a_table_of_words_is_as_wide_as_its_words_need():
    script = """
from app import common
from mi_lib import plots
common.chart(plots.bars({"a": 1.0}, "T", "a title that no phone has room for, as long as it is"), key="bars")
words = [["one", "two"]]
common.chart(plots.lens_table([[0.1, 0.9]], words, words, ["0"], ["the", "cat"], "T", "share", 0, 1), key="words")
"""
    app = AppTest.from_string(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{script}", default_timeout=60).run()
    bars, words = (json.loads(chart.proto.spec)["layout"] for chart in app.get("plotly_chart"))
    lines = bars["yaxis"]["title"]["text"].split("<br>")
    assert lines == ["a title that no phone has", "room for, as long as it is"]
    assert f"min-width: {words['meta']['least']}px" in " ".join(block.proto.body for block in app.get("html"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_zero_of_a_map_is_as_light_or_dark_as_the_page_and_the_figure_itself_is_left_alone(monkeypatch, theme):
    shown: list = []
    written: list[str] = []
    page = SimpleNamespace(
        html=written.append,
        context=SimpleNamespace(theme=SimpleNamespace(type=theme)),
        plotly_chart=lambda figure, **_: shown.append(figure),
    )
    monkeypatch.setattr(common, "st", page)
    figure = plots.matrix([[-1.0, 0.0, 1.0]], ["row"], ["a", "b", "c"], "Title & co")
    before = figure.to_json()
    common.chart(figure)
    spec = shown[0].to_dict()
    zero = dict(spec["data"][0]["colorscale"])[0.5]
    lightness = (
        sum(int(part) for part in re.findall(r"\d+", zero)) if zero.startswith("rgb") else int(zero[1:3], 16) * 3
    )
    assert lightness > 600 if theme == "light" else lightness < 120
    assert figure.to_json() == before
    assert "Title &amp; co" in written[0]  # above the figure, where it wraps
    assert not spec["layout"]["title"]["text"]
