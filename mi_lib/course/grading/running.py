"""Run one trusted test against a learner's session, and say in words how it went."""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from mi_lib.course.grading import wording
from mi_lib.course.grading.answer import Answer, Complaint, complaints_of, results_of
from mi_lib.course.grading.contract import Contract
from mi_lib.course.grading.expectations import NUMBERS, RAISED, SENTENCE, SHAPE, Wrong, show
from mi_lib.course.grading.forkserver import ServerGone
from mi_lib.course.grading.kinds import oddity
from mi_lib.course.grading.marks import GraderTest
from mi_lib.course.grading.process import AnswerError, Stopped
from mi_lib.course.grading.verdict import Ending, Status, TestResult

_STUB = re.compile(r"^Exercise (\d\d\.\d{1,2})\b")


class Line(Protocol):
    """What a test needs: someone who answers requests (a process, or a session in this one), and whose time it is.

    refusal: the sentence for a large result, by its shapes; set while a call is under way.
    """

    refusal: Callable[[Any], str] | None

    def ask(self, request: dict[str, Any]) -> Any: ...

    def clock(self) -> float: ...


@dataclass(frozen=True)
class Outcome:
    """A test's result with what only the verdict of the whole exercise shows."""

    result: TestResult
    traceback: str = ""
    course_fault: bool = False
    blamed: str = ""  # of a course fault: the sentence, should it be the answer's after all
    rank: int = RAISED  # how much the message says about the fault, as of a `Wrong`


@dataclass(frozen=True)
class Loaded:
    """What executing the learner's file brought to light."""

    sections: list[str]
    broken: dict[str, AnswerError]
    problem: str = ""


def load(
    line: Line, source: str, filename: str, exercise_id: str, watched: Sequence[str] = (), refuse: bool = False
) -> Loaded:
    """Execute the learner's file. AnswerError only if something outside of its sections went wrong.

    watched: library functions ("module:name") whose use by the learner's code is noted; refuse: they raise instead.
    """
    request = {"op": "start", "source": source, "filename": filename, "exercise": exercise_id}
    report = line.ask(request | {"watched": list(watched), "refuse": refuse})
    if type(report) is not dict:
        return Loaded([], {}, wording.confused("malformed"))
    if type(report.get("problem")) is str:
        return Loaded([], {}, report["problem"])
    broken = report.get("broken")
    names = report.get("sections")
    return Loaded(
        [n for n in names if type(n) is str] if type(names) is list else [],
        {k: AnswerError(v) for k, v in broken.items() if type(k) is str} if type(broken) is dict else {},
    )


def run_test(test: GraderTest, line: Line, loaded: Loaded, contract: Contract | None = None, seed: int = 0) -> Outcome:
    """Run a test. Everything that can go wrong in it ends as an `Outcome`; only ServerGone and Ctrl-C pass through."""
    started = time.monotonic()

    def outcome(
        status: Status,
        message: str,
        traceback_text: str = "",
        fault: bool = False,
        ending: Ending = "answered",
        rank: int = RAISED,
        blamed: str = "",
    ) -> Outcome:
        seconds = time.monotonic() - started
        passed = status == "passed"
        result = TestResult(test.name, test.title, passed, message, test.weight, seconds, status, ending)
        return Outcome(result, traceback_text, fault, blamed, rank)

    answer = Answer(line.ask, line.clock, contract, test.exercise_id, line)
    try:
        line.ask({"op": "begin", "seed": seed})
        with _one_thread():
            test.function(answer)
    except Wrong as wrong:
        told = _with_complaints(Complaint(wrong.rank, str(wrong)), answer)
        return outcome("failed", told.sentence, rank=told.rank)
    except AnswerError as error:
        status, message = _explain(error, test.exercise_id, loaded)
        if status == "not started":
            return outcome(status, message)
        rank = {"CannotCross": SHAPE, "MissingName": SENTENCE}.get(error.type_name, RAISED)
        told = _with_complaints(Complaint(rank, message), answer)
        ending = _ending(error, test.exercise_id, loaded)
        return outcome(status, told.sentence, error.traceback, ending=ending, rank=told.rank)
    except Stopped as stopped:
        return outcome(stopped.status, str(stopped), ending=stopped.ending)
    except ServerGone:
        raise
    except Exception as error:
        return _fault(error, test, answer, outcome)
    if noted := complaints_of(answer):
        worst = min(noted, key=lambda complaint: complaint.rank)
        return outcome("failed", worst.sentence, rank=worst.rank)
    return outcome("passed", "")


def _with_complaints(own: Complaint, answer: Answer) -> Complaint:
    """What a test says, or what was noted on the way to it if that says more about the fault.

    A test that ends with bare numbers, or in an exception, on a result of the wrong shape would speak of what follows
    from the shape. What was changed in place is another fault than the one that the test found: it is told beside it.
    """
    noted = [c for c in complaints_of(answer) if c.rank < own.rank or c.rank == own.rank == SHAPE]
    if not noted:
        return own
    worst = min(noted, key=lambda complaint: complaint.rank)
    follows = worst.rank == SHAPE and own.rank != RAISED
    return worst if follows else Complaint(worst.rank, f"{worst.sentence} And: {own.sentence}")


@contextmanager
def _one_thread() -> Iterator[None]:
    """torch computes in this thread alone, as it does in the learner's process.

    Tests compare small tensors. Threads that wait for each other at every one of them, beside a learner's process and
    other workers that want the same cores, take several times as long as the sums themselves.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _explain(error: AnswerError, exercise_id: str, loaded: Loaded) -> tuple[Status, str]:
    """The sentence for an exception that the learner's code raised."""
    if error.type_name == "NotImplementedError":
        stub = _STUB.match(str(error))
        owner = stub[1] if stub else error.section
        if owner and owner != exercise_id and owner != "setup":
            return "not started", wording.needs_other(exercise_id, owner)
        return "not started", wording.not_started(exercise_id, _function_in(error.traceback))
    if error.missing:
        return _missing(error, exercise_id, loaded)
    if error.type_name == "CannotCross":
        return "failed", str(error)
    if error.ending == "refused by isolation":
        return "error", wording.refused(f"{error.type_name}: {error}")
    return "error", wording.raised(error.type_name, str(error), error.line)


def _ending(error: AnswerError, exercise_id: str, loaded: Loaded) -> Ending:
    """How the code ended; for a name that is missing because its section broke, how that did."""
    section = error.missing[1] or exercise_id if error.missing else ""
    return loaded.broken.get(section, error).ending


def _missing(error: AnswerError, exercise_id: str, loaded: Loaded) -> tuple[Status, str]:
    """A name that is not defined: by whom should it have been?"""
    assert error.missing is not None
    name, section = error.missing
    if section and section in loaded.broken:
        broken = loaded.broken[section]
        what = wording.raised(broken.type_name, str(broken), broken.line)
        if section == exercise_id:
            return "error", what
        return "error", wording.needs_broken(exercise_id, name, section, what)
    if error.type_name != "MissingName":
        return "error", wording.raised(error.type_name, str(error), error.line)
    if exercise_id in loaded.broken:
        own = loaded.broken[exercise_id]
        return "error", wording.raised(own.type_name, str(own), own.line)
    if exercise_id not in loaded.sections:
        return "not started", wording.section_missing(exercise_id, name)
    return "failed", wording.name_missing(name, exercise_id)


def _function_in(text: str) -> str:
    names = re.findall(r", in (\w+)$", text, re.MULTILINE)
    return names[-1] if names else "the function"


def _fault(error: Exception, test: GraderTest, answer: Answer, outcome: Any) -> Outcome:
    """An exception in the trusted test itself: ours, except for a plain `assert` of the test about the answer."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if frame.filename == str(test.file)]
    if isinstance(error, AssertionError) and inside and frames[-1] is inside[-1]:
        told = Complaint(SENTENCE if str(error) else NUMBERS, str(error) or f"This does not hold: {test.title}")
        told = _with_complaints(told, answer)
        return outcome("failed", told.sentence, rank=told.rank)
    if noted := complaints_of(answer):
        worst = min(noted, key=lambda complaint: complaint.rank)
        return outcome("failed", worst.sentence, rank=worst.rank)
    what, results = f"{type(error).__name__}: {error}", results_of(answer)
    for function, value in reversed(results):
        with suppress(Exception):
            if odd := oddity(value, error):
                return outcome("failed", wording.broke_on(function, odd, what), rank=SHAPE)
    where = f"{test.name}, line {inside[-1].lineno}" if inside else test.name
    last = show(results[-1][1]) if results else ""
    blamed = wording.broke_on(*results[-1][:1], last, what) if results else wording.broke_without(what)
    return outcome("error", wording.course_fault(what, where, last), fault=True, blamed=blamed)


def blame(outcome: Outcome) -> Outcome:
    """A test that broke on this answer, and on which the reference passes: it is the answer's fault."""
    result = replace(outcome.result, status="failed", message=outcome.blamed)
    return Outcome(result, rank=SHAPE)
