"""Never ends.

Ends: timed out
Seconds: 1
"""


def double(x):
    while True:
        pass
