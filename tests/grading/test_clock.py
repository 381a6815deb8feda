"""The clock that a learner's time is measured on."""

from __future__ import annotations

import ctypes
import hashlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from mi_lib.course.grading.clock import Clock

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not tell how long a process waited")


def spin(core: int) -> None:
    os.sched_setaffinity(0, {core})
    while True:
        pass


@contextmanager
def crowd(of: int = 4) -> Iterator[list[BaseProcess]]:
    """Processes that all spin on one core."""
    core = min(os.sched_getaffinity(0))
    members = [multiprocessing.get_context("fork").Process(target=spin, args=(core,)) for _ in range(of)]
    for member in members:
        member.start()
    try:
        yield list(members)
    finally:
        for member in members:
            member.kill()
            member.join()


def test_waiting_for_a_core_does_not_count():
    with crowd() as members:
        clock = Clock(members[0].pid)
        before, wall = clock.seconds(), time.monotonic()
        time.sleep(2)
        assert clock.seconds() - before < 0.5 * (time.monotonic() - wall)


def test_waiting_for_anything_else_does():
    sleeper = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    sleeper.start()
    try:
        clock = Clock(sleeper.pid)
        before = clock.seconds()
        time.sleep(0.5)
        assert clock.seconds() - before > 0.4
    finally:
        sleeper.kill()
        sleeper.join()


def test_it_does_not_jump_when_the_process_ends():
    with crowd() as members:
        time.sleep(2.5)  # of which each waits for most
        clock = Clock(members[0].pid)
        before, wall = clock.seconds(), time.monotonic()
    assert clock.seconds() - before < time.monotonic() - wall + 0.5


def starve() -> None:
    """The first thread leaves its core to another one that computes."""
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})

    def work() -> None:
        while True:
            hashlib.sha256(bytes(10**6))  # without the interpreter's lock

    threading.Thread(target=work, daemon=True).start()
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while True:
        hashlib.sha256(bytes(10**6))


def hand_over() -> None:
    """Everything is done by a process that nobody waits for, and whose parent has ended."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if not os.fork():
        if not os.fork():
            spin(min(os.sched_getaffinity(0)))
        os._exit(0)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while True:
        pass


@pytest.mark.parametrize("how", [starve, hand_over])
def test_starving_the_first_thread_hides_no_work(how):
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # orphans fall to this process, as they do to the server
    mine = children_of(os.getpid())  # a browser of another test is none of ours
    starver = multiprocessing.get_context("fork").Process(target=how)
    starver.start()
    try:
        time.sleep(0.3)  # until it has begun
        clock = Clock(starver.pid, os.getpid())
        before, work, worked = clock.seconds(), processor_seconds(os.getpid()), 0.0
        until = time.monotonic() + 60
        while worked < 0.3 and time.monotonic() < until:
            time.sleep(0.1)
            worked = processor_seconds(os.getpid()) - work
        assert clock.seconds() - before > 0.9 * worked - 0.02 > 0.1
    finally:
        starver.kill()
        starver.join()
        for orphan in set(children_of(os.getpid())) - set(mine):
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(orphan, signal.SIGKILL)
                os.waitpid(orphan, 0)
        ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)


def rows() -> dict[int, tuple[int, float]]:
    """Process number → parent and processor seconds, as the kernel tells them."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            told = path.read_text().rpartition(")")[2].split()
            found[int(path.parent.name)] = (int(told[1]), sum(map(int, told[11:13])) / os.sysconf("SC_CLK_TCK"))
    return found


def children_of(pid: int) -> list[int]:
    return [child for child, (parent, _) in rows().items() if parent == pid]


def processor_seconds(top: int) -> float:
    """Of the children of this process and of theirs."""
    told = rows()
    return sum(used for parent, used in told.values() if top in (parent, told.get(parent, (0, 0.0))[0]))
