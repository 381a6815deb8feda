"""Hidden tests of chapter 04: a deeper network, a trained one of another format, guesses that are sure. See
`mi_lib/course/classroom/hidden.py`: of each test the learner reads the first line of the docstring and nothing else."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

import mi_lib
from mi_lib.course.grading import expect_close, expect_equal, grades
from mi_lib.course.grading.material import logits_with, randn, random_tokens, random_transformer
from mi_lib.models import HookedModel, Transformer

D_VOCAB = 19


@functools.cache
def deep(layers: int = 8) -> Transformer:
    """A random network with as many blocks."""
    return random_transformer(
        70 + layers, scale=0.25, n_layers=layers, d_model=15, n_heads=3, d_head=5, d_vocab=D_VOCAB, n_ctx=16, d_mlp=11,
        act="gelu", norm="layernorm", attn_bias=True, unembed_bias=True,
    )  # fmt: skip


def stream(model: HookedModel, tokens: Tensor) -> Tensor:
    """Depth by depth, in runs of their own."""
    found: list[Tensor] = []
    for depth in range(model.cfg.n_layers + 1):
        site = ("resid_pre", depth) if depth < model.cfg.n_layers else ("resid_post", depth - 1)
        with torch.no_grad():
            found.append(model.run_with_cache(tokens, site)[1][site])
    return torch.stack(found)


@grades("04.1")
def test_the_lens_of_other_networks(answer):
    """A network with more blocks, and a trained one that is not of this chapter."""
    trained = mi_lib.load("repeats-gpt2", check=False)
    for model, d_vocab in ((deep(), D_VOCAB), (trained, trained.cfg.d_vocab)):
        tokens = random_tokens(2, 9, d_vocab, 17)
        want = stream(model, tokens)
        got = answer.residual_stream(model, tokens)
        expect_close(got, want, "the residual stream", axes="depth batch pos d_model", atol=1e-3, rtol=1e-3)
        with torch.no_grad():
            logits = torch.stack([model.unembed(model.ln_final(x)) for x in want])
        got = answer.logit_lens(model, tokens)
        expect_close(got, logits, "the logit lens", axes="depth batch pos d_vocab", atol=1e-3, rtol=1e-3)


@grades("04.3")
def test_guesses_that_are_sure_and_wrong(answer):
    """The distance of lenses that are sure of something else."""
    logits = 70 * randn(4, 2, 3, 11, seed=21)
    rows = logits.double().log_softmax(-1)
    want = torch.zeros(4, 2, 3, dtype=torch.float64)
    for i in range(11):
        want += rows[-1, ..., i].exp() * (rows[-1, ..., i] - rows[..., i])
    expect_close(answer.kl_to_final(logits), want, "the distance", axes="depth batch pos", atol=1e-3, rtol=1e-3)


@grades("04.4")
def test_a_tuned_lens_of_a_trained_network(answer):
    """Translators in a trained network."""
    model = mi_lib.load("repeats-gpt2", check=False)
    layers, d = model.cfg.n_layers, model.cfg.d_model
    h = stream(model, random_tokens(2, 5, model.cfg.d_vocab, 23))
    A, b = 0.1 * randn(layers, d, d, seed=24), randn(layers, d, seed=25)
    with torch.no_grad():
        translated = [x + torch.einsum("ij,bpj->bpi", A[i], x) + b[i] for i, x in enumerate(h[:-1])]
        want = torch.stack([model.unembed(model.ln_final(x)) for x in [*translated, h[-1]]])
    expect_close(
        answer.tuned_lens(model, h, A, b), want, "the tuned lens", axes="depth batch pos d_vocab", atol=2e-3, rtol=1e-3
    )


def head_ratios(model: HookedModel, pairs: list[tuple[Tensor, Tensor, int, int]]) -> dict[tuple[int, int], float]:
    """Head by head, each in a run of its own."""
    found: dict[tuple[int, int], float] = {}
    for clean, corrupt, right, wrong in pairs:
        with torch.no_grad():
            m_clean, m_corrupt = (float(x[0, -1, right] - x[0, -1, wrong]) for x in (model(clean), model(corrupt)))
        for layer in range(model.cfg.n_layers):
            with torch.no_grad():
                z = model.run_with_cache(clean, ("z", layer))[1]["z", layer]
            for head in range(model.cfg.n_heads):

                def put(value: Tensor, z: Tensor = z, head: int = head) -> None:
                    value[:, -1, head] = z[:, -1, head]

                x = logits_with(model, corrupt, ("z", layer), put)[0, -1]
                ratio = (float(x[right] - x[wrong]) - m_corrupt) / (m_clean - m_corrupt)
                found[layer, head] = found.get((layer, head), 0.0) + ratio / len(pairs)
    return found


@grades("04.12")
def test_the_head_of_another_network(answer):
    """The head that brings the answer in a network as deep as the chapter's, with other weights."""
    model = deep(6)
    rows = random_tokens(6, 7, D_VOCAB, 29)
    pairs = [(rows[[i]], rows[[i + 3]], int(rows[i, 2]), int(rows[i + 3, 3])) for i in range(3)]
    ratios = head_ratios(model, pairs)
    got = tuple(int(n) for n in answer.find_recall(model, pairs))
    expect_equal(list(got), list(max(ratios, key=lambda place: ratios[place])), "the head")
