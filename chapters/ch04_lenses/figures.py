"""The figures of chapter 04: computed on Pico with `mi_lib.lens`, drawn by `mi_lib.plots`.

Those with a parameter `answer` are computed by the functions of an answer to the exercises.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import plotly.graph_objects as go
import torch
from torch import Tensor

from mi_lib import lens, load, plots, zoo
from mi_lib.course import findings, index
from mi_lib.models import HookedModel
from mi_lib.worlds import littletown

CHAPTER = index.chapter("04")
NAME = CHAPTER.model[0]
reading = findings.module(CHAPTER)
SENTENCE = reading.SENTENCES[1]  # The home of … is in
PERSON = "Ada"  # of whom the lesson speaks
PAIRS = 6  # of residents, for a table of patches: more take long and look the same
COSTS = (0.001, 0.01, 0.1, 1.0)  # nats, between the bars of `normed_twice`


@functools.cache
def _model() -> HookedModel:
    return load(NAME)


@functools.cache
def _untrained() -> HookedModel:
    from mi_lib.recipes.pico.common import untrained

    return untrained()


@functools.cache
def _tuned() -> lens.TunedLens:
    return lens.TunedLens.load(zoo.folder(NAME) / "tuned_lens.safetensors")


def _found() -> dict[str, Any]:
    return findings.read(CHAPTER)


def _travel() -> dict[str, Tensor]:
    """From the findings, because it takes thousands of runs."""
    return {name: torch.tensor(rows) for name, rows in _found()["travel"].items() if name != "pairs"}


@functools.cache
def _prose() -> Tensor:
    return reading.prose_texts()


def _depths() -> list[str]:
    return ["depth 0: embedding", *(f"depth {i + 1}: after block {i}" for i in range(_model().cfg.n_layers))]


def _by_depth(series: dict[str, list[float]], title: str, y_title: str, first: int = 0) -> go.Figure:
    """Bars over depth, with names that are short enough to stand upright."""
    n = _model().cfg.n_layers
    where = "depth (0: the embedding, " if first == 0 else "depth ("
    return plots.grouped_bars(range(first, n + 1), series, title, f"{where}{n}: the end)", y_title)


def first_guesses(answer: Any) -> go.Figure:
    """The likeliest word at each depth and position, for one sentence, by the answer's lens."""
    logits = answer.logit_lens(_model(), reading.prompt(PERSON, SENTENCE))[:, 0]  # [depth pos vocab]
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
        ["<|bos|>", *SENTENCE.format(PERSON).split()],
        "The first guess at every depth",
        "probability of the first guess",
        0,
        1,
    )


def normed_twice() -> go.Figure:
    """How far off the prediction is at each word of held-out prose, if the last hidden state is normed once more."""
    costs = reading.normed_twice(_model(), _prose())[0][:, 1:].flatten()
    bin_of = torch.bucketize(costs, torch.tensor(COSTS))
    low, *_, high = COSTS
    names = [f"under {low}", *(f"{a:g} to {b:g}" for a, b in itertools.pairwise(COSTS)), f"over {high:g}"]
    shares = {name: (bin_of == i).float().mean().item() for i, name in enumerate(names)}
    figure = plots.bars(shares, "Normalised twice: how far off is the prediction?", "share of words")
    return figure.update_xaxes(title="KL from the network's own prediction (nats)")


def answer_by_depth() -> go.Figure:
    """The share of residents whose town is the first guess of the logit lens, by depth, and the control."""
    tokens, answers = reading.questions(SENTENCE)
    series = {
        "Pico": reading.first_guess(lens.logit_lens(_model(), tokens), answers),
        "an untrained network": reading.first_guess(lens.logit_lens(_untrained(), tokens), answers),
        "Pico, marked with another's town": reading.first_guess(
            lens.logit_lens(_model(), tokens), answers[reading.elsewhere(answers)]
        ),
    }
    return _by_depth(series, "Logit lens: when is the town the first guess?", "share of residents")


def bias_alone() -> go.Figure:
    """How far each lens is from the final prediction, at two depths, for the question about the town: measured."""
    facts = _found()["bias"]
    found = {"depth 1": facts["at_1"], f"depth {facts['middle']}": facts["in_the_middle"]}
    names = {"logit": "logit lens", "bias": "a bias alone", "tuned": "tuned lens"}
    series = {name: [at_depth[key] for at_depth in found.values()] for key, name in names.items()}
    figure = plots.grouped_bars(list(found), series, "How far from the final prediction?", "", "KL (nats)")
    return figure.update_traces(texttemplate="%{y:.2f}", textposition="outside", cliponaxis=False)


def answer_by_lens() -> go.Figure:
    """The same for both lenses."""
    tokens, answers = reading.questions(SENTENCE)
    series = {
        "logit lens": reading.first_guess(lens.logit_lens(_model(), tokens), answers),
        "tuned lens": reading.first_guess(lens.tuned_lens(_model(), _tuned(), tokens), answers),
    }
    return _by_depth(series, "Two lenses: when is the town the first guess?", "share of residents")


def divergence_by_depth() -> go.Figure:
    """KL to the final prediction on prose, for both lenses and a bias alone, from depth 1 on (at the embedding it is
    far off): from the findings, because the bias is trained."""
    found, alone = _found()["prose"], _found()["bias"]["kl"]
    off = {"logit lens": found["kl"], "a bias alone": alone, "tuned lens": found["kl_tuned"]}
    depths = range(1, _model().cfg.n_layers + 1)
    series = {name: [at[f"depth_{depth}"] for depth in depths] for name, at in off.items()}
    return _by_depth(series, "How far from the final prediction?", "KL (nats)", first=1)


def who_wrote(answer: Any) -> go.Figure:
    """Mean contribution of every component to the logit of the town against another, by the answer."""
    parts = answer.layer_contributions(_model(), *reading.against())
    values = {name: value.mean().item() for name, value in parts.items()}
    return plots.bars(values, "Who wrote the town? (its logit minus that of another town)", "difference of logits")


def who_wrote_heads(answer: Any) -> go.Figure:
    """The same for every head, layer by layer."""
    heads, _ = answer.head_contributions(_model(), *reading.against())
    cfg = _model().cfg
    return plots.matrix(
        heads.mean(0),
        [f"block {layer}" for layer in range(cfg.n_layers)],
        [f"head {head}" for head in range(cfg.n_heads)],
        "What each head adds to the town's logit (against another town)",
    )


def travel(answer: Any) -> go.Figure:
    """What comes back of the answer, by layer and position, when the answer patches."""
    words = ["<|bos|>", *SENTENCE.format("(name)").split()]
    rows = [f"into block {layer}" for layer in range(_model().cfg.n_layers)]
    tables = [answer.patch_residual(_model(), *pair) for pair in reading.pairs(PAIRS, SENTENCE)]
    return plots.matrix(
        torch.stack(tables).mean(0), rows, _positions(words), f"How much comes back ({PAIRS} pairs of residents)",
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


def parts_of_a_name() -> go.Figure:
    """What Pico still answers without a part of a name's vector, and with that part alone: from the findings."""
    found = _found()["parts"]
    edits = {
        "same town: their mean": ("town", "neighbours"),
        "same dish: their mean": ("dish", "neighbours"),
        "without the town": ("town", "without"),
        "without the dish": ("dish", "without"),
        "without another town": ("town", "without_another"),
    }
    series = {
        f"{question}, {where}": [found[place][question][fact][kind] for fact, kind in edits.values()]
        for place, where in (("name", "at the name"), ("brought", "brought to the end"))
        for question in ("town", "dish")
    }
    title = "One part of a name for another question"
    return plots.sideways(plots.grouped_bars(list(edits), series, title, "", "share answered right"))
