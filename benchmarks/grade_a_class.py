"""How fast is a class graded, and what does killing the grader do?

    python benchmarks/grade_a_class.py                       300 submissions of chapter 02, as reported
    python benchmarks/grade_a_class.py -n 30 --kills 3 --sample 1

1. Makes a class: right answers (the reference, and right answers written otherwise), wrong ones (up to five known
   mistakes each), a few hostile ones, and a few that cannot be read. Every text is different.
2. Grades it with `mi grade`, and measures time and peak memory (over all processes, shared pages counted once).
3. Starts pytest once per submission on a sample of the same class, as graders commonly do.
4. Kills `mi grade` with SIGKILL at random moments, starts it again, and compares the gradebook with that of step 2.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

from mi_lib.course import files, index, sections
from mi_lib.course.mistakes import variants

ROOT = Path(__file__).parents[1]
CHAPTER = "02"
SCORE = "def in_context_learning_score(loss, early, late):\n"
HOSTILE = {  # exercise → its section; each tries something that a grader must survive
    "runs for ever": ("02.4", SCORE + "    while True:\n        pass\n"),
    "ends the process": ("02.5", "import os\ndef previous_token_score(pattern):\n    os._exit(0)\n"),
    "floods the output": ("02.4", SCORE + "    while True:\n        print('x' * 10**5)\n"),
    "forks": ("02.4", "import os\n" + SCORE + "    while True:\n        os.fork()\n"),
    "eats memory": ("02.4", SCORE + "    return [torch.ones(10**8) for _ in range(10**4)]\n"),
    "is equal to everything": (
        "02.4",
        "class Any(float):\n    __eq__ = __le__ = __ge__ = lambda *_: True\n    __hash__ = float.__hash__\n"
        + SCORE
        + "    return Any(0)\n",
    ),
}


def make_class(folder: Path, number: int, seed: int = 0) -> Counter[str]:
    """Write so many submissions; returns how many there are of each kind."""
    chance = random.Random(seed)
    chapter = index.chapter(CHAPTER)
    reference = files.read_text(chapter.solutions_folder / "exercises.py")
    mistakes = [v for v in variants(chapter) if v.wrong]
    rights = [v for v in variants(chapter) if not v.wrong]
    kinds: Counter[str] = Counter()
    for i in range(number):
        text, kind = reference, "right" if i % 10 < 4 else "wrong" if i % 10 < 9 else "hostile"
        if kind == "right":
            chosen = chance.sample(rights, chance.randint(0, 4))
        else:
            chosen = chance.sample(mistakes, chance.randint(1, 5))
        for variant in {v.exercise_id: v for v in chosen}.values():
            text = sections.replace(text, variant.exercise_id, sections.get(variant.submission, variant.exercise_id))
        student = folder / f"student{i:04}"
        student.mkdir(parents=True)
        if kind == "hostile":
            exercise_id, section = HOSTILE[list(HOSTILE)[(i // 10) % len(HOSTILE)]]
            text = sections.replace(text, exercise_id, section)
        text = text.replace("# %% [setup]\n", f"# %% [setup]\n# {student.name}\n", 1)
        (student / "exercises.py").write_text(text, "utf-8")
        (student / "conftest.py").write_text("raise SystemExit('a submission may not bring its own')\n")
        kinds[kind] += 1
    with zipfile.ZipFile(folder / "climber.zip", "w") as archive:
        archive.writestr("../../exercises.py", reference)
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("exercises.py", "0" * 8 * 2**20)
    kinds["unreadable"] = 2
    return kinds


def command(handed_in: Path, out: Path, jobs: int) -> list[str]:
    return [sys.executable, "-m", "mi_lib.cli", "grade", str(handed_in), "-o", str(out), "--jobs", str(jobs)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


class PeakMemory(threading.Thread):
    """The most memory that a process and all that came of it use at once, in bytes."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak, self.stopped = pid, 0, threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(1.0):
            self.peak = max(self.peak, sum(map(proportional, tree(self.pid))))


def tree(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else []):
        try:
            parent = int(Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(name))
    found, todo = [pid], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def proportional(pid: int) -> int:
    """A process's share of memory: pages that n processes share count as one n-th."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def processor_seconds() -> float:
    """What all processes that have ended have used: it tells little of who else was busy."""
    times = os.times()
    return times.children_user + times.children_system


def whole_run(handed_in: Path, out: Path, jobs: int) -> dict[str, Any]:
    started, used = time.perf_counter(), processor_seconds()
    process = subprocess.Popen(
        command(handed_in, out, jobs), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    memory = PeakMemory(process.pid)
    memory.start()
    said, _ = process.communicate()
    memory.stopped.set()
    used = processor_seconds() - used
    return {
        "seconds": time.perf_counter() - started,
        "processor": used,
        "peak_bytes": memory.peak,
        "said": said.strip(),
    }


def with_pytest(handed_in: Path, number: int, seed: int = 1) -> tuple[list[float], float]:
    """Seconds of starting pytest for each of some submissions, and of processor time for one."""
    students = random.Random(seed).sample(sorted(handed_in.glob("student*")), number)
    seconds = []
    used = processor_seconds()
    for student in students:
        # pytest would load the conftest.py that lies beside a submission, so the file is taken out of its folder.
        alone = handed_in.parent / "alone" / student.name / "exercises.py"
        alone.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(student / "exercises.py", alone)
        started = time.perf_counter()
        chapter = index.chapter(CHAPTER).folder
        line = [sys.executable, "-m", "pytest", "-q", str(chapter), "--submission", str(alone)]
        done = subprocess.run(line, env=environment(), cwd=ROOT, stdout=subprocess.PIPE, text=True)
        seconds.append(time.perf_counter() - started)
        assert done.returncode in (0, 1), done.stdout  # 0: all passed, 1: some failed; else no test was run
    return seconds, (processor_seconds() - used) / number


def rows(out: Path) -> dict[tuple[str, str, str], tuple[Any, ...]]:
    """(student, exercise, key) → what is stored under it. AssertionError if the file is damaged or a row is doubled."""
    book = out / "gradebook.sqlite"
    if not book.exists():
        return {}
    with sqlite3.connect(book) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        try:
            found = db.execute("SELECT student, exercise, key, status, points, graded_at FROM verdict").fetchall()
        except sqlite3.OperationalError:  # killed before the tables were made
            return {}
    stored = {row[:3]: row[3:] for row in found}
    assert len(stored) == len({key[:2] for key in stored}) == len(found), "a verdict is there twice"
    return stored


def killed_runs(handed_in: Path, folder: Path, jobs: int, kills: int, whole: float, want: dict) -> dict[str, Any]:
    """Kill the grader at random moments, go on, and compare with the undisturbed run."""
    chance = random.Random(2)
    lost = doubled = finished = 0
    moments: list[int] = []  # how many verdicts were stored when it was killed
    out = folder / "killed-0"
    before: dict = {}
    while len(moments) < kills:
        process = subprocess.Popen(
            command(handed_in, out, jobs), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(chance.uniform(0.02, 0.5) * whole)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            after = rows(out)
            lost += sum(key not in after for key in before)
            doubled += sum(key in after and after[key] != value for key, value in before.items())
            before = after
            moments.append(len(after))
            if len(after) < 0.9 * len(want) or len(moments) == kills:
                continue
            subprocess.run(command(handed_in, out, jobs), env=environment(), capture_output=True)  # little is left
        finished += rows(out).keys() != want.keys()
        lost += len(before.keys() - rows(out).keys())
        out, before = folder / f"killed-{len(moments)}", {}  # it was done: start over
    subprocess.run(command(handed_in, out, jobs), env=environment(), capture_output=True)
    last = rows(out)
    lost += len(want.keys() - last.keys())
    other = [key for key in want if key in last and last[key][:2] != want[key][:2]]
    return {
        "kills": kills,
        "stored_at_each": moments,
        "lost": lost,
        "doubled": doubled,
        "incomplete": finished,
        "other_points_than_undisturbed": len(other),
        "which": other[:5],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--number", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--sample", type=int, default=10, help="submissions that pytest is started for")
    parser.add_argument("--keep", type=Path, help="keep submissions and gradebook in this folder")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    asked = parser.parse_args()
    folder = asked.keep or Path(tempfile.mkdtemp(prefix="mi-class-"))
    handed_in, out = folder / "handed-in", folder / "grades"
    kinds = make_class(handed_in, asked.number)
    run = whole_run(handed_in, out, asked.jobs)
    again = whole_run(handed_in, out, asked.jobs)
    stored = rows(out)
    each = run["seconds"] / asked.number
    result: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "submissions": asked.number,
        "kinds": kinds,
        "verdicts": len(stored),
        "seconds": round(run["seconds"], 1),
        "processor_seconds_each": round(run["processor"] / asked.number, 1),
        "submissions_per_minute": round(60 / each, 1),
        "peak_memory_mib": run["peak_bytes"] // 2**20,
        "again_seconds": round(again["seconds"], 1),
        "said": [run["said"], again["said"]],
    }
    if asked.sample:
        seconds, used = with_pytest(handed_in, asked.sample)
        result["pytest_processor_seconds_each"] = round(used, 1)
        result["pytest_seconds_each"] = round(statistics.mean(seconds), 1)
        result["pytest_submissions_per_minute_on_all_jobs"] = round(60 * asked.jobs / statistics.mean(seconds), 1)
        result["times_faster"] = round(statistics.mean(seconds) / asked.jobs / each, 1)
    if asked.kills:
        result["killed"] = killed_runs(handed_in, folder, asked.jobs, asked.kills, run["seconds"], stored)
    text = json.dumps(result, indent=1)
    print(text)
    if asked.json:
        asked.json.write_text(text + "\n")
    if not asked.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
