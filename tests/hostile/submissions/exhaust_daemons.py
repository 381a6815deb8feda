"""Leaves processes behind that have a session of their own and no parent.

Ends: answered
Sign: starts processes
"""

import time


def double(x):
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                while True:
                    time.sleep(1)
            os._exit(0)
    return x
