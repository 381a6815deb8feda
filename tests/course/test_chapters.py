"""The build check of every chapter that is here: its exercises are what they claim to be."""

from __future__ import annotations

import functools

import nbformat
import pytest
from budget import draw
from nbclient import NotebookClient

from mi_lib.course import devcheck, files, index, notebook, stubs

CHAPTERS = [chapter.number for chapter in index.chapters()]
SECONDS_FOR_MISTAKES, SECONDS_FOR_RIGHT = 4, 1  # of each exercise
EXERCISES = [exercise.id for chapter in index.chapters() for exercise in chapter.exercises]


@pytest.fixture(scope="module")
def grader():
    from mi_lib.course.grading import Grader

    with Grader() as grader:
        yield grader


@pytest.mark.parametrize("number", CHAPTERS)
def test_the_files_of_a_chapter_fit_together(number):
    assert devcheck.static_problems(index.chapter(number)) == []


PLAIN = ("the stub", "the reference")


@functools.cache
def cases_of(number):
    return devcheck.cases(index.chapter(number))


def cases(exercise_id, *, plain):
    of_chapter = cases_of(index.exercise(exercise_id).chapter.number)
    return [case for case in of_chapter if case.exercise.id == exercise_id and (case.label in PLAIN) == plain]


def problems(grader, chosen) -> list[str]:
    assert len(chosen) >= 2
    found = [devcheck.verdict_problem(case, grader.grade(case.text, case.exercise)) for case in chosen]
    return [problem for problem in found if problem]


@pytest.mark.parametrize("exercise_id", EXERCISES)
def test_the_stub_fails_and_the_reference_passes(exercise_id, grader):
    assert problems(grader, cases(exercise_id, plain=True)) == []


@pytest.mark.slow
@pytest.mark.parametrize("exercise_id", EXERCISES)
def test_mistakes_are_caught_and_explained_and_other_right_answers_pass(exercise_id, grader):
    """All of them where they are cheap, some where they are not; `mi dev check` does all."""
    known = cases(exercise_id, plain=False)
    wrong, right = ([case for case in known if (case.expected == "passed") == passes] for passes in (False, True))
    chosen = [*draw(wrong, SECONDS_FOR_MISTAKES, exercise_id), *draw(right, SECONDS_FOR_RIGHT, exercise_id, least=1)]
    assert problems(grader, chosen) == []


def printed_by(nb, folder) -> str:
    NotebookClient(nb, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
    assert [o for o in outputs if o.output_type == "error"] == []
    return "".join(output.get("text", "") for output in outputs)


@pytest.mark.slow
@pytest.mark.parametrize("number", CHAPTERS)
def test_the_notebook_of_a_chapter_runs_to_its_end_without_answers(number, tmp_path):
    chapter = index.chapter(number)
    written = notebook.write(chapter, tmp_path / "chapter.ipynb")
    printed = printed_by(nbformat.read(written, as_version=4), tmp_path)
    assert printed.count("is waiting for your answer") == len(chapter.exercises)


@pytest.mark.slow
@pytest.mark.parametrize("number", CHAPTERS)
def test_the_notebook_of_a_chapter_grades_every_right_answer_as_right(number, tmp_path):
    chapter = index.chapter(number)
    reference = files.read_text(chapter.solutions_folder / "exercises.py")
    answers = "".join(
        line for line in reference.splitlines(keepends=True) if line.strip() not in (stubs.BEGIN, stubs.END)
    )
    nb = notebook.build(chapter, answers)
    # The figures were drawn by the test above.
    nb.cells = [cell for cell in nb.cells if "mi_lib.course.notebook import figure" not in cell.source]
    printed = printed_by(nb, tmp_path)
    for exercise in chapter.exercises:
        assert f"{exercise.id} {exercise.title}: right" in printed
