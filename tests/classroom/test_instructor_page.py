"""The instructor's page, run without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_class import ONLY_SMALL, RIGHT, TIMES
from streamlit.testing.v1 import AppTest

from mi_lib.course.classroom.config import Config
from mi_lib.course.classroom.grading import grade_class

PAGE = Path(__file__).parents[2] / "app" / "instructor.py"


@pytest.fixture
def page(course, book, handed_in, here, hidden_tests, monkeypatch, scanned_once):
    grade_class(
        handed_in(ada=RIGHT, bob=TIMES, cyd=ONLY_SMALL, dan="nothing"),
        book,
        Config(),
        here,
        keep=Config(rubric={"readable": ("no", "yes")}),
    )
    book.comment("cyd", "Which numbers are **large**?", "90.1")
    monkeypatch.setenv("MI_GRADEBOOK", str(book.path))
    shown = AppTest.from_file(str(PAGE), default_timeout=60).run()
    assert not shown.exception
    return shown


def words(page: AppTest) -> str:
    return "\n".join(str(e.value) for kind in ("markdown", "text", "caption", "error") for e in getattr(page, kind))


def test_the_class_at_a_glance(page):
    assert {metric.label: metric.value for metric in page.metric}["Students"] == "4"
    # Two exercises were released to four students: eight in all, whoever handed something in.
    passed = sum(int(words.split()[0]) for words in page.dataframe[1].value["passed"])
    assert {metric.label: metric.value for metric in page.metric}["Released exercises passed"] == f"{passed / 8:.0%}"
    assert page.dataframe[1].value["passed"][3] == "0 of 2 released"
    table = page.dataframe[0].value
    assert list(table["not handed in"]) == [1, 1]
    assert list(table["handed in"]) == [3, 3]
    assert table["passed"][0] == pytest.approx(1 / 3)


def test_the_median_of_four_lies_between_the_middle_two(page):
    points = sorted(page.dataframe[1].value["points"])
    assert points[1] < points[2]  # or either of them would do
    shown = {metric.label: metric.value for metric in page.metric}["Median points"]
    assert float(shown.split(" of ")[0]) == (points[1] + points[2]) / 2


def test_common_mistakes_by_exercise(page):
    assert "You multiply; a sum needs +." in words(page)


def test_one_students_report_with_what_hidden_tests_found(page):
    page.selectbox[0].select("cyd").run()
    assert not page.exception
    assert "4712" in words(page)
    assert "Which numbers are **large**?" in words(page)
    page.selectbox[0].select("dan").run()
    assert "answers no exercise" in words(page)


def test_something_is_said_to_a_student_and_a_level_of_the_rubric(page, book):
    page.selectbox[0].select("bob").run()
    page.selectbox[1].select("90.2")
    page.text_area[0].input("Add, *then* add.")
    page.selectbox[2].select("yes")
    page.button[0].click().run()
    assert not page.exception
    assert [(r.student, r.exercise, r.criterion, r.text) for r in book.remarks()[1:]] == [
        ("bob", "90.2", "readable", "yes"),
        ("bob", "90.2", "", "Add, *then* add."),
    ]
    assert "Add, *then* add." in words(page)
    page.button[0].click().run()  # an empty form says nothing
    assert len(book.remarks()) == 3


def test_a_path_without_a_gradebook_is_said(page, tmp_path):
    page.text_input[0].input(str(tmp_path / "nowhere")).run()
    assert "There is no gradebook" in words(page)
