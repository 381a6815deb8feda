"""What the verdicts come to: attempts, lateness, library use and manual adjustments turned into grades.

For each exercise the points of the verdict (or of the one on the reference's earlier answers, see `carry`), times what
lateness leaves of them; 0 if the policy refuses an answer that the library gave; if somebody set the points by hand,
those and nothing else. Of several attempts the last counts, or the best, exercise by exercise. What an instructor
remarks costs nothing and gives nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

from mi_lib.course import index
from mi_lib.course.classroom import carry
from mi_lib.course.classroom.config import Config
from mi_lib.course.classroom.gradebook import Adjustment, Attempt, Gradebook, Remark
from mi_lib.course.index import Chapter, CourseError, Exercise


@dataclass(frozen=True)
class Grade:
    """One exercise of one student. verdict: what the grader said (None if there is none); why: what changed it."""

    exercise: Exercise
    points: float
    verdict: dict[str, Any] | None = None
    attempt: Attempt | None = None
    why: tuple[str, ...] = ()
    adjustment: Adjustment | None = None
    remarks: tuple[Remark, ...] = ()
    carried: dict[str, Any] | None = None  # the verdict on the reference's earlier answers, if that one counts

    @property
    def status(self) -> str:
        return self.verdict["status"] if self.verdict else "not handed in"

    @property
    def passed(self) -> bool:
        return self.status == "passed"


@dataclass
class Student:
    """One student's grades. total: all points, those of optional exercises too; most: without the optional ones.

    remarks: what the instructor says of all of it.
    """

    name: str
    grades: dict[str, Grade] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)

    @property
    def comments(self) -> list[str]:
        """Every comment in words, those on an exercise with its number; without the rubric."""
        mine = [*self.remarks, *(remark for grade in self.grades.values() for remark in grade.remarks)]
        return [f"{r.exercise}: {r.text}" if r.exercise else r.text for r in mine if not r.criterion]

    @property
    def total(self) -> float:
        return round(sum(grade.points for grade in self.grades.values()), 2)

    @property
    def most(self) -> float:
        return float(sum(g.exercise.points for g in self.grades.values() if not g.exercise.optional))


def counted(attempts: list[Attempt], config: Config) -> list[Attempt]:
    """Of one student's attempts at one chapter, those that are graded."""
    allowed = attempts[: config.attempt_limit] if config.attempt_limit else attempts
    if config.counts == "best" or not allowed:
        return allowed
    return [max(allowed, key=lambda attempt: (attempt.seen, attempt.number))]  # an old text may be handed in again


def grades(book: Gradebook, config: Config) -> list[Student]:
    """Everybody's grades, by name."""
    by_chapter: dict[tuple[str, str], list[Attempt]] = {}
    for attempt in book.attempts():
        by_chapter.setdefault((attempt.student, attempt.chapter), []).append(attempt)
    verdicts, given_up = book.verdicts(), book.given_up()
    carried = book.verdicts(carried=True) if config.carry_forward else {}
    adjustments = {(a.student, a.exercise): a for a in book.adjustments()}
    remarks: dict[tuple[str, str], list[Remark]] = {}
    for remark in book.remarks():
        remarks.setdefault((remark.student, remark.exercise), []).append(remark)
    adjusted = {exercise.split(".")[0] for _, exercise in adjustments}
    chapters = _chapters({number for _, number in by_chapter} | adjusted, config)
    found = []
    for name, facts in book.students().items():
        student = Student(name, notes=list(facts["notes"]), problems=list(facts["problems"]))
        student.remarks = remarks.get((name, ""), [])
        for chapter in chapters:
            attempts = by_chapter.get((name, chapter.number), [])
            student.notes += _too_many(attempts, chapter, config)
            student.problems += _ungraded(attempts, chapter, config, verdicts, given_up)
            for exercise in chapter.exercises:
                if reason := given_up.get((name, exercise.id)):
                    student.problems.append(f"{exercise.id}: {reason}")
                places = [(a, (name, chapter.number, a.hash, exercise.id)) for a in counted(attempts, config)]
                mine = [(a, verdicts.get(place), carried.get(place)) for a, place in places]
                grade = _grade(exercise, mine, config, adjustments.get((name, exercise.id)))
                student.grades[exercise.id] = replace(grade, remarks=tuple(remarks.get((name, exercise.id), ())))
        found.append(student)
    return found


def _chapters(numbers: set[str], config: Config) -> list[Chapter]:
    found = []
    for number in sorted(numbers):
        if not config.chapters or number in config.chapters:
            try:
                found.append(index.chapter(number))
            except CourseError:
                continue  # graded with a course that had it
    return found


def _grade(
    exercise: Exercise,
    attempts: list[tuple[Attempt, dict[str, Any] | None, dict[str, Any] | None]],
    config: Config,
    adjustment: Adjustment | None,
) -> Grade:
    best = Grade(exercise, 0.0)
    for attempt, verdict, carried in attempts:
        if verdict is not None:
            points, why = _after_policies(attempt, verdict, config)
            if carried:
                after, reasons = _after_policies(attempt, carried, config)
                if after > points:
                    points, why = after, [carry.in_words(carried), *reasons]
                else:
                    carried = None
            if best.verdict is None or points >= best.points:
                best = Grade(exercise, points, verdict, attempt, tuple(why), carried=carried)
    if adjustment and adjustment.points is not None:
        said = f"Set to {adjustment.points:g} by hand: {adjustment.reason}"
        return replace(best, points=adjustment.points, why=(*best.why, said), adjustment=adjustment)
    return best


def _after_policies(attempt: Attempt, verdict: dict[str, Any], config: Config) -> tuple[float, list[str]]:
    points, why = verdict["points"], []
    late = config.late_percent(attempt.student, attempt.chapter, attempt.received)
    if late and points:
        points = max(0.0, round(points * (1 - late / 100), 2))
        why.append(f"Late: {late:g} percent off")
    if verdict["library_use"]:
        why.append(f"Uses {', '.join(verdict['library_use'])}, which answers this exercise")
        if "refuse" in (config.policy, verdict["policy"]):
            points = 0.0
            why.append("The policy refuses that: 0 points")
    if verdict["course_fault"]:
        why.append("A test of the course broke; look at this one yourself")
    return points, why


def _ungraded(
    attempts: list[Attempt],
    chapter: Chapter,
    config: Config,
    verdicts: Collection[tuple[str, str, str, str]],
    given_up: Collection[tuple[str, str]],
) -> list[str]:
    """That what counts has no grade: other settings let another attempt count, or only some chapters were graded."""
    for attempt in counted(attempts, config):
        of = [(attempt.student, chapter.number, attempt.hash, exercise.id) for exercise in chapter.exercises]
        if not any(place in verdicts or (place[0], place[3]) in given_up for place in of):
            return [f"Chapter {chapter.number}: attempt {attempt.number} counts and is not graded yet. Run `mi grade`."]
    return []


def _too_many(attempts: list[Attempt], chapter: Chapter, config: Config) -> list[str]:
    if not config.attempt_limit or len(attempts) <= config.attempt_limit:
        return []
    return [f"Chapter {chapter.number}: {len(attempts)} attempts, of which the first {config.attempt_limit} count."]
