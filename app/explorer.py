"""Play with induction: own words or sampled ones, all heads at a glance, silence some, and move through training."""

from __future__ import annotations

from json import JSONDecodeError

import streamlit as st
import torch

from mi_lib import induction, plots, zoo
from mi_lib.models import HookedModel, LoadError, load
from mi_lib.models.text import unknown_words
from mi_lib.worlds import repeats

EXAMPLE = "river lamp cat stone piano ginger owl tent river lamp cat stone piano ginger owl tent"
TITLES = {"induction-2l": "two layers", "induction-1l": "one layer"}


@st.cache_resource(max_entries=24)
def _load(name: str, checkpoint: int | None) -> HookedModel:
    return load(name, checkpoint=checkpoint)


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
                name = st.radio("Network", names, format_func=TITLES.get, horizontal=True)
                step = _step(name)
            with right:
                tokens = _tokens(_load(name, None))
        if tokens is None:
            return
        _page(name, _load(name, step), tokens, step)
    except (LoadError, OSError, JSONDecodeError, IndexError, KeyError) as error:
        st.error(f"The network cannot be shown: {error}")


def _tokens(model: HookedModel) -> torch.Tensor | None:
    """The sequence to look at: sampled, or the learner's own words."""
    if st.radio("Words", ["sampled", "my own"], horizontal=True) == "sampled":
        period = st.slider("Words in a block", 2, 14, 8)
        seed = st.number_input("Sample", 0, 9999, 1)
        return repeats.sample(1, seed=int(seed), period=period, offset=2).tokens
    text = st.text_area("Repeat some words", EXAMPLE)
    if missing := unknown_words(model.tokenizer, text):
        st.warning(
            f"The network knows {model.cfg.d_vocab - 1} plain nouns, but not {', '.join(missing)}. Try another word."
        )
        return None
    if len(text.split()) < 2:
        st.info("Type at least two words.")
        return None
    if len(text.split()) >= model.cfg.n_ctx:
        st.warning(f"The network reads at most {model.cfg.n_ctx - 1} words.")
        return None
    return model.to_tokens(text)


def _step(name: str) -> int | None:
    """A checkpoint, or None for the finished network."""
    steps = zoo.checkpoints(name)
    chosen = st.select_slider("Training step", [*map(str, steps), "finished"], value="finished")
    return None if chosen == "finished" else int(chosen)


def _page(name: str, model: HookedModel, tokens: torch.Tensor, step: int | None) -> None:
    words = model.to_str_tokens(tokens[0])
    everyone = [(layer, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]
    silenced = st.pills(
        "Silence heads (click to switch them off)",
        everyone,
        format_func=lambda h: f"{h[0]}.{h[1]}",
        selection_mode="multi",
    )
    _losses(model, tokens, words, list(silenced))
    _heads(model, tokens, words, everyone)
    _training(name, step)


def _losses(model: HookedModel, tokens: torch.Tensor, words: list[str], silenced: list[tuple[int, int]]) -> None:
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
    st.plotly_chart(plots.token_loss(runs, words, "Loss of each word"), width="stretch", config={"displaylogo": False})


def _heads(model: HookedModel, tokens: torch.Tensor, words: list[str], everyone: list[tuple[int, int]]) -> None:
    _, cache = model.run_with_cache(tokens, lambda name: name.endswith("hook_pattern"))
    previous = repeats.previous_occurrence(tokens)
    titles = []
    for layer, head in everyone:
        pattern = cache["pattern", layer]
        back = induction.previous_token_score(pattern)[head].item()
        match = induction.prefix_matching_score(pattern, tokens)[head].item() if (previous >= 0).any() else 0.0
        titles.append(f"<b>{layer}.{head}</b><br>back {back:.0%}<br>match {match:.0%}")
    patterns = torch.cat([cache["pattern", layer][0] for layer in range(model.cfg.n_layers)])
    grid = plots.head_grid(patterns, words, titles, "All heads: rows look at columns")
    grid.update_traces(showscale=False)  # the scale stands beside the enlarged head; here the width is needed
    grid.update_layout(margin={"l": 5, "r": 5, "t": 100, "b": 10})
    st.plotly_chart(grid, width="stretch", config={"displaylogo": False})
    st.caption("“back”: attention to the word before. “match”: attention to one past any earlier occurrence.")
    known = [tuple(h) for h in zoo.card("induction-2l")["circuit"]["induction"]]  # the finding, if this network has it
    first = next((everyone.index(h) for h in known if h in everyone), len(everyone) - 1)
    layer, head = st.selectbox("Look closer at head", everyone, format_func=lambda h: f"{h[0]}.{h[1]}", index=first)
    target = torch.where(previous >= 0, previous + 1, -1)[0]
    figure = plots.attention(cache["pattern", layer][0, head], words, f"Head {layer}.{head}", highlight=target)
    st.plotly_chart(figure, width="stretch", config={"displaylogo": False})


def _training(name: str, step: int | None) -> None:
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
    for series, title, unit in (
        (losses, "Loss during training", "loss (nats)"),
        (scores, "Scores during training", "score"),
    ):
        figure = plots.lines(curves["step"], series, title, "training step", unit, vline=at)
        figure.update_layout(height=440)  # on a phone the legend takes several rows of it
        st.plotly_chart(figure, width="stretch", config={"displaylogo": False})
