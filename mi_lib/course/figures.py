"""A chapter's figures: functions of its `figures.py`, which is trusted code of the course."""

from __future__ import annotations

import ast
import functools
import importlib.util
from typing import Any

from mi_lib.course.index import Chapter, CourseError


def names(chapter: Chapter) -> list[str]:
    """The figures of a chapter, found without running anything."""
    path = chapter.folder / "figures.py"
    if not path.exists():
        return []
    tree = ast.parse(path.read_text("utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]


def figure(chapter: Chapter, name: str) -> Any:
    """Draw one figure (a Plotly figure). Raises `CourseError` for a name that the chapter does not have."""
    if name not in names(chapter):
        raise CourseError(f"Chapter {chapter.number} has no figure {name!r}. It has: {', '.join(names(chapter))}.")
    path = chapter.folder / "figures.py"
    return getattr(_module(str(path), path.stat().st_mtime_ns), name)()


@functools.lru_cache(maxsize=8)
def _module(path: str, _mtime: int) -> Any:
    spec = importlib.util.spec_from_file_location("mi_chapter_figures", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
