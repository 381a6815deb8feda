"""Exercise 01.13 counts operations in the learner's process, where the count can be forged. The time cannot.

Every forgery generates without a cache, makes torch count nothing, and is otherwise right.
"""

from __future__ import annotations

import pytest

from mi_lib.course import files, index, sections
from mi_lib.course.grading import Grader, Verdict

COUNTED = "test_every_position_is_computed_once"
NOTHING = """

class Profile:
    flops = 1

    def __call__(self, **options):
        return self

    __enter__ = total_average = lambda self: self
    __exit__ = lambda self, *error: None


torch.autograd.profiler_legacy.profile = Profile()


def slowly(tokens, weights, n_heads, n_new):
    with torch.no_grad():
        for _ in range(n_new):
            tokens = torch.cat([tokens, step(tokens, [], weights, n_heads)[0][:, -1:].argmax(-1)], 1)
    return tokens
"""
FORGERIES = {
    "openly": "generate = slowly",
    "in a process of its own": '''
import json
import os


def generate(*asked):
    read, write = os.pipe()
    if not os.fork():
        if not os.fork():  # and in one that nobody waits for
            os.write(write, json.dumps(slowly(*asked).tolist()).encode())
        os._exit(0)
    os.close(write)
    with open(read) as answer:
        return torch.tensor(json.load(answer))
''',
}  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def grader():
    with Grader() as grader:
        if grader.isolation().level != "confined":
            pytest.skip("time is counted for all processes of a submission on Linux")
        yield grader


def graded(grader: Grader, appended: str) -> Verdict:
    exercise = index.exercise("01.13")
    text = files.read_text(exercise.chapter.solutions_folder / "exercises.py")
    return grader.grade(sections.replace(text, "01.13", sections.get(text, "01.13") + appended), exercise)


@pytest.mark.parametrize("how", FORGERIES)
def test_a_forged_count_gains_nothing(grader, how):
    verdict = graded(grader, NOTHING + FORGERIES[how])
    failed = [test for test in verdict.tests if not test.passed]
    assert [test.name for test in failed] == [COUNTED], verdict
    assert "times as long as" in failed[0].message
    assert any("torch.autograd.profiler_legacy.profile" in sign for sign in verdict.signs)


def test_the_right_answer_is_quick_enough(grader):
    assert graded(grader, "").passed
