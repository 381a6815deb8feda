"""Hidden tests of chapter 07: other seeds, another trained model, other texts of Pico. See
`mi_lib/course/classroom/hidden.py`: of each test the learner reads the first line of the docstring and nothing else."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

import mi_lib
from mi_lib import probing
from mi_lib.course import findings, index
from mi_lib.course.grading import expect, expect_close, grades
from mi_lib.models import HookedModel


@functools.cache
def trained() -> tuple[HookedModel, list[list[int]], Tensor, Tensor, Tensor, Tensor]:
    """A trained model in the format of GPT-2, texts padded at the left, and its two likeliest tokens after each."""
    model = mi_lib.load("repeats-gpt2", check=False)
    source = torch.Generator().manual_seed(4711)
    rows = [torch.randint(2, 60, (length,), generator=source).tolist() for length in (5, 9, 3, 8, 6, 7, 4)]
    tokens, mask = torch.zeros(7, 9, dtype=torch.long), torch.zeros(7, 9, dtype=torch.bool)
    for i, row in enumerate(rows):
        tokens[i, 9 - len(row) :], mask[i, 9 - len(row) :] = torch.tensor(row), True
    likely = probing.end_logits(model, rows).topk(2).indices
    return model, rows, tokens, mask, likely[:, 0], likely[:, 1]


@grades("07.1")
def test_a_trained_model(answer):
    """Activations of a trained model, of texts that are padded at the left."""
    model, rows, tokens, mask, _, _ = trained()
    n = model.cfg.n_layers
    want = probing.collect(model, rows, [*(("resid_pre", d) for d in range(n)), ("resid_post", n - 1)])[:, 0]
    got = answer.collect(model, tokens, mask)
    expect_close(got, want, "the activations", axes="depth text d_model", atol=1e-3, rtol=1e-3)


@grades("07.3")
def test_another_spread(answer):
    """The corrected direction where one direction varies ten times as much as the others."""
    source = torch.Generator().manual_seed(88)
    y = torch.arange(60) % 2
    x = torch.randn(60, 4, generator=source) * torch.tensor([10.0, 1.0, 1.0, 0.5]) + y[:, None] - 30
    want = probing.mass_mean(x, y, covariance=True, shrink=0.05)
    direction, bias = answer.corrected(x, y, 0.05)
    expect_close(direction, want.direction(), "the direction", axes="d", atol=1e-3, rtol=5e-3)
    expect_close(bias, float(want.bias[1] - want.bias[0]), "the bias", atol=2e-2, rtol=5e-3)


@grades("07.9")
def test_flips_of_a_trained_model(answer):
    """Answers of a trained model that are turned over by a flip."""
    model, rows, tokens, mask, one, other = trained()
    depth = 1
    x = probing.collect(model, rows, [("resid_pre", depth)])[0, 0]
    for seed in range(4):
        source = torch.Generator().manual_seed(seed)
        reading, direction = (torch.randn(x.shape[1], generator=source) for _ in range(2))
        direction = direction + reading
        bias = -float(x.mean(0) @ reading) + 0.4
        want = probing.turned(model, rows, ("resid_pre", depth), probing.flip(reading, bias, direction), one, other)
        got = answer.turned(model, tokens, mask, depth, reading, bias, direction, one, other)
        expect(torch.equal(got.bool(), want), "An answer is said to turn over, and does not, or the other way round.")


@grades("07.11")
def test_five_classes(answer):
    """The eraser of five classes, one of them rare."""
    source = torch.Generator().manual_seed(99)
    y = torch.cat([torch.arange(5).repeat(2), torch.randint(0, 4, (120,), generator=source)])
    x = torch.randn(5, 9, generator=source)[y] + torch.randn(130, 9, generator=source) @ torch.randn(
        9, 9, generator=source
    )
    M, mean = answer.leace(x, y, 5)
    expect_close(M, probing.leace(x, y, 5).matrix, "M", axes="d d", atol=1e-3, rtol=5e-3)
    expect_close(mean, x.mean(0), "μ", axes="d", atol=1e-3)


@grades("07.12")
def test_gradients_of_a_trained_model(answer):
    """Gradients of a trained model, at texts that are padded at the left."""
    model, rows, tokens, mask, one, other = trained()
    want = torch.stack(
        [
            probing.gradients_at(
                model,
                torch.tensor([row]),
                ("resid_pre", 1),
                lambda logits, i=i: logits[:, -1, one[i]] - logits[:, -1, other[i]],
            )[0, -1]
            for i, row in enumerate(rows)
        ]
    )
    got = answer.gradients(model, tokens, mask, 1, one, other)
    expect_close(got, want, "the gradients", axes="text d_model", atol=2e-3, rtol=1e-2)


@grades("07.14")
def test_other_sentences(answer):
    """Which property is used, in other sentences."""
    case = findings.module(index.chapter("07")).number_case(seed=907)
    used, depth, readings, biases, directions = answer.find_used(
        case.model, case.fitted.tokens, case.fitted.mask, case.fitted.labels, case.fitted.one, case.fitted.other
    )
    expect(used == case.used, "Another property is used.")
    change = probing.flip(readings[used], float(biases[used]), directions[used])
    turns = probing.turned(case.model, case.read.rows, ("resid_pre", depth), change, case.read.one, case.read.other)
    expect(float(turns.double().mean()) >= 0.9, "The flip of the property that is used turns over too few answers.")
