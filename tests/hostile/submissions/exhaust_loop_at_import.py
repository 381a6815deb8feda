"""Never ends, while the file is read, and lets no exception and no signal stop it.

Ends: timed out
Seconds: 1
"""

import signal

for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
