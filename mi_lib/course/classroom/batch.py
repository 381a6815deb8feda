"""Many pieces of work on any executor, one after another handed on as it is done.

    for task, results in run(tasks, processes(4)): ...        # this machine's cores
    for task, results in run(tasks, dask("tcp://…:8786")): ...  # a cluster

Only as much is handed out as there are workers. So when a worker's death breaks the pool, those that it may have been
working on are few. They are tried again in a new pool, each alone, and whoever breaks that one too is given up. A
worker that wants far more memory or time than any exercise needs ends too: a judge that hangs costs one exercise.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from mi_lib.course.classroom import work
from mi_lib.course.classroom.work import Task, grade
from mi_lib.course.index import CourseError

MAX_BREAKS = 2
JUDGE_BYTES = 8 * 2**30  # of address space: a judge that is made to want more loses one exercise, not the machine
JUDGE_SECONDS = 120.0  # of the judge's own processor, for one task: some sixty times what a verdict takes
SECONDS = 10  # to wait for a cluster


@dataclass(frozen=True)
class GivenUp:
    """A task that has no verdict; why, as a sentence."""

    reason: str


@dataclass(frozen=True)
class Workers:
    """Where tasks run: a way to open an executor (again, if it broke), and how many tasks it can work on at once."""

    open: Callable[[], AbstractContextManager[Executor]]
    at_once: int


def processes(jobs: int) -> Workers:
    """Processes of this machine, started anew: a fork of a process that has threads is not safe."""

    @contextmanager
    def opened() -> Iterator[Executor]:
        pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_begin_worker)
        try:
            yield pool
        except BaseException:  # nobody waits for the rest: what is not stored is graded by the next run
            for worker in list((pool._processes or {}).values()):
                worker.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    return Workers(opened, jobs)


def _begin_worker() -> None:
    """In a new worker: leave Ctrl-C to the process that started it, and end with that process even if it is killed.

    There is a worker for each core, so none of them needs threads to compute.
    """
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard in (resource.RLIM_INFINITY, -1) or hard > JUDGE_BYTES:
            resource.setrlimit(resource.RLIMIT_AS, (JUDGE_BYTES, hard))  # a learner's process sets its own
    work.judge_seconds = JUDGE_SECONDS
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def dask(address: str) -> Workers:
    """The workers of a Dask cluster. Raises `CourseError` if Dask or the cluster is not there."""
    try:
        from distributed import Client
    except ImportError as error:
        raise CourseError(
            'Dask is not installed. Get it with `pip install -c constraints.txt -e ".[cluster]"`.'
        ) from error
    try:
        client = Client(address, timeout=SECONDS, set_as_default=False)
        at_once = max(1, sum(client.nthreads().values()))
        client.close()
    except (OSError, TimeoutError, ValueError) as error:
        raise CourseError(f"There is no Dask scheduler at {address} ({error or type(error).__name__}).") from error

    @contextmanager
    def opened() -> Iterator[Executor]:
        with Client(address, timeout=SECONDS, set_as_default=False) as client:
            yield client.get_executor(pure=False, retries=MAX_BREAKS)

    return Workers(opened, at_once)


def run(
    tasks: Iterable[Task],
    workers: Workers,
    function: Callable[[Task], list[dict[str, Any]]] = grade,
) -> Iterator[tuple[Task, list[dict[str, Any]] | GivenUp]]:
    """Each task with its results, in the order in which they are done. A `CourseError` of a worker ends the batch."""
    waiting = list(tasks)
    waiting.reverse()
    breaks: dict[int, int] = {}  # id of a task → pools that broke while it was out
    while waiting:
        running: dict[Future[list[dict[str, Any]]], Task] = {}
        with workers.open() as executor:
            broken = False
            while (waiting or running) and not broken:
                try:
                    while waiting and len(running) < _room(workers, breaks, waiting[-1], *running.values()):
                        running[executor.submit(function, waiting[-1])] = waiting[-1]
                        waiting.pop()
                except BrokenProcessPool:
                    broken = True
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    task = running[future]
                    error = future.exception()
                    if isinstance(error, BrokenProcessPool):
                        broken = True
                        continue
                    del running[future]
                    if isinstance(error, CourseError):
                        for other in running:
                            other.cancel()
                        raise error
                    yield task, future.result() if error is None else GivenUp(_sentence(error))
        for task in running.values():
            breaks[id(task)] = breaks.get(id(task), 0) + 1
            if breaks[id(task)] >= MAX_BREAKS:
                yield task, GivenUp("The grading process ended twice while this submission was graded.")
            else:
                waiting.append(task)


def _room(workers: Workers, breaks: dict[int, int], *tasks: Task) -> int:
    """How many may run at once: a task under suspicion runs alone."""
    return 1 if any(id(task) in breaks for task in tasks) else workers.at_once


def _sentence(error: BaseException) -> str:
    return f"It could not be graded ({type(error).__name__}: {str(error)[:200]})."
