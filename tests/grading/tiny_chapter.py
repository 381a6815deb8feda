"""A tiny chapter of its own, so that these tests stand whatever the course's chapters do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TESTS = '''
import torch
from mi_lib.course.grading import AnswerError, ByName, expect, expect_close, expect_equal, grades

X = torch.arange(6.0).reshape(2, 3)


@grades("01.1")
def test_doubling_a_vector(answer):
    """A vector is doubled."""
    expect_close(answer.double(X[0]), 2 * X[0], "the double")


@grades("01.1", weight=3)
def test_doubling_a_matrix(answer):
    """A matrix is doubled."""
    expect_close(answer.double(X), 2 * X, "the double", mistakes={"You squared it; doubling is x + x.": X**2})


@grades("01.2")
def test_sum_of_doubles(answer):
    """The sum of the doubles."""
    expect_close(answer.sum_of_doubles(X), 30.0, "the sum")


@grades("01.3")
def test_functions_and_objects_stay_with_the_learner(answer):
    """A function and an object come back as handles."""
    adder = answer.make_adder(3)
    expect_equal(adder(4), 7, "3 + 4")
    counter = answer.Counter(10)
    counter.attr("up")()
    expect_equal(counter.attr("n"), 11, "the counter")
    expect_equal(answer.read(counter), 11, "the counter, read by your function")
    expect_close(answer.layer().state_dict()["weight"], torch.ones(2, 2), "the weight")


@grades("01.4")
def test_broken(answer):
    """A test that the course got wrong."""
    answer.double(X)
    raise KeyError("ours")


@grades("01.5")
def test_library_function_by_name(answer):
    """A library function crosses by its name."""
    expect_equal(answer.apply(ByName("mi_lib.zoo:names"), []), answer.NAMES, "the names")


@grades("01.6")
def test_slow_one(answer):
    """The first of three."""
    answer.step(1)


@grades("01.6")
def test_second(answer):
    """The second of three."""
    answer.step(2)


@grades("01.6")
def test_third(answer):
    """The third of three."""
    answer.step(3)
'''

RIGHT = """# %% [setup]
import torch

# %% [01.1] Doubling
def double(x):
    return 2 * x

# %% [01.2] Sum
def sum_of_doubles(x):
    return double(x).sum()
"""


@dataclass(frozen=True)
class TinyChapter:
    folder: Path


@dataclass(frozen=True)
class TinyExercise:
    id: str
    chapter: TinyChapter
    points: float = 8
    time_limit: float = 10.0
