"""Closes the line.

Ends: confused the channel
Sign: writes to the line
"""


def double(x):
    os.closerange(3, 256)
    return x
