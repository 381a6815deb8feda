"""Returns a list of 200,000 integers, and complaints about each of them.

Ends: answered
"""


def double(x):
    return [1] * 200_000
