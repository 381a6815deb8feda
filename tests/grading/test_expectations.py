"""What a comparison accepts, and the sentence that it tells otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mi_lib.course.grading import Handle, Wrong, expect, expect_close, expect_equal, expect_raises
from mi_lib.course.grading.process import AnswerError

WANT = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.5]])


def told(function, *args, **kwargs) -> str:
    with pytest.raises(Wrong) as caught:
        function(*args, **kwargs)
    return str(caught.value)


@pytest.mark.parametrize(
    "got",
    [
        WANT,
        WANT.double(),
        WANT.half(),
        (WANT * 1.001).bfloat16(),
        WANT.t().contiguous().t(),
        WANT.numpy(),
        WANT.tolist(),
        tuple(map(tuple, WANT.tolist())),
        [row.clone() for row in WANT],
        WANT + 1e-7,
    ],
    ids=["same", "float64", "float16", "bfloat16", "non-contiguous", "numpy", "list", "tuple", "rows", "rounding"],
)
def test_a_right_answer_passes_in_any_form(got):
    expect_close(got, WANT, "the scores")


def test_a_number_may_be_a_tensor_or_a_numpy_scalar():
    for got in (2.5, torch.tensor(2.5), np.float32(2.5), np.array(2.5)):
        expect_close(got, 2.5, "the loss")
    expect_close(3, 3.0, "the loss")


def test_strict_asks_for_a_tensor():
    assert "should be a torch tensor" in told(expect_close, WANT.tolist(), WANT, "the scores", strict=True)


@pytest.mark.parametrize(
    ("got", "sentence"),
    [
        (None, "your function returned None. Is a `return` missing"),
        ("abc", "should be a tensor of shape (2, 3), but your code gave 'abc'"),
        ([[1.0], [2.0, 3.0]], "should be a tensor of shape (2, 3)"),
        (WANT > 3, "Did you return a mask?"),
        (Handle(lambda *a: None, 1, "generator", False), "a generator (wrap it in list(...))"),
        (WANT.t(), "should have shape (2, 3), but yours has shape (3, 2). The sizes are right but in another order"),
        (WANT[:, None], "Only axes of size 1 differ"),
        (WANT.expand(4, 2, 3), "Axis 0 (of size 4) is still there"),
        (WANT[:, :2], "Axis 1 is off by one"),
        (WANT.sum(), "should have shape (2, 3)"),
        (WANT * float("nan"), "holds NaN (not a number) everywhere"),
        (torch.where(WANT == 5, float("nan"), WANT), "NaN (not a number) at 1 of 6 places, first at [1, 1]"),
        (torch.where(WANT == 5, float("inf"), WANT), "is infinite at 1 of 6 places, first at [1, 1]"),
        (-WANT, "Only the sign is wrong."),
        (WANT * 3, "Every number is 3 times what it should be."),
        (WANT - 0.5, "Every number is 0.5 too small."),
        (torch.where(WANT == 5, 0.0, WANT), "wrong at 1 of 6 places: at [1, 1], for example, it should be 5"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong_with_it(got, sentence):
    assert sentence in told(expect_close, got, WANT, "the score of each head")


def test_a_square_answer_that_is_transposed_is_told_so():
    square = torch.arange(9.0).reshape(3, 3)
    assert "looks transposed: with axes 0 and 1 exchanged" in told(expect_close, square.t(), square, "the pattern")


def test_a_single_number_of_the_wrong_shape_is_told_so():
    assert "should be a single number, but yours has shape (3,)" in told(expect_close, torch.ones(3), 1.0, "the loss")


def test_names_of_axes_are_used():
    sentence = told(expect_close, WANT + torch.eye(3)[:2], WANT, "the scores", axes="layer head")
    assert "at [0, 0] (layer head)" in sentence


def test_a_known_mistake_has_its_own_sentence_even_when_its_shape_differs():
    mistakes = {"You forgot to average.": WANT.expand(4, 2, 3), "You took the log.": WANT.log()}
    assert told(expect_close, WANT.log(), WANT, "x", mistakes=mistakes) == "You took the log."
    assert told(expect_close, WANT.expand(4, 2, 3), WANT, "x", mistakes=mistakes) == "You forgot to average."


def test_a_mistake_that_happens_to_be_right_here_is_no_mistake():
    expect_close(WANT, WANT, "x", mistakes={"You did it another way.": WANT})


def test_mistakes_may_be_worked_out_for_a_wrong_answer_alone():
    asked = []

    def mistakes():
        asked.append(1)
        return {"You squared it.": WANT**2, "It does not come so far.": None}

    expect_close(WANT, WANT, "x", mistakes=mistakes)
    expect_equal([1], [1], "x", mistakes=mistakes)
    assert asked == []
    assert told(expect_close, WANT**2, WANT, "x", mistakes=mistakes) == "You squared it."
    assert told(expect_equal, WANT**2, WANT.round(), "x", mistakes=mistakes) == "You squared it."


def test_a_mistake_is_not_recognised_on_nan_alone():
    nan = torch.full((2, 3), torch.nan)
    assert "holds NaN" in told(expect_close, nan, WANT, "x", mistakes={"You divided by zero.": nan.clone()})
    one = WANT.clone()
    one[0, 0] = torch.nan
    assert "holds NaN" in told(expect_close, one, WANT, "x", mistakes={"You divided by zero.": one.clone()})
    also = one.clone()
    also[1, 1] = 7.0  # and a number that tells the mistake from the right answer
    assert told(expect_close, also, WANT, "x", mistakes={"You took the next.": also.clone()}) == "You took the next."


def test_a_mistake_that_equals_the_right_value_is_never_told():
    assert "should be 3" in told(expect_equal, 4, 3, "x", mistakes={"You counted from one.": 3})
    near = WANT + 2e-5
    sentence = told(expect_close, WANT + 6e-5, WANT, "x", mistakes={"It is near.": near}, atol=5e-5, rtol=0)
    assert "It is near." not in sentence


def test_infinity_tells_a_mistake():
    open_ = WANT.clone()
    open_[0, 0] = -torch.inf
    assert told(expect_close, open_, WANT, "x", mistakes={"You masked it.": open_.clone()}) == "You masked it."


def test_no_number_is_one_times_what_it_should_be():
    for factor in (1.0004, 1.00004):
        assert "times what" not in told(expect_close, WANT * factor, WANT, "x", atol=0, rtol=1e-5)
    assert "Every number is 2 times what it should be." in told(expect_close, 2 * WANT, WANT, "x")


def test_numbers_that_differ_are_shown_as_different():
    sentence = told(expect_close, 1.00000012, 1.00000001, "x", atol=0, rtol=0)
    assert "should be 1.00000001, but your code gave 1.00000012" in sentence


def test_a_sentence_says_how_much_it_says():
    def rank(function, *args, **kwargs):
        with pytest.raises(Wrong) as caught:
            function(*args, **kwargs)
        return caught.value.rank

    mistakes = {"You squared it.": WANT**2}
    ranks = [
        rank(expect_close, WANT**2, WANT, "x", mistakes=mistakes),
        rank(expect, False, "No."),
        rank(expect_close, WANT[0], WANT, "x"),
        rank(expect_close, WANT + 1, WANT, "x"),
    ]
    assert ranks == sorted(set(ranks))


def test_half_precision_is_no_excuse_for_a_wrong_number():
    assert told(expect_close, (WANT * 1.1).bfloat16(), WANT, "x")


def test_expected_nan_and_infinity_are_right():
    want = torch.tensor([float("nan"), float("inf"), 1.0])
    expect_close(want.clone(), want, "x")


@pytest.mark.parametrize(
    ("got", "want"),
    [
        ([(1, 3), (1, 5)], [(1, 3), (1, 5)]),
        (((1, 3), (1, 5)), [(1, 3), (1, 5)]),
        (torch.tensor([1, 2]), [1, 2]),
        ([1, 2], torch.tensor([1, 2])),
        (np.int64(3), 3),
        ({"a": [1]}, {"a": (1,)}),
        ({1, 2}, frozenset({2, 1})),
        ("blocks.1", "blocks.1"),
        (torch.tensor([True, False]), torch.tensor([True, False])),
    ],
)
def test_equal_things_are_equal(got, want):
    expect_equal(got, want, "the heads")


@pytest.mark.parametrize(
    ("got", "want", "sentence"),
    [
        ([(1, 3)], [(1, 4)], "The heads should be [(1, 4)], but your code gave [(1, 3)]."),
        (1, True, "should be True, but your code gave 1"),
        ("a", None, "should be None"),
        ({"a": 1}, {"b": 1}, "{'b': 1}"),
        (torch.tensor([1, 2]), torch.tensor([1, 3]), "at 1, for example, it should be 3, but your code gave 2"),
        (Handle(lambda *a: None, 1, "Yes", False), 3, "an object of type Yes"),
    ],
)
def test_unequal_things_are_told(got, want, sentence):
    assert sentence in told(expect_equal, got, want, "the heads")


def test_expect_tells_its_sentence():
    expect(torch.tensor(True), "fine")
    assert told(expect, 0 > 1, "Zero is not more than one.") == "Zero is not more than one."


def test_an_expected_exception_passes_another_one_does_not_and_none_is_told():
    def raised(name):
        raise AnswerError({"type": name, "text": "no"})

    with expect_raises("ValueError|KeyError", "Say no."):
        raised("KeyError")
    with pytest.raises(AnswerError), expect_raises("ValueError", "Say no."):
        raised("TypeError")
    with pytest.raises(Wrong, match="Say no"), expect_raises("ValueError", "Say no."):
        pass


@pytest.mark.parametrize(
    "what",
    ["the vectors", "the vectors of each word", "the trained weights W_E", "both shares", "W and b", "Pico's logits",
     "the biases", "the answers, in order", "the logits (of two words)"],
)  # fmt: skip
def test_several_things_are_wrong(what):
    with pytest.raises(Wrong, match=r"^\S.* are wrong everywhere"):
        expect_close(torch.zeros(3), torch.tensor([1.0, 2.0, 4.0]), what)


@pytest.mark.parametrize(
    "what",
    ["the loss", "the loss before each step", "the bias", "the axis", "the axis of two roles", "W",
     "the table of weights", "what the heads add", "how alike two words are", "where Pico's replies stand",
     "the basis for p = 7", "μ"],
)  # fmt: skip
def test_one_thing_is_wrong(what):
    with pytest.raises(Wrong, match=r"^\S.* is wrong everywhere"):
        expect_close(torch.zeros(3), torch.tensor([1.0, 2.0, 4.0]), what)


def test_several_things_hold_nan_and_are_infinite():
    with pytest.raises(Wrong, match="The vectors hold NaN"):
        expect_close(torch.tensor([1.0, float("nan")]), torch.ones(2), "the vectors")
    with pytest.raises(Wrong, match="The vectors are infinite"):
        expect_close(torch.tensor([1.0, float("inf")]), torch.ones(2), "the vectors")
    with pytest.raises(Wrong, match="The vectors look transposed"):
        expect_close(torch.arange(4.0).reshape(2, 2).T, torch.arange(4.0).reshape(2, 2), "the vectors")
