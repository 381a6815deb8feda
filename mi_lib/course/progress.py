"""What the learner has done, in one SQLite file of the workspace. Every text that was ever checked is kept in it.

Each call opens the file, does one transaction and closes it, so a page with many threads and a terminal can share it,
and a process that is killed loses nothing that it had reported as stored.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from mi_lib.course import files
from mi_lib.course.index import CourseError, exercise

if TYPE_CHECKING:
    from mi_lib.course.workspace import Workspace

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY,
    exercise TEXT NOT NULL,
    at TEXT NOT NULL,
    status TEXT NOT NULL,
    passed INTEGER NOT NULL,
    points REAL NOT NULL,
    source TEXT NOT NULL,
    verdict TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS attempts_by_exercise ON attempts (exercise, id);
CREATE TABLE IF NOT EXISTS help (
    exercise TEXT PRIMARY KEY,
    hints_shown INTEGER NOT NULL DEFAULT 0,
    solution_seen INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS predictions (
    chapter TEXT NOT NULL,
    question TEXT NOT NULL,
    choice TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (chapter, question)
);
CREATE TABLE IF NOT EXISTS place (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    exercise TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS choices (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
"""


class State(NamedTuple):
    """How a learner stands with one exercise."""

    passed: bool = False
    attempts: int = 0
    best_points: float = 0.0
    hints_shown: int = 0
    solution_seen: bool = False


class Attempt(NamedTuple):
    """One check of one exercise, with the text that was checked."""

    exercise_id: str
    at: str  # ISO time, UTC
    status: str
    passed: bool
    points: float
    source: str
    verdict: dict[str, Any]


class Progress:
    """The progress file of a workspace. `notice` says, in a sentence, if a damaged one had to be put aside."""

    def __init__(self, where: Workspace | Path | str):
        self.path = Path(where) if isinstance(where, str | Path) else where.progress_path
        self.notice = ""
        self._wal = not files.on_network(self.path.parent)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CourseError(f"Progress cannot be kept in {self.path.parent} ({error.strerror}).") from error
        self._do(lambda db: None, check=True)

    # -- writing ------------------------------------------------------------------------------------------------

    def record(self, verdict: Any, source: str) -> None:
        """Store a verdict and the text it is about. When this returns, both are on the disk."""
        row = (
            verdict.exercise_id,
            _now(),
            verdict.status,
            int(verdict.passed),
            float(verdict.points),
            source,
            json.dumps(verdict.to_dict(), default=str),
        )
        columns = "exercise, at, status, passed, points, source, verdict"
        self._do(lambda db: db.execute(f"INSERT INTO attempts ({columns}) VALUES (?,?,?,?,?,?,?)", row))

    def reveal_hint(self, exercise_id: str) -> int:
        """Show one hint more. Returns how many are shown now (never more than there are)."""
        most = len(exercise(exercise_id).hints)

        def work(db: sqlite3.Connection) -> int:
            db.execute("INSERT OR IGNORE INTO help (exercise) VALUES (?)", (exercise_id,))
            db.execute("UPDATE help SET hints_shown = MIN(hints_shown + 1, ?) WHERE exercise = ?", (most, exercise_id))
            return db.execute("SELECT hints_shown FROM help WHERE exercise = ?", (exercise_id,)).fetchone()[0]

        return self._do(work)

    def mark_solution_seen(self, exercise_id: str) -> None:
        """Note that the learner has seen the reference answer."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR IGNORE INTO help (exercise) VALUES (?)", (exercise_id,))
            db.execute("UPDATE help SET solution_seen = 1 WHERE exercise = ?", (exercise_id,))

        self._do(work)

    def predict(self, chapter_number: str, question: str, choice: str) -> None:
        """Store what the learner expects (`question` is the id of a predict block). The first guess stands."""
        row = (chapter_number, question, choice, _now())
        self._do(lambda db: db.execute("INSERT OR IGNORE INTO predictions VALUES (?,?,?,?)", row))

    def work_on(self, exercise_id: str) -> None:
        """Note that this is the exercise that the learner works on."""
        if self.worked_on() != exercise_id:
            self._do(lambda db: db.execute("INSERT OR REPLACE INTO place VALUES (1, ?)", (exercise_id,)))

    def choose(self, name: str, value: str) -> None:
        """Note a choice of the learner's, such as the path that they take. "" takes it back."""
        self._do(lambda db: db.execute("INSERT OR REPLACE INTO choices VALUES (?,?)", (name, value)))

    # -- reading ------------------------------------------------------------------------------------------------

    def state(self, exercise_id: str) -> State:
        """How the learner stands with one exercise."""
        return self.states().get(exercise_id, State())

    def states(self) -> dict[str, State]:
        """The same for every exercise that was touched."""
        tries = "SELECT exercise, MAX(passed), COUNT(*), MAX(points) FROM attempts GROUP BY exercise"
        tried = self._do(lambda db: db.execute(tries).fetchall())
        helped = self._do(lambda db: db.execute("SELECT exercise, hints_shown, solution_seen FROM help").fetchall())
        result = {name: State(bool(passed), count, best) for name, passed, count, best in tried}
        for name, hints, seen in helped:
            result[name] = result.get(name, State())._replace(hints_shown=hints, solution_seen=bool(seen))
        return result

    def worked_on(self) -> str:
        """The exercise that was worked on last; "" if none was."""
        row = self._do(lambda db: db.execute("SELECT exercise FROM place").fetchone())
        if row is None:  # from before the place was kept
            last = "SELECT exercise FROM attempts ORDER BY id DESC LIMIT 1"
            row = self._do(lambda db: db.execute(last).fetchone())
        return row[0] if row else ""

    def chosen(self, name: str) -> str:
        """A choice of the learner's; "" if there is none."""
        row = self._do(lambda db: db.execute("SELECT value FROM choices WHERE name = ?", (name,)).fetchone())
        return row[0] if row else ""

    def passed_at(self) -> dict[str, str]:
        """For each exercise that was ever passed, when it was first: an ISO time, UTC."""
        first = "SELECT exercise, MIN(at) FROM attempts WHERE passed GROUP BY exercise"
        return dict(self._do(lambda db: db.execute(first).fetchall()))

    def last_attempt(self, exercise_id: str) -> Attempt | None:
        """The last check of an exercise, or None."""
        return next(iter(self._attempts(exercise_id, "DESC LIMIT 1")), None)

    def attempts(self, exercise_id: str) -> list[Attempt]:
        """Every check of an exercise, oldest first, with the text that was checked."""
        return self._attempts(exercise_id, "ASC")

    def _attempts(self, exercise_id: str, order: str) -> list[Attempt]:
        columns = "exercise, at, status, passed, points, source, verdict"
        query = f"SELECT {columns} FROM attempts WHERE exercise = ? ORDER BY id {order}"
        rows = self._do(lambda db: db.execute(query, (exercise_id,)).fetchall())
        return [Attempt(r[0], r[1], r[2], bool(r[3]), r[4], r[5], json.loads(r[6])) for r in rows]

    def last_sources(self, chapter_number: str) -> dict[str, str]:
        """The text that was checked last, for each exercise of a chapter that was ever checked."""
        query = "SELECT exercise, source FROM attempts WHERE id IN (SELECT MAX(id) FROM attempts GROUP BY exercise)"
        rows = self._do(lambda db: db.execute(query).fetchall())
        return {name: source for name, source in rows if name.startswith(f"{chapter_number}.")}

    def predictions(self, chapter_number: str) -> dict[str, str]:
        """What the learner predicted: question id -> chosen option."""
        query = "SELECT question, choice FROM predictions WHERE chapter = ?"
        return dict(self._do(lambda db: db.execute(query, (chapter_number,)).fetchall()))

    # -- the file -----------------------------------------------------------------------------------------------

    def _do(self, work: Callable[[sqlite3.Connection], T], check: bool = False) -> T:
        """One transaction. A damaged file is put aside, a fresh one begun, and the work done there."""
        try:
            try:
                return self._transaction(work, check)
            except sqlite3.Error as error:
                if not _is_damage(error):
                    raise
                with files.locked(self.path.with_name("progress.lock")):
                    if self._damaged():  # else another process has just put it aside
                        self._put_aside()
                return self._transaction(work, check=True)
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def _transaction(self, work: Callable[[sqlite3.Connection], T], check: bool) -> T:
        db = self._connect(check)
        try:
            with db:  # commits, or rolls back on an error
                return work(db)
        finally:
            db.close()

    def _connect(self, check: bool) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=10)
        try:
            # FULL: a commit returns only when the disk has it.
            db.execute("PRAGMA synchronous=FULL")
            if check:
                self._choose_journal(db)
                if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                    raise sqlite3.DatabaseError("quick_check failed")
            db.executescript(_SCHEMA) if check or not self._has_tables(db) else None
        except BaseException:
            db.close()
            raise
        return db

    def _choose_journal(self, db: sqlite3.Connection) -> None:
        """A write-ahead log where its shared memory works; on network file systems the plain rollback journal."""
        if self._wal:
            try:
                db.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" in str(error):
                    return  # someone is writing: the file keeps the mode it has
        with contextlib.suppress(sqlite3.OperationalError):
            db.execute("PRAGMA journal_mode=DELETE")

    @staticmethod
    def _has_tables(db: sqlite3.Connection) -> bool:
        """False if the file was deleted while we ran (SQLite then begins an empty one)."""
        return db.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'choices'").fetchone()[0] == 1

    def _damaged(self) -> bool:
        try:
            self._connect(check=True).close()
        except sqlite3.Error as error:
            return _is_damage(error)
        return False

    def _put_aside(self) -> None:
        stamp = datetime.datetime.now().strftime("%Y-%m-%d_%H%M%S_%f")
        aside = self.path.with_name(f"{self.path.name}.damaged_{stamp}")
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self.path}{suffix}", f"{aside}{suffix}")
        rows = self._salvage(aside)
        self.notice = (
            f"The progress file was damaged. It was kept as {aside.name}, and a new one was begun with the {rows} "
            "entries that could still be read. Your answers are in your exercise files: check them again to be sure."
        )

    def _salvage(self, aside: Path) -> int:
        """Copy every row that can still be read out of a damaged file. Returns how many."""
        rows: dict[str, list[tuple[Any, ...]]] = {
            table: [] for table in ("attempts", "help", "predictions", "place", "choices")
        }
        with contextlib.suppress(sqlite3.Error), contextlib.closing(_read_only(aside)) as old:
            for table, found in rows.items():
                # From both ends: a damaged page stops a scan, and what lies behind it is met from the other side.
                for order in ("ASC", "DESC"):
                    with contextlib.suppress(sqlite3.Error):
                        for row in old.execute(f"SELECT * FROM {table} NOT INDEXED ORDER BY rowid {order}"):
                            found.append(row)

        def insert(db: sqlite3.Connection) -> int:
            for table, found in rows.items():
                for row in found:
                    with contextlib.suppress(sqlite3.Error):  # a row that lost a required value
                        db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({','.join('?' * len(row))})", row)
            return sum(db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in rows)

        return self._transaction(insert, check=True)

    def _explain(self, error: sqlite3.Error) -> CourseError:
        if "locked" in str(error):
            return CourseError(f"{self.path} is in use by another program. Close it, or wait a moment, and try again.")
        return CourseError(f"{self.path} cannot be used ({error}). Check that the disk has room and is writable.")


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _is_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or str(error) == "quick_check failed"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
