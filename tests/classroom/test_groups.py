"""One submission for several: graded once, a grade for each, under whichever name it came."""

from __future__ import annotations

from datetime import datetime

import pytest
from small_class import RIGHT, STUB, TIMES

from mi_lib.course.classroom import config as settings
from mi_lib.course.classroom import groups, points, similarity
from mi_lib.course.classroom.config import Config
from mi_lib.course.classroom.grading import grade_class
from mi_lib.course.classroom.submissions import Submission
from mi_lib.course.index import CourseError

pytestmark = pytest.mark.usefixtures("course")
BLUE = Config(groups={"Blue_77": ("ada", "bob", "cyd")}, students={"Cyd C_3": "cyd"})


def test_what_one_hands_in_counts_for_each_and_is_graded_once(book, handed_in, here):
    done = grade_class(handed_in(bob=RIGHT, eve=TIMES), book, BLUE, here)
    assert (done.students, done.exercises) == (4, 4)
    found = {s.name: s for s in points.grades(book, BLUE)}
    assert {name: s.total for name, s in found.items()} == {"ada": 5.0, "bob": 5.0, "cyd": 5.0, "eve": 1.5}
    assert found["ada"].notes == ["Handed in by the group Blue_77: ada, bob, cyd."]
    book.adjust("ada", "90.1", 0.0, "did not take part")
    assert [s.total for s in points.grades(book, BLUE)] == [3.0, 5.0, 5.0, 1.5]
    assert grade_class(handed_in(), book, BLUE, here).exercises == 0


@pytest.mark.parametrize("name", ["ada", "Blue_77_assignsubmission_file_", "Cyd C_3_assignsubmission_file_"])
def test_any_of_its_names_is_the_groups(book, handed_in, here, name):
    one = handed_in(**{name: STUB})
    submitted = groups.shared([Submission("Blue_77", name, {"90": STUB}, labels=("Blue_77", "Cyd C_3"))], BLUE)
    assert [(s.student, s.source) for s in submitted] == [("ada", "ada"), ("bob", "bob"), ("cyd", "Cyd C_3")]
    names = groups.names(BLUE)
    assert {names.get(label, label) for label in ("ada", "bob", "cyd", "Cyd C_3", "Blue_77")} == {"Blue_77"}
    assert one.is_dir()


def test_of_several_members_files_the_newest_that_is_no_stub_counts(book, handed_in, here):
    from mi_lib.course.classroom import submissions

    folder = handed_in(ada=STUB, bob=TIMES)
    (found,) = submissions.collect(folder, names=groups.names(BLUE))
    assert found.student == "Blue_77"
    assert found.texts["90"] == TIMES
    assert any("Several files answer chapter 90" in note for note in found.notes)


def test_an_extension_may_be_the_groups_or_one_members():
    due, later = datetime(2026, 11, 30), datetime(2026, 12, 7)
    for name in ("Blue_77", "ada"):
        config = Config(groups=BLUE.groups, deadlines={"90": due}, extensions={name: {"90": later}})
        config.check_students(["bob"])
        assert config.deadline("ada", "90") == later
        assert config.deadline("eve", "90") == due
        assert (config.deadline("bob", "90") == later) == (name == "Blue_77")


def test_members_of_a_group_are_no_similar_pair(book):
    text = RIGHT + "".join(f"x{i} = {i} ** {i} - {i}\n" for i in range(40))
    book.hand_in([Submission(name, name, {"90": text}) for name in ("ada", "bob", "eve")])
    pairs = similarity.of_class(book.attempts(), groups=BLUE.groups)
    assert [(pair.one, pair.other) for pair in pairs] == [("Blue_77", "eve")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[groups]\nblue = "ada"', "must be a list such as"),
        ('[groups]\nblue = ["ada"]\nred = ["ada"]', "'ada' is in two groups, 'blue' and 'red'"),
        ('[groups]\nblue = ["ada", "ada"]', "names 'ada' twice"),
        ('[groups]\nblue = ["red"]\nred = ["ada"]', "'red' is a group"),
        ("carry_forward = 1", "must be true or false"),
    ],
)
def test_slips_in_the_settings_are_named(tmp_path, text, said):
    (tmp_path / "course.toml").write_text(text)
    with pytest.raises(CourseError, match=said):
        settings.load(tmp_path / "course.toml")


def test_groups_are_kept_with_the_grades(book):
    book.settings = BLUE
    assert book.settings == BLUE
