"""Grades into the tables of Moodle and Canvas, feedback into their zips; what is not filled stays byte for byte."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_class import packed
from test_texts import ANY
from test_texts import student as wrote

from mi_lib.course.classroom import feedback, platforms, sheet
from mi_lib.course.classroom.points import Grade, Student
from mi_lib.course.index import CourseError

# As the platforms write them: a mark, Windows line ends, quoted blanks, a name with a quotation mark, bytes of Latin-1.
MOODLE = (
    b'\xef\xbb\xbfIdentifier,"Full name","Email address",Status,Grade,"Maximum Grade","Grade can be changed",'
    b'"Last modified (submission)","Last modified (grade)","Feedback comments"\r\n'
    b'"Participant 4711","Ada ""Count"" Lovelace",ada@example.org,"Submitted for grading",,5.00,Yes,'
    b'"Monday, 30 November 2026, 8:00 PM",-,\r\n'
    b'"Participant 4712","=Bob",bob@example.org,"No submission","",5.00,Yes,-,-,"old\r\nlines"\r\n'
    b'"Participant 4713","Zo\xeb",zoe@example.org,"No submission",3.00,5.00,Yes,-,-,kept\r\n'
)
CANVAS = (
    b"Student,ID,SIS User ID,SIS Login ID,Section,Warming up (90),Sums (91),Current Score\n"
    b",,,,,,Manual Posting,\n"
    b"    Points Possible,,,,,10,5.00,(read only)\n"
    b'"Lovelace, Ada",815,s1,lovelaceada,"Block 3",7,,70\n'
    b'"Bobson, Bob",816,s2,bobsonbob,"Block 3",,2,\n'
    b'"Zed, Zoe",817,s3,zedzoe,"Block 3",,EX,\n'
    b'"Student, Test",99,,testy,,,,\n'
)


def of_class(**points: float | None) -> tuple[list[Student], dict[str, set[str]]]:
    """Students with so many of five points, None for who has handed in nothing; and what exports call them."""
    found = []
    for name, gained in points.items():
        student = wrote(name, "You multiply; a sum needs +.")
        grade = student.grades["90.1"]
        exercise = replace(grade.exercise, points=5)
        done = Grade(exercise, gained or 0.0, grade.verdict if gained is not None else None)
        found.append(Student(name, {"90.1": done}))
    return found, {name: {name} for name in points}


def put(folder: Path, data: bytes) -> Path:
    path = folder / "export.csv"
    path.write_bytes(data)
    return path


def test_moodles_worksheet_gets_the_grades_and_keeps_every_other_byte(tmp_path):
    students, labels = of_class(**{"Ada Lovelace_4711": 5, "Bob_4712": 1.5})
    done = platforms.fill(put(tmp_path, MOODLE), students, labels)
    wanted = MOODLE.replace(b'grading",,5.00', b'grading",5,5.00').replace(b'submission","",', b'submission","1.5",')
    assert done.data == wanted
    assert (done.platform, done.column, done.filled, done.missing) == ("Moodle", "Grade", 2, [])


def test_canvas_gradebook_gets_the_grades_and_keeps_every_other_byte(tmp_path):
    students, labels = of_class(lovelaceada_815=5, bobsonbob_816=1.5, zedzoe_817=5)
    done = platforms.fill(put(tmp_path, CANVAS), students, labels, "Sums")
    assert done.data == CANVAS.replace(b",7,,70", b",7,5,70").replace(b",,2,", b",,1.5,")
    assert done.left == ["zedzoe_817: excused in Canvas"]


def test_who_has_no_number_is_found_by_a_name_that_is_one_rows_alone(tmp_path):
    students, labels = of_class(**{"ada lovelace": 5, "S2": 1.5, "eve": 5})
    done = platforms.fill(put(tmp_path, CANVAS), students, labels, "91")
    assert done.data == CANVAS.replace(b",7,,70", b",7,5,70").replace(b",,2,", b",,1.5,")
    assert done.missing == ["eve"]
    twice = CANVAS + b'"Lovelace, Ada",900,s9,ada2,"Block 4",,,\n'
    assert "ada lovelace" in platforms.fill(put(tmp_path, twice), students, labels, "91").missing


def test_a_worksheet_of_another_language_with_commas_is_filled_when_its_column_is_named(tmp_path):
    german = "\ufeffID;Vollständiger Name;Bewertung;Bestwertung;Änderbar\nTeilnehmer/in4711;Ada;;5,00;Ja\n"
    students, labels = of_class(Ada_4711=1.5)
    done = platforms.fill(put(tmp_path, german.encode()), students, labels, "Bewertung", decimal=",")
    assert done.data.decode() == german.replace("Ada;;", "Ada;1,5;")
    with pytest.raises(CourseError, match="--column"):
        platforms.fill(put(tmp_path, german.encode()), students, labels)


def test_points_that_are_not_the_platforms_are_turned_into_them_on_request_alone(tmp_path):
    students, labels = of_class(Ada_4711=1.5)
    hundred = put(tmp_path, MOODLE.replace(b"5.00", b"100.00"))
    with pytest.raises(CourseError, match=r"100 points at most, and these chapters 5\. Take --scale"):
        platforms.fill(hundred, students, labels)
    assert b'grading",30,100.00' in platforms.fill(hundred, students, labels, scale=True).data


def test_a_number_that_is_no_persons_fills_nobodys_row(tmp_path):
    """Of a group of Moodle's, or of a name that Canvas has hidden."""
    students, labels = of_class(Blue_4712=5, **{"Ada Count Lovelace_4711": 5})
    teams = MOODLE.replace(b"Status,", b"Group,").replace(b'"Submitted for grading"', b"Red")
    teams = teams.replace(b'"No submission"', b"Blue")
    done = platforms.fill(put(tmp_path, teams), students, labels)
    assert done.data == teams.replace(b"Red,,", b"Red,5,")
    assert done.missing == ["Blue_4712"]
    students, labels = of_class(anon_816=5)
    assert platforms.fill(put(tmp_path, CANVAS), students, labels, "Sums").missing == ["anon_816"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Student,", b"LastName,FirstName,"),
        (b"Student,ID,SIS User ID,SIS Login ID,", b"Student,ID,SIS Login ID,Integration ID,"),
        (b"Warming up (90)", b"Notes"),  # a column of the teacher's own
        (b"Warming up (90)", b"Override Score (2026)"),  # of a grading period, and no assignment
    ],
)
def test_other_forms_of_canvas_gradebook(tmp_path, old, new):
    table = CANVAS.replace(old, new, 1)
    if new.startswith(b"LastName"):
        table = (
            re.sub(rb'"(\w+), (\w+)"', rb"\1,\2", table).replace(b"\n,", b"\n,,").replace(b"Possible,", b"Possible,,")
        )
    students, labels = of_class(**{"lovelaceada_815": 5, "Bob Bobson": 1.5})
    done = platforms.fill(put(tmp_path, table), students, labels, "Sums" if b"(90)" in table else "")
    assert done.data == table.replace(b",7,,70", b",7,5,70").replace(b",,2,", b",,1.5,")


def test_where_canvas_takes_no_grade_the_cell_stays(tmp_path):
    table = CANVAS.replace(b"7,,70", b"7,N/A,70")
    done = platforms.fill(put(tmp_path, table), *of_class(lovelaceada_815=5), "Sums")
    assert done.data == table
    assert "Canvas takes no grade" in done.left[0]


def test_rows_that_may_not_be_changed_and_people_without_a_grade_stay(tmp_path):
    students, labels = of_class(Ada_4711=5, Bob_4712=None)
    locked = MOODLE.replace(b",Yes,", b",No,", 1)
    done = platforms.fill(put(tmp_path, locked), students, labels)
    assert done.data == locked
    assert [reason.split(": ")[1] for reason in done.left] == [
        "Moodle says that this grade cannot be changed",
        "nothing was handed in",
    ]


def test_two_students_who_are_one_row_are_refused_with_the_way_out(tmp_path):
    students, labels = of_class(Ada_4711=5, Augusta_4711=5)
    with pytest.raises(CourseError, match="`mi grade merge` makes them one"):
        platforms.fill(put(tmp_path, MOODLE), students, labels)


@pytest.mark.parametrize(
    ("data", "column", "sentence"),
    [
        (b"a,b\n1,2\n", "", "neither Moodle's grading worksheet"),
        (CANVAS, "", 'has 2 assignments; say with --column which one: "Warming up \\(90\\)", "Sums \\(91\\)"'),
        (CANVAS, "Suns", "no column 'Suns'. Did you mean Sums"),
        (CANVAS + b"one,two\n", "Sums", "8 columns but 2 cells in line 8"),
        (MOODLE.replace(b'"old', b'""old'), "", "text behind a quoted cell in line 3"),
        (MOODLE + b'"open', "", "nothing closes"),
        (b"PK\x03\x04", "", "is a spreadsheet"),
        ("a,b".encode("utf-16"), "", "not a CSV in UTF-8"),
        (b"\n\n", "", "is empty"),
        (MOODLE.replace(b"Maximum Grade", b"Scale").replace(b"5.00", b'"Fair\ngood"'), "", "graded with words"),
        (MOODLE.replace(b"5.00", b"Good"), "", "'Good' at most in 'Grade', which is no number"),
    ],
)
def test_a_table_that_cannot_be_filled_is_a_sentence(tmp_path, data, column, sentence):
    students, labels = of_class(Ada_4711=5)
    with pytest.raises(CourseError, match=sentence):
        platforms.fill(put(tmp_path, data), students, labels, column)


quick = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(
    st.lists(st.lists(ANY, min_size=3, max_size=3), min_size=1, max_size=4),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    ANY,
)
def test_any_table_is_read_as_it_was_meant_and_kept_but_for_the_cell_that_is_put(rows, separator, end, quoting, new):
    out = io.StringIO()
    made = csv.writer(out, delimiter=separator, lineterminator=end, quoting=quoting)
    clean = [[cell.replace("\0", "").encode("utf-8", "replace").decode() for cell in row] for row in rows]
    if quoting == csv.QUOTE_MINIMAL:  # then a lone \r would stand unquoted, and end the line
        clean = [[cell.replace("\r", "") for cell in row] for row in clean]
    made.writerows([["x", "y", "z"], *clean])
    data = out.getvalue().encode()
    path = Path(__file__).with_name("never-written.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda self: data)
        table = sheet.read(path)
        assert [[cell.text for cell in row] for row in table.rows[1:]] == clean
        assert table.to_bytes() == data
        table.put(1, 1, new)
        changed = table.to_bytes()
        patch.setattr(Path, "read_bytes", lambda self: changed)
        again = sheet.read(path)
    expected = [["x", "y", "z"], *clean]
    said = again.rows[1][1].text
    assert said.lstrip()[:1] not in ("=", "+", "@", "-")
    assert len(said.splitlines()) <= 1
    expected[1] = [expected[1][0], said, expected[1][2]]
    assert [[cell.text for cell in row] for row in again.rows] == expected


# -- feedback ---------------------------------------------------------------------------------------------------


def exported(folder: Path, *files: str) -> Path:
    path = folder / "export.zip"
    path.write_bytes(packed(*((name, b"x = 1") for name in files)))
    return path


@pytest.mark.parametrize(
    ("inside", "back"),
    [
        ("all/Ada L_4711_assignsubmission_file/a.py", "Ada L_4711_assignsubmission_file/feedback.html"),
        ("Ada L_4711_assignsubmission_onlinetext/a.py", "Ada L_4711_assignsubmission_onlinetext/feedback.html"),
        ("Ada L_4711_assignsubmission_file_/exercises.py", "Ada L_4711_assignsubmission_file_/feedback.html"),
        ("Ada L_4711_assignsubmission_file/exercises.py", "Ada L_4711_assignsubmission_file/feedback.html"),
        ("Ada L_4711_assignsubmission_file_exercises.py", "Ada L_4711_assignsubmission_file_feedback.html"),
    ],
)
def test_moodle_gets_a_folder_for_each_student_as_it_named_it(tmp_path, inside, back):
    export = exported(tmp_path, inside, inside.replace("Ada L_4711", "Bob_12"))
    found = feedback.hand_back(export, *of_class(**{"Ada L_4711": 5, "Bob_12": 1.5}))
    assert sorted(found.files) == sorted([back, back.replace("Ada L_4711", "Bob_12")])
    assert b"5 of 5 points" in found.files[back]
    assert b"1.5 of 5 points" in found.files[back.replace("Ada L_4711", "Bob_12")]
    feedback.write(tmp_path / "feedback.zip", found)
    assert sorted(zipfile.ZipFile(tmp_path / "feedback.zip").namelist()) == sorted(found.files)


def test_canvas_gets_a_file_of_its_kind_under_the_name_of_each_submission(tmp_path):
    names = ["ada_815_4711_exercises-1.py", "ada_815_4712_notes.txt", "bob_LATE_816_4713_work.zip"]
    found = feedback.hand_back(exported(tmp_path, *names), *of_class(ada_815=5, bob_816=1.5))
    assert set(found.files) == {"ada_815_4711_exercises-1.py", "bob_LATE_816_4713_work.zip"}
    remarks = found.files["ada_815_4711_exercises-1.py"].decode()
    assert remarks.startswith("# ada_815: 5 of 5 points\n")
    assert all(line.startswith("#") for line in remarks.splitlines())
    inner = zipfile.ZipFile(io.BytesIO(found.files["bob_LATE_816_4713_work.zip"]))
    assert b"1.5 of 5 points" in inner.read("feedback.html")


def test_a_notebook_is_handed_back_as_a_notebook():
    nbformat = pytest.importorskip("nbformat", reason="the course itself needs it")
    made = feedback._as(".ipynb", Student("ada", notes=["<script>\ud800 $x$"]), b"")
    nbformat.validate(nbformat.reads(made.decode(), as_version=4))
    assert json.loads(made)["cells"][0]["cell_type"] == "raw"  # shown letter by letter


def test_who_is_not_in_the_gradebook_is_named_and_a_folder_without_numbers_is_no_export(tmp_path):
    names = ("Ada_1_assignsubmission_file/exercises.py", "Eve_2_assignsubmission_file/exercises.py")
    found = feedback.hand_back(exported(tmp_path, *names), *of_class(Ada_1=5))
    assert (len(found.files), found.left) == (1, ["Eve_2: not in the gradebook"])
    with pytest.raises(CourseError, match="no export of Moodle"):
        feedback.hand_back(exported(tmp_path, "ada/exercises.py"), *of_class(ada=5))


def test_a_group_gets_one_file_if_its_members_are_told_the_same(tmp_path):
    export = exported(tmp_path, "blue_7_4711_exercises.py")
    groups = {"blue_7": ("ada", "bob")}
    alike = feedback.hand_back(export, *of_class(ada=5, bob=5), groups)
    assert list(alike.files) == ["blue_7_4711_exercises.py"]
    differ = feedback.hand_back(export, *of_class(ada=5, bob=1.5), groups)
    assert differ.left == ["blue_7: ada, bob are not told the same; each has a page in students/"]


def test_the_number_of_a_group_of_moodles_is_nobodys_so_it_gets_no_files(tmp_path):
    """Moodle looks for a participant of that number, and would hand the files to whoever has it."""
    export = exported(tmp_path, "Blue_7_assignsubmission_file/exercises.py", "Eve_8_assignsubmission_file/x.py")
    found = feedback.hand_back(export, *of_class(ada=5, bob=5, Eve_8=5), {"Blue_7": ("ada", "bob")})
    assert list(found.files) == ["Eve_8_assignsubmission_file/feedback.html"]
    assert "this number is the group's; ada, bob have pages in students/" in found.left[0]


def test_feedback_on_a_text_that_was_written_into_canvas_is_a_page(tmp_path):
    name = "LATE_anon_8Xk3q_text.html"
    found = feedback.hand_back(exported(tmp_path, name), *of_class(anon_8Xk3q=5))
    assert found.files[name].startswith(b"<!")


@quick
@given(ANY)
def test_feedback_holds_whatever_is_written(text):
    student = wrote(text, text)
    for suffix in (".py", ".ipynb", ".zip"):
        made = feedback._as(suffix, student, b"")
        if suffix == ".py":
            compile(made.decode(), "feedback.py", "exec")
            assert all(line.startswith("#") for line in made.decode().splitlines())
        if suffix == ".ipynb":
            json.loads(made)
