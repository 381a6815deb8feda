"""Starts threads without end.

Ends: too many processes
Sign: starts threads
"""

import threading
import time


def double(x):
    while True:
        threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
