"""Texts that know themselves: words, and for every word what is true of it.

A sentence is written from a template with slots, "{name} lives in {town} ." The writer remembers where each slot came
to stand, so a document can say for every position which slot it belongs to, and what holds of the sentence around it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

_CLOSE_UP = re.compile(r" ([.,!?:;])")


class Span(NamedTuple):
    """`kind` has the value `value` on the words start … end − 1."""

    start: int
    end: int
    kind: str
    value: str


@dataclass(slots=True)
class Document:
    """One text. words: its tokens, without <|bos|>. kind: "story.give", "fact.person", …

    truth: what holds of the whole text (the person who receives, the stars given, the role played, …).
    """

    kind: str
    words: list[str]
    spans: list[Span]
    truth: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Plain English: no space before a full stop or a comma."""
        return plain(self.words)

    def kinds(self) -> list[str]:
        """The kinds of label that this text has, in alphabetical order."""
        return sorted({span.kind for span in self.spans})

    def labels(self, kind: str) -> list[str | None]:
        """The label of this kind at every word; None where there is none. A later span wins over an earlier one."""
        found: list[str | None] = [None] * len(self.words)
        for span in self.spans:
            if span.kind == kind:
                found[span.start : span.end] = [span.value] * (span.end - span.start)
        return found

    def where(self, kind: str, value: str | None = None) -> list[int]:
        """The first positions of the spans of this kind (and this value), in order."""
        return [span.start for span in self.spans if span.kind == kind and value in (None, span.value)]


class Writer:
    """Writes sentences one after another and remembers the labels of their words."""

    __slots__ = ("spans", "words")

    def __init__(self) -> None:
        self.words: list[str] = []
        self.spans: list[Span] = []

    def say(self, template: str, about: Mapping[str, str] | None = None, **slots: str) -> None:
        """Write a template with its slots filled.

        Each slot labels its own words: {town} gives them the kind "town" and its value, "the owl" say, as the value.
        {town.home} is filled from `town` and labelled "home". about: labels of the whole sentence.
        Raises KeyError for a slot that is not given.
        """
        words, spans = self.words, self.spans
        start = len(words)
        for part, slot in _compiled(template):
            if slot is None:
                words.append(part)
                continue
            value = slots[part]
            at = len(words)
            if " " in value:
                words.extend(value.split(" "))
            else:
                words.append(value)
            spans.append(Span(at, len(words), slot, value))
        if about:
            end = len(words)
            for kind, label in about.items():
                spans.append(Span(start, end, kind, label))

    def mark(self, start: int, kind: str, value: str) -> None:
        """Label every word from `start` to the end of what is written so far."""
        self.spans.append(Span(start, len(self.words), kind, value))

    def document(self, kind: str, **truth: str) -> Document:
        return Document(kind, self.words, self.spans, truth)


@cache
def _compiled(template: str) -> tuple[tuple[str, str | None], ...]:
    """(word, None) for a word of its own, (slot, label) for a slot."""
    parts: list[tuple[str, str | None]] = []
    for word in template.split(" "):
        if word.startswith("{"):
            slot, _, label = word[1:-1].partition(".")
            parts.append((slot, label or slot))
        else:
            parts.append((word, None))
    return tuple(parts)


def plain(words: list[str]) -> str:
    """Words as a person writes them."""
    return _CLOSE_UP.sub(r"\1", " ".join(words))


def words_of(*tables: object) -> set[str]:
    """Every word in nested tables of templates and word lists, slots left out. Keys of dicts are not read."""
    found: set[str] = set()
    for table in tables:
        if isinstance(table, str):
            found.update(word for word in table.split() if not word.startswith("{"))
        elif isinstance(table, Mapping):
            found |= words_of(*table.values())
        elif isinstance(table, (list, tuple, set, frozenset)):
            found |= words_of(*table)
    return found
