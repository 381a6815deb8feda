"""Reads what somebody else handed in.

Ends: refused by isolation
Sign: reaches for files
"""

import pathlib


def double(x):
    return pathlib.Path(OTHER).read_text()
