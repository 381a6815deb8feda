"""Whatever a learner writes, every file that it reaches can be written, read again, and does nothing."""

from __future__ import annotations

import csv
import io
import json
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mi_lib.course import texts
from mi_lib.course.classroom import report
from mi_lib.course.classroom.gradebook import Remark
from mi_lib.course.classroom.points import Grade, Student
from mi_lib.course.index import Exercise

ANY = st.text(st.characters(exclude_categories=()), max_size=40)  # lone surrogates too
NASTY = "\ud800<script>\x00\x1b[31m\u202e \r\n\x85\u2028=1+1&\"'"
quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(ANY)
@example(NASTY)
def test_a_clean_text_can_be_stored_and_is_clean_once_and_for_all(text):
    done = texts.clean(text)
    done.encode("utf-8")
    ElementTree.fromstring(f"<a>{texts.markup(text)}</a>")  # XML holds it
    assert texts.clean(done) == done
    assert not set(done) & {"\x00", "\x1b", "\x7f", "\u202e", "\u2028", "\r"}


@quick
@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cf", "Cn"))))
def test_what_people_write_stays_as_it_is(text):
    assert texts.clean(text) == text


@quick
@given(ANY)
@example("\u200b =1")
@example("ada\n=1")
def test_a_cell_is_one_line_and_no_formula(text):
    one = texts.cell(text)
    assert len(one.splitlines()) <= 1
    assert one.lstrip(" \u00a0\u200b\t")[:1] not in tuple("=+-@\uff1d\uff0b")


@quick
@given(st.binary(max_size=30))
@example("Zoë".encode("latin-1"))
def test_any_bytes_are_a_name(raw):
    texts.decoded(raw).encode("utf-8")


def test_names_as_systems_write_them_are_one():
    assert {texts.decoded(raw) for raw in (b"Zo\xc3\xab", "Zoe\u0308".encode(), b"Zo\xeb", b"Zo\x89")} == {"Zoë"}


def student(name: str, said: str) -> Student:
    """Somebody who wrote this wherever anybody can write something."""
    exercise = Exercise(
        *("90.1", "Add", 2, 1, 5, 5, "", (), ("add",), (), (), (), 1.0, False, "90"),
        chapter=SimpleNamespace(number="90", solutions_folder=report.Path("/nowhere")),  # type: ignore[arg-type]
    )
    test = {"name": "t", "title": said, "passed": False, "status": "failed", "message": said, "detail": said}
    test |= {"weight": 1.0, "points": 0.0, "max_points": 2.0, "seconds": 0.1, "hidden": False}
    verdict: dict[str, Any] = {"exercise": "90.1", "key": "k", "status": "failed", "points": 0.0, "max_points": 2.0}
    verdict |= {"tests": [test], "diagnosis": said, "traceback": said, "printed": said, "seconds": 0.1}
    verdict |= {"for_learner": {"seconds": 0.1, "ending": said}}
    verdict |= {"isolation": said, "isolation_level": "limited", "ending": said, "signs": [said], "version": "1"}
    verdict |= {"library_use": [said], "policy": "flag", "course_fault": False, "graded_at": time.time()}
    remarks = [Remark(1, name, "", "", said, 0.0), Remark(2, name, "90.1", said, said, 0.0)]
    grade = Grade(exercise, 0.0, verdict, why=(said,), remarks=tuple(remarks[1:]))
    return Student(name, {"90.1": grade}, [said], [said], remarks[:1])


@pytest.fixture
def solutions_are_away(monkeypatch):
    monkeypatch.setattr("mi_lib.course.classroom.common._phrases", lambda chapter: {})


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ANY, min_size=2, max_size=2, unique=True), ANY)
@example(["=1", " =1"], NASTY)
@example(["\ud800", "\ud801"], "]]>")
def test_every_report_holds_whatever_is_written(solutions_are_away, tmp_path, names, said):
    written: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report.files, "write_atomically", lambda path, text: written.update({path.name: text}))
        failures: list[str] = []
        report.write([student(name, said) for name in names], tmp_path, failed=failures.append)
    assert failures == []
    assert len(written) == 5 + 2 * 2
    for name, text in written.items():
        text.encode("utf-8")
        assert len(name.encode("utf-8")) <= 120
        if name.endswith(".json"):
            json.loads(text)
        elif name.endswith(".xml"):
            assert len(ElementTree.fromstring(text.split("\n", 1)[1])) == 2
        elif name.endswith(".csv"):
            rows = list(csv.reader(io.StringIO(text)))
            assert len(rows) == 3
            assert {len(row) for row in rows} == {5}
            assert not [c for row in rows for c in row if c.lstrip()[:1] in ("=", "+", "@")]
        else:
            assert "<script" not in text.replace("&lt;script", "")


def test_excel_is_told_that_its_table_is_utf_8(tmp_path, solutions_are_away):
    report.write([student("Zoë", "x")], tmp_path, ("csv", "excel"))
    plain, marked = ((tmp_path / name).read_text("utf-8") for name in ("grades.csv", "grades-excel.csv"))
    assert marked == "\ufeff" + plain.replace("90.1,", "90.1 Add,", 1)


def test_excel_keeps_its_hands_off_what_is_no_number(tmp_path, solutions_are_away):
    """0012345 keeps its zeros, 3-4 is no date, 90.1 is no 90,1; where people write 7,5 a semicolon is between cells."""
    names = ["0012345", "3-4", "12E5", "Zoë", "=1+1"]
    whom = [student(name, "x; y") for name in names]
    whom[0].grades["90.1"] = replace(whom[0].grades["90.1"], points=1.5)
    report.write(whom, tmp_path, ("excel",), decimal=",")
    rows = list(csv.reader((tmp_path / "grades-excel.csv").open(encoding="utf-8-sig"), delimiter=";"))
    assert rows[0] == ["student", "total", "possible", "90.1 Add", "remarks"]
    assert [row[0] for row in rows[1:]] == ["'0012345", "'3-4", "'12E5", "Zoë", "'=1+1"]
    assert rows[1][1:4] == ["1,5", "2", "1,5"]
    assert {row[4] for row in rows[1:]} == {rows[1][4]}
    report.write(whom, tmp_path, ("excel",))
    assert b"'0012345,1.5,2,1.5," in (tmp_path / "grades-excel.csv").read_bytes()


def test_markdown_is_shown_letter_by_letter():
    from markdown_it import MarkdownIt

    nasty = "![x](http://example.org/a.png) [l](javascript:1) `c` **b** $x$ <b> # h - i | t :red[x] 1. ~~s~~ \\*"
    for text in (nasty, f"# {nasty}", f"- {nasty}", f"1. {nasty}"):
        shown = MarkdownIt().render(texts.markdown(text))
        assert not [tag for tag in ("<img", "<a ", "<code", "<strong", "<h1", "<li", "<b>", "<s>") if tag in shown]


def test_a_report_that_fails_for_one_is_made_without_his_grades_and_says_so(tmp_path, solutions_are_away):
    broken = student("ada", "x")
    assert broken.grades["90.1"].verdict is not None
    del broken.grades["90.1"].verdict["tests"]
    failures: list[str] = []
    report.write([broken, student("bob", "y")], tmp_path, failed=failures.append)
    assert len((tmp_path / "grades.csv").read_text().splitlines()) == 3
    assert "could not be made" in (tmp_path / "students" / "ada.html").read_text()
    assert "could not be made" in (tmp_path / "class.html").read_text()
    assert "bob" in (tmp_path / "class.html").read_text()
    assert any("students" in failure and "ada" in failure for failure in failures)


def test_a_file_that_cannot_be_written_keeps_nobody_elses_back(tmp_path, solutions_are_away):
    (tmp_path / "students" / "ada.html").mkdir(parents=True)
    failures: list[str] = []
    report.write([student("ada", "x"), student("bob", "y")], tmp_path, failed=failures.append)
    assert (tmp_path / "students" / "bob.html").is_file()
    assert len(failures) == 1
