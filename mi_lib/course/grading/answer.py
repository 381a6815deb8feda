"""`answer`, the one argument of every test: its attributes are what the learner defined."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mi_lib.course.grading.crossing import Handle


class Answer:
    """`answer.name` is a function of the learner's (a handle: call it) or a value; `answer.name(x)` returns data."""

    def __init__(self, ask: Callable[[dict[str, Any]], Any], clock: Callable[[], float] = time.process_time) -> None:
        self.__dict__["_ask"] = ask
        self.__dict__["_clock"] = clock
        self.__dict__["_found"] = {}
        self.__dict__["_last"] = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._found:
            value = self._ask({"op": "get", "name": name})
            if isinstance(value, Handle):
                value = _Remembering(self, value)
            self._found[name] = value
        return self._found[name]

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a test reads the learner's names and sets none")


def seconds_used(answer: Answer) -> float:
    """Seconds that the learner's code has taken so far (`clock`): of use as a difference.

    What is counted beside the learner's code can be forged by it; this is measured from outside.
    """
    return answer.__dict__["_clock"]()


class _Remembering(Handle):
    """A handle that notes what its last call returned, for the report of a test that breaks on it."""

    def __init__(self, answer: Answer, handle: Handle) -> None:
        super().__init__(handle._ask, handle._number, handle.type_name, handle.callable)
        self._answer = answer

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        value = super().__call__(*args, **kwargs)
        self._answer.__dict__["_last"] = (value,)
        return value
