"""What learning systems export, and what becomes of it."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from small_class import RIGHT, STUB, TIMES, packed

from mi_lib.course import notebook
from mi_lib.course.classroom.submissions import collect, student_of
from mi_lib.course.index import CourseError

pytestmark = pytest.mark.usefixtures("course")


@pytest.fixture
def box(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("box")


def put(folder: Path, **files: str | bytes) -> Path:
    """put(folder, **{"a/b.py": text})"""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def found(path: Path) -> dict[str, dict[str, str]]:
    return {s.student: s.texts for s in collect(path)}


@pytest.mark.parametrize(
    ("name", "student", "rest"),
    [
        ("Ada Lovelace_4711_assignsubmission_file_", "Ada Lovelace_4711", ""),
        ("Ada Lovelace_4711_assignsubmission_file_sums.py", "Ada Lovelace_4711", "sums.py"),
        ("lovelaceada_815_4711_exercises-1.py", "lovelaceada_815", "exercises-1.py"),
        ("lovelaceada_LATE_815_4711_exercises.py", "lovelaceada_815", "exercises.py"),
        ("ada", "", "ada"),
    ],
)
def test_names_that_learning_systems_give(name, student, rest):
    assert student_of(name) == (student, rest)


def test_a_folder_per_student(box):
    assert found(put(box, **{"ada/exercises.py": RIGHT, "bob/my answer.py": TIMES})) == {
        "ada": {"90": RIGHT},
        "bob": {"90": TIMES},
    }


def test_an_entry_for_a_folder_is_no_file_that_was_left_out(tmp_path):
    """Some programs pack one for each folder."""
    ada = ("ada/", b""), ("ada/work/", b""), ("ada/work/exercises.py", RIGHT.encode())
    path = tmp_path / "class.zip"
    path.write_bytes(packed(*ada, ("bob/", b"")))
    one, other = collect(path)
    assert (list(one.texts), one.notes, one.problems) == (["90"], [], [])
    assert (other.student, other.problems) == ("bob", ["There is no .py file and no notebook in it."])


def test_moodle_folders_flat_files_and_zips(box):
    put(
        box,
        **{
            "Ada L_1_assignsubmission_file_/exercises.py": RIGHT,
            "Bob B_2_assignsubmission_file_exercises.py": TIMES,
            "Cyd C_3_assignsubmission_file_/work.zip": packed(("work/ch90_sums/exercises.py", RIGHT.encode())),
        },
    )
    assert found(box) == {"Ada L_1": {"90": RIGHT}, "Bob B_2": {"90": TIMES}, "Cyd C_3": {"90": RIGHT}}


def test_one_zip_with_the_whole_class_in_it(box):
    inner = packed(("exercises.py", RIGHT.encode()))
    data = packed(
        ("week 3/ada/exercises.py", RIGHT.encode()),
        ("week 3/bob/bob.zip", inner),
        ("__MACOSX/week 3/ada/._exercises.py", b"x"),
    )
    put(box, **{"all.zip": data})
    assert found(box / "all.zip") == {"ada": {"90": RIGHT}, "bob": {"90": RIGHT}}


def test_nested_single_folders_are_stepped_into(box):
    put(box, **{"export/week/ada/exercises.py": RIGHT, "export/week/bob/exercises.py": RIGHT})
    assert sorted(found(box)) == ["ada", "bob"]


def test_a_students_own_nested_folders_do_not_matter(box):
    put(box, **{"ada/work/ch90_sums/exercises.py": RIGHT, "bob/exercises.py": STUB})
    assert found(box)["ada"] == {"90": RIGHT}


def test_a_notebook_is_the_same_as_its_file(box, chapter):
    text = nbformat.writes(notebook.build(chapter, RIGHT))
    assert found(put(box, **{"ada/sums.ipynb": text, "bob/exercises.py": RIGHT}))["ada"] == {"90": RIGHT}


def test_files_that_would_change_the_grading_are_not_even_read(box):
    evil = "raise SystemExit('ran')"
    others = {
        f"ada/{name}": evil for name in ("conftest.py", "sitecustomize.py", "test_exercises.py", "mi_lib/__init__.py")
    }
    assert found(put(box, **others, **{"ada/pytest.ini": "x", "ada/exercises.py": RIGHT}))["ada"] == {"90": RIGHT}


def test_of_several_files_the_one_with_answers_is_graded_and_it_is_said(box):
    submission = collect(put(box, **{"ada/old.py": STUB, "ada/new.py": RIGHT}))[0]
    assert submission.texts == {"90": RIGHT}
    assert "new.py was graded, not old.py" in submission.notes[0]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("exercises.py", "print('hello')", "answers no exercise"),
        ("exercises.py", b"# %% [90.1]\n\xff\xfe", "UTF-8"),
        ("sums.ipynb", "{]", "not a notebook"),
        ("sums.ipynb", "[" * 100_000, "read"),
        ("work.rar", b"Rar!", "is not a zip"),
        ("work.zip", b"PK", "cannot be opened"),
        ("work.zip", packed(("../exercises.py", b"x")), "leads out"),
        ("readme.txt", "hello", "no .py file"),
    ],
)
def test_what_cannot_be_graded_has_a_reason_and_stops_nobody(box, name, content, said):
    put(box, **{f"ada/{name}": content, "bob/exercises.py": RIGHT})
    ada, bob = collect(box)
    assert said in " ".join(ada.problems)
    assert bob.texts == {"90": RIGHT}


def test_links_are_not_followed(box):
    put(box, **{"secret.py": RIGHT, "in/bob/exercises.py": RIGHT})
    (box / "in" / "ada").mkdir()
    (box / "in" / "ada" / "exercises.py").symlink_to(box / "secret.py")
    (box / "in" / "cyd").symlink_to(box / "in" / "bob")
    by_name = {s.student: s for s in collect(box / "in")}
    assert not by_name["ada"].texts
    assert not by_name["cyd"].texts
    assert "link" in by_name["ada"].problems[0]


def test_when_it_came_is_what_the_learning_system_says(box):
    put(box, **{"ada/work.zip": packed(("exercises.py", RIGHT.encode())), "bob/exercises.py": RIGHT})
    os.utime(box / "ada" / "work.zip", (1_000_000_000, 1_000_000_000))
    assert collect(box)[0].received["90"].timestamp() == 1_000_000_000  # not 2026, as the zip says inside


def test_nothing_at_all_is_said(box):
    with pytest.raises(CourseError, match="There are no submissions"):
        collect(box)
    with pytest.raises(CourseError, match="There is no"):
        collect(box / "nowhere")
