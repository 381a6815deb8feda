"""Sends its answer one byte at a time, for ever.

Ends: confused the channel
Seconds: 1
Sign: writes to the line
"""

import time

from mi_lib.course.grading import wire

honest = wire.pack


def double(x):
    for fd in range(3, 256):
        try:
            os.fstat(fd)
        except OSError:
            continue
        while True:
            os.write(fd, b"\0")
            time.sleep(0.01)
