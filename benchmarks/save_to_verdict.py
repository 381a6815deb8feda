"""From a saved file to the verdict of one exercise: the warm engine against pytest started cold.

    python benchmarks/save_to_verdict.py [EXERCISE ...] [--repeats 15] [--cold-repeats 5] [--json FILE]

Warm: a `Grader` is up, as in `mi watch` or the app; the file on disk changes; the time until its `Verdict` is there.
Cold: `pytest` on the same tests and the same file, in one process and without isolation, with no third-party plugins.
That is the fastest that a cold start can be; what people really wait for is longer. Both must pass, or nothing is
reported.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mi_lib.course import Exercise, chapter, exercise
from mi_lib.course.grading import Grader

# A pytest plugin that imports the submission beside the tests, as a course without isolation would do it.
PLAIN = """
import os, pytest
from pathlib import Path
from mi_lib.course.grading.answer import Answer
from mi_lib.course.grading.here import Local
from mi_lib.course.grading.running import load

@pytest.fixture(scope="session")
def answer():
    line = Local()
    load(line, Path(os.environ["SUBMISSION"]).read_text(), "exercises.py", os.environ["EXERCISE"])
    return Answer(line.ask)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exercise", nargs="*", help="default: the middle exercise of chapter 02")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--cold-repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    exercises = [exercise(i) for i in options.exercise] or [middle("02")]
    rows = []
    with tempfile.TemporaryDirectory() as folder, Grader() as grader:
        for e in exercises:
            file = Path(folder) / "exercises.py"
            file.write_text((e.chapter.solutions_folder / "exercises.py").read_text("utf-8"), "utf-8")
            rows.append(measure(grader, e, file, options.repeats, options.cold_repeats))
    show(rows)
    if options.json:
        machine = {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
        options.json.write_text(json.dumps({**machine, "rows": rows}, indent=2) + "\n")


def middle(number: str) -> Exercise:
    exercises = chapter(number).exercises
    return exercises[(len(exercises) - 1) // 2]


def measure(grader: Grader, e: Exercise, file: Path, repeats: int, cold_repeats: int) -> dict:
    """Seconds of each kind; the median is what is compared."""
    text = file.read_text("utf-8")
    verdict = grader.grade(file, e)  # warms the grader, and proves that the file is right
    if not verdict.passed:
        raise SystemExit(f"the reference of {e.id} does not pass: {verdict.diagnosis}")
    tests = [f"{e.chapter.folder / 'test_exercises.py'}::{test.name}" for test in verdict.tests]

    def warm() -> None:
        file.write_text(f"{text}\n# saved at {time.time_ns()}\n", "utf-8")
        assert grader.grade(file, e).passed

    warm_times = seconds(warm, repeats)
    file.write_text(text, "utf-8")
    cold_times = seconds(lambda: plain_pytest(e, file, tests), cold_repeats)
    return {"exercise": e.id, "tests": len(tests), "warm": warm_times, "cold": cold_times}


def plain_pytest(e: Exercise, file: Path, tests: list[str]) -> None:
    plugin = file.parent / "plain_answer.py"
    plugin.write_text(PLAIN)
    environment = os.environ | {
        "SUBMISSION": str(file),
        "EXERCISE": e.id,
        "PYTHONPATH": os.pathsep.join([str(file.parent), str(Path(__file__).parents[1])]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--noconftest",
        "-p",
        "plain_answer",
        "-p",
        "no:cacheprovider",
        *tests,
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"plain pytest does not pass {e.id}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def seconds(action: Callable[[], None], repeats: int) -> list[float]:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return times


def show(rows: list[dict]) -> None:
    print(f"{'exercise':10}{'tests':>6}{'save → verdict, warm':>30}{'pytest, cold':>16}{'ratio':>9}")
    for row in rows:
        warm, cold = statistics.median(row["warm"]), statistics.median(row["cold"])
        spread = f"{warm:.3f} s (worst {max(row['warm']):.3f})"
        print(f"{row['exercise']:10}{row['tests']:>6}{spread:>30}{cold:>14.2f} s{cold / warm:>8.1f}×")


if __name__ == "__main__":
    main()
