"""What an instructor says beside the points: comments and a rubric, which change no grade and reach every report."""

from __future__ import annotations

import json

import pytest
from small_class import RIGHT, TIMES
from test_texts import NASTY

from mi_lib.course.classroom import points, report
from mi_lib.course.classroom.config import Config
from mi_lib.course.classroom.report import plain
from mi_lib.course.classroom.submissions import Submission
from mi_lib.course.index import CourseError

pytestmark = pytest.mark.usefixtures("course")
RUBRIC = Config(rubric={"readable": ("not yet", "mostly", "yes")})


@pytest.fixture
def graded(book):
    """Two who have handed something in, of which nothing is graded yet: that changes nothing about what is said."""
    for name in ("ada", "bob"):
        book.hand_in([Submission(name, name, {"90": RIGHT + f"# {name}"})])
    book.settings = RUBRIC
    return book


def written(book, folder) -> dict[str, str]:
    failures: list[str] = []
    report.write(points.grades(book, book.settings), folder, failed=failures.append)
    assert not failures
    return {p.name: p.read_text() for p in folder.rglob("*") if p.is_file() and p.suffix in (".html", ".json", ".csv")}


def test_a_comment_changes_no_points_and_stands_in_the_reports(graded, tmp_path):
    graded.adjust("bob", "90.1", 1.5, "by hand")
    graded.comment("bob", "Which way do your masks look?\n<b>Read on.</b>", "90.1")
    graded.comment("bob", "Well written.")
    files = written(graded, tmp_path)
    assert [student.total for student in points.grades(graded, RUBRIC)] == [0.0, 1.5]
    assert "&lt;b&gt;Read on.&lt;/b&gt;" in files["bob.html"]
    assert "Well written." in files["bob.html"]
    assert "Well written." not in files["ada.html"]
    assert "Well written." in json.loads(files["bob.json"])["output"]
    bob = json.loads(files["grades.json"])[1]
    assert [r["text"] for r in bob["remarks"]] == ["Well written."]
    assert bob["exercises"][0]["remarks"][0]["number"] == 1
    assert "# Comment: Which way do your masks look?\n# <b>Read on.</b>\n" in plain.text(
        points.grades(graded, RUBRIC)[1]
    )


def test_of_a_criterion_the_last_level_counts_and_it_costs_nothing(graded, tmp_path):
    graded.comment("bob", "NOT YET", "90.2", "Readable")
    graded.comment("bob", "mostly", "90.2", "readable")
    graded.comment("bob", "yes", "", "readable")
    files = written(graded, tmp_path)
    assert files["bob.html"].count("<li>readable: <b>") == 2
    assert "not yet" not in files["bob.html"]


def test_comments_survive_handing_in_again_and_go_where_a_student_goes(graded):
    graded.comment("bob", "Well written.", "90.1")
    graded.hand_in([Submission("bob", "bob", {"90": TIMES})])
    graded.merge("bob", "ada")
    ada = points.grades(graded, RUBRIC)[0]
    assert [remark.text for remark in ada.grades["90.1"].remarks] == ["Well written."]
    graded.withdraw("ada", 1)
    assert not graded.remarks()
    graded.comment("ada", "x")
    graded.remove("ada")
    assert not graded.remarks()


def test_whatever_is_said_every_report_holds_it(graded, tmp_path):
    graded.comment("bob", NASTY, "90.1")
    for name, text in written(graded, tmp_path).items():
        assert "\x1b" not in text
        if name.endswith(".html"):
            assert "<script>" not in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("bobb", "x"), "no student 'bobb'. Did you mean bob?"),
        (("bob", "  "), "is empty"),
        (("bob", "yes", "", "readible"), "no 'readible'. Did you mean readable?"),
        (("bob", "mosty", "", "readable"), "no level 'mosty'. Did you mean mostly?"),
        (("bob", "9", "", "readable"), "There are: not yet, mostly, yes."),
    ],
)
def test_slips_are_sentences_with_the_nearest_right_thing(graded, words, sentence):
    with pytest.raises(CourseError, match=sentence):
        graded.comment(*words)


def test_a_comment_that_is_not_there_cannot_be_withdrawn(graded):
    number = graded.comment("ada", "x")
    with pytest.raises(CourseError, match=f"bob has no comment {number}. There are: none"):
        graded.withdraw("bob", number)
