"""What is written out keeps to the published formats, and what learners wrote can do nothing in it."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from small_class import ONLY_SMALL, RIGHT, STUB, TIMES, Inline, hand_in, hide_tests, small

from mi_lib.course.classroom import batch, common, points, report
from mi_lib.course.classroom.config import Config
from mi_lib.course.classroom.gradebook import Gradebook
from mi_lib.course.classroom.grading import grade_class

PRINTS = RIGHT.replace("return a + b", "print('<script>alert(1)</script>\\x1b[31m\\x00'); raise ValueError('<b>&')")
NASTY = {"=cmd|' '!A0": RIGHT, "<script>x<∕script>": PRINTS, "ä ö": TIMES, "A b": ONLY_SMALL, "a_b": STUB}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Iterator[tuple[list[points.Student], Path]]:
    """The students of a class that was graded and reported once: these tests only read."""
    top = tmp_path_factory.mktemp("reports")
    with pytest.MonkeyPatch.context() as patch:
        hide_tests(small.make_course(top, patch))
        folder = hand_in(top / "handed_in", {"bob": RIGHT, **NASTY})
        (folder / "zoe").mkdir()
        with Gradebook(top / "grades", make=True) as book:
            grade_class(folder, book, Config(), batch.Workers(lambda: contextlib.nullcontext(Inline()), 1))
            book.adjust("bob", "90.1", 1.5, "by hand")
            students = points.grades(book, Config())
        report.write(students, top / "out")
        yield students, top / "out"


@pytest.fixture
def students(made):
    return made[0]


@pytest.fixture
def out(made):
    return made[1]


def test_csv_has_a_line_per_student_and_no_formula(out):
    rows = list(csv.DictReader((out / "grades.csv").open(encoding="utf-8")))
    assert len(rows) == 7
    by_name = {row["student"]: row for row in rows}
    assert by_name["bob"]["total"] == "4.5"
    assert "by hand" in by_name["bob"]["remarks"]
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "@"))]


def test_json_has_everything_that_explains_a_grade(out):
    bob = next(s for s in json.loads((out / "grades.json").read_text()) if s["student"] == "bob")
    exercise = bob["exercises"][0]
    assert exercise["adjustment"] == {"points": 1.5, "reason": "by hand"}
    assert {"isolation", "version", "tests", "key", "graded_at"} <= set(exercise["verdict"])


def published_schema(name: str) -> Path:
    """A schema that scripts/schemas.sh has fetched. In CI it must be there."""
    path = Path(sys.prefix) / "schemas" / name
    if not path.exists():
        reason = f"the published schema {name} is not here; scripts/schemas.sh fetches it (needs npm)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return path


def test_junit_keeps_to_jenkins_schema(out):
    xmlschema = pytest.importorskip("xmlschema", reason='needs the extra: pip install -c constraints.txt -e ".[dev]"')
    schema = xmlschema.XMLSchema(published_schema("junit.xsd"))
    tree = ElementTree.parse(out / "junit.xml")
    assert not [error.reason for error in schema.iter_errors(tree)]
    next(tree.iter("testcase")).attrib.pop("name")
    assert not schema.is_valid(tree)


def test_junit_counts_its_cases(out):
    root = ElementTree.parse(out / "junit.xml").getroot()
    assert len(root.findall("testsuite")) == 7
    for number, suite in enumerate(root):
        cases = suite.findall("testcase")
        assert suite.get("id") == str(number)
        assert int(suite.get("tests", -1)) == len(cases)
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(name, -1)) == len([1 for case in cases if case.find(tag) is not None])


def test_ctrf_keeps_to_its_schema(out):
    jsonschema = pytest.importorskip("jsonschema", reason='needs the extra: pip install -c constraints.txt -e ".[dev]"')
    schema = json.loads(published_schema("ctrf.json").read_text())
    check = jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker())
    document = json.loads((out / "ctrf.json").read_text())
    assert not [error.message for error in check.iter_errors(document)]
    document["results"]["tests"][0]["status"] = "right"
    assert not check.is_valid(document)


def test_ctrf_counts_its_tests(out):
    results = json.loads((out / "ctrf.json").read_text())["results"]
    counted = Counter(test["status"] for test in results["tests"])
    assert len(results["tests"]) == results["summary"]["tests"] == 6 * 5  # zoe handed nothing in
    for status in ("passed", "failed", "skipped", "pending", "other"):
        assert results["summary"][status] == counted[status]


def test_gradescope_results_keep_to_their_specification(out, students):
    files = sorted((out / "gradescope").glob("*.json"))
    assert len(files) == len(students)
    for file in files:
        assert not gradescope_problems(json.loads(file.read_text()))
    assert json.loads((out / "gradescope" / "bob.json").read_text())["score"] == 4.5


def gradescope_problems(document: dict[str, Any]) -> list[str]:
    """What Gradescope's specification of results.json asks for. It publishes it in words, without a schema.

    https://gradescope-autograders.readthedocs.io/en/latest/specs/, "Output format"
    """
    shown = ("hidden", "after_due_date", "after_published", "visible")
    formats = ("text", "html", "simple_format", "md", "ansi")
    top = {"score", "execution_time", "output", "output_format", "test_output_format", "test_name_format", "visibility"}
    case = {"score", "max_score", "status", "name", "name_format", "number", "output", "output_format", "tags"}
    found = [
        f"{k} at the top" for k in document.keys() - top - {"stdout_visibility", "extra_data", "tests", "leaderboard"}
    ]
    tests = document.get("tests", [])
    if "score" not in document and not all("score" in test for test in tests):
        found.append("neither a score nor one on each test")
    for key in ("score", "execution_time"):
        if key in document and (isinstance(document[key], bool) or not isinstance(document[key], int | float)):
            found.append(f"{key} is no number")
    for holder in (document, *tests):
        found += [
            f"{k} {holder[k]}" for k in ("visibility", "stdout_visibility") if holder.get(k, "visible") not in shown
        ]
        found += [f"{k} {v}" for k, v in holder.items() if k.endswith("_format") and v not in formats]
    for test in tests:
        found += [f"test.{key}" for key in test.keys() - case - {"visibility", "extra_data"}]
        found += [] if test.get("status", "passed") in ("passed", "failed") else ["status"]
        found += [f"{k} is no text" for k in ("name", "number", "output") if not isinstance(test.get(k, ""), str)]
        found += [f"{k} is no number" for k in ("score", "max_score") if not isinstance(test.get(k, 0), int | float)]
    return found


def test_html_shows_what_learners_wrote_and_runs_none_of_it(out):
    pages = [*(out / "students").glob("*.html"), out / "class.html"]
    assert len(pages) == 8
    whole = "".join(page.read_text() for page in pages)
    assert "<script" not in whole
    assert "&lt;script&gt;alert(1)" in whole
    assert "You multiply; a sum needs +." in (out / "class.html").read_text()


def test_no_report_for_learners_shows_what_a_hidden_test_found(out):
    for path in [*(out / "students").iterdir(), *(out / "gradescope").iterdir(), out / "ctrf.json", out / "junit.xml"]:
        assert "471" not in re.sub(r"\d{4}-\d\d-\d\d[T ][\d:]+|\d{9,}|[0-9a-f]{12}", "", path.read_text()), path.name


def test_two_students_never_share_a_file(out, students):
    names = report.file_names(students)
    assert len({name.lower() for name in names.values()}) == len(students)


def test_known_mistakes_are_counted_and_others_told_apart(students):
    first = next(glance for glance in common.at_a_glance(students) if glance.exercise.id == "90.1")
    assert (first.handed_in, first.passed) == (5, 2)  # a stub is no answer
    assert first.mistakes["You multiply; a sum needs +."] == 1
    assert first.others == 2  # an exception, and an answer that only a hidden test rejects
