"""Play with induction: own words or sampled ones, all heads at a glance, silence some, and move through training."""

from __future__ import annotations

from json import JSONDecodeError
from typing import TYPE_CHECKING

import streamlit as st
import torch

from app import common, views
from app.chat import mend
from app.common import literal
from app.words import MAX_WORDS, words
from mi_lib import induction, plots, zoo
from mi_lib.models import HookedModel, LoadError, load
from mi_lib.models.text import nearest_words, unknown_words
from mi_lib.worlds import repeats

if TYPE_CHECKING:
    import plotly.graph_objects as go

EXAMPLE = "river lamp cat stone piano ginger owl tent river lamp cat stone piano ginger owl tent"
HARDLY = "It hardly rises: by less than half a nat"
BELOW = "It rises, but stays below that of words seen first"
BEYOND = "It rises to that of words seen first, or beyond"
GUESSES = (HARDLY, BELOW, BEYOND)
SMALL = 0.5  # nats
TITLES = {"induction-2l": "two layers", "induction-1l": "one layer"}


@st.cache_resource(max_entries=24, show_spinner=False)
def network(name: str, checkpoint: int | None) -> HookedModel:
    """A network of this page and of the first minute, once for both."""
    return load(name, checkpoint=checkpoint)


def prepare() -> None:
    for name in TITLES:
        network(name, None)


def show() -> None:
    st.title("Explore induction")
    st.write("Two small networks, one with two layers and one with a single layer. Watch where their heads look.")
    try:
        names = [name for name in TITLES if name in zoo.names()]
        if not names:
            st.error("The trained networks are missing. Bring them back with `git checkout -- mi_lib/zoo`.")
            return
        # On the page and not in the sidebar, which a phone folds away.
        with st.container(border=True):
            left, right = st.columns(2)
            with left:
                name = st.radio("Network", names, format_func=TITLES.get, horizontal=True, key="explore-network")
                step = _step(name)
            with right:
                tokens = _tokens(network(name, None))
        if tokens is None:
            return
        _page(name, network(name, step), tokens, step)
    except (LoadError, OSError, JSONDecodeError, IndexError, KeyError) as error:
        views.failed(f"The network cannot be shown: {error}")


def _tokens(model: HookedModel) -> torch.Tensor | None:
    """The sequence to look at: sampled, or the learner's own words; the last ones that could be read."""
    if st.radio("Words", ["sampled", "my own"], horizontal=True, key="explore-words") == "sampled":
        period = st.slider("Words in a block", 2, 14, key=views.first("explore-period", 8))
        seed = st.number_input("Sample", 0, 9999, key=views.first("explore-seed", 1))
        return repeats.sample(1, seed=int(seed), period=period, offset=2).tokens
    st.session_state.setdefault("explore-text", EXAMPLE)
    st.caption("Type below, in the field above the words.")
    text = st.session_state["explore-text"]
    if problem := unreadable(model, text):
        st.warning(problem)
        if "not know" in problem and (mended := mend(model.tokenizer, text.lower())):
            st.button(
                f"Take: {literal(mended)}", on_click=common.caught(_take), args=(mended,), icon=":material/spellcheck:"
            )
        text = st.session_state.get("explore-read", EXAMPLE)
    st.session_state["explore-read"] = text
    return model.to_tokens(text)


def unreadable(model: HookedModel, text: str) -> str:
    """Why the network cannot read this text, as Markdown; "" if it can."""
    if missing := unknown_words(model.tokenizer, text):
        lines = [f"The network knows {model.cfg.d_vocab - 1} plain nouns. It does not know:", ""]
        for word in missing[:8]:
            near = [f"**{literal(known)}**" for known in nearest_words(model.tokenizer, word)]
            lines.append(f"- “{literal(word)}”. " + (f"Near it: {', '.join(near)}." if near else "Nothing is near it."))
        return "\n".join(lines)
    if len(text.split()) < 2:
        return "Type at least two words."
    if len(text.split()) >= min(model.cfg.n_ctx, MAX_WORDS):
        return f"There is room for {min(model.cfg.n_ctx, MAX_WORDS) - 1} words."
    return ""


def _take(text: str) -> None:
    """Put a text into the field, from a button."""
    st.session_state.update({"explore-text": text, "explore-adopt": st.session_state.get("explore-adopt", 0) + 1})


def _typed() -> None:
    typed = st.session_state["explore-line"].get("text")
    if typed is not None:
        st.session_state["explore-text"] = typed


def _step(name: str) -> int | None:
    """A checkpoint, or None for the finished network."""
    steps = zoo.checkpoints(name)
    chosen = st.select_slider(
        "Training step", [*map(str, steps), "finished"], key=views.first("explore-step", "finished")
    )
    return None if chosen == "finished" else int(chosen)


def _page(name: str, model: HookedModel, tokens: torch.Tensor, step: int | None) -> None:
    names = model.to_str_tokens(tokens[0])
    everyone = [(layer, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]
    _line(model, tokens, names, everyone)
    guess = _guess(model, tokens)
    silenced = st.pills(
        "Silence heads (click to switch them off)",
        everyone,
        format_func=lambda h: f"{h[0]}.{h[1]}",
        selection_mode="multi",
        key="explore-silenced",
    )
    _losses(model, tokens, names, list(silenced), guess)
    _training(name, step)


def _guess(model: HookedModel, tokens: torch.Tensor) -> str | None:
    """Ask, before a head is silenced, what that will do. The answer, or None."""
    again = repeats.previous_occurrence(tokens)[0, 1:] >= 0
    if not again.any() or again.all():
        return None  # there are no two sorts of words to be compared
    with st.container(border=True):
        return st.radio(
            "**Predict.** You silence all heads of layer 0, and no other. What becomes of the loss on words that are "
            "seen again?",
            GUESSES,
            index=None,
            key="explore-guess",
        )


def found(before: float, after: float, new: float) -> str:
    """Which of `GUESSES` came true: losses on words seen again, before and after, and on words that are new."""
    return HARDLY if after - before < SMALL else BELOW if after < new else BEYOND


def _verdict(guess: str, before: float, after: float, new: float) -> None:
    come = found(before, after, new)
    st.markdown(
        f"You predicted: {guess[:1].lower()}{guess[1:]}. It went from {before:.2f} to {after:.2f} nats; words that are "
        f"new cost {new:.2f}. {'So it is.' if come == guess else 'What could be the reason?'}"
    )


def _losses(
    model: HookedModel, tokens: torch.Tensor, names: list[str], silenced: list[tuple[int, int]], guess: str | None
) -> None:
    whole = induction.per_token_loss(model(tokens), tokens)[0]
    runs = {"whole network": whole}
    if silenced:
        logits = induction.ablate_heads(model, tokens, silenced)
        runs["heads silenced"] = induction.per_token_loss(logits, tokens)[0]
    previous = repeats.previous_occurrence(tokens)[0, 1:]
    new, again = previous < 0, previous >= 0
    columns = st.columns(2)
    for column, mask, label in ((columns[0], new, "words seen first"), (columns[1], again, "words seen again")):
        if mask.any():
            value, last = whole[mask].mean().item(), list(runs.values())[-1][mask].mean().item()
            change = f"{last - value:+.2f}" if silenced else None
            column.metric(f"Loss on {label}", f"{last:.2f} nats", change, delta_color="inverse")
    if guess and sorted(silenced) == [(0, head) for head in range(model.cfg.n_heads)]:
        _verdict(
            guess, whole[again].mean().item(), runs["heads silenced"][again].mean().item(), whole[new].mean().item()
        )
    common.chart(plots.token_loss(runs, names, "Loss of each word"))


def _line(model: HookedModel, tokens: torch.Tensor, names: list[str], everyone: list[tuple[int, int]]) -> None:
    """The words, what is expected after each, and where every head looks from it."""
    logits, cache = model.run_with_cache(tokens, lambda name: name.endswith("hook_pattern"))
    previous = repeats.previous_occurrence(tokens)
    notes = []
    for layer, head in everyone:
        pattern = cache["pattern", layer]
        back = induction.previous_token_score(pattern)[head].item()
        match = induction.prefix_matching_score(pattern, tokens)[head].item() if (previous >= 0).any() else 0.0
        notes.append(f"back {back:.0%}, match {match:.0%}")
    best = logits[0].softmax(-1).topk(6)
    expected = [
        list(zip(model.to_str_tokens(places), shares.tolist(), strict=True))
        for places, shares in zip(best.indices, best.values, strict=True)
    ]
    own = st.session_state.get("explore-words") == "my own"
    words(
        "explore-line",
        names,
        weights=torch.cat([cache["pattern", layer][0] for layer in range(model.cfg.n_layers)]),
        heads=[f"{layer}.{head}" for layer, head in everyone],
        notes=notes,
        targets=torch.where(previous >= 0, previous + 1, -1)[0].tolist(),
        next_words=[expected],
        text=st.session_state.get("explore-text", EXAMPLE) if own else None,
        adopt=st.session_state.get("explore-adopt", 0),
        on_text=common.caught(_typed),
    )
    st.caption(
        "`<bos>` is no word: it stands before every text and says that one begins. A head that finds nothing to look "
        "for has to look somewhere, and often looks there. Point at a word, or tap it. Click a head to open it. "
        "“back”: attention to the word before. “match”: attention "
        "to one past any earlier occurrence."
    )


def _training(name: str, step: int | None) -> None:
    for figure in _curves(name, step):
        common.chart(figure)


@st.cache_resource(max_entries=64, show_spinner=False)
def _curves(name: str, step: int | None) -> list[go.Figure]:
    """Losses and scores during training."""
    curves = zoo.card(name)["curves"]
    at = curves["step"][-1] if step is None else step
    losses = {"later copies": curves["second"], "first copies": curves["first"]}
    for other in (set(TITLES) - {name}) & set(zoo.names()):
        control = zoo.card(other)["curves"]
        if control["step"] == curves["step"]:
            losses[f"later copies, {TITLES[other]}"] = control["second"]
    heads = range(len(curves["prefix_matching"][0][-1]))
    last = len(curves["prefix_matching"][0]) - 1
    scores = {f"0.{h} back": [s[0][h] for s in curves["previous_token"]] for h in heads}
    scores |= {f"{last}.{h} match": [s[last][h] for s in curves["prefix_matching"]] for h in heads}
    drawn = []
    for series, title, unit in (
        (losses, "Loss during training", "loss (nats)"),
        (scores, "Scores during training", "score"),
    ):
        figure = plots.lines(curves["step"], series, title, "training step", unit, vline=at)
        drawn.append(figure.update_layout(height=440))  # on a phone the legend takes several rows of it
    return drawn
