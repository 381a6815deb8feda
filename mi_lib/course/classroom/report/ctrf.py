"""CTRF, the Common Test Report Format: one JSON document for the class, a suite per student and exercise."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from mi_lib.course import texts
from mi_lib.course.classroom import fingerprint, hidden
from mi_lib.course.classroom.points import Grade, Student

SPEC = "0.0.0"
_STATUS = {"passed": "passed", "not started": "skipped", "failed": "failed"}


def text(students: list[Student]) -> str:
    """The JSON of a class."""
    tests = [test for student in students for grade in student.grades.values() for test in _tests(student, grade)]
    verdicts = [grade.verdict for student in students for grade in student.grades.values() if grade.verdict]
    start = min((v["graded_at"] for v in verdicts), default=time.time())
    stop = max((v["graded_at"] + v.get("for_learner", v)["seconds"] for v in verdicts), default=start)
    counts = Counter(test["status"] for test in tests)
    document = {
        "reportFormat": "CTRF",
        "specVersion": SPEC,
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "generatedBy": "mi grade",
        "results": {
            "tool": {"name": "mi-course", "version": fingerprint.course_version()},
            "summary": {
                "tests": len(tests),
                **{status: counts[status] for status in ("passed", "failed", "skipped", "pending", "other")},
                "suites": len(students),
                "start": int(1000 * start),
                "stop": int(1000 * stop),
            },
            "tests": tests,
            "extra": {"grades": {s.name: {"points": s.total, "possible": s.most} for s in students}},
        },
    }
    return json.dumps(texts.data(document), indent=1, ensure_ascii=False)


def _tests(student: Student, grade: Grade) -> list[dict[str, Any]]:
    found = []
    for test in grade.verdict["tests"] if grade.verdict else []:
        status = hidden.shown(test)
        one: dict[str, Any] = {
            "name": test["title"] or test["name"],
            "status": _STATUS.get(status, "failed"),
            "duration": 0 if test["hidden"] else int(1000 * test["seconds"]),
            "suite": [student.name, grade.exercise.id],
            "rawStatus": status,
            "extra": {"points": test["points"], "max_points": test["max_points"]},
        }
        if test["message"]:
            one["message"] = test["message"]
        if test["hidden"]:
            one["tags"] = ["hidden"]
        found.append(one)
    return found
