"""`Grader`: a source text and an exercise in, a `Verdict` out.

This process is the trusted one. It holds the tests and the expected values, and never runs the learner's code: that
happens in a process which the fork server provides (`forkserver`, `server`, `child`) and `process` talks to.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from mi_lib.course.grading import reading, wording
from mi_lib.course.grading.forkserver import ForkServer, Limits, ServerGone
from mi_lib.course.grading.isolation import Isolation, Level
from mi_lib.course.grading.marks import GraderTest, tests_in
from mi_lib.course.grading.verdict import Verdict

if TYPE_CHECKING:
    from mi_lib.course.grading.process import Process
    from mi_lib.course.grading.running import Outcome
    from mi_lib.course.grading.runs import Run

T = TypeVar("T")
_MODULES: dict[Path, tuple[tuple[int, ...], list[GraderTest]]] = {}
_LOADING = threading.Lock()  # graders of several threads share the tests


class Grader:
    """Grades as often as asked, from any thread, one run at a time. Use it as a context manager, or call `close`.

    The fork server starts in the background with the grader and is replaced should it die.

    limits: of each exercise and submission. require: the least isolation to grade under (`isolation.LEVELS`); below it
    every grading raises `IsolationError`. library: what to do about a submission that takes the answer from the
    library: "flag" reports it, "refuse" also gives no points, and takes out of the learner's
    process what the exercise may not use (`withheld`). second_look: where a test breaks on an answer, the
    reference is put to it; if that passes, the answer has failed, so that nobody makes a test break to be excused.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        require: Level = "none",
        library: Literal["flag", "refuse"] = "flag",
        second_look: bool = False,
    ) -> None:
        self.limits = limits or Limits()
        self.require = require
        self.library = library
        self.second_look = second_look
        self._lock = threading.RLock()
        self._server: ForkServer | None = ForkServer()

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the fork server and everything that came of it."""
        with self._lock:
            if self._server:
                self._server.close()
            self._server = None

    def grade(
        self,
        source: str | Path,
        exercise: Any,
        *,
        time_limit: float | None = None,
        tests_from: Callable[[Any], list[GraderTest]] | None = None,
        halt: threading.Event | None = None,
        second_look: bool = False,
    ) -> Verdict:
        """Grade one exercise of a submission.

        source: the text of the learner's file, or a Path to it. exercise: anything with `id`, `points`, `time_limit`
        and `chapter.folder` (where test_exercises.py lies). time_limit: seconds, instead of the exercise's own.
        tests_from: which tests an exercise has, instead of those in test_exercises.py (an instructor's hidden ones).
        halt: once it is set, from any thread, the run is stopped and its verdict is "stopped". second_look: as of the
        grader, for this one.
        """
        from mi_lib.course.grading.contract import contract_of
        from mi_lib.course.grading.runs import (  # torch comes with it, while the server imports its own
            Run,
            make_verdict,
        )

        started = time.monotonic()
        limits = replace(self.limits, seconds=float(time_limit or exercise.time_limit))
        try:
            text, filename = read_source(source)
        except SourceError as error:
            return Verdict(exercise.id, "error", 0, exercise.points, diagnosis=str(error))
        if len(text) > reading.MAX_FILE:
            sentence = wording.too_long("all", len(text), reading.MAX_FILE)
            return Verdict(exercise.id, "error", 0, exercise.points, diagnosis=sentence)
        with self._lock:
            try:
                tests = (tests_from or tests_of)(exercise)
            except Exception as error:
                sentence = wording.no_tests(exercise.id, f"{type(error).__name__}: {error}")
                return Verdict(exercise.id, "error", 0, exercise.points, diagnosis=sentence, course_fault=True)
            notes = self._notes(text, exercise)
            if notes["library"] and self.library == "refuse":
                sentence = wording.library(exercise.id, notes["library"])
                return Verdict(exercise.id, "failed", 0, exercise.points, diagnosis=sentence, **notes)
            contract = contract_of(exercise.chapter.folder)
            watched, refuse = _answered_by(exercise), self.library == "refuse"
            without = _without(exercise) if refuse else None
            if without:  # what is not there need not be watched
                watched = [name for name in watched if name in without["uses"] or not name.startswith("mi_lib")]
            for _ in range(2):  # a server that died since the last run, or dies in this one, is replaced once
                try:
                    server = self._alive_server()
                    conditions = (self.require, watched, refuse, contract, halt, without, _not_to_be_seen(exercise))
                    run = Run(server, limits, text, filename, exercise.id, *conditions)
                    with run:
                        outcomes = [run.test(test) for test in tests]
                    if self.second_look or second_look:
                        outcomes = self._looked_at_again(outcomes, tests, exercise, replace(limits, seconds=60.0))
                except ServerGone:
                    reason = self._discard_server()
                else:
                    notes["library"] += self._when_it_ran(run.used, notes["library"], text, exercise)
                    seconds = time.monotonic() - started
                    return make_verdict(exercise, outcomes, run.printed, seconds, run.isolation, **notes)
        sentence = wording.server_gone(reason)
        return Verdict(exercise.id, "crashed", 0, exercise.points, diagnosis=sentence, ending="crashed", **notes)

    def _looked_at_again(
        self, outcomes: list[Outcome], tests: list[GraderTest], exercise: Any, limits: Limits
    ) -> list[Outcome]:
        """The outcomes, those blamed on the answer where a test broke on it that does not break on the reference."""
        from mi_lib.course.grading.contract import contract_of
        from mi_lib.course.grading.running import blame
        from mi_lib.course.grading.runs import Run

        file = getattr(exercise.chapter, "solutions_folder", exercise.chapter.folder) / "exercises.py"
        broken = {i for i, outcome in enumerate(outcomes) if outcome.course_fault}
        if not broken or not hasattr(exercise.chapter, "solutions_folder") or not file.is_file():
            return outcomes
        contract = contract_of(exercise.chapter.folder)
        with Run(
            self._alive_server(), limits, file.read_text("utf-8"), file.name, exercise.id, contract=contract
        ) as run:
            passes = {i: run.test(tests[i]).result.passed for i in broken}
        return [blame(outcome) if passes.get(i) else outcome for i, outcome in enumerate(outcomes)]

    def grade_all(self, source: str | Path, exercises: Iterable[Any]) -> list[Verdict]:
        """Grade several exercises of one submission, within the time that a whole submission may take."""
        verdicts, left = [], self.limits.submission_seconds
        for exercise in exercises:
            if left <= 0:
                sentence = wording.submission_over(self.limits.submission_seconds)
                over = Verdict(exercise.id, "timed out", 0, exercise.points, diagnosis=sentence, ending="timed out")
                verdicts.append(over)
                continue
            started = time.monotonic()
            verdicts.append(self.grade(source, exercise, time_limit=min(left, exercise.time_limit)))
            left -= time.monotonic() - started
        return verdicts

    def isolation(self) -> Isolation:
        """What is in force on this system: asked of a process in which nothing of a learner's runs."""
        return self.hold(lambda process: process.isolation, self.limits)

    def hold(
        self,
        work: Callable[[Process], T],
        limits: Limits,
        halt: threading.Event | None = None,
        exercise: Any = None,
    ) -> T:
        """What `work` returns, given a process of a learner's in which nothing has run yet. It ends with `work`.

        halt: once it is set, from any thread, the process is stopped. exercise: whose tests and answers are out of its
        view, as when it is graded. Raises `ServerGone` if its server ended twice.
        """
        from mi_lib.course.grading.process import Process

        hidden = _not_to_be_seen(exercise) if exercise is not None else ()
        with self._lock:
            for again in (True, False):
                try:
                    process = Process(self._alive_server(), limits, halt, hide=hidden)
                    try:
                        process.greet()
                        return work(process)
                    finally:
                        process.close()
                except ServerGone:
                    self._discard_server()
                    if not again:
                        raise
        raise AssertionError("the loop returns or raises")

    def _notes(self, text: str, exercise: Any) -> dict[str, Any]:
        """What the text gives away before it runs, for the verdict."""
        uses = reading.library_uses(text, exercise.id, _answered_by(exercise), _handed_out(exercise))
        return {"library": uses, "signs": reading.signs(text, exercise.id)}

    def _when_it_ran(self, used: dict[str, int], known: list[str], text: str, exercise: Any) -> list[str]:
        """Library functions that the text does not show, but that were called: names that were put together."""
        lines, given = text.splitlines(), {line.strip() for line in _handed_out(exercise).splitlines()}
        found = []
        for name, line in used.items():
            seen = any(use.split(" ")[0].endswith("." + name.partition(":")[2]) for use in known)
            if not seen and not (0 < line <= len(lines) and lines[line - 1].strip() in given):
                found.append(f"{reading.words(name)} (line {line}, seen when it ran)")
        return found

    def run(self, text: str, filename: str, exercise_id: str, limits: Limits, folder: Path) -> Run:
        """An open run, test by test (for pytest), of a chapter in this folder. Only one may be open at a time."""
        from mi_lib.course.grading.contract import contract_of
        from mi_lib.course.grading.runs import Run

        hide = [str(folder.resolve().parents[i] / name) for i, name in ((0, ""), (1, "solutions"))]
        contract = contract_of(folder)
        return Run(self._alive_server(), limits, text, filename, exercise_id, contract=contract, hide=hide)

    @property
    def server_pid(self) -> int:
        """The process number of the fork server, 0 if there is none (for `mi doctor`)."""
        return self._server.popen.pid if self._server else 0

    def _alive_server(self) -> ForkServer:
        if self._server is None or not self._server.alive:
            self._discard_server()
            self._server = ForkServer()
        return self._server

    def _discard_server(self) -> str:
        """Forget a server that is gone; returns why it went, if it said so."""
        reason = ""
        if self._server:
            reason = self._server.last_words()
            self._server.close()
        self._server = None
        return reason


def _answered_by(exercise: Any) -> Sequence[str]:
    return getattr(exercise, "answered_by", ())


def _without(exercise: Any) -> dict[str, Any]:
    """What the learner's process is to go without, for `withheld.withhold`."""
    uses = list(getattr(exercise, "uses", ()))
    return {"exercise": exercise.id, "answers": list(_answered_by(exercise)), "uses": uses}


def _not_to_be_seen(exercise: Any) -> list[str]:
    """The folders with tests and reference answers of all chapters."""
    chapter = exercise.chapter
    folders = (chapter.folder, getattr(chapter, "solutions_folder", chapter.folder))
    return sorted({str(folder.resolve().parent) for folder in folders})


def _handed_out(exercise: Any) -> str:
    """The stub, whose lines are not the learner's."""
    stub = exercise.chapter.folder / "exercises.py"
    return stub.read_text("utf-8") if stub.is_file() else ""


class SourceError(Exception):
    """A learner's file that cannot be read; the text says what to do."""


def read_source(source: str | Path) -> tuple[str, str]:
    """(text, file name for tracebacks) of a text or a path. SourceError if it cannot be read."""
    if isinstance(source, str):
        return source, "exercises.py"
    try:
        return source.read_text(encoding="utf-8-sig"), source.name
    except FileNotFoundError:
        raise SourceError(f"There is no file {source}. `mi init` makes the files of your workspace.") from None
    except UnicodeDecodeError:
        raise SourceError(f"{source} is not UTF-8 text. Save it in your editor with the encoding UTF-8.") from None
    except OSError as error:
        raise SourceError(f"{source} cannot be read ({error.strerror}). Check the path and its permissions.") from None


def prepare(folder: Path) -> None:
    """Load what the first check of an exercise in this chapter's folder would load. Later calls cost nothing."""
    from mi_lib.course.grading import contract, runs  # noqa: F401 - `runs` brings torch

    contract.contract_of(folder)
    load_tests(folder / "test_exercises.py")


def tests_of(exercise: Any) -> list[GraderTest]:
    """The tests of one exercise. LookupError if it has none."""
    file = exercise.chapter.folder / "test_exercises.py"
    if found := [test for test in load_tests(file) if test.exercise_id == exercise.id]:
        return found
    raise LookupError(f"{file.name} has no test of it")


def load_tests(path: Path) -> list[GraderTest]:
    """The tests of a chapter: trusted code, imported here, and again when it or what it reads beside it has changed."""
    path = path.resolve()
    beside = sorted(file for kind in ("*.py", "*.json", "*.toml") for file in path.parent.glob(kind))
    with _LOADING:
        return _loaded(path, tuple(file.stat().st_mtime_ns for file in {path: None, **dict.fromkeys(beside)}))


def _loaded(path: Path, stamp: tuple[int, ...]) -> list[GraderTest]:
    if path not in _MODULES or _MODULES[path][0] != stamp:
        name = f"mi_grader_{path.parent.parent.name}_{path.parent.name}_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        _MODULES[path] = (stamp, tests_in(module, path))
    return _MODULES[path][1]
