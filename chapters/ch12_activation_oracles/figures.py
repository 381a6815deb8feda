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
from mi_lib.oracles import dataset, judging

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


KINDS = ("word", "town", "pet", "receiver", "topic", "view", "claim", "role", "refusal", "sum")


def everybody() -> go.Figure:
    """Right answers, for some kinds, from the oracle's card."""
    told = zoo.card(CHAPTER.model[1])["table"]
    names = {"oracle": "oracle", "shuffled": "oracle, other text", "probe": "probe", "black_box": "black box",
             "last_lens": "last lens", "majority": "commonest"}  # fmt: skip
    series = {name: [told[kind][who][0] for kind in KINDS] for who, name in names.items()}
    return plots.grouped_bars(KINDS, series, "Who is right", "kind of question", "share of right answers")


def held_out() -> go.Figure:
    """Right answers to what was never asked, in several ways, from the oracle's card."""
    told = zoo.card(CHAPTER.model[1])["checks"]
    rows = {"new texts": "all_open", "new phrasings": "frames", "new pairs, at the name": "pairs",
            "new kinds, open": "new_kinds_open", "new kinds, among values": "new_kinds_among"}  # fmt: skip
    series = {
        "its own text's activations": [told[key]["value"] for key in rows.values()],
        "another text's activations": [told[key]["control"] for key in rows.values()],
    }
    return plots.grouped_bars(list(rows), series, "What it was not trained on", "what is new", "share of right answers")


def trusted(answer: Any) -> go.Figure:
    """How often the oracle is right, by how sure it is, in the bins of the answer's own `reliability`."""
    groups = {}
    for name, (chances, right) in _answers().items():
        rows = [row for row in answer.reliability(chances, right, 5).tolist() if row[2]]
        groups[name] = [(sure, share) for sure, share, _ in rows]
    groups["as sure as right"] = [(i / 5, i / 5) for i in range(6)]
    return plots.clouds(groups, "Is it as often right as it is sure?", "mean chance of the answers in a bin",
                        "share of right answers")  # fmt: skip


@functools.cache
def _answers() -> dict[str, tuple[Tensor, Tensor]]:
    """The chances of the bundled oracle's answers, and which are right; with its own text's activations and others."""
    some = [one for kind in KINDS for one in dataset.asked(kind, 8)]
    read = judging.readings(found.pico(), some)
    turned = judging.turned(read, [one.question.kind for one in some])
    kept = {}
    for name, each in (("its own text's activations", read), ("another text's", turned)):
        logits = judging.oracle_logits(found.oracle(), some, each)
        kept[name] = (logits.softmax(-1).max(-1).values, judging.right(logits, some))
    return kept


def secret_places() -> go.Figure:
    """The mean place of a practice secret among forty, by method."""
    told = _read()["kept"]
    names = {"oracle": "oracle", "translator": "translator", "lens": "lens", "last_lens": "last lens",
             "pico": "oracle on Pico", "chance": "chance"}  # fmt: skip
    series = {"mean place": [told[key] for key in names]}
    return plots.grouped_bars(list(names.values()), series, "Where the secret stands", "method", "place among forty")
