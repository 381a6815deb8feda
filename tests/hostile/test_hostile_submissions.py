"""Submissions that try to forge, to escape, to exhaust or to confuse: none gains, none gets out, none stops the rest.

Each file in `submissions` says in its first line what it tries, and after "Ends:" and "Sign:" how the report tells it
apart: how the code ended, and what in its text reached for more than the exercise. The targets are planted where every
user could read and write them, and each submission is told where they are.

    python tests/hostile/test_hostile_submissions.py      prints the table
"""

from __future__ import annotations

import ast
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from plantings import HONEST, LIMITS, Plantings, left_behind, planted

from mi_lib.course.grading import Grader, Verdict, judge

SUBMISSIONS = sorted((Path(__file__).parent / "submissions").glob("*.py"))
SECONDS = 8.0  # more than any of them needs that does not wait for the end of it

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plantings() -> Iterator[Plantings]:
    with planted() as plantings:
        yield plantings


@pytest.fixture(scope="module")
def grader(plantings: Plantings) -> Iterator[Grader]:
    with Grader(LIMITS) as grader:
        assert grader.grade(HONEST, plantings.exercise).passed  # the server is up
        if grader.isolation().level != "confined":
            missing = "; ".join(f"{m.name}: {m.words}" for m in grader.isolation().missing)
            pytest.skip(f"this system cannot confine a process ({missing})")
        yield grader


def attack(grader: Grader, plantings: Plantings, file: Path) -> Verdict:
    """The verdict on a hostile file."""
    plantings.came_back.clear()
    seconds = float(announced(file, "Seconds") or SECONDS)
    return grader.grade(plantings.submission(file.read_text()), plantings.exercise, time_limit=seconds)


def announced(file: Path, what: str) -> str:
    """What a file says of itself: "Ends", "Sign", or "Seconds" if it uses up whatever it gets."""
    match = re.search(rf"^{what}: (.*)$", ast.get_docstring(ast.parse(file.read_text())) or "", re.MULTILINE)
    return match[1] if match else ""


@pytest.mark.parametrize("file", SUBMISSIONS, ids=lambda file: file.stem)
def test_a_hostile_submission_gains_nothing_and_is_told_apart(grader, plantings, file):
    verdict = attack(grader, plantings, file)
    assert verdict.points == 0, verdict
    assert not verdict.course_fault, verdict.diagnosis
    assert plantings.touched() == []
    assert not plantings.leaked(verdict)
    assert left_behind(grader) == []
    assert verdict.ending in announced(file, "Ends").split(" | "), verdict
    assert announced(file, "Sign") in "; ".join(verdict.signs)
    assert verdict.isolation_level in ("confined", "process")  # the latter if it ended before it could report
    honest = grader.grade(HONEST, plantings.exercise)
    assert honest.passed, honest
    assert not honest.signs


def test_what_is_in_view_can_be_asked_for(grader, plantings, monkeypatch):
    """The control of `escape_stat`: it gains where nothing is hidden."""
    file = next(file for file in SUBMISSIONS if file.stem == "escape_stat")
    monkeypatch.setattr(judge, "_not_to_be_seen", lambda exercise: [])
    assert attack(grader, plantings, file).points > 0


def test_there_are_at_least_forty_and_each_says_what_it_tries():
    kinds = Counter(file.stem.split("_")[0] for file in SUBMISSIONS)
    assert len(SUBMISSIONS) >= 40
    assert set(kinds) == {"forge", "escape", "exhaust", "confuse"}
    for file in SUBMISSIONS:
        assert (ast.get_docstring(ast.parse(file.read_text())) or "").splitlines()[0].endswith("."), file.name
        assert announced(file, "Ends"), file.name


def table() -> None:
    """Attacks tried, gained, escaped, batch stopped: one line for each kind. And what the worst cost the judge."""
    rows: dict[str, Counter] = {}
    worst_seconds = worst_bytes = 0.0
    with planted() as plantings, Grader(LIMITS) as grader:
        print(f"isolation: {grader.isolation().level}")
        for file in SUBMISSIONS:
            started, used, before = time.monotonic(), time.process_time(), peak(reset=True)
            verdict = attack(grader, plantings, file)
            seconds, more = time.process_time() - used, peak() - before
            worst_seconds, worst_bytes = max(worst_seconds, seconds), max(worst_bytes, more)
            escaped = plantings.touched() != [] or plantings.leaked(verdict) or left_behind(grader) != []
            stopped = not grader.grade(HONEST, plantings.exercise).passed
            row = rows.setdefault(file.stem.split("_")[0], Counter())
            row.update(tried=1, gained=verdict.points > 0, escaped=escaped, stopped=stopped)
            took = f"{time.monotonic() - started:5.2f} s, of the judge {seconds:5.2f} s and {more / 2**20:4.0f} MiB"
            print(f"  {file.stem:34} {verdict.ending:22} {took}", flush=True)
    print(f"{'':10}{'tried':>8}{'gained':>8}{'escaped':>8}{'batch stopped':>15}")
    rows["all"] = sum(rows.values(), Counter())
    for name, row in rows.items():
        print(f"{name:10}{row['tried']:8}{row['gained']:8}{row['escaped']:8}{row['stopped']:15}")
    print(f"the judge, under the worst of them: {worst_seconds:.2f} s of processor, {worst_bytes / 2**20:.0f} MiB more")


def peak(reset: bool = False) -> int:
    """The most memory of this process since it was last asked to forget, in bytes. 0 where the kernel does not tell."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        rows = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    except OSError:
        return 0
    return int(rows["VmHWM"].split()[0]) * 1024


if __name__ == "__main__":
    sys.exit(table())
