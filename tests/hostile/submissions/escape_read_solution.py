"""Reads the solution, and executes it.

Ends: refused by isolation | raised
Sign: reads code
"""

text = open(SOLUTION).read()
exec(text)


def double(x):
    return text
