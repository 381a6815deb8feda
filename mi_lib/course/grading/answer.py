"""`answer`, the one argument of every test: its attributes are what the learner defined.

What a function of the learner's returns is looked at here, against the signature that the learner was given, before a
test computes with it: a value of another kind ends the test at once with a sentence, what the signature leaves open is
brought to one form (`kinds`), and other faults are noted as `Complaint`s while the test goes on.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mi_lib.course.grading import wording
from mi_lib.course.grading.changes import HOW
from mi_lib.course.grading.contract import Contract, Signature
from mi_lib.course.grading.crossing import Handle
from mi_lib.course.grading.expectations import IN_PLACE, SHAPE, Wrong
from mi_lib.course.grading.kinds import Misfit

KEPT = 8  # results that are remembered for the report of a test that breaks on them; complaints about each of them


@dataclass(frozen=True)
class Complaint:
    """Something wrong that the test itself may not see."""

    rank: int  # as of a `Wrong`
    sentence: str


class Answer:
    """`answer.name` is a function of the learner's (a handle: call it) or a value; `answer.name(x)` returns data."""

    def __init__(
        self,
        ask: Callable[[dict[str, Any]], Any],
        clock: Callable[[], float] = time.process_time,
        contract: Contract | None = None,
        exercise_id: str = "",
        line: Any = None,
    ) -> None:
        self.__dict__["_ask"] = ask
        self.__dict__["_clock"] = clock
        self.__dict__["_signatures"] = (contract or Contract()).signatures
        self.__dict__["_exercise"] = exercise_id
        self.__dict__["_line"] = line
        self.__dict__["_found"] = {}
        self.__dict__["_results"] = deque(maxlen=KEPT)  # (function, what it returned), latest last
        self.__dict__["_complaints"] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._found:
            value = self._ask({"op": "get", "name": name})
            if isinstance(value, Handle):
                value = _Function(self, value, name)
            self._found[name] = value
        return self._found[name]

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a test reads the learner's names and sets none")


def complaints_of(answer: Answer) -> list[Complaint]:
    """What was noted about the results of this test so far."""
    return answer.__dict__["_complaints"]


def results_of(answer: Answer) -> list[tuple[str, Any]]:
    """(function, result) of the last few calls, latest last."""
    return list(answer.__dict__["_results"])


def seconds_used(answer: Answer) -> float:
    """Seconds that the learner's code has taken so far (`clock`): of use as a difference.

    What is counted beside the learner's code can be forged by it; this is measured from outside.
    """
    return answer.__dict__["_clock"]()


class _Function(Handle):
    """A function of the learner's file: its calls are watched and its results looked at."""

    def __init__(self, answer: Answer, handle: Handle, name: str) -> None:
        super().__init__(handle._ask, handle._number, handle.type_name, handle.callable)
        self._answer = answer
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        signature: Signature | None = self._answer._signatures.get(self._name)
        with self._refusing(signature, args, kwargs):
            reply = self._ask("call", self._number, {"args": list(args), "kwargs": kwargs, "watch": True})
        if type(reply) is not tuple or len(reply) != 2:  # no honest session answers so
            reply = (reply, [])
        value, changed = reply
        self._answer._results.append((self._name, value))
        if signature is None:
            return value
        if signature.exercise == self._answer._exercise:
            self._note_changes(signature, changed)
        value = self._looked_at(signature, args, kwargs, value)
        self._answer._results[-1] = (self._name, value)
        return value

    @contextmanager
    def _refusing(self, signature: Signature | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
        """What is large and has another shape than the signature says is refused before its numbers are read."""
        line = self._answer.__dict__["_line"]
        if line is None or signature is None:
            yield
            return
        line.refusal = lambda value: signature.returns.refusal(value, signature.look(args, kwargs))
        try:
            yield
        finally:
            line.refusal = None

    def _looked_at(self, signature: Signature, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any) -> Any:
        """The result as tests see it. `Wrong` at once if it is of another kind than the signature says."""
        look = signature.look(args, kwargs)
        try:
            value = signature.returns.fit(value, look)
        except Misfit as misfit:
            raise Wrong(str(misfit), SHAPE) from None
        self._note(SHAPE, look.complaints)
        return value

    def _note_changes(self, signature: Signature, changed: Any) -> None:
        """What the learner's process says was changed in place, unless the exercise asks for it."""
        names = [name for name, _ in signature.parameters]
        told: dict[tuple[str, str], None] = {}
        for row in changed if type(changed) is list else []:
            if type(row) is list and len(row) == 2 and type(row[0]) in (int, str) and row[1] in HOW:
                label, how = row
                if type(label) is int:
                    label = names[label] if 0 <= label < len(names) else ""
                if label in names and label not in signature.may_change:
                    told[label, how] = None
        self._note(IN_PLACE, [wording.in_place(self._name, label, how) for label, how in told])

    def _note(self, rank: int, sentences: list[str]) -> None:
        noted = complaints_of(self._answer)
        noted += [c for s in dict.fromkeys(sentences[:KEPT]) if (c := Complaint(rank, s)) not in noted]
