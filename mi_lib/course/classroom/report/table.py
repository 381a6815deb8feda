"""For spreadsheets and programs: one row per student and exercise with its points, or everything as JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from mi_lib.course.classroom.points import Grade, Student

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(students: list[Student]) -> str:
    """One line per student: total, possible, then the points of each exercise, then remarks."""
    exercises = list(students[0].grades) if students else []
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["student", "total", "possible", *exercises, "remarks"])
    for student in students:
        points = [
            f"{student.grades[e].points:g}" if student.grades[e].verdict or student.grades[e].adjustment else ""
            for e in exercises
        ]
        remarks = [*student.problems, *student.notes]
        remarks += [f"{e}: {why}" for e, grade in student.grades.items() for why in grade.why]
        rows.writerow(
            [_safe(student.name), f"{student.total:g}", f"{student.most:g}", *points, _safe(" | ".join(remarks))]
        )
    return out.getvalue()


def as_json(students: list[Student]) -> str:
    """Everything: each student's exercises, tests, versions, isolation and remarks."""
    return json.dumps([student_data(student) for student in students], indent=1, ensure_ascii=False)


def student_data(student: Student) -> dict[str, Any]:
    return {
        "student": student.name,
        "total": student.total,
        "possible": student.most,
        "problems": student.problems,
        "notes": student.notes,
        "exercises": [_grade_data(grade) for grade in student.grades.values()],
    }


def _grade_data(grade: Grade) -> dict[str, Any]:
    data: dict[str, Any] = {
        "exercise": grade.exercise.id,
        "title": grade.exercise.title,
        "points": grade.points,
        "max_points": grade.exercise.points,
        "status": grade.status,
        "why": list(grade.why),
    }
    if grade.attempt:
        received = grade.attempt.received.isoformat() if grade.attempt.received else None
        data["attempt"] = {"number": grade.attempt.number, "hash": grade.attempt.hash, "received": received}
    if grade.adjustment:
        data["adjustment"] = {"points": grade.adjustment.points, "reason": grade.adjustment.reason}
    if grade.verdict:
        data["verdict"] = grade.verdict
    return data


def _safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula: names of folders and files are the student's choice."""
    return f"'{text}" if text.startswith(_FORMULA) else text
