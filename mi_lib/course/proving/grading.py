"""Many submissions, judged by several processes of this machine, each with a grader of its own."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterable
from concurrent.futures import as_completed
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from mi_lib.course import index
from mi_lib.course.classroom import batch
from mi_lib.course.grading.marks import GraderTest
from mi_lib.course.grading.verdict import Verdict
from mi_lib.course.index import CourseError, Exercise

if TYPE_CHECKING:
    from mi_lib.course.grading import Grader


class Task(NamedTuple):
    """A submission and the exercise that it is judged for.

    seconds: how long it may take (None: the exercise's own limit). until_failed: names of all tests in the order in
    which they are tried, until one does not pass; () tries all.
    """

    exercise_id: str
    text: str
    seconds: float | None = None
    until_failed: tuple[str, ...] = ()


_GRADER: list[Grader] = []  # of this worker


def judge(
    tasks: Iterable[Task], jobs: int = 2, grader: Grader | None = None, on_done: Callable[[Task], None] = lambda _: None
) -> list[Verdict]:
    """The verdicts, in the order of the tasks. With a grader: by it, here, one after the other."""
    tasks = list(tasks)
    if grader is not None:
        verdicts = []
        for task in tasks:
            verdicts.append(_by(grader, task))
            on_done(task)
        return verdicts
    if not tasks:
        return []
    found: dict[int, Verdict] = {}
    with batch.processes(min(jobs, len(tasks))).open() as executor:  # Ctrl-C ends the workers with the batch
        futures = {executor.submit(_grade, task): number for number, task in enumerate(tasks)}
        for future in as_completed(futures):
            found[futures[future]] = future.result()
            on_done(tasks[futures[future]])
    return [found[number] for number in range(len(tasks))]


def allowed_seconds(reference: Verdict, limit: float) -> float:
    """How long a variant of an answer may take, so that one that never ends costs little.

    Raises `CourseError` if the answer itself does not pass: then its variants say nothing.
    """
    if not reference.passed:
        raise CourseError(f"The reference answer of {reference.exercise_id} does not pass: {reference.diagnosis}")
    return min(limit, 3 * reference.seconds + 2)


def _grade(task: Task) -> Verdict:
    if not _GRADER:
        from mi_lib.course.grading import Grader

        _GRADER.append(Grader())
        atexit.register(_GRADER[0].close)
    return _by(_GRADER[0], task)


def quickest_first(reference: Verdict) -> tuple[str, ...]:
    """The names of an exercise's tests, those first that took the least time."""
    return tuple(test.name for test in sorted(reference.tests, key=lambda test: test.seconds))


def _by(grader: Grader, task: Task) -> Verdict:
    exercise = index.exercise(task.exercise_id)
    if not task.until_failed:
        return grader.grade(task.text, exercise, time_limit=task.seconds)
    return grader.grade(
        task.text, exercise, time_limit=task.seconds, tests_from=lambda _: _until_failed(exercise, task.until_failed)
    )


def _until_failed(exercise: Exercise, order: tuple[str, ...]) -> list[GraderTest]:
    """The exercise's tests in this order. Once one has not passed, those after it fail at once: all is known."""
    from mi_lib.course.grading import Wrong
    from mi_lib.course.grading.judge import tests_of

    failed: list[str] = []

    def wrapped(test: GraderTest) -> GraderTest:
        def function(answer: Any) -> None:
            if failed:
                raise Wrong(f"Not tried: {failed[0]} did not pass.")
            try:
                test.function(answer)
            except BaseException:
                failed.append(test.name)
                raise

        return replace(test, function=function)

    return [wrapped(test) for test in sorted(tests_of(exercise), key=lambda test: order.index(test.name))]
