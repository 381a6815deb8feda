"""The learner's process, from the fork on: shed everything it should not have, set limits, then serve requests.

It is forked from a server that has torch imported and has computed nothing. What it gets is one end of a socket to
the judge, the write end of a pipe for what it prints, and a private empty folder. It never sees a test, an expected
value or another submission. `confine` says what it gives up.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, TextIO

import torch

from mi_lib.course.grading import wire
from mi_lib.course.grading.codec import encode, large
from mi_lib.course.grading.confine import confine
from mi_lib.course.grading.crossing import from_learner
from mi_lib.course.grading.isolation import Measure
from mi_lib.course.grading.session import Session, forbid_typing, plain_error
from mi_lib.course.grading.wire import LINE_LOST
from mi_lib.course.grading.withheld import withhold


def run(
    channel: socket.socket,
    output: int,
    folder: str,
    limits: dict[str, int],
    nonce: bytes,
    network_closed: bool,
    without: dict[str, Any] | None = None,
    hide: Sequence[str] = (),
) -> NoReturn:
    """Become the learner's process. Never returns.

    without: what of the library is withheld (`withheld`). hide: folders outside its view.
    """
    try:
        unreadable = withhold(**without) if without else []
        measures = _prepare(channel, output, folder) + confine(folder, limits, network_closed, unreadable, hide)
        _serve(channel, nonce, measures)
    finally:
        os._exit(LINE_LOST)  # no atexit handlers of the server, no clean-up of what is shared with it


def _prepare(channel: socket.socket, output: int, folder: str) -> list[Measure]:
    """Shed what it should not have."""
    os.setsid()
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file that grows too large gives an OSError
    _use_pipes(channel, output)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(
        PATH=os.defpath,
        HOME=folder,
        TMPDIR=folder,
        LANG="C.UTF-8",
        OMP_NUM_THREADS="1",
        MI_GRADING="1",
        JOBLIB_MULTIPROCESSING="0",
    )
    sys.argv = ["exercises.py"]
    torch.set_num_threads(1)  # the same sums in the same order everywhere; and a fork that never starts OpenMP
    forbid_typing()
    return [Measure("private", True, "private empty folder, clean environment, no keyboard")]


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


def _serve(channel: socket.socket, nonce: bytes, measures: list[Measure]) -> None:
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

    def send(reply: wire.Message, number: int) -> None:
        for piece in [wire.ENVELOPE.pack(nonce, number), *wire.pack(reply, wire.ANSWER)]:
            channel.sendall(piece)

    told = [[measure.name, measure.in_force, measure.words] for measure in measures]
    send(encode({"value": told}, from_learner(lambda value: 0)), 0)
    while True:
        _, number = wire.ENVELOPE.unpack(receive(wire.ENVELOPE.size))
        reply = session.answer(wire.read(receive))
        for stream in (sys.stdout, sys.stderr):
            _flush(stream)
        try:
            send(reply, number)
        except wire.WireError as error:
            try:
                send(_shapes_of(reply), number)
            except wire.WireError:
                send(_too_large(error), number)


def _flush(stream: Any) -> None:
    """The learner may have replaced or closed it."""
    try:
        stream.flush()
    except BaseException:
        return


def _shapes_of(reply: wire.Message) -> wire.Message:
    """What a reply that is too large holds, for a sentence about it."""
    ((_, value),) = reply.body["v"]
    return wire.Message({"t": "dict", "v": [["large", large(value)]]})


def _too_large(error: wire.WireError) -> wire.Message:
    text = f"What your code returned is too large: {error}. Return what the exercise asks for and nothing else."
    return encode({"error": plain_error(text)}, from_learner(lambda value: 0))
