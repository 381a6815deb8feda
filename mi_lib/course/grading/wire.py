"""Frames: how one message travels between the judge and the learner's process.

    16 bytes  the run's own number, drawn at random
    8 bytes   the message's number: an answer has that of its question
    8 bytes   length of the JSON part (big-endian)
    8 bytes   length of the raw part
    JSON      {"body": ..., "sizes": [n0, n1, ...]}      UTF-8
    raw       the buffers, one after the other

Both lengths are checked before anything is read, so that a hostile child cannot make the judge allocate, and an answer
has less room than a question. Nothing is ever unpickled, evaluated or executed.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

ENVELOPE = struct.Struct(">16sQ")
HEADER = struct.Struct(">QQ")
LINE_LOST = 97  # the exit code of a learner's process that can no longer reach the judge


@dataclass(frozen=True)
class Room:
    """How large a message may be. json: bytes, as Python objects they may take thirty times as much. raw: bytes."""

    json: int
    raw: int
    buffers: int


QUESTION = Room(8 * 2**20, 256 * 2**20, 100_000)  # a test may pass a model with its weights
# Of all answers of the references to all tests, the largest has 8 kB of JSON, 12 MB of numbers and 76 buffers.
ANSWER = Room(2**20, 32 * 2**20, 10_000)


class WireError(Exception):
    """A message that breaks the rules above."""


class Fake(WireError):
    """A message that is not an answer to the question: of another run, or before its time."""


class Replayed(WireError):
    """An answer that was given before."""


def check_envelope(envelope: bytes, nonce: bytes, number: int) -> None:
    """Raise `Fake` or `Replayed` if this is not message `number` of the run."""
    got_nonce, got_number = ENVELOPE.unpack(envelope)
    if got_nonce != nonce or got_number > number:
        raise Fake("a message of somebody else")
    if got_number < number:
        raise Replayed("a message that came before")


@dataclass
class Message:
    """A JSON body and the raw buffers that it refers to by their index."""

    body: Any
    buffers: list[bytes | memoryview] = field(default_factory=list)


def pack(message: Message, room: Room = QUESTION) -> list[bytes | memoryview]:
    """The pieces to send, in order. WireError if the message is larger than the other side would accept."""
    sizes = [len(buffer) for buffer in message.buffers]
    text = json.dumps({"body": message.body, "sizes": sizes}, separators=(",", ":")).encode("ascii")
    if len(text) > room.json or sum(sizes) > room.raw or len(sizes) > room.buffers:
        megabytes = (len(text) + sum(sizes)) / 2**20
        raise WireError(f"{megabytes:.0f} MB are too much to hand over in one piece")
    return [HEADER.pack(len(text), sum(sizes)), text, *message.buffers]


def lengths(header: bytes, room: Room = QUESTION) -> tuple[int, int]:
    """The lengths that a header announces; WireError if they are not acceptable."""
    json_length, raw_length = HEADER.unpack(header)
    if json_length > room.json or raw_length > room.raw:
        raise WireError("a message is longer than allowed")
    return json_length, raw_length


def announced(text: bytes, raw_length: int, room: Room = QUESTION) -> tuple[Any, list[int]]:
    """Body and buffer sizes, as the JSON part of a message that may be hostile announces them."""
    try:
        outer = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError(f"a message is not JSON: {type(error).__name__}") from None
    if type(outer) is not dict or set(outer) != {"body", "sizes"} or type(outer["sizes"]) is not list:
        raise WireError("a message is not of the agreed form")
    sizes = outer["sizes"]
    if len(sizes) > room.buffers or any(type(n) is not int or n < 0 for n in sizes) or sum(sizes) != raw_length:
        raise WireError("a message's buffers do not add up")
    return outer["body"], sizes


def unpack(text: bytes, raw: bytes | bytearray, room: Room = QUESTION) -> Message:
    """The inverse of `pack`, for bytes that may be hostile."""
    body, sizes = announced(text, len(raw), room)
    return _assembled(body, sizes, raw)


def _assembled(body: Any, sizes: list[int], raw: bytes | bytearray) -> Message:
    view = memoryview(raw)
    buffers: list[bytes | memoryview] = []
    start = 0
    for n in sizes:
        buffers.append(view[start : start + n])
        start += n
    return Message(body, buffers)


def read(
    receive: Callable[[int], bytes | bytearray],
    room: Room = QUESTION,
    look: Callable[[Any, int], None] = lambda body, raw_length: None,
) -> Message:
    """One message from `receive(n)`, which returns exactly n bytes or raises.

    look: is shown the body, and how many bytes of numbers belong to it, before one of those is read. It may raise.
    """
    json_length, raw_length = lengths(bytes(receive(HEADER.size)), room)
    body, sizes = announced(bytes(receive(json_length)), raw_length, room)
    look(body, raw_length)
    return _assembled(body, sizes, receive(raw_length))
