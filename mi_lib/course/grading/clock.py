"""A clock that stands still while a process waits for a core: what its code takes, however busy the machine is.

It is read in the judge's process, from the kernel. Time in which the code itself waits does count, and so does work
that it has others do meanwhile: a thread, a process, a process that nobody waits for. Of the two, what counts is the
larger: the time by the wall without that in which the first thread waited for a core, and the processor time of all.
So nobody gains by having the first thread wait while others compute.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress

_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
SECONDS_BETWEEN_LOOKS = 0.02
_CLOCK_OF_A_PROCESS = 2  # CPUCLOCK_SCHED, as clock_getcpuclockid puts it together


class Clock:
    """The clock of one process and of all that comes of it. Where the kernel tells neither, it is the wall clock.

    server: the process to which fall those whose parent has ended, and that reaps them.
    """

    def __init__(self, pid: int, server: int = 0) -> None:
        self.pid, self.server = pid, server
        self._waited = self._own = self._rest = 0.0
        self._reaped_before = _reaped(server) if server else 0.0
        self._others: set[int] = set()
        self._looked, self._latest = 0.0, pid  # the process with the highest number, when it was last looked for others
        self._counted = 0.0
        self._since = self._now()

    def seconds(self) -> float:
        """Of use as a difference. When the process has ended it goes on from where it was."""
        went, worked = self._now()
        return self._counted + max(0.0, went - self._since[0], worked - self._since[1])

    def settle(self) -> None:
        """Count anew from here, where the process is at rest: what it has slept is no time that it may compute in.

        While it waits for a core the kernel does not tell how long it has, so that amends must be made later.
        """
        self._counted, self._since = self.seconds(), self._now()

    def _now(self) -> tuple[float, float]:
        return time.monotonic() - self._wait(), self._work()

    def _wait(self) -> float:
        """Seconds in which the first thread was ready, and others had the cores."""
        self._waited = _known(lambda: int(_read(f"/proc/{self.pid}/schedstat").split()[1]) / 1e9, self._waited)
        return self._waited

    def _work(self) -> float:
        """Seconds of processor time: of the process, of those it waited for, of those that live, of the orphans."""
        self._own = _known(lambda: time.clock_gettime(~self.pid << 3 | _CLOCK_OF_A_PROCESS), self._own)
        self._rest = max(self._rest, _known(self._of_others, self._rest))
        return self._own + self._rest

    def _of_others(self) -> float:
        self._look_for_others()
        seconds = _reaped(self.pid) + sum(map(_used, self._others))
        return seconds + (_reaped(self.server) - self._reaped_before if self.server else 0.0)

    def _look_for_others(self) -> None:
        """Note the processes that came of this one; a look is spared where none at all has been started since."""
        now, latest = time.monotonic(), int(_known(lambda: int(_read("/proc/loadavg").split()[-1]), 0))
        if latest == self._latest or now < self._looked + SECONDS_BETWEEN_LOOKS:
            return
        self._looked, self._latest = now, latest
        parents: dict[int, list[int]] = {}
        for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
            if pid > self.pid or latest < self.pid:  # numbers are given out in their order, and then from the start
                with suppress(OSError, ValueError, IndexError):
                    parents.setdefault(_parent(pid), []).append(pid)
        todo = [self.pid, *self._others]
        todo += [orphan for orphan in parents.get(self.server, []) if self.server and orphan != self.pid]
        self._others = set()
        while todo:
            pid = todo.pop()
            if pid not in self._others:
                self._others.add(pid)
                todo += parents.get(pid, [])
        self._others.discard(self.pid)


def _known(read: Callable[[], float], otherwise: float) -> float:
    try:
        return read()
    except (OSError, ValueError, IndexError, AttributeError):
        return otherwise


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()


def _parent(pid: int) -> int:
    return int(_read(f"/proc/{pid}/stat").rpartition(")")[2].split()[1])


def _times(pid: int) -> list[int]:
    """User and system time of a process, and of the children that it has waited for, in ticks."""
    return [int(ticks) for ticks in _read(f"/proc/{pid}/stat").rpartition(")")[2].split()[11:15]]


def _used(pid: int) -> float:
    return _known(lambda: sum(_times(pid)) / _TICK, 0.0)


def _reaped(pid: int) -> float:
    return _known(lambda: sum(_times(pid)[2:]) / _TICK, 0.0)
