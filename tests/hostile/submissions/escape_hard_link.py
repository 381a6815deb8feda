"""Gives a file outside a second name in its own folder.

Ends: refused by isolation | raised
Sign: reaches for files
"""


def double(x):
    os.link(SOLUTION, "mine")
    return open("mine").read()
