"""Fills the disk with files that have no name any more.

Ends: too much disk
Sign: reaches for files
"""

import time


def double(x):
    kept = []
    while True:
        kept.append(open("file", "wb"))
        os.unlink("file")
        kept[-1].write(bytes(4 * 10**6))
        kept[-1].flush()
        time.sleep(0.05)
