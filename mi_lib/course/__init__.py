"""The course engine: chapters, lessons, the learner's workspace and progress, grading, notebooks.

Nothing here imports torch, so that the command `mi` and the pages start at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mi_lib.course.index import Chapter, CourseError, Exercise, chapter, chapters, exercise, syllabus
    from mi_lib.course.progress import Progress
    from mi_lib.course.solutions import solution
    from mi_lib.course.workspace import Conflict, Workspace

_HOME = {
    "Chapter": "index",
    "Conflict": "workspace",
    "CourseError": "index",
    "Exercise": "index",
    "Progress": "progress",
    "Workspace": "workspace",
    "chapter": "index",
    "chapters": "index",
    "exercise": "index",
    "solution": "solutions",
    "syllabus": "index",
}
__all__ = [
    "Chapter",
    "Conflict",
    "CourseError",
    "Exercise",
    "Progress",
    "Workspace",
    "chapter",
    "chapters",
    "exercise",
    "solution",
    "syllabus",
]


def __getattr__(name: str) -> Any:
    """Fetch a public name from the module that defines it, on first use (PEP 562)."""
    if name in _HOME:
        return getattr(importlib.import_module(f"mi_lib.course.{_HOME[name]}"), name)
    raise AttributeError(f"module 'mi_lib.course' has no attribute {name!r}")
