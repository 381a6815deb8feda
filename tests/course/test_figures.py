"""Figures that are drawn from the answer to an exercise: the learner's beside the reference's, or a sentence."""

from __future__ import annotations

import dataclasses

import pytest

from mi_lib.course import figures, sections, stubs
from mi_lib.course.index import CourseError

RIGHT = "def add(a, b):\n    return a + b\n"


@pytest.fixture(scope="module")
def grader():
    from mi_lib.course.grading import Grader

    with Grader() as grader:
        yield grader


def file(chapter, body):
    """A learner's file with this answer to 90.1."""
    return sections.replace(stubs.handed_out(chapter), "90.1", f"# %% [90.1] Add\n{body}")


def draw(grader, chapter, body, seconds=10.0):
    exercise = dataclasses.replace(chapter.exercise("90.1"), time_limit=seconds)
    return figures.draw(grader, exercise, "doubles", file(chapter, body))


def heights(drawn):
    return list(drawn.data[0].y)


def test_a_right_answer_draws_what_the_reference_draws(chapter, grader):
    mine = draw(grader, chapter, RIGHT)
    assert mine.problem == ""
    assert heights(mine.figure) == heights(figures.figure(chapter, "doubles")) == [2.0, 4.0, 6.0]


def test_a_wrong_answer_draws_another_figure(chapter, grader):
    assert heights(draw(grader, chapter, RIGHT.replace("+", "*")).figure) == [1.0, 4.0, 9.0]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('def add(a, b):\n    raise NotImplementedError("Exercise 90.1 is waiting")\n', "90.1 is not written yet"),
        ("def add(a, b):\n    return a + c\n", "raised NameError"),
        ("def add(a, b)\n    return a + b\n", "raised SyntaxError"),
        ("def add(a, b):\n    exit()\n", "ended the Python process"),
        ("def add(a, b):\n    return 'two'\n", "it is the text 'two'"),
        ("def plus(a, b):\n    return a + b\n", "There is no add"),
        ("add = 3\n", "cannot be drawn"),
    ],
)
def test_what_an_answer_does_instead_of_drawing_is_told_in_a_sentence(chapter, grader, body, said):
    drawn = draw(grader, chapter, body)
    assert drawn.figure is None
    assert said in drawn.problem
    assert "Traceback" not in drawn.problem


def test_an_answer_that_never_ends_is_stopped_at_the_time_limit_of_its_exercise(chapter, grader):
    drawn = draw(grader, chapter, "def add(a, b):\n    while True: pass\n", seconds=1.0)
    assert drawn.figure is None
    assert "still running after 1 seconds" in drawn.problem


def test_a_file_without_the_section_is_told_so(chapter, grader):
    drawn = figures.draw(grader, chapter.exercise("90.1"), "doubles", "def add(a, b): return a + b")
    assert "90.1" in drawn.problem


def test_a_figure_that_would_stall_a_browser_is_refused(chapter, grader, monkeypatch):
    monkeypatch.setattr(figures, "MAX_BYTES", 1000)
    drawn = draw(grader, chapter, RIGHT)
    assert drawn.figure is None
    assert "too much for a browser" in drawn.problem


def test_the_page_that_is_saved_holds_both_figures_and_needs_no_network(chapter, grader, tmp_path):
    mine = draw(grader, chapter, RIGHT.replace("+", "*"))
    page = figures.save_page(chapter.exercise("90.1"), {"doubles": mine}, tmp_path / "figures")
    text = page.read_text()
    assert text.count("Plotly.newPlot") == 2
    assert "[1.0,4.0,9.0]" in text
    assert "[2.0,4.0,6.0]" in text
    assert (tmp_path / "figures" / "plotly.min.js").stat().st_size > 10**6
    assert 'src="http' not in text


def test_what_a_learner_wrote_cannot_break_the_page_that_is_saved(chapter, tmp_path):
    problem = figures.Drawn(None, "Your code raised <script>alert(1)</script>.")
    text = figures.save_page(chapter.exercise("90.1"), {"doubles": problem}, tmp_path).read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_without_solutions_the_own_figure_stands_alone(chapter, grader, tmp_path):
    (chapter.solutions_folder / "exercises.py").unlink()
    with pytest.raises(CourseError, match="came without solutions"):
        figures.figure(chapter, "doubles")
    mine = draw(grader, chapter, RIGHT)
    text = figures.save_page(chapter.exercise("90.1"), {"doubles": mine}, tmp_path).read_text()
    assert text.count("Plotly.newPlot") == 1
    assert "came without solutions" in text


def test_in_a_notebook_the_functions_of_the_notebook_draw(chapter):
    exercise = chapter.exercise("90.1")
    assert heights(figures.draw_here(exercise, "doubles", {"add": lambda a, b: a - b}).figure) == [0.0, 0.0, 0.0]
    assert "Run the cell of exercise 90.1 first" in figures.draw_here(exercise, "doubles", {}).problem

    def add(a, b):
        raise ValueError("no")

    drawn = figures.draw_here(exercise, "doubles", {"add": add})
    assert drawn.figure is None
    assert "raised ValueError" in drawn.problem
