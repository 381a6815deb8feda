"""For spreadsheets and programs: one row per student and exercise with its points, or everything as JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

from mi_lib.course import texts
from mi_lib.course.classroom.gradebook import Remark
from mi_lib.course.classroom.points import Grade, Student


def as_csv(students: list[Student]) -> str:
    """One line per student: total, possible, then the points of each exercise, then remarks."""
    exercises = list(dict.fromkeys(exercise for student in students for exercise in student.grades))
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["student", "total", "possible", *exercises, "remarks"])
    for student in students:
        graded = {e: g for e, g in student.grades.items() if g.verdict or g.adjustment}
        points = [f"{graded[e].points:g}" if e in graded else "" for e in exercises]
        remarks = [*student.problems, *student.notes]
        remarks += [f"{e}: {why}" for e, grade in student.grades.items() for why in grade.why]
        name, said = texts.cell(student.name), texts.cell(" | ".join(remarks))
        rows.writerow([name, f"{student.total:g}", f"{student.most:g}", *points, said])
    return out.getvalue()


def for_excel(students: list[Student], decimal: str = ".") -> str:
    """The same for Excel, which takes a file for the letters of its own country unless a mark says that it is UTF-8.

    decimal: "," where people write 7,5; there a semicolon stands between the cells, as Excel wants it. What Excel would
    take for a number or a date and is none keeps its letters: exercise 02.10, a student called 0012345 or 3-4.
    """
    exercises = {e: g.exercise.title for student in students for e, g in student.grades.items()}
    rows = list(csv.reader(io.StringIO(as_csv(students))))
    rows[0] = [f"{title} {exercises[title]}" if title in exercises else title for title in rows[0]]
    out = io.StringIO()
    made = csv.writer(out, delimiter=";" if decimal == "," else ",", lineterminator="\n")
    made.writerow([texts.cell(title) for title in rows[0]])
    for name, *points, said in rows[1:]:
        made.writerow([_letters(name), *(value.replace(".", decimal) for value in points), said])
    return "\ufeff" + out.getvalue()


def _letters(name: str) -> str:
    """The name so that a spreadsheet takes it for no number, no date and no time."""
    numeric = re.fullmatch(r"[\d\s.,:/%-]*\d[\d\s.,:/%eE+-]*", name)
    return f"'{name}" if numeric else name


def as_json(students: list[Student]) -> str:
    """Everything: each student's exercises, tests, versions, isolation and remarks."""
    return json.dumps([student_data(student) for student in students], indent=1, ensure_ascii=False)


def student_data(student: Student) -> dict[str, Any]:
    found = {
        "student": student.name,
        "total": student.total,
        "possible": student.most,
        "problems": student.problems,
        "notes": student.notes,
        "remarks": [_remark(remark) for remark in student.remarks],
        "exercises": [_grade_data(grade) for grade in student.grades.values()],
    }
    return dict(texts.data(found))


def _grade_data(grade: Grade) -> dict[str, Any]:
    data: dict[str, Any] = {
        "exercise": grade.exercise.id,
        "title": grade.exercise.title,
        "points": grade.points,
        "max_points": grade.exercise.points,
        "status": grade.status,
        "why": list(grade.why),
    }
    if grade.remarks:
        data["remarks"] = [_remark(remark) for remark in grade.remarks]
    if grade.attempt:
        received = grade.attempt.received.isoformat() if grade.attempt.received else None
        data["attempt"] = {"number": grade.attempt.number, "hash": grade.attempt.hash, "received": received}
    if grade.adjustment:
        data["adjustment"] = {"points": grade.adjustment.points, "reason": grade.adjustment.reason}
    if grade.verdict:
        data["verdict"] = grade.verdict
    if grade.carried:
        data["carried"] = {key: grade.carried[key] for key in ("carried", "status", "points", "max_points", "key")}
    return data


def _remark(remark: Remark) -> dict[str, Any]:
    return {"number": remark.number, "criterion": remark.criterion, "text": remark.text}
