"""Checks in the background: one that never ends holds up no other, can be stopped, and its time limit is kept once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mi_lib.course import Progress, Workspace, sections
from mi_lib.course.checking import resume
from mi_lib.course.checks import Checks
from mi_lib.course.grading import judge
from mi_lib.course.index import chapters, exercise

RIGHT = "def add(a, b):\n    return a + b\n"
LOOP = "def add(a, b):\n    while True:\n        pass\n"


@pytest.fixture(scope="module")
def checks():
    made = Checks()
    yield made
    made.close()


@pytest.fixture
def start(course, checks, tmp_path):
    """Begin to check an answer to 90.1."""
    work = Workspace.init(tmp_path / "learner")
    progress = Progress(work)

    def begin(body: str, seconds: float = 20.0):
        which = replace(exercise("90.1"), time_limit=seconds)
        return checks.start(progress, which, sections.replace(work.text("90"), "90.1", body))

    begin.progress = progress
    return begin


def test_a_verdict_comes_and_is_kept(start):
    running = start(RIGHT)
    assert running.wait(60)
    assert running.verdict.passed
    assert start.progress.last_attempt("90.1").passed


def test_a_loop_that_never_ends_can_be_stopped_and_counts_as_no_attempt(start):
    running = start(LOOP)
    assert not running.wait(1.0)
    assert running.seconds >= 1.0
    running.stop()
    assert running.wait(10)  # 0.2 s measured on an idle machine; by itself it would go on for 20
    assert running.verdict.status == "stopped"
    assert "You stopped this check" in running.verdict.diagnosis
    assert start.progress.last_attempt("90.1") is None


def test_a_loop_that_sleeps_ends_at_the_time_limit_that_the_learner_is_told_and_once(start):
    # Sleeping is the code's own time. Only waiting for a core is not, for which a run gets more by the wall clock.
    before = start(RIGHT)
    assert before.wait(60)
    running = start("def add(a, b):\n    import time\n    while True:\n        time.sleep(1)\n", seconds=3.0)
    assert running.wait(60)
    assert running.verdict.status == "timed out"
    assert "after 3 seconds" in running.verdict.diagnosis
    assert 3.0 <= running.verdict.seconds < 6.0  # for all tests together, and starting the process
    assert len(running.verdict.tests) > 1


def test_a_chapter_is_loaded_before_its_first_check_and_the_page_can_say_so(course):
    fresh = Checks()
    try:
        assert fresh.loading
        file = exercise("90.1").chapter.folder / "test_exercises.py"
        judge._MODULES.pop(file.resolve(), None)
        for _ in range(2):
            fresh.warm(exercise("90.1").chapter)
        fresh._warm["90"].join(60)
        assert file.resolve() in judge._MODULES
    finally:
        fresh.close()


def test_a_loop_in_one_tab_does_not_hold_up_another(start):
    endless = start(LOOP)
    assert not endless.wait(1.0)
    other = start(RIGHT)
    assert other.wait(60)
    assert other.verdict.passed
    assert not endless.done
    endless.stop()
    assert endless.wait(10)


def test_bare_checks_go_on_where_the_learner_was(start):
    here = chapters()
    assert resume(here, start.progress).id == "90.1"
    start.progress.work_on("90.2")
    assert resume(here, start.progress).id == "90.2"
    assert Progress(start.progress.path).worked_on() == "90.2"
