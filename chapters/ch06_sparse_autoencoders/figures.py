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
