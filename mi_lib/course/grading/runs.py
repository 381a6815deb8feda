"""One exercise of one submission: its tests one by one, and the verdict that they add up to."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from mi_lib.course.grading import wording
from mi_lib.course.grading.contract import Contract
from mi_lib.course.grading.forkserver import ForkServer, Limits, ServerGone
from mi_lib.course.grading.isolation import Isolation, Level
from mi_lib.course.grading.marks import GraderTest
from mi_lib.course.grading.process import AnswerError, Process, Stopped
from mi_lib.course.grading.running import Loaded, Outcome, load, run_test
from mi_lib.course.grading.verdict import Ending, Status, TestResult, Verdict

MAX_RESTARTS = 8  # processes that one exercise may use up by ending them
# Of several tests that did not pass, the first with the gravest status names the verdict. Between an exception and a
# wrong answer, the sentence decides that says more about the fault.
_ORDER: dict[Status, int] = {
    "stopped": 0, "timed out": 0,
    "too much output": 1, "out of memory": 2, "crashed": 3, "error": 4, "failed": 4, "not started": 5,
}  # fmt: skip


class Run:
    """One exercise of one submission: a learner's process, replaced when a test has ended it."""

    def __init__(
        self,
        server: ForkServer,
        limits: Limits,
        text: str,
        filename: str,
        exercise_id: str,
        require: Level = "none",
        watched: Sequence[str] = (),
        refuse: bool = False,
        contract: Contract | None = None,
        halt: threading.Event | None = None,
        without: dict[str, Any] | None = None,
        hide: Sequence[str] = (),
    ) -> None:
        self._server = server
        self._without, self._hide = without, hide
        self._halt = halt
        self._contract = contract
        self._require = require
        self._watched, self._refuse = list(watched), refuse
        self.used: dict[str, int] = {}  # which of the watched functions were called, and in which line
        self._limits = limits
        self._start = (text, filename, exercise_id)
        self._seconds_left = limits.seconds
        self._restarts = 0
        self._process: Process | None = None
        self._loaded = Loaded([], {})
        self._failed: Outcome | None = None  # why no test can run any more
        self._printed: list[str] = []
        self.isolation = limits.kept_by_the_judge()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_process()

    @property
    def printed(self) -> str:
        """What the learner's code wrote; complete once the run is closed."""
        return "".join(self._printed)

    def test(self, test: GraderTest) -> Outcome:
        """The outcome of one test."""
        if self._failed:
            return self._not_run(test)
        if self._process is None and (problem := self._begin(test)):
            self._failed = problem
            return problem
        assert self._process is not None
        outcome = run_test(test, self._process, self._loaded, self._contract)
        if self._process.stopped:
            self._close_process()
            self._restarts += 1
            if outcome.result.status in ("stopped", "timed out", "too much output") or self._restarts >= MAX_RESTARTS:
                self._failed = outcome
        return outcome

    def _begin(self, test: GraderTest) -> Outcome | None:
        """A process with the learner's file executed in it; or why there is none."""
        process = Process(self._server, self._limits, self._halt, self._without, self._hide)
        process.seconds_left = self._seconds_left
        self._process = process
        try:
            process.greet()
            self.isolation = process.isolation
            self.isolation.require(self._require)
            self._loaded = load(process, *self._start, self._watched, self._refuse)
        except Stopped as stopped:
            self._close_process()
            return _before(test, stopped.status, f"While your file was being read: {stopped}", ending=stopped.ending)
        except AnswerError as error:
            self._close_process()
            sentence = wording.raised(error.type_name, str(error), error.line)
            return _before(test, "error", sentence, error.traceback, error.ending)
        if self._loaded.problem:
            self._close_process()
            return _before(test, "error", self._loaded.problem)
        return None

    def _not_run(self, test: GraderTest) -> Outcome:
        assert self._failed is not None
        status = self._failed.result.status
        why = {
            "stopped": "you stopped the check before",
            "timed out": "the time was used up before",
            "too much output": "too much was printed before",
            "crashed": "your code ended the process before",
            "out of memory": "the memory was used up before",
        }.get(status, "your file could not be read")
        ending = self._failed.result.ending
        return Outcome(TestResult(test.name, test.title, False, wording.not_run(why), test.weight, 0.0, status, ending))

    def _close_process(self) -> None:
        if self._process:
            self._hear_what_was_used(self._process)
            self._seconds_left = self._process.seconds_left
            self._process.close()
            self._printed.append(self._process.printed.text())
            self._process = None

    def _hear_what_was_used(self, process: Process) -> None:
        """As the learner's process tells it: honest code does, hostile code may tell nothing."""
        if not self._watched or process.stopped:
            return
        with suppress(Stopped, AnswerError, ServerGone):
            told = process.ask({"op": "used"})
            for row in told if type(told) is list else []:
                if type(row) is list and [type(part) for part in row] == [str, int] and row[0] in self._watched:
                    self.used.setdefault(*row)


def _before(test: GraderTest, status: Status, message: str, text: str = "", ending: Ending = "answered") -> Outcome:
    return Outcome(TestResult(test.name, test.title, False, message, test.weight, 0.0, status, ending), text)


def _telling(outcome: Outcome) -> tuple[int, int]:
    """What leads of several tests that did not pass: the least. A fault of ours goes before any of the learner's."""
    return _ORDER[outcome.result.status], -1 if outcome.course_fault else outcome.rank


def make_verdict(
    exercise: Any, outcomes: list[Outcome], printed: str, seconds: float, isolation: Isolation, **notes: Any
) -> Verdict:
    """The verdict of an exercise from the outcomes of its tests. Points are shared among the tests by weight."""
    total = sum(o.result.weight for o in outcomes)
    earned = sum(o.result.weight for o in outcomes if o.result.passed)
    bad = [o for o in outcomes if not o.result.passed]
    status: Status = "passed"
    first: Outcome | None = None
    if bad:
        first = min(bad, key=_telling)
        status = first.result.status
        if status == "not started" and earned:
            status = "failed"
    return Verdict(
        exercise_id=exercise.id,
        status=status,
        points=exercise.points if not bad else round(exercise.points * earned / total, 2),
        max_points=exercise.points,
        tests=[o.result for o in outcomes],
        diagnosis=first.result.message if first else "",
        traceback=first.traceback if first else "",
        printed=printed,
        seconds=seconds,
        isolation=isolation.in_words or ["none: your code ran in the process that judges it, and no grade is recorded"],
        isolation_level=isolation.level,
        ending=first.result.ending if first else "answered",
        course_fault=any(o.course_fault for o in outcomes),
        **notes,
    )
