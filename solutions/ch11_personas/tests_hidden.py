"""Hidden tests of chapter 11: other seeds, other shapes, a trained model in the format of GPT-2. See
`mi_lib/course/classroom/hidden.py`: of each test the learner reads the first line of the docstring and nothing else."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

import mi_lib
from mi_lib import personas, steering
from mi_lib.course.grading import expect_close, grades
from mi_lib.models import HookedModel


@functools.cache
def trained() -> tuple[HookedModel, list[list[int]], list[list[int]]]:
    """A trained model in the format of GPT-2 that is no chat model; prompts and replies of unlike length."""
    source = torch.Generator().manual_seed(2027)
    rows = [torch.randint(2, 60, (n,), generator=source).tolist() for n in (9, 14, 8)]
    return mi_lib.load("repeats-gpt2", check=False), [r[:5] for r in rows], [r[5:] for r in rows]


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@grades("11.2")
def test_replies_in_a_trained_model(answer):
    """Where replies stand in a trained model."""
    model, prompts, replies = trained()
    sites = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
    want = steering.collect_replies(model, prompts, replies, sites, ends={r[-1] for r in replies})
    expect_close(answer.reply_means(model, prompts, replies), want, "the means", axes="reply layer d_model", atol=1e-3)


@grades("11.5")
def test_other_kinds(answer):
    """Correlations within other kinds."""
    x, y, kinds = drawn(41, seed=5), drawn(41, seed=6), torch.arange(41) % 5
    x, y = x + kinds, y - 2 * kinds + 0.7 * x
    want = personas.within(x.numpy(), y.numpy(), kinds.numpy())
    expect_close(answer.within_kinds(x, y, kinds), want, "the correlation within kinds", atol=1e-4)


@grades("11.7")
def test_the_loss_in_a_trained_model(answer):
    """The loss of replies in a trained model while a vector is added."""
    model, prompts, replies = trained()
    v = drawn(model.cfg.d_model, seed=9)
    texts = [personas.Text(p, r) for p, r in zip(prompts, replies, strict=True)]
    want = float(personas.reply_loss(model, texts, steering.add(v, 1.5, 1)))
    expect_close(answer.tuning_loss(model, prompts, replies, v, 1.5, 1), want, "the loss", rtol=1e-3)


@grades("11.9")
def test_other_scores(answer):
    """AUROC of other scores, with ties."""
    scores, planted = (2 * drawn(57, seed=3)).round(), drawn(57, seed=4) > 0.8
    expect_close(answer.auroc(scores, planted), personas.auroc(scores, planted), "the AUROC")


@grades("11.10")
def test_another_space(answer):
    """Shares of the variance of other roles."""
    roles = drawn(15, 32, seed=8) * torch.linspace(0.2, 3, 32) + 9
    expect_close(answer.role_space(roles)[1], personas.space(roles).shares, "the shares", atol=1e-4)


@grades("11.11")
def test_another_axis(answer):
    """The alignment of another axis."""
    roles, assistant = drawn(11, 24, seed=2) * torch.linspace(0.2, 3, 24), 4 * drawn(24, seed=7)
    want = personas.Axis(roles[:, None], assistant[None]).alignment(0)
    expect_close(answer.alignment(assistant, roles), want, "the alignment", atol=1e-4)


@grades("11.13")
def test_capping_with_other_floors(answer):
    """Streams held at other floors."""
    stream, axis = drawn(2, 9, 32, seed=12), 6 * drawn(32, seed=13)
    for floor in (-1.5, 0.0, 2.0):
        ((_, way),) = steering.hold(axis, floor, 0)
        expect_close(answer.cap(stream, axis, floor), way.change(stream), "the capped stream", atol=1e-4)
