"""Returns lists in lists in lists.

Ends: answered
"""


def double(x):
    value = []
    for _ in range(100_000):
        value = [value]
    return value
