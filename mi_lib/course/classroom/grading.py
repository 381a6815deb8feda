"""Grade a class: read what was handed in, find what has no verdict yet, have it graded, keep each verdict as it comes.

Stopped at any moment and started again, it goes on with what is missing, because what is missing is all that it ever
looks for. What was handed in, and which verdict counts for it, is noted at the end, all at once: until then the
gradebook shows the class as it was before.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mi_lib.course import index, nearest, sections
from mi_lib.course.classroom import batch, carry, fingerprint, groups, points, submissions
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
    found = submissions.collect(handed_in, config.chapters, groups.names(config), config.zone)
    config.check_students(book.names() | {name for one in found for name in (one.student, *one.labels)})
    found = groups.shared(found, config)
    now = time.time()
    with book.whole(keep=False):  # a trial, to see what is missing
        book.hand_in(found, now)
        keyed = _keyed(book, config, {s.student for s in found}, require)
    forced = _forced(keyed, again)
    work = _Work(book, config, require, workers or batch.processes(1), progress, forced)
    unchanged = work.plan([(attempt, attempt.text, keys) for attempt, keys in keyed])
    progress(0, work.total, "")
    book.mark(unfinished=True)
    work.run()
    carried = _carried(keyed, work.statuses(), config, require) if config.carry_forward else []
    work.carried = {(attempt.student, e, key): earlier for attempt, e, _, key, earlier in carried}
    work.forced |= {place for place in work.carried if place[0] in again or place[1] in again}
    work.plan([(attempt, text, {e: key}) for attempt, e, text, key, _ in carried])
    work.run()
    by_text: dict[tuple[str, str], dict[str, str]] = {}
    for attempt, e, _, key, _ in carried:
        by_text.setdefault((attempt.student, attempt.hash), {})[e] = key
    with book.whole():
        book.hand_in(found, now)
        for attempt, keys in keyed:
            book.apply(attempt, keys)
            if config.carry_forward:
                book.carry(attempt, by_text.get((attempt.student, attempt.hash), {}))
            book.give_up(attempt.student, keys)
        for student, results in work.replaced:
            book.store(student, results, anew=True)
        for student, exercises, reason in work.given_up:
            book.give_up(student, exercises, reason)
        if keep is not None:
            book.settings = keep
        book.mark(unfinished=False)
    return Summary(
        students=len(found),
        submissions=sum(len(s.texts) for s in found),
        exercises=work.done,
        unchanged=unchanged,
        refused=sum(bool(s.problems) for s in found),
        given_up=sum(len(exercises) for _, exercises, _ in work.given_up),
        version=fingerprint.course_version(),
        faulty=len(book.faulty()),
    )


Place = tuple[str, str, str]  # student, exercise, key
Carried = list[tuple[Attempt, str, str, str, list[str]]]  # attempt, exercise, text, key, the earlier ones to blame
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


def _forced(keyed: Keyed, again: Collection[str]) -> set[Place]:
    """(student, exercise, key) of what is graded again. Raises `CourseError` for a name that nothing is of."""
    known = {attempt.student for attempt, _ in keyed} | {e for _, keys in keyed for e in keys}
    for name in again:
        if name not in known:
            hint = nearest.hint(name, sorted(known))
            raise CourseError(f"Nothing that was handed in is of {name!r}, so nothing is graded again.{hint}")
    places = ((attempt.student, e, key) for attempt, keys in keyed for e, key in keys.items())
    return {place for place in places if place[0] in again or place[1] in again}


def _carried(keyed: Keyed, statuses: dict[Place, str], config: Config, require: Level) -> Carried:
    """What is to be graded on the reference's earlier answers."""
    found: Carried = []
    for attempt, keys in keyed:
        mine = {e: statuses[place] for e, key in keys.items() if (place := (attempt.student, e, key)) in statuses}
        for exercise in index.chapter(attempt.chapter).exercises:
            failed = carry.earlier_failures(exercise, mine)
            with contextlib.suppress(sections.SectionError):
                if failed:
                    text = carry.text(attempt.text, exercise, failed)
                    key = fingerprint.key(text, exercise, require, config.policy)
                    found.append((attempt, exercise.id, text, key, carry.blamed(attempt.text, exercise, failed)))
    return found


@dataclass
class _Work:
    """What a run grades, and what has become of it.

    forced: graded whatever is stored. replaced: verdicts that take the place of others, at the end. given_up: (student,
    exercises, why). carried: what is graded on the reference's earlier answers, and which those are.
    """

    book: Gradebook
    config: Config
    require: Level
    workers: batch.Workers
    progress: Progress
    forced: set[Place]
    total: int = 0
    done: int = 0
    tasks: list[Task] = field(default_factory=list)
    also: dict[Place, list[str]] = field(default_factory=dict)  # who else of a group has this very text
    carried: dict[Place, list[str]] = field(default_factory=dict)
    replaced: list[tuple[str, list[dict[str, Any]]]] = field(default_factory=list)
    given_up: list[tuple[str, list[str], str]] = field(default_factory=list)
    _ended: dict[Place, str] = field(default_factory=dict)

    def plan(self, texts: list[tuple[Attempt, str, dict[str, str]]]) -> int:
        """Make tasks of what has no verdict yet. Returns how many have theirs."""
        graded, unchanged = self.book.graded() - self.forced, 0
        version = fingerprint.course_version()
        first: dict[Place, str] = {}
        for attempt, text, keys in texts:
            missing = {e: key for e, key in keys.items() if (attempt.student, e, key) not in graded}
            unchanged += len(keys) - len(missing)
            group = self.config.group_of(attempt.student)
            # One exercise at a time: each is run by itself anyway, and is stored as soon as it is done.
            for e, key in missing.items():
                if group and (one := first.setdefault((group, e, key), attempt.student)) != attempt.student:
                    self.also.setdefault((one, e, key), []).append(attempt.student)
                    continue
                task = Task(attempt.student, attempt.chapter, text, {e: key}, version, self.require, self.config.policy)
                self.tasks.append(task)
        self.total = self.done + sum(len(task.keys) for task in self.tasks)
        return unchanged

    def run(self) -> None:
        """Have the tasks graded, and keep each verdict as it comes."""
        old = self.book.faulty() | self.forced
        tasks, self.tasks = self.tasks, []
        for task, results in batch.run(tasks, self.workers) if tasks else ():
            ((exercise, key),) = task.keys.items()
            for student in (task.student, *self.also.get((task.student, exercise, key), ())):
                if isinstance(results, batch.GivenUp):
                    self.given_up.append((student, [exercise], results.reason))
                    continue
                earlier = self.carried.get((student, exercise, key))
                mine = [carry.silent(one, earlier) if earlier else one for one in results]
                for one in mine:
                    self._ended[student, exercise, key] = one["status"]
                if (student, exercise, key) in old:
                    self.replaced.append((student, mine))  # until the end the old verdict is shown
                else:
                    self.book.store(student, mine)
            self.done += len(task.keys)
            self.progress(self.done, self.total, task.student)

    def statuses(self) -> dict[Place, str]:
        """How each ended, stored or new."""
        return self.book.statuses() | self._ended


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
