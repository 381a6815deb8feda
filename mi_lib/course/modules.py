"""The Python files of a chapter that are trusted code of the course: `figures.py` and `findings.py`."""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def load(path: Path) -> ModuleType:
    """The module in this file; run once, and again when the file has changed."""
    return _load(path, path.stat().st_mtime_ns)


def functions(path: Path) -> list[ast.FunctionDef]:
    """The functions at the top of a file, found without running it; none if there is no such file."""
    if not path.exists():
        return []
    return [node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)]


@functools.lru_cache(maxsize=16)
def _load(path: Path, _mtime: int) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"mi_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there for their own module
    spec.loader.exec_module(module)
    return module
