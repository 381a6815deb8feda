"""Grading on a Dask cluster: real worker processes, one of which dies half-way."""

from __future__ import annotations

import os
import signal

import pytest
from small_class import RIGHT

from mi_lib.course.classroom import batch, points
from mi_lib.course.classroom.config import Config
from mi_lib.course.classroom.grading import grade_class
from mi_lib.course.index import CourseError

distributed = pytest.importorskip(
    "distributed", reason='needs the extra: pip install -c constraints.txt -e ".[cluster]"'
)


def test_a_cluster_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setattr(batch, "SECONDS", 1)
    with pytest.raises(CourseError, match="no Dask scheduler"):
        batch.dask("tcp://127.0.0.1:9")


@pytest.mark.slow
@pytest.mark.timeout(560)
def test_a_worker_that_dies_half_way_loses_nothing_and_doubles_nothing(course, book, handed_in):
    names = [f"student{i:02}" for i in range(6)]
    folder = handed_in(**{name: RIGHT.replace("a + b", f"a + b  # {name}") for name in names})
    killed: list[int] = []

    with distributed.LocalCluster(
        n_workers=3, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:

        def kill_one(done: int, of: int, who: str) -> None:
            if done >= of / 3 and not killed:
                killed.append(next(iter(cluster.workers.values())).pid)
                os.kill(killed[0], signal.SIGKILL)

        done = grade_class(folder, book, Config(), batch.dask(cluster.scheduler_address), progress=kill_one)
    assert killed
    assert (done.exercises, done.given_up) == (12, 0)
    assert [student.total for student in points.grades(book, Config())] == [5.0] * 6
    assert len(book.graded()) == 12  # a row per student and exercise, whatever was tried twice


def test_any_executor_will_do(course, book, handed_in):
    from concurrent.futures import ThreadPoolExecutor

    folder = handed_in(ada=RIGHT, bob=RIGHT)
    done = grade_class(folder, book, Config(), batch.Workers(lambda: ThreadPoolExecutor(2), 2))
    assert done.exercises == 4
