"""Hidden tests: other seeds, other shapes, models held out. Only the instructor's side has them.

They stand in `solutions/chNN_slug/tests_hidden.py`, written and marked like those of `test_exercises.py`, and run in
`mi grade` alone: a release leaves out all of `solutions/`. The first line of a test's docstring is all that a learner
is told, so it names the idea ("Large logits, wherever the large one stands") and never a value.

A hidden test's inputs do reach the learner's process, so nothing that comes back from that process is shown: no
message, no traceback, no print. Hidden tests run in a process of their own, so that the visible tests' output can be.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mi_lib.course.grading.judge import load_tests
from mi_lib.course.grading.marks import GraderTest
from mi_lib.course.index import Chapter

FILE = "tests_hidden.py"
_WHY = {
    "timed out": "Your code took too long in it.",
    "too much output": "Your code printed too much in it.",
    "out of memory": "Your code used too much memory in it.",
    "crashed": "Your code ended the process in it.",
    "error": "Your code raised an exception in it.",
    "not started": "It needs something that is not written yet.",
}


def path(chapter: Chapter) -> Path:
    """Where a chapter's hidden tests stand, if it has any."""
    return chapter.solutions_folder / FILE


def tests_of(exercise: Any) -> list[GraderTest]:
    """The hidden tests of an exercise; empty if there are none."""
    file = path(exercise.chapter)
    return [test for test in load_tests(file) if test.exercise_id == exercise.id] if file.is_file() else []


def feedback(title: str, status: str) -> str:
    """What a learner is told of a hidden test that did not pass."""
    return " ".join(filter(None, (f"A hidden test did not pass. Its idea: {title}", _WHY.get(status, ""))))


def not_run(title: str) -> str:
    """What a learner is told of a hidden test where no visible test passed either."""
    return f"A hidden test that was not run, because no visible test passed. Its idea: {title}"
