"""`mi doctor`: is everything here that the course needs, and what to do where it is not."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable
from typing import NamedTuple

from mi_lib.course import files, index
from mi_lib.course.index import CourseError
from mi_lib.course.progress import Progress
from mi_lib.course.workspace import Workspace


class Line(NamedTuple):
    """One thing that was looked at. `advice` is "" where nothing needs doing."""

    what: str
    found: str
    ok: bool
    advice: str = ""


def environment(workspace_path: str | None = None) -> list[Line]:
    """Python, packages, device, course and workspace."""
    lines = [_python(), Line("system", f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors", True)]
    lines += [_package(name) for name in ("torch", "transformers", "streamlit", "plotly", "nbformat", "watchfiles")]
    lines += [_guarded("device", _device), _guarded("chapters", _chapters), _guarded("bundled models", _models)]
    lines.append(_guarded("isolation", _isolation))
    return [*lines, _guarded("workspace", lambda: _workspace(workspace_path)), _disk()]


def _guarded(what: str, look: Callable[[], Line]) -> Line:
    try:
        return look()
    except Exception as error:  # a doctor reports what is broken and goes on
        return Line(what, "not usable", False, str(error) or type(error).__name__)


def _python() -> Line:
    ok = sys.version_info >= (3, 11)
    return Line("python", platform.python_version(), ok, "" if ok else "Install Python 3.11 or newer.")


def _package(name: str) -> Line:
    try:
        importlib.import_module(name)
        return Line(name, importlib.metadata.version(name), True)
    except Exception as error:
        advice = "Run `make setup`, or `pip install -c constraints.txt -e .` in the course's folder."
        return Line(name, f"cannot be imported ({error})", False, advice)


def _device() -> Line:
    import torch

    if torch.cuda.is_available():
        return Line("device", f"cuda ({torch.cuda.get_device_name(0)})", True)
    if torch.backends.mps.is_available():
        return Line("device", "mps", True)
    return Line("device", f"cpu, {torch.get_num_threads()} threads (all that the course needs)", True)


def _chapters() -> Line:
    here = index.chapters()
    advice = "" if here else f"No chapter was found in {index.root()}; install from a clone with `pip install -e .`."
    return Line("chapters", ", ".join(chapter.number for chapter in here) or "none", bool(here), advice)


def _models() -> Line:
    from mi_lib import zoo

    names = zoo.names()
    advice = "" if names else "The model files are missing from mi_lib/zoo; get the course again."
    return Line("bundled models", ", ".join(names) or "none", bool(names), advice)


def _isolation() -> Line:
    """How far graded code is shut in here. For one's own code any level will do, so none is a reason to worry."""
    from mi_lib.course.grading import Grader

    with Grader() as grader:
        isolation = grader.isolation()
    advice = "; ".join(f"{measure.name}: {measure.words}" for measure in isolation.missing)
    found = f"{isolation.level}: {'; '.join(isolation.in_words)}"
    return Line("isolation of graded code", found, True, f"Not in force: {advice}." if advice else "")


def _workspace(path: str | None) -> Line:
    try:
        workspace = Workspace.open(path)
        progress = Progress(workspace)
        passed = sum(state.passed for state in progress.states().values())
    except CourseError as error:
        return Line("workspace", "none", False, str(error))
    where = " (on a network file system: `mi watch` polls)" if files.on_network(workspace.path) else ""
    notices = " ".join([*workspace.notices, progress.notice]).strip()
    return Line("workspace", f"{workspace.path}{where}, {passed} exercises passed", True, notices)


def _disk() -> Line:
    free = shutil.disk_usage(".").free / 2**30
    return Line("free disk", f"{free:.1f} GiB", free > 0.2, "" if free > 0.2 else "Make room: progress cannot be kept.")
