"""What a dictionary's latents answer to, read once: Pico reads texts, and the dictionary takes each word apart.

Labels and thresholds are chosen on training texts, and what is shown of them is measured on texts that were kept out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import streamlit as st
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from app import common
from mi_lib import saes
from mi_lib.models import HookedModel
from mi_lib.saes import Choice, Dictionary, Effects
from mi_lib.saes.concepts import unions
from mi_lib.saes.entries import Entries, entries
from mi_lib.saes.reading import activations
from mi_lib.worlds.littletown import Document
from mi_lib.worlds.littletown.concepts import CONCEPTS, concepts, texts

TEXTS = 160  # of either kind
SHARES = tuple(i / 10 for i in range(10))  # thresholds that are tried, of a latent's largest value
ROWS = 2048


class Half(NamedTuple):
    """Texts, and what the latents say at each of their words. All words stand in one row, text after text."""

    documents: list[Document]
    words: list[str]
    text: Int[Tensor, " n"]  # the number of the text that a word is of
    holds: Bool[Tensor, "n concept"]
    values: Entries

    def column(self, latent: int) -> Float[Tensor, " n"]:
        """What one latent says at every word."""
        mine = (self.values.latent == latent).nonzero()[:, 0]
        rows = torch.searchsorted(self.values.start, mine, right=True) - 1
        return torch.zeros(len(self.words)).index_put((rows,), self.values.value[mine])

    def chunks(self) -> Iterator[Float[Tensor, "chunk latent"]]:
        """What all latents say, some words at a time."""
        for rows in torch.arange(len(self.words)).split(ROWS):
            mine = self.values.of_rows(rows)
            row = torch.arange(len(rows)).repeat_interleave(self.values.start[rows + 1] - self.values.start[rows])
            chunk = torch.zeros(len(rows), self.values.width)
            yield chunk.index_put((row, self.values.latent[mine].long()), self.values.value[mine])


class Reading(NamedTuple):
    """A dictionary and what it was read with. score, threshold: of each latent as a test for each concept, on old."""

    sae: Dictionary
    site: str
    old: Half
    new: Half
    score: Float[Tensor, "latent concept"]
    threshold: Float[Tensor, "latent concept"]

    def judged(self, latent: int, concept: int) -> saes.Judged:
        """This latent as a test for this concept on texts that were kept out: precision, recall and F1, [1] each."""
        choice = Choice((0,), (float(self.threshold[latent, concept]),), float(self.score[latent, concept]))
        return saes.judge([choice], self.new.column(latent)[:, None], self.new.holds[:, [concept]])

    def label(self, latent: int) -> int:
        """The concept for which the latent is the best test on training texts."""
        return int(self.score[latent].argmax())

    def best(self, concept: int, n: int) -> list[int]:
        """The latents that are the best tests for a concept on training texts."""
        return self.score[:, concept].topk(n).indices.tolist()

    def found(self, least: float) -> int:
        """For how many concepts the best single latent has an F1 of at least so much on texts that were kept out."""
        there = [c for c in range(len(CONCEPTS)) if self.new.holds[:, c].any()]
        return sum(float(self.judged(self.best(c, 1)[0], c).f1) >= least for c in there)


@st.cache_resource(
    max_entries=6, show_spinner="Pico reads some texts, and the dictionary takes each word apart (once) …"
)
@common.one_thread()
def read(_model: HookedModel, model_name: str, name: str) -> Reading:
    """Read a dictionary's texts. model_name: whose activations they are, as the cache knows it."""
    sae, site = saes.load(name, width=_model.cfg.d_model), saes.files.about(name)["site"]
    old, f = _half(_model, sae, site, 30, "train")
    largest = f.amax(0)
    scores = torch.stack([saes.f1(f > share * largest, old.holds) for share in SHARES])
    score, level = scores.max(0)
    return Reading(
        sae,
        site,
        old,
        _half(_model, sae, site, 31, "held_out")[0],
        score,
        torch.tensor(SHARES)[level] * largest[:, None],
    )


class Named(NamedTuple):
    """Of each latent: a name, chosen on training texts (`saes.interpret`), and how well it says on the others where the
    latent is active (`saes.detect`). None where the latent is active at too few words."""

    names: list[str | None]
    detection: list[float | None]

    def said(self, latent: int, room: int = 36) -> str:
        """The name, cut to so many letters."""
        name = self.names[latent] or "no name"
        return name if len(name) <= room else f"{name[: room - 1].rstrip()}…"


@st.cache_resource(max_entries=6, show_spinner="Each latent gets a name (once) …")
@common.one_thread()
def named(_reading: Reading, model_name: str, name: str) -> Named:
    """Of our labels and single words, those that say best where each latent is active."""
    labels = saes.Labels.of(CONCEPTS, _reading.old.words)
    old, new = (labels.hold(half.words, half.holds) for half in (_reading.old, _reading.new))
    names = saes.interpret(_reading.old.chunks(), old)
    scores = saes.detect(names, _reading.new.chunks(), new).score.tolist()
    return Named(
        [each.text(labels) if each.labels else None for each in names],
        [None if math.isnan(score) else score for score in scores],
    )


def _half(
    model: HookedModel, sae: Dictionary, site: str, seed: int, split: Any
) -> tuple[Half, Float[Tensor, "n latent"]]:
    documents = texts(TEXTS, seed, split)
    rows = [tokens(model, text.words) for text in documents]
    found = []
    for _, _, real, x in activations(model, site, rows, batch=32):
        kept = real.clone()
        kept[:, 0] = False  # <|bos|>, which is like no word
        found.append(sae.encode(x[kept].to(sae.W_dec)))
    f = torch.cat(found)
    words = [word for text in documents for word in text.words]
    lengths = torch.tensor([len(text.words) for text in documents])
    return Half(documents, words, torch.arange(TEXTS).repeat_interleave(lengths), concepts(documents), entries(f)), f


def tokens(model: HookedModel, words: list[str]) -> list[int]:
    """Of a text, with <|bos|> before it."""
    return [model.tokenizer.bos_token_id, *model.tokenizer.convert_tokens_to_ids(words)]


# --- of one latent ------------------------------------------------------------------------------------------------


class Passage(NamedTuple):
    """Where a latent is largest in a text: the words around that place, and what it says at each."""

    words: list[str]
    values: list[float]
    at: int
    before: bool  # whether the text begins earlier
    after: bool


def passages(half: Half, latent: int, n: int = 8, around: int = 14) -> list[Passage]:
    """The n texts in which a latent is largest, largest first; fewer where it is active in fewer."""
    column = half.column(latent)
    highest = torch.zeros(len(half.documents)).scatter_reduce(0, half.text, column, "amax")
    order = highest.sort(descending=True, stable=True)
    found = []
    for text, value in zip(order.indices[:n].tolist(), order.values[:n].tolist(), strict=True):
        if value <= 0:
            break
        where = (half.text == text).nonzero()[:, 0]
        here = column[where]
        at = int(here.argmax())
        first, last = max(0, at - around), min(len(here), at + around + 1)
        words = half.documents[text].words[first:last]
        found.append(Passage(words, here[first:last].tolist(), at - first, first > 0, last < len(here)))
    return found


@common.one_thread()
def effects(model: HookedModel, reading: Reading, latent: int, n: int = 6) -> Effects | None:
    """The words that a latent makes likelier and unlikelier, by silencing it in the texts in which it is largest."""
    column = reading.new.column(latent)
    highest = torch.zeros(len(reading.new.documents)).scatter_reduce(0, reading.new.text, column, "amax")
    chosen = [i for i in highest.topk(8).indices.tolist() if highest[i] > 0]
    if not chosen:
        return None
    rows = [tokens(model, reading.new.documents[i].words) for i in chosen]
    return saes.logit_effects(model, reading.sae, reading.site, latent, n, texts=rows, by="intervention")


def together(reading: Reading, concept: int, sizes: tuple[int, ...]) -> dict[int, float]:
    """F1 on texts that were kept out, of the best union of at most so many latents."""
    (found,) = unions(reading.old.chunks(), reading.old.holds[:, [concept]], k=max(sizes))
    choices = [found[size - 1] for size in sizes]
    holds = reading.new.holds[:, [concept]].expand(-1, len(sizes))
    return dict(zip(sizes, saes.judge(choices, reading.new.chunks(), holds).f1.tolist(), strict=True))
