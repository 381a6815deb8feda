"""A chapter's figures: functions of its `figures.py`, which is trusted code of the course."""

from __future__ import annotations

from typing import Any

from mi_lib.course import modules
from mi_lib.course.index import Chapter, CourseError


def names(chapter: Chapter) -> list[str]:
    """The figures of a chapter, found without running anything."""
    found = modules.functions(chapter.folder / "figures.py")
    return [function.name for function in found if not function.name.startswith("_")]


def figure(chapter: Chapter, name: str) -> Any:
    """Draw one figure (a Plotly figure). Raises `CourseError` for a name that the chapter does not have."""
    if name not in names(chapter):
        raise CourseError(f"Chapter {chapter.number} has no figure {name!r}. It has: {', '.join(names(chapter))}.")
    return getattr(modules.load(chapter.folder / "figures.py"), name)()
