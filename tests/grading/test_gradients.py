"""Gradients of a learner's function: which answers pass, and what the others are told."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mi_lib.course.grading import AnswerError, Wrong, expect_gradients
from mi_lib.course.grading.answer import Answer
from mi_lib.course.grading.gradients import gradients
from mi_lib.course.grading.here import Local
from mi_lib.course.grading.material import randn
from mi_lib.course.grading.running import load


def answer(body: str) -> Answer:
    """`scaled` of a learner's file, who has written this body."""
    line = Local()
    load(line, f"# %% [setup]\nimport torch\n# %% [01.1]\ndef scaled(x, w, times):\n    {body}\n", "mine.py", "01.1")
    return Answer(line.ask)


ARGS = {"x": randn(3, 5, seed=1), "w": {"scale": randn(5, seed=2), "shift": randn(5, seed=3)}, "times": 2}
NAMES = ["x", "scale", "shift"]


def oracle(x: Tensor, w: dict[str, Tensor], times: int) -> Tensor:
    return times * F.silu(x * w["scale"] + w["shift"])


RIGHT = "y = x * w['scale'] + w['shift']; return times * y * torch.sigmoid(y)"


def told(body: str, **how) -> str:
    with pytest.raises(Wrong) as caught:
        expect_gradients(answer(body), "scaled", ARGS, oracle, "the result", **how)
    return str(caught.value)


def test_a_right_answer_passes_however_it_is_written():
    expect_gradients(answer(RIGHT), "scaled", ARGS, oracle, "the result")
    body = "return times * torch.nn.functional.silu(torch.addcmul(w['shift'], x, w['scale']))"
    expect_gradients(answer(body), "scaled", ARGS, oracle, "the result")


def test_gradients_are_those_of_torch_by_the_names_that_the_learner_knows():
    weights = randn(3, 5, seed=4)
    got = gradients(answer(RIGHT), "scaled", ARGS, weights)
    leaves = [ARGS["x"].clone().requires_grad_(), *(t.clone().requires_grad_() for t in ARGS["w"].values())]
    out = oracle(leaves[0], {"scale": leaves[1], "shift": leaves[2]}, 2)
    for name, want in zip(NAMES, torch.autograd.grad((out * weights).sum(), leaves), strict=True):
        assert torch.allclose(got[name], want, atol=1e-5)
    assert list(gradients(answer(RIGHT), "scaled", ARGS, weights, wrt=["shift"])) == ["shift"]


@pytest.mark.parametrize(
    ("body", "leaf"),
    [
        ("y = x.detach() * w['scale'] + w['shift']; return times * y * torch.sigmoid(y)", "to x, or not on every way"),
        ("y = x * w['scale'] + w['shift']; return times * y * torch.sigmoid(y.detach())", "to x, or not on every way"),
        ("y = x * w['scale'].data + w['shift']; return times * y * torch.sigmoid(y)", "to scale, or not on every way"),
        ("y = x * w['scale'] + w['shift']; return (times * y * torch.sigmoid(y)).detach()", "through it, so the"),
        (
            "y = x.numpy() * w['scale'].numpy() + w['shift'].numpy(); return times * y / (1 + 2.718281828 ** -y)",
            "it, so",
        ),
    ],
)
def test_a_lost_gradient_is_told_with_what_it_does_not_reach(body, leaf):
    sentence = told(body)
    assert sentence.startswith("Your scaled computes the right numbers, but no gradient comes through it")
    assert leaf in sentence


def test_what_nobody_asks_for_may_be_lost():
    body = "y = x.detach() * w['scale'] + w['shift']; return times * y * torch.sigmoid(y)"
    expect_gradients(answer(body), "scaled", ARGS, oracle, "the result", wrt=["scale", "shift"])
    lost = "y = x * w['scale'] + w['shift']; return (times * y * torch.sigmoid(y)).detach()"
    assert "and the next exercise needs it" in told(lost, so="and the next exercise needs it")


def test_wrong_numbers_are_told_first():
    assert "computes the right numbers" not in told("return (x * w['scale']).detach()")


def test_an_error_of_the_learners_own_is_no_lost_gradient():
    body = "assert not x.requires_grad, 'mine'; y = x * w['scale'] + w['shift']; return times * y * torch.sigmoid(y)"
    with pytest.raises(AnswerError, match="mine"):
        expect_gradients(answer(body), "scaled", ARGS, oracle, "the result")


def test_a_forged_reply_of_another_shape_counts_as_no_gradient():
    """Whoever replaces `torch.autograd.grad` in their own process gains nothing."""
    forged = "torch.autograd.grad = lambda *a, **k: [torch.ones(2), None, 'yes']; " + RIGHT
    keep = torch.autograd.grad
    try:
        assert "no gradient comes through it to x" in told(forged)
    finally:
        torch.autograd.grad = keep
