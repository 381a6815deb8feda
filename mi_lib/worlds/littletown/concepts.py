"""The labelled concepts of Littletown: what a neuron, a probe or a latent of a dictionary may be asked for.

    documents = texts(400, 30, "train")
    holds = concepts(documents)             # [n concept], n: all words of all texts, one text after another

The concepts are a fixed list, for none left it for not being found in a network. What is on it:
  1. who and what there is (people, towns, the ten kinds of things), and every attribute that the facts give them;
  2. kinds of words: numbers, nouns of many, forms of "be", states, places, praise, blame, verbs that may do harm;
  3. places in a text: its sentences and its turns;
  4. what goes on at a word: a refusal, a voice, a second copy, …
The first two are told by the word alone (`WORDS`), the others by what stands around it. Labels that only hold of a text
or a sentence as a whole are not on it, nor are two that mean nearly the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool
from torch import Tensor

from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import SPECIAL, Document, people, prose, requests
from mi_lib.worlds.littletown.splits import Split

WORDS: dict[str, Iterable[str]] = {
    # who and what there is
    "a name": people.NAMES,
    "a woman": people.WOMEN,
    "a man": people.MEN,
    "a stranger": people.STRANGERS,
    "a town": people.TOWNS,
    "a thing": people.OF_THING,
    **{f"{people.a(k)}": [t for t, of in people.OF_THING.items() if of["kind"] == k] for k in people.THING["kind"]},
    # what the facts say of it
    "a trade": people.TRADES,
    "a pet": people.PETS,
    "a hobby": people.HOBBIES,
    "a dish": people.DISHES,
    "a river": people.RIVERS,
    "a mayor": people.MAYORS,
    "a craft": people.CRAFTS,
    "a colour": people.COLOURS,
    "a landmark": people.LANDMARKS,
    "a store": people.THING["store"],
    "the name of a kind": people.THING["kind"],
    # kinds of words
    "a number": prose.NUMBERS,
    "a noun of many": prose.NOUNS.values(),
    "a form of be": prose.BE.values(),
    "a state": prose.STATES,
    "a place": people.PLACES,
    "praise": (*prose.GRADES[1], *prose.GRADES[2]),
    "blame": (*prose.GRADES[-1], *prose.GRADES[-2]),
    "a verb that may do harm": (*requests.HARSH, *requests.HARSH_WITH_PLACES),
    # places in a text
    "the end of a sentence": (".", "?", "!"),
}
ELSEWHERE = (
    "the first word of a sentence",
    "the system's turn",
    "the user's turn",
    "the assistant's turn",
    "a refusal",
    "not knowing",
    "a harmful request",
    "what a voice put there",
    "the past",
    "a second copy",
    "the tool for a task",
    "where a task begins",
)
CONCEPTS: tuple[str, ...] = (*WORDS, *ELSEWHERE)


def _contexts(text: Document) -> Iterator[tuple[str, int, int]]:
    """The concepts of a text that its words alone do not tell: name, start, end."""
    for span in text.spans:
        asked = text.words[span.start] == "<|user|>"
        match span.kind, span.value:
            case "speaker", who:
                yield f"the {who}'s turn", span.start, span.end
            case "refused", "yes":
                yield "a refusal", span.start, span.end
            case "known", "no" if not asked:
                yield "not knowing", span.start, span.end
            case "harmful", "yes" if asked:
                yield "a harmful request", span.start, span.end
            case "voice", whose if whose not in ("active", "passive"):
                yield "what a voice put there", span.start, span.end
            case "tense", "past":
                yield "the past", span.start, span.end
            case "copy", "later":
                yield "a second copy", span.start, span.end
            case "tool", _:
                yield "the tool for a task", span.start, span.end
            case "begin", _:
                yield "where a task begins", span.start, span.end
    for at, (before, word) in enumerate(pairwise((".", *text.words))):
        if (before in WORDS["the end of a sentence"] or before in SPECIAL) and word not in SPECIAL:
            yield "the first word of a sentence", at, at + 1


def concepts(documents: Sequence[Document]) -> Bool[Tensor, "n concept"]:
    """At which words of the texts each of `CONCEPTS` holds."""
    words = [word for text in documents for word in text.words]
    number = {name: i for i, name in enumerate(CONCEPTS)}
    holds = torch.zeros(len(words), len(CONCEPTS), dtype=torch.bool)
    for name, members in WORDS.items():
        members = frozenset(members)
        holds[:, number[name]] = torch.tensor([word in members for word in words])
    start = 0
    for text in documents:
        for name, first, end in _contexts(text):
            holds[start + first : start + end, number[name]] = True
        start += len(text.words)
    return holds


def texts(count: int, seed: int, split: Split) -> list[Document]:
    """Half prose, half chat."""
    return [littletown.document(i, seed, split, "chat" if i % 2 else "base") for i in range(count)]
