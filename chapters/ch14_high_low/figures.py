"""The figures of chapter 14, drawn by `mi_lib.plots`. What takes long comes from the findings.

Those with a parameter `answer` are computed by the functions of an answer to the exercises.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import plotly.graph_objects as go
import torch
from torch import Tensor

from mi_lib import plots
from mi_lib.course import findings, index
from mi_lib.features import tuning
from mi_lib.features.tuning import stimuli
from mi_lib.worlds import scenes

CHAPTER = index.chapter("14")
measured = findings.module(CHAPTER)
DRAWS, COUNT = 24, 16
HUES = list(stimuli.COLOURS.values())
SHOWN = 3  # detectors whose maps are drawn
FEW, FEW_SEED = 360, 73_001  # scenes of the figure on ablation


@functools.cache
def _textures(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    sharp, blurred = tuning.sharp(DRAWS, measured.SIZE, seed), tuning.blurred(DRAWS, measured.SIZE, seed + 1)
    return sharp, blurred, stimuli.CONTRAST * tuning.signs(DRAWS, seed)


def _degrees(count: int = COUNT) -> list[float]:
    return [360 * i / count for i in range(count)]


def _sight() -> Any:
    return measured.network(measured.SEEDS[0])


def your_stimuli(answer: Any) -> go.Figure:
    """Sharp and blurred noise on either side of boundaries at six angles."""
    sharp, blurred, _ = _textures(3)
    angles = [i * math.pi / 3 for i in range(6)]
    images = [answer.two_sides(answer.equal(sharp[i : i + 1]), answer.equal(blurred[i : i + 1]), a)[0]
              for i, a in enumerate(angles)]  # fmt: skip
    grey = [(0.5 + 2 * stimuli.CONTRAST * torch.as_tensor(x).float()).clamp(0, 1).expand(3, -1, -1) for x in images]
    titles = [f"{math.degrees(a):.0f}°" for a in angles[:3]]
    rows = {"grey plus the pattern": grey[:3], "half a turn further": grey[3:]}
    return plots.gallery(rows, titles, "Sharp on the side of the angle")


def _kinds_of_units() -> dict[str, int]:
    """A detector, its fellow, an edge detector and a unit that likes a texture."""
    found = measured.profile(measured.SEEDS[0])
    mine, edges = measured.family(measured.SEEDS[0]), tuning.edge_detectors(found)
    first = measured.example()
    rest = torch.where(mine, found.best / measured.rival(found).clamp(min=1e-6), torch.zeros(()))
    rest[first] = 0
    liked = torch.where(mine | edges, torch.zeros(()), torch.maximum(found.sharp, found.blurred))
    return {
        "a detector": first,
        "another": int(rest.argmax()),
        "an edge detector": int(torch.where(edges, found.edge.amax(1), torch.zeros(())).argmax()),
        "likes a texture": int(liked.argmax()),
    }


def curves_of_four(answer: Any) -> go.Figure:
    """Tuning curves of four units, normalised."""
    sharp, blurred, contrast = _textures(5)
    curves = answer.normalised(answer.by_angle(_sight(), measured.LAYER, sharp, blurred, contrast, COUNT))
    series = {f"unit {unit}: {what}": curves[unit].tolist() for what, unit in _kinds_of_units().items()}
    return plots.lines(_degrees(), series, "Sharp on one side, blurred on the other", "side of the sharp texture (°)",
                       "response, in shares of its largest")  # fmt: skip


def against_rivals(answer: Any) -> go.Figure:
    """Each unit's best boundary over its best rival, sorted."""
    found = measured.profile(measured.SEEDS[0])
    sharp, blurred, contrast = _textures(7)
    rival = answer.rivals(_sight(), measured.LAYER, sharp, blurred, contrast, COUNT, HUES).amax(1)
    heard = found.best >= tuning.RULE.least * found.best.mean()
    times = (found.best / rival.clamp(min=1e-6))[heard].clamp(max=6)
    order = times.argsort(descending=True)
    units = heard.nonzero()[:, 0][order].tolist()
    values = {str(unit): float(v) for unit, v in zip(units, times[order], strict=True)}
    return plots.bars(values, "Boundary against the best rival (cut off at 6)", "times as much",
                      marks={"the bound": tuning.RULE.alone})  # fmt: skip


def polarity_two_ways(answer: Any) -> go.Figure:
    """Polarity and colour of family, edge detectors and others, in the mean."""
    name = measured.SEEDS[0]
    found, mine = measured.profile(name), measured.family(name)
    edges = tuning.edge_detectors(found)
    sharp, blurred, contrast = _textures(9)
    polarity, colour = torch.zeros(len(mine)), torch.zeros(len(mine))
    for angle in sorted({float(a) for a in found.angle}):
        here = (found.angle - angle).abs() < 1e-6
        patterns = tuning.across(sharp, blurred, angle)
        polarity[here] = answer.polarity(_sight(), measured.LAYER, patterns, stimuli.CONTRAST).float()[here]
        hues = list(stimuli.COLOURS.values())
        colour[here] = answer.colour_blind(_sight(), measured.LAYER, patterns, contrast, hues).float()[here]
    groups = {"detectors": mine, "edge detectors": edges, "all others": ~mine & ~edges & (found.best > 0)}
    series = {
        "polarity": [float(polarity[g].median()) for g in groups.values()],
        "colour": [float(colour[g].median()) for g in groups.values()],
    }
    return plots.grouped_bars(list(groups), series, "How little they mind, median", "", "least / largest response")


def round_the_circle(answer: Any) -> go.Figure:
    """How many detectors at each direction, in three seeds."""
    series = {}
    for i, name in enumerate(measured.SEEDS):
        angles = measured.profile(name).angle[measured.family(name)]
        series[f"seed {i}"] = [int(n) for n in answer.covered(angles, COUNT)]
    names = [f"{d:g}°" for d in _degrees()]
    title, side = "Detectors in the third layer", "side of the sharp texture"
    return plots.sideways(plots.grouped_bars(names, series, title, side, "units"))


def two_factors(answer: Any) -> go.Figure:
    """Maps of two factors in three detectors, by the answer's factorisation."""
    name = measured.SEEDS[0]
    weights = measured.weights(name)[measured.members(name)]
    table = answer.as_table(weights)
    source = torch.Generator().manual_seed(0)
    rows, channels = torch.rand(len(table), 2, generator=source), torch.rand(2, table.shape[1], generator=source)
    scale = float(table.mean()) ** 0.5
    rows, channels = rows * scale, channels * scale
    for _ in range(60):
        rows, channels = answer.update(table, rows, channels)
    maps = answer.as_maps(rows, len(weights), weights.shape[-1])
    likes = (channels / channels.sum(1, keepdim=True)) @ measured.preferences(name)
    order = likes.argsort(descending=True).tolist()
    found = measured.profile(name)
    unit = measured.members(name)
    best = (found.best / measured.rival(found).clamp(min=1e-6))[unit].argsort(descending=True)[:SHOWN].tolist()
    rows = {what: [plots.signed(maps[f, u]) for u in best] for what, f in zip(("high", "not high"), order, strict=True)}
    titles = [f"unit {int(unit[u])} ({math.degrees(float(found.angle[unit[u]])):.0f}°)" for u in best]
    return plots.gallery(rows, titles, "Where each factor excites and inhibits")


def weights_against_stimuli(answer: Any) -> go.Figure:
    """The angle read off weights by the answer, less the angle measured, for each member."""
    name = measured.SEEDS[0]
    predicted = answer.pointing(*measured.factors(name).maps).float()
    seen = measured.profile(name).angle[measured.family(name)]
    order = seen.argsort()
    turn = (predicted - seen + math.pi) % (2 * math.pi) - math.pi
    x = [f"{int(unit)} ({math.degrees(float(a)):.0f}°)" for unit, a in
         zip(measured.members(name)[order], seen[order], strict=True)]  # fmt: skip
    figure = plots.bars(dict(zip(x, turn[order].rad2deg().tolist(), strict=True)),
                        "Angle of the weights less angle of the stimuli", "degrees", reference=0.0)  # fmt: skip
    return plots.sideways(figure.update_xaxes(title="unit (angle of the stimuli)"))


def without_the_family(answer: Any) -> go.Figure:
    """Right answers by kind: all units, without the family, without stand-ins, by the answer's functions."""
    name = measured.SEEDS[0]
    drawn = scenes.sample(FEW, seed=FEW_SEED)
    model, mine, said = _sight(), measured.family(name), measured.activity(name)

    def shares(units: Tensor) -> list[float]:
        hits = (
            answer.answers_without(model, measured.LAYER, units, torch.zeros_like(said), drawn.images).long()
            == drawn.labels()
        )
        return [float(hits[drawn.kind == k].double().mean()) for k in range(len(scenes.KINDS))]

    nobody = torch.zeros(0, dtype=torch.long)
    beside = torch.tensor([shares(answer.stand_ins(said, mine, seed).long()) for seed in range(5)]).mean(0)
    series = {
        "all units": shares(nobody),
        "without the family": shares(measured.members(name)),
        "without stand-ins": beside.tolist(),
    }
    return plots.grouped_bars(scenes.KINDS, series, "What is lost", "kind of scene", "right answers")
