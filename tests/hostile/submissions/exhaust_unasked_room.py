"""Sends more numbers than an answer may hold, past the check of the process that sends them.

Ends: confused the channel
Sign: looks through memory
"""

import sys


def line():
    """The channel, the nonce and the number of the question, from the frame that waits for the answer."""
    frame = sys._getframe()
    while frame.f_code.co_name != "_serve" or "nonce" not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals["channel"], frame.f_locals["nonce"], frame.f_locals["number"]


def double(x):
    from mi_lib.course.grading import wire

    channel, nonce, number = line()
    raw = bytes(64 * 2**20)
    body = {"t": "dict", "v": [["value", {"t": "tensor", "dtype": "bool", "shape": [len(raw)], "b": 0}]]}
    message = wire.pack(wire.Message(body, [raw]))
    channel.sendall(b"".join([wire.ENVELOPE.pack(nonce, number), *map(bytes, message)]))
    return x
