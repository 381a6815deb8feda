"""`mi grade` and its kin on the command line."""

from __future__ import annotations

import json
import sqlite3
import zipfile

import pytest
from click.testing import CliRunner
from small_class import ONLY_SMALL, RIGHT, TIMES

from mi_lib.cli import cli
from mi_lib.course import CourseError
from mi_lib.course.classroom import batch

pytestmark = pytest.mark.usefixtures("course")


@pytest.fixture
def mi(here, monkeypatch):
    """Run `mi …` in this process; returns (exit code, what it printed)."""
    monkeypatch.setattr(batch, "processes", lambda jobs: here)

    def run(*words: object) -> tuple[int, str]:
        done = CliRunner().invoke(cli, [str(word) for word in words])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.stdout

    return run


@pytest.fixture
def out(mi, handed_in, tmp_path):
    mi("grade", handed_in(ada=RIGHT, bob=TIMES), "-o", tmp_path / "out")
    return tmp_path / "out"


def test_a_class_is_graded_and_reported(mi, handed_in, tmp_path):
    code, said = mi("grade", handed_in(ada=RIGHT, bob=TIMES), "-o", tmp_path / "out")
    assert code == 0
    assert "2 students; 4 exercises graded" in said
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"gradebook.sqlite", "grades.csv", "grades.json", "junit.xml", "ctrf.json", "class.html"} <= names


def test_options_may_come_first_and_formats_be_chosen(mi, handed_in, tmp_path):
    code, _ = mi("grade", "-o", tmp_path / "out", "--format", "csv", handed_in(ada=RIGHT))
    assert code == 0
    assert not (tmp_path / "out" / "class.html").exists()


def test_a_submission_with_problems_gives_exit_code_1(mi, handed_in, tmp_path):
    code, said = mi("grade", handed_in(ada=RIGHT, bob="nothing"), "-o", tmp_path / "out")
    assert code == 1
    assert "1 submission with problems" in said


def test_no_submissions_are_a_sentence(mi, tmp_path):
    with pytest.raises(CourseError, match="There is no"):
        mi("grade", tmp_path / "nowhere", "-o", tmp_path / "out")


def test_an_adjustment_shows_in_explanation_and_reports(mi, out, handed_in):
    assert mi("grade", "adjust", "bob", "90.1", "1.5", "--reason", "nearly", "-g", out)[0] == 0
    mi("grade", handed_in(bob=TIMES + "\n# again\n"), "-o", out)
    said = mi("grade", "explain", "bob", "90.1", "-g", out)[1]
    assert "1.5 of 2 points" in said
    assert "set to 1.5, because: nearly" in said
    mi("grade", "report", "-g", out, "--format", "csv")
    assert "bob,3,5,1.5,1.5" in (out / "grades.csv").read_text()


def test_an_explanation_says_tests_output_version_and_isolation(mi, out):
    said = mi("grade", "explain", "bob", "-g", out)[1]
    for part in ("You multiply; a sum needs +.", "with course version", ": separate process", "Isolation", "Attempt 1"):
        assert part in said
    data = json.loads(mi("grade", "explain", "bob", "90.1", "-g", out, "--json")[1])
    assert [exercise["exercise"] for exercise in data["exercises"]] == ["90.1"]


def test_an_instructor_reads_what_a_hidden_test_found(mi, handed_in, tmp_path, hidden_tests):
    mi("grade", handed_in(ada=ONLY_SMALL), "-o", tmp_path / "out")
    said = mi("grade", "explain", "ada", "90.1", "-g", tmp_path / "out")[1]
    assert "[hidden]" in said
    assert "4712" in said


def test_settings_of_a_run_hold_for_the_reports_after_it(mi, handed_in, tmp_path):
    config = tmp_path / "course.toml"
    config.write_text("[deadlines]\n90 = 2001-01-01T00:00:00\n[late]\npercent_per_day = 100\n")
    mi("grade", handed_in(ada=RIGHT), "-o", tmp_path / "out", "--config", config)
    assert "0 of 5 points" in mi("grade", "explain", "ada", "-g", tmp_path / "out")[1]


def test_similar_submissions_are_a_list_to_look_at(mi, out):
    code, said = mi("grade", "similar", "-g", out)
    assert code == 0
    assert "not a verdict" in said


def test_grades_and_feedback_go_back_to_the_platform(mi, tmp_path):
    export, out, table = tmp_path / "export", tmp_path / "out", tmp_path / "sheet.csv"
    for who, text in {"Ada_4711": RIGHT, "Bob_4712": TIMES}.items():
        (export / f"{who}_assignsubmission_file").mkdir(parents=True)
        (export / f"{who}_assignsubmission_file" / "exercises.py").write_text(text)
    mi("grade", export, "-o", out, "--format", "csv")
    assert mi("grade", "comment", "Bob_4712", "Mind +.", "--on", "90.1", "-g", out)[0] == 0
    head = "Identifier,Grade,Maximum Grade,Feedback comments\n"
    table.write_text(f"{head}Participant 4711,,5.00,\nParticipant 4713,,5.00,x\n")
    code, said = mi("grade", "fill", table, "-g", out, "--comments", "--chapter", "90")
    assert (code, "1 grades for Moodle" in said) == (1, True)  # Bob is not in it
    assert (tmp_path / "sheet-filled.csv").read_text() == f"{head}Participant 4711,5,5.00,\nParticipant 4713,,5.00,x\n"
    table.write_text(f"{head}Participant 4712,,5.00,\nParticipant 4711,,5.00,\n")
    assert mi("grade", "fill", table, "-g", out, "--comments", "-o", tmp_path / "done.csv")[0] == 0
    assert "Participant 4712,1.5,5.00,90.1: Mind +.\n" in (tmp_path / "done.csv").read_text()
    with pytest.raises(CourseError, match="stays as it is"):
        mi("grade", "fill", table, "-g", out, "-o", table)
    code, said = mi("grade", "feedback", export, "-g", out, "-o", tmp_path / "back.zip")
    assert (code, "2 files" in said) == (0, True)
    page = zipfile.ZipFile(tmp_path / "back.zip").read("Bob_4712_assignsubmission_file/feedback.html").decode()
    assert "Mind +." in page
    assert "[1] comment: Mind +." in mi("grade", "explain", "Bob_4712", "-g", out)[1]
    assert mi("grade", "comment", "Bob_4712", "--withdraw", "1", "-g", out)[0] == 0
    assert "Mind" not in mi("grade", "explain", "Bob_4712", "-g", out)[1]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["comment", "bob"], "Give the comment, or"),
        (["comment", "bop", "x"], "no student 'bop'. Did you mean bob?"),
        (["mark", "bob", "readable", "yes"], "The settings have no rubric"),
        (["adjust", "bob", "90.1", "--reason", "x"], "Give the points"),
        (["adjust", "bob", "90.1", "1", "--reason", " "], "Give a reason"),
        (["adjust", "eve", "90.1", "1", "--reason", "x"], "no student 'eve'"),
        (["explain", "eve"], "no student 'eve'"),
    ],
)
def test_slips_are_sentences(mi, out, words, sentence):
    with pytest.raises(CourseError, match=sentence):
        mi("grade", *words, "-g", out)


def test_a_folder_without_a_gradebook_is_said(mi, tmp_path):
    with pytest.raises(CourseError, match="no gradebook"):
        mi("grade", "explain", "ada", "-g", tmp_path)


def test_a_newer_gradebook_is_left_alone(mi, out):
    with sqlite3.connect(out / "gradebook.sqlite") as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(CourseError, match="newer version"):
        mi("grade", "explain", "ada", "-g", out)
