"""Code that hangs, ends, floods, crashes or cheats costs its own exercise, gains nothing and leaves nothing behind."""

from __future__ import annotations

import _thread
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from tiny_chapter import RIGHT, TinyExercise

from mi_lib.course.grading import Limits

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and prctl, which only Linux has")


@pytest.fixture(autouse=True)
def the_next_one_is_unaffected(grade):
    """After every piece of hostile code, a right answer still passes."""
    yield
    assert grade(RIGHT).passed


def test_an_endless_loop_is_stopped_and_told(grade):
    assert grade(RIGHT).passed  # the server is up
    started = time.monotonic()
    verdict = grade("def double(x):\n    while True:\n        pass", time_limit=0.5)
    assert time.monotonic() - started < 5
    assert (verdict.status, verdict.points) == ("timed out", 0)
    assert "still running after 0.5 seconds" in verdict.diagnosis
    assert "Not run, because the time was used up before" in verdict.tests[1].message


def test_a_loop_while_the_file_is_read_is_stopped_too(grade):
    verdict = grade("while True:\n    pass", time_limit=0.5)
    assert verdict.status == "timed out"
    assert "While your file was being read" in verdict.diagnosis


def test_swallowing_every_exception_does_not_stop_the_clock(grade):
    source = """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
def double(x):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
"""
    assert grade(source, time_limit=0.5).status == "timed out"


@pytest.mark.parametrize("end", ["exit(0)", "import sys; sys.exit('bye')", "raise SystemExit", "quit()", "os._exit(0)"])
def test_ending_the_process_is_told_in_plain_words(grade, end):
    verdict = grade(f"def double(x):\n    {end}")
    assert (verdict.status, verdict.points) == ("crashed", 0)
    assert "Your code ended the Python process" in verdict.diagnosis


def test_a_segmentation_fault_is_told(grade):
    verdict = grade("import ctypes\ndef double(x):\n    ctypes.string_at(0)")
    assert verdict.status == "crashed"
    assert "SIGSEGV" in verdict.diagnosis


def test_a_test_that_ends_the_process_leaves_the_others_their_chance(grade):
    verdict = grade("def step(n):\n    if n == 1:\n        os._exit(7)", "01.6")
    assert [t.passed for t in verdict.tests] == [False, True, True]
    assert verdict.status == "crashed"


def test_a_gigabyte_of_output_is_cut_off(grade):
    started = time.monotonic()
    verdict = grade("def double(x):\n    for _ in range(10**6):\n        print('y' * 1000)")
    assert time.monotonic() - started < 5
    assert verdict.status == "too much output"
    assert len(verdict.printed) < 30_000
    assert "characters are left out here" in verdict.printed


def test_a_huge_tensor_is_refused_and_told(grade):
    verdict = grade("def double(x):\n    return torch.zeros(10**12)")
    assert verdict.status == "out of memory"
    assert "more memory" in verdict.diagnosis


@linux
def test_memory_that_grows_is_stopped(grader, chapter, monkeypatch):
    source = "# %% [01.1]\ndef double(x):\n    hoard = []\n    while True:\n        hoard.append(bytearray(10**7))\n"
    monkeypatch.setattr(grader, "limits", Limits(memory_bytes=200 * 2**20))
    verdict = grader.grade(source, TinyExercise("01.1", chapter))
    assert verdict.status == "out of memory"


def test_a_file_that_grows_is_stopped(grade):
    verdict = grade("def double(x):\n    with open('big', 'wb') as f:\n        f.write(bytes(200 * 2**20))")
    assert verdict.status == "error"
    assert "OSError" in verdict.diagnosis


@linux
def test_a_fork_bomb_is_stopped(grade):
    verdict = grade("import time\ndef double(x):\n    for _ in range(6):\n        os.fork()\n    time.sleep(30)")
    assert verdict.status == "crashed"
    assert "more than 32 processes" in verdict.diagnosis


@linux
@pytest.mark.parametrize("where", ["__init__", "double"])
def test_a_daemon_is_dead_afterwards(grade, where):
    daemon = """
def start():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(1, b'%d ' % os.getpid())
            open('up', 'w').close()
            import time
            time.sleep(60)
        os._exit(0)
    import time
    while not os.path.exists('up'):
        time.sleep(.01)
"""
    at_once, in_answer = "start()\ndef double(x): return 2 * x", "def double(x):\n    start()\n    return 2 * x"
    verdict = grade(daemon + (at_once if where == "__init__" else in_answer))
    assert verdict.passed, verdict.diagnosis
    pids = verdict.printed.split()
    assert pids
    assert not any(alive(int(pid)) for pid in pids)


def test_an_object_that_equals_everything_gains_nothing(grade):
    source = """
class Yes:
    __eq__ = __ge__ = __le__ = __lt__ = __bool__ = lambda *a: True
    __sub__ = __abs__ = __float__ = lambda *a: 0.0
    shape = (3,)
    def __array__(self, *a, **k):
        return torch.zeros(3).numpy()
def double(x):
    return Yes()
"""
    verdict = grade(source)
    assert (verdict.status, verdict.points) == ("failed", 0)
    assert "an object of type Yes" in verdict.diagnosis


def test_a_tensor_subclass_that_equals_everything_gains_nothing(grade):
    source = """
class Yes(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func in (torch.allclose, torch.equal, torch.isclose, torch.Tensor.__eq__):
            return torch.tensor(True)
        return super().__torch_function__(func, types, args, kwargs or {})
def double(x):
    return torch.zeros_like(x).as_subclass(Yes)
"""
    assert grade(source).points == 0


def test_patching_comparisons_gains_nothing(grade):
    source = """
import builtins, unittest, pytest
import mi_lib.course.grading.expectations as e
torch.allclose = torch.equal = torch.isclose = lambda *a, **k: torch.tensor(True)
e.expect_close = e.expect_equal = e.expect = lambda *a, **k: None
def double(x):
    return x
"""
    assert grade(source).points == 0


def test_fake_frames_on_the_channel_gain_nothing(grade):
    source = """
import json
from mi_lib.course.grading import wire
FAKES = [
    {"n": n, "reply": reply} for n in range(9)
    for reply in ({"passed": True}, {"t": "dict", "v": [["value", None]]}, {"t": "dict", "v": [["verdict", "passed"]]})
]
def double(x):
    for fd in range(3, 64):
        for fake in FAKES:
            try:
                os.write(fd, b"".join(bytes(p) for p in wire.pack(wire.Message(fake))))
            except OSError:
                break
    return x
"""
    verdict = grade(source)
    assert verdict.points == 0
    assert not any(t.passed for t in verdict.tests)


def test_half_a_message_and_silence_end_with_the_clock(grade):
    source = """
import time
def double(x):
    for fd in range(3, 64):
        try:
            os.write(fd, bytes(12))
        except OSError:
            pass
    time.sleep(60)
"""
    assert grade(source, time_limit=0.5).status == "timed out"


def test_closing_the_channel_is_told(grade):
    verdict = grade("def double(x):\n    os.closerange(3, 256)\n    return 2 * x")
    assert verdict.status == "crashed"
    assert "disturbed the line to the grader" in verdict.diagnosis


def test_expected_values_and_tests_are_not_in_the_learners_process(grade):
    source = """
import gc, sys, warnings
warnings.simplefilter('ignore')
def double(x):
    found = [name for name in sys.modules if 'mi_grader' in name or 'test_exercises' in name or name == 'pytest']
    for thing in gc.get_objects():
        if isinstance(thing, torch.Tensor) and thing is not x and thing.shape == x.shape and torch.equal(thing, 2 * x):
            found.append('the expected value')
        if type(thing).__name__ == 'GraderTest':
            found.append('a test')
    frame = sys._getframe()
    while frame:
        found += [k for k in frame.f_locals if k in ('want', 'expected', 'mistakes')]
        frame = frame.f_back
    print('found', found)
    return 2 * x
"""
    verdict = grade(source)
    assert verdict.passed
    assert verdict.printed == "found []\n" * 2


def test_the_environment_and_the_folder_are_private(grade, monkeypatch):
    monkeypatch.setenv("MY_SECRET", "hunter2")
    source = (
        "def double(x):\n    print(sorted(os.environ), os.getcwd(), os.listdir(), os.environ['HOME'])\n    return 2 * x"
    )
    printed = grade(source).printed
    assert "SECRET" not in printed
    folder = Path(printed.split()[-1])
    assert folder.name.startswith("mi-grading-")
    assert not folder.exists()


def test_answers_that_are_too_large_are_told(grade):
    verdict = grade("def double(x):\n    return torch.empty(2**28)")
    assert verdict.status == "failed"
    assert "too large" in verdict.diagnosis


def test_a_server_that_is_killed_is_replaced(grader, chapter):
    assert grader.grade(RIGHT, TinyExercise("01.1", chapter)).passed
    os.kill(grader.server_pid, signal.SIGKILL)
    assert grader.grade(RIGHT, TinyExercise("01.1", chapter)).passed


def test_killing_the_server_from_the_inside_gains_nothing(grade, grader):
    source = "import time\ndef double(x):\n    os.kill(os.getppid(), 9)\n    time.sleep(5)\n    return x"
    verdict = grade(source)
    assert verdict.points == 0
    if grader.isolation().level == "confined":
        assert (verdict.status, verdict.ending) == ("error", "refused by isolation")
        assert "out of its reach" in verdict.diagnosis
    else:
        assert verdict.status == "crashed"
        assert "os.kill" in verdict.diagnosis


def test_an_interrupted_grading_leaves_a_grader_that_works(grade):
    # The first grading imports torch, and an import that is cut short leaves half a torch behind. So it comes before.
    assert grade(RIGHT).passed

    def interrupt() -> None:
        wait_until(lambda: notes("interrupt-me"), 60)
        _thread.interrupt_main()  # what Ctrl-C does

    # A process that was started in the background of a script ignores Ctrl-C, and then so does its Python.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    waiting = threading.Thread(target=interrupt)
    waiting.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            grade("def double(x):\n    open('interrupt-me', 'w').close()\n    while True:\n        pass", time_limit=60)
    finally:
        waiting.join()
        signal.signal(signal.SIGINT, before)
    assert grade(RIGHT).passed


@linux
def test_a_grader_killed_with_kill_9_leaves_no_process_behind(chapter):
    source = """# %% [01.1]
import os, time
def double(x):
    open('pids-of-the-killed', 'w').write(f'{os.getpid()} {os.getppid()}')
    time.sleep(60)
"""
    code = f"""
from pathlib import Path
from mi_lib.course.grading import Grader
from tiny_chapter import TinyChapter, TinyExercise
Grader().grade({source!r}, TinyExercise("01.1", TinyChapter(Path({str(chapter.folder)!r}))))
"""
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent)
    try:
        wait_until(lambda: len("".join(notes("pids-of-the-killed")).split()) == 2, 60)
        pids = [int(pid) for pid in notes("pids-of-the-killed")[0].split()]
        assert all(map(alive, pids))
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not any(map(alive, pids)), 10)


def notes(name: str) -> list[str]:
    """What a learner's process has written into its private folder under this name."""
    return [file.read_text() for file in Path(tempfile.gettempdir()).glob(f"mi-grading-*/{name}")]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until(condition, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
