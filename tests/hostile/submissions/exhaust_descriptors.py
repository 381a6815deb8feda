"""Opens files without end.

Ends: raised
Sign: reaches for files
"""


def double(x):
    kept = []
    while True:
        kept.append(open(os.devnull))
