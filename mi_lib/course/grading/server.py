"""The fork server: a process with torch imported that forks one learner's process at a time, and buries it.

    python -m mi_lib.course.grading.server FD

FD is a socket to the judge. Requests and notices are JSON lines:

    judge → server   {"fork": {limits}, "run": n, "folder": path, "without": null or {exercise, answers, uses},
                      "hide": [..]}  with two file descriptors: channel and output
                     {"kill": n}
    server → judge   {"ready": true}
                     {"forked": pid, "run": n}
                     {"ended": code or -signal, "why": null, "processes", "memory", "disk" or "killed", "run": n}

It imports and never computes, because OpenMP does not survive a fork. When the judge goes (the socket closes, even
after kill -9), it kills the learner's process with everything that came of it, and ends. On Linux it is the "child
subreaper": a grandchild that detaches itself becomes a child of the server, and dies like the rest. It also watches
what the kernel limits for each process or file but not for all together: their number, memory and disk space.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from mi_lib.course.grading import child, withheld
from mi_lib.course.grading.confine import close_network, look_around

_PRELOAD = (
    "einops", "einops._torch_specific", "jaxtyping", "mi_lib.models", "mi_lib.induction", "mi_lib.worlds.repeats",
    "numpy.random", "tokenizers", "torch.utils._device",
)  # fmt: skip
# The first step of an optimizer needs torch._dynamo, and a model in the format of GPT-2 needs `transformers`; each is a
# second of imports. They happen when nobody has asked for anything for a while, piece after piece, so that whoever asks
# then waits for one piece at most (half a second). The next piece waits until it is quiet again. Where a class is
# graded it never is: there, after so many forks, a piece follows each of them.
_LATER = (
    "sympy",
    "torch.fx.experimental.symbolic_shapes",
    "torch._inductor",
    "torch.distributed.tensor",
    "torch._functorch.aot_autograd",
    "torch._dynamo",
    "torch.optim",
    "jinja2",
    "huggingface_hub.hf_api",
    "transformers",
    "transformers.modeling_utils",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.gpt2.modeling_gpt2",  # what is bundled is in this format
    "transformers.tokenization_utils_tokenizers",
    "mi_lib.models.transformers_model",
    "mi_lib.models.checks",
    "scipy.stats",  # the half of scikit-learn; the rest starts a thread, which a fork would lose
)
IDLE_SECONDS, MANY_FORKS = 2.0, 60
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
WATCH_SECONDS = 0.1  # how often processes, memory and disk space are looked at
LOOKS_AT_MAPS = 10  # how many looks pass between two at what is mapped
MAX_FILES = 1_000  # no exercise needs one
SOCKET_BYTES = 2 * 212_992  # what a socket's buffers may hold of the kernel's memory
_DELETED = " (deleted)"


class Server:
    """The loop. One learner's process at most."""

    def __init__(self, control: socket.socket, network_closed: bool) -> None:
        self.control = control
        self.network_closed = network_closed
        self.pid = 0
        self.run = 0  # the number of the latest fork, so that the judge never takes an old notice for a new one
        self.folder = ""
        self.limits: dict[str, int] = {}
        self.baseline = 0  # bytes that every fork of this server shares with it
        self.why: str | None = None
        self.looks = 0
        self.line = b""
        self.descriptors: list[int] = []
        self.parent = os.getppid()
        self.wake_read, self.wake_write = os.pipe()
        for fd in (self.wake_read, self.wake_write):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes the loop through the pipe
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the judge, which then hangs up

    def loop(self) -> None:
        self.say({"ready": True})
        later = list(_LATER)
        quiet = time.monotonic() + IDLE_SECONDS  # when there will have been quiet for long enough
        while os.getppid() == self.parent:
            sources: list[Any] = [self.control, self.wake_read]
            patience = WATCH_SECONDS if self.pid else IDLE_SECONDS
            if later and not self.pid:
                patience = max(0.0, quiet - time.monotonic())
            readable, _, _ = select.select(sources, [], [], patience)
            if readable or self.pid:
                quiet = time.monotonic() + IDLE_SECONDS
            if self.wake_read in readable:
                os.read(self.wake_read, 4096)
            if self.control in readable and not self.listen():
                break
            if self.pid:
                self.watch()
            elif later and (not readable or self.run > MANY_FORKS):
                preload(later.pop(0))
        self.bury(None)

    def say(self, notice: dict) -> None:
        with suppress(OSError):  # if the judge is gone, the next read of the socket says so too
            self.control.sendall(json.dumps(notice).encode() + b"\n")

    def listen(self) -> bool:
        """Read what there is; False when the judge has hung up."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self.control, 4096, 4)
        except OSError:
            return False
        if not data:
            return False
        self.descriptors += descriptors
        *lines, self.line = (self.line + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            if "fork" in request:
                self.bury(None)  # the judge was interrupted and has forgotten the one before
                self.run = request["run"]
                self.folder = request["folder"]
                if request.get("without"):
                    withheld.learn(request["without"]["answers"])
                self.fork(
                    request["fork"], bytes.fromhex(request["nonce"]), request.get("without"), request.get("hide", ())
                )
            elif request.get("kill") == self.run and self.pid:
                self.why = self.why or "killed"
                self.bury(None)
        return True

    def fork(self, limits: dict[str, int], nonce: bytes, without: dict[str, Any] | None, hide: Sequence[str]) -> None:
        (channel, output), self.descriptors = self.descriptors[:2], self.descriptors[2:]
        self.limits, self.why = limits, None
        self.baseline = private_memory(os.getpid())
        server = os.getpid()
        self.pid = os.fork()
        if not self.pid:
            signal.set_wakeup_fd(-1)
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != server:  # it died before it could be agreed to die with it
                os._exit(0)
            line = socket.socket(fileno=channel)
            child.run(line, output, self.folder, limits, nonce, self.network_closed, without, hide)
        os.close(channel)
        os.close(output)
        self.say({"forked": self.pid, "run": self.run})

    def watch(self) -> None:
        """Has the learner's process ended? Has it, with what came of it, taken more than it may?"""
        status = None
        while True:
            try:
                pid, raw = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            if pid == self.pid:
                status = os.waitstatus_to_exitcode(raw)
        if status is None and (why := self.too_much()):
            self.why = why
            self.bury(None)
        elif status is not None:
            self.bury(status)

    def too_much(self) -> str:
        """What of the limits for all processes together is exceeded; "" if nothing is."""
        found = descendants()
        if len(found) > self.limits["processes"]:
            return "processes"
        unlinked, sockets = held(found, self.folder, maps=self.looks % LOOKS_AT_MAPS == 0)
        self.looks += 1
        memory = sum(max(0, private_memory(pid) - self.baseline) for pid in found)
        if memory + sockets * SOCKET_BYTES > self.limits["memory_bytes"]:
            return "memory"
        return "disk" if disk_used(self.folder) + unlinked > self.limits["file_bytes"] else ""

    def bury(self, status: int | None) -> None:
        """Kill the learner's process and whatever came of it, remove its folder, and tell the judge."""
        if not self.pid:
            return
        found = kill_tree(self.pid, reaped=status is not None)
        with suppress(RecursionError):  # folders nested deeper than Python counts
            shutil.rmtree(self.folder, ignore_errors=True)
        self.pid = 0
        self.say({"ended": status if status is not None else found, "why": self.why, "run": self.run})
        if os.path.lexists(self.folder):
            remove(self.folder)  # which may take seconds


def kill_tree(pid: int, reaped: bool = False) -> int:
    """Kill a child of ours, its group and (on Linux) all its descendants; returns its exit code.

    Killing is repeated until there is nobody left to wait for: a process that forks while we look is found next time.
    """
    code = -signal.SIGKILL
    deadline = time.monotonic() + 5
    doomed = [] if reaped else [pid]
    while time.monotonic() < deadline:
        _kill_group(pid)
        for other in doomed:
            _kill(other)
        try:
            while True:
                ended, raw = os.waitpid(-1, os.WNOHANG)
                if ended == pid:
                    code = os.waitstatus_to_exitcode(raw)
                if not ended:
                    break
        except ChildProcessError:
            return code  # nobody is left
        time.sleep(0.002)
        doomed = descendants()
    return code


def descendants() -> list[int]:
    """The processes that descend from this one (Linux; elsewhere the process group is all that can be told)."""
    parents: dict[int, list[int]] = {}
    try:
        entries = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    for pid in entries:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] != b"Z":
            parents.setdefault(int(fields[1]), []).append(pid)
    found, todo = [], [os.getpid()]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def private_memory(pid: int) -> int:
    """Bytes of a process that are no file's: its own, and what it shares with others of its kind. 0 if unknown."""
    try:
        with open(f"/proc/{pid}/status") as file:
            rows = dict(line.split(":", 1) for line in file if line.startswith(("RssAnon", "RssShmem")))
    except (OSError, ValueError):
        return 0
    return sum(int(row.split()[0]) * 1024 for row in rows.values())


def held(pids: Iterable[int], folder: str, maps: bool = False) -> tuple[int, int]:
    """Bytes of files in a folder that these processes hold although they have no name any more; and their sockets.

    maps: look also for files that are mapped and open no longer, which takes longer.
    """
    unlinked: dict[tuple[int, int], int] = {}
    sockets: set[str] = set()
    for pid in pids:
        with suppress(OSError):
            for entry in os.scandir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    target = os.readlink(entry.path)
                    if target.startswith("socket:"):
                        sockets.add(target)
                    elif target.startswith(folder) and target.endswith(_DELETED):
                        state = os.stat(entry.path)
                        unlinked[state.st_dev, state.st_ino] = min(state.st_blocks * 512, state.st_size)
        with suppress(OSError, ValueError):
            for line in open(f"/proc/{pid}/maps", errors="replace") if maps else ():  # noqa: SIM115
                if _DELETED in line and folder in line:
                    extent, _, _, device, inode, *_ = line.split()
                    start, end = (int(address, 16) for address in extent.split("-"))
                    major, minor = (int(part, 16) for part in device.split(":"))
                    unlinked.setdefault((os.makedev(major, minor), int(inode)), end - start)
    return sum(unlinked.values()), len(sockets)


def disk_used(folder: str) -> int:
    """Bytes of the files in a folder; infinitely many once there are too many files to look at."""
    total, seen, todo = 0, 0, [folder]
    while todo:
        with suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                seen += 1
                if seen > MAX_FILES:
                    return sys.maxsize
                with suppress(OSError):
                    state = entry.stat(follow_symlinks=False)
                    # Neither holes nor what the file system has set aside.
                    total += min(state.st_blocks * 512, state.st_size)
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
    return total


def remove(folder: str) -> None:
    """Remove a learner's folder, whatever is in it and whatever modes it has."""
    for command in (["chmod", "-R", "u+rwX", "--", folder], ["rm", "-rf", "--", folder]):
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20)


def _kill(pid: int) -> None:
    with suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def _kill_group(pid: int) -> None:
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)


def _prctl(option: int, value: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        return ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0
    except (OSError, AttributeError):
        return False


def preload(name: str) -> None:
    """Import a module that learners' code is likely to use; one that cannot be imported is theirs to be told about."""
    with suppress(Exception):
        importlib.import_module(name)
    gc.freeze()  # a child's garbage collector need not look through (and so copy) what the server holds


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    for name in _PRELOAD:
        preload(name)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    look_around()
    Server(control, close_network()).loop()


if __name__ == "__main__":
    main()
