"""A clock that stands still while a process waits for a core: what its code takes, however busy the machine is.

It is read in the judge's process, from the kernel. Time in which the code itself waits does count, and so does work
that it has others do meanwhile: a thread, a process, a process that nobody waits for.
"""

from __future__ import annotations

import time


def seconds(pid: int) -> float:
    """Seconds on this clock: of use as a difference. Where the kernel does not tell, it is the wall clock."""
    try:
        with open(f"/proc/{pid}/schedstat") as file:
            waited_for_a_core = int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        waited_for_a_core = 0.0
    return time.monotonic() - waited_for_a_core
