"""Grade a class: read what was handed in, find what has no verdict yet, have it graded, keep each verdict as it comes.

Stopped at any moment and started again, it goes on with what is missing, because what is missing is all that it ever
looks for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mi_lib.course import index
from mi_lib.course.classroom import batch, fingerprint, points, submissions
from mi_lib.course.classroom.config import Config
from mi_lib.course.classroom.gradebook import Attempt, Gradebook
from mi_lib.course.classroom.work import Task
from mi_lib.course.grading.isolation import Level
from mi_lib.course.index import CourseError

Progress = Callable[[int, int, str], None]  # exercises done, of how many, the student that was just graded


@dataclass(frozen=True)
class Summary:
    """What a run did. exercises: how many were graded; unchanged: how many had a verdict already."""

    students: int
    submissions: int
    exercises: int
    unchanged: int
    refused: int
    given_up: int
    version: str

    def in_words(self) -> str:
        """ "Graded 12 exercises of 3 students; 400 had not changed since they were graded. …" """
        parts = [f"{self.students} students"]
        parts.append(f"{_many(self.exercises, 'exercise')} graded" if self.exercises else "nothing to grade")
        if self.unchanged:
            parts.append(f"{self.unchanged} unchanged since they were graded, and kept")
        if self.refused:
            parts.append(f"{_many(self.refused, 'submission')} with problems (see the report)")
        if self.given_up:
            parts.append(f"{_many(self.given_up, 'exercise')} could not be graded; run again to try once more")
        return "; ".join(parts) + f". Course version {self.version}."


def grade_class(
    handed_in: Path | str,
    book: Gradebook,
    config: Config,
    workers: batch.Workers | None = None,
    require: Level = "none",
    progress: Progress = lambda done, of, who: None,
) -> Summary:
    """Take in all submissions of a folder or zip and grade what has changed. Raises `CourseError` if none can be.

    require: the least isolation to grade under. Each worker sees to it, since each may be on another system.
    """
    found = submissions.collect(handed_in, config.chapters, dict(config.students))
    book.hand_in(found)
    tasks, unchanged = _tasks(book, config, {s.student for s in found}, require)
    total = sum(len(task.keys) for task in tasks)
    progress(0, total, "")
    done = given_up = 0
    if tasks:
        for task, results in batch.run(tasks, workers or batch.processes(1)):
            if isinstance(results, batch.GivenUp):
                book.give_up(task.student, task.keys, results.reason)
                given_up += len(task.keys)
            else:
                book.store(task.student, results)
            done += len(task.keys)
            progress(done, total, task.student)
    return Summary(
        students=len(found),
        submissions=sum(len(s.texts) for s in found),
        exercises=done,
        unchanged=unchanged,
        refused=sum(bool(s.problems) for s in found),
        given_up=given_up,
        version=fingerprint.course_version(),
    )


def _tasks(book: Gradebook, config: Config, students: set[str], require: Level) -> tuple[list[Task], int]:
    """What is to be graded for these students, and how many exercises have their verdict already."""
    graded = book.graded()
    tasks, unchanged = [], 0
    for attempt in _counted(book, config):
        if attempt.student not in students:
            continue
        try:
            chapter = index.chapter(attempt.chapter)
        except CourseError:
            continue  # handed in when the course had this chapter
        keys = {e.id: fingerprint.key(attempt.text, e, require, config.policy) for e in chapter.exercises}
        book.apply(attempt, keys)
        missing = {e: key for e, key in keys.items() if (attempt.student, e, key) not in graded}
        unchanged += len(keys) - len(missing)
        # One exercise at a time: each is run by itself anyway, and is stored as soon as it is done.
        version = fingerprint.course_version()
        tasks += [
            Task(attempt.student, attempt.chapter, attempt.text, {e: k}, version, require, config.policy)
            for e, k in missing.items()
        ]
    return tasks, unchanged


def _counted(book: Gradebook, config: Config) -> list[Attempt]:
    by_chapter: dict[tuple[str, str], list[Attempt]] = {}
    for attempt in book.attempts():
        if not config.chapters or attempt.chapter in config.chapters:
            by_chapter.setdefault((attempt.student, attempt.chapter), []).append(attempt)
    return [attempt for attempts in by_chapter.values() for attempt in points.counted(attempts, config)]


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Only one run may grade into a folder. Raises `CourseError` if another does; a killed one holds nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CourseError(f"{folder} is being graded into right now. Wait for that run, or end it.") from None
        except (ImportError, OSError):
            pass  # no locks here
        yield


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
