"""Play with dictionaries: find a latent, read what it answers to, and hold it while Pico talks."""

from __future__ import annotations

import functools
import html
from json import JSONDecodeError
from typing import Any

import streamlit as st
import torch

from app import common, dictionary_read, dictionary_talk, opening, views
from app.chat import bundled, name_unknown, open_model
from app.common import literal
from app.dictionary_read import Named, Passage, Reading
from mi_lib import plots, saes, zoo
from mi_lib.models import HookedModel, LoadError
from mi_lib.saes.reading import activations
from mi_lib.worlds.littletown.concepts import CONCEPTS

MODEL = "pico"  # a bundled name, or a folder
FIRST = "pico-flat"
TEXT = "Mira lives in Selby and likes the river."
WIDEST = 40  # words in a text that is typed
GOOD = 0.8
SIZES = (1, 4, 16)  # latents that together are a test for a concept
GUESSES = {"none": (0, 0), "1 to 5": (1, 5), "6 to 15": (6, 15), "16 to 30": (16, 30), "more than 30": (31, 10**6)}


def prepare() -> None:
    open_model(MODEL)


def show() -> None:
    st.title("Explore dictionaries")
    st.write(
        "While Pico reads a word, its state at that word is a list of numbers. A *dictionary* takes this state apart "
        "into directions, called *latents*. It has many of them, and at any one word only a few are active. Does a "
        "latent mean something? Find one, read what it answers to, and hold it while Pico talks."
    )
    if not bundled(MODEL):
        return
    names = _names()
    if not names:
        st.error("The dictionaries are missing. Bring them back with `git checkout -- mi_lib/zoo`.")
        return
    try:
        model = open_model(MODEL)
        name = _choose(names)
        if not _predicted(name):
            opening.ahead(functools.partial(_look_ahead, model, name))  # while the question is read
            return
        reading = dictionary_read.read(model, MODEL, name)
        _verdict(name, reading)
        named = dictionary_read.named(reading, MODEL, name)
        latent = _search(model, name, reading, named)
        _card(model, name, reading, named, latent)
        st.fragment(common.guarded(dictionary_talk.section))(model, name, reading, latent)
    except (LoadError, OSError, JSONDecodeError, KeyError, ValueError) as error:
        views.failed(f"The dictionary cannot be shown: {error}")


def _look_ahead(model: HookedModel, name: str) -> None:
    """Read what the page shows of a dictionary, for the caches."""
    dictionary_read.named(dictionary_read.read(model, MODEL, name), MODEL, name)


def _names() -> list[str]:
    return zoo.dictionaries()


def _choose(names: list[str]) -> str:
    names = sorted(names, key=_is_second)
    first = names.index(FIRST) if FIRST in names else 0
    return st.selectbox("Dictionary", names, first, format_func=_said, key="dict-name")


@st.cache_data(max_entries=64)
def _said(name: str) -> str:
    about = saes.files.about(name)
    again = " (trained again with a second seed, for comparison)" if _is_second(name) else ""
    return f"{name}: {about['n_latents']:,} latents, at {_place(about['site'])}{again}"


def _is_second(name: str) -> bool:
    """Whether this is another dictionary once more, with the second seed of its recipe."""
    return name.endswith("-seed1")


def _place(site: str) -> str:
    """ "blocks.3.hook_resid_pre" → "the stream before block 3"."""
    parts = site.split(".")
    where = {"hook_resid_pre": "the stream before", "hook_resid_post": "the stream after", "hook_mlp_out": "the MLP of"}
    return f"{where[parts[-1]]} block {parts[1]}" if len(parts) == 3 and parts[-1] in where else site


def _predicted(name: str) -> bool:
    """Ask before anything is shown. Whether the reader has answered, or goes on without."""
    if st.session_state.get("dict-guess") or st.session_state.get("dict-anyway"):
        return True
    with st.container(border=True):
        about = saes.files.about(name)
        k = about["settings"].get("k")
        active = f" It was trained to have {k} of them active at a word, on average." if k else ""
        st.markdown(
            f"**Predict.** This dictionary has {about['n_latents']:,} latents.{active} It has never seen a label. We "
            f"have labels: {len(CONCEPTS)} concepts, such as *a river*, *a number*, *a refusal*, and we know at which "
            "words each of them holds."
        )
        st.markdown(
            "For each concept we look for the one latent that is active where it holds, and nowhere else. *F1* says "
            f"how well it does so, from 0 to 1. For how many concepts does the best latent reach {GOOD}?"
        )
        guess = st.radio("Your prediction", list(GUESSES), index=None)
        st.button(
            "That is my prediction",
            on_click=common.caught(_set),
            args=("dict-guess", (name, guess)),
            disabled=guess is None,
            type="primary",
        )
    st.button("Go on without a prediction", on_click=common.caught(_set), args=("dict-anyway", True), type="tertiary")
    return False


def _set(key: str, value: Any) -> None:
    st.session_state[key] = value


@st.cache_data(max_entries=16, show_spinner=False)
def _found(_reading: Reading, name: str) -> int:
    return _reading.found(GOOD)


def _verdict(name: str, reading: Reading) -> None:
    found = _found(reading, name)
    st.markdown(
        f"For **{found} of {len(CONCEPTS)}** concepts a single latent reaches an F1 of {GOOD}, on texts that were kept "
        "out. (F1 says how well it tells where the concept holds, from 0 to 1.)"
    )
    _, guess = st.session_state.get("dict-guess") or (None, "")
    if guess:
        least, most = GUESSES[guess]
        missed = f"There are {'more' if found > most else 'fewer'}. What could be the reason?"
        st.markdown(f"You predicted: {guess}. {'So it is.' if least <= found <= most else missed}")


# --- finding a latent ---------------------------------------------------------------------------------------------


def _search(model: HookedModel, name: str, reading: Reading, named: Named) -> int:
    """The latent that is looked at."""
    if st.session_state.get("dict-seen") != name or "dict-latent" not in st.session_state:
        start = max(range(len(CONCEPTS)), key=lambda c: float(reading.score[:, c].max()))
        st.session_state.update({"dict-seen": name, "dict-latent": reading.best(start, 1)[0]})
    by_concept, by_text, by_number = st.tabs(["By a concept", "By a text", "By its number"])
    with by_concept:
        _by_concept(name, reading, named)
    with by_text:
        _by_text(model, name, reading, named)
    with by_number:
        st.number_input("Latent", 0, reading.sae.n_latents - 1, key="dict-latent")
    return int(st.session_state["dict-latent"])


def _by_concept(name: str, reading: Reading, named: Named) -> None:
    order = sorted(range(len(CONCEPTS)), key=lambda c: -float(reading.score[:, c].max()))
    concept = st.selectbox("Concept", order, format_func=CONCEPTS.__getitem__, key=f"dict-concept-{name}")
    st.caption(
        "The latents that tell it best, each with its own name, and their F1 for this concept on texts that were kept "
        "out. Tap one to open it below."
    )
    with st.container(horizontal=True, gap="small"):
        for latent in reading.best(concept, 5):
            score = float(reading.judged(latent, concept).f1)
            _button(f"concept-{latent}", latent, f"{latent} · {literal(named.said(latent))} · F1 {score:.2f}")
    found = _together(reading, name, concept)
    told = ", ".join(f"{score:.2f} with {size}" for size, score in found.items() if size > 1)
    st.caption(
        f"Where any of several latents says “here”: F1 {told} at most. If that is much more than with one, the "
        "dictionary has split the concept into parts."
    )


@st.cache_data(max_entries=512, show_spinner="Looking for latents that tell it together …")
@common.one_thread()
def _together(_reading: Reading, name: str, concept: int) -> dict[int, float]:
    return dictionary_read.together(_reading, concept, SIZES)


def _button(key: str, latent: int, label: str) -> None:
    st.button(label, key=f"dict-open-{key}", on_click=common.caught(_set), args=("dict-latent", latent))


def _by_text(model: HookedModel, name: str, reading: Reading, named: Named) -> None:
    st.session_state.setdefault("dict-text", TEXT)
    text = st.text_input("A text of Littletown", key="dict-text", max_chars=400)
    if not text.strip() or name_unknown(model.tokenizer, text, "dict-text"):
        return
    tokens = model.to_tokens(text)
    if tokens.shape[1] > WIDEST:
        st.warning(f"There is room for {WIDEST} words and marks. This text has {tokens.shape[1]}.")
        return
    words = model.to_str_tokens(tokens[0])[1:]
    f = _at_words(model, reading, tokens)
    labels = common.told_apart(map(literal, words))
    place = st.pills("At which word?", range(len(words)), format_func=labels.__getitem__, default=0)
    if place is None:
        return
    most = f[place].topk(min(6, f.shape[1]))
    st.caption("The latents that are most active there, with their names, and how much.")
    with st.container(horizontal=True, gap="small"):
        for latent, value in zip(most.indices.tolist(), most.values.tolist(), strict=True):
            if value > 0:
                _button(f"text-{latent}", latent, f"{latent} · {literal(named.said(latent))} · {value:.1f}")


@torch.no_grad()
def _at_words(model: HookedModel, reading: Reading, tokens: torch.Tensor) -> torch.Tensor:
    """What the latents say at each word of a text, [word latent]."""
    ((_, _, _, x),) = activations(model, reading.site, tokens)
    return reading.sae.encode(x[0, 1:].to(reading.sae.W_dec))


# --- its card -----------------------------------------------------------------------------------------------------


def _card(model: HookedModel, name: str, reading: Reading, named: Named, latent: int) -> None:
    st.header(f"Latent {latent}", divider="gray")
    column = reading.new.column(latent)
    if not bool((column > 0).any()):
        st.info("It is active at no word of the texts that were kept out. There is nothing to read.")
        return
    concept = reading.label(latent)
    judged = reading.judged(latent, concept)
    name_of_it = CONCEPTS[concept]
    _name(named, latent)
    st.markdown(
        f"Of the concepts alone it tells *{name_of_it}* best, with an F1 of {float(judged.f1):.2f}. Of the words at "
        f"which it is active above its threshold, {float(judged.precision):.0%} are *{name_of_it}*. It is so at "
        f"{float(judged.recall):.0%} of all such words. Name, concept and threshold were chosen on other texts than "
        "those on which they are judged."
    )
    _texts(dictionary_read.passages(reading.new, latent))
    left, right = st.columns(2)
    with left:
        found = saes.histogram(column)
        figure = plots.histogram(found.counts, found.edges, "How strongly it is active", "activation", "words")
        common.chart(figure, key="dict-histogram")
        st.caption(f"It is silent at {found.silent:.1%} of the words.")
    with right:
        effects = _effects(model, reading, name, latent)
        if effects is not None:
            values = dict([*effects.rises, *reversed(effects.falls)])
            title = "Next words that it makes likelier, and unlikelier"
            common.chart(plots.contributions(values, title, "added to the logit (logits)"), key="dict-effects")
            st.caption("The mean where it is active in the texts above: with it, less with it silenced.")
    st.markdown("**Its neighbours**: the latents whose directions are most like its own.")
    with st.container(horizontal=True, gap="small"):
        for near in saes.neighbours(reading.sae, latent, 5):
            label = f"{near.latent} · {literal(named.said(near.latent))} · cosine {near.value:.2f}"
            _button(f"near-{near.latent}", near.latent, label)


def _name(named: Named, latent: int) -> None:
    """The name that labels and single words make for it, and what the name is worth."""
    name, score = named.names[latent], named.detection[latent]
    if name is None:
        st.markdown("It has **no name**: it is active at too few words of the texts from which names are made.")
        return
    worth = "It is active at too few words of other texts for a test of it."
    if score is not None:
        worth = (
            f"Its *detection* is {score:.2f}: the name holds at a larger share of the words at which the latent is "
            "active than of the others, by so much (1 is perfect; “always” and “never” would get 0). Here it counts as "
            "active wherever it is above 0, however weakly."
        )
    st.markdown(f"Its name is **{literal(name)}**. A program made it, of concepts and single words. {worth}")


@st.cache_data(max_entries=512, show_spinner="Silencing it in these texts …")
def _effects(_model: HookedModel, _reading: Reading, name: str, latent: int) -> Any:
    return dictionary_read.effects(_model, _reading, latent)


TINT = 65  # per cent of orange for the largest value
SHADED = """<style>
.passages p { line-height: 1.9; margin: 0 0 .4rem 0 }
.passages span { padding: .1em .15em; border-radius: .25em;
    background: color-mix(in srgb, #E69F00 calc(var(--share) * 1%), transparent) }
.passages b { text-decoration: underline }
</style>"""


def _texts(found: list[Passage]) -> None:
    st.markdown("**Where it is largest**, in texts that were kept out. The stronger the colour, the more active it is.")
    highest = max(max(each.values) for each in found)
    shown = "".join(f"<p>{_shaded(each, highest)}</p>" for each in found)
    st.html(f'{SHADED}<div class="passages">{shown}</div>')


def _shaded(passage: Passage, highest: float) -> str:
    """A passage: each word on a tint of the latent's value, the largest one underlined."""
    parts = []
    for i, (word, value) in enumerate(zip(passage.words, passage.values, strict=True)):
        said = html.escape(word.replace("<|", "⟨").replace("|>", "⟩"))
        said = f"<b>{said}</b>" if i == passage.at else said
        tint = f' style="--share: {TINT * value / highest:.0f}" title="{value:.2f}"' if value > 0 else ""
        parts.append(f"<span{tint}>{said}</span>" if tint else said)
    return ("… " if passage.before else "") + " ".join(parts) + (" …" if passage.after else "")
