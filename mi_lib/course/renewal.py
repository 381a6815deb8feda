"""Is the course on disk still the one that this process runs?

After a `git pull` a process that goes on would judge with half of each: graders are read from disk, and call a library
that was imported before. So what goes on for long asks here. `mi app` starts its server anew (`serve`), `mi watch`
itself (`watch`), and a notebook says that its kernel must be (`checking`). What stands in `chapters/` is read again
whenever it changes, and asks for nothing of the kind.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

_ROOT = Path(__file__).parents[2]
FOLDERS = (_ROOT / "mi_lib", _ROOT / "app")
_KINDS = (".py", ".toml", ".json", ".js", ".css", ".html", ".safetensors")
QUIET = 0.5  # seconds without a change after which a `git pull` is taken to have ended


def stamp(folders: Iterable[Path]) -> int:
    """A number that is another once a file of the course in these folders is written, comes or goes."""
    return hash(frozenset(_files(folders)))


def _files(folders: Iterable[Path | str]) -> Iterator[tuple[str, int, int]]:
    for folder in folders:
        try:
            entries = list(os.scandir(folder))
        except OSError:  # gone, or not there: a course without pages
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith((".", "__pycache__")):
                    yield from _files([entry.path])
            elif entry.name.endswith(_KINDS) and not entry.name.startswith("."):
                try:
                    stat = entry.stat()
                except OSError:
                    continue
                yield entry.path, stat.st_mtime_ns, stat.st_size


_BEGUN = stamp(FOLDERS)


def changed() -> bool:
    """Whether the course's own code has changed since this process began."""
    return stamp(FOLDERS) != _BEGUN


def wait_until_quiet(folders: Iterable[Path]) -> int:
    """Wait until nothing has changed in these folders for a moment; their stamp then."""
    before, now = None, stamp(folders)
    while before != now:
        time.sleep(QUIET)
        before, now = now, stamp(folders)
    return now


def begin_anew() -> None:
    """Put a new process with the same command in the place of this one, once nothing changes any more."""
    wait_until_quiet(FOLDERS)
    os.execv(sys.executable, sys.orig_argv)
