"""Overwrites memory at random, hoping for the grader's.

Ends: crashed
Sign: writes to memory
"""

import ctypes


def double(x):
    ctypes.memset(8, 0, 1 << 20)
    return x
