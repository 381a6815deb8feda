"""Play with circuits: exchange one part at a time, weigh every edge, and see whether a few heads are enough."""

from __future__ import annotations

import functools
from json import JSONDecodeError
from typing import Any

import numpy as np
import streamlit as st
import torch

from app import circuit_edges, circuit_networks, circuit_patching, common, opening, views
from app.circuit_networks import Shown, Subject, circuit, draw, network, word, words
from app.common import literal
from mi_lib.attribution.pairs import metric_range
from mi_lib.models import LoadError

A_TENTH = 0.1
GUESSES = {"none": (0, 0), "1 or 2": (1, 2), "3 to 5": (3, 5), "6 to 10": (6, 10), "more than 10": (11, 10**6)}


def show() -> None:
    st.title("Explore circuits")
    st.write(
        "Which parts of a network make its answer? Take two prompts with different answers. Exchange one part "
        "at a time between their runs, and watch the answer."
    )
    try:
        subject = _choose()
        shown = _pair(subject)
        if shown is None or not _predicted(subject):
            return
        _verdict(subject, shown)
    except (LoadError, OSError, JSONDecodeError, KeyError) as error:
        views.failed(f"The network cannot be shown: {error}")
        return
    circuit_patching.section(subject, shown)
    circuit_edges.section(subject)
    seed = st.session_state.get("circuit-seed", 0)
    opening.ahead(*(functools.partial(_look_ahead, other, seed) for other in _beside(subject)))


def _beside(subject: Subject) -> list[Subject]:
    """The networks below and above this one in the list."""
    found = circuit_networks.subjects()
    at = found.index(subject)
    return found[at + 1 : at + 2] + found[max(0, at - 1) : at]


def _look_ahead(subject: Subject, seed: int) -> None:
    """Measure what the page shows first of a network, for the caches."""
    shown = _drawn(subject, seed)
    circuit_patching.answers(subject, shown)
    circuit_patching.patched(subject, shown, "heads", True)
    circuit_edges.look_ahead(subject)


def _choose() -> Subject:
    found = circuit_networks.subjects()
    by_title = {each.title: each for each in found}
    subject = by_title[st.selectbox("Network", list(by_title), key="circuit-network")]
    if circuit_networks.PICO not in {each.network for each in found}:
        st.caption("Pico is missing. Bring it back with `git checkout -- mi_lib/zoo`.")
    if not subject.network:
        st.caption(f"{circuit(subject.task).task} Nobody trained it: its weights were written down.")
    return subject


def _drawn(subject: Subject, seed: int) -> Shown:
    (pairs,) = draw(subject, 1, seed)
    answer, other = int(pairs.answers[0]), int(pairs.corrupted_answers[0])
    return Shown(tuple(pairs.clean[0].tolist()), tuple(pairs.corrupted[0].tolist()), answer, other)


def _pair(subject: Subject) -> Shown | None:
    """The pair of prompts, drawn anew on request; None if nothing can be patched in it."""
    model = network(subject)
    seed = st.session_state.setdefault("circuit-seed", 0)
    shown = _drawn(subject, seed)
    clean, corrupted, answer, other = shown
    with st.container(border=True):
        said = circuit_patching.answers(subject, shown)
        for name, tokens, others, p in zip(
            ("Clean", "Corrupted"), (clean, corrupted), (corrupted, clean), said, strict=True
        ):
            marked = [
                f"**{literal(shown_word)}**" if token != instead else literal(shown_word)
                for shown_word, token, instead in zip(words(model, tokens), tokens, others, strict=True)
            ]
            top = literal(word(model, int(p.argmax())))
            st.markdown(f":gray[{name}:] {' '.join(marked)} → **{top}** ({p.max():.0%})")
        right, wrong = (literal(word(model, token)) for token in (answer, other))
        st.caption(
            f"“The answer” is, from here on, the logit of **{right}** minus that of **{wrong}**, after the last word."
        )
        st.button(
            "Draw another pair", icon=":material/casino:", on_click=common.caught(_set), args=("circuit-seed", seed + 1)
        )
    try:
        with torch.no_grad():
            metric_range(*(shown.metric(model(tokens)) for tokens in shown.prompts))
    except ValueError as error:
        st.warning(f"Nothing can be patched with this pair: {error}.")
        return None
    return shown


def _predicted(subject: Subject) -> bool:
    """Ask before anything is shown. Whether the reader has answered, or goes on without."""
    if st.session_state.get("circuit-guess") or st.session_state.get("circuit-anyway"):
        return True
    cfg = network(subject).cfg
    with st.container(border=True):
        st.markdown(
            f"**Predict.** This network has {cfg.n_layers * cfg.n_heads} heads. In the run of the clean prompt, one of "
            "them says what it says for the corrupted prompt. All that comes later follows from that."
        )
        st.markdown("How many of the heads, each alone, take away more than a tenth of the answer?")
        guess = st.radio("Your prediction", list(GUESSES), index=None)
        st.button(
            "That is my prediction",
            on_click=common.caught(_set),
            args=("circuit-guess", (subject, guess)),
            disabled=guess is None,
            type="primary",
        )
    st.button(
        "Go on without a prediction", on_click=common.caught(_set), args=("circuit-anyway", True), type="tertiary"
    )
    return False


def _set(key: str, value: Any) -> None:
    st.session_state[key] = value


def _verdict(subject: Subject, shown: Shown) -> None:
    """Which heads matter alone, and what was predicted."""
    lost = circuit_patching.patched(subject, shown, "heads", True)[:, : network(subject).cfg.n_heads]
    found = [f"{layer}.{head}" for layer, head in np.argwhere(lost > A_TENTH).tolist()]
    said = f"**{len(found)} of the {lost.size} heads** {'takes' if len(found) == 1 else 'take'}"
    named = f": {', '.join(found)}" if found else ""
    st.markdown(f"{said} away more than a tenth of the answer, each alone{named}.")
    asked, guess = st.session_state.get("circuit-guess") or (None, "")
    if asked == subject:
        least, most = GUESSES[guess]
        missed = f"There are {'more' if len(found) > most else 'fewer'}. What could be the reason?"
        st.markdown(f"You predicted: {guess}. {'So it is.' if least <= len(found) <= most else missed}")
