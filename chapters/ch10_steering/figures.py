"""The figures of chapter 10: what Pico replies when one direction of it is added, taken out or trained away.

Those with a parameter `answer` are computed by the functions of an answer to the exercises, on a few requests; the
others show what the chapter's findings measured on many.
"""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import torch

from mi_lib import plots, steering
from mi_lib.course import findings, index
from mi_lib.course.grading import ByName
from mi_lib.worlds.littletown import judges

CHAPTER = index.chapter("10")
found = findings.module(CHAPTER)
REFUSED = ByName("mi_lib.worlds.littletown.judges:refused")
FEW = 6  # requests for a figure that is drawn from an answer
PLACES = {"before": "before the last token", "last": "the last token", "reply": "the reply", "everywhere": "everywhere"}


def _read() -> dict[str, Any]:
    return findings.read(CHAPTER)


def _direction() -> torch.Tensor:
    return found.directions()[found.LAYER, 1]


def where_it_lives(answer: Any) -> go.Figure:
    """How well new requests are told apart, at the input of every block, at the last two tokens."""
    ends = [found.ends(kind, *of) for of in (("train", 1), ("held_out", 0)) for kind in (True, False)]
    table = answer.told_apart(*ends)
    series = {"<|assistant|>, the last token": table[:, 1].tolist(), "<|end|>, before it": table[:, 0].tolist()}
    title = "New requests on their own side of the border"
    return plots.lines(range(len(table)), series, title, "input of block", "share (½ is chance)")


def dose_response(answer: Any) -> go.Figure:
    """The share of harmless requests that are refused, by dose, with the direction and a random one of its length."""
    doses = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    rows = found.asked(False, FEW)
    vectors = {"the direction": _direction(), "a random one": steering.random_like(_direction(), 1, seed=5)[0]}
    series = {
        name: answer.share_by_dose(found.pico(), rows, v, found.LAYER, doses, REFUSED).tolist()
        for name, v in vectors.items()
    }
    return plots.lines(doses, series, "Added everywhere, dose by dose", "dose", "share refused")


def coherence(answer: Any) -> go.Figure:
    """Known triples of replies by dose, and of the same replies with their words shuffled."""
    doses = [0.0, 1.0, 2.0, 3.0]
    texts = [one for kind in (True, False) for one in found.words(found.asked(kind, 64, 5, "train"))]
    plain, mixed = [], []
    for dose in doses:
        said = found.words(found.asked(False, FEW), steering.add(_direction(), dose, found.LAYER), found.SHORT)
        one, other = answer.proof(said, texts, 0)
        plain.append(one)
        mixed.append(other)
    series = {"replies": plain, "the same words, shuffled": mixed}
    title = "How much of a reply has been said before"
    return plots.grouped_bars([f"{dose:g}" for dose in doses], series, title, "dose", "share of known triples")


def by_place(answer: Any) -> go.Figure:
    """What becomes of harmless requests if the direction is added at some positions only."""
    rows = found.asked(False, FEW)
    said = [answer.replies_by_place(found.pico(), row, _direction(), found.LAYER, found.DOSE) for row in rows]
    words = found.pico().tokenizer.convert_ids_to_tokens
    shares = {place: found.share([float(judges.refused(words(list(one[place])))) for one in said]) for place in PLACES}
    told = _read()["places"]
    series = {
        f"refused ({FEW} requests)": [shares[place] for place in PLACES],
        f"whole and fluent ({told['requests']} requests)": [told[place]["fluent"] for place in PLACES],
    }
    title = "Where the direction is added, twice"
    return plots.sideways(plots.grouped_bars(list(PLACES.values()), series, title, "", "share of replies"))


def one_or_many() -> go.Figure:
    """Single pairs by ActAdd, sorted; and means over pairs."""
    told = _read()["pairs"]
    series = {"refused, mean of draws": told["caa"], "refused, worst draw": told["caa_least"], "cosine": told["cosine"]}
    names = [f"{n}" for n in told["counts"]]
    return plots.grouped_bars(names, series, "Means over pairs, added at the last token", "pairs", "share; cosine")


def single_pairs() -> go.Figure:
    """What each of twenty single pairs does."""
    told = _read()["pairs"]["actadd"]
    series = {"refused": told}
    return plots.grouped_bars(range(1, len(told) + 1), series, "ActAdd: one pair each", "pair, sorted", "share refused")


def taken_out() -> go.Figure:
    """Harmful requests that are refused, by where the direction is taken out."""
    told = _read()["one_block"]
    values = {"nowhere": told["plain"]}
    values |= {f"block {i}": value for i, value in enumerate(told["single_inputs"])}
    values |= {"all blocks": told["all_inputs"], "every write": told["every_write"]}
    figure = plots.bars(values, "Where the direction is taken out", "share of harmful requests refused")
    return plots.sideways(figure.update_xaxes(title="taken out (of a block: at its input)"))


def candidates() -> go.Figure:
    """Every candidate's scores."""
    rows = _read()["chosen"]["rows"]
    names = [f"block {layer}, {'last' if position == -1 else 'before it'}" for layer, position, *_ in rows]
    series = {"refuses, ablated": [row[2] for row in rows], "induces, added": [row[3] for row in rows]}
    figure = plots.grouped_bars(names, series, f"{len(rows)} candidates", "", "share of requests refused")
    return plots.sideways(figure)


def beside_random(answer: Any) -> go.Figure:
    """The direction beside random ones from the answer: ablated on harmful requests, added on harmless ones."""
    vectors = [_direction(), *answer.random_directions(_direction(), 4, 0)]
    harmful, harmless = found.asked(True, 12), found.asked(False, 12)
    series = {
        "harmful, ablated": [found.share(found.refusals(harmful, steering.ablate(v))) for v in vectors],
        "harmless, added": [
            found.share(found.refusals(harmless, found.at_end(v, found.DOSE, found.LAYER))) for v in vectors
        ],
    }
    names = ["the direction", *(f"random {i}" for i in range(1, len(vectors)))]
    return plots.sideways(plots.grouped_bars(names, series, "Of the same length", "", "share refused"))


def across(answer: Any) -> go.Figure:
    """A direction from one kind, ablated on every kind, at the input of block 2."""
    groups = ("person", "goods", "danger")
    table = answer.across_kinds(
        found.pico(),
        {kind: found.of_kind(kind, 64, 1, "train") for kind in groups},
        found.asked(False, 64, 1, "train"),
        {kind: found.of_kind(kind, 8, 0, "held_out") for kind in groups},
        2,
        REFUSED,
    )
    rows = torch.tensor([[float(table[a][b]) for b in groups] for a in groups])
    title = "Still refused, at the input of block 2"
    names = [f"from {kind}" for kind in groups]
    return plots.matrix(rows, names, groups, title, "asked about", diverging=False)


def kinds() -> go.Figure:
    """All five kinds, at the input of block 2."""
    told = _read()["kinds"]
    names = told["groups"]
    title = "Still refused without the direction of one kind, block 2"
    rows = [*told["layer_2"], told["together_2"]]
    return plots.matrix(torch.tensor(rows), [*(f"from {n}" for n in names), "from all"], names, title, diverging=False)


def reach() -> go.Figure:
    """Prompts of other kinds, none of which is refused as it is."""
    told = _read()["elsewhere"]
    names = {
        "requests": "harmless requests", "strict_roles": "to roles that refuse", "free_roles": "to roles that do not",
        "talk": "small talk", "known": "known questions", "unknown": "unknown ones",
    }  # fmt: skip
    series = {
        label: [told[name][key] for name in names]
        for label, key in (("as they are", "plain"), ("added twice", "twice"), ("three times", "thrice"))
    }
    return plots.sideways(
        plots.grouped_bars(list(names.values()), series, "Added at the last token", "", "share refused")
    )


def attacked() -> go.Figure:
    """Attacks on the network as it was, as it was trained, and as it was trained against random directions."""
    told = _read()["defended"]
    # Without subtraction: what an attacker might try next is asked below the figure. Short lines for a narrow page.
    asked = {
        "no<br>attack": lambda t: t["refuses"],
        "the old<br>direction": lambda t: t["old"],
        "the best<br>fresh one": lambda t: t["fresh_least"],
        "eight<br>at once": lambda t: t["several"],
    }
    names = {"before": "before", "after": "after", "at_random": "trained against random directions"}
    series = {label: [one(told[key]) for one in asked.values()] for key, label in names.items()}
    title = "Harmful requests under attack"
    return plots.grouped_bars(list(asked), series, title, "", "share refused")


def by_your_direction(answer: Any) -> go.Figure:
    """Held-out requests with the direction that the answer finds."""
    rows = found.asked(True, 32, 91, "train"), found.asked(False, 32, 91, "train")
    direction, layer, dose = answer.refusal_direction(found.pico(), *rows, REFUSED)
    direction = torch.as_tensor(direction).float()
    ways = {
        "as it is": [],
        "without it": steering.ablate(direction),
        "with it": found.at_end(direction, float(dose), int(layer)),
    }
    asked = {"harmful": found.asked(True, 16), "harmless": found.asked(False, 16)}
    series = {
        kind: [found.share(found.refusals(prompts, edits)) for edits in ways.values()]
        for kind, prompts in asked.items()
    }
    return plots.grouped_bars(list(ways), series, "Requests that Pico has never seen", "", "share refused")
