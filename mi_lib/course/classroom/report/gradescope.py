"""Gradescope's results.json for one student: a test case per test, with points; the total follows the gradebook."""

from __future__ import annotations

import json
from typing import Any

from mi_lib.course import texts
from mi_lib.course.classroom.points import Grade, Student


def text(student: Student, visibility: str = "visible") -> str:
    """The JSON of a student. visibility: visible, hidden, after_due_date or after_published."""
    verdicts = [grade.verdict for grade in student.grades.values() if grade.verdict]
    document: dict[str, Any] = {
        "score": max(0.0, student.total),
        "execution_time": round(sum(v.get("for_learner", {}).get("seconds", 0.0) for v in verdicts), 2),
        "output": "\n".join(_remarks(student)),
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": visibility,
        "stdout_visibility": "hidden",
        "tests": [case for grade in student.grades.values() for case in _cases(grade)],
        "extra_data": {"isolation": sorted({verdict["isolation"] for verdict in verdicts})},
    }
    return json.dumps(texts.data(document), indent=1, ensure_ascii=False)


def _remarks(student: Student) -> list[str]:
    remarks = [*student.problems, *student.notes]
    remarks += [f"{e}: {why}." for e, grade in student.grades.items() for why in grade.why]
    of_all = [*student.remarks, *(r for grade in student.grades.values() for r in grade.remarks)]
    remarks += [": ".join(filter(None, (r.exercise, r.criterion, r.text))) for r in of_all]
    return remarks or ["Every test says below what it found."]


def _cases(grade: Grade) -> list[dict[str, Any]]:
    """The tests of an exercise; one case without points' detail where there is no verdict."""
    exercise = grade.exercise
    if not grade.verdict or not grade.verdict["tests"]:
        said = grade.verdict["diagnosis"] if grade.verdict else "There is no answer to this exercise."
        return [_case(exercise.id, exercise.title, 0.0, float(exercise.points), grade.passed, said)]
    return [
        _case(
            f"{exercise.id}.{number}",
            f"{exercise.id} {test['title']}",
            test["points"],
            test["max_points"],
            test["passed"],
            test["message"] or "Right.",
        )
        for number, test in enumerate(grade.verdict["tests"], start=1)
    ]


def _case(number: str, name: str, score: float, most: float, passed: bool, output: str) -> dict[str, Any]:
    return {
        "number": number,
        "name": name,
        "score": score,
        "max_score": most,
        "status": "passed" if passed else "failed",
        "output": output,
        "visibility": "visible",
    }
