"""Grading: the learner's code runs in a child process, its answers cross as data, the tests stay here (DESIGN §5).

Each result is looked at against the stub's signature before a test computes with it (`contract`, `kinds`, `answer`).

    with Grader() as grader:
        verdict = grader.grade(Path("work/ch02_induction_heads/exercises.py"), exercise("02.3"))

Importing this package is cheap: torch comes with the first name that needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mi_lib.course.grading.marks import grades
from mi_lib.course.grading.verdict import Status, TestResult, Verdict

if TYPE_CHECKING:
    from mi_lib.course.grading.answer import seconds_used
    from mi_lib.course.grading.crossing import ByName, Handle
    from mi_lib.course.grading.expectations import Wrong, expect, expect_close, expect_equal, expect_raises
    from mi_lib.course.grading.forkserver import Limits
    from mi_lib.course.grading.gradients import expect_gradients
    from mi_lib.course.grading.here import run_here
    from mi_lib.course.grading.judge import Grader, load_tests
    from mi_lib.course.grading.process import AnswerError

_HOME = {
    "AnswerError": "process",
    "ByName": "crossing",
    "Grader": "judge",
    "Handle": "crossing",
    "Limits": "forkserver",
    "Wrong": "expectations",
    "expect": "expectations",
    "expect_close": "expectations",
    "expect_equal": "expectations",
    "expect_gradients": "gradients",
    "expect_raises": "expectations",
    "load_tests": "judge",
    "run_here": "here",
    "seconds_used": "answer",
}
__all__ = [
    "AnswerError",
    "ByName",
    "Grader",
    "Handle",
    "Limits",
    "Status",
    "TestResult",
    "Verdict",
    "Wrong",
    "expect",
    "expect_close",
    "expect_equal",
    "expect_gradients",
    "expect_raises",
    "grades",
    "load_tests",
    "run_here",
    "seconds_used",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'mi_lib.course.grading' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"mi_lib.course.grading.{_HOME[name]}"), name)
    globals()[name] = value
    return value
