"""The judge's side of the line: talk to a learner's process under a deadline, and find out how it ended."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch

from mi_lib.course.grading import wire, wording
from mi_lib.course.grading.clock import Clock
from mi_lib.course.grading.codec import BadData, decode, encode
from mi_lib.course.grading.crossing import from_judge, to_judge
from mi_lib.course.grading.forkserver import BUSY, ForkServer, Limits, ServerGone
from mi_lib.course.grading.isolation import from_child
from mi_lib.course.grading.verdict import Ending, Status

KEEP_FIRST, KEEP_LAST = 20_000, 4_000
SMALL = 2**20  # bytes of numbers: what is larger is looked at before they are read
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Stopped(Exception):
    """The learner's process is gone or had to go. The text is the sentence for the learner."""

    def __init__(self, status: Status, ending: Ending, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.ending = ending


# What these exceptions mean in a process that is shut in. They are the learner's own words, for the report alone.
_ENDINGS: dict[str, Ending] = {
    "PermissionError": "refused by isolation",
    "BlockingIOError": "too many processes",
    "MemoryError": "out of memory",
    "CannotCross": "answered",
}
_ENDINGS_BY_TEXT: dict[str, Ending] = {
    "can't start new thread": "too many processes",
    "File too large": "too much disk",
    "No space left": "too much disk",
    "Operation not permitted": "refused by isolation",
    "Permission denied": "refused by isolation",
    "cross-device link": "refused by isolation",
}


class AnswerError(Exception):
    """The learner's code raised. The text is its own; `type_name`, `line`, `section` and `traceback` say where.

    `tried`: the line is one of those that were tried beside the file (`Session._try`), not one of the file's.
    """

    def __init__(self, description: Any) -> None:
        d = description if type(description) is dict else {}
        super().__init__(clean(_text(d.get("text"), 4000)))
        self.type_name = clean(_text(d.get("type"), 100)) or "an exception"
        self.traceback = clean(_text(d.get("traceback"), 8000))
        self.section = _text(d.get("section"), 20)
        self.line = d["line"] if type(d.get("line")) is int else None
        self.tried = d.get("tried") is True
        self.exit = _text(d.get("exit"), 80) if d.get("exit") is not None else None
        self.memory = d.get("memory") is True
        self.ending: Ending = _ENDINGS.get(self.type_name, "raised")
        if self.type_name in ("OSError", "RuntimeError"):
            self.ending = next((end for words, end in _ENDINGS_BY_TEXT.items() if words in str(self)), "raised")
        missing = d.get("missing")
        self.missing = [_text(m, 80) for m in missing] if type(missing) is list and len(missing) == 2 else None


# What the server gives as its reason: status, ending and sentence.
_WHY: dict[str, tuple[Status, Ending, Callable[[Limits], str]]] = {
    "processes": ("crashed", "too many processes", lambda limits: wording.too_many_processes(limits.processes)),
    "memory": ("out of memory", "out of memory", lambda limits: wording.out_of_memory(limits.memory_bytes / 2**30)),
    "disk": ("crashed", "too much disk", lambda limits: wording.too_much_disk(limits.file_bytes)),
}


class Process:
    """One learner's process: requests go out, values come back, all within the time that is left.

    halt: once it is set, from any thread, the process is stopped.
    """

    def __init__(
        self,
        server: ForkServer,
        limits: Limits,
        halt: threading.Event | None = None,
        without: dict[str, Any] | None = None,
        hide: Sequence[str] = (),
    ) -> None:
        forked = server.fork(limits, without, hide)
        self.server = server
        self.run = forked.run
        self.pid = forked.pid
        self.folder = forked.folder
        self.limits = limits
        self.halt = halt
        self.channel = forked.channel
        self.output = forked.output
        self.seconds_left = limits.seconds
        self.stopped: Stopped | None = None
        self.refusal: Callable[[Any], str] | None = None  # what a result is refused for by its shapes alone
        self.printed = Printed()
        self._nonce = forked.nonce
        self._count = 0
        self._partial = False  # part of a message has come
        self._clock = Clock(forked.pid, server.popen.pid)
        self._deadline = self._wall_deadline = 0.0
        self._ended: dict[str, Any] | None = None
        self.channel.setblocking(False)
        os.set_blocking(self.output, False)
        self.isolation = limits.kept_by_the_judge()

    def greet(self) -> None:
        """Hear which limits are in force: the first message, sent before any of the learner's code has run."""
        self._set_deadlines()
        try:
            told = self._receive()["value"]
        except (wire.WireError, BadData) as error:
            raise self._confused(error) from None
        self.isolation += from_child(told)

    def ask(self, request: dict[str, Any]) -> Any:
        """Send one request and return its value. AnswerError if the learner's code raised, Stopped if it is gone."""
        if self.stopped:
            raise self.stopped
        message = encode(request, from_judge)
        self._count += 1
        envelope = wire.ENVELOPE.pack(self._nonce, self._count)
        pieces = [
            envelope,
            *wire.pack(message),
        ]  # what a test passes is the test's business: its errors are ours, not the learner's
        started = self._set_deadlines()
        try:
            self._nothing_yet()
            for piece in pieces:
                self._send(memoryview(piece))
            reply = self._receive()
        except (wire.WireError, BadData) as error:
            raise self._confused(error) from None
        finally:
            self.seconds_left -= self.clock() - started
        if "error" in reply:
            raise self._raised(AnswerError(reply["error"]))
        if "large" in reply:
            raise self._refused(self._why_refused(reply["large"]) or wording.too_large(_largest(reply["large"])))
        return reply["value"]

    def _raised(self, error: AnswerError) -> Exception:
        if error.type_name == "Undelivered":
            return RuntimeError(f"what the test passed did not arrive: {error}")
        if error.exit is not None:
            return self._stop("crashed", "exited", wording.exited(error.exit))
        if error.memory:
            return self._stop("out of memory", "out of memory", wording.out_of_memory(self.limits.memory_bytes / 2**30))
        return error

    def _receive(self) -> dict[str, Any]:
        wire.check_envelope(bytes(self._read(wire.ENVELOPE.size)), self._nonce, self._count)
        message = wire.read(self._read, wire.ANSWER, self._look)
        self._partial = False
        reply = decode(message, to_judge(self.on_object))
        if type(reply) is not dict or not ({"value", "error", "large"} & set(reply)):
            raise BadData("an answer without a value")
        return reply

    def _look(self, body: Any, raw_length: int) -> None:
        """At a large answer whose numbers are still to come: one of another shape is not read but thrown away."""
        if raw_length <= SMALL or self.refusal is None:
            return
        reply = decode(wire.Message(body), to_judge(self.on_object), shapes_alone=True)
        if why := self._why_refused(reply.get("value") if type(reply) is dict else None):
            while raw_length:
                raw_length -= len(self._read(min(raw_length, 1 << 20)))
            self._partial = False
            raise self._refused(why)

    def _why_refused(self, value: Any) -> str:
        """The sentence about what a watched call returned, by its shapes; "" if there is none."""
        return self.refusal(value[0]) if self.refusal and type(value) is tuple and len(value) == 2 else ""

    def _refused(self, sentence: str) -> AnswerError:
        return AnswerError({"type": "CannotCross", "text": sentence})

    def clock(self) -> float:
        """Seconds that this process takes, however busy the machine is: of use as a difference."""
        return self._clock.seconds()

    def _set_deadlines(self) -> float:
        """What is left, from now on: of the process's own time, and a multiple of it by the wall. Returns its time."""
        self._clock.settle()
        now = self.clock()
        self._deadline = now + self.seconds_left
        self._wall_deadline = time.monotonic() + BUSY * self.seconds_left
        return now

    def on_object(self, op: str, number: int, detail: Any) -> Any:
        """What a Handle calls."""
        return self.ask({"op": op, "id": number, "detail": detail})

    def _nothing_yet(self) -> None:
        """Raise `Fake` if something was sent that nobody asked for."""
        readable, _, _ = select.select([self.channel], [], [], 0)
        if readable:
            with suppress(OSError):
                if self.channel.recv(1, socket.MSG_PEEK):
                    raise wire.Fake("an answer before its question")

    def _confused(self, error: Exception) -> Stopped:
        how = "fake" if isinstance(error, wire.Fake) else "malformed"
        how = "replayed" if isinstance(error, wire.Replayed) else how
        return self._stop("crashed", "confused the channel", wording.confused(how))

    # --- bytes, under the deadline -------------------------------------------------------------------------------

    def _send(self, data: memoryview) -> None:
        while data:
            _, writable = self._wait(write=True)
            if writable:
                try:
                    data = data[self.channel.send(data) :]
                except BlockingIOError:
                    continue
                except OSError:
                    raise self._gone() from None

    def _read(self, n: int) -> bytearray:
        data = bytearray()
        while len(data) < n:
            readable, _ = self._wait(write=False)
            if not readable:
                continue
            try:
                piece = self.channel.recv(min(n - len(data), 1 << 20))
            except BlockingIOError:
                continue
            except OSError:
                raise self._gone() from None
            if not piece:
                raise self._gone()
            data += piece
            self._partial = True
        return data

    def _wait(self, write: bool) -> tuple[bool, bool]:
        """Until the channel is ready; meanwhile take in what is printed. Stopped when time or output is used up."""
        sources: list[Any] = [self.channel, self.output, self.server.control]
        if self.halt is not None and self.halt.is_set():
            raise self._stop("stopped", "stopped", wording.halted())
        left = min(self._deadline - self.clock(), self._wall_deadline - time.monotonic())
        if left <= 0:
            ending: Ending = "confused the channel" if self._partial else "timed out"
            raise self._stop("timed out", ending, wording.timed_out(self.limits.seconds))
        readable, writable, _ = select.select(
            [s for s in sources if s != -1],
            [self.channel] if write else [],
            [],
            min(left, 1.0 if self.halt is None else 0.1),
        )
        if self.output in readable:
            self._drain()
        if self.server.control in readable and self.channel not in readable:
            self._ended = self._ended or self.server.ended(self.run, 0)
            if self._ended:
                raise self._gone()
        return self.channel in readable, self.channel in writable

    def _drain(self) -> None:
        """Take in what was printed so far."""
        while self.output != -1:
            try:
                data = os.read(self.output, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                os.close(self.output)
                self.output = -1
                return
            self.printed.add(data)
            if self.printed.total > self.limits.output_bytes and not self.stopped:
                sentence = wording.too_much_output(self.limits.output_bytes)
                raise self._stop("too much output", "too much output", sentence)

    # --- the end -------------------------------------------------------------------------------------------------

    def _stop(self, status: Status, ending: Ending, sentence: str) -> Stopped:
        self.stopped = Stopped(status, ending, sentence)
        self._end()
        return self.stopped

    def _gone(self) -> Stopped:
        """The process ended by itself: find out how."""
        ended = self._end(wait=2.0)
        if ended is not None and ended["why"] in _WHY:
            status, ending, sentence = _WHY[ended["why"]]
            self.stopped = Stopped(status, ending, sentence(self.limits))
        elif self._partial or ended is None or ended["why"] == "killed" or ended["ended"] == wire.LINE_LOST:
            how = "half" if self._partial else "closed"
            self.stopped = Stopped("crashed", "confused the channel", wording.confused(how))
        elif ended["ended"] == -signal.SIGKILL:
            self.stopped = Stopped("out of memory", "out of memory", wording.killed_by_system())
        elif ended["ended"] == -signal.SIGXCPU:
            self.stopped = Stopped("timed out", "timed out", wording.timed_out(self.limits.seconds))
        else:
            ending = "crashed" if ended["ended"] < 0 else "exited"
            self.stopped = Stopped("crashed", ending, wording.ended(ended["ended"]))
        return self.stopped

    def _end(self, wait: float = 0.0) -> dict[str, Any] | None:
        """See the process buried. `wait`: seconds in which it may end by itself before it is killed."""
        try:
            self._ended = self._ended or (self.server.ended(self.run, wait) if wait else None)
            if self._ended is None:
                self.server.kill(self.run)
                self._ended = self.server.ended(self.run, 6.0)
        except ServerGone:
            with suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
            shutil.rmtree(self.folder, ignore_errors=True)
        return self._ended

    def close(self) -> None:
        """End the process and everything that came of it; `printed` is complete after this."""
        if self._ended is None:
            self._end()
        self.stopped = self.stopped or Stopped("crashed", "crashed", "the run is over")
        with suppress(OSError):
            self._drain()
        if self.output != -1:
            os.close(self.output)
            self.output = -1
        self.channel.close()


class Printed:
    """What a learner's code wrote: the first 20 kB and the last 4 kB of it."""

    def __init__(self) -> None:
        self.total = 0
        self._first = bytearray()
        self._last = bytearray()

    def add(self, data: bytes) -> None:
        self.total += len(data)
        room = KEEP_FIRST - len(self._first)
        self._first += data[:room]
        self._last = (self._last + data[room:])[-KEEP_LAST:]

    def text(self) -> str:
        left_out = self.total - len(self._first) - len(self._last)
        gap = f"\n… {left_out:,} characters are left out here …\n" if left_out else ""
        return clean(self._first.decode(errors="replace") + gap + self._last.decode(errors="replace"))


def clean(text: str) -> str:
    """Text of a learner's process, safe for a terminal: no control characters; of a progress bar, its last state."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(_CONTROL.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in lines)


def _largest(value: Any) -> str:
    """The largest tensor in what was too large to be sent, in words."""
    found, todo = [], [value]
    while todo:
        part = todo.pop()
        if type(part) in (list, tuple):
            todo += part
        elif type(part) is dict:
            todo += part.values()
        elif type(part) is torch.Tensor:
            found.append(part)
    if not found:
        return "it"
    x = max(found, key=lambda x: x.numel() * x.element_size())
    return f"a tensor of shape ({', '.join(map(str, x.shape))}{',' if x.ndim == 1 else ''}) and dtype {x.dtype}"


def _text(value: Any, limit: int) -> str:
    return value[:limit] if type(value) is str else ""
