"""Grade a class: read what was handed in, find what has no verdict yet, have it graded, keep each verdict as it comes.

Stopped at any moment and started again, it goes on with what is missing, because what is missing is all that it ever
looks for. What was handed in, and which verdict counts for it, is noted at the end, all at once: until then the
gradebook shows the class as it was before.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from mi_lib.course import index, nearest
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
    faulty: int = 0  # verdicts of this gradebook in which a test of the course broke, on the reference too

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
        if self.faulty:
            parts.append(f"{_many(self.faulty, 'exercise')} on which a test of the course broke: look at them yourself")
        return "; ".join(parts) + f". Course version {self.version}."


def grade_class(
    handed_in: Path | str,
    book: Gradebook,
    config: Config,
    workers: batch.Workers | None = None,
    require: Level = "none",
    progress: Progress = lambda done, of, who: None,
    keep: Config | None = None,
    again: Collection[str] = (),
) -> Summary:
    """Take in all submissions of a folder or zip and grade what has changed. Raises `CourseError` if none can be.

    require: the least isolation to grade under. Each worker sees to it, since each may be on another system.
    keep: the settings that the gradebook has from then on. again: students, and exercises ("02.3"), that are graded
    whatever is stored.
    """
    found = submissions.collect(handed_in, config.chapters, config.students, config.zone)
    config.check_students(book.names() | {name for one in found for name in (one.student, *one.labels)})
    now = time.time()
    with book.whole(keep=False):  # a trial, to see what is missing
        book.hand_in(found, now)
        keyed = _keyed(book, config, {s.student for s in found}, require)
    forced = {
        (attempt.student, e, key)
        for attempt, keys in keyed
        for e, key in keys.items()
        if attempt.student in again or e in again
    }
    known = {attempt.student for attempt, _ in keyed} | {e for _, keys in keyed for e in keys}
    for name in again:
        if name not in known:
            hint = nearest.hint(name, sorted(known))
            raise CourseError(f"Nothing that was handed in is of {name!r}, so nothing is graded again.{hint}")
    tasks, unchanged = _tasks(keyed, book.graded() - forced, require, config)
    total = sum(len(task.keys) for task in tasks)
    progress(0, total, "")
    book.mark(unfinished=True)
    done = 0
    old, replaced = book.faulty() | forced, []
    given_up: list[tuple[Task, str]] = []
    if tasks:
        for task, results in batch.run(tasks, workers or batch.processes(1)):
            if isinstance(results, batch.GivenUp):
                given_up.append((task, results.reason))
            elif any((task.student, e, key) in old for e, key in task.keys.items()):
                replaced.append((task.student, results))  # until the end the old verdict is shown
            else:
                book.store(task.student, results)
            done += len(task.keys)
            progress(done, total, task.student)
    with book.whole():
        book.hand_in(found, now)
        for attempt, keys in keyed:
            book.apply(attempt, keys)
            book.give_up(attempt.student, keys)
        for student, results in replaced:
            book.store(student, results, anew=True)
        for task, reason in given_up:
            book.give_up(task.student, task.keys, reason)
        if keep is not None:
            book.settings = keep
        book.mark(unfinished=False)
    return Summary(
        students=len(found),
        submissions=sum(len(s.texts) for s in found),
        exercises=done,
        unchanged=unchanged,
        refused=sum(bool(s.problems) for s in found),
        given_up=sum(len(task.keys) for task, _ in given_up),
        version=fingerprint.course_version(),
        faulty=len(book.faulty()),
    )


Keyed = list[tuple[Attempt, dict[str, str]]]  # an attempt that counts, and the key of each exercise's verdict


def _keyed(book: Gradebook, config: Config, students: set[str], require: Level) -> Keyed:
    """The attempts of these students that count."""
    found = []
    for attempt in _counted(book, config):
        if attempt.student in students:
            with contextlib.suppress(CourseError):  # handed in when the course had this chapter
                exercises = index.chapter(attempt.chapter).exercises
                keys = {e.id: fingerprint.key(attempt.text, e, require, config.policy) for e in exercises}
                found.append((attempt, keys))
    return found


def _tasks(keyed: Keyed, graded: set[tuple[str, str, str]], require: Level, config: Config) -> tuple[list[Task], int]:
    """What is to be graded, and how many exercises have their verdict already."""
    tasks, unchanged = [], 0
    version = fingerprint.course_version()
    for attempt, keys in keyed:
        missing = {e: key for e, key in keys.items() if (attempt.student, e, key) not in graded}
        unchanged += len(keys) - len(missing)
        # One exercise at a time: each is run by itself anyway, and is stored as soon as it is done.
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
