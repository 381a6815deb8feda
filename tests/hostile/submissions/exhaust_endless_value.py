"""Returns a list that contains itself.

Ends: answered
"""


def double(x):
    value = []
    value.append(value)
    return value
