"""Texts up to a word at which something is known of them: what probes are asked about.

An example is a text, cut off where its property is due; the label that is true there; and the combination of words from
which the label follows, so that fitted and read examples can be kept apart by combination and not by row.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from mi_lib.worlds.littletown import facts, prose
from mi_lib.worlds.littletown.splits import Split


@dataclass(frozen=True)
class Example:
    """A text read up to some word; the label that is true there; the combination of words that it follows from."""

    words: list[str]
    label: str
    combination: str


def deeds(rng: random.Random, split: Split, kind: str) -> Example:
    """Up to "Who did it ? The", or to "To whom ? To the": the subject, or the object, is due.

    The combination is the pair. A held-out deed has a pair that training leaves out, or an agent who never does this:
    of the second kind some have a pair that is fitted.
    """
    question, asked = ("Who did it ? The", "agent") if kind == "subject" else ("To whom ? To the", "patient")
    while True:
        told = prose.deed(rng, split)
        if question in " ".join(told.words):
            break
    end = next(s.start for s in told.spans if s.kind == asked and told.words[s.start - 2] in ("?", "To"))
    return Example(told.words[:end], told.truth[kind], f"{told.truth['subject']} {told.truth['object']}")


def sentiment(rng: random.Random, split: Split) -> Example:
    """Up to the word before the stars: how good it was, of five grades."""
    told = prose.review(rng, split)
    end = told.where("stars")[0]
    return Example(told.words[:end], told.truth["sentiment"], " ".join(told.words[:end]))


def truth(rng: random.Random, split: Split) -> Example:
    """Up to the verdict, when the claim and the fact have been said: true or false."""
    told = facts.claim(rng, split)
    verdict = next(span for span in told.spans if span.kind == "verdict")
    return Example(told.words[: verdict.start], verdict.value, " ".join(told.words[: verdict.start]))


def topic(rng: random.Random, split: Split) -> Example:
    """Up to "This was about": the topic of the paragraph."""
    told = prose.topic(rng, split)
    end = max(i for i, word in enumerate(told.words) if word == "about" and told.words[i - 1] == "was") + 1
    return Example(told.words[:end], told.truth["topic"], " ".join(told.words[:end]))


PROPERTIES: dict[str, Callable[[random.Random, Split], Example]] = {
    "sentiment": sentiment,
    "truth": truth,
    "topic": topic,
    "subject": lambda rng, split: deeds(rng, split, "subject"),
    "object": lambda rng, split: deeds(rng, split, "object"),
}


def examples(name: str, split: Split, count: int, seed: int | str | random.Random = 0) -> list[Example]:
    """Examples of a property, seeded (a generator goes on where it stands). KeyError, naming all, if there is none."""
    if name not in PROPERTIES:
        raise KeyError(f"there is no property {name!r}; there are {', '.join(PROPERTIES)}")
    rng = seed if isinstance(seed, random.Random) else random.Random(f"{seed}/{name}/{split}")
    return [PROPERTIES[name](rng, split) for _ in range(count)]


# --- one or many ------------------------------------------------------------------------------------------------------


class Verb(NamedTuple):
    """A sentence up to its verb, which agrees with its noun and not with the nearer one."""

    words: list[str]
    many: bool  # the noun
    nearer_many: bool  # the noun that stands between
    verb: str  # what comes next: is, are, was or were
    nouns: tuple[str, str]  # the two words, as they stand there: the combination
    template: str  # which of four sentences: plain, size, seen, owner


FORMS = {"is": ("is", "are"), "are": ("is", "are"), "was": ("was", "were"), "were": ("was", "were")}  # one, many


def verbs(split: Split, count: int, seed: int | str) -> list[Verb]:
    """Sentences up to their first verb, seeded."""
    rng = random.Random(f"{seed}/{split}")
    found: list[Verb] = []
    while len(found) < count:
        text = prose.agreement(rng, split)
        number, other = text.labels("number"), text.labels("attractor number")
        at = text.where("be")[0]
        words = text.words[:at]
        noun, nearer = (text.words[text.where(kind)[0]] for kind in ("noun", "attractor"))
        shape = _shape(words, noun)
        found.append(Verb(words, number[at] == "plural", other[at] == "plural", text.words[at], (noun, nearer), shape))
    return found


def _shape(words: list[str], noun: str) -> str:
    """Which of the four sentences it is."""
    if words[-2] == "of":
        return "owner"
    if "that" in words:
        return "seen"
    return "plain" if words[words.index(noun) - 1].lower() == "the" else "size"
