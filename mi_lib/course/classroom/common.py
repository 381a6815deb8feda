"""Which known mistakes a class made: what learners were told, matched against what `mistakes.py` has them told.

Done whenever a report is made, from the stored sentences, so a mistake that is described later is found in old grades.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from mi_lib.course.classroom.points import Student
from mi_lib.course.index import Chapter, CourseError, Exercise
from mi_lib.course.mistakes import variants


@dataclass
class Glance:
    """One exercise over the class. mistakes: what learners were told of a known mistake → how many were told it."""

    exercise: Exercise
    handed_in: int = 0
    passed: int = 0
    points: float = 0.0  # mean, over those who handed it in
    seconds: float = 0.0  # median time of grading
    mistakes: Counter[str] = field(default_factory=Counter)
    others: int = 0  # wrong in a way that no known mistake describes

    @property
    def pass_rate(self) -> float:
        return self.passed / self.handed_in if self.handed_in else 0.0


def at_a_glance(students: Iterable[Student]) -> list[Glance]:
    """Every exercise of the class: how many pass, how long grading takes, which mistakes are common."""
    found: dict[str, Glance] = {}
    sentences: dict[tuple[str, str], str] = {}  # (exercise, words of a mistake) → how the first learner was told it
    times: dict[str, list[float]] = {}
    for student in students:
        for exercise_id, grade in student.grades.items():
            glance = found.setdefault(exercise_id, Glance(grade.exercise))
            if grade.verdict is None or grade.status == "not started":
                continue
            glance.handed_in += 1
            glance.passed += grade.passed
            glance.points += grade.points
            times.setdefault(exercise_id, []).append(grade.verdict["seconds"])
            only_earlier = grade.carried is not None and grade.carried["status"] == "passed"
            if not grade.passed and not only_earlier:
                known = recognised(grade.exercise, grade.verdict)
                glance.mistakes.update(
                    sentences.setdefault((exercise_id, words), said) for words, said in known.items()
                )
                glance.others += not known
    for exercise_id, glance in found.items():
        glance.points = round(glance.points / glance.handed_in, 2) if glance.handed_in else 0.0
        glance.seconds = median(times.get(exercise_id, [0.0]))
    return list(found.values())


def recognised(exercise: Exercise, verdict: dict[str, Any]) -> dict[str, str]:
    """The known mistakes in a verdict: the words by which each is known → the whole sentence."""
    phrases = _phrases(exercise.chapter).get(exercise.id, ())
    found: dict[str, str] = {}
    for sentence in (verdict["diagnosis"], *(test["message"] for test in verdict["tests"])):
        if fitting := [phrase for phrase in phrases if phrase in _plain(sentence)]:
            found.setdefault(max(fitting, key=len), sentence)  # the most telling one
    return found


@functools.cache
def _phrases(chapter: Chapter) -> dict[str, tuple[str, ...]]:
    """exercise → the words by which its known mistakes are told; empty where the solutions are not at hand."""
    found: dict[str, list[str]] = {}
    try:
        for variant in variants(chapter):
            if variant.wrong:
                found.setdefault(variant.exercise_id, []).append(_plain(variant.words))
    except (CourseError, OSError):
        return {}
    return {exercise: tuple(dict.fromkeys(words)) for exercise, words in found.items()}


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
