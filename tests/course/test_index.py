"""What the course consists of, read from data files."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mi_lib.course import index
from mi_lib.course.checking import next_exercise
from mi_lib.course.grading.verdict import Verdict
from mi_lib.course.index import CourseError
from mi_lib.course.progress import Progress

ASKS = re.compile(r"\bindex\.(chapters?|exercise|root)\(|\b(chapters|root)\(\)")


def test_a_chapter_and_its_exercises_know_each_other(chapter):
    exercise = index.exercise("90.2")
    assert exercise.title == "Add three"
    assert exercise.chapter.folder == chapter.folder
    assert [e.id for e in chapter.exercises] == ["90.1", "90.2"]
    assert (chapter.points, chapter.minutes) == (5, 15)


@pytest.mark.parametrize("name", ["90", 90, " 90 "])
def test_a_chapter_is_found_by_its_number_as_people_write_it(course, name):
    assert index.chapter(name).slug == "sums"


def test_a_leading_zero_may_be_left_out(course):
    (course / "chapters" / "ch90_sums").rename(course / "chapters" / "ch07_sums")
    toml = course / "chapters" / "ch07_sums" / "chapter.toml"
    toml.write_text(toml.read_text().replace("90", "07"))
    assert index.chapter(7).number == index.chapter("7").number == "07"
    assert index.exercise("7.2").id == "07.2"


@pytest.mark.parametrize(
    ("name", "said"),
    [("03", "planned but not here yet"), ("77", "no chapter '77'"), ("two", "no chapter 'two'"), ("*", "no chapter")],
)
def test_an_unknown_chapter_is_answered_with_what_there_is(course, name, said):
    with pytest.raises(CourseError, match=said) as error:
        index.chapter(name)
    assert "Here: 90" in str(error.value)


@pytest.mark.parametrize(
    ("name", "said"), [("90.9", "has no exercise 90.9"), ("90", "chapter.number"), ("x.y", "chapter.number")]
)
def test_an_unknown_exercise_is_answered_with_how_to_write_one(course, name, said):
    with pytest.raises(CourseError, match=said):
        index.exercise(name)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("points = 2", "", "exercise 90.1 has no `points`"),
        ("points = 2", 'points = "two"', "must be a whole number"),
        ("points = 2", "points = true", "must be a whole number"),
        ("difficulty = 1", "difficulty = 6", "difficulty of exercise 90.1 must be 1 to 5"),
        ('id = "90.2"', 'id = "90.1"', "each id once"),
        ('id = "90.2"', 'id = "91.2"', "must have an id like 90.2"),
        ('slug = "sums"', 'slug = "products"', "its folder is ch90_sums"),
        ('defines = ["add"]', "defines = []", "must define at least one name"),
        ('defines = ["add"]', 'defines = ["add"]\nchanges = ["sum:a"]', "must be a list of names of arguments"),
        ('title = "Sums"', "title = ", "cannot be read"),
    ],
)
def test_a_mistake_in_chapter_toml_is_named(course, old, new, said):
    toml = course / "chapters" / "ch90_sums" / "chapter.toml"
    assert old in toml.read_text()
    toml.write_text(toml.read_text().replace(old, new, 1))
    with pytest.raises(CourseError, match=said):
        index.chapter("90")


def test_an_edited_chapter_is_read_again(course):
    assert index.chapter("90").title == "Sums"
    toml = course / "chapters" / "ch90_sums" / "chapter.toml"
    toml.write_text(toml.read_text().replace('title = "Sums"', 'title = "More sums"'))
    assert index.chapter("90").title == "More sums"


def test_the_syllabus_has_sixteen_chapters_that_need_only_known_ones():
    planned = index.syllabus()
    numbers = [chapter.number for chapter in planned]
    assert numbers == [f"{n:02}" for n in range(1, 17)]
    for chapter in planned:
        assert set(chapter.needs) <= set(numbers) - {chapter.number}
        assert chapter.part in index.parts()
        assert chapter.sentence.endswith(".")


def test_the_engine_is_imported_without_torch_and_without_streamlit():
    code = (
        "import sys, mi_lib.cli, mi_lib.course.workspace, mi_lib.course.progress, mi_lib.course.lesson;"
        "print([m for m in ('torch', 'streamlit', 'transformers', 'numpy') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_optional_exercise_is_not_needed_to_finish_a_chapter(course):
    toml = course / "chapters" / "ch90_sums" / "chapter.toml"
    head, second = toml.read_text().split('id = "90.2"')
    toml.write_text(f'{head}id = "90.2"\noptional = true{second}')
    chapter = index.chapter("90")
    assert [e.id for e in chapter.required] == ["90.1"]
    assert (chapter.points, chapter.minutes) == (2, 5)
    progress = Progress(course / "progress.sqlite")
    assert next_exercise([chapter], progress).id == "90.1"
    progress.record(Verdict("90.1", "passed", 2, 2), "")
    assert next_exercise([chapter], progress, after=chapter.exercise("90.2")) is None


def test_what_is_worked_out_once_is_worked_out_once_for_each_course(course, tmp_path, monkeypatch):
    asked = []

    @index.once_a_course
    def first(number: int) -> str:
        asked.append(number)
        return index.chapters()[0].number

    assert [first(1), first(1), first(2)] == ["90"] * 3
    (course / "chapters" / "ch90_sums").rename(course / "chapters" / "ch07_sums")
    toml = course / "chapters" / "ch07_sums" / "chapter.toml"
    toml.write_text(toml.read_text().replace("90", "07"))
    course.rename(tmp_path / "other")
    monkeypatch.setenv("MI_COURSE_ROOT", str(tmp_path / "other"))
    assert first(1) == "07"
    assert asked == [1, 2, 1]


def test_nothing_that_depends_on_the_chapters_is_kept_for_another_course():
    """In the course's own modules: a cached function, and what it calls beside it, asks for no chapter."""
    kept = 0
    for path in sorted(Path(index.__file__).parent.rglob("*.py")):
        functions = {f.name: f for f in ast.parse(path.read_text("utf-8")).body if isinstance(f, ast.FunctionDef)}
        asking = {name for name, f in functions.items() if ASKS.search(ast.unparse(f))}
        for _ in functions:
            asking |= {name for name, f in functions.items() if _called(f) & asking}
        for name, function in functions.items():
            if re.search(r"\b(lru_)?cache\b", "".join(map(ast.unparse, function.decorator_list))):
                kept += 1
                assert name not in asking, f"{path.name}: {name} is for `index.once_a_course`"
    assert kept > 15


def _called(function: ast.FunctionDef) -> set[str]:
    calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    return {name.id for name in calls if isinstance(name, ast.Name)}
