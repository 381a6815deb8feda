"""The first page: the first minute, the ways through, and what has been found so far."""

from __future__ import annotations

import random
import re
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from test_pages import run, words

from app import first_minute
from mi_lib import load
from mi_lib.course import Progress, Workspace, checking, found, index, lesson, paths
from mi_lib.course.grading import Verdict

LISTED = first_minute.FIRST.split()
HOME = "from app import home\nhome.show()"


def passed(progress: Progress, *ids: str) -> None:
    for name in ids:
        progress.work_on(name)
        progress.record(Verdict(name, "passed", 5, 5), "an answer")


def next_id(progress: Progress) -> str:
    step = checking.resume(index.chapters(), progress)
    return step.id if step else ""


@pytest.fixture
def workspace(tmp_path):
    return Workspace.init(tmp_path / "work").path


@pytest.fixture
def awake(monkeypatch):
    """The network is there at once."""
    model = load(first_minute.PATIENT)
    monkeypatch.setattr(first_minute, "_waking", lambda: SimpleNamespace(done=lambda: True, result=lambda: model))
    return model


def tap(app: AppTest, key: str, value: Any) -> None:
    """Choose in a row of taps."""
    group: Any = next(group for group in app.get("button_group") if getattr(group, "key", "") == key)
    group.set_value(value).run()


def right(model, silenced=(), listed=LISTED) -> int:
    return sum(guess.right for guess in first_minute.guesses(model, listed, list(silenced)))


def test_lists_are_remembered_and_a_network_of_one_layer_remembers_few():
    two, one = load(first_minute.PATIENT), load("induction-1l")
    known = sorted(word for word in two.tokenizer.get_vocab() if word.isalpha())
    lists = [random.Random(seed).sample(known, 6) for seed in range(20)]
    shares = [sum(right(model, (), listed) for listed in lists) / 100 for model in (two, one)]
    assert shares[0] > 0.85
    assert shares[1] < 0.4


def test_the_list_on_the_page_needs_one_head_of_each_layer_and_no_other():
    model = load(first_minute.PATIENT)
    every = [(layer, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]
    assert right(model) == len(LISTED) - 1
    needed = [head for head in every if right(model, [head]) == 0]
    assert [layer for layer, _ in needed] == [0, 1]
    assert all(right(model, [head]) == len(LISTED) - 1 for head in every if head not in needed)


def test_the_head_that_copies_looks_at_what_came_next_the_last_time(awake):
    name, share = first_minute.looks(awake, LISTED, 1, 1)
    assert name == f"the first {LISTED[2]}"
    assert share > 0.9


def test_a_tap_on_a_head_says_what_is_lost_without_it(workspace, monkeypatch, awake):
    app = run(workspace, monkeypatch, HOME)
    assert not app.exception
    assert "5 of 5 right" in words(app)
    tap(app, "minute-heads", [(1, 1)])
    assert "Without head 1.1: 0 of 5 right" in words(app)
    assert "Chapter 02 takes it apart" in words(app)
    tap(app, "minute-heads", [(1, 0)])
    assert "does not miss this one" in words(app)
    tap(app, "minute-heads", [(0, 1), (1, 0), (1, 1)])
    assert "Without heads 0.1, 1.0 and 1.1: 0 of 5 right" in words(app)


def test_a_list_may_be_written_with_commas(workspace, monkeypatch, awake):
    app = run(workspace, monkeypatch, HOME)
    app.text_input[0].set_value("River, Lamp,Cat, Stone, Owl").run()
    assert not app.warning
    assert "4 of 4 right" in words(app)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("river lamp", "5 to 12 words: here are 2"),
        ("river lamp cat river stone", "**river** is there 2 times"),
        ("river lamp cat stone xylophones", "does not know"),
        ("", "5 to 12 words"),
    ],
)
def test_a_list_that_cannot_be_read_is_told_why(workspace, monkeypatch, awake, typed, said):
    app = run(workspace, monkeypatch, HOME)
    app.text_input[0].set_value(typed).run()
    assert not app.exception
    assert said in app.warning[0].value


def test_the_page_is_there_while_the_network_wakes_up(workspace, monkeypatch):
    monkeypatch.setattr(first_minute, "_waking", lambda: SimpleNamespace(done=lambda: False))
    app = run(workspace, monkeypatch, HOME)
    assert not app.exception
    assert "waking up" in words(app)
    assert "Who this is for" in words(app)


def test_every_chapter_is_on_a_path_with_all_that_it_needs():
    ways = paths.ways()
    planned = {one.number: one for one in index.syllabus()}
    assert len(ways) == 3
    for way in ways:
        assert all(set(planned[number].needs) <= set(way.chapters) for number in way.chapters)
        assert way.minutes(index.chapters()) > 0
    on_one = set().union(*(way.chapters for way in ways))
    assert {one.number for one in planned.values() if one.part != "VI"} - on_one <= {"13"} | on_one
    number, can = paths.placement()
    assert all(one.exercise in {e.id for e in index.chapter(number).exercises} for one in can)


def test_whoever_can_do_all_of_it_skips_the_first_chapter_and_may_come_back(workspace, monkeypatch, awake):
    app = run(workspace, monkeypatch, HOME)
    assert "Next: 01.1" in words(app)
    for box in list(app.checkbox)[:-1]:
        box.check()
    app.run()
    assert "What is open is taught in 01.13" in words(app)
    app.checkbox[-1].check().run()
    next(button for button in app.button if button.label == "Skip chapter 01").click().run()
    assert "Next: 02.1" in words(app)
    next(button for button in app.button if "after all" in button.label).click().run()
    assert "Next: 01.1" in words(app)


def test_a_path_leaves_its_chapters_on_the_map_and_leads_along_them(workspace, monkeypatch, awake):
    progress = Progress(Workspace.open(workspace))
    passed(progress, *(e.id for e in index.chapter("01").exercises))
    app = run(workspace, monkeypatch, HOME)
    assert "Next: 02.1" in words(app)
    tap(app, "way", "changes")
    assert "Next: 04.1" in words(app)
    assert "Grokking modular addition" not in words(app)
    assert progress.chosen(paths.PATH) == "changes"
    assert next_id(progress) == "04.1"
    passed(
        progress, *(e.id for one in index.chapters() if one.number in ("04", "07", "10", "11") for e in one.exercises)
    )
    after = next(one.number for one in index.chapters() if one.number > "11")
    assert next_id(progress) == f"{after}.1"  # the path is at its end: on to what comes after


def test_who_has_skipped_the_first_chapter_and_begun_can_take_it_after_all(workspace, monkeypatch):
    progress = Progress(Workspace.open(workspace))
    progress.choose(paths.SKIPPED, "01")
    passed(progress, "02.1")
    app = run(workspace, monkeypatch, HOME)
    assert not app.exception
    next(button for button in app.button if button.label == "Take chapter 01 after all").click().run()
    assert not app.exception
    assert progress.chosen(paths.SKIPPED) == ""
    assert all(button.label != "Take chapter 01 after all" for button in app.button)


def test_who_has_skipped_nothing_or_taken_it_since_is_offered_no_way_back(workspace, monkeypatch):
    progress = Progress(Workspace.open(workspace))
    passed(progress, "02.1")
    assert not [b for b in run(workspace, monkeypatch, HOME).button if "after all" in b.label]
    progress.choose(paths.SKIPPED, "01")
    passed(progress, *(exercise.id for exercise in index.chapter("01").required))
    assert not [b for b in run(workspace, monkeypatch, HOME).button if "after all" in b.label]


def test_what_was_found_is_told_chapter_by_chapter_with_what_came_as_a_surprise(workspace, monkeypatch):
    progress = Progress(Workspace.open(workspace))
    chapter = index.chapter("02")
    assert found.chapters(progress) == []
    passed(progress, *(e.id for e in chapter.exercises[:2]))
    asked = [block for block in lesson.blocks(chapter) if block.kind == "predict"]
    wrong = next(option.text for option in asked[0].options if not option.right)
    progress.predict("02", asked[0].id, wrong)
    progress.predict("02", asked[1].id, next(option.text for option in asked[1].options if option.right))
    ((first, text),) = found.chapters(progress)
    assert first.number == "02"
    assert chapter.exercises[1].teaches in text
    assert chapter.exercises[2].teaches not in text
    assert "1 of 2 predictions came out" in text
    assert f"Expected: *{wrong}*" in text
    assert "The finding" not in text
    passed(progress, chapter.required[-1].id)
    assert "### The finding" in found.chapters(progress)[0][1]
    assert "previous-token head" in found.chapters(progress)[0][1]
    app = run(workspace, monkeypatch, "from app import found\nfound.show()")
    assert not app.exception
    assert chapter.exercises[1].teaches in words(app)
    assert "came out as expected" in " ".join(text.value for text in app.expander[0].markdown)


def test_optional_exercises_are_counted_apart_as_on_the_map(workspace):
    progress = Progress(Workspace.open(workspace))
    chapter = index.chapter("01")
    optional = next(one for one in chapter.exercises if one.optional)
    passed(progress, chapter.required[0].id, optional.id)
    ((_, text),) = found.chapters(progress)
    assert f"1 of {len(chapter.required)} exercises and 1 optional" in text


def test_the_page_to_keep_needs_nothing_else_and_leaves_no_quote_open(workspace):
    progress = Progress(Workspace.open(workspace))
    passed(progress, *(e.id for one in index.chapters() for e in one.exercises))
    page = found.page(progress)
    assert page.startswith("<!doctype html>")
    assert not re.search(r"(?:src|href)=", page)
    assert "{{" not in page
    assert all(chapter.title in page.replace("&amp;", "&") for chapter in index.chapters())


def test_who_comes_back_sees_what_is_next_and_what_was_found(workspace, monkeypatch):
    progress = Progress(Workspace.open(workspace))
    passed(progress, "01.1")
    app = run(workspace, monkeypatch, HOME)
    assert not app.exception
    assert "Next: 01.2" in words(app)
    assert "Who this is for" not in words(app)
    assert isinstance(app, AppTest)


def test_choices_are_kept_and_can_be_taken_back(workspace):
    progress = Progress(Workspace.open(workspace))
    assert progress.chosen("path") == ""
    progress.choose("path", "knows")
    progress.choose("path", "circuits")
    assert Progress(Workspace.open(workspace)).chosen("path") == "circuits"
    progress.choose("path", "")
    assert paths.chosen(progress) is None
