"""Answers with the number of another run.

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
    body = {"t": "dict", "v": [["value", 1]]}
    channel.sendall(b"".join([wire.ENVELOPE.pack(bytes(16), number), *map(bytes, wire.pack(wire.Message(body)))]))
    return x
