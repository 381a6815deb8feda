"""The build check: every way in which a chapter can be less than it claims is found."""

from __future__ import annotations

import pytest

from mi_lib.course import devcheck, mistakes, stubs
from mi_lib.course.index import CourseError


@pytest.fixture(scope="module")
def grader():
    from mi_lib.course.grading import Grader

    with Grader() as grader:
        yield grader


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def check_after(chapter, grader, only, file, old, new):
    """The problems of the chapter once one of its files was edited (`s/` = in solutions) and the stub built again."""
    folder = chapter.solutions_folder if file.startswith("s/") else chapter.folder
    edit(folder / file.removeprefix("s/"), old, new)
    if file == "s/exercises.py":
        stubs.build(chapter)
    return devcheck.check(chapter, grader, only)


def test_a_chapter_in_order_has_no_problems_and_every_case_is_tried(chapter, grader):
    seen = []
    assert devcheck.check(chapter, grader, on_case=lambda done, of, case: seen.append((done, of, case.label))) == []
    assert [done for done, _, _ in seen] == list(range(14))
    assert {of for _, of, _ in seen} == {14}  # 2 exercises × (stub, reference, 3 mistakes, 2 right answers)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("s/exercises.py", "return a + b", "return a - b", "90.1: the reference does not pass"),
        ("s/exercises.py", "### BEGIN SOLUTION\n    return a + b\n    ### END SOLUTION", "return a + b",
         "90.1: the stub passes"),
        ("s/mistakes.py", "return a * b", "return a + b", "90.1: the mistake on line 3 of mistakes.py passes"),
        ("s/mistakes.py", 'says="You multiply"', 'says="You divide"', "is not told 'You divide'"),
        ("s/mistakes.py", "return b + a", "return b - a", "the right answer 'the other way round'"),
        ("test_exercises.py", "expect_close(answer.add(2.0, 3.0), 5.0", "expect_close(answer.add(2.0, 3.0), 5.0 / 0",
         "the grader itself broke"),
        ("figures.py", "answer.add(x, x)", "answer.add(x, x, x)", "cannot be drawn from the reference of 90.1"),
        ("figures.py", "round(answer", "rounds(answer", "NameError"),
        ("test_exercises.py", '@grades("90.2")\ndef test_nothing', "def test_nothing", "by 1 test only"),
    ],
)  # fmt: skip
def test_an_exercise_that_is_not_what_it_claims_is_found(chapter, grader, file, old, new, said):
    only = "90.2" if "90.2" in old else "90.1"
    problems = check_after(chapter, grader, only, file, old, new)
    assert any(said in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("exercises.py", "two numbers", "2 numbers", "run `mi dev build`"),
        (
            "s/exercises.py",
            "The sum of two numbers.",
            f"The sum {'of ' * 30}numbers.",
            "line 7 of the stub has 116 letters",
        ),
        ("s/exercises.py", "import math", f"import math\n# {'so it is ' * 10}", "line 4 of the stub has 92 letters"),
        ("s/exercises.py", "import math", f"import math\nx = [{'1234567, ' * 10}]", "run `mi dev build`"),  # no words
        ("chapter.toml", '"Use +.", ', "", "90.1 has 2 hints, not 3"),
        ("chapter.toml", 'defines = ["add"]', 'defines = ["plus"]', "must define plus"),
        ("chapter.toml", 'defines = ["add"]', 'defines = ["add"]\nanswered_by = ["math:plus"]', "math:plus"),
        (
            "chapter.toml",
            'defines = ["add"]',
            'defines = ["add"]\nuses = ["math:plus"]',
            "math:plus, which does not exist",
        ),
        (
            "chapter.toml",
            'defines = ["add"]',
            'defines = ["add"]\nuses = ["math:erfc"]',
            "neither its answers nor its tests",
        ),
        ("chapter.toml", 'title = "Add three"', 'title = "Add three"\nx = 1', None),
        ("s/exercises.py", '    """The sum of two numbers."""\n', "", "add has no docstring"),
        ("s/exercises.py", "# %% [90.2]", "# %% [90.3]", "has the sections setup, 90.1, 90.3"),
        ("s/mistakes.py", '@right("90.1", how="with sum")\n', "", "90.1 has 1 alternative right answers"),
        ("s/mistakes.py", '@mistake("90.1", says="You multiply")\n', "", "90.1 has 2 known mistakes"),
        ("s/mistakes.py", '@mistake("90.1", says="You multiply")', "@mistake(90.1)", "line 3: write @mistake"),
        ("s/mistakes.py", '@mistake("90.1", says="You multiply")', '@mistake("90.4", says="x")', r"[90.4] is missing"),
        ("s/mistakes.py", "return a * b", "return a *", "line 5"),
        ("lesson.md", ":::{figure} line", ":::{figure} circle", "figure 'circle'"),
        (
            "lesson.md",
            ":::{figure} doubles from=90.1",
            ":::{figure} doubles from=90.7",
            "which is no exercise",
        ),
        ("lesson.md", ":::{figure} doubles from=90.1", ":::{figure} doubles from=90.2", "stands before that exercise"),
        ("lesson.md", ":::{figure} doubles from=90.1", ":::{figure} doubles", "is drawn from an answer; say which"),
        ("lesson.md", ":::{figure} doubles from=90.1", ":::{figure} line from=90.1", "takes no `answer`"),
        ("lesson.md", ":::{figure} doubles from=90.1", ":::{figure} doubles for=90.1", "a figure block is written"),
        ("lesson.md", "One and one more.", "", "needs an explanation"),
        ("lesson.md", "(#why-add)", "(#why-not)", "leads nowhere"),
    ],
)
def test_what_can_be_read_off_the_files_is_found_without_grading(course, chapter, file, old, new, said):
    folder = chapter.solutions_folder if file.startswith("s/") else chapter.folder
    edit(folder / file.removeprefix("s/"), old, new)
    from mi_lib.course import index

    problems = devcheck.static_problems(index.chapter("90"))
    assert any(said in problem for problem in problems) if said else problems == []


def test_a_mistake_becomes_a_submission_that_differs_from_the_reference_in_its_section_only(chapter):
    found = mistakes.variants(chapter)
    assert [v.wrong for v in found].count(True) == 6
    first = next(v for v in found if v.words == "You multiply")
    reference = (chapter.solutions_folder / "exercises.py").read_text()
    assert "return a * b" in first.submission
    assert first.submission.split("# %% [90.2]")[1] == reference.split("# %% [90.2]")[1]
    whole = next(v for v in found if v.words == "as a lambda")
    assert "\nadd_three = lambda" in whole.submission


def test_mistakes_are_read_and_never_run(chapter, tmp_path):
    path = chapter.solutions_folder / "mistakes.py"
    path.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n" + path.read_text())
    mistakes.variants(chapter)
    assert not (tmp_path / "ran").exists()


def test_a_chapter_without_mistakes_is_refused(chapter):
    (chapter.solutions_folder / "mistakes.py").unlink()
    with pytest.raises(CourseError, match="is missing"):
        mistakes.variants(chapter)
