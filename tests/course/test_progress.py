"""Progress is kept whatever happens to the process or the file."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import types

import pytest

from mi_lib.course import files
from mi_lib.course.index import CourseError
from mi_lib.course.progress import Progress, State


def verdict(exercise_id="90.1", passed=True, points=2.0):
    facts = {"exercise_id": exercise_id, "status": "passed" if passed else "failed", "passed": passed}
    return types.SimpleNamespace(**facts, points=points, to_dict=lambda: facts)


@pytest.fixture
def progress(course, tmp_path):
    return Progress(tmp_path / "work" / ".mi" / "progress.sqlite")


def test_a_new_learner_has_done_nothing(progress):
    assert progress.state("90.1") == State(False, 0, 0, 0, False)
    assert progress.states() == {}


def test_a_pass_counts_for_good_even_if_a_later_try_fails(progress):
    progress.record(verdict(passed=False, points=1.0), "first")
    progress.record(verdict(), "second")
    progress.record(verdict(passed=False, points=0.0), "third")
    assert progress.state("90.1") == State(True, 3, 2.0, 0, False)


def test_every_text_that_was_checked_is_kept(progress):
    for text in ("first", "second", "é\n"):
        progress.record(verdict(), text)
    assert [attempt.source for attempt in progress.attempts("90.1")] == ["first", "second", "é\n"]
    assert progress.last_sources("90") == {"90.1": "é\n"}
    assert progress.last_sources("02") == {}


def test_hints_come_one_at_a_time_and_end(progress):
    assert [progress.reveal_hint("90.1") for _ in range(5)] == [1, 2, 3, 3, 3]
    assert progress.state("90.1") == State(hints_shown=3)


def test_a_seen_solution_and_a_prediction_are_remembered(progress):
    progress.mark_solution_seen("90.2")
    progress.predict("90", "what-is-1--1", "2")
    progress.predict("90", "what-is-1--1", "1")
    again = Progress(progress.path)
    assert again.state("90.2").solution_seen
    assert again.predictions("90") == {"what-is-1--1": "2"}


@pytest.mark.parametrize(
    "content", [b"this is not a database, it only looks like a file " * 40, b"SQLite format 3\0" * 200]
)
def test_a_damaged_file_is_kept_aside_and_a_new_one_begun(progress, content):
    progress.path.write_bytes(content)
    fresh = Progress(progress.path)
    assert "was damaged" in fresh.notice
    assert next(progress.path.parent.glob("*.damaged_*")).read_bytes() == content
    fresh.record(verdict(), "text")
    assert Progress(progress.path).state("90.1").passed


def test_what_can_still_be_read_of_a_damaged_file_is_carried_over(progress):
    for number in range(60):
        progress.record(verdict(passed=number == 0), f"text {number} " + "x" * 2000)
    progress.mark_solution_seen("90.2")
    with contextlib.closing(sqlite3.connect(progress.path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(progress.path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = b"\xff" * 4096
    progress.path.write_bytes(data)
    fresh = Progress(progress.path)
    assert "could still be read" in fresh.notice
    kept = [attempt.source.split()[1] for attempt in fresh.attempts("90.1")]
    assert kept[0] == "0"
    assert kept[-1] == "59"
    assert len(kept) > 50
    assert fresh.state("90.1").passed
    assert fresh.state("90.2").solution_seen


def test_damage_that_appears_while_running_does_not_lose_the_attempt_at_hand(progress):
    progress.record(verdict(), "text")
    for suffix in ("-wal", "-shm"):
        progress.path.with_name(progress.path.name + suffix).unlink(missing_ok=True)
    progress.path.write_bytes(b"\0garbage\0" * 1000)
    progress.record(verdict(), "after the damage")
    assert [attempt.source for attempt in progress.attempts("90.1")] == ["after the damage"]
    assert "was damaged" in progress.notice


def test_a_file_that_is_deleted_while_running_is_begun_again(progress):
    progress.path.unlink()
    progress.record(verdict(), "text")
    assert progress.state("90.1").passed


def test_the_log_is_used_where_it_works_and_left_where_it_does_not(progress, tmp_path, monkeypatch):
    def mode(path):
        db = sqlite3.connect(path)
        try:
            return db.execute("PRAGMA journal_mode").fetchone()[0]
        finally:
            db.close()

    assert mode(progress.path) == "wal"
    monkeypatch.setattr(files, "on_network", lambda path: True)
    shared = Progress(tmp_path / "shared" / "progress.sqlite")
    shared.record(verdict(), "text")
    assert mode(shared.path) == "delete"


def test_a_file_in_use_by_another_program_is_explained_and_not_put_aside(progress, monkeypatch):
    connect = sqlite3.connect
    other = connect(progress.path)
    other.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(sqlite3, "connect", lambda path, timeout: connect(path, timeout=0.05))
    with pytest.raises(CourseError, match="in use by another program"):
        progress.record(verdict(), "text")
    other.close()
    progress.record(verdict(), "text")
    assert progress.state("90.1").attempts == 1


def test_threads_and_processes_share_the_file(progress):
    def work():
        mine = Progress(progress.path)
        for _ in range(10):
            mine.record(verdict(), "text")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert progress.state("90.1").attempts == 40


WRITER = """
import sys, types
from mi_lib.course.progress import Progress
progress = Progress(sys.argv[1])
for number in range(100000):
    facts = {"exercise_id": "90.1", "status": "failed", "passed": False}
    verdict = types.SimpleNamespace(**facts, points=0.0, to_dict=lambda: facts)
    progress.record(verdict, f"text {number} " + "x" * 2000)
    print(number, flush=True)
"""


def test_killing_the_process_at_any_moment_loses_nothing_that_was_stored(course, tmp_path):
    path = tmp_path / "progress.sqlite"
    moments = random.Random(0)
    acknowledged: list[int] = []
    for _ in range(6):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "0\n"
        time.sleep(moments.uniform(0, 0.1))
        os.kill(child.pid, signal.SIGKILL)
        numbers = [
            "0",
            *(line.strip() for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")),
        ]
        child.wait()
        acknowledged += [int(number) for number in numbers]
        progress = Progress(path)
        assert progress.notice == ""
        stored = [int(attempt.source.split()[1]) for attempt in progress.attempts("90.1")]
        assert len(stored) >= len(acknowledged)
        # A write that was stored but not yet reported when the kill came may be there as well: one per kill.
        assert len(stored) <= len(acknowledged) + 6
        missing = [number for number in acknowledged if acknowledged.count(number) > stored.count(number)]
        assert missing == []


def test_of_two_programs_that_meet_the_damage_one_puts_it_aside(progress):
    other = Progress(progress.path)
    for suffix in ("-wal", "-shm"):
        progress.path.with_name(progress.path.name + suffix).unlink(missing_ok=True)
    progress.path.write_bytes(b"\0garbage\0" * 1000)
    programs = [progress, other]
    threads = [threading.Thread(target=program.record, args=(verdict(), "text")) for program in programs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert progress.state("90.1").attempts == 2
    assert len(list(progress.path.parent.glob("*.damaged_*"))) == 1
