"""The reference's results, replaced by nonsense: no test may break on any, and none but the harmless may pass.

For every function that an exercise defines, each replacement of `replacements` becomes a submission: the reference,
with a line at the end of the section that wraps the function. A replacement that does not fit the kind of result is
not counted.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mi_lib.course import sections
from mi_lib.course.grading.verdict import Verdict
from mi_lib.course.index import Exercise
from mi_lib.course.proving.grading import Task, allowed_seconds
from mi_lib.course.proving.mutants import reference

Fate = Literal[
    "does not fit", "broken", "passed wrongly", "rejected without a reason", "left open, rejected", "in order"
]
BAD: tuple[Fate, ...] = ("broken", "passed wrongly", "rejected without a reason")
# What a learner needs to hear: what should have come, and what came.
_SAYS_BOTH = re.compile(
    r"\b(should|must|expected|needs?|asks?|wanted)\b.*\b(but|not|instead|returned|got|yours?|is|are|was|were|has|have)\b"
    r"|\b(returned|gave|is|are|has|have|was)\b.*\b(should|must|expected|instead of|not|needs?|asks?)\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Case:
    """One function whose result is replaced."""

    exercise_id: str
    function: str
    replacement: str


@dataclass(frozen=True)
class Outcome:
    """What became of it, and what the learner was told."""

    case: Case
    fate: Fate
    status: str
    said: str


def functions(exercise: Exercise) -> list[str]:
    """The functions that the exercise defines."""
    tree = ast.parse(sections.get(reference(exercise.chapter), exercise.id))
    there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return [name for name in exercise.defines if name in there]


def fitting(probe: Case, verdict: Verdict) -> list[Case]:
    """The replacements that fit what a function returned in the first call of some test."""
    from mi_lib.course.proving.replacements import every  # torch comes with it

    names, found = list(every()), set()
    for test in verdict.tests:
        if numbers := re.search(r"fitting: ([\d ]+)", test.message):
            found |= {int(number) for number in numbers[1].split()}
    return [Case(probe.exercise_id, probe.function, names[number]) for number in sorted(found)]


def submission(case: Case, whole: str) -> str:
    """The reference file with the function wrapped at the end of its section."""
    section = sections.get(whole, case.exercise_id).rstrip("\n")
    wrapped = (
        "from mi_lib.course.proving.replacements import replaced as _replaced\n\n"
        f"{case.function} = _replaced({case.function}, {case.replacement!r})\n\n\n"
    )
    return sections.replace(whole, case.exercise_id, f"{section}\n\n\n{wrapped}")


def fate(case: Case, verdict: Verdict) -> Fate:
    """What a verdict on a replaced result amounts to."""
    from mi_lib.course.proving.replacements import NOT_HERE, OPEN, RIGHT_KIND, WRONG

    if verdict.course_fault:
        return "broken"
    told = " ".join([verdict.diagnosis, *(test.message for test in verdict.tests)])
    if NOT_HERE in told:
        return "does not fit"
    if verdict.passed:
        return "passed wrongly" if case.replacement in WRONG else "in order"
    if case.replacement in OPEN:
        return "left open, rejected"
    if "The test could not go on" in told:  # an exception in the test, though it is told as the answer's oddity
        return "rejected without a reason"
    if case.replacement not in WRONG or case.replacement.endswith(RIGHT_KIND):
        return "in order"
    says = verdict.status == "failed" and _SAYS_BOTH.search(verdict.diagnosis)
    return "in order" if says else "rejected without a reason"


def prove(
    exercises: Sequence[Exercise],
    judge: Callable[[list[Task]], list[Verdict]],
    number: int | None = None,
    seed: int = 0,
) -> list[Outcome]:
    """Grade all replacements of these exercises of one chapter, or a seeded sample of so many of each exercise."""
    whole = reference(exercises[0].chapter)
    references = judge([Task(exercise.id, whole) for exercise in exercises])
    seconds = {v.exercise_id: allowed_seconds(v, e.time_limit) for e, v in zip(exercises, references, strict=True)}
    probes = [Case(exercise.id, name, "") for exercise in exercises for name in functions(exercise)]
    probed = judge([Task(probe.exercise_id, submission(probe, whole)) for probe in probes])
    found = [case for probe, verdict in zip(probes, probed, strict=True) for case in fitting(probe, verdict)]
    chosen = []
    for exercise in exercises:
        mine = [case for case in found if case.exercise_id == exercise.id]
        few = None if number is None else min(number, len(mine))
        chosen += mine if few is None else random.Random(f"{seed} {exercise.id}").sample(mine, few)
    verdicts = judge([Task(case.exercise_id, submission(case, whole), seconds[case.exercise_id]) for case in chosen])
    return [
        Outcome(case, fate(case, verdict), verdict.status, verdict.diagnosis)
        for case, verdict in zip(chosen, verdicts, strict=True)
    ]


def report(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Lines for a person: what is not in order, then the counts."""
    for wanted in (*BAD, "left open, rejected"):
        for outcome in outcomes:
            if outcome.fate == wanted:
                case = outcome.case
                yield f"{case.exercise_id} {case.function}, {case.replacement}: {wanted} ({outcome.status})"
                yield from (f"    {line}" for line in outcome.said.splitlines()[:3])
    for exercise_id in dict.fromkeys(outcome.case.exercise_id for outcome in outcomes):
        yield _row(exercise_id, [outcome for outcome in outcomes if outcome.case.exercise_id == exercise_id])
    yield _row("all", outcomes)


def _row(name: str, outcomes: Sequence[Outcome]) -> str:
    tried = [outcome for outcome in outcomes if outcome.fate != "does not fit"]
    counts = {wanted: sum(outcome.fate == wanted for outcome in tried) for wanted in (*BAD, "left open, rejected")}
    return f"{name:<6} {len(tried):5} tried; " + ", ".join(f"{count} {wanted}" for wanted, count in counts.items())


def as_data(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {"exercise": o.case.exercise_id, "function": o.case.function, "replacement": o.case.replacement}
        | {"fate": o.fate, "status": o.status, "said": o.said}
        for o in outcomes
    ]
