"""`run_here`: an exercise's tests against the learner's code in THIS process, so that `breakpoint()` works.

There is no isolation and no time limit, so it is for one's own code only, and nothing is recorded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mi_lib.course.grading.codec import decode, encode
from mi_lib.course.grading.contract import contract_of
from mi_lib.course.grading.crossing import from_judge, to_judge
from mi_lib.course.grading.isolation import Isolation
from mi_lib.course.grading.judge import read_source, tests_of
from mi_lib.course.grading.process import AnswerError
from mi_lib.course.grading.running import load, run_test
from mi_lib.course.grading.runs import make_verdict
from mi_lib.course.grading.session import Session
from mi_lib.course.grading.verdict import Verdict


class Local:
    """Answers requests in this process. Values still cross as data, so that the tests see what they always see."""

    def __init__(self) -> None:
        self.session = Session()
        self.refusal: Callable[[Any], str] | None = None

    def ask(self, request: dict[str, Any]) -> Any:
        reply = decode(self.session.answer(encode(request, from_judge)), to_judge(self._on_object))
        if "error" in reply:
            raise AnswerError(reply["error"])
        return reply["value"]

    def clock(self) -> float:
        return time.process_time()

    def _on_object(self, op: str, number: int, detail: Any) -> Any:
        return self.ask({"op": op, "id": number, "detail": detail})


def run_here(source: str | Path, exercise: Any) -> Verdict:
    """Run the exercise's tests with the learner's code in this process. The verdict is for reading, not for a grade."""
    started = time.monotonic()
    text, _ = read_source(source)
    filename = str(source.resolve()) if isinstance(source, Path) else "exercises.py"  # so that pdb shows the file
    line = Local()
    loaded = load(line, text, filename, exercise.id)
    contract = contract_of(exercise.chapter.folder)
    outcomes = [run_test(test, line, loaded, contract) for test in tests_of(exercise)]
    return make_verdict(exercise, outcomes, "", time.monotonic() - started, Isolation())
