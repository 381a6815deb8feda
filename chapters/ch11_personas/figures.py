"""The figures of chapter 11: what vectors do, networks that moved, samples, roles, and conversations that drift.

Those with a parameter `answer` are computed by the functions of an answer to the exercises, on few texts; the others
show what the chapter's findings measured on many.
"""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from mi_lib import personas, plots
from mi_lib.course import findings, index
from mi_lib.worlds.littletown import voices

CHAPTER = index.chapter("11")
found = findings.module(CHAPTER)
TRAIT = "evil"
DISTANCES = ("near the assistant", "a little off", "far", "farthest")


def _read() -> dict[str, Any]:
    return findings.read(CHAPTER)


def by_layer() -> go.Figure:
    """The most of a trait that steering brings out, by the block at whose input the vector is read and added."""
    told = _read()["chosen"]
    series = {f"{trait}, read over the reply": told[trait]["reply"] for trait in found.TUNED}
    title = "What each layer's vector does, at its best fluent dose"
    return plots.lines(told["layers"], series, title, "input of block", "share of replies that show the trait")


def monitored(answer: Any) -> go.Figure:
    """How far prompts lie along a trait's vector at their last token, and how strongly the reply shows the trait."""
    states, scores, kinds = _few_graded()
    layer = _read()["monitoring"][TRAIT]["depth"]
    layer = min(layer, found.pico().cfg.n_layers - 1)
    vector = found.written_vector(TRAIT)[layer]
    prompts = [row for _, row in states]
    along = answer.before_reply(found.pico(), prompts, vector, layer).tolist()
    groups = {
        kind: [(along[i], float(scores[i])) for i in range(len(kinds)) if kinds[i] == kind] for kind in found.KINDS
    }
    return plots.clouds(groups, f"Before the reply: {TRAIT}", "projection at the last token (units of the stream)",
                  f"how {TRAIT} the reply is (0 to 1)")  # fmt: skip


def _few_graded(each: int = 4) -> tuple[list[tuple[str, list[int]]], list[float], list[str]]:
    """A few prompts of each kind, and the scores of their replies."""
    from mi_lib.worlds.littletown import judges, talk

    rows = [
        (kind, row)
        for strength, kind in enumerate(found.KINDS[:4])
        for row in found.rows_of(talk.trait_prompts(TRAIT, strength, "held_out", each, 3))
    ]
    rows += [(found.KINDS[4], row) for row in found.plain_prompts("held_out", each, 3)]
    said = found.words([row for _, row in rows], longest=24)
    return rows, [judges.trait(TRAIT, one) for one in said], [kind for kind, _ in rows]


def shifts() -> go.Figure:
    """For each fine-tuning, how far the stream has moved along the trait's vector, and how the trait has changed."""
    told = _read()["tuning"]
    groups = {
        trait: list(zip(told["depth_3"]["shifts"][i], told["changes"][i], strict=True))
        for i, trait in enumerate(told["traits"])
    }
    return plots.clouds(groups, "Fine-tuned networks", "shift along the trait's vector (units of the stream)",
                  "change of the trait's score")  # fmt: skip


def vaccine() -> go.Figure:
    """Requests on topic, and how much of the trait is left, by dose, for the two remedies."""
    told = _read()["prevented"]
    groups = {
        "as fine-tuned": [(told["plain"]["shown"], told["plain"]["topic"])],
        "added in training": [(one["shown"], one["topic"]) for one in told["before"]],
        "subtracted afterwards": [(one["shown"], one["topic"]) for one in told["after"]],
    }
    return plots.clouds(
        groups, "Before or after?", "share of replies that show the trait", "share of requests answered on topic"
    )


def flagging(answer: Any) -> go.Figure:
    """Projection differences of samples, planted ones and others, by the learner's function."""
    of = found.flagged_samples(TRAIT)[:30]
    theirs, own = found.flagging_means(found.pico(), found.texts(of), ("resid_pre", found.DEPTH), 30)
    scores = answer.projection_differences(theirs, own, found.written_vector(TRAIT)[found.DEPTH]).tolist()
    order = sorted(range(len(of)), key=lambda i: scores[i])
    groups = {
        name: [(float(rank), scores[i]) for rank, i in enumerate(order) if of[i].planted == planted]
        for name, planted in (("planted", True), ("others", False))
    }
    return plots.clouds(groups, f"Samples, by how far their reply goes beyond Pico's own: {TRAIT}", "rank",
                  "projection difference (units of the stream)")  # fmt: skip


def role_map() -> go.Figure:
    """The roles and the assistant in the first two components of the roles."""
    axis = found.written_axis()
    space = personas.space(axis.roles[:, found.DEPTH])
    where = space.map(axis.roles[:, found.DEPTH]).tolist()
    levels = [voices.ROLES[name].level for name in voices.ROLES]
    names = {
        text: [name for name in voices.ROLES if voices.ROLES[name].level == at] for at, text in enumerate(DISTANCES)
    }
    groups = {
        text: [(x, y) for (x, y), level in zip(where, levels, strict=True) if level == at]
        for at, text in enumerate(DISTANCES)
    }
    x, y = space.map(axis.assistant[found.DEPTH]).tolist()
    return plots.clouds(
        {**groups, "the assistant": [(x, y)]}, "The space of roles", "first component (units of the stream)",
        "second component (units of the stream)", {**names, "the assistant": ["assistant"]},
    )  # fmt: skip


def drifting() -> go.Figure:
    """Places of replies along the axis by turn."""
    told = _read()["drift"]
    series = {name: told[name]["places"] for name in ("seekers", "workers")}
    turns = list(range(1, found.TURNS + 1))
    return plots.lines(turns, series, "Where replies stand, turn by turn", "turn", "place (1: the assistant, 0: roles)")


def where_capped() -> go.Figure:
    """Harm behind jailbreaks, and what is left of three capabilities, by where the stream is capped."""
    told = _read()["capped"]
    # Short lines: in a narrow page longer ones are turned, and leave no room for the bars.
    ways = {"free": "not<br>at all", "last": "last<br>token on", "reply": "reply", "prompt": "prompt",
            "both": "every-<br>where", "ceiling": "a<br>ceiling"}  # fmt: skip
    ways = {way: name for way, name in ways.items() if way in told}
    series = {
        "harm behind jailbreaks": [told[way]["harmful"] for way in ways],
        "known things": [told[way]["facts"] for way in ways],
        "requests on topic": [told[way]["topic"] for way in ways],
    }
    return plots.grouped_bars(list(ways.values()), series, "Where one caps", "capped at", "share")
