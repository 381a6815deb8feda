"""Results against the signature that the learner was given: what passes, what is told, and that no grader breaks."""

from __future__ import annotations

import ast
import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from tiny_chapter import STUB

from mi_lib.course.grading import contract, kinds
from mi_lib.course.grading.crossing import Handle
from mi_lib.course.grading.kinds import Look, Misfit
from mi_lib.models import Transformer, TransformerConfig

HANDLE = Handle(lambda *_: None, 1, "function", True)


def kind(annotation: str) -> kinds.Kind:
    aliases = {"Weights": ast.parse("dict[str, Tensor]", mode="eval").body}
    return contract.kind_of(ast.parse(annotation, mode="eval").body, aliases)


def fit(annotation: str, value: Any, **sizes: int) -> tuple[Any, list[str]]:
    look = Look("What your f returns", dict(sizes))
    return kind(annotation).fit(value, look), look.complaints


# --- what the annotation leaves open passes, in one form -------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "value", "seen"),
    [
        ('Float[Tensor, "a b"]', np.ones((2, 3)), torch.ones(2, 3, dtype=torch.float64)),
        ('Float[Tensor, "a b"]', [[1.0, 2.0], (3, 4)], torch.tensor([[1.0, 2], [3, 4]], dtype=torch.float64)),
        ('Float[Tensor, "a"]', torch.tensor([1, 2]), torch.tensor([1.0, 2])),
        ('Float[Tensor, "a"]', [torch.tensor(1.0), torch.tensor(2.0)], torch.tensor([1.0, 2])),
        ('Float[Tensor, "a"]', torch.ones(2, dtype=torch.float16), torch.ones(2, dtype=torch.float16)),
        ('Int[Tensor, "a"]', torch.tensor([1, 2], dtype=torch.int16), torch.tensor([1, 2], dtype=torch.int16)),
        ('Int[Tensor, "a"]', [1, 2], torch.tensor([1, 2])),
        ("float", torch.tensor(2.0), 2.0),
        ("float", np.float32(2), 2.0),
        ("float", 2, 2.0),
        ("int", np.int64(2), 2),
        ("int", torch.tensor(2), 2),
        ("bool", np.bool_(True), True),
        ("bool", torch.tensor(False), False),
        ("list[int]", (1, 2), [1, 2]),
        ("list[int]", torch.tensor([1, 2]), [1, 2]),
        ("list[int]", {2, 1}, [1, 2]),
        ("list[float]", np.array([1.0, 2.0]), [1.0, 2.0]),
        ("tuple[float, float]", [1, torch.tensor(2.0)], (1.0, 2.0)),
        ("tuple[float, float]", torch.tensor([1.0, 2.0]), (1.0, 2.0)),
        ("tuple[int, ...]", [1, 2, 3], (1, 2, 3)),
        ("dict[int, float]", {1: np.float64(2)}, {1: 2.0}),
        ("Weights", {"w": np.zeros(2)}, {"w": torch.zeros(2, dtype=torch.float64)}),
        ("str | None", None, None),
        ("int | None", np.int64(3), 3),
        ("Optional[str]", "x", "x"),
        ("Anything[at, all]", "x", "x"),
    ],
)
def test_what_is_left_open_arrives_in_one_form(annotation, value, seen):
    got, complaints = fit(annotation, value)
    assert not complaints
    assert type(got) is type(seen)
    if isinstance(seen, torch.Tensor):
        assert got.dtype == seen.dtype
        assert torch.equal(got, seen)
    else:
        assert str(got) == str(seen)


def test_zero_may_stand_for_zeros_among_other_results():
    got, complaints = fit('dict[str, Float[Tensor, "a b"]]', {"x": 0}, a=2, b=3)
    assert got["x"].tolist() == torch.zeros(2, 3).tolist()
    assert not complaints
    assert "shape (2, 3)" in fit('Float[Tensor, "a b"]', 0, a=2, b=3)[1][0]


# --- a value of another kind is told at once -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (
            'Float[Tensor, "a b"]',
            None,
            "a tensor of floating-point numbers [a b], but it is None. Is a `return` missing",
        ),
        ('Float[Tensor, "a"]', "x", "but it is the text 'x'"),
        ('Float[Tensor, "a"]', {"a": 1}, "a tensor of floating-point numbers [a], but it is {'a': 1}"),
        ('Float[Tensor, "a"]', torch.ones(2) > 0, "Did you return a mask?"),
        ('Float[Tensor, "a"]', torch.ones(2, dtype=torch.complex64), "complex64"),
        ('Float[Tensor, "a b"]', [torch.ones(2), torch.ones(2)], "a list of 2 tensors. `torch.stack` makes one"),
        ('Float[Tensor, "a b"]', [torch.ones(2), torch.ones(3)], "a list of 2 tensors"),
        ('Float[Tensor, "a b"]', [[1.0], [1.0, 2.0]], "but it is [[1.0], [1.0, 2.0]]"),
        ("tuple[float, float]", (1.0,), "two things: (a number; a number), but it is (1.0,). That is 1, not 2."),
        ("tuple[float, float]", (1.0, "b"), "The second part of what your f returns should be a number"),
        ("dict[str, Tensor]", [1], "a dict from texts to tensors, but it is [1]"),
        ("dict[str, Tensor]", {"w": None}, "The entry 'w' of what your f returns should be a tensor, but it is None"),
        ("list[int]", {"a": 1}, "a list of whole numbers"),
        ("list[int]", [1, "b"], "Entry 1 of what your f returns should be a whole number"),
        ("float", torch.ones(3), "a number, but it is a tensor of shape (3,)"),
        ("float", True, "a number, but it is True"),
        ("str | None", 3, "a text or None, but it is 3"),
        ("Callable[[int], int]", 3, "a function"),
        ("Transformer", HANDLE, "a Transformer, but it is a function"),
        ("Iterator[int]", [1], "an iterator"),
    ],
)
def test_another_kind_is_told_with_what_was_expected_and_what_came(annotation, value, words):
    with pytest.raises(Misfit) as told:
        fit(annotation, value)
    assert words in str(told.value)


# --- shapes and dtypes are noted, and the test goes on ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "value", "sizes", "words"),
    [
        ('Float[Tensor, "a b"]', torch.ones(2), {}, "should have 2 axes [a b], but it has shape (2,)"),
        ('Float[Tensor, "a b"]', torch.ones(3, 2), {"a": 2, "b": 3}, "should have shape (2, 3) [a b]"),
        ('Float[Tensor, "a b"]', torch.ones(3, 2), {"a": 2, "b": 3}, "it looks transposed"),
        ('Float[Tensor, "a c"]', torch.ones(3, 2), {"a": 2}, "should have shape (2, c) [a c], but it has shape (3, 2)"),
        ('Float[Tensor, "2 a"]', torch.ones(3, 2), {}, "should have shape (2, a) [2 a]"),
        ('Float[Tensor, "a-1"]', torch.ones(3), {"a": 3}, "should have shape (2,) [a-1]"),
        ('Float[Tensor, "a a"]', torch.ones(3, 2), {}, "axes [a a]"),
        ('Float[Tensor, ""]', torch.ones(1), {}, "should be a single number, but it has the shape (1,)"),
        ('Float[Tensor, ""]', 2.0, {}, "A plain number carries no gradient"),
        ('Int[Tensor, "a"]', torch.ones(2), {}, "should hold whole numbers (int64), but its dtype is float32"),
        ('Int[Tensor, "a"]', torch.ones(2).to(torch.uint16), {}, "dtype uint16, with which torch can hardly compute"),
        ('Bool[Tensor, "a"]', torch.tensor([0, 1]), {}, "should hold True and False (bool), but its dtype is int64"),
        ('Float64[Tensor, "a"]', torch.ones(2), {}, "should have the dtype float64, not float32"),
        ("int", 3.0, {}, "should be a whole number (an int), but it is the float 3.0"),
        ("float", torch.ones(1), {}, "should be a number, but it has the shape (1,)"),
        ("bool", 1, {}, "should be True or False, but it is 1"),
    ],
)
def test_shapes_and_dtypes_are_noted(annotation, value, sizes, words):
    _, complaints = fit(annotation, value, **sizes)
    assert words in " ".join(complaints)


def test_a_test_may_go_on_with_whole_numbers_that_came_as_floats():
    got, _ = fit('Int[Tensor, "a"]', torch.tensor([1.0, 2.0]))
    assert got.tolist() == [1, 2]
    assert got.dtype == torch.int64


@pytest.mark.parametrize("shape", [(4, 5), (2, 4, 5), (2, 3, 4, 5)])
def test_free_axes_are_those_of_the_argument(shape):
    annotation = kind('Float[Tensor, "... query key"]')
    look = Look("What your f returns")
    annotation.bind(torch.ones(shape), look)
    annotation.fit(torch.ones(shape), look)
    assert look.complaints == []
    annotation.fit(torch.ones(7, *shape), look)
    annotation.fit(torch.ones(*shape[:-1], 6), look)
    assert len(look.complaints) == 2
    assert str(tuple(shape)) in look.complaints[0]


# --- sizes come from the arguments of the call -----------------------------------------------------------------------

SIGNATURE = """# %% [setup]
Weights = dict[str, Tensor]
# %% [01.1] One
def f(x: Float[Tensor, "batch pos"], n_new: int, model: HookedModel = None) -> Float[Tensor, "batch pos+n_new d_vocab"]:
    raise NotImplementedError
"""


@pytest.fixture
def signature(tmp_path):
    (tmp_path / "exercises.py").write_text(SIGNATURE)
    return contract.contract_of(tmp_path).signatures["f"]


def told_of(signature: contract.Signature, shape: tuple[int, ...], *args: Any, **kwargs: Any) -> list[str]:
    look = signature.look(args, kwargs)
    signature.returns.fit(torch.ones(shape), look)
    return look.complaints


def test_sizes_come_from_tensors_whole_numbers_and_models(signature):
    model = Transformer(TransformerConfig(n_layers=1, d_model=4, n_heads=1, d_head=2, d_vocab=11, n_ctx=8))
    x = torch.ones(2, 5)
    assert told_of(signature, (2, 8, 11), x, 3, model=model) == []
    assert "shape (2, 8, 11)" in told_of(signature, (2, 5, 11), x, 3, model=model)[0]
    assert "shape (2, 8, d_vocab)" in told_of(signature, (3, 8, 11), x, n_new=3)[0]


def test_an_argument_that_does_not_fit_its_own_annotation_fixes_nothing(signature):
    assert told_of(signature, (7, 8, 11), torch.ones(5), 3) == []


# --- whatever comes, a grader does not break -------------------------------------------------------------------------

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.complex_numbers()
DTYPES = [np.float32, np.float64, np.int64, np.uint16, np.bool_, np.complex64]
TENSORS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
)
LEAVES = PLAIN | TENSORS | TENSORS.map(torch.from_numpy) | st.just(HANDLE)
NONSENSE = st.recursive(
    LEAVES,
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.lists(parts, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2) | st.integers(), parts, max_size=3)
        | st.sets(st.integers() | st.text(max_size=2), max_size=3)
    ),
    max_leaves=6,
)
ANNOTATIONS = [
    'Float[Tensor, "a b"]', 'Float[Tensor, "... a"]', 'Float[Tensor, ""]', 'Int[Tensor, "a"]', 'Bool[Tensor, "a"]',
    "Tensor", "float", "int", "bool", "str | None", "list[int]", "tuple[int, dict[int, float]]", "Weights", "dict",
    'dict[str, Float[Tensor, "a"]]', 'tuple[Float[Tensor, "a b"], Int[Tensor, "a"]]', "list[tuple[Tensor, Tensor]]",
    "tuple[int | None, int | None]", "Transformer", "Callable[[int], int]", "Iterator[int]",
]  # fmt: skip


def has_form(value: Any, of: kinds.Kind) -> bool:
    """Whether a value has the one form in which tests see results of a kind, written apart from `kinds`."""
    match of:
        case kinds.TensorKind():
            return type(value) is torch.Tensor
        case kinds.Number():
            return isinstance(value, int | float)
        case kinds.Exactly():
            return isinstance(value, of.type)
        case kinds.ListOf():
            return type(value) is of.make and all(has_form(part, of.item) for part in value)
        case kinds.TupleOf():
            return type(value) is tuple and all(map(has_form, value, of.items))
        case kinds.DictOf():
            return type(value) is dict and all(has_form(part, of.value) for part in value.values())
        case kinds.OneOf():
            return any(has_form(value, inner) for inner in of.kinds)
        case kinds.Object():
            return isinstance(value, Handle)
    return True


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ANNOTATIONS), NONSENSE)
def test_any_value_fits_or_is_told(annotation, value):
    """The law: a sentence that says what was expected and what came, or the form that tests count on."""
    misfit = ""
    try:
        got, complaints = fit(annotation, value, a=2, b=3)
    except Misfit as told:
        misfit = str(told)
    if misfit:
        assert " should be " in misfit
        assert ", but it is " in misfit
    else:
        assert has_form(got, kind(annotation))
        assert all(" should " in c or "dtype" in c for c in complaints)


@pytest.mark.parametrize(
    "nonsense",
    [
        "None", "'text'", "{}", "[]", "()", "(x, x)", "[x, x]", "x[0]", "x.T", "x[None]", "x > 0", "x * float('nan')",
        "x.long() - 7", "x.numpy()", "x.tolist()", "x[:0]", "3", "3j", "object()", "lambda: 0", "x.to(torch.uint16)",
        "x.double()", "x.to(torch.complex64)", "float('nan')", "{'a': x}", "[[1], [2, 3]]", "-x.long()", "torch",
    ],
)  # fmt: skip
@pytest.mark.parametrize("exercise", ["01.7", "01.8"])
def test_no_test_that_computes_with_a_result_breaks_on_nonsense(grade, nonsense, exercise):
    name = {"01.7": "rows", "01.8": "nearest"}[exercise]
    verdict = grade(f"def {name}(x):\n    return {nonsense}", exercise)
    assert not verdict.course_fault, verdict.diagnosis
    assert not verdict.passed
    assert len(verdict.diagnosis) > 20


def test_the_reference_of_the_tiny_chapter_passes(grade):
    assert grade("def rows(x):\n    return x / x.sum(1, keepdim=True)", "01.7").passed
    assert grade("def nearest(x):\n    return x.argmax(1)", "01.8").passed
    assert grade("import numpy as np\ndef rows(x):\n    return x.numpy() / x.numpy().sum(1)[:, None]", "01.7").passed


def test_a_shape_is_told_where_the_test_would_have_broken_on_it(grade):
    verdict = grade("def rows(x):\n    return x[0] / x[0].sum()", "01.7")
    assert verdict.status == "failed"
    assert "What your rows returns should have shape (3, 4) [row column], but it has shape (4,)" in verdict.diagnosis


def test_a_known_mistake_leads_before_the_shape_that_it_has(grade):
    assert grade("def rows(x):\n    return x.sum(1)", "01.7").diagnosis == "These are the sums of the rows."


def test_a_result_that_is_right_but_for_its_dtype_is_told(grade):
    verdict = grade("def nearest(x):\n    return x.argmax(1).float()", "01.8")
    assert "should hold whole numbers (int64), but its dtype is float32" in verdict.diagnosis


def test_an_index_out_of_range_is_no_fault_of_the_course(grade):
    verdict = grade("def nearest(x):\n    return x.argmax(1) + 90", "01.8")
    assert "could not go on with what your nearest returned" in verdict.diagnosis
    assert "whole numbers from 90 to 93" in verdict.diagnosis
    assert not verdict.course_fault


def test_a_dict_of_the_learners_own_class_is_a_dict(grade):
    source = "import collections\nclass Mine(dict):\n    pass\nclass Other(collections.UserDict):\n    pass\n"
    for make in ("Mine", "Other", "collections.OrderedDict"):
        assert grade(f"{source}def named(x):\n    return {make}(x=2 * x)", "01.9").passed


def test_the_stub_of_the_tiny_chapter_is_read(tmp_path):
    (tmp_path / "exercises.py").write_text(STUB)
    found = contract.contract_of(tmp_path).signatures
    assert found["rows"].exercise == "01.7"
    assert found["rows"].returns.one == "a tensor of floating-point numbers [row column]"
    assert math.isinf(fit("float", 10**400)[0])


def test_an_argument_may_be_changed_by_one_function_alone(tmp_path):
    stub = "# %% [01.1] Two\ndef loss(model, x):\n    raise\n\n\ndef train(model, x):\n    raise\n"
    (tmp_path / "exercises.py").write_text(stub)
    toml = '[[exercise]]\ndefines = ["loss", "train"]\nchanges = ["train:model", "x"]\n'
    (tmp_path / "chapter.toml").write_text(toml)
    found = contract.contract_of(tmp_path).signatures
    assert (found["loss"].may_change, found["train"].may_change) == ({"x"}, {"x", "model"})
