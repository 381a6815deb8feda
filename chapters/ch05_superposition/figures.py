"""The figures of chapter 05, drawn by `mi_lib.plots`. What takes long to train comes from the findings.

Those with a parameter `answer` are computed by the functions of an answer to the exercises.
"""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import torch

from mi_lib import plots
from mi_lib.course import findings, index

CHAPTER = index.chapter("05")
measured = findings.module(CHAPTER)
PHASES = ("dropped", "own axis", "shared")


def _found() -> dict[str, Any]:
    return findings.read(CHAPTER)


def _percent(sparsity: list[float]) -> list[str]:
    return [f"{s:.0%}" for s in sparsity]


def how_many_are_stored() -> go.Figure:
    """Of twenty features in five dimensions, by sparsity, with a ReLU and without."""
    found = _found()["twenty"]
    series = {"with a ReLU": found["relu"]["stored"], "without (linear)": found["linear"]["stored"]}
    return plots.grouped_bars(
        _percent(found["sparsity"]), series, "Twenty features in five dimensions: how many are stored?",
        "sparsity: how often a feature is absent", "columns at least 0.5 long",
    )  # fmt: skip


def directions(answer: Any) -> go.Figure:
    """The columns of a model with five features in two dimensions, trained by the answer."""
    W, _ = answer.train(torch.full((2,), 0.95), 5, 2, torch.ones(5), 900, 128, 0.01, 7)
    points = torch.cat([W[0].T, torch.zeros(1, 2)])
    return plots.circle(
        points, [*map(str, range(5)), "zero"], "Where five features are stored", "first hidden dimension",
        "second hidden dimension",
    )  # fmt: skip


def room(answer: Any) -> go.Figure:
    """The dimensionality of a feature in each of the known shapes, by the answer."""
    shapes = {
        "own axis": torch.eye(2),
        "tetrahedron": measured.tetrahedron(),
        "triangle": measured.polygon(3),
        "antipodal pair": measured.PAIR,
        "pentagon": measured.polygon(5),
        "square antiprism": measured.antiprism(),
    }
    values = {name: float(answer.dimensionality(W[None])[0, 0]) for name, W in shapes.items()}
    return plots.bars(values, "How much of a dimension does a feature have?", "dimensionality D")


def phases_worked_out(answer: Any) -> go.Figure:
    """Which of the three models has the smallest loss, by the answer: 0 dropped, 1 own axis, 2 shared."""
    S, R = measured.PHASE_S, measured.PHASE_R
    grid = [(s, r) for r in R for s in S]
    losses = answer.phase_losses(*(torch.tensor(column) for column in zip(*grid, strict=True)))
    return _phases(losses.argmin(0).view(len(R), len(S)), "Worked out")


def phases_trained() -> go.Figure:
    """The same for trained models."""
    return _phases(torch.tensor(_found()["phases"]["trained"]), "Trained")


def _phases(numbers: Any, how: str) -> go.Figure:
    return plots.matrix(
        numbers,
        [f"{r:g} ×" for r in measured.PHASE_R],
        _percent(list(measured.PHASE_S)),
        f"{how}: the second feature is dropped (0), alone (1), or shares (2)",
        "sparsity",
        "importance of the second feature",
        diverging=False,
    ).update_xaxes(type="category")  # "98%" is a name here: every column is as wide


def company() -> go.Figure:
    """How often the feature at the other end of the line is the other one of the pair."""
    found = _found()["company"]
    names = {"come together": "correlated", "know nothing of each other": "independent", "never meet": "anticorrelated"}
    values = {name: found[kind]["own_pair"] for name, kind in names.items()}
    return plots.bars(values, "Is the line shared with the other one of the pair?", "share of features")


def neurons_of_the_toy() -> go.Figure:
    """How much of a neuron's weights belongs to one feature, by sparsity."""
    found = _found()["absolute"]
    return plots.bars(
        dict(zip(_percent(found["sparsity"]), found["mono"], strict=True)),
        "Eight neurons compute |x| of sixteen features",
        "share of the strongest feature",
    ).update_xaxes(title="sparsity")


def nudges() -> go.Figure:
    """How far a small change of the input can move the outputs."""
    found = _found()["attack"]
    series = {"ten features in five dimensions": found["moved"], "in ten dimensions": found["moved_apart"]}
    return plots.grouped_bars(
        _percent(found["sparsity"]), series, "How far can a nudge move the outputs?", "sparsity",
        "squared movement, against that of the input",
    )  # fmt: skip


def steps() -> go.Figure:
    """Dimensions per stored feature, by how rarely features are present."""
    found = _found()["sticky"]
    x = [1 / (1 - s) for s in found["sparsity"]]
    series = {
        "most room": [max(row) for row in found["D"]],
        "m / ‖W‖²": found["per_feature"],
        "least room": [min(row) for row in found["D"]],
        "1/2": [0.5] * len(x),
    }
    return plots.lines(
        x, series, "Forty features in ten dimensions: how much room has a feature?",
        "1 / (1 − S): a feature is present once in so many inputs", "dimensionality D", log_x=True,
    )  # fmt: skip


def neurons_of_pico() -> go.Figure:
    """How many neurons of each layer answer to two unrelated concepts, and the controls."""
    found = _found()["by_layer"]
    layers = sorted(name for name in found if name.startswith("layer_"))
    kinds = {"neurons": "neurons", "random directions": "random", "labels dealt anew": "shuffled",
             "an untrained network": "untrained"}  # fmt: skip
    series = {name: [found[layer][kind]["poly"] for layer in layers] for name, kind in kinds.items()}
    return plots.grouped_bars(
        [f"block {layer.removeprefix('layer_')}" for layer in layers], series,
        "Who answers to two unrelated concepts?", "", "share",
    )  # fmt: skip
