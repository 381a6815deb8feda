"""One place at a time is exchanged between two runs: a map of what that does to the answer, and each cell's answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st
import torch
from jaxtyping import Float
from torch import Tensor

from app import common
from app.circuit_networks import Shown, Subject, network, word, words
from app.common import literal
from mi_lib import attribution, plots

WHAT = {
    "heads": "a head or an MLP, at all positions",
    "resid_pre": "the residual stream before a layer, at one position",
    "attn_out": "what a layer's attention adds, at one position",
    "mlp_out": "what a layer's MLP adds, at one position",
}
WAYS = {True: "take away (noising)", False: "bring back (denoising)"}
DOES = {True: "takes away", False: "brings back"}
SAID = {
    True: "The clean run, with one place as in the corrupted run. Is the place **needed**?",
    False: "The corrupted run, with one place as in the clean run. Is the place **enough**?",
}


@st.fragment
@common.guarded
def section(subject: Subject, shown: Shown) -> None:
    """The map and one of its cells. A fragment: a click on a cell leaves the rest of the page alone."""
    st.header("Exchange one place", divider="gray")
    model = network(subject)
    left, right = st.columns(2)
    offered = [what for what in WHAT if what != "mlp_out" or model.cfg.d_mlp]
    what: str = left.selectbox("What is exchanged", offered, format_func=WHAT.__getitem__, key="circuit-what")
    noising: bool = right.radio("Which way", list(WAYS), format_func=WAYS.__getitem__, key="circuit-way")
    shares = patched(subject, shown, what, noising)
    columns = _columns(subject, shown, what)
    _keep_place(subject, shown, what, shares)
    st.markdown(SAID[noising])
    st.caption(
        "Hundredths of the answer stand in the cells, where they are five or more. Click a cell for its answer. "
        "A wide map is scrolled sideways."
    )
    wide = 110 + (70 if what == "heads" else 60) * len(columns)  # a long prompt is scrolled sideways and not squeezed
    # It opens at the end at which the chosen cell is; at first that is the strongest.
    chosen = (st.session_state["circuit-row"], st.session_state["circuit-column"])
    at_end = what != "heads" and chosen[1] > len(columns) // 2
    title = f"What each place {DOES[noising]}"
    st.markdown(f"**{title}**")  # in the figure it would be scrolled
    with common.scrolled("circuit-patching", wide, at_end=at_end):
        common.chart(
            _map(what, noising, shares, columns, chosen, at_end),
            key="circuit-map",
            titled=title,
            on_select=common.caught(_clicked),
            selection_mode="points",
            config=common.CLICKED,
        )
    _cell(subject, shown, what, noising, shares, columns)


@st.cache_data(max_entries=256, show_spinner="Exchanging one place at a time …")
@common.one_thread()
def patched(subject: Subject, shown: Shown, what: str, noising: bool) -> Float[np.ndarray, "layer column"]:
    """What exchanging each place takes away (noising) or brings back, as a share of the answer.

    Columns are the heads, and the MLP where there is one; or the positions.
    """
    model = network(subject)
    options: dict[str, Any] = {"noising": noising, "logits_to_keep": 1}
    if what == "heads":
        found = attribution.patch_heads(model, *shown.prompts, shown.metric, **options)[..., 0]
        if model.cfg.d_mlp:
            mlps = attribution.patch_layers(model, *shown.prompts, shown.metric, "mlp_out", **options)
            found = torch.cat([found, mlps], 1)
    else:
        found = attribution.patch_positions(model, *shown.prompts, shown.metric, what, **options)[..., 0]
    return (1 - found if noising else found).numpy()


@st.cache_data(max_entries=512, show_spinner=False)
@common.one_thread()
def after_patch(
    subject: Subject, shown: Shown, what: str, noising: bool, row: int, column: int
) -> Float[Tensor, " d_vocab"]:
    """What the network says next with one place of the map exchanged: probabilities."""
    model = network(subject)
    whole = slice(None)
    if what != "heads":
        place: Any = ((what, row), (column,))
    elif column < model.cfg.n_heads:
        place = (("z", row), (whole, column))
    else:
        place = (("mlp_out", row), (whole,))
    seen = []

    def metric(logits: Float[Tensor, "batch pos d_vocab"]) -> Float[Tensor, " batch"]:
        seen.append(logits)  # the last ones are those of the patched run
        return shown.metric(logits)

    attribution.patch_places(model, *shown.prompts, metric, [place], noising=noising, logits_to_keep=1)
    return seen[-1][0, -1].softmax(-1)


@st.cache_data(max_entries=256, show_spinner=False)
@common.one_thread()
def answers(subject: Subject, shown: Shown) -> Float[Tensor, "two d_vocab"]:
    """What the network says after the clean and after the corrupted prompt: probabilities."""
    with torch.no_grad():
        return torch.stack([network(subject)(tokens)[0, -1].softmax(-1) for tokens in shown.prompts])


def _columns(subject: Subject, shown: Shown, what: str) -> list[str]:
    model = network(subject)
    if what == "heads":
        return [*map(str, range(model.cfg.n_heads)), *(["MLP"] if model.cfg.d_mlp else [])]
    both = zip(words(model, shown.clean), words(model, shown.corrupted), strict=True)
    return [f"{a if a == b else f'{a}/{b}'} {i}" for i, (a, b) in enumerate(both)]


def _place(what: str, row: int, column: str) -> str:
    if what == "heads":
        return f"MLP of layer {row}" if column == "MLP" else f"head {row}.{column}"
    where = {"resid_pre": "stream before", "attn_out": "attention of", "mlp_out": "MLP of"}[what]
    return f"{where} layer {row}, at “{column}”"


@st.cache_resource(max_entries=64, show_spinner=False)
def _map(
    what: str,
    noising: bool,
    shares: Float[np.ndarray, "layer column"],
    columns: list[str],
    chosen: tuple[int, int],
    at_end: bool,
) -> go.Figure:
    does = DOES[noising]
    hovers = [
        [
            f"<b>{_place(what, row, column)}</b><br>{does} {common.percent(share)} of the answer"
            for column, share in zip(columns, shown, strict=True)
        ]
        for row, shown in enumerate(shares)
    ]
    figure = plots.click_map(
        shares,
        hovers,
        [f"layer {row}" for row in range(len(shares))],
        columns,
        "",
        f"share of the answer that it {does}",
        "head" if what == "heads" else "word and position (clean/corrupted)",
        "",
        chosen=chosen,
    ).update_layout(margin={"t": 70})
    return common.told_at_its_end(figure).update_layout(margin={"l": 10, "r": 60}) if at_end else figure


def _keep_place(subject: Subject, shown: Shown, what: str, shares: Float[np.ndarray, "layer column"]) -> None:
    """Which cell is looked at: in a new map, the strongest."""
    # After a visit to another page Streamlit has forgotten the cell, but not what was seen.
    if st.session_state.get("circuit-seen") != (subject, shown, what) or "circuit-row" not in st.session_state:
        row, column = map(int, np.unravel_index(np.abs(shares).argmax(), shares.shape))
        st.session_state.update({"circuit-seen": (subject, shown, what), "circuit-row": row, "circuit-column": column})


def _clicked() -> None:
    points = st.session_state["circuit-map"]["selection"]["points"]
    if points:
        st.session_state.update({"circuit-row": round(points[0]["y"]), "circuit-column": round(points[0]["x"])})


def _cell(
    subject: Subject,
    shown: Shown,
    what: str,
    noising: bool,
    shares: Float[np.ndarray, "layer column"],
    columns: list[str],
) -> None:
    """What the patch of one cell does to the answer."""
    model = network(subject)
    left, right = st.columns(2)
    row = left.selectbox("Layer", range(len(shares)), key="circuit-row")
    name = "Head or MLP" if what == "heads" and model.cfg.d_mlp else "Head" if what == "heads" else "Position"
    column = right.selectbox(name, range(len(columns)), format_func=columns.__getitem__, key="circuit-column")
    clean, corrupted = answers(subject, shown)
    start, aim = (clean, corrupted) if noising else (corrupted, clean)
    now = after_patch(subject, shown, what, noising, row, column)
    runs = {
        f"{'clean' if noising else 'corrupted'} run": start,
        "this run with the place exchanged": now,
        f"{'corrupted' if noising else 'clean'} run": aim,
    }
    first = [literal(word(model, int(each.argmax()))) for each in (start, now)]
    st.markdown(
        f"The {literal(_place(what, row, columns[column]))} {'takes away' if noising else 'brings back'} "
        f"**{common.percent(shares[row, column])}** of the answer. "
        f"Before: **{first[0]}** ({start.max():.0%}). With the place exchanged: **{first[1]}** ({now.max():.0%})."
    )
    top = list(dict.fromkeys(int(token) for each in runs.values() for token in each.topk(3).indices))
    likeliest = {name: each[top].tolist() for name, each in runs.items()}
    common.chart(_likeliest(words(model, top), likeliest), key="circuit-answers")


@st.cache_resource(max_entries=64, show_spinner=False)
def _likeliest(names: list[str], probabilities: dict[str, list[float]]) -> go.Figure:
    title = "The likeliest next words"
    return plots.grouped_bars(names, probabilities, title, "next word", "probability").update_yaxes(range=[0, 1])
