"""Hidden tests of chapter 10: other seeds, other requests, a trained model in the format of GPT-2. See
`mi_lib/course/classroom/hidden.py`: of each test the learner reads the first line of the docstring and nothing else."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

import mi_lib
from mi_lib import steering
from mi_lib.course.grading import ByName, expect, expect_close, grades
from mi_lib.models import HookedModel
from mi_lib.steering import weights
from mi_lib.worlds.littletown import judges, talk

REFUSED = ByName("mi_lib.worlds.littletown.judges:refused")


@functools.cache
def trained() -> tuple[HookedModel, list[list[int]]]:
    """A trained model in the format of GPT-2 that is no chat model, and texts of unlike length."""
    source = torch.Generator().manual_seed(2027)
    rows = [torch.randint(2, 60, (n,), generator=source).tolist() for n in (6, 11, 8)]
    return mi_lib.load("repeats-gpt2", check=False), rows


def direction(seed: int, size: float = 2.0) -> Tensor:
    drawn = torch.randn(trained()[0].cfg.d_model, generator=torch.Generator().manual_seed(seed))
    return size * drawn / drawn.norm()


@functools.cache
def pico() -> HookedModel:
    return mi_lib.load("pico", check=False)


def asked(harmful: bool, n: int, seed: int, split: str = "train") -> list[list[int]]:
    draw = talk.harmful_requests if harmful else talk.harmless_requests
    return steering.chat(pico(), [case.user for case in draw(split, n, seed)])


@grades("10.1")
def test_the_ends_in_a_trained_model(answer):
    """What enters the blocks of a trained model at the ends of texts of unlike length."""
    model, rows = trained()
    want = torch.stack(
        [steering.collect(model, rows, ("resid_pre", at), (-3, -2, -1)) for at in range(model.cfg.n_layers)], 1
    )
    expect_close(answer.prompt_ends(model, rows, 3), want, "the ends", axes="prompt layer n d_model", atol=1e-3)


@grades("10.7")
def test_ablation_in_a_trained_model(answer):
    """A direction taken out of a trained model."""
    model, rows = trained()
    tokens = torch.tensor([rows[1]])
    with model.hooks(steering.ablate(direction(5))):
        want = model(tokens)
    expect_close(answer.logits_without(model, tokens, direction(5)), want, "the logits", atol=1e-3, rtol=1e-3)


@grades("10.10")
def test_the_weights_of_a_trained_model(answer):
    """The writers of a trained model without a direction."""
    model, _ = trained()
    got, edited = answer.without_direction(model, direction(6)), weights.orthogonalised(model, direction(6))
    for name in ("W_E", "W_pos", "W_O", "b_O", "W_out", "b_out"):
        expect_close(got[name], getattr(edited, name), f"the new {name}", atol=1e-4)


@grades("10.11")
def test_what_a_trained_model_can_still_do(answer):
    """Perplexity and answers of a trained model."""
    model, rows = trained()
    answers = [int(model(torch.tensor([row]))[0, -1].argmax()) for row in rows]
    for r in (None, direction(7)):
        losses = []
        with model.hooks([] if r is None else steering.ablate(r)):
            for row in rows:
                log_p = model(torch.tensor([row]))[0].log_softmax(-1)
                losses += [-float(log_p[i, token]) for i, token in enumerate(row[1:])]
            right = [int(model(torch.tensor([row]))[0, -1].argmax()) == a for row, a in zip(rows, answers, strict=True)]
        perplexity, share = answer.cost(model, rows, rows, answers, r)
        expect_close(perplexity, math.exp(sum(losses) / len(losses)), "the perplexity", rtol=1e-3)
        expect_close(share, sum(right) / len(right), "the share of right answers")


@grades("10.14")
def test_other_requests(answer):
    """The finding from other requests, tried on others, some of them behind a system prompt."""
    r, layer, dose = answer.refusal_direction(pico(), asked(True, 40, 777), asked(False, 40, 777), REFUSED)
    r, layer, dose = torch.as_tensor(r).float(), int(layer), float(dose)
    system = talk.DEFAULT_SYSTEMS[0]
    for prompts in (
        asked(True, 20, 3, "held_out"),
        steering.chat(pico(), [case.user for case in talk.harmful_requests("held_out", 20, 4)], system),
    ):
        said = steering.replies(pico(), prompts, steering.ablate(r), longest=12)
        left = sum(judges.refused(one.words) for one in said) / len(said)
        expect(left <= 0.1, f"Without your direction {left:.0%} of harmful requests are still refused.")
    said = steering.replies(
        pico(), asked(False, 20, 3, "held_out"), steering.add(r, dose, layer, positions=-1), longest=12
    )
    made = sum(judges.refused(one.words) for one in said) / len(said)
    expect(made >= 0.9, f"With your direction {made:.0%} of harmless requests are refused.")
