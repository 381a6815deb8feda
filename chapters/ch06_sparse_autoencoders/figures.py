"""The figures of chapter 06, drawn by `mi_lib.plots`. What takes long to train comes from the findings.

Those with a parameter `answer` are computed by the functions of an answer to the exercises.
"""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import torch

from mi_lib import plots, saes
from mi_lib.course import findings, index
from mi_lib.worlds.features import planted

CHAPTER = index.chapter("06")
measured = findings.module(CHAPTER)
KINDS = {"relu": "ReLU + L1", "topk": "TopK", "batch_topk": "BatchTopK", "jumprelu": "JumpReLU", "gated": "Gated",
         "matryoshka": "Matryoshka"}  # fmt: skip


def _found() -> dict[str, Any]:
    return findings.read(CHAPTER)


def shrunken(answer: Any) -> go.Figure:
    """The best activation for a feature of strength a, at three penalties, by the answer."""
    a = torch.linspace(0, 1.5, 61)
    series = {"λ = 0": a, **{f"λ = {l1:g}": answer.best_activation(a, l1) for l1 in (0.3, 0.6, 1.0)}}
    return plots.lines(
        a.tolist(), series, "How much does a latent say?", "strength of the feature a", "best activation f"
    )


def three_shapes(answer: Any) -> go.Figure:
    """What ReLU, a soft threshold and the answer's JumpReLU make of z."""
    z = torch.linspace(-0.5, 2.5, 121)
    jump = answer.jumprelu(z[:, None], torch.ones(1), 0.2)[:, 0]
    series = {"ReLU": z.relu(), "ReLU, after L1 has shrunk it": (z - 1).relu(), "JumpReLU": jump}
    return plots.lines(z.tolist(), series, "Three ways to be 0 at times", "z, before", "f, after")


def planted_found(answer: Any) -> go.Figure:
    """How well the answer's dictionary has found the features of a planted world."""
    world = planted(20, 12, frequency=0.09, seed=77)
    x = world.draw(20_000, torch.Generator().manual_seed(1)).x
    W_dec = answer.train_dictionary(x, 30, 2, 400, 3)[2]
    score = saes.match_directions(world.directions, W_dec).score
    values = {f"{i}": value for i, value in enumerate(score.tolist())}
    return plots.bars(
        values, "Twenty planted features in twelve dimensions", "cosine with the latent", reference=0.9
    ).update_xaxes(title="feature")


def six_kinds() -> go.Figure:
    """Size and variance explained, for the six kinds of dictionaries."""
    each = _found()["variants"]["each"]
    series = {
        "size of what latents say": [each[name]["size"] for name in KINDS],
        "variance explained": [each[name]["fve"] for name in KINDS],
        "features found": [each[name]["found"] for name in KINDS],
    }
    return plots.grouped_bars(list(KINDS.values()), series, "Forty planted features, six kinds", "", "share")


def who_knows_towns() -> go.Figure:
    """F1 of the best latent, neuron and coordinate for towns, on held-out texts."""
    found = _found()["town"]
    values = {
        f"latent {found['latent']['number']}": found["latent"]["f1"],
        "the best neuron": found["neuron"]["f1"],
        "the best coordinate": found["coordinate"]["f1"],
        "labels dealt anew": found["dealt_anew"],
    }
    return plots.bars(values, "Who says where a town is?", "F1")


def your_names(answer: Any) -> go.Figure:
    """Detection of the answer's names on held-out texts: for their own latent, and for the next one's."""
    texts = measured.texts_to_name()
    latents = list(texts)
    own, other = [], []
    for at, latent in enumerate(latents):
        words = [row for row, _ in texts[latent]]
        active = torch.tensor([value for _, row in texts[latent] for value in row])
        for name, scores in ((latent, own), (latents[at - 1], other)):
            said = torch.tensor([bool(value) for row in words for value in answer.named(name, row)])
            scores.append(float(said[active].float().mean() - said[~active].float().mean()))
    names = [f"latent {latent}" for latent in latents]
    series = {"its own name": own, "the name of another": other}
    return plots.grouped_bars(names, series, "Does the name say where it is active?", "", "detection")


def a_lever() -> go.Figure:
    """What Pico says next, untouched and with edits."""
    found = _found()["lever"]
    names = {
        "untouched": "untouched",
        "clamped": f"latent {found['latent']} held",
        "random": "random pushes",
        "other_latents": "other latents held",
        "near_held": "its ten neighbours",
        "strongest_held": f"of these latent {found['strongest']}",
    }
    return _probable(found, names, f"How probable is {found['list']} as the next word?")


def what_is_needed() -> go.Figure:
    """What silencing a latent does where it is active, and what silencing its neighbours does there."""
    found = _found()
    latent = found["lever"]["latent"]
    names = {
        "untouched": "untouched",
        "silenced": f"latent {latent} silenced",
        "random": "a random push",
        "strongest_other": "the strongest other latent silenced",
        "near_silenced": "its neighbours silenced",
        "near_as_far": "these, as far as the latent",
    }
    title = f"How probable is {found['lever']['list']}, where latent {latent} is active?"
    return _probable(found["needed"]["both"], names, title)


def _probable(found: dict[str, Any], names: dict[str, str], title: str) -> go.Figure:
    """Bars of probabilities, by their keys in the findings, with their intervals."""
    values = {name: found[key] for key, name in names.items()}
    errors = {name: (found[f"{key}_interval"][1] - found[f"{key}_interval"][0]) / 2 for key, name in names.items()}
    return plots.sideways(plots.bars(values, title, "probability", errors=errors))


def predicted_and_found(answer: Any) -> go.Figure:
    """The best F1 by width for some concepts: by the answer's prediction, and by trained dictionaries."""
    found = _found()["widths"]
    _, vectors, holds, names = measured.vocabulary()
    shown = ("a town", "a thing", "a number")
    at = [names.index(name) for name in shown]
    predicted = answer.predict(vectors, holds[:, at], found["widths"])
    series: dict[str, Any] = {}
    for i, name in enumerate(shown):
        series[f"{name}, predicted"] = predicted[:, i].tolist()
        series[f"{name}, found"] = [row[at[i]] for row in found["trained"]]
    title = "At which width is a concept one latent?"
    figure = plots.lines(found["widths"], series, title, "latents", "best F1", log_x=True)
    for i, curve in enumerate(figure.data):  # what belongs to one concept has one colour
        curve.line.update(color=plots.PALETTE[i // 2], dash=plots.DASHES[i % 2])
    return figure
