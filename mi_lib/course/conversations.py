"""Conversations with a chat network, kept in the learner's workspace: a file each, of which only the newest stay."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from pathlib import Path
from typing import Any

from mi_lib.course import files
from mi_lib.course.workspace import Workspace

MOST = 12  # conversations in a workspace
_NAME = re.compile(r"[0-9a-f]{8}")


def new_name() -> str:
    """A name for a conversation that nobody else has."""
    return secrets.token_hex(4)


def keep(workspace: Workspace, name: str, said: dict[str, Any]) -> None:
    """Store a conversation, in place of what was stored under its name. The oldest go where there are more than `MOST`.

    Raises `CourseError` if it cannot be written, ValueError if `name` is none that `new_name` makes.
    """
    files.write_atomically(_file(workspace, name), json.dumps(said))
    for old in _newest_first(workspace)[MOST:]:
        with contextlib.suppress(OSError):
            old.unlink()


def read(workspace: Workspace, name: str) -> dict[str, Any] | None:
    """What was stored under a name; None if nothing was, or it cannot be read."""
    if not _NAME.fullmatch(name):
        return None
    with contextlib.suppress(OSError, ValueError):
        said = json.loads(_file(workspace, name).read_text("utf-8"))
        return said if isinstance(said, dict) else None
    return None


def version(workspace: Workspace, name: str) -> int:
    """Changes whenever the conversation is stored; 0 if it is not."""
    with contextlib.suppress(OSError):
        return _file(workspace, name).stat().st_mtime_ns
    return 0


def latest(workspace: Workspace) -> dict[str, Any] | None:
    """The conversation that was stored last, or None."""
    return next(filter(None, (read(workspace, path.stem) for path in _newest_first(workspace))), None)


def _file(workspace: Workspace, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a conversation")
    return _folder(workspace) / f"{name}.json"


def _folder(workspace: Workspace) -> Path:
    return workspace.path / ".mi" / "conversations"


def _newest_first(workspace: Workspace) -> list[Path]:
    dated = []
    for path in _folder(workspace).glob("*.json"):
        with contextlib.suppress(OSError):  # another tab has just removed it
            dated.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(dated, reverse=True)]
