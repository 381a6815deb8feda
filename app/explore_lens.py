"""Play with lenses: what would the network say if it stopped after each block, and who wrote that?"""

from __future__ import annotations

import math
from json import JSONDecodeError
from pathlib import Path
from typing import Any, NamedTuple

import plotly.graph_objects as go
import streamlit as st
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from torch import Tensor

from app import common, views
from app.chat import bundled, name_unknown, open_model
from app.words import words
from mi_lib import lens, plots, zoo
from mi_lib.lens import TunedLens
from mi_lib.models import HookedModel, LoadError

MODEL = "pico"  # a bundled name, or a folder
TUNED = "tuned_lens.safetensors"  # beside the network's weights
EXAMPLES = {
    "A home": "The home of Mira is in",
    "A river, by way of a town": "The river of the town where Mira lives is the",
    "A story": "After Alec and Dean had been at the station, Alec gave a kettle to",
    "A question in a chat": "<|user|> Where does Mira live? <|end|><|assistant|> Mira lives in",
}
FIRST = EXAMPLES["A home"]
WIDEST = 40  # words in the table
COLOURS = {
    "probability": "probability of the first guess",
    "entropy": "entropy of the guess",
    "kl": "KL divergence to the final guess",
    "word": "probability of one word",
    "rank": "rank of one word",
}
SAID = {
    "probability": "The lighter a cell, the more probability its first guess has.",
    "entropy": "Entropy says how undecided the guess is, in nats. 0 is certain. The lighter, the surer.",
    "kl": "The KL divergence says how far a guess is from the final one, in nats. The lighter, the nearer.",
    "word": "The lighter a cell, the more probability the word has there.",
    "rank": "Rank 1 is the first guess. The lighter a cell, the better the word's rank.",
}


class About(NamedTuple):
    """What was read, as the caches know it. tuned: the path of a tuned lens, or None for the logit lens."""

    model: str
    tuned: str | None
    tokens: tuple[int, ...]


class Reading(NamedTuple):
    """A text and what the lens reads in it. words: as they are shown; logits at every depth."""

    about: About
    tokens: Int[Tensor, "1 pos"]
    words: list[str]
    logits: Float[Tensor, "depth pos d_vocab"]


def prepare() -> None:
    open_model(MODEL)


def show() -> None:
    st.title("Explore lenses")
    st.write(
        "Pico reads a text through six blocks, one after another. After each block we can already ask for its guess of "
        "the next word. A lens is this question. Watch where a guess appears, and ask who wrote it."
    )
    if not bundled(MODEL):
        return
    try:
        model = open_model(MODEL)
        tokens = _text(model)
        if tokens is None or not _predicted(model):
            return
        _page(model, tokens)
    except (LoadError, OSError, JSONDecodeError, KeyError) as error:
        views.failed(f"Pico cannot be shown: {error}")


# --- before the table ---------------------------------------------------------------------------------------------


def _text(model: HookedModel) -> Int[Tensor, "1 pos"] | None:
    """The text to read, or None if it cannot be read yet."""
    with st.container(border=True):
        st.session_state.setdefault("lens-text", FIRST)
        text = st.text_input("A text of Littletown, without its next word", key="lens-text", max_chars=600)
        with st.container(horizontal=True):
            for name, example in EXAMPLES.items():
                st.button(name, key=f"lens-{name}", on_click=common.caught(_set), args=("lens-text", example))
    if not text.strip():
        st.info("Type at least one word.")
        return None
    if name_unknown(model.tokenizer, text, "lens-text"):
        return None
    tokens = model.to_tokens(text)
    if tokens.shape[1] > WIDEST:
        st.warning(f"The table has room for {WIDEST} words and marks. This text has {tokens.shape[1]}.")
        return None
    return tokens


def _guesses(n_layers: int) -> dict[str, range]:
    """What can be predicted, and the depths that each prediction means."""
    pairs = {f"after block {i - 1} or {i}": range(i, i + 2) for i in range(1, n_layers, 2)}
    return {"at the embedding, before any block": range(1)} | pairs


def _predicted(model: HookedModel) -> bool:
    """Ask before anything is shown. Whether the reader has answered, or goes on without."""
    if st.session_state.get("lens-guess") or st.session_state.get("lens-anyway"):
        return True
    with st.container(border=True):
        st.markdown(f"**Predict.** “{FIRST}” ends before the name of a town.")
        st.markdown("At which depth do you expect the town's name to appear?")
        guess = st.radio("Your prediction", list(_guesses(model.cfg.n_layers)), index=None)
        st.button(
            "That is my prediction",
            on_click=common.caught(_set),
            args=("lens-guess", guess),
            disabled=guess is None,
            type="primary",
        )
    st.button("Go on without a prediction", on_click=common.caught(_set), args=("lens-anyway", True), type="tertiary")
    return False


def _set(key: str, value: Any) -> None:
    st.session_state[key] = value


# --- the table ----------------------------------------------------------------------------------------------------


def _page(model: HookedModel, tokens: Int[Tensor, "1 pos"]) -> None:
    reading = _read(model, About(MODEL, _choose_lens(), tuple(tokens[0].tolist())))
    names = reading.words
    _verdict(model, reading)
    _line(model, reading)
    colour: str = st.selectbox("Colour", list(COLOURS), format_func=COLOURS.__getitem__, key="lens-colour")
    word = _choose_word(model, reading) if colour in ("word", "rank") else None
    st.write(
        "Each row is a depth. The first row is the embedding: no block has worked yet. The last row is what Pico "
        "really answers. Each column is a place in the text. A cell names the first guess for the **next** word. "
        "It is bold where the text really goes on so."
    )
    st.caption(
        f"{SAID[colour]} Point at a cell for its five likeliest words. Click it to see below who wrote its guess."
    )
    _keep_place(model, reading)
    figure = _table(model, reading, reading.about, colour, word, _chosen())
    wide = 170 + 62 * len(names)  # a long text is scrolled sideways and not squeezed
    st.markdown("**First guess at every depth**")  # in the figure it would be scrolled
    with common.scrolled("lens-table", wide, at_end=True):  # the answer is in view
        common.chart(
            figure,
            key="lens-map",
            titled="First guess at every depth",
            on_select=common.caught(_clicked),
            selection_mode="points",
            config=common.CLICKED,
        )
    st.caption("The answer is in the last column. If the table is wider than your window, scroll it sideways.")
    _cell(model, reading)


@st.cache_resource(max_entries=32, show_spinner=False)
@common.one_thread()
def _read(_model: HookedModel, about: About) -> Reading:
    tokens, tuned = torch.tensor([about.tokens]), _lens(about)
    read = lens.logit_lens(_model, tokens) if tuned is None else lens.tuned_lens(_model, tuned, tokens)
    return Reading(about, tokens, [_name(word) for word in _model.to_str_tokens(tokens[0])], read[:, 0])


def _lens(about: About) -> TunedLens | None:
    return None if about.tuned is None else _tuned(about.tuned)


def _line(model: HookedModel, reading: Reading) -> None:
    """The words, what the lens expects after each at every depth, and where every head looks from it."""
    layers, heads = range(model.cfg.n_layers), range(model.cfg.n_heads)
    best = reading.logits.softmax(-1).topk(6)
    words(
        "lens-line",
        reading.words,
        weights=_patterns(model, reading.about),
        heads=[f"{layer}.{head}" for layer in layers for head in heads],
        next_words=[
            [list(zip(_words(model, ids), shares, strict=True)) for ids, shares in zip(*row, strict=True)]
            for row in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ],
        stages=_depths(model),
    )
    st.caption("Point at a word, or tap it. Move the slider through the depths. Click a head to open it.")


@st.cache_resource(max_entries=32, show_spinner=False)
@common.one_thread()
def _patterns(_model: HookedModel, about: About) -> Float[Tensor, "head query key"]:
    """Where every head looks, layer after layer."""
    _, cache = _model.run_with_cache(torch.tensor([about.tokens]), lambda name: name.endswith("hook_pattern"))
    return torch.cat([cache["pattern", layer][0] for layer in range(_model.cfg.n_layers)])


def _choose_lens() -> str | None:
    """The path of the tuned lens if the reader wants it and it is there; None for the logit lens."""
    folder = zoo.folder(MODEL) if MODEL in zoo.names() else Path(MODEL)
    there = (folder / TUNED).is_file()
    help_ = (
        "The tuned lens first moves what a block has written to where the last step expects it. "
        "That move was trained for each depth."
    )
    wanted = st.toggle("Tuned lens instead of logit lens", disabled=not there, help=help_, key="lens-tuned")
    if not there:
        st.caption(f"The tuned lens cannot be chosen: its file {TUNED} is not in the network's folder.")
        return None
    return str(folder / TUNED) if wanted else None


@st.cache_resource(max_entries=4)
def _tuned(path: str) -> TunedLens:
    try:
        return TunedLens.load(path)
    except (ValueError, KeyError, SafetensorError) as error:
        raise LoadError(f"the tuned lens cannot be read ({error}); restore {path}") from None


def _depths(model: HookedModel) -> list[str]:
    return ["embedding", *(f"after block {i}" for i in range(model.cfg.n_layers))]


def _verdict(model: HookedModel, reading: Reading) -> None:
    """Where the answer appears, and what was predicted."""
    first = reading.logits[:, -1].argmax(-1)
    right = (first == first[-1]).tolist()
    since = max((depth + 1 for depth, same in enumerate(right) if not same), default=0)
    p = reading.logits[-1, -1].softmax(-1).max().item()
    word, last = _words(model, [int(first[-1])])[0], model.cfg.n_layers
    where = (
        "at every depth"
        if since == 0
        else f"from block {since - 1} on"
        if since < last
        else "only after the last block"
    )
    st.markdown(f"At the end of the text Pico's answer is **{word}** ({p:.0%}). It is the first guess {where}.")
    guess = st.session_state.get("lens-guess")
    if guess and st.session_state["lens-text"].strip() == FIRST:
        meant = _guesses(last)[guess]
        st.markdown(f"You predicted: {guess}. {'So it is.' if since in meant else _missed(since < meant[0])}")


def _missed(earlier: bool) -> str:
    return f"It came {'earlier' if earlier else 'later'}. What could be the reason?"


def _choose_word(model: HookedModel, reading: Reading) -> int:
    answer = int(reading.logits[-1, -1].argmax())
    names = _words(model, range(model.cfg.d_vocab))
    key = views.first(f"lens-word-{answer}", answer)
    return int(st.selectbox("Word", range(len(names)), format_func=names.__getitem__, key=key))


def _colours(
    logits: Float[Tensor, "depth pos d_vocab"], colour: str, word: int | None
) -> tuple[Tensor, dict[str, Any]]:
    """What the cells are coloured by, and how the scale is to be drawn."""
    if colour == "entropy":
        return lens.entropy(logits), {"low": 0, "high": math.log(logits.shape[-1]), "best_is_low": True}
    if colour == "kl":
        values = lens.kl_to_final(logits)
        return values, {"low": 0, "high": max(1.0, values.max().item()), "best_is_low": True}
    if colour == "rank":
        ticks = {math.log10(place): f"{place:,}" for place in (1, 3, 10, 30, 100, 300, 1000)}
        values = (lens.rank(logits, word or 0) + 1).log10()
        return values, {"low": 0, "high": math.log10(logits.shape[-1]), "best_is_low": True, "ticks": ticks}
    probabilities = logits.softmax(-1)
    values = probabilities[..., word] if colour == "word" and word is not None else probabilities.max(-1).values
    return values, {"low": 0, "high": 1}


@st.cache_resource(max_entries=64, show_spinner=False)
def _table(
    _model: HookedModel, _reading: Reading, about: About, colour: str, word: int | None, chosen: tuple[int, int]
) -> go.Figure:
    """chosen: depth and place of the cell that is looked at."""
    logits, text = _reading.logits, _reading.words
    best = logits.softmax(-1).topk(5)
    entropies, divergences = lens.entropy(logits), lens.kl_to_final(logits)
    depths = _depths(_model)
    said = "" if word is None else f"“{_words(_model, [word])[0]}”"
    cells, hovers = [], []
    for depth, name in enumerate(depths):
        row, told = [], []
        for pos, read in enumerate(text):
            names = _words(_model, best.indices[depth, pos].tolist())
            goes_on = pos + 1 < len(text) and names[0] == text[pos + 1]
            row.append(f"<b>{names[0]}</b>" if goes_on else names[0])
            lines = [f"<b>{name}</b>, having read “{read}”"]
            lines += [f"{p:6.1%}  {w}" for w, p in zip(names, best.values[depth, pos].tolist(), strict=True)]
            if word is not None:
                p, place = logits[depth, pos].softmax(-1)[word].item(), int(lens.rank(logits[depth, pos], word)) + 1
                lines.append(f"{said}: {p:.1%}, rank {place:,}")
            lines.append(f"entropy {entropies[depth, pos]:.2f} nats, KL to final {divergences[depth, pos]:.2f} nats")
            told.append("<br>".join(lines))
        cells.append(row)
        hovers.append(told)
    values, scale = _colours(logits, colour, word)
    scale_title = {
        "entropy": "entropy of the guess (nats)",
        "kl": "KL divergence to the final guess (nats)",
        "rank": f"rank of {said}",
        "word": f"probability of {said}",
    }.get(colour, "probability of the first guess")
    figure = plots.lens_table(
        values,
        cells,
        hovers,
        depths,
        text,
        "",
        scale_title,
        chosen=chosen,
        **scale,
    )
    figure.update_xaxes(title="")  # it would stand in the middle, out of sight; the words above say it
    figure.update_yaxes(title="").update_layout(meta=None, margin={"l": 8, "r": 95, "t": 70})
    common.told_at_its_end(figure)
    return figure


def _words(model: HookedModel, tokens: Any) -> list[str]:
    return [_name(word) for word in model.to_str_tokens(torch.as_tensor(list(tokens)))]


def _name(token: str) -> str:
    """Marks such as <|bos|> would be read as HTML by the figure."""
    return token.replace("<|bos|>", "⟨start⟩").replace("<|", "⟨").replace("|>", "⟩")


# --- one cell -----------------------------------------------------------------------------------------------------


def _keep_place(model: HookedModel, reading: Reading) -> None:
    """Which cell is looked at: with a new text, the answer; or that of a link, which comes before anything was seen."""
    text = reading.tokens[0].tolist()
    # After a visit to another page Streamlit has forgotten the place, but not what was seen.
    depth, pos = st.session_state.get("lens-depth"), st.session_state.get("lens-pos")
    there = depth in range(model.cfg.n_layers + 1) and pos in range(len(text))
    if st.session_state.get("lens-seen", text) != text or not there:
        st.session_state.update({"lens-depth": model.cfg.n_layers, "lens-pos": len(text) - 1})
    st.session_state["lens-seen"] = text


def _clicked() -> None:
    points = st.session_state["lens-map"]["selection"]["points"]
    if points:
        st.session_state.update({"lens-depth": round(points[0]["y"]), "lens-pos": round(points[0]["x"])})


def _chosen() -> tuple[int, int]:
    return st.session_state["lens-depth"], st.session_state["lens-pos"]


def _cell(model: HookedModel, reading: Reading) -> None:
    st.header("Who wrote this guess?", divider="gray")
    left, right = st.columns(2)
    depths = _depths(model)
    depth = left.selectbox("Depth", range(len(depths)), format_func=depths.__getitem__, key="lens-depth")
    labels = [f"{word} ({i})" for i, word in enumerate(reading.words)]
    pos = right.selectbox("Having read", range(len(labels)), format_func=labels.__getitem__, key="lens-pos")
    at_cell = reading.logits[depth, pos]
    token = int(at_cell.argmax())
    word = _words(model, [token])[0]
    above = (at_cell[token] - at_cell.mean()).item()
    st.markdown(
        f"The first guess here is **{word}**. Its logit is {above:.2f} above the mean of all words. Up to this depth, "
        "every part of Pico has added something to that number, or taken something from it:"
    )
    parts = _contributions(model, reading.about, token, depth, pos)
    title = f"What makes “{word}” {depths[depth]}" if depth else f"What makes “{word}” at the embedding"
    figure = plots.contributions(parts, title, "added to the logit (logits)")
    common.chart(figure, key="lens-parts")
    st.caption(
        f"Together {sum(parts.values()):.2f}. The final norm divides by the scale that the sum of all parts has."
    )
    if depth == 0:
        st.info("No block has worked yet, so no head has written anything.")
        return
    of_heads = _contributions(model, reading.about, token, depth, pos, heads=True)
    grid = [[of_heads[f"head {layer}.{head}"] for head in range(model.cfg.n_heads)] for layer in range(depth)]
    figure = plots.matrix(
        grid,
        [f"block {layer}" for layer in range(depth)],
        [f"{head}" for head in range(model.cfg.n_heads)],
        f"What each head adds to “{word}” (logits)",
        "head",
        "block",
    ).update_xaxes(type="category", dtick=1)
    common.chart(figure, key="lens-heads")
    st.caption("Blocks and heads are counted from 0, as in code: the first block is block 0.")


PARTS = {
    "embed": "embedding of the word",
    "pos_embed": "its position",
    "lens bias": "bias of the tuned lens",
    "norm bias": "bias of the final norm",
    "b_U": "bias of the logits",
}


@st.cache_data(max_entries=256, show_spinner=False)
@common.one_thread()
def _contributions(
    _model: HookedModel, about: About, token: int, depth: int, position: int, heads: bool = False
) -> dict[str, float]:
    return contributions(_model, torch.tensor([about.tokens]), token, depth, position, _lens(about), heads)


def contributions(
    model: HookedModel,
    tokens: Int[Tensor, "1 pos"],
    token: int,
    depth: int,
    position: int,
    tuned: TunedLens | None = None,
    heads: bool = False,
) -> dict[str, float]:
    """What each part adds to the token's logit (`lens.lens_attribution`), with names for people unless for `heads`."""
    found = lens.lens_attribution(model, tokens, token, depth, position=position, tuned=tuned, heads=heads)
    values = dict(zip(found.names, found.values[:, 0].tolist(), strict=True))
    if model.b_U is None:
        del values["b_U"]
    return {name if name.startswith(("head", "b_O")) else _plainly(name): value for name, value in values.items()}


def _plainly(name: str) -> str:
    kind, _, layer = name.partition(" ")
    if kind in ("attn", "mlp"):
        return f"{'attention' if kind == 'attn' else 'MLP'}, block {layer}"
    return PARTS[name]
