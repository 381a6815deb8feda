"""Starts a shell.

Ends: refused by isolation
Sign: starts processes
"""

import subprocess


def double(x):
    return subprocess.run(["/bin/sh", "-c", f"cat {SOLUTION}"], capture_output=True).stdout
