"""The judge's side of the fork server: start it, ask it for a process, have a process killed. No torch here.

Nothing of torch is imported, so that the server can import it while the judge does the same.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mi_lib.course.grading.isolation import Isolation, Measure

START_SECONDS = 120  # importing torch from a cold disk
BUSY = 4  # by the wall clock, a run may take as many times its seconds on a machine that is busy with something else


def _memory() -> int:
    """4 GiB, or half of what the machine has if that is less."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        physical = 8 * 2**30
    return min(4 * 2**30, physical // 2)


@dataclass(frozen=True)
class Limits:
    """What a learner's process may use. Seconds are those of one exercise, all its tests together."""

    seconds: float = 20.0
    memory_bytes: int = field(default_factory=_memory)
    output_bytes: int = 10 * 10**6
    file_bytes: int = 100 * 2**20  # of each file, and of all files together
    processes: int = 32
    threads: int = 64  # beyond the first of each process
    open_files: int = 256
    submission_seconds: float = 900.0  # all exercises of a submission together

    def to_server(self) -> dict[str, int]:
        return {
            "cpu_seconds": int(self.seconds) + 5,  # the wall clock comes first; this is for when the judge is gone
            "memory_bytes": self.memory_bytes,
            "file_bytes": self.file_bytes,
            "processes": self.processes,
            "threads": self.threads,
            "open_files": self.open_files,
        }

    def kept_by_the_judge(self) -> Isolation:
        """The measures that the judge itself keeps. The learner's process reports the others."""
        kept = f"time limit {self.seconds:g} s, output limit {self.output_bytes // 10**6} MB"
        words = f"separate process, which receives only inputs and returns only data; {kept}"
        return Isolation((Measure("process", True, words),))


def environment() -> dict[str, str]:
    """The environment variables of the fork server. A learner's process has others again (`child`)."""
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    kept |= {"LANG": "C.UTF-8", "HOME": tempfile.gettempdir(), "PYTHONPATH": str(Path(__file__).parents[3])}
    kept |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    kept["OBJC_DISABLE_INITIALIZE_FORK_SAFETY"] = "YES"  # macOS: forking after imports is the point here
    # The hub's client reads these when the server imports it. A relative path lies in the private folder of each run.
    return kept | {"HF_HOME": "huggingface", "HF_HUB_DISABLE_TELEMETRY": "1"}


class ServerGone(Exception):
    """The fork server ended. The next process gets a new one."""


@dataclass(frozen=True)
class Forked:
    """A learner's process as the server made it: its number, its folder, our end of its channel, what it prints."""

    run: int
    pid: int
    folder: str
    channel: socket.socket
    output: int
    nonce: bytes


# What a process needs of the environment to find Python and its libraries. Nothing else may be left in its memory.
_ENVIRONMENT = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "SYSTEMROOT")


class ForkServer:
    """The fork server's process and the socket to it. Started in the background: `fork` waits until it is ready."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - open for as long as the server lives
        with theirs:
            self.popen = subprocess.Popen(
                # -P: nothing is imported from the folder that the learner happens to stand in
                [sys.executable, "-P", "-m", "mi_lib.course.grading.server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment(),
                stdin=subprocess.DEVNULL,
                stderr=self._complaints,
                start_new_session=True,  # Ctrl-C reaches the judge alone
            )
        self.control = ours
        self._buffer = b""
        self._ready = False
        self._run = 0

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    def fork(self, limits: Limits, without: dict[str, Any] | None = None, hide: Sequence[str] = ()) -> Forked:
        """A new learner's process. ServerGone if the server has ended.

        without: what `withheld.withhold` takes. hide: folders that are to be outside its view.
        """
        if not self._ready:
            self._wait_for("ready", START_SECONDS)
            self._ready = True
        folder = tempfile.mkdtemp(prefix="mi-grading-")  # the server removes it, with whatever is in it then
        channel, theirs = socket.socketpair()
        output, write_end = os.pipe()
        nonce = secrets.token_bytes(16)
        try:
            self._run += 1
            request = {"fork": limits.to_server(), "run": self._run, "folder": folder, "nonce": nonce.hex()}
            request |= {"without": without, "hide": list(hide)}
            message = json.dumps(request).encode() + b"\n"
            socket.send_fds(self.control, [message], [theirs.fileno(), write_end])
            pid = self._wait_for("forked", 30 if without is None else START_SECONDS)["forked"]
        except BaseException as error:
            channel.close()
            os.close(output)
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise ServerGone from error
            raise
        finally:
            theirs.close()
            os.close(write_end)
        return Forked(self._run, pid, folder, channel, output, nonce)

    def _wait_for(self, key: str, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            notice = self.notice(max(0.0, deadline - time.monotonic()))
            if notice is None:
                raise ServerGone(f"the grading server did not answer ({key})")
            if key in notice and notice.get("run", self._run) == self._run:
                return notice

    def notice(self, seconds: float) -> dict[str, Any] | None:
        """The next notice, or None if none came in time. ServerGone if there will be none."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            readable, _, _ = select.select([self.control], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                return None
            try:
                data = self.control.recv(4096)
            except OSError as error:
                raise ServerGone from error
            if not data:
                raise ServerGone("the grading server ended")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    def ended(self, run: int, seconds: float) -> dict[str, Any] | None:
        """The notice that this run has ended, if it comes within so many seconds. ServerGone if it never will."""
        deadline = time.monotonic() + seconds
        while (notice := self.notice(max(0.0, deadline - time.monotonic()))) is not None:
            if "ended" in notice and notice["run"] == run:
                return notice
        return None

    def kill(self, run: int) -> None:
        """Have a run's processes killed; the notice of its end follows."""
        with suppress(OSError):
            self.control.sendall(json.dumps({"kill": run}).encode() + b"\n")

    def last_words(self) -> str:
        """The last line that the server wrote to its standard error, to say why it ended."""
        self._complaints.seek(0)
        lines = self._complaints.read()[-4000:].decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def close(self) -> None:
        """Hang up: the server buries what is left and ends."""
        self.control.close()
        try:
            self.popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        self._complaints.close()
