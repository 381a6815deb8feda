"""The figures of chapter 08: methods on planted circuits and on Pico, drawn by `mi_lib.plots`.

Those with a parameter `answer` are computed by the functions of an answer to the exercises. Truth, exact values and
whole tables come from `mi_lib.attribution` and from the findings.
"""

from __future__ import annotations

import functools
from typing import Any

import plotly.graph_objects as go
import torch

from mi_lib import attribution as at
from mi_lib import plots
from mi_lib.course import findings, index

CHAPTER = index.chapter("08")
found = findings.module(CHAPTER)
FEW = 4  # pairs for a figure that is drawn from an answer
STEPS = (1, 2, 3, 5, 8, 12, 20, 30)
METHODS = {"noising": "exact, noising", "denoising": "exact, denoising", "eap": "EAP", "eap_ig": "EAP-IG"}
FRACTIONS = [0.0, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2, 0.5, 1.0]


def _read() -> dict[str, Any]:
    return findings.read(CHAPTER)


def _words(name: str) -> list[str]:
    """The words of a circuit's first clean prompt, each with its position."""
    one = found.case(name, FEW)
    return [f"{word} ({i})" for i, word in enumerate(one.model.to_str_tokens(one.clean[0]))]


def _share(values: torch.Tensor, one: Any) -> list[float]:
    """Of the first pair, in shares of its range."""
    return (values[0].double() / one.span[0].double()).tolist()


def slope_and_worth(answer: Any) -> go.Figure:
    """The conjunction: what gradient × input says of each word of one prompt, and what exchanging it costs."""
    one = found.case("conjunction", FEW)
    series = {
        "gradient × input": _share(answer.gradient_x_input(*one), one),
        "exchanged": _share(answer.one_word_effects(*one), one),
    }
    title = "Are both slots bright? What each word is worth"
    return plots.grouped_bars(_words("conjunction"), series, title, "", "share of the answer")


def whole_way(answer: Any) -> go.Figure:
    """The same words by integrated gradients."""
    one = found.case("conjunction", FEW)
    words, _ = answer.integrated_gradients(*one, 30)
    series = {
        "gradient × input": _share(answer.gradient_x_input(*one), one),
        "integrated gradients, 30 steps": _share(words, one),
        "exchanged": _share(answer.one_word_effects(*one), one),
    }
    title = "The same words, along the whole way"
    return plots.grouped_bars(_words("conjunction"), series, title, "", "share of the answer")


def what_is_left_over(answer: Any) -> go.Figure:
    """The completeness gap by the number of steps, as a share of the range: a flat network and one that bends."""
    series = {}
    for name in ("previous", "conjunction"):
        one = found.case(name, FEW)
        gaps = [answer.integrated_gradients(*one, steps)[1] for steps in STEPS]
        series[name] = [float((gap / one.span).abs().mean()) for gap in gaps]
    return plots.lines(STEPS, series, "What the words do not add up to", "steps", "gap (share of the range)")


def two_ways(answer: Any) -> go.Figure:
    """All heads of the two networks that say yes or no, patched both ways."""
    names: list[str] = []
    series: dict[str, list[float]] = {"left after noising": [], "back by denoising": []}
    for name in ("conjunction", "redundant"):
        one = found.case(name, FEW)
        c = one.model.cfg
        names += [f"{name} {layer}.{head}" for layer in range(c.n_layers) for head in range(c.n_heads)]
        for title, noising in (("left after noising", True), ("back by denoising", False)):
            series[title] += answer.patch_heads(*one, noising).mean(-1).flatten().tolist()
    return plots.sideways(
        plots.grouped_bars(names, series, "Every head, exchanged both ways", "", "share of the answer")
    )


def pico_heads(answer: Any) -> go.Figure:
    """Pico's strongest heads by exact noising, and what the answer estimates of them."""
    one = found.pico_case()
    quick = answer.attribution_patching(*one).mean(-1)
    exact = torch.tensor(_read()["pico"]["exact_table"])
    order = exact.abs().flatten().argsort(descending=True)[:10].tolist()
    series = {
        "exact noising": [float(exact.flatten()[i]) for i in order],
        "attribution patching": [float(quick.flatten()[i]) for i in order],
    }
    heads = ["{}.{}".format(*divmod(i, exact.shape[1])) for i in order]
    title = "Pico, asked for a town: what each head is worth"
    names = [f"head {head}" for head in heads]
    return plots.sideways(plots.grouped_bars(names, series, title, "", "share of the answer lost"))


def sure_queries(answer: Any) -> go.Figure:
    """The query that decides, in three networks: exact, through the softmax to first order, and with it anew."""
    seen = _read()["sure_heads"]
    heads = {"induction": (1, 1), "position": (1, 2), "two_hop": (2, 0)}
    mine = [float(answer.query_effects(*found.case(name))[head].mean()) for name, head in heads.items()]
    series = {
        "exact noising": [seen[name]["exact"] for name in heads],
        "attribution patching": [seen[name]["plain"] for name in heads],
        "with the softmax anew": mine,
    }
    names = [f"{name}: query of {layer}.{head}" for name, (layer, head) in heads.items()]
    return plots.sideways(plots.grouped_bars(names, series, "A query that decides", "", "share of the answer lost"))


def strongest_edges(answer: Any) -> go.Figure:
    """Induction: the strongest edges by the answer's EAP, those of the circuit marked."""
    return _edge_bars(answer.eap(*found.case("induction", FEW)), "EAP of the induction network: its strongest edges")


def strongest_edges_along(answer: Any) -> go.Figure:
    """The same by EAP-IG."""
    scores = answer.eap_ig(*found.case("induction", FEW), 5)
    return _edge_bars(scores, "EAP-IG of the induction network: its strongest edges")


def _edge_bars(scores: dict[str, Any], title: str) -> go.Figure:
    size = {edge: float(value.abs().mean()) for edge, value in scores.items()}
    circuit = {str(edge) for edge in found.circuit("induction").edges}
    best = sorted(size, key=lambda edge: -size[edge])[:10]
    best += [edge for edge in sorted(circuit) if edge not in best]
    series = {
        "in the circuit": [size[edge] if edge in circuit else 0.0 for edge in best],
        "not in it": [0.0 if edge in circuit else size[edge] for edge in best],
    }
    figure = plots.grouped_bars(best, series, title, "", "size of the score").update_layout(barmode="stack")
    return plots.sideways(figure)


def curves(answer: Any) -> go.Figure:
    """Cancelling: faithfulness of the best edges by the exact scores, ranked with their sign and by their size."""
    one = found.case("cancelling", FEW)
    exact = {str(edge): value for edge, value in _exact().items()}
    rankings = {
        "ranked by the signed score": sorted(exact, key=lambda edge: -float(exact[edge].mean())),
        "ranked by its size": sorted(exact, key=lambda edge: -float(exact[edge].abs().mean())),
    }
    series = {name: answer.faithfulness_curve(*one, ranking, FRACTIONS).tolist() for name, ranking in rankings.items()}
    title = "How much of the answer the first edges bring"
    return plots.lines(FRACTIONS, series, title, "share k of all edges", "faithfulness")


@functools.cache
def _exact() -> Any:
    return at.edge_effects(*found.case("cancelling", FEW).pair)


def sane(answer: Any) -> go.Figure:
    """What is left of each ranking with shuffled weights: the answer's heads, and how far the stream moves."""
    told = _read()["sanity"]
    seeds = list(found.SHUFFLED)
    mine = [float(answer.sanity_check(*found.case(name), seeds).mean()) for name in found.SANE]
    series = {
        "attribution patching, by head": mine,
        "how far the stream moves, by place": [told[name]["moved"] for name in found.SANE],
    }
    return plots.grouped_bars(found.SANE, series, "What outlives the weights", "", "rank correlation")


def by_auroc() -> go.Figure:
    """Circuits × methods by AUROC."""
    return _table("auroc", "AUROC over all edges: ½ is chance, 1 is right")


def by_recall() -> go.Figure:
    """Circuits × methods by recall."""
    return _table("recall", "Recall: the share of the circuit that is given more than a twentieth of the answer")


def _table(judge: str, title: str) -> go.Figure:
    table = _read()["table"]
    rows = [[table[method][name][judge] for method in METHODS] for name in found.CIRCUITS]  # few columns, for a phone
    names = [name.replace(", ", ",<br>") for name in METHODS.values()]
    figure = plots.matrix(torch.tensor(rows), found.CIRCUITS, names, title, diverging=False)
    return figure.update_layout(height=34 * len(rows) + 150).update_xaxes(tickangle=0)


def before_and_after() -> go.Figure:
    """Five failures: what three methods say of one edge, before and after the part that is to blame is straightened."""
    told = _read()["causes"]
    names = [f"{name}, {when}" for name in told for when in ("before", "after")]
    asked = {"EAP": "eap", "noising": "noising", "denoising": "denoising"}
    series = {
        title: [told[name][when][key] for name in told for when in ("before", "after")] for title, key in asked.items()
    }
    title = "Straighten the part that is to blame"
    return plots.sideways(plots.grouped_bars(names, series, title, "", "share of the answer"))
