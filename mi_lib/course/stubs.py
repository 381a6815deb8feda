"""The text that a learner starts from, made from the reference answer: what stands between the marks is cut out."""

from __future__ import annotations

import re

from mi_lib.course import sections
from mi_lib.course.index import Chapter, CourseError

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


def stub(reference: str) -> str:
    """The reference with each solution block replaced by a `raise NotImplementedError(...)` at its indentation.

    Raises `CourseError` for a mark without its partner, and for a block outside a function: an unsolved file must
    still run from top to bottom.
    """
    return "".join(_stub_section(name, text) for name, text in sections.split(reference).items())


def build(chapter: Chapter) -> bool:
    """Write `exercises.py` of a chapter from its reference. True if the file changed."""
    target = chapter.folder / "exercises.py"
    text = reference_stub(chapter)
    if target.exists() and target.read_text("utf-8") == text:
        return False
    target.write_text(text, "utf-8")
    return True


def handed_out(chapter: Chapter) -> str:
    """The text that a learner starts the chapter from. Raises `CourseError` if the course lacks it."""
    path = chapter.folder / "exercises.py"
    if not path.exists():
        raise CourseError(f"{path} is missing. Authors write it with `mi dev build`; else get the course again.")
    return path.read_text("utf-8")


def reference_stub(chapter: Chapter) -> str:
    """What `exercises.py` of this chapter must be. Raises `CourseError` if the reference is missing or malformed."""
    path = chapter.solutions_folder / "exercises.py"
    if not path.exists():
        raise CourseError(f"{path} is missing: the stub of chapter {chapter.number} is made from it.")
    try:
        return stub(path.read_text("utf-8"))
    except CourseError as error:
        raise CourseError(f"{path}: {error}") from error


def _stub_section(name: str, text: str) -> str:
    lines: list[str] = []
    inside: str | None = None  # the indentation of the block we are in
    for line in text.splitlines(keepends=True):
        mark = line.strip()
        if mark == BEGIN:
            if inside is not None:
                raise CourseError(f"section [{name}] has two {BEGIN} lines with no {END} between them.")
            inside = re.match(r"[ \t]*", line)[0]  # type: ignore[index]  # this pattern always matches
            if not inside:
                raise CourseError(f"section [{name}] has a {BEGIN} outside a function; move it into one.")
            lines.append(f'{inside}raise NotImplementedError("Exercise {name} is waiting for your answer.")\n')
        elif mark == END:
            if inside is None:
                raise CourseError(f"section [{name}] has an {END} without a {BEGIN}.")
            inside = None
        elif inside is None:
            lines.append(line)
    if inside is not None:
        raise CourseError(f"section [{name}] has a {BEGIN} without an {END}.")
    return "".join(lines)
