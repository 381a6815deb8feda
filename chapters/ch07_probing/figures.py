"""The figures of chapter 07, drawn by `mi_lib.plots`. What takes long comes from the findings.

Those with a parameter `answer` are computed by the functions of an answer to the exercises.
"""

from __future__ import annotations

import functools
from typing import Any

import plotly.graph_objects as go
import torch
from torch import Tensor

from mi_lib import plots, probing
from mi_lib.course import findings, index
from mi_lib.recipes.pico.common import padded

CHAPTER = index.chapter("07")
measured = findings.module(CHAPTER)
FEW = 240  # sentences for a figure that is drawn from an answer, where the lesson does not say how many
FITTED, LABELS, ASKED = measured.DRAWN_FITTED, measured.DRAWN_LABELS, measured.DRAWN_ASKED


def _found() -> dict[str, Any]:
    return findings.read(CHAPTER)


@functools.cache
def _texts(split: str, count: int) -> tuple[Tensor, Tensor]:
    return padded([measured.ids(verb.words) for verb in measured.verbs(split)[:count]])


def _y(name: str, split: str, count: int) -> Tensor:
    return measured.labels(measured.verbs(split)[:count], name)


@functools.cache
def _stream(split: str, count: int) -> Tensor:
    return measured.stream(measured.pico(), measured.verbs(split)[:count])


def how_far_apart(answer: Any) -> go.Figure:
    """By depth: how long the mean activation is, and how far apart the means of one and many are."""
    x = answer.collect(measured.pico(), *_texts("train", FEW))
    series = {"the mean of all": x.mean(1).norm(dim=-1).tolist()}
    for name, title in (("own", "one to many: the noun"), ("nearer", "one to many: the nearer noun")):
        y = _y(name, "train", FEW)
        series[title] = (x[:, y == 1].mean(1) - x[:, y == 0].mean(1)).norm(dim=-1).tolist()
    return plots.lines(range(len(x)), series, "Before the verb: what all sentences share, and what differs",
                       "depth", "length")  # fmt: skip


def two_borders(answer: Any) -> go.Figure:
    """Held-out sentences along the answer's direction: where they lie, the border of the answer, and 0."""
    y, asked = _y("own", "train", FEW), _y("own", "held_out", FEW)
    direction, bias = answer.mass_mean(_stream("train", FEW)[measured.DEPTH], y)
    along = (_stream("held_out", FEW)[measured.DEPTH] @ direction / direction.norm()).double()
    edges = torch.linspace(float(along.min()) - 1, float(along.max()) + 1, 25, dtype=torch.double)
    middle = ((edges[1:] + edges[:-1]) / 2).tolist()
    counts = {name: torch.histogram(along[asked == k], edges).hist.tolist() for k, name in ((0, "one"), (1, "many"))}
    figure = plots.lines(middle, counts, "Along the direction: dotted is your border", "x · direction / length",
                         "sentences", vline=-float(bias) / float(direction.norm()))  # fmt: skip
    figure.add_vline(x=0, line={"color": "#888888", "width": 1})
    return figure


def nearest_or_corrected(answer: Any) -> go.Figure:
    """The nearer noun's number by depth, read by the nearest mean and by its corrected form."""
    x, held = _stream("train", FITTED), _stream("held_out", FITTED // 2)
    y, asked = _y("nearer", "train", FITTED), _y("nearer", "held_out", FITTED // 2)
    series: dict[str, list[float]] = {"nearest mean": [], "corrected": []}
    for a, b in zip(x, held, strict=True):
        for name, probe in (("nearest mean", answer.mass_mean(a, y)), ("corrected", answer.corrected(a, y, 0.1))):
            direction, bias = probe
            series[name].append(float((((b @ direction + bias) > 0).long() == asked).double().mean()))
    return plots.lines(range(len(x)), series, "The nearer noun's number: two probes", "depth", "share read rightly")


def by_depth(answer: Any) -> go.Figure:
    """Both numbers at every depth by ridge probes of the answer, and an untrained network."""
    series = {}
    for name, title in (("own", "the noun"), ("nearer", "the nearer noun")):
        y, asked = _y(name, "train", FITTED), _y(name, "held_out", FITTED // 2)
        found = answer.accuracies(_stream("train", FITTED), y, _stream("held_out", FITTED // 2), asked, 2, 0.01)
        series[title] = found.tolist()
        series[f"{title}, untrained network"] = _found()["depths"][f"{name}_untrained"]
    return plots.lines(range(len(_stream("train", FITTED))), series, "One or many? Read before the verb", "depth",
                       "share read rightly")  # fmt: skip


def cut_two_ways() -> go.Figure:
    """A label that means nothing, and one that does, cut by sentence and by pair of nouns."""
    found = _found()["cuts"]
    series = {
        "cut by sentence": [found["nothing_by_row"], found["own_by_row"]],
        "cut by pair": [found["nothing_by_combination"], found["own_by_combination"]],
    }
    names = ["a label that follows from nothing", "the noun's number"]
    return plots.grouped_bars(names, series, "The same probe, two cuts", "", "share read rightly")


def task_and_control(answer: Any) -> go.Figure:
    """Accuracy on the task and selectivity, by the answer's own control labels."""
    names, series = [], {"accuracy": [], "selectivity": []}
    for name, title in (("own", "the noun"), ("nearer", "the nearer noun")):
        types = {s: [measured.TYPES[name](v) for v in measured.verbs(s)] for s in ("train", "held_out")}
        drawn = {s: answer.control_labels(types[s], 2, 0) for s in types}
        for trained, where in ((True, ""), (False, ", untrained")):
            x, held = (measured.activations(s, trained)[measured.DEPTH] for s in ("train", "held_out"))
            y, asked = measured.y(name), measured.y(name, "held_out")
            value = answer.selectivity(x, y, drawn["train"].long(), held, asked, drawn["held_out"].long(), 2)
            names.append(title + where)
            series["accuracy"].append(float(answer.accuracies(x[None], y, held[None], asked, 2, 0.01)[0]))
            series["selectivity"].append(float(value))
    return plots.sideways(plots.grouped_bars(names, series, "Read, and not learnt by heart (depth 2)", "", "share"))


def code_lengths(answer: Any) -> go.Figure:
    """How many bits the labels cost, by depth."""
    ends = [round(f * LABELS) for f in measured.BLOCKS]
    x = _stream("train", LABELS)
    series = {}
    for name, title in (("own", "the noun"), ("nearer", "the nearer noun")):
        y = _y(name, "train", LABELS)
        series[title] = [float(answer.online_bits(part, y, 2, ends)) for part in x]
    nothing = probing.control_labels([v.nouns[1] for v in measured.verbs("train")[:LABELS]], 2, seed=5)
    series["a label that means nothing"] = [float(answer.online_bits(part, nothing, 2, ends)) for part in x]
    series["without a probe"] = [float(LABELS)] * len(x)
    return plots.lines(range(len(x)), series, f"To send {LABELS} labels", "depth", "bits")


def from_shape_to_shape(answer: Any) -> go.Figure:
    """The nearer noun's number, fitted on sentences of one shape and read on another (depth 2)."""
    number = {name: i for i, name in enumerate(measured.TEMPLATES)}
    ways = {s: torch.tensor([number[v.template] for v in measured.verbs(s)]) for s in ("train", "held_out")}
    x, held = (measured.activations(s)[measured.DEPTH] for s in ("train", "held_out"))
    y, asked = measured.y("nearer"), measured.y("nearer", "held_out")
    table = answer.transfer(x, y, ways["train"], held, asked, ways["held_out"], 2)
    return plots.matrix(table, measured.TEMPLATES, measured.TEMPLATES, "The nearer noun's number, from shape to shape",
                        "read on", "fitted on", diverging=False)  # fmt: skip


def _asked() -> tuple[Any, ...]:
    rows, many, one, _ = measured.asked()
    return (*padded(rows[:ASKED]), many[:ASKED], one[:ASKED])


def in_the_mirror(answer: Any) -> go.Figure:
    """The share of verbs that turn over after the answer's flip, by depth."""
    tokens, mask, many, one = _asked()
    depths = range(1, measured.pico().cfg.n_layers)
    series = {}
    for name, title in (("own", "the noun flipped"), ("nearer", "the nearer noun flipped")):
        shares = []
        for depth in depths:
            probe = measured.gaussian(measured.activations("train")[depth], measured.y(name), 2)
            reading, bias = probe.direction().float(), float(probe.bias[1] - probe.bias[0])
            away = measured.means_of(name, depth).diff(dim=0)[0]
            turned = answer.turned(measured.pico(), tokens, mask, depth, reading, bias, away, many, one)
            shares.append(float(turned.double().mean()))
        series[title] = shares
    return plots.lines(list(depths), series, "How many verbs turn over?", "depth", "share of sentences")


def random_pushes(answer: Any) -> go.Figure:
    """Random directions as long as the difference of the means, and the difference itself both ways (depth 2)."""
    tokens, mask, many, one = _asked()
    away = measured.means_of("own", measured.DEPTH).diff(dim=0)[0]
    vectors = torch.cat([answer.random_directions(away, measured.DRAWN_PUSHES, 0), away[None], -away[None]])
    shares = answer.pushed(measured.pico(), tokens, mask, measured.DEPTH, vectors, many, one)
    names = [*(f"random {i}" for i in range(measured.DRAWN_PUSHES)), "towards many", "towards one"]
    return plots.bars(dict(zip(names, map(float, shares), strict=True)), "Pushed by vectors of one length",
                      "share of verbs that turn over")  # fmt: skip


def what_is_left(answer: Any) -> go.Figure:
    """How far apart the two forms of the verb are after a number was taken out by the answer's eraser (depth 2)."""
    found = {"nothing taken out": _found()["erased"]["whole"]}
    for name, title in (("own", "the noun's number"), ("nearer", "the nearer noun's")):
        M, mean = answer.leace(measured.activations("train")[measured.DEPTH], measured.y(name), 2)

        def change(x: Tensor, M: Tensor = M, mean: Tensor = mean) -> Tensor:
            return (x.double() - (x.double() - mean) @ M.double().T).to(x.dtype)

        found[title] = float(measured.after(measured.DEPTH, change).abs().mean())
    return plots.bars(found, "The verb after a number is taken out", "|logit(many) − logit(one)|")


def sets_and_scores(answer: Any) -> go.Figure:
    """Scores of two concepts with each of fifty random sets, sorted, by the answer; and of concepts that are none."""
    sets = torch.stack(measured.random_sets())
    series = {}
    for name in ("the noun is many", "the nearer noun is many"):
        series[name] = sorted(answer.scores(measured.slopes(), measured.examples(name), sets).tolist())
    series["concepts that are none"] = sorted(answer.null_scores(measured.slopes(), sets).tolist())
    return plots.lines(range(1, len(sets) + 1), series, "The score depends on the random set", "random sets, by score",
                       "share of sentences whose answer grows")  # fmt: skip


def read_and_used() -> go.Figure:
    """What can be read, and what the answer follows, for both choices of the last exercise."""
    found = _found()["answers"]
    names = {"number_own": "the noun: is / are", "number_nearer": "the nearer noun: is / are",
             "tense_tense": "the tense: is / was", "tense_own": "the noun: is / was",
             "tense_nearer": "the nearer noun: is / was"}  # fmt: skip
    series = {
        "read rightly": [found[key]["read"] for key in names],
        "turned over by its flip": [found[key]["turned"] for key in names],
    }
    figure = plots.grouped_bars(list(names.values()), series, "Read, and used", "", "share of sentences")
    return plots.sideways(figure)
