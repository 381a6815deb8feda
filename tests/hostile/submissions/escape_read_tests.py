"""Reads the tests.

Ends: refused by isolation | raised
Sign: reaches for files
"""


def double(x):
    return open(TESTS).read()
