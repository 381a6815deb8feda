"""Reports as files to hand back, in the form in which a platform takes them: one zip for the class.

    Moodle   a folder for each student, named as in its export: "Ada Lovelace_4711_assignsubmission_file/feedback.html".
             It goes by the number and adds the file to the student's feedback files
    Canvas   a file under the name of each submission: "lovelaceada_815_4711_exercises.py". It goes by the two numbers
             and shows the file under the name of the submission, so what is in it is of that kind: lines of remarks for
             a .py, a notebook of one cell, a zip

Who is in the export and not in the gradebook gets nothing, and is named; so is a group of Moodle's, whose folder has
the group's number where Moodle looks for a person's: it would give the files to somebody else, or to nobody.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mi_lib.course import texts
from mi_lib.course.classroom import release, submissions
from mi_lib.course.classroom.points import Student
from mi_lib.course.classroom.report import html, plain
from mi_lib.course.index import CourseError

_MOODLE = re.compile(r"_assignsubmission_(?P<kind>file|onlinetext)")
PAGE = "feedback.html"
_LIKED = {".py": 0, ".ipynb": 1, ".zip": 2}  # of several files, the one that takes the feedback


@dataclass
class HandedBack:
    """The files of the zip by their paths. left: who gets none, with the reason."""

    files: dict[str, bytes] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def hand_back(
    export: Path,
    students: Sequence[Student],
    labels: Mapping[str, set[str]],
    groups: Mapping[str, tuple[str, ...]] | None = None,
) -> HandedBack:
    """The feedback for everybody in an export of Moodle or Canvas. Raises `CourseError` if it is of neither.

    labels: student → what exports call the student. groups: name of a group → its members, who share a place.
    """
    places = submissions.places(export)
    if not places:
        raise CourseError(
            f"{export} is no export of Moodle (Ada Lovelace_4711_assignsubmission_file) or Canvas "
            "(lovelaceada_815_4711_exercises.py), so there are no names to hand feedback back under. The pages in "
            "students/ are for everybody else."
        )
    result = HandedBack()
    for label, names in places.items():
        members = (groups or {}).get(label, ())
        mine = [s for s in students if s.name == label or label in labels.get(s.name, set()) or s.name in members]
        pages = {html.of_student(Student(label, s.grades, s.notes, s.problems)) for s in mine}
        if members and any(_MOODLE.search(name) for name in names):
            who = ", ".join(members)
            result.left.append(
                f"{label}: Moodle takes feedback files for persons alone, and this number is the group's; "
                f"{who} have pages in students/, and `mi grade fill --comments` reaches each of them"
            )
        elif not mine:
            result.left.append(f"{label}: not in the gradebook")
        elif len(pages) > 1:
            who = ", ".join(s.name for s in mine)
            result.left.append(f"{label}: {who} are not told the same; each has a page in students/")
        else:
            result.files |= _of_one(names, mine[0] if len(mine) == 1 else Student(label, mine[0].grades, mine[0].notes))
    return result


def write(out: Path, found: HandedBack) -> None:
    """Write the zip. Raises `CourseError` if it exists."""
    release.new_zip(out, sorted(found.files.items()))


def _of_one(names: list[str], student: Student) -> dict[str, bytes]:
    """The one file for a student who has these places in the export."""
    page = texts.clean(html.of_student(student)).encode()
    moodle = sorted((name for name in names if _MOODLE.search(name)), key=lambda n: _MOODLE.search(n)["kind"])  # type: ignore[index]
    if moodle:
        folder = moodle[0]
        if folder.endswith("/"):
            return {folder + PAGE: page}
        end = _MOODLE.search(folder)
        assert end is not None
        return {f"{folder[: end.end()]}_{PAGE}": page}
    name = min(names, key=lambda one: (_LIKED.get(Path(one).suffix.lower(), len(_LIKED)), one))
    return {name: _as(Path(name).suffix.lower(), student, page)}


def _as(suffix: str, student: Student, page: bytes) -> bytes:
    """The feedback as a file of this kind."""
    remarks = texts.clean(plain.text(student))
    if suffix == ".zip":
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr(zipfile.ZipInfo(PAGE, (2020, 1, 1, 0, 0, 0)), page)
        return out.getvalue()
    if suffix == ".ipynb":
        cell = {"cell_type": "raw", "id": "feedback", "metadata": {}, "source": remarks}
        return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1).encode()
    return page if suffix in (".html", ".htm") else remarks.encode()
