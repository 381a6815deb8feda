"""What crosses is bounded before the judge computes: the worst answers cost it little time and little memory.

A course fault is no excuse either: a test that breaks on an answer and not on the reference has failed.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from mi_lib.course import checking
from mi_lib.course.grading import Grader, Limits, Verdict, reading
from mi_lib.course.grading.expectations import numbers

SECONDS, MEGABYTES = 1.5, 150  # of the judge's own; written before the first measurement
TESTS = '''
import torch
from mi_lib.course.grading import expect, expect_close, expect_equal, grades
from mi_lib.models import Transformer

X = torch.arange(6.0).reshape(2, 3)


@grades("01.1")
def test_typed(answer):
    """A tensor whose shape the signature says."""
    expect_close(answer.typed(X), 2 * X, "the double", mistakes={"You squared it.": X**2})


@grades("01.2")
def test_untyped(answer):
    """A tensor of which the signature says nothing."""
    expect_close(answer.untyped(X), 2 * X, "the double", mistakes={"You squared it.": X**2})


@grades("01.3")
def test_masks(answer):
    """Two masks."""
    low, high = answer.masks(X)
    expect_equal(low, X < 1, "the low ones")
    expect_equal(high, X > 4, "the high ones")


@grades("01.4")
def test_integers(answer):
    """A list of integers."""
    expect_equal(answer.integers(X), [1, 2, 3], "the integers")


@grades("01.5")
def test_model(answer):
    """A model that the test runs."""
    logits = answer.model()(torch.zeros(1, 3, dtype=torch.long))
    expect_close(logits, torch.zeros(1, 3, 5), "the logits")


@grades("01.6")
def test_that_computes(answer):
    """A result that the test computes with before it looks."""
    expect(bool((answer.computed(X) - X > 0).all()), "All should be larger.")
'''
STUB = """# %% [setup]
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from mi_lib.models import Transformer, TransformerConfig
# %% [01.1] typed
def typed(x: Float[Tensor, "row col"]) -> Float[Tensor, "row col"]:
    raise NotImplementedError
# %% [01.2] untyped
def untyped(x):
    raise NotImplementedError
# %% [01.3] masks
def masks(x: Float[Tensor, "row col"]) -> tuple[Bool[Tensor, "row col"], Bool[Tensor, "row col"]]:
    raise NotImplementedError
# %% [01.4] integers
def integers(x: Tensor) -> list[int]:
    raise NotImplementedError
# %% [01.5] model
def model() -> Transformer:
    raise NotImplementedError
# %% [01.6] computed
def computed(x):
    raise NotImplementedError
"""
NAMES = ("typed", "untyped", "masks", "integers", "model", "computed")


@dataclass(frozen=True)
class Chapter:
    folder: Path
    solutions_folder: Path


@dataclass(frozen=True)
class Exercise:
    chapter: Chapter
    id: str
    points: float = 8
    time_limit: float = 30.0


@pytest.fixture(scope="module")
def chapter(tmp_path_factory) -> Chapter:
    top = tmp_path_factory.mktemp("room")
    folder, solutions = top / "ch01_room", top / "solutions"
    folder.mkdir()
    solutions.mkdir()
    (folder / "test_exercises.py").write_text(TESTS)
    (folder / "exercises.py").write_text(STUB)
    (folder / "chapter.toml").write_text("")
    (solutions / "exercises.py").write_text(text_of("01.6", "return x + 1"))
    return Chapter(folder, solutions)


@pytest.fixture(scope="module")
def grader():
    with Grader(Limits(memory_bytes=2**30), second_look=True) as grader:
        yield grader


def text_of(exercise: str, body: str) -> str:
    name = NAMES[int(exercise.split(".")[1]) - 1]
    setup = "import torch\nfrom mi_lib.models import Transformer, TransformerConfig\n"
    arguments = "" if name == "model" else "x"
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"# %% [setup]\n{setup}# %% [{exercise}]\ndef {name}({arguments}):\n{lines}"


def peak(reset: bool = False) -> int:
    """The most memory of this process since it was last asked to forget, in bytes."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    rows = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(rows["VmHWM"].split()[0]) * 1024


def graded(grader: Grader, chapter: Chapter, exercise: str, body: str) -> Verdict:
    return grader.grade(text_of(exercise, body), Exercise(chapter, exercise))


MODEL = """c = TransformerConfig(n_layers=1, d_model=8, n_heads=2, d_head=4, d_vocab=5, n_ctx=8, d_mlp=16)
m = Transformer(c)
"""
WORST = {  # name: exercise, body, words of the verdict
    "masks of 2 x 125 MB": ("01.3", "return (torch.zeros(125 * 2**20, dtype=torch.bool),) * 2", "shape (131072000,)"),
    "a large tensor where the shape is known": ("01.1", "return torch.zeros(7 * 10**6)", "(7000000,)"),
    "a large tensor where it is not": ("01.2", "return torch.zeros(7 * 10**6)", "(7000000,)"),
    "a mask of as many bytes as there is room for": (
        "01.2",
        "return torch.zeros(32 * 2**20 - 9, dtype=torch.bool)",
        "yours holds True and False",
    ),
    "more than there is room for": ("01.2", "return torch.zeros(9 * 10**6)", "shape (9000000,)"),
    "a list of 200,000 integers": ("01.4", "return [1] * 200_000", "a list of 200000"),
    "a tensor for a list of integers": ("01.4", "return torch.ones(7 * 10**6)", "a tensor of shape (7000000,)"),
    "a list of nothing but wrong kinds": ("01.4", "return [0.5] * 100_000", "should be a whole number"),
    "rows of one number": ("01.2", "return [[1]] * 100_000", "shape (100000, 1)"),
    "rows of many lengths": ("01.2", "return [[1] * (i % 3) for i in range(100_000)]", "a list of 100000"),
    "more parts than there is room for": ("01.2", "return [[1.5, 2.5]] * 200_000", "more than 500000 parts"),
    "integers beyond floats, among floats": ("01.2", "return [1.0, 10**400]", "a list of 2"),
    "integers beyond floats, where one is asked for": ("01.4", "return [1, 10**400]", "but your code gave"),
    "a model with weights of several types": ("01.5", MODEL + "m.blocks.double()\nreturn m", "of several types"),
    "a model whose weights nothing computes with": (
        "01.5",
        MODEL + "for p in m.parameters(): p.data = p.data.to(torch.float8_e4m3fn)\nreturn m",
        "not a tensor of floating-point numbers",
    ),
    "many models": ("01.2", MODEL.replace("s=1", "s=60") + "return [m] * 20", "models of 120 layers"),
    "more axes than anything has": ("01.1", "return torch.zeros([1] * 60)", "a tensor of 60 axes"),
    "a text of 30 MB": ("01.2", "return 'a' * 30_000_000", "too large"),
    "whole numbers of 3,000 digits each": ("01.4", "return [10**2999] * 9_000", "too large"),
    "texts as keys": ("01.6", "return {f'k{i}': i for i in range(40_000)}", "could not go on"),
    "pairs of many": ("01.6", "return [(1, 2)] * 30_000", "could not go on"),
    "tensors of many lengths": ("01.2", "return [torch.zeros(i % 7) for i in range(9_000)]", "a list of 9000"),
    "complex numbers of many": ("01.2", "return torch.ones(1_900_000, dtype=torch.complex128)", "(1900000,)"),
    "a text that says it is longer": (
        "01.4",
        "class S(str):\n    def __str__(self): return 'a' * 10**9\nreturn S('a')",
        "should be a list of whole numbers",
    ),
    "a model with an odd epsilon": ("01.5", MODEL + "object.__setattr__(c, 'norm_eps', 'a')\nreturn m", "norm_eps"),
}


@pytest.mark.parametrize("name", WORST)
def test_the_worst_answers_get_a_verdict_that_costs_little(grader, chapter, name):
    exercise, body, words = WORST[name]
    linux = sys.platform.startswith("linux")
    before, started = peak(reset=True) if linux else 0, time.process_time()
    verdict = graded(grader, chapter, exercise, body)
    seconds, more = time.process_time() - started, peak() - before if linux else 0
    assert verdict.status == "failed", verdict
    assert not verdict.course_fault
    assert words in verdict.diagnosis
    assert seconds < SECONDS
    assert more < MEGABYTES * 2**20


ODD = {
    "a function": "return lambda: 1",
    "functions in a list": "return [lambda: 1, object()]",
    "eight bits": "return x.to(torch.float8_e5m2)",
    "unsigned integers": "return x.to(torch.uint32)",
    "a text": "return 'a'",
    "another shape": "return torch.ones(7)",
}


@pytest.mark.parametrize("name", ODD)
def test_a_test_that_breaks_on_this_answer_alone_is_no_excuse(grader, chapter, name):
    verdict = graded(grader, chapter, "01.6", ODD[name])
    assert (verdict.status, verdict.course_fault, verdict.points) == ("failed", False, 0)


def test_what_the_odd_answers_break_takes_a_right_one(grader, chapter):
    assert graded(grader, chapter, "01.6", "return x + 1").passed


def test_a_test_that_breaks_on_the_reference_too_is_the_courses_fault(grader, chapter):
    """The control of the one before."""
    reference = chapter.solutions_folder / "exercises.py"
    right = reference.read_text()
    reference.write_text(text_of("01.6", "return object()"))
    try:
        assert graded(grader, chapter, "01.6", "return object()").course_fault
    finally:
        reference.write_text(right)


def test_a_text_that_holds_more_than_answers_is_not_read(grader, chapter):
    data = "T = (" + "1," * reading.MAX_SECTION + ")\n"
    verdict = graded(grader, chapter, "01.1", "return 2 * x\n" + data)
    assert verdict.status == "error"
    assert "characters long" in verdict.diagnosis
    whole = graded(grader, chapter, "01.1", "return 2 * x\n" + data * 4)
    assert "Your file is" in whole.diagnosis
    beside = text_of("01.1", "return 2 * x").replace("# %% [01.1]", f"# %% [01.0]\n{data}# %% [01.1]")
    assert grader.grade(beside, Exercise(chapter, "01.1")).passed  # only the section itself is lost


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "+".join(["a"] * 3000),
        "x = a" + ".b" * 3000,
        "x = " + "+".join("'ab'" for _ in range(3000)),
        "x = f'{a}'" * 3000,
        "".join(f"from m{i} import *\n" for i in range(900)) + "a\n" * 9000,
    ],
    ids=["sums", "attributes", "texts", "formatted", "stars"],
)
def test_reading_a_text_takes_time_in_proportion_to_it(text):
    started = time.process_time()
    reading.library_uses(f"# %% [01.1]\n{text}\n", "01.1", ("mi_lib.lens:rank",))
    reading.signs(f"# %% [01.1]\n{text}\n", "01.1")
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize(
    ("value", "shape", "dtype"),
    [
        ([[1, 2], [3, 4]], (2, 2), torch.int64),
        ([[1, 2.5], (True, 4)], (2, 2), torch.float64),
        ([True, False], (2,), torch.bool),
        ([[], []], (2, 0), torch.float32),
        ([torch.ones(2), torch.ones(2, dtype=torch.int64)], (2, 2), torch.float32),
        ([1j, 2.0], (2,), torch.complex128),
    ],
)
def test_nested_lists_of_numbers_become_tensors(value, shape, dtype):
    x = numbers(value)
    assert (tuple(x.shape), x.dtype) == (shape, dtype)


@pytest.mark.parametrize("value", [[1, 10**400], [1.0, 10**400], [[1], [2, 3]], [1, None], ["1"]])
def test_what_is_no_tensor_of_numbers_is_none(value):
    assert numbers(value) is None


def test_a_learner_is_not_told_that_the_course_broke_by_an_odd_answer(chapter):
    """In `mi check`, on the page and in a notebook too, wherever the reference is at hand."""
    exercise, text = Exercise(chapter, "01.6"), text_of("01.6", "return 'a'")
    with Grader(Limits(memory_bytes=2**30)) as grader:
        assert grader.grade(text, exercise).course_fault
        verdict = checking.grade(grader, exercise, text)
    assert not verdict.course_fault
    assert (verdict.status, verdict.points) == ("failed", 0)
