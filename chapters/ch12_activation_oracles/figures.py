"""The figures of chapter 12: what states tell in a Patchscope, who is right, what was never learned, how sure it is.

They show what the chapter's findings measured. One with a parameter `answer` is drawn from an answer's own functions.
"""

from __future__ import annotations

import functools
from typing import Any

import plotly.graph_objects as go
from torch import Tensor

from mi_lib import plots, zoo
from mi_lib.course import findings, index
from mi_lib.oracles import dataset, judging, secrets

CHAPTER = index.chapter("12")
found = findings.module(CHAPTER)


def _read() -> dict[str, Any]:
    return findings.read(CHAPTER)


def patchscopes() -> go.Figure:
    """The share of facts that come out, by the depth at which the state was taken."""
    told = _read()["patched"]
    series = {"as it is": told["raw"], "translated to depth 0": told["translated"]}
    return plots.lines(told["depths"], series, "What a state tells in another prompt", "depth of the state",
                       "share of facts")  # fmt: skip


SHOWN = {"word": "word", "pet": "pet", "receiver": "receiver", "topic": "topic", "sum": "sum"}  # few, for a phone


def everybody() -> go.Figure:
    """Right answers, for some kinds, from the oracle's card."""
    told = zoo.card(CHAPTER.model[1])["table"]
    names = {"oracle": "oracle", "shuffled": "oracle, other text", "probe": "probe", "black_box": "black box",
             "last_lens": "last lens"}  # fmt: skip
    series = {name: [told[kind][who][0] for kind in SHOWN] for who, name in names.items()}
    return plots.grouped_bars(list(SHOWN.values()), series, "Who is right", "kind of question", "share right")


WAYS = {"short": "all kinds", "narrow": "few kinds", "lora": "thin matrices", "full": "all kinds, longer"}
ASKED = {"all": "all kinds", "few": "the few", "open": "new", "among": "new,<br>among"}


def ways() -> go.Figure:
    """What the ways of training have right, a point for each training, from the chapter's findings of the card."""
    told, card = _read()["ways"], zoo.card(CHAPTER.model[1])["others"]
    series: dict[str, list[list[float]]] = {}
    intervals: dict[str, list[list[tuple[float, float]]]] = {}
    for way, name in WAYS.items():
        trainings = [card[f"{way}, seed {seed}"] for seed in range(told[way]["seeds"])]
        rows = [[one[found.OF_WAYS[key]] for key in ASKED] for one in trainings]
        series[name] = [[row[0] for row in run] for run in rows]
        intervals[name] = [[(row[1], row[2]) for row in run] for run in rows]
    return plots.dots(list(ASKED.values()), series, intervals, "The same questions, put to each training",
                      "what is asked", "share right")  # fmt: skip


def trusted(answer: Any) -> go.Figure:
    """How often the oracle is right, by how sure it is, in the bins of the answer's own `reliability`."""
    groups = {}
    for name, (chances, right) in _answers().items():
        rows = [row for row in answer.reliability(chances, right, 5).tolist() if row[2]]
        groups[name] = [(sure, share) for sure, share, _ in rows]
    return plots.clouds(groups, "Is it as often right as it is sure?", "mean chance of the answers in a bin",
                        "share right", curves={"as right as sure": [(0, 0), (1, 1)]})  # fmt: skip


@functools.cache
def _answers() -> dict[str, tuple[Tensor, Tensor]]:
    """The chances of the bundled oracle's answers, and which are right; with its own text's activations and others."""
    some = [one for kind in found.KINDS for one in dataset.asked(kind, 8)]
    read = judging.readings(found.pico(), some)
    turned = judging.turned(read, [one.question.kind for one in some])
    kept = {}
    for name, each in (("its own text's activations", read), ("another text's", turned)):
        logits = judging.oracle_logits(found.oracle(), some, each)
        kept[name] = (logits.softmax(-1).max(-1).values, judging.right(logits, some))
    return kept


def relatives() -> go.Figure:
    """The place of each relative's secret among forty, by method, from the card of the sealed relatives."""
    ranks = zoo.card(secrets.NAME)["ranks"]
    names = {"oracle": "oracle", "last_lens": "lens, last block", "black_box": "its hint, aloud"}
    groups = {name: [(int(number), one[who]) for number, one in ranks.items()] for who, name in names.items()}
    figure = plots.clouds(groups, "Where the secret stands", "relative (1–8 told, 9–12 in the weights)",
                          "place among forty")  # fmt: skip
    return figure.update_xaxes(dtick=1)
