"""Reads the tests.

Ends: refused by isolation
Sign: reaches for files
"""


def double(x):
    return open(TESTS).read()
