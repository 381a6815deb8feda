"""Takes memory without end.

Ends: out of memory
"""


def double(x):
    hoard = []
    while True:
        hoard.append(bytearray(10**7))
