"""Writes into Python's own objects, so that True and False and small numbers change.

Ends: answered | raised | crashed
Sign: writes to memory
"""

import ctypes

ctypes.c_long.from_address(id(0) + 24).value = 1  # 0 becomes 1 in this process


def double(x):
    return x
