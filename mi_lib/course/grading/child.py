"""The learner's process, from the fork on: shed everything it should not have, set limits, then serve requests.

It is forked from a server that has torch imported and has computed nothing. What it gets is one end of a socket to
the judge, the write end of a pipe for what it prints, and a private empty folder. It never sees a test, an expected
value or another submission.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from typing import Any, NoReturn, TextIO

import torch

from mi_lib.course.grading import wire
from mi_lib.course.grading.codec import encode
from mi_lib.course.grading.crossing import from_learner
from mi_lib.course.grading.session import Session, forbid_typing, plain_error
from mi_lib.course.grading.wire import LINE_LOST

LINUX = sys.platform.startswith("linux")
MORE_TASKS = 256  # beyond what the user has running; enough for whatever libraries start


def run(channel: socket.socket, output: int, folder: str, limits: dict[str, int]) -> NoReturn:
    """Become the learner's process. Never returns."""
    try:
        isolation = _prepare(channel, output, folder, limits)
        _serve(channel, isolation)
    finally:
        os._exit(LINE_LOST)  # no atexit handlers of the server, no clean-up of what is shared with it


def _prepare(channel: socket.socket, output: int, folder: str, limits: dict[str, int]) -> list[str]:
    """Shed and limit; returns, in words, what is in force."""
    os.setsid()
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file that grows too large gives an OSError
    _use_pipes(channel, output)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(PATH=os.defpath, HOME=folder, TMPDIR=folder, LANG="C.UTF-8", OMP_NUM_THREADS="1", MI_GRADING="1")
    sys.argv = ["exercises.py"]
    torch.set_num_threads(1)  # the same sums in the same order everywhere; and a fork that never starts OpenMP
    forbid_typing()
    return ["private empty folder, clean environment, no keyboard", *_limit(limits)]


def _use_pipes(channel: socket.socket, output: int) -> None:
    """Standard input is empty, both outputs are the pipe, and every other file descriptor but the channel is closed."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    low, high = 3, channel.fileno()
    channel.set_inheritable(False)
    os.closerange(low, high)
    os.closerange(high + 1, 4096)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - open for as long as the process lives
    sys.stdout, sys.stderr = _writer(1), _writer(2)
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore


def _writer(fd: int) -> TextIO:
    return open(fd, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)


def _limit(limits: dict[str, int]) -> list[str]:
    """Limits that the kernel enforces; returns those in force, in words. It may refuse one and grant the others."""
    words = []
    if _set("RLIMIT_CPU", limits["cpu_seconds"]):
        words.append(f"processor time limit {limits['cpu_seconds']} s")
    # What is mapped already (torch's libraries) is not the learner's doing. macOS accepts this limit and ignores it.
    if _set("RLIMIT_AS", _mapped() + limits["memory_bytes"]) and LINUX:
        words.append(f"memory limit {limits['memory_bytes'] / 2**30:.2g} GiB for each process")
    if _set("RLIMIT_FSIZE", limits["file_bytes"]):
        words.append(f"file size limit {limits['file_bytes'] // 2**20} MiB")
    if LINUX:
        words.append(f"at most {limits['processes']} processes, all ended with the run")  # the server sees to that
    if os.getuid():  # the superuser has no such limit in the kernel
        _set("RLIMIT_NPROC", _tasks_of_this_user() + MORE_TASKS)
    _set("RLIMIT_CORE", 0)
    return words


def _set(name: str, value: int) -> bool:
    """Set a limit, or keep the one that is lower already. False if this system does not know it."""
    number = getattr(resource, name, None)
    if number is None:
        return False
    _, hard = resource.getrlimit(number)
    ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
    try:
        resource.setrlimit(number, (ceiling, ceiling))
    except (ValueError, OSError):
        return False
    return True


def _tasks_of_this_user() -> int:
    """Processes and threads that this user has now: the kernel's limit counts them all."""
    count, user = 0, os.getuid()
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else []):
        try:
            if os.stat(f"/proc/{pid}").st_uid == user:
                count += len(os.listdir(f"/proc/{pid}/task"))
        except OSError:
            continue
    return count or 2**12


def _mapped() -> int:
    """Bytes of address space in use."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 2**31


def _serve(channel: socket.socket, isolation: list[str]) -> None:
    """Tell the judge what is in force, while all code that has run is still ours; then answer requests for ever."""
    session = Session(quiet=True)

    def receive(n: int) -> bytearray:
        data = bytearray(n)
        view, got = memoryview(data), 0
        while got < n:
            count = channel.recv_into(view[got:])
            if not count:
                raise ConnectionError
            got += count
        return data

    def send(reply: wire.Message, number: Any) -> None:
        reply.body = {"n": number, "reply": reply.body}
        for piece in wire.pack(reply):
            channel.sendall(piece)

    send(encode({"value": isolation}, from_learner(lambda value: 0)), 0)
    while True:
        message = wire.read(receive)
        number, message.body = message.body["n"], message.body["request"]
        reply = session.answer(message)
        for stream in (sys.stdout, sys.stderr):
            _flush(stream)
        try:
            send(reply, number)
        except wire.WireError as error:
            send(_too_large(error), number)


def _flush(stream: Any) -> None:
    """The learner may have replaced or closed it."""
    try:
        stream.flush()
    except BaseException:
        return


def _too_large(error: wire.WireError) -> wire.Message:
    text = f"What your code returned is too large: {error}. Return what the exercise asks for and nothing else."
    return encode({"error": plain_error(text)}, from_learner(lambda value: 0))
