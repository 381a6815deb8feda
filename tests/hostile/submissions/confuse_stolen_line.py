"""Lets a child of its own answer in its place, after the parent has ended.

Ends: exited
Sign: starts processes
"""

import time


def double(x):
    if os.fork():
        os._exit(0)
    time.sleep(0.2)
    for fd in range(3, 256):
        try:
            os.write(fd, bytes(100))
        except OSError:
            continue
    time.sleep(30)
