"""One early error costs once: a later exercise is graded again on the reference's earlier answers, and that is said."""

from __future__ import annotations

import json

import pytest
from small_class import RIGHT, STUB, TIMES

from mi_lib.course import index, sections
from mi_lib.course.classroom import carry, points, report
from mi_lib.course.classroom.config import Config
from mi_lib.course.classroom.grading import grade_class
from mi_lib.course.index import CourseError

pytestmark = pytest.mark.usefixtures("course")
ON = Config(carry_forward=True)
OWN_ERROR = sections.replace(TIMES, "90.2", "def add_three(a, b, c):\n    return add(a, b)\n")
TALKS = sections.replace(
    TIMES,
    "90.2",
    "import inspect\n\ndef add_three(a, b, c):\n    print(inspect.getsource(add))\n"
    "    raise ValueError(str(add.__code__.co_varnames) + 'SECRET')\n",
)


def test_what_fails_only_by_an_earlier_error_costs_once_and_is_said(book, handed_in, here, tmp_path):
    texts = {"ada": RIGHT, "bob": TIMES, "cyd": OWN_ERROR, "dan": STUB, "eve": TALKS}
    done = grade_class(handed_in(**texts), book, ON, here, keep=ON)
    assert done.exercises == 10 + 3  # 90.2 of bob, cyd and eve, and nobody else's
    off = {s.name: s.total for s in points.grades(book, Config())}
    found = {s.name: s for s in points.grades(book, ON)}
    on = {name: s.total for name, s in found.items()}
    assert off == {"ada": 5.0, "bob": 1.5, "cyd": 1.5, "dan": 0.0, "eve": 0.0}
    assert on == {**off, "bob": 3.0, "cyd": 1.5}
    grade = found["bob"].grades["90.2"]
    assert (grade.status, grade.points) == ("failed", 3.0)
    assert grade.why == ("Fails only because of 90.1: with the reference's answer to it it is right, 3 of 3 points",)
    assert [bool(s.grades["90.2"].carried) for s in found.values()] == [False, True, False, False, False]
    # Eve's code has seen the reference's answer, so that nothing of what it did there is kept.
    (kept,) = [v for place, v in book.verdicts(carried=True).items() if place[0] == "eve"]
    assert "SECRET" not in json.dumps(kept)
    assert "return a + b" not in json.dumps(kept)
    assert [test["passed"] for test in kept["tests"]] == [False, False]
    report.write(points.grades(book, ON), tmp_path, ("html", "json", "csv"))
    assert "Fails only because of 90.1" in (tmp_path / "students" / "bob.html").read_text()
    bob = json.loads((tmp_path / "grades.json").read_text())[1]["exercises"][1]
    assert (bob["carried"]["carried"], bob["carried"]["status"]) == (["90.1"], "passed")

    again = grade_class(handed_in(), book, ON, here)
    assert again.exercises == 0
    assert grade_class(handed_in(), book, ON, here, again=["bob"]).exercises == 3
    assert points.grades(book, ON)[1].total == 3.0
    assert grade_class(handed_in(bob=RIGHT), book, ON, here).exercises == 2
    assert points.grades(book, ON)[1].grades["90.2"].carried is None


def test_an_adjustment_and_lateness_come_after_it(book, handed_in, here):
    from datetime import datetime

    late = Config(carry_forward=True, deadlines={"90": datetime(2001, 1, 1)}, percent_per_day=50, most_percent=50)
    grade_class(handed_in(bob=TIMES), book, late, here)
    (bob,) = points.grades(book, late)
    assert bob.grades["90.2"].points == 1.5
    assert bob.grades["90.2"].why[1] == "Late: 50 percent off"
    book.adjust("bob", "90.2", 2.0, "by hand")
    assert points.grades(book, late)[0].grades["90.2"].points == 2.0


def test_without_solutions_it_is_refused_with_the_reason(course):
    (course / "solutions" / "ch90_sums" / "exercises.py").unlink()
    with pytest.raises(CourseError, match="carry_forward needs the solutions"):
        carry.text(TIMES, index.exercise("90.2"), ["90.1"])


# -- the text that is graded ------------------------------------------------------------------------------------

LEARNERS = """from __future__ import annotations
# %% [setup]
import math as m

# %% [90.1] Add
EPS = 0.0
add = 3

@staticmethod
def helper(x):
    return x + EPS

def add(a, b):
    return helper(a) * b

# %% [90.2] Add three
def add_three(a, b, c):
    return add(helper(a), add(b, c))
"""


def test_the_reference_takes_the_place_of_what_failed_and_of_nothing_else():
    made = carry.text(LEARNERS, index.exercise("90.2"), ["90.1"])
    before, after = sections.split(LEARNERS), sections.split(made)
    assert list(after) == list(before)
    assert {name for name in before if before[name] != after[name]} == {"90.1"}
    space: dict = {}
    exec(compile(made, "exercises.py", "exec"), space)
    assert space["add_three"](1, 2, 4) == 7
    assert space["math"].pi > 3  # the reference's setup came with it
    assert space["EPS"] == 0.0
    assert "add = 3" not in made


@pytest.mark.parametrize("damage", ["def add(a, b:\n", "", "import nothing_like_this\n1 / 0\n", "\x00"])
def test_a_section_that_is_broken_is_no_obstacle(damage):
    made = carry.text(sections.replace(RIGHT, "90.1", damage), index.exercise("90.2"), ["90.1"])
    assert "return a + b" in made


def test_a_section_that_is_gone_comes_back():
    gone = RIGHT.replace(sections.get(RIGHT, "90.1"), "")
    made = carry.text(gone, index.exercise("90.2"), ["90.1"])
    assert list(sections.split(made)) == ["", "setup", "90.1", "90.2"]


def test_who_is_blamed_is_what_the_answer_calls():
    exercise = index.exercise("90.2")
    assert carry.blamed(RIGHT, exercise, ["90.1"]) == ["90.1"]
    assert carry.earlier_failures(exercise, {"90.1": "failed", "90.2": "failed"}) == ["90.1"]
    for statuses in ({"90.1": "passed", "90.2": "failed"}, {"90.1": "failed", "90.2": "passed"}, {"90.1": "failed"}):
        assert not carry.earlier_failures(exercise, statuses)
    assert not carry.earlier_failures(exercise, {"90.2": "failed"})  # a test of the course broke at 90.1
