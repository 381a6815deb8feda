"""Late policy, attempts and adjustments: what verdicts come to."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from small_class import RIGHT, STUB, TIMES

from mi_lib.course.classroom import config as settings
from mi_lib.course.classroom import points
from mi_lib.course.classroom.config import Config
from mi_lib.course.classroom.gradebook import Gradebook
from mi_lib.course.classroom.grading import grade_class
from mi_lib.course.index import CourseError

pytestmark = pytest.mark.usefixtures("course")
DUE = datetime(2026, 11, 30, 23, 59)
LATE = Config(deadlines={"90": DUE}, grace_minutes=15, percent_per_day=10, most_percent=50, days=7)


@pytest.mark.parametrize(
    ("after", "percent"),
    [
        (timedelta(hours=-1), 0),
        (timedelta(minutes=14), 0),  # within the grace
        (timedelta(minutes=16), 10),
        (timedelta(days=1, hours=1), 20),
        (timedelta(days=6), 50),  # the most
        (timedelta(days=8), 100),  # too late
    ],
)
def test_each_day_that_has_begun_costs(after, percent):
    assert LATE.late_percent("ada", "90", DUE + after) == percent


def test_extensions_and_known_times_are_respected():
    longer = Config(deadlines={"90": DUE}, percent_per_day=10, extensions={"ada": {"90": DUE + timedelta(days=3)}})
    assert longer.late_percent("ada", "90", DUE + timedelta(days=2)) == 0
    assert longer.late_percent("bob", "90", DUE + timedelta(days=2)) == 20
    known = Config(deadlines={"90": DUE}, percent_per_day=10, received={"bob": {"90": DUE}})
    assert known.late_percent("bob", "90", DUE + timedelta(days=2)) == 0


def test_who_has_no_deadline_or_no_time_is_not_late():
    assert LATE.late_percent("ada", "91", DUE + timedelta(days=9)) == 0
    assert LATE.late_percent("ada", "90", None) == 0


def test_lateness_shows_in_points_and_reasons(book, handed_in, here):
    late = Config(deadlines={"90": datetime.now() - timedelta(hours=30)}, percent_per_day=10)
    grade_class(handed_in(ada=RIGHT), book, late, here)
    grade = points.grades(book, late)[0].grades["90.1"]
    assert (grade.points, grade.why) == (1.6, ("Late: 20 percent off",))
    assert grade.verdict["points"] == 2.0


def total(book: Gradebook, config: Config) -> float:
    return points.grades(book, config)[0].total


def test_the_last_attempt_counts_or_the_best(book, handed_in, here):
    for text in (TIMES, RIGHT, STUB):
        grade_class(handed_in(ada=text), book, Config(counts="best"), here)
    assert [attempt.number for attempt in book.attempts()] == [1, 2, 3]
    assert total(book, Config(counts="best")) == 5.0
    assert total(book, Config(counts="last")) == 0.0


def test_an_older_text_that_is_handed_in_again_is_the_last(book, handed_in, here):
    for text in (RIGHT, STUB, RIGHT):
        grade_class(handed_in(ada=text), book, Config(), here)
    assert len(book.attempts()) == 2
    assert total(book, Config()) == 5.0


def test_attempts_beyond_the_limit_do_not_count(book, handed_in, here):
    limit = Config(attempt_limit=1)
    grade_class(handed_in(ada=TIMES), book, limit, here)
    assert grade_class(handed_in(ada=RIGHT), book, limit, here).exercises == 0
    assert total(book, limit) == 1.5
    assert "2 attempts" in points.grades(book, limit)[0].notes[0]


def test_an_adjustment_survives_grading_again(book, handed_in, here):
    grade_class(handed_in(ada=TIMES), book, Config(), here)
    book.adjust("ada", "90.1", 1.75, "the idea is right")
    grade_class(handed_in(ada=TIMES + "\n# another text\n"), book, Config(), here)
    grade = points.grades(book, Config())[0].grades["90.1"]
    assert (grade.points, grade.verdict["points"]) == (1.75, 0.0)
    assert "the idea is right" in grade.why[-1]
    book.adjust("ada", "90.1", None, "a slip")
    assert points.grades(book, Config())[0].grades["90.1"].points == 0.0
    assert [a.reason for a in book.adjustments()] == ["the idea is right", "a slip"]


def test_an_adjustment_of_a_stranger_is_refused(book, handed_in, here):
    grade_class(handed_in(ada=RIGHT), book, Config(), here)
    with pytest.raises(CourseError, match="Did you mean ada"):
        book.adjust("ad", "90.1", 1, "x")


TOML = """
decimal = ","
policy = "refuse"
chapters = ["90"]
[attempts]
limit = 3
counts = "best"
[deadlines]
"90" = 2026-11-30T23:59:00
[late]
percent_per_day = 10
[extensions."ada"]
"90" = 2026-12-07
[students]
"Ada L_1" = "ada"
[rubric]
readable = ["not yet", "yes"]
"""


def test_settings_are_read_and_kept_with_the_grades(tmp_path, book):
    path = tmp_path / "course.toml"
    path.write_text(TOML)
    read = settings.load(path)
    assert (read.policy, read.attempt_limit, read.counts) == ("refuse", 3, "best")
    assert read.deadline("ada", "90") == datetime(2026, 12, 7, 23, 59, 59).astimezone()
    assert (read.decimal, read.rubric) == (",", {"readable": ("not yet", "yes")})
    book.settings = read
    assert book.settings == read


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("policy = 'shoot'", "flag"),
        ("lates = 1", "means nothing"),
        ("[late]\npercent_per_day = -1", "not negative"),
        ("[deadlines]\n'90' = 'soon'", "must look like"),
        ("[attempts]\ncounts = 'worst'", "last"),
        ("x = [", "cannot be read"),
        ("decimal = ';'", "must be"),
        ("[rubric]\nreadable = 'yes'", "must be a list such as"),
        ("[rubric]\nreadable = ['yes', 'yes']", "names 'yes' twice"),
    ],
)
def test_a_slip_in_the_settings_is_named(tmp_path, text, said):
    path = tmp_path / "course.toml"
    path.write_text(text)
    with pytest.raises(CourseError, match=said):
        settings.load(path)
