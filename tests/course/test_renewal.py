"""After a `git pull` nothing goes on with half of the old course: servers, watches and judges begin anew."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from mi_lib.course import Progress, Workspace, checking, exercise, renewal, serve, watch
from mi_lib.course.grading import Grader, judge


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A folder that is taken for the course's own code."""
    folder = tmp_path / "code"
    (folder / "inner" / "__pycache__").mkdir(parents=True)
    (folder / "inner" / "module.py").write_text("x = 1\n")
    monkeypatch.setattr(renewal, "FOLDERS", (folder, tmp_path / "not-there"))
    monkeypatch.setattr(renewal, "_BEGUN", renewal.stamp(renewal.FOLDERS))
    monkeypatch.setattr(renewal, "QUIET", 0.01)
    return folder


def test_a_file_that_is_written_made_or_removed_is_a_change(code):
    assert not renewal.changed()
    path = code / "inner" / "module.py"
    before = path.stat()
    path.write_text("x = 2\n")
    assert renewal.changed()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not renewal.changed()  # as it was, in length and time
    (code / "new.toml").write_text("")
    assert renewal.changed()
    (code / "new.toml").unlink()
    path.unlink()
    assert renewal.changed()


def test_what_python_and_editors_leave_beside_it_is_none(code):
    (code / "inner" / "__pycache__" / "module.pyc").write_text("")
    (code / "inner" / ".module.py.swp").write_text("")
    (code / "inner" / "module.py~").write_text("")
    assert not renewal.changed()


@pytest.mark.slow
def test_no_verdict_is_given_by_new_tests_on_an_old_library(code, course, monkeypatch):
    progress = Progress(Workspace.init())
    text = (course / "solutions" / "ch90_sums" / "exercises.py").read_text()
    with Grader() as grader:
        assert checking.check_text(grader, progress, exercise("90.1"), text).passed
        (code / "inner" / "module.py").write_text("x = 2  # pulled\n")
        verdict = checking.check_text(grader, progress, exercise("90.1"), text)
    assert verdict.course_fault
    assert "check once more" in verdict.diagnosis
    assert progress.state("90.1").passed  # it is not kept


def test_tests_are_read_again_when_what_they_read_beside_them_has_changed(course):
    folder = course / "chapters" / "ch90_sums"
    beside, tests = folder / "findings.json", folder / "test_exercises.py"
    beside.write_text("1")
    title = 'from pathlib import Path\nTITLE = Path(__file__).with_name("findings.json").read_text()\n'
    tests.write_text(title + tests.read_text().replace('"""2 + 3 is 5."""', "pass"))
    first = judge.load_tests(tests)
    assert judge.load_tests(tests) is first
    beside.write_text("22")
    os.utime(beside, ns=(1, 1))
    again = judge.load_tests(tests)
    assert again is not first
    assert [test.function.__globals__["TITLE"] for test in again[:1]] == ["22"]


def test_the_pages_are_served_anew_when_the_course_has_changed(code, monkeypatch, capsys):
    monkeypatch.setattr(serve, "LOOK", 0.05)
    monkeypatch.setattr(serve.signal, "signal", lambda *_: None)
    servers, opened = [], []
    pull = threading.Timer(0.3, (code / "inner" / "module.py").write_text, ["x = 2  # pulled\n"])

    def started():
        seconds = "60" if not servers else "0.3"  # the second ends by itself, so that the test does
        servers.append(subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"]))
        return servers[-1]

    pull.start()
    assert serve._kept_up(started, opened.append, renewal.FOLDERS) == 0
    pull.join()
    assert len(servers) == 2
    assert opened == servers[:1]  # the browser is opened once
    assert all(server.poll() is not None for server in servers)
    assert "begin anew" in capsys.readouterr().out


def test_a_server_whose_course_stays_as_it_is_stays_up(code, monkeypatch):
    """The control."""
    monkeypatch.setattr(serve, "LOOK", 0.05)
    monkeypatch.setattr(serve.signal, "signal", lambda *_: None)
    servers = []

    def started():
        servers.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"]))
        return servers[-1]

    assert serve._kept_up(started, lambda _: None, renewal.FOLDERS) == 0
    assert len(servers) == 1


def test_a_server_that_does_not_start_anew_waits_for_the_next_change(code, monkeypatch, capsys):
    """A pull with conflicts leaves files that do not run; whoever mends them has the page back."""
    monkeypatch.setattr(serve, "LOOK", 0.05)
    monkeypatch.setattr(serve.signal, "signal", lambda *_: None)
    servers = []
    lives = ("time.sleep(60)", "raise SystemExit(1)", "time.sleep(0.3)")
    file = code / "inner" / "module.py"

    def started():
        life = lives[len(servers)]
        servers.append(subprocess.Popen([sys.executable, "-c", f"import time; {life}"]))
        if len(servers) < len(lives):
            threading.Timer(0.6, file.write_text, [f"x = {len(servers)}  # changed\n" * len(servers)]).start()
        return servers[-1]

    assert serve._kept_up(started, lambda _: None, renewal.FOLDERS) == 0
    assert len(servers) == 3
    assert capsys.readouterr().out.count("could not begin anew") == 1


def test_a_server_that_does_not_start_at_all_ends(code, monkeypatch, capsys):
    """The control: nothing has changed that could be mended."""
    monkeypatch.setattr(serve, "LOOK", 0.05)
    monkeypatch.setattr(serve.signal, "signal", lambda *_: None)
    assert serve._kept_up(lambda: subprocess.Popen([sys.executable, "-c", "exit(3)"]), print, renewal.FOLDERS) == 3
    assert "could not" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_watch_begins_anew_with_its_own_command(code, course, monkeypatch, capsys):
    begun = []

    def execute(path, command):
        begun.append((path, command))
        raise SystemExit

    monkeypatch.setattr(renewal.os, "execv", execute)
    (code / "inner" / "module.py").write_text("x = 2  # pulled\n")
    workspace = Workspace.init()
    with pytest.raises(SystemExit):
        watch.run(workspace, exercise("90.1").chapter, poll=True)
    assert begun == [(sys.executable, sys.orig_argv)]
    assert "begins anew" in capsys.readouterr().out
