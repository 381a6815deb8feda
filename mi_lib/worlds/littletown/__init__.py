"""Littletown: a small synthetic English whose every sentence comes with its truth.

    from mi_lib.worlds import littletown
    text = littletown.document(7)          # the same on every machine
    text.text                              # plain English
    text.labels("subject")                 # for every word, what it is, or None

Two mixtures: "base" is prose (stories, facts, claims, lists, reviews, sums, how-tos, dialogues in which nothing is
refused); "chat" is what an assistant is taught (questions, requests, refusals, roles, traits, drift).
Two splits: "train", and "held_out", made of combinations that training never sees (`splits`).
"""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Any, Literal

from mi_lib.worlds.littletown import facts, prose, stories, talk
from mi_lib.worlds.littletown.splits import Split, held_out
from mi_lib.worlds.littletown.text import Document, Span, Writer, plain, words_of

Mixture = Literal["base", "chat"]
SPECIAL = ("<|pad|>", "<|unk|>", "<|bos|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|act|>")
# What the base mixture is made of: share of documents, and who writes them.
BASE = (
    (0.15, stories.giving),
    (0.18, facts.statements),
    (0.14, facts.claim),
    (0.06, prose.deed),
    (0.05, prose.agreement),
    (0.07, prose.repeats),
    (0.09, prose.review),
    (0.04, prose.numbers),
    (0.04, prose.senses),
    (0.04, prose.topic),
    (0.14, talk.base_document),
)
# Words that later chapters need to ask about a network's inside; no text has them yet.
SPARE = (
    "layer word yes no true false here there this that before after secret hidden about which what who",
    "Is Are Does Did Do Yes No True False lie lies honest guess answer question choose correct wrong both neither",
    "person topic trait harmful subject object past present one many",
)

__all__ = [
    "BASE", "SPECIAL", "Document", "Mixture", "Span", "Split", "Writer", "as_data", "document", "held_out", "kinds",
    "plain", "texts", "unknown_words", "vocabulary",
]  # fmt: skip


def document(index: int, seed: int = 0, split: Split = "train", mixture: Mixture = "base") -> Document:
    """The text of this number. Any two numbers or seeds give independent texts; the same give the same text."""
    rng = random.Random(f"{seed}/{mixture}/{split}/{index}")
    if mixture == "chat":
        return talk.document(rng, split)
    (write,) = rng.choices([write for _, write in BASE], [share for share, _ in BASE])
    return write(rng, split)


@lru_cache(maxsize=1)
def kinds() -> tuple[str, ...]:
    """Every kind of text, of both mixtures, in alphabetical order (found by writing some)."""
    return tuple(sorted({document(i, mixture=m).kind for m in ("base", "chat") for i in range(400)}))  # type: ignore[arg-type]


def texts(kind: str | None, number: int, seed: int = 0, split: Split = "train") -> list[Document]:
    """The first texts of this kind (None: of any, prose and chat in turn). ValueError if there is no such kind."""
    if kind is not None and kind not in kinds():
        raise ValueError(f"Littletown has no texts of the kind {kind!r}; it has {', '.join(kinds())}")
    found: list[Document] = []
    index = 0
    while len(found) < number:
        mixture: Mixture = "chat" if (kind or "").startswith("chat") or (kind is None and index % 2) else "base"
        text = document(index, seed, split, mixture)
        if kind in (None, text.kind):
            found.append(text)
        index += 1
    return found


def as_data(text: Document) -> dict[str, Any]:
    """A text for other programs: its words, its truth, and for each kind of label one entry per word."""
    labels = {kind: text.labels(kind) for kind in text.kinds()}
    return {"kind": text.kind, "text": text.text, "words": text.words, "truth": text.truth, "labels": labels}


@lru_cache(maxsize=1)
def vocabulary() -> tuple[str, ...]:
    """Every token there is: the special ones, then all words and marks in alphabetical order."""
    tables = [module.TEXTS for module in (facts, stories, prose, *talk.MODULES)]
    return (*SPECIAL, *sorted(words_of(*tables, SPARE) - set(SPECIAL)))


def unknown_words(text: str) -> list[str]:
    """The words of a text that Littletown does not have, each once, in order."""
    known = set(vocabulary())
    spaced = text
    for mark in ".,!?:;":
        spaced = spaced.replace(mark, f" {mark} ")
    return list(dict.fromkeys(word for word in spaced.split() if word not in known))
