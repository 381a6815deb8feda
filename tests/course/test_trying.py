"""A scratch run: lines beside the learner's file, without a grade and without a way to one."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from mi_lib.course import files, index, show, trying
from mi_lib.course.checking import check
from mi_lib.course.grading.process import Process
from mi_lib.course.progress import Progress
from mi_lib.course.workspace import Workspace

FILE = """# %% [setup]
import torch
{setup}
# %% [90.1] Add
def add(a, b):
    return {body}
# %% [90.2] Add three
def add_three(a, b, c):
    return add(add(a, b), c)
"""


@pytest.fixture(scope="module")
def grader():
    from mi_lib.course.grading import Grader

    with Grader() as grader:
        yield grader


@pytest.fixture
def attempt(course, grader):
    """attempt("add(1, 2)"): what these lines give beside an answer that adds, or one that does something else."""

    def run(lines: str, exercise: str = "90.1", body: str = "a + b", setup: str = "", halt=None) -> trying.Tried:
        text = FILE.format(body=body, setup=setup)
        return trying.run(grader, index.exercise(exercise), text, lines, halt)

    return run


def test_lines_run_after_the_file_and_their_last_value_is_shown(attempt):
    tried = attempt("print('twice')\nadd(2, 3)")
    assert tried.printed == "twice\n"
    assert [value.more for value in tried.shown] == ["5"]
    assert tried.problem == ""
    assert attempt("x = add(2, 3)").shown == ()
    assert attempt("None").shown == ()


def test_a_tensor_is_told_by_shape_dtype_and_range_and_has_a_picture(attempt):
    (value,) = attempt("torch.arange(12.0).reshape(3, 4) - 6").shown
    assert value.text == "Tensor 3 × 4 · float32 · −6 to 5, mean −0.5"
    assert torch.equal(value.picture, torch.arange(12.0).reshape(3, 4) - 6)
    assert attempt("torch.full((2, 2), -3e-5)").shown[0].text.endswith("−3\N{NO-BREAK SPACE}·\N{NO-BREAK SPACE}10⁻⁵")
    (row,) = attempt("torch.tensor([1.0, float('nan'), 3.0])").shown
    assert row.text == "Tensor of 3 · float32 · 1 to 3, mean 2 · 1 NaN or infinite"
    assert row.picture.shape == (3,)
    patterns = attempt("torch.arange(24.0).reshape(1, 2, 3, 4)").shown[0]  # of two heads, say
    assert torch.equal(patterns.picture, torch.arange(24.0).reshape(2, 1, 3, 4))
    assert attempt("torch.zeros(9, 3, 4)").shown[0].picture is None  # which of the matrices should it be?
    assert attempt("torch.zeros(2, 3, 65)").shown[0].picture is None
    assert attempt("torch.zeros(2, 2, 3, 4)").shown[0].picture is None
    assert attempt("torch.zeros(1, 3, 4)").shown[0].picture.shape == (3, 4)


def test_a_few_numbers_are_written_as_far_as_they_are_known(attempt):
    assert attempt("torch.tensor([1 / 3, 2.0])").shown[0].more == "[0.333333, 2.0]"
    assert attempt("torch.tensor([[1, 2_000_003]])").shown[0].more == "[[1, 2000003]]"


def test_an_array_is_called_one(attempt):
    (value,) = attempt("import numpy\nnumpy.linspace(0, 1, 11)").shown
    assert value.text == "array of 11 · float64 · 0 to 1, mean 0.5"


def test_a_coroutine_says_how_it_is_run(attempt):
    tried = attempt("async def wait(): return 3\nwait()")
    assert tried.shown[0].more == "wait() waits to be run: asyncio.run(…) does it"
    assert tried.printed == ""  # no warning about a line of the course


@pytest.mark.parametrize("lines", ["x = []\nx.append(x)\nx", "x = []\nfor _ in range(300): x = [x]\nx"])
def test_a_list_that_holds_itself_or_is_very_deep_is_shown(attempt, lines):
    tried = attempt(lines)
    assert tried.problem == ""
    assert len(tried.shown) == 1


def test_of_a_large_tensor_every_kth_number_is_drawn(attempt):
    (value,) = attempt("torch.arange(300.0 * 200).reshape(300, 200)").shown
    assert value.every == (3, 2)
    assert torch.equal(value.picture, torch.arange(300.0 * 200).reshape(300, 200)[::3, ::2])


def test_what_holds_tensors_is_told_part_by_part(attempt):
    (value,) = attempt("{'loss': torch.zeros(2), 'rest': [torch.ones(1, 2), 'word']}").shown
    assert value.text == "dict of 2"
    loss, rest = value.parts
    assert (loss.name, loss.text) == ("['loss']", "Tensor of 2 · float32 · 0")
    assert [part.text for part in rest.parts] == ["Tensor 1 × 2 · float32 · 1", "'word'"]


def test_display_shows_what_is_not_the_last_value(attempt):
    tried = attempt("display(1, 2)\ndisplay(3)\n4")
    assert [value.more for value in tried.shown] == ["1", "2", "3", "4"]


def test_a_figure_comes_as_one_by_its_value_or_by_show(attempt):
    draw = "import plotly.graph_objects as go\nfigure = go.Figure(go.Scatter(y=[1, 2, 4]))\n"
    for last in ("figure", "figure.show()"):
        (value,) = attempt(draw + last).shown
        assert list(value.figure.data[0].y) == [1, 2, 4]


BAD = {
    "a syntax error": ("x = (", "SyntaxError on line 1 here: '(' was never closed."),
    "a name that is not there": ("\nnowhere", "NameError on line 2 here: name 'nowhere' is not defined."),
    "an error in the answer": ("add(1, 'x')", "TypeError on line 6 of your file: unsupported operand"),
    "exit": ("exit()", "ended the Python process with exit()"),
    "a harder exit": ("import os\nos._exit(0)", "ended the Python process"),
    "a question": ("input('name?')", "input() cannot be used here, because nobody is there to type"),
    "a breakpoint": ("breakpoint()", "breakpoint() cannot be used here"),
    "the network": ("import socket\nsocket.create_connection(('127.0.0.1', 9), 2)", "no network"),
    "an address": (
        "import urllib.request as r\nr.urlopen('http://localhost:9', timeout=2)",
        "There is no network here",
    ),
    "a flood": ("while True: print('x' * 1000)", "printed more than 10 MB, so it was stopped"),
    "too much memory": ("torch.empty(10**12)", "asked for more memory than an exercise may use"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_goes_wrong_is_one_sentence(attempt, case):
    lines, sentence = BAD[case]
    tried = attempt(lines)
    assert sentence in tried.problem
    assert "\n" not in tried.problem
    assert [value.more for value in attempt("add(1, 1)").shown] == ["2"]  # and the next lines run


def test_what_was_printed_and_shown_before_an_error_stays(attempt):
    tried = attempt("print('before')\ndisplay(7)\n1 / 0")
    assert tried.printed == "before\n"
    assert [value.more for value in tried.shown] == ["7"]
    assert tried.problem == "ZeroDivisionError on line 3 here: division by zero."


def test_a_loop_is_stopped_by_the_learner_and_what_it_printed_stays(attempt, monkeypatch):
    halt, at, drain = threading.Event(), [], Process._drain

    def stops_when_printed(process: Process) -> None:  # however long a busy machine takes to come to the lines
        drain(process)
        if process.printed.total and not at:
            at.append(time.monotonic())
            halt.set()

    monkeypatch.setattr(Process, "_drain", stops_when_printed)
    tried = attempt("print('begun', flush=True)\nwhile True: pass", halt=halt)
    assert tried.stopped
    assert tried.problem.startswith("You stopped it after")
    assert tried.printed == "begun\n"
    assert time.monotonic() - at[0] < 5


@pytest.mark.slow
def test_a_loop_ends_with_the_time_of_the_exercise(grader, course):
    exercise = index.exercise("90.1")
    object.__setattr__(exercise, "time_limit", 1.0)
    tried = trying.run(grader, exercise, FILE.format(body="0", setup=""), "while True: pass")
    assert "still running after 1 seconds" in tried.problem
    assert not tried.stopped


def test_a_file_that_cannot_be_run_is_told_and_the_lines_run_all_the_same(attempt):
    tried = attempt("1 + 1", setup="import nonsense")
    assert "Section [setup] of your file could not be run" in tried.notice
    assert "ModuleNotFoundError on line 3" in tried.notice
    assert [value.more for value in tried.shown] == ["2"]
    own = attempt("add", body="a +")
    assert "Section [90.1] of your file could not be run" in own.notice
    assert "name 'add' is not defined" in own.problem
    earlier = attempt("add_three(1, 2, 3)", exercise="90.2", body="a +")
    assert earlier.problem == "There is no add: it belongs to section [90.1] of your file, which could not be run."


def test_a_file_without_its_markers_is_told(grader, course):
    tried = trying.run(grader, index.exercise("90.1"), "def add(a, b): return a + b", "add(1, 2)")
    assert "The line that starts section [90.1] is missing" in tried.problem


def test_an_answer_that_is_not_written_yet_is_told(attempt):
    body = "0\ndef add(a, b):\n    raise NotImplementedError('Exercise 90.1 is waiting for your answer.')"
    assert attempt("add(1, 2)", body=body).problem == (
        "Exercise 90.1 is waiting for your answer: what you called here is still to be written."
    )


ATTACK = """
import os, sqlite3, sys, torch
import mi_lib.course.grading.expectations as judge, mi_lib.course.progress as progress
judge.expect_close = judge.expect = lambda *a, **k: None
progress.Progress.record = lambda *a, **k: None
torch.allclose = torch.equal = lambda *a, **k: True
torch.Tensor.__eq__ = lambda *a: True
add = add_three = lambda *a: sum(a)
sys.modules["exercises"].add = add
for path in [{file!r}, {scratch!r}]:
    try:
        open(path, "w").write("def add(a, b): return a + b")
        print("wrote", path)
    except OSError as error:
        print("refused", path)
try:
    sqlite3.connect({progress!r}).execute("UPDATE attempts SET passed = 1").connection.commit()
    print("forged")
except sqlite3.Error:
    print("refused the progress")
"""


def test_nothing_that_is_tried_changes_a_grade(course, grader):
    workspace = Workspace.init()
    progress = Progress(workspace)
    exercise = index.exercise("90.1")
    path = workspace.file("90")
    path.write_text(FILE.format(body="a * b", setup=""))
    if grader.isolation().level != "confined":
        pytest.skip("this system cannot keep a process from the files of its own user")
    before = check(grader, workspace, progress, exercise)
    workspace.write_scratch(exercise, "add(1, 2)")
    files_before = {file: file.read_bytes() for file in workspace.path.rglob("*.py")}
    lines = ATTACK.format(
        file=str(path), scratch=str(workspace.scratch(exercise)), progress=str(workspace.progress_path)
    )
    tried = trying.run(grader, exercise, path.read_text(), lines)
    assert tried.problem == ""  # it did all that it wanted to
    assert tried.printed.count("refused") == 3
    assert {file: file.read_bytes() for file in workspace.path.rglob("*.py")} == files_before
    after = check(grader, workspace, progress, exercise)
    assert (before.status, before.points, before.diagnosis) == (after.status, after.points, after.diagnosis)
    assert not before.passed
    assert [attempt.passed for attempt in progress.attempts("90.1")] == [False, False]
    assert progress.state("90.1").attempts == 2  # the scratch run is none


def test_what_a_process_forges_is_shown_as_far_as_it_is_plain():
    forged = [None, {"kind": "tensor", "shape": "x", "low": "1", "picture": [[1]]}, {"kind": "figure", "json": "no"}]
    forged += [{"kind": "tensor", "picture": torch.zeros(5000), "every": [1]}, {"kind": "parts", "parts": [7]}]
    shapes = ((9, 1, 3, 3), (2, 2, 3, 3), (2, 1, 65, 3), (2, 1, 3, 0))
    forged += [{"kind": "tensor", "picture": torch.zeros(shape), "every": [1] * 4} for shape in shapes]
    endless_numbers = ({"low": number, "high": number, "mean": number} for number in (float("inf"), float("nan")))
    forged += [{"kind": "tensor", "shape": [2], **numbers} for numbers in endless_numbers]
    for told in forged:
        assert trying._shown(told, [10]).picture is None
    endless = {"kind": "parts", "parts": []}
    endless["parts"] = [endless] * 1000

    def count(shown: trying.Shown) -> int:
        return 1 + sum(map(count, shown.parts))

    assert count(trying._shown(endless, [50])) <= 50


def test_scratch_lines_are_kept_and_those_of_another_editor_are_put_aside(course):
    workspace = Workspace.init()
    exercise = index.exercise("90.1")
    assert workspace.scratch_text(exercise) is None
    version = workspace.write_scratch(exercise, "add(1, 2)\n")
    assert workspace.scratch_text(exercise) == "add(1, 2)\n"
    workspace.scratch(exercise).write_text("typed elsewhere\n")
    workspace.write_scratch(exercise, "typed here\n", version)
    assert workspace.scratch_text(exercise) == "typed here\n"
    (aside,) = (workspace.path / ".mi" / "backups").glob("*scratch_90.1.py")
    assert files.read_text(aside) == "typed elsewhere\n"


def test_a_picture_in_letters_has_the_least_number_lightest():
    assert show.picture(torch.tensor([[0.0, 1.0], [0.5, float("nan")]]), 80) == ["  ██", "▒▒??"]
    assert show.picture(torch.arange(8.0), 80) == ["▁▂▃▄▅▆▇█"]
    assert [len(line) for line in show.picture(torch.zeros(100, 100), 42)] == [40] * 20


def test_the_course_is_out_of_its_view_as_in_a_check(attempt, grader):
    """Whether tests and answers are there, and how large they are, is told to nobody's code."""
    exercise = index.exercise("90.1")
    isolation = grader.hold(lambda process: process.isolation, grader.limits, exercise=exercise)
    if not any(measure.name == "view" and measure.in_force for measure in isolation.measures):
        pytest.skip("nothing is out of view on this system")
    tests = exercise.chapter.folder / "test_exercises.py"
    assert tests.is_file()
    assert attempt(f"import os\nos.path.exists({str(tests)!r})").shown[0].more == "False"
