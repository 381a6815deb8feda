"""Grades written out: for spreadsheets (csv, json), build servers (junit, ctrf), Gradescope, and people (html).

Every report is written for everybody, always. Where one fails for somebody it is made with his name and that alone, and
says so: nobody goes without because of a neighbour.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from mi_lib.course import files, texts
from mi_lib.course.classroom.points import Student
from mi_lib.course.index import CourseError

FORMATS = ("csv", "json", "junit", "ctrf", "gradescope", "html")
MAX_NAME_BYTES = 100  # of a file's 255, of which some systems need a part, and Windows counts the whole path
_WINDOWS = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def write(
    students: list[Student],
    folder: Path,
    formats: Iterable[str] = FORMATS,
    failed: Callable[[str], None] = lambda sentence: None,
    notice: str = "",
    decimal: str = ".",
) -> list[Path]:
    """Write the grades in these formats. Returns the files and folders that were written.

    failed: told, in a sentence, of whom a report could not be made for, and of a file that could not be written.
    notice: a sentence for the page of the class. decimal: how the table for Excel writes numbers.
    """
    from mi_lib.course.classroom.report import ctrf, gradescope, html, junit, table

    written: list[Path] = []

    def put(name: str, make: Callable[[list[Student]], str], whom: list[Student]) -> None:
        """The only place that writes: whatever comes here is clean when it leaves."""
        try:
            files.write_atomically(folder / name, texts.clean(_made(name, make, whom, failed)))
        except (CourseError, OSError) as error:
            failed(str(error))
            return
        top = folder / Path(name).parts[0]
        if top not in written:
            written.append(top)

    names = file_names(students)
    of_class: dict[str, tuple[str, Callable[[list[Student]], str]]] = {
        "csv": ("grades.csv", table.as_csv),
        "excel": ("grades-excel.csv", lambda whom: table.for_excel(whom, decimal)),
        "json": ("grades.json", table.as_json),
        "junit": ("junit.xml", junit.text),
        "ctrf": ("ctrf.json", ctrf.text),
        "html": ("class.html", lambda whom: html.of_class(whom, names, notice)),
    }
    of_one: dict[str, tuple[str, Callable[[Student], str]]] = {
        "gradescope": ("gradescope/{}.json", gradescope.text),
        "html": ("students/{}.html", html.of_student),
    }
    for kind in formats:
        if kind not in of_class | of_one:
            raise ValueError(f"no format {kind!r}")
        if kind in of_class:
            put(*of_class[kind], students)
        if kind in of_one:
            name, make = of_one[kind]
            for student in students:
                put(name.format(names[student.name]), lambda whom, make=make: make(whom[0]), [student])  # type: ignore[misc]
    return written


def _made(name: str, make: Callable[[list[Student]], str], whom: list[Student], failed: Callable[[str], None]) -> str:
    """A report; with their names alone of those for whom it fails."""
    try:
        return make(whom)
    except Exception:
        shown = []
        for student in whom:
            try:
                make([student])
                shown.append(student)
            except Exception as error:
                said = f"{Path(name).parts[0]} could not be made with the grades of {student.name}"
                failed(f"{said} ({type(error).__name__}): `mi grade explain` shows them.")
                shown.append(
                    Student(student.name, problems=[f"This report could not be made ({type(error).__name__})."])
                )
        return make(shown)


def file_names(students: Iterable[Student]) -> dict[str, str]:
    """student → a file name that every system takes and no two students share, whoever else is in the class."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for student in students:
        plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in student.name).strip(".")
        name = plain.encode("utf-8", "replace")[:MAX_NAME_BYTES].decode("utf-8", "ignore") or "student"
        if name != student.name or name.lower() in taken or _WINDOWS.fullmatch(name):
            name += "-" + hashlib.sha256(student.name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        taken.add(name.lower())
        found[student.name] = name
    return found
