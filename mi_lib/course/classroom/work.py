"""One piece of work: the verdicts on some exercises of one submission, as plain data.

It runs wherever an executor puts it: in a process of this machine or on another. A worker keeps one grader, whose fork
server has torch loaded. What comes back holds no learner's object, only texts and numbers.
"""

from __future__ import annotations

import atexit
import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mi_lib.course import index, sections
from mi_lib.course.classroom import fingerprint, hidden
from mi_lib.course.classroom.config import Policy
from mi_lib.course.grading.isolation import Level
from mi_lib.course.grading.verdict import TestResult, Verdict
from mi_lib.course.index import CourseError, Exercise

if TYPE_CHECKING:
    from mi_lib.course.grading import Grader

judge_seconds = 0.0  # how long the judge may compute for one task; 0 where its process is not ours to end
_LOCK = threading.Lock()
_GRADER: list[Grader] = []  # the worker's one grader, once it is needed


@dataclass(frozen=True)
class Task:
    """What a worker is asked: these exercises of this text.

    keys: exercise id → the key of its verdict. require: the least isolation to grade under. policy: what becomes of an
    exercise that the library was made to answer.
    """

    student: str
    chapter: str
    text: str
    keys: dict[str, str]
    version: str
    require: Level = "none"
    policy: Policy = "flag"


def grade(task: Task) -> list[dict[str, Any]]:
    """The verdict on each exercise of a task.

    Raises `CourseError` if this worker cannot give grades that count: it has another version of the course, or holds
    learners' code less tightly than the task requires (`IsolationError`).
    """
    if task.version != fingerprint.course_version():
        raise CourseError(
            f"A worker has version {fingerprint.course_version()} of the course, not {task.version}. "
            "Install the same one on every machine."
        )
    chapter = index.chapter(task.chapter)
    with _LOCK, limited(judge_seconds):  # one at a time in a process, whatever threads an executor has
        return [_verdict(task, chapter.exercise(exercise_id)) for exercise_id in task.keys]


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """End this process if it computes for longer: whoever holds a judge up, in C too, loses one exercise. 0: no limit.

    Its own processor time counts, not the learner's process nor the waiting for it, which has limits of its own.
    """
    if not seconds or not hasattr(signal, "setitimer"):
        yield
        return
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _verdict(task: Task, exercise: Exercise) -> dict[str, Any]:
    started = time.time()
    try:
        sections.get(task.text, exercise.id)
        visible = _grader(task).grade(task.text, exercise)
        private = _hidden(task, exercise, visible)
    except sections.SectionError as error:
        private = None
        status = "not started" if exercise.id not in task.text else "error"
        visible = Verdict(exercise.id, status, 0, exercise.points, diagnosis=str(error))  # type: ignore[arg-type]
    return _combined(task, exercise, visible, private, started)


def _hidden(task: Task, exercise: Exercise, visible: Verdict) -> Verdict | None:
    """The hidden tests' verdict. They are spared where nothing visible passed, or the time is used up already."""
    tests = hidden.tests_of(exercise)
    if not tests or (visible.library and task.policy == "refuse"):
        return None
    if visible.status != "timed out" and any(test.passed for test in visible.tests):
        return _grader(task).grade(task.text, exercise, tests_from=hidden.tests_of)
    unrun = [TestResult(t.name, t.title, False, "", t.weight, 0.0, visible.status) for t in tests]
    return Verdict(exercise.id, visible.status, 0, exercise.points, tests=unrun)


def _combined(
    task: Task, exercise: Exercise, visible: Verdict, private: Verdict | None, started: float
) -> dict[str, Any]:
    """Visible and hidden tests share the exercise's points by weight."""
    total = sum(test.weight for verdict in (visible, private) if verdict for test in verdict.tests) or 1.0
    tests = [_test(test, exercise.points / total, False, True) for test in visible.tests]
    ran = visible.status != "timed out" and any(test.passed for test in visible.tests)
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
        "for_learner": {"seconds": round(visible.seconds, 3), "ending": visible.ending},  # not of the hidden tests
        "isolation": "; ".join(visible.isolation) or "none of the code was run",
        "isolation_level": visible.isolation_level,
        "ending": private.ending if private and visible.ending == "answered" else visible.ending,
        "signs": visible.signs,
        "course_fault": visible.course_fault or bool(private and private.course_fault),
        "library_use": visible.library,
        "policy": task.policy,
        "version": task.version,
        "graded_at": started,
    }


def _test(test: TestResult, per_weight: float, is_hidden: bool, ran: bool) -> dict[str, Any]:
    """A test as data. `detail` is for the instructor; `message` is what the learner may read."""
    message = test.message
    if is_hidden and not test.passed:
        message = hidden.feedback(test.title) if ran else hidden.not_run(test.title)
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


def _grader(task: Task) -> Grader:
    """The worker's grader, under the conditions of a task."""
    if not _GRADER:
        from mi_lib.course.grading import Grader

        _GRADER.append(Grader(second_look=True))
        atexit.register(close)
    _GRADER[0].require, _GRADER[0].library = task.require, task.policy
    return _GRADER[0]


def close() -> None:
    """End this worker's grader, if it has one."""
    while _GRADER:
        _GRADER.pop().close()
