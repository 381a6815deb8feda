"""How fast is a class graded, and what does killing the grader do?

    python benchmarks/grade_a_class.py --out figures.json                       as reported: 300 submissions
    python benchmarks/grade_a_class.py -n 12 --kill-class 12 --kills 3          a try, in minutes

1. Makes a class for chapter 02: right answers (the reference, and right answers written otherwise), wrong ones (up to
   five known mistakes each), hostile ones, and two that cannot be read. Every text is different.
2. Grades it with `mi grade`, and measures time and peak memory (over all processes, shared pages counted once); then
   grades it again, where nothing has changed.
3. Starts pytest once per submission on a sample of the same class, as graders commonly do.
4. Grades a smaller class undisturbed, and then again while `mi grade` is killed (SIGKILL) at random moments and started
   anew each time, and compares the two gradebooks.

Prints a table; `--out` writes all figures as JSON. Run it on a machine that does nothing else.
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
    return os.environ | {"PYTHONPATH": str(ROOT)}


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


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


def whole_run(handed_in: Path, out: Path, jobs: int, what: str) -> dict[str, Any]:
    """One run of `mi grade` to its end."""
    say(what)
    started, used = time.perf_counter(), processor_seconds()
    process = subprocess.Popen(
        command(handed_in, out, jobs), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    memory = PeakMemory(process.pid)
    memory.start()
    while True:
        try:
            said, _ = process.communicate(timeout=20)
            break
        except subprocess.TimeoutExpired:
            say(f"  {len(rows(out))} verdicts after {time.perf_counter() - started:.0f} s")
    memory.stopped.set()
    seconds, used = time.perf_counter() - started, processor_seconds() - used
    assert process.returncode in (0, 1), f"mi grade ended with {process.returncode}"  # 1: some could not be read
    return {"seconds": seconds, "processor": used, "peak_bytes": memory.peak, "said": said.strip()}


def with_pytest(handed_in: Path, number: int, seed: int = 1) -> tuple[list[float], float]:
    """Seconds of starting pytest for each of some submissions, and of processor time for one."""
    students = random.Random(seed).sample(sorted(handed_in.glob("student*")), number)
    seconds = []
    used = processor_seconds()
    for done, student in enumerate(students):
        say(f"pytest on {student.name}, {done + 1} of {number}")
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
    """(student, exercise, key) → what is stored under it. AssertionError if the file is damaged or a row is doubled.

    The key changes with the course, which must stay as it is while this runs.
    """
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
    assert len(stored) == len(found), "a verdict is there twice"
    assert len(stored) == len({key[:2] for key in stored}), "the course was changed while its grading was measured"
    return stored


def killed_runs(handed_in: Path, folder: Path, jobs: int, kills: int, whole: float, want: dict) -> dict[str, Any]:
    """Kill the grader at random moments, go on, and compare with the undisturbed run.

    A gradebook that is nearly full is finished, compared, and left for a new one.
    """
    chance = random.Random(2)
    lost = doubled = other = left_running = 0
    moments: list[int] = []  # how many verdicts were stored when it was killed
    out, before = folder / "killed-0", {}

    def compare(finished: dict) -> None:
        nonlocal lost, doubled, other
        lost += len(before.keys() - finished.keys()) + len(want.keys() - finished.keys())
        doubled += len(finished.keys() - want.keys())
        doubled += sum(finished.get(key, value) != value for key, value in before.items())
        other += sum(key in finished and finished[key][:2] != value[:2] for key, value in want.items())

    while len(moments) < kills:
        process = subprocess.Popen(
            command(handed_in, out, jobs), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(chance.uniform(0.02, 0.5) * whole)
        except subprocess.TimeoutExpired:
            everybody = tree(process.pid)
            process.send_signal(signal.SIGKILL)
            process.wait()
            left_running += still_there(everybody)
            after = rows(out)
            lost += len(before.keys() - after.keys())
            doubled += sum(after.get(key, value) != value for key, value in before.items())
            before = after
            moments.append(len(after))
            say(f"killed {len(moments)} of {kills}, with {len(after)} of {len(want)} verdicts stored")
            if len(after) < 0.9 * len(want) and len(moments) < kills:
                continue
            subprocess.run(command(handed_in, out, jobs), env=environment(), capture_output=True)
        compare(rows(out))
        out, before = folder / f"killed-{len(moments)}", {}
    return {
        "kills": kills,
        "stored_at_each": moments,
        "of": len(want),
        "lost": lost,
        "doubled": doubled,
        "other_points_than_undisturbed": other,
        "processes_left_running": left_running,
    }


def still_there(pids: list[int], seconds: float = 10.0) -> int:
    """How many of these processes have not ended after so long."""
    until = time.monotonic() + seconds
    while (left := [pid for pid in pids if Path(f"/proc/{pid}").exists()]) and time.monotonic() < until:
        time.sleep(0.1)
    return len(left)


def measure(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    handed_in, out, jobs = folder / "handed-in", folder / "grades", asked.jobs
    kinds = make_class(handed_in, asked.number)
    say(f"{asked.number} submissions in {folder}: {dict(kinds)}")
    result: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_before": round(os.getloadavg()[0], 1),
        "submissions": asked.number,
        "kinds": kinds,
        "workers": jobs,
    }
    run = whole_run(handed_in, out, jobs, "grading")
    again = whole_run(handed_in, out, jobs, "grading again")
    result |= {
        "verdicts": len(rows(out)),
        "seconds": round(run["seconds"], 1),
        "processor_seconds_each": round(run["processor"] / asked.number, 2),
        "submissions_per_minute": round(60 * asked.number / run["seconds"], 1),
        "peak_memory_mib": run["peak_bytes"] // 2**20,
        "again_seconds": round(again["seconds"], 1),
        "said": [run["said"], again["said"]],
    }
    if asked.sample:
        seconds, used = with_pytest(handed_in, min(asked.sample, asked.number))
        each = statistics.mean(seconds)
        result["pytest"] = {
            "sample": len(seconds),
            "seconds_each": round(each, 1),
            "processor_seconds_each": round(used, 2),
            # as if as many ran side by side without getting in each other's way
            "submissions_per_minute": round(60 * jobs / each, 1),
            "times_slower": round(each / jobs / (run["seconds"] / asked.number), 1),
        }
    if asked.kills:
        smaller, undisturbed = folder / "killed-class", folder / "undisturbed"
        make_class(smaller, asked.kill_class, seed=3)
        one = whole_run(smaller, undisturbed, jobs, f"grading {asked.kill_class} undisturbed, to compare with")
        killed = killed_runs(smaller, folder, jobs, asked.kills, one["seconds"], rows(undisturbed))
        result["killed"] = {"submissions": asked.kill_class} | killed
    return result


def table(result: dict[str, Any]) -> str:
    """The figures that are reported, one a line."""
    lines = [
        (
            "submissions of chapter 02",
            f"{result['submissions']} ({', '.join(f'{n} {k}' for k, n in result['kinds'].items())})",
        ),
        ("machine", f"{result['machine']}, {result['workers']} workers, load before {result['load_before']}"),
        ("`mi grade`, per minute", result["submissions_per_minute"]),
        ("processor seconds for each", result["processor_seconds_each"]),
        ("peak memory, all processes", f"{result['peak_memory_mib']} MiB"),
        ("run again, nothing changed", f"{result['again_seconds']} s"),
    ]
    if alone := result.get("pytest"):
        lines += [
            (f"pytest once each (sample of {alone['sample']}), per minute", alone["submissions_per_minute"]),
            ("processor seconds for each", alone["processor_seconds_each"]),
            ("times slower", alone["times_slower"]),
        ]
    if killed := result.get("killed"):
        lines += [
            (f"killed {killed['kills']} times ({killed['submissions']} submissions), verdicts lost", killed["lost"]),
            ("doubled or made again", killed["doubled"]),
            ("other points than undisturbed", killed["other_points_than_undisturbed"]),
            ("processes left running", killed["processes_left_running"]),
        ]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:{width}}  {value}" for name, value in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--number", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="workers; one per core unless given")
    parser.add_argument("--sample", type=int, default=12, help="submissions that pytest is started for; 0: none")
    parser.add_argument("--kills", type=int, default=10, help="0: none")
    parser.add_argument("--kill-class", type=int, default=60, help="size of the class that is graded under kills")
    parser.add_argument("--keep", type=Path, help="keep submissions and gradebooks in this new folder")
    parser.add_argument("--out", type=Path, help="write all figures to this JSON file")
    asked = parser.parse_args()
    folder = asked.keep or Path(tempfile.mkdtemp(prefix="mi-class-"))
    try:
        result = measure(asked, folder)
    finally:
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(table(result))
    if asked.out:
        asked.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
