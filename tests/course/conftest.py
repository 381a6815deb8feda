"""A small made-up course, so that these tests do not depend on any real chapter."""

from __future__ import annotations

from pathlib import Path

import pytest

from mi_lib.course import index, stubs

TOML = """
number = "90"
slug = "sums"
title = "Sums"
part = "I"
needs = []
summary = "A made-up chapter."

[[exercise]]
id = "90.1"
title = "Add"
points = 2
difficulty = 1
importance = 5
minutes = 5
teaches = "To add."
defines = ["add"]
time_limit = 10
hints = ["What is a sum?", "Use +.", "return a + b"]

[[exercise]]
id = "90.2"
title = "Add three"
points = 3
difficulty = 2
importance = 4
minutes = 10
teaches = "To add again."
defines = ["add_three"]
time_limit = 10
hints = ["Use the last answer.", "Call it twice.", "return add(add(a, b), c)"]
"""

REFERENCE = '''"""Sums."""
# %% [setup]
import math

# %% [90.1] Add
def add(a: float, b: float) -> float:
    """The sum of two numbers."""
    ### BEGIN SOLUTION
    return a + b
    ### END SOLUTION


# %% [90.2] Add three
def add_three(a: float, b: float, c: float) -> float:
    """The sum of three numbers."""
    ### BEGIN SOLUTION
    return add(add(a, b), c)
    ### END SOLUTION
'''

GRADER = '''
from mi_lib.course.grading import expect_close, grades


@grades("90.1")
def test_two_and_three_are_five(answer):
    """2 + 3 is 5."""
    expect_close(answer.add(2.0, 3.0), 5.0, "the sum", mistakes={"You multiply; a sum needs +.": 6.0})


@grades("90.1")
def test_a_number_and_its_opposite_are_nothing(answer):
    """1 + (-1) is 0."""
    expect_close(answer.add(1.0, -1.0), 0.0, "the sum", mistakes={"You drop the sign.": 2.0, "You subtract.": 2.0})


@grades("90.2")
def test_nothing_adds_nothing(answer):
    """0 + 0 + 0 is 0."""
    expect_close(answer.add_three(0.0, 0.0, 0.0), 0.0, "the sum")


@grades("90.2")
def test_one_two_three_are_six(answer):
    """1 + 2 + 4 is 7."""
    mistakes = {"You forget the last number.": 3.0, "You forget the first number.": 6.0, "You multiply.": 8.0}
    expect_close(answer.add_three(1.0, 2.0, 4.0), 7.0, "the sum", mistakes=mistakes)
'''

MISTAKES = '''
@mistake("90.1", says="You multiply")
def add(a, b):
    """Takes times for plus."""
    return a * b


@mistake("90.1", says="drop the sign")
def add(a, b):
    """Adds sizes."""
    return abs(a) + abs(b)


@mistake("90.1", says="the sum")
def add(a, b):
    """Forgets one."""
    return a


@right("90.1", how="with sum")
def add(a, b):
    return sum([a, b])


@right("90.1", how="the other way round")
def add(a, b):
    return b + a


@mistake("90.2", says="You forget the last number")
def add_three(a, b, c):
    return a + b


@mistake("90.2", says="You forget the first number")
def add_three(a, b, c):
    return b + c


@mistake("90.2", says="You multiply")
class section:
    def add_three(a, b, c):
        return a * b * c


@right("90.2", how="at once")
def add_three(a, b, c):
    return a + b + c


@right("90.2", how="as a lambda")
class section:
    add_three = lambda a, b, c: math.fsum([a, b, c])
'''

LESSON = """# Sums

Read about [adding three](#exercise-90-2) or [why](#why-add).

:::{predict} What is 1 + 1?
- [ ] 1
- [x] 2
One and one more.
:::

:::{exercise} 90.1
:::

:::{figure} doubles from=90.1
Numbers added to themselves.
:::

## Why add?

:::{figure} line
A line.
:::

:::{practice} Rounding
Sums of floats depend on their order.
:::

:::{exercise} 90.2
:::
"""

FIGURES = """
def line():
    import plotly.graph_objects as go

    return go.Figure(go.Scatter(x=[0, 1], y=[0, 1]))


def doubles(answer):
    import plotly.graph_objects as go

    return go.Figure(go.Scatter(x=[1.0, 2.0, 3.0], y=[round(answer.add(x, x), 1) for x in (1.0, 2.0, 3.0)]))
"""


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course with one chapter, 90, in a folder of its own."""
    return make_course(tmp_path, monkeypatch)


def make_course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That course, for as long as the patch lasts."""
    root = tmp_path / "course"
    chapter, solutions = root / "chapters" / "ch90_sums", root / "solutions" / "ch90_sums"
    for folder, name, text in [
        (chapter, "chapter.toml", TOML),
        (chapter, "lesson.md", LESSON),
        (chapter, "figures.py", FIGURES),
        (chapter, "test_exercises.py", GRADER),
        (solutions, "exercises.py", REFERENCE),
        (solutions, "mistakes.py", MISTAKES),
    ]:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    (chapter / "exercises.py").write_text(stubs.stub(REFERENCE), "utf-8")
    monkeypatch.setenv("MI_COURSE_ROOT", str(root))
    monkeypatch.setenv("MI_WORKSPACE", str(tmp_path / "work"))
    return root


@pytest.fixture
def chapter(course: Path) -> index.Chapter:
    return index.chapter("90")
