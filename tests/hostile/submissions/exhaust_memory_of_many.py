"""Takes memory in many processes, each below its own limit.

Ends: out of memory
Sign: starts processes
"""

import time


def double(x):
    for _ in range(8):
        if os.fork() == 0:
            hoard = [b"x" * 10**7 for _ in range(15)]
            time.sleep(30)
            os._exit(len(hoard))
    time.sleep(30)
