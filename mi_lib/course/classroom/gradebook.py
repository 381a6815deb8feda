"""The gradebook: one SQLite file with every attempt, every verdict, every manual adjustment, and why.

Each verdict is one row under (student, exercise, key), where the key is a hash of all that it depends on. A row is
written in one transaction, so a grader that is killed leaves whole verdicts or none; and it can be written only once,
so whatever is graded twice is stored once. Grades are not stored at all: `points` works them out from these rows.

Who handed in what, which verdict counts for it and under which settings changes in one transaction, at the end of a run
(`whole`). So a run that is killed midway leaves the state before it, with its adjustments, and the mark `unfinished`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mi_lib.course import files, index, nearest, texts
from mi_lib.course.classroom import config, fingerprint
from mi_lib.course.classroom.config import Config
from mi_lib.course.classroom.submissions import Submission
from mi_lib.course.index import CourseError

LAYOUT = 1
FILE = "gradebook.sqlite"
_OF_A_STUDENT = ("attempt", "verdict", "applies", "carried", "adjustment", "given_up", "remark")
UNFINISHED = "The last run of `mi grade` was not finished: this is the class as it was before. Run it again."
_TABLES = """
CREATE TABLE IF NOT EXISTS settings (id INTEGER PRIMARY KEY CHECK (id = 0), text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS student (
    name TEXT PRIMARY KEY, source TEXT NOT NULL, notes TEXT NOT NULL, problems TEXT NOT NULL, seen REAL NOT NULL);
CREATE TABLE IF NOT EXISTS attempt (
    student TEXT NOT NULL, chapter TEXT NOT NULL, hash TEXT NOT NULL, number INTEGER NOT NULL, text TEXT NOT NULL,
    received TEXT, seen REAL NOT NULL, PRIMARY KEY (student, chapter, hash));
CREATE TABLE IF NOT EXISTS verdict (
    student TEXT NOT NULL, exercise TEXT NOT NULL, key TEXT NOT NULL, status TEXT NOT NULL, points REAL NOT NULL,
    max_points REAL NOT NULL, seconds REAL NOT NULL, isolation TEXT NOT NULL, version TEXT NOT NULL,
    graded_at REAL NOT NULL, course_fault INTEGER NOT NULL, report TEXT NOT NULL,
    PRIMARY KEY (student, exercise, key));
CREATE TABLE IF NOT EXISTS applies (
    student TEXT NOT NULL, chapter TEXT NOT NULL, hash TEXT NOT NULL, exercise TEXT NOT NULL, key TEXT NOT NULL,
    PRIMARY KEY (student, chapter, hash, exercise));
CREATE TABLE IF NOT EXISTS carried (
    student TEXT NOT NULL, chapter TEXT NOT NULL, hash TEXT NOT NULL, exercise TEXT NOT NULL, key TEXT NOT NULL,
    PRIMARY KEY (student, chapter, hash, exercise));
CREATE TABLE IF NOT EXISTS adjustment (
    id INTEGER PRIMARY KEY, student TEXT NOT NULL, exercise TEXT NOT NULL, points REAL, reason TEXT NOT NULL,
    made_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS run (id INTEGER PRIMARY KEY CHECK (id = 0), begun REAL NOT NULL);
CREATE TABLE IF NOT EXISTS remark (
    id INTEGER PRIMARY KEY, student TEXT NOT NULL, exercise TEXT NOT NULL, criterion TEXT NOT NULL, text TEXT NOT NULL,
    made_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS given_up (
    student TEXT NOT NULL, exercise TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (student, exercise));
"""


@dataclass(frozen=True)
class Attempt:
    """One text that a student handed in for a chapter. number: 1 for the first that was seen."""

    student: str
    chapter: str
    hash: str
    number: int
    text: str
    received: datetime | None
    seen: float  # when it was last there


@dataclass(frozen=True)
class Adjustment:
    """What an instructor decided. points: None lifts the adjustments before it."""

    student: str
    exercise: str
    points: float | None
    reason: str
    made_at: float


@dataclass(frozen=True)
class Remark:
    """What an instructor says of an answer, without points.

    number: by which it is withdrawn. exercise: "" for all that a student handed in. criterion: of the rubric, and then
    the text is one of its levels; "" for a comment.
    """

    number: int
    student: str
    exercise: str
    criterion: str
    text: str
    made_at: float


class Gradebook:
    """An open gradebook. Use it as a context manager."""

    def __init__(self, path: Path | str, make: bool = False):
        """Open the file, or the gradebook in a folder. Raises `CourseError` if there is none and none may be made."""
        path = Path(path)
        self.path = path / FILE if path.is_dir() or (make and path.suffix != ".sqlite") else path
        if not make and not self.path.is_file():
            raise CourseError(f"There is no gradebook at {self.path}. `mi grade SUBMISSIONS -o FOLDER` makes one.")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
            # The write-ahead log lets pages read while grades are written; it cannot be shared over a network.
            self._db.execute(f"PRAGMA journal_mode={'DELETE' if files.on_network(self.path) else 'WAL'}")
            self._db.execute("PRAGMA synchronous=FULL")
            layout = self._db.execute("PRAGMA user_version").fetchone()[0]
            if layout > LAYOUT:
                raise CourseError(f"{self.path} was made by a newer version of the course. Update the course.")
            with self.whole():
                for statement in _TABLES.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={LAYOUT}")
        except (sqlite3.Error, OSError) as error:
            raise CourseError(f"The gradebook {self.path} cannot be used ({error}).") from error

    def __enter__(self) -> Gradebook:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    @contextlib.contextmanager
    def whole(self, keep: bool = True) -> Iterator[None]:
        """All that is written inside is kept, or nothing of it: if it fails, or without `keep`, when it was a trial."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT" if keep else "ROLLBACK")

    @property
    def settings(self) -> Config:
        """The settings of the last run that was finished."""
        row = self._db.execute("SELECT text FROM settings").fetchone()
        return config.restore(row[0]) if row else Config()

    @settings.setter
    def settings(self, value: Config) -> None:
        with self.whole():
            self._db.execute("INSERT OR REPLACE INTO settings VALUES (0, ?)", (config.dump(value),))

    @property
    def unfinished(self) -> float | None:
        """When the run began that was not finished; None if all were. Grades are those of the state before it."""
        row = self._db.execute("SELECT begun FROM run").fetchone()
        return row[0] if row else None

    def mark(self, unfinished: bool) -> None:
        """Note that a run begins, or that it is done."""
        with self.whole():
            self._db.execute("DELETE FROM run")
            if unfinished:
                self._db.execute("INSERT INTO run VALUES (0, ?)", (time.time(),))

    # -- writing ------------------------------------------------------------------------------------------------

    def hand_in(self, submissions: Iterable[Submission], now: float | None = None) -> None:
        """Note who handed in what. A text that is new for its student and chapter is a new attempt.

        A text that came twice counts from when it came first. now: when that is noted, in seconds since 1970.
        """
        now = time.time() if now is None else now
        with self.whole():
            for each in submissions:
                self._db.execute(
                    "INSERT OR REPLACE INTO student VALUES (?, ?, ?, ?, ?)",
                    (each.student, each.source, json.dumps(each.notes), json.dumps(each.problems), now),
                )
                for chapter, text in each.texts.items():
                    self._attempt(each, chapter, text, now)

    def _attempt(self, each: Submission, chapter: str, text: str, now: float) -> None:
        mine = (each.student, chapter)
        count = self._db.execute("SELECT count(*) FROM attempt WHERE student=? AND chapter=?", mine).fetchone()[0]
        came = each.received.get(chapter)
        received = came.astimezone(UTC).isoformat() if came else None  # of one zone, texts compare as instants do
        self._db.execute(
            "INSERT INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET seen=excluded.seen, "
            "received=CASE WHEN received IS NULL OR excluded.received < received THEN excluded.received "
            "ELSE received END",
            (*mine, fingerprint.text_hash(text), count + 1, text.encode("utf-8", "replace").decode(), received, now),
        )

    def apply(self, attempt: Attempt, keys: dict[str, str]) -> None:
        """Say which verdict counts for each exercise of an attempt: those under these keys."""
        with self.whole():
            self._db.executemany(
                "INSERT OR REPLACE INTO applies VALUES (?, ?, ?, ?, ?)",
                [(attempt.student, attempt.chapter, attempt.hash, e, key) for e, key in keys.items()],
            )

    def carry(self, attempt: Attempt, keys: dict[str, str]) -> None:
        """Say which verdict on the reference's earlier answers there is for an attempt's exercises; no other counts."""
        with self.whole():
            place = (attempt.student, attempt.chapter, attempt.hash)
            self._db.execute("DELETE FROM carried WHERE student=? AND chapter=? AND hash=?", place)
            rows = [(*place, exercise, key) for exercise, key in keys.items()]
            self._db.executemany("INSERT INTO carried VALUES (?, ?, ?, ?, ?)", rows)

    def store(self, student: str, results: Iterable[dict[str, Any]], anew: bool = False) -> int:
        """Keep these verdicts, all or none. Returns how many were new.

        A verdict that is there stays as it is, unless the course itself had broken when it was made, or with `anew`.
        """
        new = 0
        with self.whole():
            for r in results:
                if anew:
                    place = (student, r["exercise"], r["key"])
                    self._db.execute("DELETE FROM verdict WHERE student=? AND exercise=? AND key=?", place)
                done = self._db.execute(
                    "INSERT INTO verdict VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                    "status=excluded.status, points=excluded.points, seconds=excluded.seconds, "
                    "isolation=excluded.isolation, graded_at=excluded.graded_at, "
                    "course_fault=excluded.course_fault, report=excluded.report WHERE verdict.course_fault=1",
                    (
                        *(student, r["exercise"], r["key"], r["status"], r["points"], r["max_points"], r["seconds"]),
                        *(r["isolation"], r["version"], r["graded_at"], int(r["course_fault"]), json.dumps(r)),
                    ),
                )
                new += done.rowcount
        return new

    def give_up(self, student: str, exercises: Iterable[str], reason: str = "") -> None:
        """Note that exercises could not be graded, and why. The next run tries them again; no reason: they could be."""
        with self.whole():
            if not reason:
                gone = [(student, exercise) for exercise in exercises]
                self._db.executemany("DELETE FROM given_up WHERE student=? AND exercise=?", gone)
                return
            rows = [(student, exercise, texts.line(reason)) for exercise in exercises]
            self._db.executemany("INSERT OR REPLACE INTO given_up VALUES (?, ?, ?)", rows)

    def adjust(self, student: str, exercise: str, points: float | None, reason: str) -> None:
        """Set the points of an exercise by hand (None: lift that). Nothing is overwritten; the last one counts.

        Raises `CourseError` for a student who is not there, and for more points than the exercise has, or fewer than 0.
        """
        self._must_have(student)
        most = index.exercise(exercise).points
        if points is not None and not 0 <= points <= most:
            raise CourseError(f"{exercise} has {most} points, so {points:g} cannot be given. Give 0 to {most}.")
        with self.whole():
            self._db.execute(
                "INSERT INTO adjustment (student, exercise, points, reason, made_at) VALUES (?, ?, ?, ?, ?)",
                (student, exercise, points, reason, time.time()),
            )

    def comment(self, student: str, text: str, exercise: str = "", criterion: str = "") -> int:
        """Keep what an instructor says of an answer, or of all that a student handed in. Returns its number.

        criterion: of the rubric in the settings; the text is one of its levels then, and takes the place of the level
        before. Raises `CourseError` for a student, criterion or level that is not there, with the nearest.
        """
        self._must_have(student)
        if not texts.line(text):
            raise CourseError("The comment is empty. Write what is to be said.")
        if criterion:
            criterion, text = _level(self.settings.rubric, criterion, text)
        with self.whole():
            if criterion:
                place = (student, exercise, criterion)
                self._db.execute("DELETE FROM remark WHERE student=? AND exercise=? AND criterion=?", place)
            done = self._db.execute(
                "INSERT INTO remark (student, exercise, criterion, text, made_at) VALUES (?, ?, ?, ?, ?)",
                (student, exercise, criterion, texts.clean(text).strip(), time.time()),
            )
        return int(done.lastrowid or 0)

    def withdraw(self, student: str, number: int) -> None:
        """Take back a comment. Raises `CourseError` if this student has none of this number."""
        mine = [remark.number for remark in self.remarks() if remark.student == student]
        if number not in mine:
            there = ", ".join(map(str, mine)) or "none"
            raise CourseError(f"{student} has no comment {number}. There are: {there}; `mi grade explain` shows them.")
        with self.whole():
            self._db.execute("DELETE FROM remark WHERE id=?", (number,))

    def remove(self, student: str) -> None:
        """Forget a student, with attempts, verdicts and adjustments. Raises `CourseError` if there is none."""
        self._must_have(student)
        with self.whole():
            self._db.execute("DELETE FROM student WHERE name=?", (student,))
            for table in _OF_A_STUDENT:
                self._db.execute(f"DELETE FROM {table} WHERE student=?", (student,))

    def merge(self, student: str, into: str) -> None:
        """Make two students one: what the first handed in is the second's from now on, in later runs too.

        Attempts are counted in the order in which they were seen. Raises `CourseError` if one of them is not there.
        """
        self._must_have(student)
        self._must_have(into)
        if student == into:
            raise CourseError(f"{student} and {into} are one student already.")
        with self.whole():
            for table in _OF_A_STUDENT:  # what both have alike stays once
                self._db.execute(f"UPDATE OR IGNORE {table} SET student=? WHERE student=?", (into, student))
            source = self.students()[student]["source"]
            self.remove(student)
            rows = self._db.execute(
                "SELECT chapter, hash FROM attempt WHERE student=? ORDER BY chapter, seen, number", (into,)
            ).fetchall()
            for chapter, group in itertools.groupby(rows, key=lambda row: row[0]):
                for number, (_, text) in enumerate(group, start=1):
                    place = (number, into, chapter, text)
                    self._db.execute("UPDATE attempt SET number=? WHERE student=? AND chapter=? AND hash=?", place)
            kept = self.settings
            self.settings = replace(kept, students={**kept.students, student: into, source: into})

    def _must_have(self, student: str) -> None:
        if student not in self.students():
            raise CourseError(f"The gradebook has no student {student!r}.{nearest.hint(student, self.students())}")

    # -- reading ------------------------------------------------------------------------------------------------

    def students(self) -> dict[str, dict[str, Any]]:
        """Everybody: {name: {source, notes, problems, seen}}."""
        rows = self._db.execute("SELECT name, source, notes, problems, seen FROM student ORDER BY name")
        return {
            name: {"source": source, "notes": json.loads(notes), "problems": json.loads(problems), "seen": seen}
            for name, source, notes, problems, seen in rows
        }

    def names(self) -> set[str]:
        """Everybody's names, those of the export too."""
        return {name for student, facts in self.students().items() for name in (student, facts["source"])}

    def labels(self) -> dict[str, set[str]]:
        """student → what exports call the student."""
        found = {student: {facts["source"]} for student, facts in self.students().items()}
        for label, student in self.settings.students.items():
            found.get(student, set()).add(label)
        return found

    def attempts(self) -> list[Attempt]:
        """All attempts, each student's in order."""
        rows = self._db.execute(
            "SELECT student, chapter, hash, number, text, received, seen FROM attempt ORDER BY student, chapter, number"
        )
        return [
            Attempt(student, chapter, text_hash, number, text, datetime.fromisoformat(came) if came else None, seen)
            for student, chapter, text_hash, number, text, came, seen in rows
        ]

    def faulty(self) -> set[tuple[str, str, str]]:
        """(student, exercise, key) of every verdict in which a test of the course broke."""
        return set(self._db.execute("SELECT student, exercise, key FROM verdict WHERE course_fault=1"))

    def graded(self) -> set[tuple[str, str, str]]:
        """(student, exercise, key) of every verdict that stands."""
        return set(self._db.execute("SELECT student, exercise, key FROM verdict WHERE course_fault=0"))

    def statuses(self) -> dict[tuple[str, str, str], str]:
        """(student, exercise, key) → how it ended, of every verdict that stands."""
        rows = self._db.execute("SELECT student, exercise, key, status FROM verdict WHERE course_fault=0")
        return {(student, exercise, key): status for student, exercise, key, status in rows}

    def verdicts(self, carried: bool = False) -> dict[tuple[str, str, str, str], dict[str, Any]]:
        """(student, chapter, text hash, exercise) → the verdict that applies to that attempt.

        carried: the verdicts on the reference's earlier answers instead.
        """
        rows = self._db.execute(
            "SELECT a.student, a.chapter, a.hash, a.exercise, v.report "
            f"FROM {'carried' if carried else 'applies'} a JOIN verdict v "
            "ON v.student=a.student AND v.exercise=a.exercise AND v.key=a.key"
        )
        return {
            (student, chapter, text, exercise): json.loads(report) for student, chapter, text, exercise, report in rows
        }

    def given_up(self) -> dict[tuple[str, str], str]:
        """(student, exercise) → why it could not be graded."""
        return {(s, e): reason for s, e, reason in self._db.execute("SELECT student, exercise, reason FROM given_up")}

    def remarks(self) -> list[Remark]:
        """All comments and marks of the rubric, in the order in which they were made."""
        rows = self._db.execute("SELECT id, student, exercise, criterion, text, made_at FROM remark ORDER BY id")
        return [Remark(*row) for row in rows]

    def adjustments(self) -> list[Adjustment]:
        """All of them, in the order in which they were made."""
        rows = self._db.execute("SELECT student, exercise, points, reason, made_at FROM adjustment ORDER BY id")
        return [Adjustment(*row) for row in rows]


def _level(rubric: Mapping[str, tuple[str, ...]], criterion: str, level: str) -> tuple[str, str]:
    """(criterion, level) as the settings write them."""
    if not rubric:
        raise CourseError('The settings have no rubric. Write one, such as: [rubric] readable = ["no", "yes"].')
    names = {name.casefold(): name for name in rubric}
    if criterion.casefold() not in names:
        raise CourseError(f"The rubric has no {criterion!r}.{nearest.hint(criterion, rubric) or _there(rubric)}")
    criterion = names[criterion.casefold()]
    levels = {name.casefold(): name for name in rubric[criterion]}
    if level.strip().casefold() not in levels:
        known = rubric[criterion]
        raise CourseError(f"{criterion!r} has no level {level!r}.{nearest.hint(level, known) or _there(known)}")
    return criterion, levels[level.strip().casefold()]


def _there(known: Iterable[str]) -> str:
    return f" There are: {', '.join(known)}."
