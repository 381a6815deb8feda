"""A table that another program wrote, in which some cells are filled and everything else stays, byte for byte.

Reading a table and writing it again changes what nobody asked to change: quotation marks, line ends, a mark at the
beginning, letters that are not UTF-8. So a cell here is a stretch of the file, and filling it exchanges that stretch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from mi_lib.course import texts
from mi_lib.course.index import CourseError

MAX_BYTES = 50 * 2**20
_SEPARATORS = ",;\t"
_MARK = "\ufeff"


@dataclass(frozen=True)
class Cell:
    """Where a cell stands in the text, quotation marks included, and what it says."""

    start: int
    end: int
    text: str
    quoted: bool


@dataclass
class Sheet:
    """A table. rows: the first is the header; a line with nothing in it is no row."""

    name: str
    text: str
    separator: str
    rows: list[list[Cell]]
    _new: dict[tuple[int, int], str] = field(default_factory=dict)

    @property
    def header(self) -> list[str]:
        """What the first row says, without blanks at its ends."""
        return [cell.text.strip() for cell in self.rows[0]]

    def column(self, *names: str) -> int:
        """The first column of one of these names, whatever its capitals; -1 if there is none."""
        header = [title.casefold() for title in self.header]
        return next((header.index(name.casefold()) for name in names if name.casefold() in header), -1)

    def at(self, row: int, column: int) -> str:
        """What a cell says, without blanks at its ends; "" where there is none."""
        cells = self.rows[row]
        return cells[column].text.strip() if 0 <= column < len(cells) else ""

    def put(self, row: int, column: int, text: str) -> None:
        """Fill a cell. What is put there is one line and no formula, and quoted where it must be, or was."""
        clean = texts.cell(text)
        quoted = self.rows[row][column].quoted or bool(re.search(rf'[{self.separator}"\n]', clean))
        self._new[row, column] = '"' + clean.replace('"', '""') + '"' if quoted else clean

    def to_bytes(self) -> bytes:
        """The file, as it was but for the cells that were put."""
        parts, at = [], 0
        for (row, column), new in sorted(self._new.items()):
            cell = self.rows[row][column]
            parts += [self.text[at : cell.start], new]
            at = cell.end
        return "".join([*parts, self.text[at:]]).encode("utf-8", "surrogateescape")


def read(path: Path) -> Sheet:
    """Read a table. Raises `CourseError`, naming the line, if it is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CourseError(
            f"{path} cannot be read ({error.strerror}). Give the file that the platform exported."
        ) from error
    if data[:2] in (b"PK", b"\xd0\xcf"):
        raise CourseError(f"{path.name} is a spreadsheet, not a CSV. Give the CSV as the platform exported it.")
    if b"\0" in data or len(data) > MAX_BYTES:
        raise CourseError(f"{path.name} is not a CSV in UTF-8. Give the CSV as the platform exported it.")
    text = data.decode("utf-8", "surrogateescape")
    first = re.sub(r'"[^"]*"', "", text.lstrip("\r\n").split("\n", 1)[0])
    separator = max(_SEPARATORS, key=first.count)
    rows = _rows(path.name, text, separator)
    if not rows:
        raise CourseError(f"{path.name} is empty. Give the CSV as the platform exported it.")
    for row in rows:
        if len(row) != len(rows[0]):
            line = text.count("\n", 0, row[0].start) + 1
            raise CourseError(
                f"{path.name} has {len(rows[0])} columns but {len(row)} cells in line {line}. "
                "Give the CSV as the platform exported it."
            )
    return Sheet(path.name, text, separator, rows)


def _rows(name: str, text: str, separator: str) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    at = len(_MARK) if text.startswith(_MARK) else 0
    plain = re.compile(rf"[^{separator}\r\n]*")
    row: list[Cell] = []
    while at < len(text) or row:
        cell = _quoted(name, text, at) if text.startswith('"', at) else _plain(text, at, plain)
        row.append(cell)
        at = cell.end
        if text.startswith(separator, at):
            at += 1
            continue
        ended = re.compile(r"\r\n|\r|\n|\Z").match(text, at)
        if ended is None:
            raise CourseError(f"{name} has text behind a quoted cell in line {text.count(chr(10), 0, at) + 1}.")
        at = ended.end()
        if len(row) > 1 or row[0].text.strip():
            rows.append(row)
        row = []
    return rows


def _plain(text: str, at: int, pattern: re.Pattern[str]) -> Cell:
    found = pattern.match(text, at)
    assert found is not None
    return Cell(at, found.end(), found[0], False)


def _quoted(name: str, text: str, at: int) -> Cell:
    end = at + 1
    while True:
        end = text.find('"', end)
        if end < 0:
            line = text.count("\n", 0, at) + 1
            raise CourseError(f"{name} has a quotation mark in line {line} that nothing closes.")
        if not text.startswith('""', end):
            return Cell(at, end + 1, text[at + 1 : end].replace('""', '"'), True)
        end += 2
