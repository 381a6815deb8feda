"""Ways through the course: paths to a goal with all that it needs, and what one can do who skips the first chapter.

They stand in `chapters/paths.toml`. A learner who has chosen one is led along it; nothing is ever closed to them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass

from mi_lib.course.index import Chapter, CourseError, Planned, root, syllabus
from mi_lib.course.progress import Progress

PATH, SKIPPED = "path", "skipped"  # the learner's choices, in the progress file


@dataclass(frozen=True)
class Way:
    """A path. chapters: the numbers of all that it needs and of its ends, in order; some may be still to come."""

    name: str
    title: str
    question: str
    chapters: tuple[str, ...]

    def minutes(self, here: Iterable[Chapter]) -> int:
        """How long its chapters take that are here."""
        return sum(chapter.minutes for chapter in here if chapter.number in self.chapters)


@dataclass(frozen=True)
class Can:
    """Something that one can do who needs not be taught it, and the exercise that teaches it."""

    text: str
    exercise: str


def _table() -> dict:
    file = root() / "chapters" / "paths.toml"
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}  # a course of somebody's own may do without
    except (OSError, ValueError) as error:
        raise CourseError(f"{file} cannot be read: {error}") from error


def ways() -> list[Way]:
    """The paths. Raises `CourseError` for a file that cannot be read or ends at a chapter that nobody plans."""
    planned = {one.number: one for one in syllabus()}
    return [
        Way(row["name"], row["title"], row["question"], _with_needs(row["ends"], planned))
        for row in _table().get("path", [])
    ]


def _with_needs(ends: list[str], planned: dict[str, Planned]) -> tuple[str, ...]:
    found: set[str] = set()
    waiting = list(ends)
    while waiting:
        number = waiting.pop()
        if number not in planned:
            raise CourseError(f"paths.toml names chapter {number}, which is not in the syllabus.")
        if number not in found:
            found.add(number)
            waiting += planned[number].needs
    return tuple(sorted(found))


def placement() -> tuple[str, list[Can]]:
    """The chapter that may be skipped ("" if none), and what one can do who skips it."""
    table = _table()
    return table.get("placement", {}).get("skips", ""), [Can(**row) for row in table.get("can", [])]


def chosen(progress: Progress) -> Way | None:
    """The path that the learner has chosen, if any."""
    name = progress.chosen(PATH)
    return next((way for way in ways() if way.name == name), None) if name else None


def ahead(chapters: list[Chapter], progress: Progress) -> list[Chapter]:
    """The chapters that the learner is led through: those of the path, without what is skipped."""
    way, skipped = chosen(progress), progress.chosen(SKIPPED)
    return [one for one in chapters if one.number != skipped and (way is None or one.number in way.chapters)]
