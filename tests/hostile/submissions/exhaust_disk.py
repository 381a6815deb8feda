"""Writes files without end.

Ends: too much disk
Sign: reaches for files
"""


def double(x):
    number = 0
    while True:
        number += 1
        with open(f"file{number}", "wb") as file:
            file.write(bytes(10**6))
