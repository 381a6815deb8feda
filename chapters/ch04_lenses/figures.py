"""The figures of chapter 04: computed on Pico with `mi_lib.lens`, drawn by `mi_lib.plots`."""

from __future__ import annotations

import functools

import plotly.graph_objects as go
import torch
from torch import Tensor

from mi_lib import lens, load, plots, zoo
from mi_lib.models import HookedModel
from mi_lib.recipes import pico_reading as reading
from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import people

NAME = "pico"
SENTENCE = reading.SENTENCES[1]  # The home of … is in
PERSON = people.RESIDENTS[20]


@functools.cache
def _model() -> HookedModel:
    return load(NAME)


@functools.cache
def _untrained() -> HookedModel:
    from mi_lib.recipes.pico_card import untrained

    return untrained()


@functools.cache
def _tuned() -> lens.TunedLens:
    return lens.TunedLens.load(zoo.folder(NAME) / "tuned_lens.safetensors")


@functools.cache
def _travel() -> dict[str, Tensor]:
    return reading.travel(_model(), SENTENCE)


def _depths() -> list[str]:
    return ["depth 0: embedding", *(f"depth {i + 1}: after block {i}" for i in range(_model().cfg.n_layers))]


def _words(person: str = PERSON) -> list[str]:
    return ["<|bos|>", *SENTENCE.format(person).split()]


def first_guesses() -> go.Figure:
    """The likeliest word at each depth and position, for one sentence."""
    logits = lens.logit_lens(_model(), reading.prompt(PERSON, SENTENCE))[:, 0]  # [depth pos vocab]
    probabilities = logits.softmax(-1)
    best = probabilities.topk(5)
    vocabulary = littletown.vocabulary()
    names = [[[vocabulary[i] for i in cell] for cell in row] for row in best.indices.tolist()]
    hovers = [
        ["<br>".join(f"{w} {p:.0%}" for w, p in zip(*cell, strict=True)) for cell in zip(*row, strict=True)]
        for row in zip(names, best.values.tolist(), strict=True)
    ]
    return plots.lens_table(
        best.values[..., 0],
        [[cell[0] for cell in row] for row in names],
        hovers,
        _depths(),
        _words(),
        "The first guess at every depth",
        "probability of the first guess",
        0,
        1,
    )


def answer_by_depth() -> go.Figure:
    """The share of residents whose town is the first guess, by depth."""
    tokens, answers = reading.questions(SENTENCE)
    series = {
        "Pico, logit lens": reading.first_guess(lens.logit_lens(_model(), tokens), answers),
        "Pico, tuned lens": reading.first_guess(lens.tuned_lens(_model(), _tuned(), tokens), answers),
        "an untrained network": reading.first_guess(lens.logit_lens(_untrained(), tokens), answers),
    }
    return plots.grouped_bars(_depths(), series, "When is the town the first guess?", "", "share of residents")


def divergence_by_depth() -> go.Figure:
    """KL to the final prediction on prose, for both lenses, from depth 1 on (at the embedding it is far off)."""
    tokens = torch.tensor([_ids(text) for text in _texts()])
    plain = lens.kl_to_final(lens.logit_lens(_model(), tokens))[:, :, 1:].mean((1, 2))
    tuned = lens.kl_to_final(lens.tuned_lens(_model(), _tuned(), tokens))[:, :, 1:].mean((1, 2))
    series = {"logit lens": plain[1:].tolist(), "tuned lens": tuned[1:].tolist()}
    return plots.grouped_bars(_depths()[1:], series, "How far from the final prediction?", "", "KL (nats)")


def _texts() -> list[list[str]]:
    """The first fifteen words of held-out texts that are long enough."""
    texts = (littletown.document(i, 3, "held_out") for i in range(120))
    return [text.words[:15] for text in texts if len(text.words) >= 15]


def _ids(words: list[str]) -> list[int]:
    number = {word: i for i, word in enumerate(littletown.vocabulary())}
    return [number["<|bos|>"], *(number[word] for word in words)]


@functools.cache
def _against() -> tuple[Tensor, Tensor, Tensor]:
    """Prompts, towns, and for each another town, the next resident's who lives elsewhere."""
    tokens, right = reading.questions(SENTENCE)
    order = torch.arange(len(right))
    wrong = torch.stack([next(t for t in right[order.roll(-i)] if t != right[i]) for i in range(len(right))])
    return tokens, right, wrong


def who_wrote() -> go.Figure:
    """Mean contribution of every component to the logit of the town against another."""
    parts = lens.direct_logit_attribution(_model(), *_against())
    values = dict(zip(parts.names, parts.values.mean(1).tolist(), strict=True))
    return plots.bars(values, "Who wrote the town? (its logit minus that of another town)", "difference of logits")


def who_wrote_heads() -> go.Figure:
    """The same for every head, layer by layer."""
    parts = lens.direct_logit_attribution(_model(), *_against(), heads=True)
    cfg = _model().cfg
    values = [[_head(parts, layer, head) for head in range(cfg.n_heads)] for layer in range(cfg.n_layers)]
    return plots.matrix(
        values,
        [f"block {layer}" for layer in range(cfg.n_layers)],
        [f"head {head}" for head in range(cfg.n_heads)],
        "What each head adds to the town's logit (against another town)",
    )


def _head(parts: lens.Contributions, layer: int, head: int) -> float:
    return parts[f"head {layer}.{head}"].mean().item()


def travel() -> go.Figure:
    """What comes back of the answer, by layer and position."""
    words = ["<|bos|>", *SENTENCE.format("(name)").split()]
    rows = [f"into block {layer}" for layer in range(_model().cfg.n_layers)]
    return plots.matrix(
        _travel()["resid_pre"], rows, _positions(words), "How much of the answer comes back, patched at one place",
        diverging=False,
    )  # fmt: skip


def _positions(words: list[str]) -> list[str]:
    return [f"{word} ({i})" for i, word in enumerate(words)]


def attention_or_mlp() -> go.Figure:
    """At the last position: what attention and MLP of each block bring back when patched alone."""
    seen = _travel()
    series = {"attention": seen["attn_out"][:, -1].tolist(), "MLP": seen["mlp_out"][:, -1].tolist()}
    return plots.grouped_bars(
        [f"block {layer}" for layer in range(_model().cfg.n_layers)], series,
        "Patched at the last position alone", "", "share that comes back",
    )  # fmt: skip
