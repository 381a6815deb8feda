"""Talk to Pico with one latent held at a value, beside the untouched Pico, and beside a push in a random direction."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import streamlit as st
import torch
from torch.nn import functional as F

from app import common
from app.chat import LEGEND, REPLY_ROOM, STYLE, Said, Turn, as_html, fit, in_words, name_unknown, sentence_case
from app.dictionary_read import Reading
from mi_lib.models import HookedModel
from mi_lib.models.generate import stream
from mi_lib.saes import Dictionary, clamped, spliced

QUESTIONS = ("Where does Mira live?", "How are you today?", "What do you think of the bridge?", "What do you dream of?")
KINDS = {
    "untouched": "Pico as it is",
    "held": "latent held",
    "random": "pushed as far, in a random direction",
}


class Asked(NamedTuple):
    """A question and what was held while it was answered."""

    dictionary: str
    latent: int
    value: float
    question: str
    temperature: float
    seed: int
    random: bool


def section(model: HookedModel, name: str, reading: Reading, latent: int) -> None:
    st.header("Hold it, and talk to Pico", divider="gray")
    st.write(
        "Does Pico use this latent, or does it only go along with something? Hold it at a value, at every word that "
        "Pico reads and says, and ask. Whatever the dictionary does not explain is left as it is."
    )
    st.html(f"<style>{STYLE}</style>")
    largest = float(reading.new.column(latent).max()) or float(reading.old.column(latent).max()) or 1.0
    asked = _controls(name, latent, largest)
    if name_unknown(model.tokenizer, asked.question, "dict-question"):
        return
    if st.button("Ask", type="primary", icon=":material/send:", disabled=not asked.question.strip()):
        st.session_state["dict-replies"] = (asked, {})
    kept: tuple[Asked, dict[str, list[Said]]] | None = st.session_state.get("dict-replies")
    if kept is None or kept[0][:2] != (name, latent):
        return
    _answers(model, reading, *kept)


def _controls(name: str, latent: int, largest: float) -> Asked:
    st.session_state.setdefault("dict-question", QUESTIONS[0])
    with st.container(border=True):
        question = st.text_input("Your question", key="dict-question", max_chars=200)
        with st.container(horizontal=True, gap="small"):
            for each in QUESTIONS:
                st.button(each, key=f"dict-ask-{each}", on_click=common.caught(_set), args=("dict-question", each))
        left, right = st.columns(2)
        value = left.slider(
            f"Hold latent {latent} at (its largest value in these texts is {largest:.1f})",
            0.0,
            round(4 * largest, 1),
            round(2 * largest, 1),
            key=f"dict-value-{name}-{latent}",
            help="0 silences it. Above its largest value Pico is where it has never been.",
        )
        temperature = right.slider(
            "Temperature", 0.0, 2.0, 0.0, 0.1, key="dict-temperature", help="0 takes the likeliest word."
        )
        random = left.toggle(
            "A random direction beside it",
            True,
            key="dict-random",
            help="The control: Pico is pushed as far at every word, but in a direction that was drawn by lot.",
        )
        seed = right.number_input(
            "Seed",
            0,
            999,
            0,
            key="dict-seed",
            help="Draws the random direction, and the words if the temperature is above 0.",
        )
    return Asked(name, latent, float(value), question, float(temperature), int(seed), random)


def _set(key: str, value: object) -> None:
    st.session_state[key] = value


def _answers(model: HookedModel, reading: Reading, asked: Asked, replies: dict[str, list[Said]]) -> None:
    """The replies side by side; those that are not there yet are streamed, one after another."""
    turn = Turn("user", sentence_case(model.tokenizer, asked.question.strip()))
    prompt, _ = fit(model.tokenizer, None, [turn], model.cfg.n_ctx - REPLY_ROOM)
    kinds = [kind for kind in KINDS if kind != "random" or asked.random]
    st.caption(f"“{common.literal(turn.text)}”, with latent {asked.latent} held at {asked.value:.1f}.")
    places = {}
    for column, kind in zip(st.columns(len(kinds)), kinds, strict=True):
        column.markdown(f"**{KINDS[kind].capitalize()}**")
        places[kind] = column.empty()
        if kind in replies:
            places[kind].html(as_html(replies[kind]))
    for kind in kinds:
        if kind not in replies:
            steps: list[Said] = []
            with model.hooks(edits(reading, asked, kind)):
                for step in _steps(model, prompt, asked):
                    steps.append(step)
                    places[kind].html(as_html(steps))
            replies[kind] = steps  # once it is whole: a reply that was broken off is asked for again
    st.html(LEGEND)


def _steps(model: HookedModel, prompt: list[int], asked: Asked) -> Iterator[Said]:
    stop = (model.tokenizer.eos_token_id,)
    for step in stream(model, prompt, asked.temperature, asked.seed, stop, REPLY_ROOM):
        yield in_words(model.tokenizer, step)


def edits(reading: Reading, asked: Asked, kind: str) -> list[tuple[str, Any]]:
    """What is done to the run: nothing, the latent held, or a push as far in another direction."""
    if kind == "untouched":
        return []
    sae = reading.sae if kind == "held" else turned(reading.sae, asked.latent, asked.seed)
    return [(reading.site, spliced(sae, keep_error=True, edit=clamped(asked.latent, asked.value)))]


def turned(sae: Dictionary, latent: int, seed: int) -> Dictionary:
    """The same dictionary, but what this latent writes goes in a random direction, as far."""
    other = copy.deepcopy(sae)
    row = sae.W_dec[latent]
    drawn = torch.randn(len(row), generator=torch.Generator().manual_seed(seed))
    other.W_dec[latent] = F.normalize(drawn, dim=0) * row.norm()
    return other
