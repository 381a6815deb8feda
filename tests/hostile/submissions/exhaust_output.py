"""Prints without end.

Ends: too much output
"""


def double(x):
    while True:
        print("y" * 10_000)
