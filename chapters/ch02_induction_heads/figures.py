"""The figures of chapter 02: computed on the bundled models, drawn by `mi_lib.plots`.

Those with a parameter `answer` are computed by the functions of an answer to the exercises.
"""

from __future__ import annotations

import functools
from typing import Any

import plotly.graph_objects as go
import torch
from torch import Tensor

from mi_lib import induction, load, plots, zoo
from mi_lib.course import findings, index
from mi_lib.induction.loss import split_loss
from mi_lib.models import Hook, HookedModel
from mi_lib.worlds import repeats

SAMPLE_SEED = 2024
CHAPTER = index.chapter("02")


@functools.cache
def _model(name: str = "induction-2l", step: int | None = None) -> HookedModel:
    return load(name, checkpoint=step)


@functools.cache
def _one() -> repeats.Repeats:
    """One sequence: two words of offset, a block of eight, and its repeat."""
    return repeats.sample(1, seed=SAMPLE_SEED, period=8, offset=2)


@functools.cache
def _many() -> repeats.Repeats:
    return repeats.sample(32, seed=SAMPLE_SEED + 1, period=(8, 24))


def _words() -> list[str]:
    return [repeats.VOCABULARY[i] for i in _one().tokens[0].tolist()]


def _heads(kind: str) -> list[tuple[int, int]]:
    """The heads that the model's card names."""
    return [(layer, head) for layer, head in zoo.card("induction-2l")["circuit"][kind]]


def _loss(logits: Tensor) -> list[float]:
    return induction.per_token_loss(logits, _one().tokens)[0].tolist()


def loss_on_one_sequence() -> go.Figure:
    """How surprising each word is to the 2-layer model, and to the 1-layer model."""
    runs = {"two layers": _loss(_model()(_one().tokens)), "one layer": _loss(_model("induction-1l")(_one().tokens))}
    return plots.token_loss(runs, _words(), "Loss of each word: eight words, and the same eight again")


def all_heads() -> go.Figure:
    """Every head of the 2-layer model on one sequence."""
    _, cache = _model().run_with_cache(_one().tokens, lambda name: name.endswith("hook_pattern"))
    patterns = torch.cat([cache["pattern", layer][0] for layer in range(2)])
    names = [f"head {layer}.{head}" for layer in range(2) for head in range(4)]
    return plots.head_grid(patterns, _words(), names, "Where all eight heads look (rows look at columns)")


def an_induction_head(answer: Any) -> go.Figure:
    """The head with the highest prefix-matching score, with rings where it should look; all by the answer."""
    tokens = _one().tokens
    previous = answer.previous_occurrence(tokens)
    patterns = [answer.attention_pattern(_model(), tokens, layer) for layer in range(_model().cfg.n_layers)]
    scores = torch.stack([answer.prefix_matching_score(pattern, previous) for pattern in patterns])  # [layer head]
    layer, head = divmod(int(scores.argmax()), scores.shape[1])
    target = torch.where(previous >= 0, previous + 1, -1)[0]
    title = f"Head {layer}.{head}: prefix-matching score {scores[layer, head]:.2f}"
    return plots.attention(patterns[layer][0, head], _words(), title, highlight=target)


def loss_without_heads() -> go.Figure:
    """The same sequence without the induction head, and without all heads that are in neither half of the circuit."""
    tokens = _one().tokens
    others = _heads("others")
    runs = {
        "whole model": _loss(_model()(tokens)),
        "without the induction head": _loss(induction.ablate_heads(_model(), tokens, _heads("induction"))),
        f"without all {len(others)} others": _loss(induction.ablate_heads(_model(), tokens, others)),
    }
    return plots.token_loss(runs, _words(), "Loss of each word when heads are silenced")


def worth_of_each_head(answer: Any) -> go.Figure:
    """Of what later copies save, the share that is lost when one head is silenced by the answer: early in training, and
    late."""
    sample, early = _many(), findings.read(CHAPTER)["worth"]["early_step"]
    rows = []
    for model in (_model(step=early), _model()):
        first, second = _copies(model(sample.tokens), sample)
        for layer in range(model.cfg.n_layers):
            runs = [answer.ablate_head(model, sample.tokens, layer, head) for head in range(model.cfg.n_heads)]
            rows.append([(_copies(logits, sample)[1] - second) / (first - second) for logits in runs])
    return plots.matrix(
        rows,
        [f"layer {layer}, {when}" for when in (f"at step {early}", "finished") for layer in range(2)],
        [f"head {head}" for head in range(4)],
        "Share of the saving lost without this head",
    )


def _copies(logits: Tensor, sample: repeats.Repeats) -> tuple[float, float]:
    """Mean loss on first and on later copies."""
    return split_loss(induction.per_token_loss(logits, sample.tokens), sample)


def three_ablations() -> go.Figure:
    """Loss on later copies under the three kinds of ablation, for three groups of heads."""
    without = findings.read(CHAPTER)["without"]
    names = {"induction": "the induction head", "previous": "the previous-token head", "others": "all others"}
    kinds = {"zero": "zero", "mean": "mean", "pattern_preserving": "patterns frozen"}
    losses = [[without[group][kind] for kind in kinds] for group in names]
    title = "Loss on later copies (nats) without …"
    return plots.matrix(losses, list(names.values()), list(kinds.values()), title, diverging=False)


def notes_moved() -> go.Figure:
    """Where the induction head looks if what the previous-token head writes lies one place further to the left."""
    (layer, head), (below, writer) = _heads("induction")[0], _heads("previous")[0]

    def move(z: Tensor, hook: Hook) -> Tensor:
        z = z.clone()
        z[:, :-1, writer] = z[:, 1:, writer].clone()
        return z

    with _model().hooks([(("z", below), move)]):
        _, cache = _model().run_with_cache(_one().tokens, ("pattern", layer))
    title = f"Head {layer}.{head}, notes moved one place to the left"
    return plots.attention(cache["pattern", layer][0, head], _words(), title, highlight=_one().induction_target[0])


def who_copies(answer: Any) -> go.Figure:
    """The eigenvalue copying score of every head, by the answer."""
    model, layers = _model(), range(_model().cfg.n_layers)
    embeddings = model.W_E, model.W_U
    scores = [
        [
            answer.copying_score(embeddings[0], model.W_V[layer, head], model.W_O[layer, head], embeddings[1])
            for head in range(model.cfg.n_heads)
        ]
        for layer in layers
    ]
    return plots.matrix(
        scores,
        [f"layer {layer}" for layer in layers],
        [f"head {head}" for head in range(model.cfg.n_heads)],
        "Copying score Σλ / Σ|λ| of every head",
    )


def who_reads_whom(answer: Any) -> go.Figure:
    """K-composition above chance between the two layers, by the answer."""
    model = _model()
    values = answer.composition_above_chance(model.W_V[0], model.W_O[0], model.W_Q[1], model.W_K[1])
    return plots.matrix(
        values,
        [f"0.{head} writes" for head in range(4)],
        [f"1.{head} reads" for head in range(4)],
        "K-composition above chance",
        decimals=3,  # as the lesson says them
    )


def two_trainings() -> go.Figure:
    """Loss over training, on first and later copies, for both models."""
    two, one = (zoo.card(name)["curves"] for name in ("induction-2l", "induction-1l"))
    series = {
        "later copies, two layers": two["second"],
        "later copies, one layer": one["second"],
        "first copies, two layers": two["first"],
    }
    return plots.lines(two["step"], series, "Loss during training", "training step", "loss (nats)")


def birth_of_the_heads() -> go.Figure:
    """Previous-token scores in layer 0 and prefix-matching scores in layer 1, over training."""
    curves = zoo.card("induction-2l")["curves"]
    series = {f"0.{h}, looks one back": [layers[0][h] for layers in curves["previous_token"]] for h in range(4)}
    series |= {f"1.{h}, matches the prefix": [layers[1][h] for layers in curves["prefix_matching"]] for h in range(4)}
    return plots.lines(curves["step"], series, "Scores of the heads during training", "training step", "score")
