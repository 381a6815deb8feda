"""One student's report as plain text, for platforms that hand back a file under the name of what was handed in."""

from __future__ import annotations

from collections.abc import Sequence

from mi_lib.course import texts
from mi_lib.course.classroom.gradebook import Remark
from mi_lib.course.classroom.points import Grade, Student
from mi_lib.course.classroom.report.html import shown


def text(student: Student) -> str:
    """The points, then each exercise with its tests and what they found. No line is code to Python."""
    lines = [f"{student.name}: {student.total:g} of {student.most:g} points", *student.problems, *student.notes]
    lines += _remarks(student.remarks)
    for grade in student.grades.values():
        lines += ["", *_exercise(grade)]
    return "".join(f"# {texts.line(line)}".rstrip() + "\n" for line in lines)


def _exercise(grade: Grade) -> list[str]:
    exercise, verdict = grade.exercise, grade.verdict
    lines = [f"{exercise.id} {exercise.title}: {grade.status}, {grade.points:g} of {exercise.points} points"]
    lines += [f"{why}." for why in grade.why]
    if verdict and verdict["status"] != "not started":
        for test in verdict["tests"]:
            points = f"({shown(test['points'])} of {shown(test['max_points'])})"
            lines.append(f"{'✓' if test['passed'] else '✗'} {test['title']} {points}")
            lines += [test["message"]] if test["message"] else []
        lines += [verdict["diagnosis"]] if verdict["diagnosis"] and not verdict["tests"] else []
    return [*lines, *_remarks(grade.remarks)]


def _remarks(remarks: Sequence[Remark]) -> list[str]:
    """What the instructor says, a line a line."""
    said = [f"{r.criterion}: {r.text}" if r.criterion else f"Comment: {r.text}" for r in remarks]
    return [line for one in said for line in texts.clean(one).split("\n")]
