"""Fills the disk with files that have no name, and that are mapped and open no longer.

Ends: too much disk
Sign: writes to memory
"""

import mmap
import time


def double(x):
    kept = []
    while True:
        with open("file", "wb+") as file:
            file.write(bytes(4 * 10**6))
            file.flush()
            kept.append(mmap.mmap(file.fileno(), 4 * 10**6))
        os.unlink("file")
        time.sleep(0.2)
