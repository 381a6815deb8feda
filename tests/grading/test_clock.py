"""The clock that a learner's time is measured on."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

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
