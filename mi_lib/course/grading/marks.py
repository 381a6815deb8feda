"""`@grades`: which exercise a test function of `test_exercises.py` grades, and how much it counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "__mi_grades__"


def grades(exercise_id: str, *, weight: float = 1.0) -> Callable[[F], F]:
    """Mark a function as a test of an exercise.

    It takes one argument, `answer`, whose attributes are what the learner wrote; the first line of its docstring is the
    title that the learner sees. The exercise's points are shared among its tests by weight.
    """
    if weight <= 0:
        raise ValueError(f"a test's weight must be above 0, not {weight}")

    def mark(function: F) -> F:
        setattr(function, _MARK, (exercise_id, float(weight)))
        return function

    return mark


@dataclass(frozen=True)
class GraderTest:
    """One marked function."""

    exercise_id: str
    name: str
    title: str
    weight: float
    function: Callable[..., Any]
    file: Path


def mark_of(function: Any) -> tuple[str, float] | None:
    """(exercise id, weight) of a marked function, None for any other."""
    return getattr(function, _MARK, None)


def as_test(function: Callable[..., Any], file: Path) -> GraderTest:
    """The marked function as a `GraderTest`."""
    exercise_id, weight = getattr(function, _MARK)
    lines = (function.__doc__ or "").strip().splitlines()
    title = lines[0] if lines else function.__name__.removeprefix("test_").replace("_", " ")
    return GraderTest(exercise_id, function.__name__, title, weight, function, file)


def tests_in(module: ModuleType, file: Path) -> list[GraderTest]:
    """All tests that a module marks, in the order in which they were written."""
    return [as_test(f, file) for f in vars(module).values() if callable(f) and mark_of(f)]
