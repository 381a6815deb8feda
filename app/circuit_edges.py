"""A graph of heads with edges as wide as their effect, and what the network says with some heads dropped."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go
import streamlit as st
import torch
from jaxtyping import Float
from torch import Tensor

from app import common
from app.circuit_networks import Subject, circuit, draw, network, word, words
from mi_lib import attribution, plots
from mi_lib.models.config import ModelConfig
from mi_lib.models.graph import EMBED, LOGITS, POS_EMBED, Edge, all_edges, head_name, head_of, node_of, senders
from mi_lib.plots import Line, Place
from mi_lib.plots.style import written
from mi_lib.worlds.planted import Circuit

METHODS = {
    "exact": "exact: patch every edge",
    "eap": "EAP: estimate all at once",
    "eap-ig": "EAP-IG: the same, in 5 steps",
}
MEANT = {
    "exact": "Each edge is exchanged by itself, in a run of its own.",
    "eap": "*Edge attribution patching*: what the sender changes, times the slope of the answer there (08.9). Two runs "
    "and a backward pass estimate all edges.",
    "eap-ig": "*EAP with integrated gradients*: as EAP, with the slope averaged over five steps between the prompts "
    "(08.10).",
}
EXACT_UP_TO = 1500  # edges: more would take long
THRESHOLDS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75)
AT_FIRST = 0.05
N_SCORED, N_HELD_OUT, N_TOLD = 16, 48, 6  # pairs that edges are weighed with; others to judge with, of them shown
SCORED_SEED, HELD_OUT_SEED = 10_000, 20_000  # far from those of the pairs that are drawn by hand
MOST_DRAWN = 150
INSTEAD = {False: "their words for the corrupted prompt", True: "their mean over the corrupted prompts"}


class Weighed(NamedTuple):
    """Of every edge, over the pairs: the mean size of its effect, and the mean effect with its sign."""

    size: dict[Edge, float]
    effect: dict[Edge, float]


class Said(NamedTuple):
    """What the network says on held-out prompts: the share that is right, the logit difference, and a few of them."""

    right: float
    difference: float
    prompts: list[dict[str, str]]


@st.fragment
@common.guarded
def section(subject: Subject) -> None:
    """The graph, and what the heads say that are left in it. One fragment, as a click on a head changes both."""
    st.header("Who speaks to whom", divider="gray")
    edges = _edges(subject)
    offered = _methods(subject)
    st.write(
        f"Every part speaks to all later parts: {len(edges):,} edges. Let one edge carry what its sender says for the "
        "corrupted prompt. The share of the answer that is lost is the edge's effect. Here it is the mean over "
        f"{N_SCORED} pairs."
    )
    left, right = st.columns(2)
    method: str = left.selectbox(
        "Method", offered, format_func=METHODS.__getitem__, key=f"circuit-method-{len(offered)}"
    )
    left.caption(MEANT[method])
    threshold: float = right.select_slider(
        "Keep edges with an effect of at least",
        THRESHOLDS,
        AT_FIRST,
        format_func=_percent,
        key="circuit-threshold",
    )
    weighed = weigh(subject, method)
    kept = [edge for edge in edges if weighed.size[edge] >= threshold]
    known = None if subject.network else circuit(subject.task)
    truth = known if known and st.toggle("Lay the planted truth over it", key="circuit-truth") else None
    _numbers(subject, method, threshold, weighed, kept, truth)
    _graph(subject, method, kept, truth)
    _enough(subject, kept, truth)


def look_ahead(subject: Subject) -> None:
    """Measure what the section shows first of a network, for the caches."""
    method = _methods(subject)[0]
    faithful(subject, method, AT_FIRST)
    _drawn(subject, method, sum(size >= AT_FIRST for size in weigh(subject, method).size.values()), False, ())
    say(subject, (), next(iter(INSTEAD)))


def _methods(subject: Subject) -> list[str]:
    return [name for name in METHODS if name != "exact" or len(_edges(subject)) <= EXACT_UP_TO]


@st.cache_data(max_entries=32, show_spinner=False)
def _edges(subject: Subject) -> list[Edge]:
    return all_edges(network(subject).cfg)


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


# --- edges --------------------------------------------------------------------------------------------------------


@st.cache_data(max_entries=32, show_spinner="Weighing every edge of the network …")
@common.one_thread()
def weigh(subject: Subject, method: str) -> Weighed:
    """The effect of every edge, by one of `METHODS`."""
    model, found = network(subject), []
    effects_of: dict[str, Callable[..., dict[Edge, Tensor]]] = {
        "exact": attribution.edge_effects,
        "eap": attribution.eap,
        "eap-ig": attribution.eap_ig,
    }
    for pairs in draw(subject, N_SCORED, SCORED_SEED):
        metric = attribution.logit_difference(pairs.answers, pairs.corrupted_answers)
        found.append(effects_of[method](model, pairs.clean, pairs.corrupted, metric))
    effects = {edge: torch.cat([each[edge] for each in found]) for edge in found[0]}
    return Weighed(attribution.strength(effects), {edge: float(effect.mean()) for edge, effect in effects.items()})


@st.cache_data(max_entries=256, show_spinner="Running the circuit with all other edges corrupted …")
@common.one_thread()
def faithful(subject: Subject, method: str, threshold: float) -> float:
    """Faithfulness of the edges above a threshold, on held-out pairs: the mean over their templates."""
    kept = [edge for edge, size in weigh(subject, method).size.items() if size >= threshold]
    if not kept:
        return 0.0
    model, found = network(subject), []
    for pairs in draw(subject, N_HELD_OUT, HELD_OUT_SEED, held_out=True):
        metric = attribution.logit_difference(pairs.answers, pairs.corrupted_answers)
        found.append(attribution.faithfulness(model, pairs.clean, pairs.corrupted, metric, kept))
    return sum(found) / len(found)


def _numbers(
    subject: Subject, method: str, threshold: float, weighed: Weighed, kept: list[Edge], truth: Circuit | None
) -> None:
    """Size and faithfulness, and how the edges compare with the truth."""
    with st.container(horizontal=True, gap="large"):  # side by side on a phone too
        st.metric("Edges kept", f"{len(kept)} of {len(weighed.size):,}", width="content")
        st.metric(
            "Faithfulness",
            common.percent(faithful(subject, method, threshold)),
            help="The share of the answer that is left on held-out pairs if all other edges are corrupted.",
            width="content",
        )
        if truth:
            found = len(truth.edges & set(kept))
            st.metric("Planted edges found", f"{found} of {len(truth.edges)}", width="content")
            st.metric(
                "AUROC",
                f"{attribution.auroc(weighed.size, truth.truth()):.2f}",
                help="The chance that an edge of the planted circuit has a larger effect than one off it.",
                width="content",
            )


# --- the graph ----------------------------------------------------------------------------------------------------


def _graph(subject: Subject, method: str, kept: list[Edge], truth: Circuit | None) -> None:
    cfg = network(subject).cfg
    dropped = tuple(st.session_state.get(_dropped_key(subject), []))
    count = st.session_state.setdefault("circuit-clicks", 0)  # a new chart after each click, with nothing selected
    with common.scrolled("circuit-graph", 100 * (cfg.n_layers + 2)):
        common.chart(
            _drawn(subject, method, len(kept), truth is not None, dropped),
            key=f"circuit-graph-{count}",
            on_select=common.caught(functools.partial(_toggled, subject)),
            selection_mode="points",
            config=common.CLICKED,
        )
    st.caption(
        "An edge ends at the queries (q), keys (k) or values (v) of a head. Point at the dot on it for its effect. "
        "Click a head to drop it, and once more to take it back. A wide graph is scrolled sideways."
    )
    if len(kept) > MOST_DRAWN:
        st.caption(f"Only the {MOST_DRAWN} strongest edges are drawn.")
    if truth and truth.together:
        together = frozenset().union(*truth.together)
        st.caption(
            f"{len(together)} of the planted edges are backed up: another edge says the same, so that no patch of one "
            "alone shows them."
        )
    if truth:
        with st.expander("What the planted parts do"):
            st.markdown("\n".join(f"- **{part}** {role}" for part, role in sorted(truth.roles.items())))


@st.cache_resource(max_entries=64, show_spinner=False)
def _drawn(subject: Subject, method: str, n_kept: int, planted: bool, dropped: tuple[str, ...]) -> go.Figure:
    """The n_kept edges with the largest effects, without the dropped heads (such as "1.0")."""
    weighed = weigh(subject, method)
    kept = sorted(_edges(subject), key=lambda edge: -weighed.size[edge])[:n_kept]
    heads = {head_name(*map(int, head.split("."))) for head in dropped}
    return graph(network(subject).cfg, weighed, kept, circuit(subject.task) if planted else None, heads)


def graph(
    cfg: ModelConfig, weighed: Weighed, kept: Sequence[Edge], truth: Circuit | None, dropped: set[str]
) -> go.Figure:
    """The figure: heads in a column for each layer, the strongest of the kept edges, and the truth if it is given."""
    strongest = sorted(kept, key=lambda edge: -weighed.size[edge])[:MOST_DRAWN]
    kinds = {edge: "for" if weighed.effect[edge] >= 0 else "against" for edge in strongest}
    names = {"for": "speaks for the answer", "against": "speaks against it"}
    if truth:
        missed = sorted(truth.edges - set(kept))
        silent = truth.constant_edges | truth.dormant
        kinds = {e: "found" if e in truth.edges else "open" if e in silent else "false" for e in strongest}
        kinds |= dict.fromkeys(missed, "missed")
        names = {"found": "planted and found", "missed": "planted and missed", "false": "found and not planted"}
        if "open" in kinds.values():
            names["open"] = "planted, but no patch can tell"
    most = max((weighed.size[edge] for edge in strongest), default=1.0)
    lines = [
        Line(
            edge.sender,
            node_of(edge.receiver),
            edge.receiver[-1] if head_of(edge.receiver) else "",
            min(1.0, weighed.size[edge] / most),
            kind,
            f"<b>{edge.sender} → {edge.receiver}</b><br>effect {weighed.effect[edge]:+.1%} of the answer",
        )
        for edge, kind in kinds.items()
    ]
    roles = truth.roles if truth else {}
    places = _places(cfg)
    return plots.circuit_graph(
        places,
        lines,
        "The edges that are kept, as wide as their effect",
        {kind: f"{name} ({sum(k == kind for k in kinds.values())})" for kind, name in names.items()},
        {0: "embedding", **{layer + 1: f"layer {layer}" for layer in range(cfg.n_layers)}, cfg.n_layers + 1: "logits"},
        {part: f"<b>{part}</b>" + (f"<br>{roles[part]}" if part in roles else "") for part in places},
        dropped,
        truth.parts if truth else (),
    )


def _places(cfg: ModelConfig) -> dict[str, Place]:
    """Where each part stands: heads below each other, the MLP of a layer below them and a little later."""
    middle = (cfg.n_heads - 1) / 2
    places = {EMBED: Place(0, middle - 0.5, "embed")}
    for name in senders(cfg)[1:]:
        if name == POS_EMBED:
            places[name] = Place(0, middle + 0.5, "pos")
        elif head := head_of(name):
            places[name] = Place(head[0] + 1, head[1], f"{head[0]}.{head[1]}")
        else:
            places[name] = Place(int(name[1:]) + 1.5, cfg.n_heads, name)
    return places | {LOGITS: Place(cfg.n_layers + 1, middle, "logits")}


# --- heads --------------------------------------------------------------------------------------------------------


def _dropped_key(subject: Subject) -> str:
    return f"circuit-dropped-{subject.network}-{subject.task}"


def _toggled(subject: Subject) -> None:
    """A part of the graph was clicked: a head is dropped, or taken back."""
    count = st.session_state["circuit-clicks"]
    points = st.session_state[f"circuit-graph-{count}"]["selection"]["points"]
    part = points[0].get("customdata") if points else None
    head = head_of(str(part[0] if isinstance(part, list) else part))
    if head is None:
        return
    name, dropped = f"{head[0]}.{head[1]}", list(st.session_state.get(_dropped_key(subject), []))
    dropped = [other for other in dropped if other != name] if name in dropped else [*dropped, name]
    st.session_state.update({_dropped_key(subject): dropped, "circuit-clicks": count + 1})


def _enough(subject: Subject, kept: list[Edge], truth: Circuit | None) -> None:
    """Drop heads, and see what the others say on prompts that were not used so far."""
    st.header("Are a few heads enough?", divider="gray")
    cfg, key = network(subject).cfg, _dropped_key(subject)
    heads = [f"{layer}.{head}" for layer in range(cfg.n_layers) for head in range(cfg.n_heads)]
    seen = {node for edge in kept for node in (edge.sender, node_of(edge.receiver))}

    def without(parts: set[str]) -> list[str]:
        return [head for head in heads if head_name(*map(int, head.split("."))) not in parts]

    with st.container(horizontal=True):
        buttons = {"Keep all heads": [], "Keep those of the graph": without(seen)}
        if truth:
            buttons["Keep the planted ones"] = without(set(truth.parts))
        for label, dropped in buttons.items():
            st.button(label, on_click=common.caught(_set), args=(key, dropped))
    st.session_state.setdefault(key, [])
    dropped = st.pills("Dropped heads (click to drop, once more to keep)", heads, selection_mode="multi", key=key)
    mean: bool = st.radio(
        "What dropped heads say", list(INSTEAD), format_func=INSTEAD.__getitem__, horizontal=True, key="circuit-instead"
    )
    whole, alone = say(subject, (), mean), say(subject, tuple(sorted(dropped)), mean)
    left, right = st.columns(2)
    for column, name, of in (
        (left, f"Right answers on {N_HELD_OUT} held-out prompts", "{:.0%}"),
        (right, "Logit difference there (logits)", "{:.2f}"),
    ):
        now, before = (each.right if "%" in of else each.difference for each in (alone, whole))
        change = f"{of.format(now - before)} against the whole network" if dropped else None
        column.metric(name, of.format(now), change)
    st.markdown(_table(alone.prompts))
    st.caption("An answer counts as right if it is the likeliest of all words. MLPs and embeddings are always kept.")


def _set(key: str, value: Any) -> None:
    st.session_state[key] = value


def _table(rows: list[dict[str, str]]) -> str:
    """Few rows as Markdown: Streamlit's own table for data is drawn as a picture, and costs as much as a figure."""
    lines = [list(rows[0]), [":--"] * len(rows[0]), *([common.literal(cell) for cell in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@st.cache_data(max_entries=256, show_spinner="Asking what is left of the network …")
@common.one_thread()
def say(subject: Subject, dropped: tuple[str, ...], mean: bool) -> Said:
    """What the network says on held-out prompts while these heads say something else ("1.2"; see `INSTEAD`)."""
    model = network(subject)
    silent = {head_name(*map(int, head.split("."))) for head in dropped}
    kept = [edge for edge in all_edges(model.cfg) if edge.sender not in silent]
    right, difference, prompts = [], [], []
    for pairs in draw(subject, N_HELD_OUT, HELD_OUT_SEED, held_out=True):
        logits = attribution.run_circuit(model, pairs.clean, kept, pairs.corrupted, mean=mean)[:, -1:]
        right.append(logits[:, -1].argmax(-1) == pairs.answers)
        difference.append(attribution.logit_difference(pairs.answers, pairs.corrupted_answers)(logits))
        prompts += _told(subject, pairs.clean, logits[:, -1], pairs.answers, difference[-1])
    share = torch.cat(right).double().mean()
    return Said(float(share), float(torch.cat(difference).mean()), prompts[:: max(1, len(prompts) // N_TOLD)][:N_TOLD])


def _told(
    subject: Subject,
    clean: Tensor,
    logits: Float[Tensor, "batch d_vocab"],
    answers: Tensor,
    differences: Float[Tensor, " batch"],
) -> list[dict[str, str]]:
    model = network(subject)
    rows = zip(clean.tolist(), answers.tolist(), logits.argmax(-1).tolist(), differences.tolist(), strict=True)
    return [
        {
            "says": f"{'✓' if said == answer else '✗'}\u00a0{word(model, said)}",
            "right": word(model, answer),
            "logit difference": written(difference, 2),
            "prompt": " ".join(words(model, tokens)),
        }
        for tokens, answer, said, difference in rows
    ]
