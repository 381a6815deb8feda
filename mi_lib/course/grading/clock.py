"""A clock that stands still while a process waits for a core: what its code takes, however busy the machine is.

It is read in the judge's process, from the kernel. Time in which the code itself waits does count, and so does work
that it has others do meanwhile: a thread, a process, a process that nobody waits for.
"""

from __future__ import annotations

import time


class Clock:
    """The clock of one process. Where the kernel does not tell how long it waited, it is the wall clock."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._waited = 0.0

    def seconds(self) -> float:
        """Of use as a difference. When the process has ended it goes on from where it was."""
        try:
            with open(f"/proc/{self.pid}/schedstat") as file:
                self._waited = int(file.read().split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            pass
        return time.monotonic() - self._waited
