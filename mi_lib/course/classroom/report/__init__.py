"""Grades written out: for spreadsheets (csv, json), build servers (junit, ctrf), Gradescope, and people (html)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mi_lib.course import files
from mi_lib.course.classroom.points import Student

FORMATS = ("csv", "json", "junit", "ctrf", "gradescope", "html")


def write(students: list[Student], folder: Path, formats: Iterable[str] = FORMATS) -> list[Path]:
    """Write the grades in these formats. Returns the files and folders that were written."""
    from mi_lib.course.classroom.report import ctrf, gradescope, html, junit, table

    written: list[Path] = []

    def put(name: str, text: str) -> None:
        files.write_atomically(folder / name, text)
        top = folder / Path(name).parts[0]
        if top not in written:
            written.append(top)

    names = file_names(students)
    for kind in formats:
        if kind == "csv":
            put("grades.csv", table.as_csv(students))
        elif kind == "json":
            put("grades.json", table.as_json(students))
        elif kind == "junit":
            put("junit.xml", junit.text(students))
        elif kind == "ctrf":
            put("ctrf.json", ctrf.text(students))
        elif kind == "gradescope":
            for student in students:
                put(f"gradescope/{names[student.name]}.json", gradescope.text(student))
        elif kind == "html":
            put("class.html", html.of_class(students, names))
            for student in students:
                put(f"students/{names[student.name]}.html", html.of_student(student))
        else:
            raise ValueError(f"no format {kind!r}")
    return written


def file_names(students: Iterable[Student]) -> dict[str, str]:
    """student → a file name that every system takes and no two students share."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for student in students:
        plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in student.name).strip(".")[:80] or "student"
        name, number = plain, 2
        while name.lower() in taken:
            name, number = f"{plain}-{number}", number + 1
        taken.add(name.lower())
        found[student.name] = name
    return found
