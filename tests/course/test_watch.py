"""`mi watch` in a real terminal: it grades what was saved, answers to keys, and leaves the terminal as it was."""

from __future__ import annotations

import os
import pty
import queue
import select
import signal
import subprocess
import sys
import termios
import threading
import time

import pytest

from mi_lib.course import index, sections
from mi_lib.course.watch import _notified, touched
from mi_lib.course.workspace import Workspace


class Terminal:
    """A `mi watch` that runs in a pseudo-terminal of its own."""

    def __init__(self, *arguments: str):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mi_lib.cli", "watch", "90", *arguments],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "OMP_NUM_THREADS": "1"},
        )
        self.screen = ""

    def see(self, text: str, seconds: float = 20) -> None:
        """Read until the text appears."""
        end = time.monotonic() + seconds
        while text not in self.screen:
            assert time.monotonic() < end, f"{text!r} did not appear; the screen shows:\n{self.screen}"
            if select.select([self.master], [], [], 0.2)[0]:
                self.screen += os.read(self.master, 65536).decode("utf-8", "replace")
        self.screen = self.screen.split(text, 1)[1]

    def press(self, key: str) -> None:
        os.write(self.master, key.encode())

    def wait(self) -> int:
        """The exit code; what is still written is read, so that nothing blocks."""
        end = time.monotonic() + 10
        while self.process.poll() is None and time.monotonic() < end:
            if select.select([self.master], [], [], 0.1)[0]:
                self.screen += os.read(self.master, 65536).decode("utf-8", "replace")
        return self.process.wait(timeout=1)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def work(course):
    return Workspace.init()


@pytest.fixture
def start(work):
    opened = []

    def begin(*arguments: str) -> Terminal:
        opened.append(Terminal(*arguments))
        opened[-1].see("waiting for your answer")
        return opened[-1]

    yield begin
    for terminal in opened:
        terminal.close()


def save(work, section, body):
    """Save as most editors do: a new file takes the old one's place."""
    path = work.path / "ch90_sums" / "exercises.py"
    new = path.with_name("new.tmp")
    new.write_text(sections.replace(path.read_text(), section, body))
    os.replace(new, path)


def test_a_save_is_graded_hints_come_by_key_and_the_terminal_is_given_back(work, start):
    terminal = start()
    save(work, "90.1", "def add(a, b):\n    return a * b\n")
    terminal.see("You multiply; a sum needs +.")
    terminal.see("hint 1 of 3")
    terminal.press("h")
    terminal.see("What is a sum?")
    terminal.press("f")
    terminal.see("Your figure, beside the reference's:")
    assert "[1.0,4.0,9.0]" in (work.path / "figures" / "90.1.html").read_text()
    save(work, "90.1", "def add(a, b):\n    return a + b\n")
    terminal.see("1 of 2")
    terminal.see("90.1 is right. Press n for 90.2")
    terminal.see("90.1.html")
    assert "[1.0,4.0,9.0]" not in (work.path / "figures" / "90.1.html").read_text()
    terminal.press("n")
    terminal.see("90.2 Add three: waiting for your answer")
    terminal.press("l")
    terminal.see("1 hint")
    save(work, "90.2", "def add_three(a, b, c)\n    return")
    terminal.see("SyntaxError")
    save(work, "90.2", "def add_three(a, b, c):\n    return a + b + c\n")
    terminal.see("Chapter 90 is complete. Well done!")
    assert termios.tcgetattr(terminal.slave) != terminal.before
    terminal.press("q")
    assert terminal.wait() == 0
    assert termios.tcgetattr(terminal.slave) == terminal.before


@pytest.mark.slow
def test_with_polling_a_save_is_seen_and_a_signal_gives_the_terminal_back(work, start):
    terminal = start("--poll")
    terminal.see("Save the file")
    save(work, "90.1", "def add(a, b):\n    return abs(a) + abs(b)\n")
    terminal.see("You drop the sign.")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.wait() == 0
    assert "progress are saved" in terminal.screen
    assert termios.tcgetattr(terminal.slave) == terminal.before


@pytest.mark.slow
def test_it_ends_when_its_terminal_is_closed(work, start):
    terminal = start()
    os.close(terminal.slave)
    os.close(terminal.master)
    terminal.master, terminal.slave = pty.openpty()  # for the fixture to close
    terminal.process.wait(timeout=10)


def test_a_save_from_before_the_watcher_is_up_is_not_lost(tmp_path):
    file = tmp_path / "exercises.py"
    file.write_text("saved already")
    events: queue.Queue[tuple[str, str]] = queue.Queue()
    stop = threading.Event()
    watcher = threading.Thread(target=_notified, args=(file, events, stop), daemon=True)
    watcher.start()
    try:
        assert events.get(timeout=20) == ("saved", "")
        with pytest.raises(queue.Empty):
            events.get(timeout=2.5)  # once is enough
    finally:
        stop.set()
        watcher.join(timeout=10)


@pytest.mark.slow
def test_without_a_terminal_it_watches_all_the_same(work):
    process = subprocess.Popen(
        [sys.executable, "-m", "mi_lib.cli", "watch"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        # A suite in the background of a shell ignores SIGINT, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    try:
        lines = iter(process.stdout.readline, "")
        assert any("Waiting for the next save." in line for line in lines)
        save(work, "90.1", "def add(a, b):\n    return a * b\n")
        assert any("You multiply" in line for line in lines)
        save(work, "90.1", "def add(a, b):\n    return a + b\n")
        assert any("90.1.html" in line for line in lines)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert "\x1b" not in rest
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_save_touches_what_changed_and_what_builds_on_it(work, chapter):
    old = work.text("90")
    new = sections.replace(old, "90.1", "def add(a, b):\n    return a + b\n")
    uses = sections.replace(new, "90.2", "def add_three(a, b, c):\n    return add(add(a, b), c)\n")

    def ids(before, after, graded):
        return [exercise.id for exercise in touched(before, after, chapter, graded)]

    assert ids(old, new, set()) == ["90.1"]
    assert ids(new, uses, {"90.1"}) == ["90.2"]
    changed = sections.replace(uses, "90.1", "def add(a, b):\n    return b + a\n")
    assert ids(uses, changed, {"90.1", "90.2"}) == ["90.1", "90.2"]
    assert ids(uses, changed, {"90.1"}) == ["90.1"]


def test_a_change_of_the_setup_touches_everything_looked_at_so_far(work, chapter):
    old = work.text("90")
    new = sections.replace(old, "setup", "import math, sys\n")
    assert [e.id for e in touched(old, new, chapter, {"90.2"})] == ["90.2"]


def test_a_file_that_an_editor_has_emptied_for_a_moment_is_left_alone(work, monkeypatch):
    from mi_lib.course import watch as watching

    monkeypatch.setattr(watching.Watch, "_grade", lambda self, exercises: pytest.fail("nothing to grade"))
    from rich.console import Console

    watch = watching.Watch(work, index.chapter("90"), None, Console(quiet=True))
    for content in ("", "  \n"):
        watch.file.write_text(content)
        watch.saved()
        assert watch.file.read_text() == content
    watch.file.unlink()
    watch.saved()
    assert not watch.file.exists()
