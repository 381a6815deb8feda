"""One piece of work: the verdicts on some exercises of one submission, as plain data.

It runs wherever an executor puts it: in a process of this machine or on another. A worker keeps one grader, whose fork
server has torch loaded. What comes back holds no learner's object, only texts and numbers.
"""

from __future__ import annotations

import atexit
import threading
import time
from dataclasses import dataclass
from typing import Any

from mi_lib.course import index, sections
from mi_lib.course.classroom import fingerprint, hidden, library_use
from mi_lib.course.grading.verdict import TestResult, Verdict
from mi_lib.course.index import CourseError, Exercise

_LOCK = threading.Lock()
_GRADER: list[Any] = []  # the worker's one grader, once it is needed


@dataclass(frozen=True)
class Task:
    """What a worker is asked: these exercises of this text. keys: exercise id → the key of its verdict."""

    student: str
    chapter: str
    text: str
    keys: dict[str, str]
    version: str
    require: str = ""


def grade(task: Task) -> list[dict[str, Any]]:
    """The verdict on each exercise of a task. Raises `CourseError` if this worker cannot give grades that count."""
    if task.version != fingerprint.course_version():
        raise CourseError(
            f"A worker has version {fingerprint.course_version()} of the course, not {task.version}. "
            "Install the same one on every machine."
        )
    require_isolation(task.require)
    chapter = index.chapter(task.chapter)
    with _LOCK:  # one at a time in a process, whatever threads an executor has
        return [_verdict(task, chapter.exercise(exercise_id)) for exercise_id in task.keys]


def require_isolation(level: str) -> None:
    """Raise `CourseError` if learners' code would run with less isolation than `level` here."""
    if not level:
        return
    try:
        from mi_lib.course.grading import isolation  # type: ignore[attr-defined]  # not every version has it
    except ImportError as error:
        raise CourseError(
            "This version of the course cannot tell how well it isolates learners' code, so `--require-isolation` "
            "cannot be kept. Leave it out, or update the course."
        ) from error
    isolation.require(level)


def _verdict(task: Task, exercise: Exercise) -> dict[str, Any]:
    started = time.time()
    try:
        sections.get(task.text, exercise.id)
        used = library_use.uses(task.text, exercise.id, exercise.answered_by)
        visible = _grader().grade(task.text, exercise)
        private = _hidden(task.text, exercise, visible)
    except sections.SectionError as error:
        used, private = [], None
        status = "not started" if exercise.id not in task.text else "error"
        visible = Verdict(exercise.id, status, 0, exercise.points, diagnosis=str(error))  # type: ignore[arg-type]
    return _combined(task, exercise, visible, private, used, started)


def _hidden(text: str, exercise: Exercise, visible: Verdict) -> Verdict | None:
    """The hidden tests' verdict; they are spared where nothing visible passed."""
    tests = hidden.tests_of(exercise)
    if not tests:
        return None
    if any(test.passed for test in visible.tests):
        return _grader().grade(text, exercise, tests_from=hidden.tests_of)
    unrun = [TestResult(t.name, t.title, False, "", t.weight, 0.0, visible.status) for t in tests]
    return Verdict(exercise.id, visible.status, 0, exercise.points, tests=unrun)


def _combined(
    task: Task, exercise: Exercise, visible: Verdict, private: Verdict | None, used: list[str], started: float
) -> dict[str, Any]:
    """Visible and hidden tests share the exercise's points by weight."""
    total = sum(test.weight for verdict in (visible, private) if verdict for test in verdict.tests) or 1.0
    tests = [_test(test, exercise.points / total, False, True) for test in visible.tests]
    ran = any(test.passed for test in visible.tests)
    if private:
        tests += [_test(test, exercise.points / total, True, ran) for test in private.tests]
    missed = [test for test in tests if not test["passed"]]
    earned = sum(test["weight"] for test in tests if test["passed"])
    status: str = visible.status
    diagnosis = visible.diagnosis
    if visible.passed and missed:
        status, diagnosis = "failed", missed[0]["message"]
    return {
        "exercise": exercise.id,
        "key": task.keys[exercise.id],
        "status": status,
        "points": float(exercise.points) if tests and not missed else round(exercise.points * earned / total, 2),
        "max_points": float(exercise.points),
        "tests": tests,
        "diagnosis": diagnosis,
        "traceback": visible.traceback,
        "printed": visible.printed,
        "seconds": round(visible.seconds + (private.seconds if private else 0.0), 3),
        "isolation": isolation_of(visible),
        "course_fault": visible.course_fault or bool(private and private.course_fault),
        "library_use": used,
        "version": task.version,
        "graded_at": started,
    }


def _test(test: TestResult, per_weight: float, is_hidden: bool, ran: bool) -> dict[str, Any]:
    """A test as data. `detail` is for the instructor; `message` is what the learner may read."""
    message = test.message
    if is_hidden and not test.passed:
        message = hidden.feedback(test.title, test.status) if ran else hidden.not_run(test.title)
    return {
        "name": test.name,
        "title": test.title,
        "passed": test.passed,
        "status": test.status,
        "message": message,
        "detail": test.message if is_hidden else "",
        "weight": test.weight,
        "points": round(per_weight * test.weight, 4) if test.passed else 0.0,
        "max_points": round(per_weight * test.weight, 4),
        "seconds": round(test.seconds, 4),
        "hidden": is_hidden,
    }


def isolation_of(verdict: Any) -> str:
    """Which isolation was in force, in words; "unknown" if the verdict does not say."""
    said = getattr(verdict, "isolation", None)
    if isinstance(said, str):
        return said or "unknown"
    return "; ".join(map(str, said)) if said else "unknown"


def _grader() -> Any:
    if not _GRADER:
        from mi_lib.course.grading import Grader

        _GRADER.append(Grader())
        atexit.register(close)
    return _GRADER[0]


def close() -> None:
    """End this worker's grader, if it has one."""
    while _GRADER:
        _GRADER.pop().close()
