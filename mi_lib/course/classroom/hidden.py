"""Hidden tests: other seeds, other shapes, models held out. Only the instructor's side has them.

They stand in `solutions/chNN_slug/tests_hidden.py`, written and marked like those of `test_exercises.py`, and run in
`mi grade` alone: a release leaves out all of `solutions/`. The first line of a test's docstring is all that a learner
is told, so it names the idea ("Large logits, wherever the large one stands") and never a value.

A hidden test's inputs do reach the learner's process, so nothing that comes back from that process is shown: no
message, no traceback, no print, neither how long it took nor how it ended: of each test that it passed or not, one bit.
Hidden tests run in a process of their own, so that the visible tests' output can be shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mi_lib.course.grading.judge import load_tests
from mi_lib.course.grading.marks import GraderTest
from mi_lib.course.index import Chapter

FILE = "tests_hidden.py"


def path(chapter: Chapter) -> Path:
    """Where a chapter's hidden tests stand, if it has any."""
    return chapter.solutions_folder / FILE


def tests_of(exercise: Any) -> list[GraderTest]:
    """The hidden tests of an exercise; empty if there are none."""
    file = path(exercise.chapter)
    return [test for test in load_tests(file) if test.exercise_id == exercise.id] if file.is_file() else []


def feedback(title: str) -> str:
    """What a learner is told of a hidden test that did not pass: one bit. How the code ended in it would be more."""
    return f"A hidden test did not pass. Its idea: {title}"


def not_run(title: str) -> str:
    """What a learner is told of a hidden test where no visible test passed either, or the time was used up."""
    return f"A hidden test that was not run: no visible test passed, or they used up the time. Its idea: {title}"


def shown(test: dict[str, Any]) -> str:
    """The status of a stored test as a report that learners may see says it."""
    return "failed" if test["hidden"] and not test["passed"] else str(test["status"])
