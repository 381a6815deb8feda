"""Hidden tests of chapter 01: vectors far from zero, a deeper network, surer guesses. See
`mi_lib/course/classroom/hidden.py`: of each test the learner reads the first line of the docstring and nothing else."""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from mi_lib.course.grading import expect_close, grades
from mi_lib.course.grading.material import randn, random_tokens, randomised

VOCABULARY, HEADS = 23, 3


@functools.cache
def deep() -> tuple[Any, dict[str, Tensor]]:
    """A random GPT-2 of nine blocks, and its weights under the names of GPT-2's own files."""
    config = GPT2Config(
        n_embd=15, n_head=HEADS, n_layer=9, n_positions=19, vocab_size=VOCABULARY, bos_token_id=None,
        eos_token_id=None, attn_implementation="eager",
    )  # fmt: skip
    model = randomised(GPT2LMHeadModel(config), seed=77, std=0.3)
    weights = {
        name.removeprefix("transformer."): w for name, w in model.state_dict().items() if name != "lm_head.weight"
    }
    return model, weights


@grades("01.2")
def test_vectors_far_from_zero(answer):
    """Vectors whose mean is much larger than what they vary by."""
    for seed, mean in ((1, 1000.0), (2, -1500.0)):
        x, weight, bias = mean + randn(2, 5, 31, seed=seed), 1 + randn(31, seed=seed + 5), randn(31, seed=seed + 9)
        want = F.layer_norm(x.double(), (31,), weight.double(), bias.double(), 1e-5)
        expect_close(answer.layer_norm(x, weight, bias), want, "the norm", axes="batch pos d_model", atol=2e-3)


@grades("01.8")
def test_a_deeper_network(answer):
    """More blocks than any network of the chapter has."""
    model, weights = deep()
    tokens = random_tokens(2, 17, VOCABULARY, 31)
    with torch.no_grad():
        want = model(tokens).logits
    expect_close(
        answer.gpt2(tokens, weights, HEADS), want, "the logits", axes="batch pos d_vocab", atol=2e-3, rtol=1e-3
    )


@grades("01.9")
def test_guesses_that_are_sure_and_wrong(answer):
    """The loss of a network that is sure of the wrong token."""
    tokens = random_tokens(3, 11, 7, 5)
    logits = 80 * randn(3, 11, 7, seed=6)
    rows, at = logits.double()[:, :-1].log_softmax(-1), tokens[:, 1:]
    want = -sum(float(rows[i, j, at[i, j]]) for i in range(3) for j in range(10)) / 30
    expect_close(answer.next_token_loss(logits, tokens), want, "the loss", rtol=1e-4)


@grades("01.13")
def test_a_deep_network_piece_by_piece(answer):
    """A text in pieces of unlike length, and how a deeper network goes on."""
    model, weights = deep()
    tokens = random_tokens(2, 15, VOCABULARY, 41)
    with torch.no_grad():
        want = model(tokens).logits
    got, cache = [], []
    for first, last in ((0, 1), (1, 6), (6, 11), (11, 15)):
        logits, cache = answer.step(tokens[:, first:last], cache, weights, HEADS)
        got.append(torch.as_tensor(logits))
    expect_close(torch.cat(got, 1), want, "the logits", axes="batch pos d_vocab", atol=2e-3, rtol=1e-3)
