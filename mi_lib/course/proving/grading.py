"""Many submissions, judged by several processes of this machine, each with a grader of its own."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterable
from concurrent.futures import as_completed
from typing import TYPE_CHECKING, NamedTuple

from mi_lib.course import index
from mi_lib.course.classroom import batch
from mi_lib.course.grading.verdict import Verdict
from mi_lib.course.index import CourseError

if TYPE_CHECKING:
    from mi_lib.course.grading import Grader


class Task(NamedTuple):
    """A submission, the exercise that it is judged for, and the seconds that it may take (None: the exercise's own)."""

    exercise_id: str
    text: str
    seconds: float | None = None


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


def _by(grader: Grader, task: Task) -> Verdict:
    return grader.grade(task.text, index.exercise(task.exercise_id), time_limit=task.seconds)
