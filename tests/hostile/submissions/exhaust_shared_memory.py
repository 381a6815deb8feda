"""Takes memory that belongs to no process in particular.

Ends: out of memory
Sign: writes to memory
"""

import mmap
import time


def double(x):
    for _ in range(4):
        if os.fork() == 0:
            block = mmap.mmap(-1, 200 * 2**20)
            for _ in range(20):
                block.write(b"x" * 10 * 2**20)
            time.sleep(30)
    time.sleep(30)
