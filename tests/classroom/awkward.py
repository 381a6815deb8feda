"""The workshop of the awkward classes: a course of two chapters, a box to put submissions in, and what came of it.

    python tests/classroom/awkward.py          which kinds are tried, which stop a class, which are graded wrongly

A kind is a function of a `Box` that hands something in, has it graded by `mi grade` itself, and returns what is wrong
with the outcome, a sentence each; none if all is as it should be. An exception is a class that was stopped. The kinds
stand in `awkward_*.py` beside this file, by what is awkward about them. Beside whoever is awkward sits bob, whose
answers are right: he always gets all his points.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from small_class import RIGHT, STUB, packed, small

from mi_lib.cli import cli
from mi_lib.course.classroom import batch, points, work
from mi_lib.course.classroom.gradebook import Gradebook
from mi_lib.course.index import CourseError

HERE = Path(__file__).parent
RIGHT91 = RIGHT.replace("90.", "91.")
BOB = ("bob/exercises.py", RIGHT.encode())
NOON = 1_790_000_000  # when things are handed in, unless a kind says otherwise


@dataclass(frozen=True)
class Kind:
    about: str  # "intake", "names", "grades", "notebooks", ...
    title: str
    check: Callable[[Box], list[str]]


KINDS: list[Kind] = []


def kind(about: str, title: str) -> Callable[[Callable[[Box], list[str]]], Callable[[Box], list[str]]]:
    """Add a kind to the table."""

    def add(check: Callable[[Box], list[str]]) -> Callable[[Box], list[str]]:
        KINDS.append(Kind(about, title, check))
        return check

    return add


@functools.cache
def kinds() -> list[Kind]:
    """All kinds, in the order of their files."""
    for file in sorted(HERE.glob("awkward_*.py")):
        importlib.import_module(file.stem)
    return KINDS


@dataclass
class Box:
    """A place to hand in. top: a folder of its own. path: what is graded, the folder `handed_in` unless it is a zip."""

    top: Path
    runs: list[Any] = field(default_factory=list)  # what `mi` was asked and said

    @property
    def handed_in(self) -> Path:
        return self.top / "handed_in"

    @property
    def out(self) -> Path:
        return self.top / "out"

    def put(self, name: str | bytes, content: str | bytes = RIGHT, when: float = NOON) -> Path:
        """A file that is handed in. name: path below the folder, as bytes where it is no text."""
        path = Path(os.fsdecode(os.fsencode(self.handed_in) + b"/" + os.fsencode(name)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.utime(path, (when, when))
        return path

    def beside_bob(self) -> None:
        self.put("bob/exercises.py")

    def zip(self, *files: tuple[str, bytes], change: Callable[[bytes], bytes] = lambda data: data, **how: Any) -> Path:
        """A class in one zip; bob is in it too. change: what is done to its bytes afterwards."""
        path = self.top / "class.zip"
        path.write_bytes(change(packed(BOB, *files, **how)))
        return path

    def mi(self, *words: object) -> tuple[int, str]:
        """Run `mi …` in this process: (exit code, all that it said). Raises what it raises."""
        done = CliRunner().invoke(cli, [str(word) for word in words])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    def grade(self, path: Path | None = None, *options: object, config: str = "") -> tuple[int, str]:
        """`mi grade` on what was handed in."""
        if config:
            (self.top / "course.toml").write_text(config, "utf-8")
            options = ("--config", self.top / "course.toml", *options)
        return self.mi("grade", path or self.handed_in, "-o", self.out, *options)

    def students(self) -> dict[str, points.Student]:
        """What the gradebook says, with the settings that it keeps."""
        with Gradebook(self.out) as book:
            return {student.name: student for student in points.grades(book, book.settings)}

    def outcome(
        self,
        want: dict[str, float],
        says: dict[str, str] | None = None,
        others: list[float] | None = None,
        silent: tuple[str, ...] = (),
    ) -> list[str]:
        """What is wrong: everybody's points against those that they should have, reports, and words.

        says: what the remarks on somebody must hold. others: the points of all that `want` does not name.
        silent: who must have no problem.
        """
        found = self.students()
        wrong = [
            f"{name} has {found[name].total if name in found else 'no'} points, not {total:g}"
            for name, total in want.items()
            if name not in found or found[name].total != total
        ]
        rest = sorted(student.total for name, student in found.items() if name not in want)
        if rest != sorted(others or []):
            names = [name for name in found if name not in want]
            wrong.append(f"the others, {names}, have {rest} points, not {others or []}")
        for name, words in (says or {}).items():
            told = remarks(found[name]) if name in found else ""
            if words not in told:
                wrong.append(f"{name} is not told {words!r} but {told!r}")
        wrong += [f"{name} has the problems {found[name].problems}" for name in silent if found[name].problems]
        return [*wrong, *self.reports(found)]

    def reports(self, found: dict[str, points.Student]) -> list[str]:
        """What is wrong with the reports: each must be there for everybody, readable, with his points."""
        wrong = []
        rows = list(csv.DictReader((self.out / "grades.csv").read_text("utf-8-sig").splitlines()))
        if len(rows) != len(found):
            wrong.append(f"grades.csv has {len(rows)} rows for {len(found)} students")
        cells = [cell or "" for row in rows for cell in row.values()]
        wrong += [f"a formula in grades.csv: {c[:20]!r}" for c in cells if c.lstrip()[:1] in ("=", "+", "@")]
        for folder, ending in (("students", ".html"), ("gradescope", ".json")):
            files = list((self.out / folder).glob(f"*{ending}"))
            if len(files) != len(found):
                wrong.append(f"{folder}/ has {len(files)} files for {len(found)} students")
            for file in files:
                file.read_text("utf-8")
        if len(json.loads((self.out / "grades.json").read_text("utf-8"))) != len(found):
            wrong.append("grades.json does not hold everybody")
        return wrong


def remarks(student: points.Student) -> str:
    """All that a report says about a student besides the tests."""
    why = [f"{e}: {said}" for e, grade in student.grades.items() for said in grade.why]
    told = [g.verdict["diagnosis"] for g in student.grades.values() if g.verdict]
    return " | ".join([*student.problems, *student.notes, *why, *told])


def refused(box: Box, path: Path | None = None, config: str = "", words: str = "") -> list[str]:
    """That a run is refused with these words."""
    try:
        box.grade(path, config=config)
    except CourseError as error:
        return [] if words in str(error) else [f"it says {str(error)!r}, without {words!r}"]
    return ["it is accepted without a word"]


# -- grading, each text once ---------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=512)
def _graded(chapter: str, text: str, exercise: str, require: str, policy: str) -> str:
    task = work.Task("", chapter, text, {exercise: ""}, "", require, policy)  # type: ignore[arg-type]
    (verdict,) = [work._verdict(task, work.index.chapter(chapter).exercise(e)) for e in task.keys]
    return json.dumps(verdict)


def graded_once(task: work.Task) -> list[dict[str, Any]]:
    """`work.grade`, which grades what it has graded before no second time: most of these classes differ around bob."""
    found = []
    for exercise, key in task.keys.items():
        verdict = json.loads(_graded(task.chapter, task.text, exercise, task.require, task.policy))
        found.append(verdict | {"key": key, "version": task.version})
    return found


class _Once(Executor):
    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result((graded_once if fn is work.grade else fn)(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


WORKERS = batch.Workers(lambda: contextlib.nullcontext(_Once()), 1)


def place() -> Path:
    """A new folder, in memory where the system has that: these classes are many small files."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="mi-class-", dir=memory if os.access(memory, os.W_OK) else None))


@contextlib.contextmanager
def course() -> Iterator[None]:
    """The small course with two chapters, 90 and 91, graded in this process."""
    with tempfile.TemporaryDirectory(prefix="mi-awkward-") as folder, pytest.MonkeyPatch.context() as patch:
        root = small.make_course(Path(folder), patch)
        for place in ("chapters", "solutions"):
            for path in (root / place / "ch90_sums").iterdir():
                copy = root / place / "ch91_more" / path.name
                copy.parent.mkdir(exist_ok=True)
                text = path.read_text("utf-8").replace('"90', '"91').replace("[90", "[91").replace("90.", "91.")
                copy.write_text(text.replace("90-", "91-").replace('"sums"', '"more"'), "utf-8")
        patch.setattr(batch, "processes", lambda jobs: WORKERS)
        yield


def run(one: Kind) -> tuple[str, list[str]]:
    """(why the class was stopped, what is wrong otherwise); both empty if all is well."""
    folder = place()
    try:
        return "", one.check(Box(folder))
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}", []
    finally:
        shutil.rmtree(os.fsencode(folder), ignore_errors=True)


def main() -> None:
    stopped, wrong = [], []
    for one in kinds():
        started = time.monotonic()
        with course():
            why, faults = run(one)
        mark = "STOPPED" if why else "WRONG" if faults else "ok"
        print(f"{mark:8} {time.monotonic() - started:5.2f} s  {one.about}: {one.title}")
        for said in [why, *faults]:
            if said:
                print(f"                   {said!r}"[:300])
        stopped += [one] if why else []
        wrong += [one] if faults else []
    work.close()
    print(f"{len(KINDS)} kinds of awkward classes tried, {len(stopped)} stopped, {len(wrong)} graded wrongly.")
    sys.exit(1 if stopped or wrong else 0)


if __name__ == "__main__":
    sys.modules["awkward"] = sys.modules["__main__"]  # the kinds are added to this table
    main()

__all__ = ["BOB", "NOON", "RIGHT", "RIGHT91", "STUB", "Box", "kind", "packed", "refused", "remarks"]
