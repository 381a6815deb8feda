"""The build check of every chapter that is here: its exercises are what they claim to be."""

from __future__ import annotations

import functools

import nbformat
import pytest
from budget import affordable, draw, grading_seconds, sample
from nbclient import NotebookClient

from mi_lib.course import devcheck, files, index, notebook, stubs
from mi_lib.course.proving import grading, mutants, nonsense

CHAPTERS = [chapter.number for chapter in index.chapters()]
# Of each exercise, in seconds of grading its reference answer. A wrong answer takes about a third of that.
MISTAKES, RIGHT, MUTANTS, NONSENSE = 2, 0.5, 0.5, 0.5
NOTEBOOKS = 2  # a chapter's takes as long as many exercises
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
    chosen = [*draw(wrong, MISTAKES, exercise_id), *draw(right, RIGHT, exercise_id)]
    assert problems(grader, chosen) == []


def in_process(grader):
    return lambda tasks: grading.judge(tasks, grader=grader)


@pytest.mark.slow
@pytest.mark.parametrize("exercise_id", affordable(EXERCISES))
def test_a_sample_of_the_mutants_of_an_exercise_is_killed(exercise_id, grader):
    number = len(draw(range(4), MUTANTS, exercise_id))
    [tally] = mutants.prove([index.exercise(exercise_id)], in_process(grader), number=number, seed=0)
    assert tally.broken == []
    assert [mutant.diff for mutant in tally.survivors] == []


@pytest.mark.parametrize("number", CHAPTERS)
def test_every_explained_survivor_is_a_mutant_that_is_made(number):
    assert mutants.unknown_entries(index.chapter(number)) == []


@pytest.mark.slow
@pytest.mark.parametrize("exercise_id", affordable(EXERCISES))
def test_no_grader_breaks_on_a_sample_of_nonsense(exercise_id, grader):
    number = len(draw(range(2), NONSENSE, exercise_id))
    outcomes = nonsense.prove([index.exercise(exercise_id)], in_process(grader), number=number, seed=0)
    assert [outcome for outcome in outcomes if outcome.fate in ("broken", "passed wrongly")] == []


def printed_by(nb, folder) -> str:
    NotebookClient(nb, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
    assert [o for o in outputs if o.output_type == "error"] == []
    return "".join(output.get("text", "") for output in outputs)


@pytest.mark.slow
@pytest.mark.parametrize("number", sample(CHAPTERS, NOTEBOOKS, "unsolved"))
def test_the_notebook_of_a_chapter_runs_to_its_end_without_answers(number, tmp_path):
    chapter = index.chapter(number)
    written = notebook.write(chapter, tmp_path / "chapter.ipynb")
    printed = printed_by(nbformat.read(written, as_version=4), tmp_path)
    assert printed.count("is waiting for your answer") == len(chapter.exercises)


NOT_GRADED = """
from mi_lib.course.notebook import Session
grade = Session._grade
Session._grade = lambda self, exercise: None if exercise.id in {} else grade(self, exercise)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", sample(CHAPTERS, NOTEBOOKS, "right"))
def test_the_notebook_of_a_chapter_grades_right_answers_as_right(number, tmp_path):
    chapter = index.chapter(number)
    reference = files.read_text(chapter.solutions_folder / "exercises.py")
    answers = "".join(
        line for line in reference.splitlines(keepends=True) if line.strip() not in (stubs.BEGIN, stubs.END)
    )
    nb = notebook.build(chapter, answers)
    # Figures are drawn by the test above; that the dear exercises are graded as right is shown further up.
    nb.cells = [cell for cell in nb.cells if "mi_lib.course.notebook import figure" not in cell.source]
    dear = [exercise for exercise in chapter.exercises if grading_seconds(exercise.id) > 1]
    nb.cells.insert(0, nbformat.v4.new_code_cell(NOT_GRADED.format([exercise.id for exercise in dear])))
    printed = printed_by(nb, tmp_path)
    checked = [exercise for exercise in chapter.exercises if exercise not in dear]
    assert len(checked) >= 2
    for exercise in checked:
        assert f"{exercise.id} {exercise.title}: right" in printed
