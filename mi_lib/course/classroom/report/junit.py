"""JUnit XML: a suite per student, a case per test. It keeps to Jenkins' schema, junit-4.xsd, order of elements too."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime
from xml.etree import ElementTree as xml

from mi_lib.course import texts
from mi_lib.course.classroom import hidden
from mi_lib.course.classroom.points import Student

_SKIPPED = ("not started", "not handed in")
_ERRORS = ("error", "crashed", "timed out", "out of memory", "too much output")


def text(students: list[Student]) -> str:
    """The XML of a class."""
    root = xml.Element("testsuites")
    for number, student in enumerate(students):
        _suite(root, number, student)
    xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + xml.tostring(root, encoding="unicode") + "\n"


def _suite(root: xml.Element, number: int, student: Student) -> None:
    suite = xml.SubElement(root, "testsuite")
    properties = xml.SubElement(suite, "properties")
    for name, points in (("points", student.total), ("possible", student.most)):
        xml.SubElement(properties, "property", name=name, value=f"{points:g}")
    counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    seconds, latest = 0.0, 0.0
    for exercise_id, grade in student.grades.items():
        verdict = grade.verdict
        latest = max(latest, verdict["graded_at"] if verdict else 0.0)
        for test in verdict["tests"] if verdict else []:
            counts["tests"] += 1
            took, status = 0.0 if test["hidden"] else test["seconds"], hidden.shown(test)
            seconds += took
            case = xml.SubElement(suite, "testcase", name=texts.clean(test["title"]), classname=exercise_id)
            case.set("time", f"{took:.3f}")
            if test["passed"]:
                continue
            kind = "skipped" if status in _SKIPPED else "error" if status in _ERRORS else "failure"
            counts[{"skipped": "skipped", "error": "errors", "failure": "failures"}[kind]] += 1
            said = xml.SubElement(case, kind)
            if kind != "skipped":
                said.set("type", status)
                said.set("message", texts.clean(test["message"]))
    xml.SubElement(suite, "system-out").text = texts.clean(f"{student.total:g} of {student.most:g} points")
    xml.SubElement(suite, "system-err").text = texts.clean("\n".join([*student.problems, *student.notes]))
    at = datetime.fromtimestamp(latest or time.time(), UTC)
    for key, value in {
        "name": texts.clean(student.name),
        "package": "mi-course",
        "id": str(number),
        "timestamp": at.strftime("%Y-%m-%dT%H:%M:%S"),
        "hostname": socket.gethostname() or "localhost",
        "time": f"{seconds:.3f}",
        **{name: str(count) for name, count in counts.items()},
    }.items():
        suite.set(key, value)
