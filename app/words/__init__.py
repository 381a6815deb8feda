"""Words one can put a finger on: a Streamlit component of our own (`st.components.v2`), made of three files here.

Hover, focus or tap a word, and it shows where every head looks from there and which words are expected next. Click a
head, and its whole pattern opens. All of this happens in the browser, from data that were passed in once.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

_HERE = Path(__file__).parent
MAX_WORDS, MAX_WEIGHTS, MAX_NEXT = 64, 200_000, 8


def _read(name: str) -> str:
    return (_HERE / name).read_text("utf-8")


_words = st.components.v2.component("mi_words", html=_read("words.html"), css=_read("words.css"), js=_read("words.js"))


def words(
    key: str,
    tokens: Sequence[str],
    *,
    weights: Any = None,
    heads: Sequence[str] = (),
    notes: Sequence[str] = (),
    targets: Sequence[int] = (),
    next_words: Sequence[Sequence[Sequence[tuple[str, float]]]] = (),
    stages: Sequence[str] = ("",),
    text: str | None = None,
    adopt: int = 0,
    on_text: Callable[[], None] = lambda: None,
) -> None:
    """Show a line of words that can be pointed at.

    tokens [pos]: the words, as they are to be read; at most 64.
    weights [head query key]: from 0 to 1, where each head looks; anything that numpy reads. At most 200,000 numbers,
    which cross as one byte each (so they are rounded to 1/255).
    heads [head]: their names. notes [head]: a few words under each, such as its scores.
    targets [query]: the position that ought to be looked at, or −1: it gets a ring in an opened head.
    next_words [stage pos place]: pairs (word, probability), the likeliest first; at most 8 places.
    stages [stage]: names of the stages between which the reader may move, such as the depths of a network.
    text: what stands in a field above the words, or None for no such field. What is typed there arrives shortly after
    typing stops as `st.session_state[key].text`, and `on_text` is called. adopt: if it grows, the field takes `text`.

    Raises `ValueError` for shapes that do not belong together, or beyond these limits.
    """
    n = len(tokens)
    looks = np.zeros((0, n, n)) if weights is None else np.asarray(weights, dtype=float)
    if not 0 < n <= MAX_WORDS or looks.size > MAX_WEIGHTS:
        raise ValueError(f"words takes 1 to {MAX_WORDS} words and {MAX_WEIGHTS:,} weights, not {n} and {looks.size:,}")
    if looks.shape != (len(heads), n, n) or (notes and len(notes) != len(heads)) or (targets and len(targets) != n):
        raise ValueError(f"{len(heads)} heads and {n} words do not fit weights of shape {looks.shape}")
    if next_words and (len(next_words) != len(stages) or any(len(row) != n for row in next_words)):
        raise ValueError(f"next_words needs {len(stages)} stages of {n} words each")
    as_bytes = (np.nan_to_num(looks).clip(0, 1) * 255).round().astype(np.uint8).tobytes()
    # Tuples: of a list Streamlit asks pandas whether it is a table, and a first page would wait for its import.
    data = {
        "tokens": tuple(tokens),
        "weights": base64.b64encode(as_bytes).decode(),
        "heads": tuple(heads),
        "notes": tuple(notes),
        "targets": tuple(int(target) for target in targets),
        "next": tuple([[[w, round(float(p), 4)] for w, p in at[:MAX_NEXT]] for at in row] for row in next_words),
        "stages": tuple(stages),
        "text": text,
        "adopt": adopt,
    }
    _words(key=key, data=data, default={"text": None}, on_text_change=on_text)
