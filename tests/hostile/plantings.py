"""What a hostile submission may go for: secret files, an environment, sockets, a process. And who touched it."""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import signal
import socket
import sqlite3
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mi_lib.course.grading import Grader, Limits, Verdict, process

TESTS = '''
import torch
from mi_lib.course.grading import expect_close, grades

SECRET = "{secret}"
X = torch.arange(6.0).reshape(2, 3)


@grades("01.1")
def test_doubling_a_vector(answer):
    """A vector is doubled."""
    expect_close(answer.double(X[0]), 2 * X[0], "the double")


@grades("01.1")
def test_doubling_a_matrix(answer):
    """A matrix is doubled."""
    expect_close(answer.double(X), 2 * X, "the double", mistakes={{"You squared it.": X**2}})
'''
LIMITS = Limits(memory_bytes=400 * 2**20, output_bytes=10**6, file_bytes=20 * 2**20, processes=16)
HONEST = "# %% [setup]\n# %% [01.1]\ndef double(x):\n    return x + x\n"


@dataclass(frozen=True)
class Exercise:
    chapter: Any
    id: str = "01.1"
    points: float = 8
    time_limit: float = 10.0


@dataclass(frozen=True)
class Chapter:
    folder: Path


@dataclass
class Plantings:
    """The targets, with the names under which every submission is told of them."""

    secret: str
    targets: dict[str, Any]
    sockets: list[socket.socket]
    exercise: Exercise
    files: dict[Path, tuple] = field(default_factory=dict)
    signals: list[int] = field(default_factory=list)
    came_back: bytearray = field(default_factory=bytearray)

    def submission(self, text: str) -> str:
        """A hostile file as it is handed in: it need not search for its targets."""
        names = "\n".join(f"{name} = {value!r}" for name, value in self.targets.items())
        return f"# %% [setup]\nimport os\nimport torch\n{names}\n# %% [01.1]\n{text}"

    def touched(self) -> list[str]:
        """Everything that is not as it was planted."""
        found = [f"{path} was changed" for path, before in self.files.items() if state(path) != before]
        known = set(self.files)
        top = Path(self.targets["FOLDER"])
        found += [f"{path} is new" for path in top.rglob("*") if path not in known and "__pycache__" not in path.parts]
        readable, _, _ = select.select(self.sockets, [], [], 0)
        found += [f"somebody spoke to {line.getsockname()!r}" for line in readable]
        found += [f"signal {number} came" for number in self.signals]
        return found

    def leaked(self, verdict: Verdict) -> bool:
        """Whether the secret came back: over the channel, in what was printed, or in a file of the run's own."""
        everything = bytes(self.came_back) + json.dumps(verdict.to_dict()).encode()
        self.came_back.clear()
        return self.secret.encode() in everything


def state(path: Path) -> tuple:
    """What must not change of a file or folder; None if it is gone."""
    try:
        s = path.lstat()
    except OSError:
        return ()
    content = path.read_bytes() if stat.S_ISREG(s.st_mode) else b""
    return (stat.S_IFMT(s.st_mode), stat.S_IMODE(s.st_mode), s.st_uid, s.st_nlink, s.st_mtime_ns, content)


@contextmanager
def planted() -> Iterator[Plantings]:
    """Plant everything, readable by all, so that file modes protect nothing; and listen to all that comes back."""
    secret = secrets.token_hex(16)
    top = Path(tempfile.mkdtemp(prefix="mi-plantings-"))
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        stack.callback(shutil.rmtree, top, ignore_errors=True)
        texts = {
            "TESTS": ("course/ch01_tiny/test_exercises.py", TESTS.format(secret=secret)),
            "SOLUTION": ("course/solutions/solution.py", f"SECRET = '{secret}'\ndef double(x):\n    return 2 * x\n"),
            "OTHER": ("submissions/somebody_else.py", f"# {secret}\n{HONEST}"),
            "NETRC": ("home/.netrc", f"machine example password {secret}\n"),
        }
        targets: dict[str, Any] = {"PARENT": os.getpid(), "FOLDER": str(top), "HOME": str(top / "home")}
        for name, (place, text) in texts.items():
            (top / place).parent.mkdir(parents=True, exist_ok=True)
            (top / place).write_text(text)
            targets[name] = str(top / place)
        targets["GRADEBOOK"] = str(top / "gradebook.sqlite")
        book = sqlite3.connect(targets["GRADEBOOK"])
        book.execute("create table grades (points, note)")
        book.execute("insert into grades values (0, ?)", (secret,))
        book.commit()
        book.close()
        lines = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
        lines[1].bind(("127.0.0.1", 0))
        targets |= {"PORT": lines[0].getsockname()[1], "UDP_PORT": lines[1].getsockname()[1]}
        targets |= {"SOCKET": str(top / "service"), "ABSTRACT": f"\0mi-{secret[:8]}"}
        for address in (targets["SOCKET"], targets["ABSTRACT"]) if sys.platform.startswith("linux") else ():
            lines.append(socket.socket(socket.AF_UNIX))
            lines[-1].bind(address)
            lines[-1].listen()
        for line in lines:
            stack.enter_context(line)
        for path in [top, *top.rglob("*")]:
            path.chmod(0o777 if path.is_dir() or path.is_socket() else 0o666)
        patch.setenv("CANARY", secret)
        patch.setenv("HOME", targets["HOME"])
        plantings = Plantings(secret, targets, lines, Exercise(Chapter(Path(targets["TESTS"]).parent)))
        before = signal.signal(signal.SIGUSR1, lambda number, _: plantings.signals.append(number))
        stack.callback(signal.signal, signal.SIGUSR1, before)
        _listen(plantings.came_back, patch)
        plantings.files = {path: state(path) for path in top.rglob("*")}
        yield plantings


def _listen(into: bytearray, patch: pytest.MonkeyPatch) -> None:
    """Keep all bytes of the channel, all output, and the small files of the private folder before it is removed."""
    read, add, end = process.Process._read, process.Printed.add, process.Process._end

    def _read(self: process.Process, n: int) -> bytearray:
        data = read(self, n)
        into.extend(data[: 10**6])
        return data

    def _add(self: process.Printed, data: bytes) -> None:
        into.extend(data[: 10**6])
        add(self, data)

    def _end(self: process.Process, wait: float = 0.0) -> Any:
        with suppress(OSError):  # the server may be quicker, and have removed it
            for path in list(Path(self.folder).iterdir())[:100]:
                if path.is_file() and not path.is_symlink() and path.stat().st_size < 10**6:
                    into.extend(path.read_bytes())
        return end(self, wait)

    patch.setattr(process.Process, "_read", _read)
    patch.setattr(process.Printed, "add", _add)
    patch.setattr(process.Process, "_end", _end)


def left_behind(grader: Grader) -> list[int]:
    """Processes of a submission that is over. The server may still be busy removing its folder, with a helper."""
    deadline = time.monotonic() + 30
    while (found := _descendants(grader)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _descendants(grader: Grader) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else []:
        try:
            fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split() if entry.isdigit() else ["Z"]
        except OSError:
            continue
        if fields[0] != "Z":
            parents.setdefault(int(fields[1]), []).append(int(entry))
    found, todo = [], [grader.server_pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found
