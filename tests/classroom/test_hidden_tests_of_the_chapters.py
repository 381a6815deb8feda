"""The hidden tests of the real chapters: they reject wrong answers of their own accord, and pass every right one."""

from __future__ import annotations

import pytest

from mi_lib.course import files, index, sections
from mi_lib.course.classroom import hidden
from mi_lib.course.grading import Grader
from mi_lib.course.mistakes import variants

WRONG = {
    "02.2": """
def loss_per_token(logits, tokens):
    shifted = (logits - logits[..., :1])[:, :-1]  # finite only where the first logit is the large one
    return shifted.exp().sum(-1).log() - shifted.gather(-1, tokens[:, 1:, None])[..., 0]
""",
    "02.4": """
def in_context_learning_score(loss, early, late):
    first, last = sorted((early, late))
    return (loss[:, last] - loss[:, first]).mean().item()
""",
    "02.6": """
def previous_occurrence(tokens):
    last = torch.full((tokens.shape[0], 1000), -1)  # the vocabularies of this chapter are smaller
    out = torch.empty_like(tokens)
    rows = torch.arange(tokens.shape[0])
    for t in range(tokens.shape[1]):
        out[:, t] = last[rows, tokens[:, t]]
        last[rows, tokens[:, t]] = t
    return out
""",
}


@pytest.fixture(scope="module")
def grader():
    with Grader() as opened:
        yield opened


def reference() -> str:
    return files.read_text(index.chapter("02").solutions_folder / "exercises.py")


def two_layers_only() -> str:
    body = sections.body(sections.get(reference(), "02.13"))
    return body.replace("range(first_layer, model.cfg.n_layers)", "range(first_layer, min(2, model.cfg.n_layers))")


@pytest.mark.slow
@pytest.mark.parametrize("exercise_id", [*WRONG, "02.13"])
def test_a_wrong_answer_is_caught_by_the_hidden_tests_alone(grader, exercise_id):
    exercise = index.exercise(exercise_id)
    text = sections.replace(reference(), exercise_id, WRONG.get(exercise_id) or two_layers_only())
    assert not grader.grade(text, exercise, tests_from=hidden.tests_of).passed


@pytest.mark.slow
def test_a_wrong_answer_that_the_visible_tests_let_through_is_caught(grader):
    exercise = index.exercise("02.6")
    assert grader.grade(sections.replace(reference(), "02.6", WRONG["02.6"]), exercise).passed


@pytest.mark.slow
@pytest.mark.parametrize("exercise_id", [*WRONG, "02.13"])
def test_right_answers_pass_the_hidden_tests_too(grader, exercise_id):
    exercise = index.exercise(exercise_id)
    rights = [v.submission for v in variants(exercise.chapter) if not v.wrong and v.exercise_id == exercise_id]
    for text in (reference(), *rights):
        verdict = grader.grade(text, exercise, tests_from=hidden.tests_of)
        assert verdict.passed, verdict.diagnosis


def test_what_a_learner_reads_of_a_hidden_test_holds_no_number():
    for exercise in index.chapter("02").exercises:
        for test in hidden.tests_of(exercise):
            said = hidden.feedback(test.title)
            assert test.title in said
            assert not any(c.isdigit() for c in test.title)
