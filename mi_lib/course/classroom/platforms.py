"""Grades for Moodle and Canvas: the platform's own exported table comes in, goes out with our grades in it.

    Moodle   the grading worksheet: Identifier ("Participant 4711"), Full name, Email address, Status, Grade,
             Maximum Grade, …, and on some sites Feedback comments
    Canvas   the gradebook: Student (or LastName, FirstName), ID, SIS User ID, SIS Login ID, Section, then a column
             "Name (id)" for each assignment, then its own sums; perhaps a row that says "Manual Posting", then one of
             the "Points Possible"

1. Which platform? By the header.
2. Whose is a row? By the number that the platform puts into the names of submissions, which is that of its table; where
   a name has none, by an address, a login, a number or the full name, if it is one row's alone. Where names are hidden
   (Canvas's anon_8Xk3q) or groups hand in (Moodle's Blue_77), the number is no person's.
3. The points of the chosen chapters go into one column. Everything else stays as it is, byte for byte, and so do the
   rows of people who have no grade, are excused, or whose grade the platform does not let change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mi_lib.course import nearest, texts
from mi_lib.course.classroom import sheet as sheets
from mi_lib.course.classroom.points import Student
from mi_lib.course.classroom.sheet import Sheet
from mi_lib.course.index import CourseError

NUMBER = re.compile(r"_(\d+)$")  # at the end of a name of an export
_OF_A_ROW = re.compile(r"(\d+)$")
_ASSIGNMENT = re.compile(r"^(?P<name>.+?)\s*\((?P<id>\d+)\)$", re.DOTALL)
_POSSIBLE = "points possible"
_SUMS = re.compile(r"(current|final|override) (score|points|grade|status)", re.IGNORECASE)  # no assignments to Canvas
_NOBODYS = re.compile(r"^anon_\w+$")


@dataclass
class Filled:
    """A table with grades in it. data: the file; the rest says what was done and what was not."""

    platform: str
    column: str
    data: bytes = b""
    filled: int = 0
    capped: list[str] = field(default_factory=list)  # more points than the platform's maximum, which they get
    left: list[str] = field(default_factory=list)  # rows that stay, with the reason
    missing: list[str] = field(default_factory=list)  # who has a grade and no row


@dataclass(frozen=True)
class _Columns:
    """Where in a table what stands. names: columns that say who somebody is."""

    platform: str
    identifier: int
    grade: int
    maximum: int = -1
    changeable: int = -1
    comments: int = -1
    names: tuple[int, ...] = ()
    groups: int = -1  # of Moodle, where groups hand in


def fill(
    path: Path,
    students: Sequence[Student],
    labels: Mapping[str, set[str]],
    column: str = "",
    scale: bool = False,
    decimal: str = ".",
    comments: Mapping[str, str] | None = None,
) -> Filled:
    """Fill the grades into the table that a platform exported.

    students: their grades are those that count, of the chosen chapters alone. labels: student → the names that exports
    call them. column: which one to fill, where several could be. scale: turn points into those of the platform.
    comments: student → what goes into Moodle's column for comments. Raises `CourseError` if the table is neither
    platform's, or the points do not fit.
    """
    table = sheets.read(path)
    where = _columns(table, column)
    people = _people(table, where)
    rows = _matched(table, where, people, students, labels)
    if comments is not None and where.comments < 0:
        raise CourseError(
            f"{table.name} has no column for comments. Moodle's worksheet has one where the assignment takes "
            "feedback comments; without --comments the grades are filled in all the same."
        )
    result = Filled(where.platform, table.header[where.grade])
    for student in students:
        graded = [grade for grade in student.grades.values() if grade.verdict or grade.adjustment]
        if student.name not in rows:
            result.missing += [student.name] if graded else []
            continue
        row = rows[student.name]
        if reason := _reason_to_leave(table, where, row, bool(graded)):
            result.left.append(f"{student.name}: {reason}")
            continue
        limit = _maximum(table, where, row)
        points = student.total
        if limit is not None and student.most and limit != student.most:
            if not scale:
                raise CourseError(
                    f"{table.name} gives {limit:g} points at most, and these chapters {student.most:g}. Take --scale, "
                    f"which turns the one into the other, or --chapter, or let the platform give {student.most:g}."
                )
            points = points * limit / student.most
        if limit is not None and points > limit:
            result.capped.append(student.name)
            points = limit
        table.put(row, where.grade, _number(points, _comma(table, where, row, decimal)))
        result.filled += 1
        if comments and where.comments >= 0 and (said := comments.get(student.name)):
            table.put(row, where.comments, texts.markup(texts.line(said)))
    result.data = table.to_bytes()
    return result


# -- which table is it ------------------------------------------------------------------------------------------


def _columns(table: Sheet, wanted: str) -> _Columns:
    if _first(table) >= 0 and table.column("ID") >= 0:
        names = tuple(c for n in ("SIS User ID", "SIS Login ID", "Student") if (c := table.column(n)) >= 0)
        return _Columns("Canvas", table.column("ID"), _assignment(table, wanted), names=names)
    identifier = table.column("Identifier", "Participant")
    if identifier < 0 and wanted:  # a worksheet in another language: its first column says "… 4711" in every row
        identifier = 0 if all(re.fullmatch(r"\D*\d+", table.at(row, 0)) for row in range(1, len(table.rows))) else -1
    grade = _named(table, wanted) if wanted else table.column("Grade")
    if identifier < 0 or grade < 0:
        raise CourseError(
            f"{table.name} is neither Moodle's grading worksheet (Identifier, Full name, …, Grade) nor Canvas's "
            f"gradebook (Student, ID, …); it has {', '.join(table.header[:6])}. In a worksheet of another language say "
            "with --column which column holds the grade."
        )
    if table.column("Scale") >= 0 and table.column("Maximum Grade") < 0:
        words = table.at(1, table.column("Scale"))[:40] if len(table.rows) > 1 else ""
        raise CourseError(
            f"{table.name} is of an assignment that is graded with words ({words!r}), not with points. Give it a "
            "maximum of points in Moodle and download the worksheet again."
        )
    names = tuple(c for n in ("Email address", "ID number", "Username", "Full name") if (c := table.column(n)) >= 0)
    return _Columns(
        "Moodle",
        identifier,
        grade,
        table.column("Maximum Grade"),
        table.column("Grade can be changed"),
        table.column("Feedback comments"),
        names,
        table.column("Group"),
    )


def _first(table: Sheet) -> int:
    """Canvas's column of names: of whole ones, or of family names."""
    whole = table.column("Student")
    return whole if whole >= 0 or table.column("FirstName") < 0 else table.column("LastName")


def _assignment(table: Sheet, wanted: str) -> int:
    """Canvas's column of the assignment."""
    if wanted:
        return _named(table, wanted)
    possible = _possible(table)
    there = [
        c
        for c, title in enumerate(table.header)
        if _ASSIGNMENT.match(title)
        and not _SUMS.search(title)
        and "read only" not in (table.at(possible, c).lower() if possible else "")
    ]
    if len(there) != 1:
        titles = ", ".join(f'"{table.header[c]}"' for c in there[:8])
        raise CourseError(
            f"{table.name} has {len(there)} assignments; say with --column which one: {titles}."
            if there
            else f'{table.name} has no assignment, such as "Chapter 02 (4711)". Make one in Canvas and export again.'
        )
    return there[0]


def _named(table: Sheet, wanted: str) -> int:
    """The column of this title, or of the assignment of this name or number."""
    found = []
    for column, title in enumerate(table.header):
        parts = _ASSIGNMENT.match(title)
        known = {title.casefold()} | ({parts["name"].casefold(), parts["id"]} if parts else set())
        found += [column] if wanted.strip().casefold() in known else []
    if len(found) != 1:
        many = "no column" if not found else f"{len(found)} columns"
        names = [parts["name"] if (parts := _ASSIGNMENT.match(title)) else title for title in table.header]
        raise CourseError(f"{table.name} has {many} {wanted!r}.{nearest.hint(wanted, names)}")
    return found[0]


def _possible(table: Sheet) -> int:
    """Canvas's row of the points that there are; 0 if there is none."""
    first = _first(table)
    return next((r for r in range(1, len(table.rows)) if table.at(r, first).casefold() == _POSSIBLE), 0)


# -- whose is a row ---------------------------------------------------------------------------------------------


def _people(table: Sheet, where: _Columns) -> dict[int, str]:
    """row → the platform's number of whom it is about; rows about nobody are left out."""
    found = {}
    for row in range(1, len(table.rows)):
        number = _OF_A_ROW.search(table.at(row, where.identifier))
        if number:
            found[row] = number[1].lstrip("0") or "0"
    return found


def _matched(
    table: Sheet, where: _Columns, people: dict[int, str], students: Sequence[Student], labels: Mapping[str, set[str]]
) -> dict[str, int]:
    """student → row. Raises `CourseError` where two students would be one row."""
    by_number: dict[str, list[int]] = {}
    for row, number in people.items():
        by_number.setdefault(number, []).append(row)
    by_name: dict[str, set[int]] = {}
    for row in people:
        for column in where.names:
            if said := _folded(table.at(row, column)):
                by_name.setdefault(said, set()).add(row)
        if where.platform == "Canvas" and table.column("FirstName") >= 0:
            whole = f"{table.at(row, table.column('FirstName'))} {table.at(row, table.column('LastName'))}"
            by_name.setdefault(_folded(whole), set()).add(row)
    found: dict[str, int] = {}
    for student in students:
        mine = {student.name, *labels.get(student.name, set())}
        rows = {row for name in mine for row in by_number.get(_number_in(name), []) if _may_be(table, where, row, name)}
        if not rows:
            rows = {row for name in mine for row in by_name.get(_folded(name), set())}
        if len(rows) == 1:
            row = rows.pop()
            if other := next((name for name, taken in found.items() if taken == row), ""):
                raise CourseError(
                    f"{other} and {student.name} are both {table.at(row, where.identifier)} in {table.name}. "
                    "`mi grade merge` makes them one."
                )
            found[student.name] = row
    return found


def _number_in(name: str) -> str:
    """The number of a person in a name of an export; "" if there is none."""
    match = None if _NOBODYS.match(name) else NUMBER.search(name)
    return match[1].lstrip("0") or "0" if match else ""


def _may_be(table: Sheet, where: _Columns, row: int, name: str) -> bool:
    """Whether the row is of whom the name says: where groups hand in, the number may be that of a group."""
    group = table.at(row, where.groups) if where.groups >= 0 else ""
    whole = next((table.at(row, c) for c in where.names if table.header[c].casefold() == "full name"), "")
    return not group or not whole or _letters(NUMBER.sub("", name)) == _letters(whole)


def _letters(name: str) -> str:
    """A name without what file systems and platforms leave out."""
    return "".join(filter(str.isalnum, name.casefold()))


def _folded(name: str) -> str:
    """A name whatever its capitals and blanks are, "Lovelace, Ada" as "Ada Lovelace"."""
    last, comma, first = texts.line(name).casefold().partition(",")
    return f"{first.strip()} {last.strip()}" if comma and first.strip() else last


# -- what goes into it ------------------------------------------------------------------------------------------


def _reason_to_leave(table: Sheet, where: _Columns, row: int, graded: bool) -> str:
    if not graded:
        return "nothing was handed in"
    if where.platform == "Canvas" and table.at(row, where.grade).upper() == "EX":
        return "excused in Canvas"
    if where.platform == "Canvas" and table.at(row, where.grade).upper() == "N/A":
        return "Canvas takes no grade: not assigned to this student, or marked without names and not posted yet"
    if table.at(row, where.changeable).casefold() == "no":
        return "Moodle says that this grade cannot be changed"
    return ""


def _maximum(table: Sheet, where: _Columns, row: int) -> float | None:
    """The most that the platform gives; None where it says nothing. Raises `CourseError` where it is no number."""
    if where.platform == "Canvas":
        at = _possible(table)
        said = table.at(at, where.grade) if at else ""
    else:
        said = table.at(row, where.maximum) if where.maximum >= 0 else ""
    if said in ("", "-"):
        return None
    try:
        return float(said.replace(",", "."))
    except ValueError:
        raise CourseError(
            f"{table.name} gives {said!r} at most in {table.header[where.grade]!r}, which is no number of points. "
            "Take an assignment that is graded with points."
        ) from None


def _comma(table: Sheet, where: _Columns, row: int, decimal: str) -> bool:
    """Does this table write 7,5? As its maximum does; where that says nothing, as the settings say."""
    said = table.at(row, where.maximum) if where.maximum >= 0 else table.at(_possible(table), where.grade)
    if re.fullmatch(r"\d+[.,]\d+", said):
        return "," in said
    return decimal == ","


def _number(points: float, comma: bool) -> str:
    text = f"{max(0.0, points):.2f}".rstrip("0").rstrip(".")
    return text.replace(".", ",") if comma else text
