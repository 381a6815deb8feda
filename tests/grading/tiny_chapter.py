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


Y = torch.tensor([[1.0, 2, 3, 5], [4, 1, 1, 1], [2, 2, 5, 2]])


@grades("01.7")
def test_rows_sum_to_one(answer):
    """Each row is divided by its sum."""
    got = answer.rows(Y)
    expect_close(got, Y / Y.sum(1, keepdim=True), "the rows", mistakes={"These are the sums of the rows.": Y.sum(1)})


@grades("01.7")
def test_a_product_with_the_rows(answer):
    """A matrix product with the rows sums over each of them."""
    got = answer.rows(Y)
    expect((got @ torch.ones(4, dtype=got.dtype)).sub(1).abs().max() < 1e-5, "Each row should sum to 1.")


@grades("01.8")
def test_the_nearest_column_is_an_index(answer):
    """Each row at its index is the largest."""
    got = answer.nearest(Y)
    expect(Y[torch.arange(len(Y)), got].tolist() == [5, 4, 5], "These are not the places of the largest numbers.")


@grades("01.9")
def test_named(answer):
    """A dict with one entry."""
    expect_close(answer.named(Y)["x"], 2 * Y, "the entry x")


@grades("01.10")
def test_filled(answer):
    """The number is put into the list."""
    expect_equal(len(answer.fill(Y, [1])), 2, "the list")
'''

STUB = """# %% [setup]
import torch
from jaxtyping import Float, Int
from torch import Tensor

# %% [01.7] Rows
def rows(x: Float[Tensor, "row column"]) -> Float[Tensor, "row column"]:
    raise NotImplementedError

# %% [01.8] Nearest
def nearest(x: Float[Tensor, "row column"]) -> Int[Tensor, "row"]:
    raise NotImplementedError

# %% [01.9] Named
def named(x: Float[Tensor, "row column"]) -> dict[str, Tensor]:
    raise NotImplementedError

# %% [01.10] Filled
def fill(x: Tensor, into: list) -> list:
    raise NotImplementedError
"""

TOML = """[[exercise]]
id = "01.10"
defines = ["fill"]
changes = ["into"]
"""

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
