"""What the oracle explorer asks: the oracle about a text's activations, another text's and none; a probe; Pico itself;
the lenses. Everything that is dear is kept, so that another word or depth of the same text is read off at once."""

from __future__ import annotations

import re
from itertools import pairwise
from math import nan
from typing import NamedTuple

import streamlit as st
import torch
from jaxtyping import Float, Float16
from torch import Tensor

from app import common
from app.chat import open_model
from mi_lib import oracles, steering, zoo
from mi_lib.oracles import Answer, Oracle, Reading, dataset, judging, labels, questions
from mi_lib.oracles.asking import NAME
from mi_lib.oracles.dataset import Example
from mi_lib.oracles.judging import LabelProbe
from mi_lib.oracles.prompts import BOS, ids
from mi_lib.oracles.questions import Question
from mi_lib.worlds.littletown import Document

WIDEST = 40  # words of a text
OTHERS, FITTED = 24, 200  # held-out texts of a kind of question; labelled texts that its probe is fitted to
COUNTS = (1, 2, 4, 8)  # how many words may be read
REPLY = 24  # words of what Pico says aloud
_SMALL = {"the", "it", "to", "of", "in", "that", "they", "do", "done"}  # of a kind's noun, and no sign of it
ANY = "word"  # a question of nobody's kind is controlled with texts drawn for this one: all texts have words


class Place(NamedTuple):
    """What is read of a text: `many` words, the last of which is number `at` (from 0), at a depth."""

    at: int
    depth: int
    many: int

    @property
    def words(self) -> slice:
        return slice(max(0, self.at + 1 - self.many), self.at + 1)


class Asked(NamedTuple):
    """A question. kind: what it asks for, "" where it is none of those that are known. options: () for any word."""

    words: tuple[str, ...]
    kind: str
    options: tuple[str, ...] = ()

    @property
    def values(self) -> tuple[str, ...]:
        """What its kind can have; () where any word may be the answer."""
        return questions.KINDS[self.kind].values if self.kind else ()


class Said(NamedTuple):
    """The oracle's answers: about the text's activations, about none, and about those of each other text."""

    own: Answer
    none: Answer
    others: list[Answer]


class Aloud(NamedTuple):
    """What Pico answers if one asks it in words. answer: the likeliest first word; reply: all that it says."""

    answer: Answer
    reply: str


class Material(NamedTuple):
    """Texts of which a kind of question is asked. states: of each the last words that may be read, at every depth."""

    examples: list[Example]
    states: list[Float16[Tensor, "depth word d_model"]]

    def readings(self, depth: int, count: int) -> list[Reading]:
        return [Reading(states[depth, -count:].float(), depth) for states in self.states]


@st.cache_resource(show_spinner="Waking the oracle …")
def open_oracle() -> Oracle:
    return oracles.open_oracle()


# --- questions and what is true -----------------------------------------------------------------------------------


def ask(question: str, closed: bool = False) -> Asked:
    """What a question asks for. closed: only the values of its kind may be said. `BadQuestion` as `typed` raises it."""
    words, kind = questions.typed(tidy(question)), kind_of(question)
    values = questions.KINDS[kind].values if kind else ()
    return Asked(tuple(words), kind, values if closed and not questions.asks_yes_or_no(words) else ())


def tidy(question: str) -> str:
    """A question as the oracle has read questions: words and marks apart, each word as Littletown writes it, a capital
    at the beginning and a mark at the end. Words that Littletown has in no form stay as they are."""
    known = ids()
    words = [
        next((w for w in (word, word.lower(), word.capitalize()) if w in known), word) for word in _split(question)
    ]
    if words and words[0].capitalize() in known:
        words[0] = words[0].capitalize()
    if words and words[-1] not in ("?", ".", "!"):
        words.append("." if words[0] in ("Tell", "I") else "?")
    return " ".join(words)


def near(question: str) -> list[str]:
    """The kinds that a question may mean that names none in full: "the town" for "the home town". Short ones first."""
    words = _split(tidy(question))
    said = {word for before, word in pairwise(words) if before == "the"}
    found = [kind for kind, (noun, _) in questions.KINDS.items() if said & set(noun.split()) - _SMALL]
    return sorted(found, key=lambda kind: len(questions.KINDS[kind].noun.split()))[:3]


def kind_of(question: str) -> str:
    """The kind whose noun a question says first after "the", the longest of such; "" if there is none."""
    words = _split(tidy(question))
    nouns = {kind: noun.split() for kind, (noun, _) in questions.KINDS.items()}
    for start in (i + 1 for i, word in enumerate(words) if word == "the"):
        fitting = [kind for kind, noun in nouns.items() if words[start : start + len(noun)] == noun]
        if fitting:
            return max(fitting, key=lambda kind: len(nouns[kind]))
    return ""


def asks_yes_or_no(question: str) -> bool:
    words = _split(tidy(question))
    return bool(words) and questions.asks_yes_or_no(words)


def _split(question: str) -> list[str]:
    """Its words and marks, known or not."""
    return re.findall(r"[^\s.,!?:;]+|[.,!?:;]", question)


def known(network: str, kind: str, words: tuple[str, ...]) -> dict[int, str]:
    """The right answers by the word at which they are known: by the labels of a text that was drawn, else by tables."""
    if not kind:
        return {}
    drawn = (one.text for one in material(network, kind, "held_out").examples if shown(one) == words)
    text = next(drawn, Document("typed", list(words), []))
    return {one.at: one.answer for one in labels.known(text) if one.kind == kind and one.at < len(words)}


def shown(one: Example) -> tuple[str, ...]:
    """The words of a drawn text, as far as the page has room for them."""
    return tuple(one.text.words[:WIDEST])


def shares(kind: str) -> dict[str, tuple[float, float, float]]:
    """Who answers how many held-out questions of a kind rightly, with an interval: the table of the oracle's card."""
    return zoo.card(NAME)["table"].get(kind, {})


# --- activations --------------------------------------------------------------------------------------------------


@st.cache_resource(max_entries=32, show_spinner=False)
@common.one_thread()
def states(network: str, words: tuple[str, ...]) -> Float[Tensor, "depth word d_model"]:
    """What Pico has at every word of a text, at every depth."""
    return _read(network, [words])[0]


def _read(network: str, texts: list[tuple[str, ...]]) -> list[Float[Tensor, "depth word d_model"]]:
    model, table = open_model(network), ids()
    rows = [[table[BOS], *(table[word] for word in words)] for words in texts]
    return [state[:, 1:] for state in steering.collect_all(model, rows, steering.stream_sites(model))]


def reading(network: str, words: tuple[str, ...], place: Place) -> Reading:
    return Reading(states(network, words)[place.depth, place.words], place.depth)


@st.cache_resource(max_entries=16, show_spinner="Pico reads other texts, to compare with …")
@common.one_thread()
def material(network: str, kind: str, split: str) -> Material:
    """held_out: texts to be compared with, short enough to be shown. train: those that a probe is fitted to."""
    if split == "held_out":
        drawn = dataset.asked(kind or ANY, 4 * OTHERS, left_out=None)
        some = [one for one in drawn if one.at < WIDEST][:OTHERS]
    else:
        some = dataset.asked(kind, FITTED, split="train", seed=2, left_out=None)
    order = sorted(range(len(some)), key=lambda i: some[i].at)  # of one length together: less padding
    read = _read(network, [tuple(some[i].text.words[: some[i].at + 1]) for i in order])
    kept = {i: state[:, -max(COUNTS) :].half() for i, state in zip(order, read, strict=True)}
    return Material(some, [kept[i] for i in range(len(some))])


def other_texts(network: str, words: tuple[str, ...], kind: str) -> list[tuple[int, Example]]:
    """The held-out texts of a kind, each with its number, without the one that is read itself."""
    held_out = material(network, kind, "held_out").examples
    return [(number, one) for number, one in enumerate(held_out) if shown(one) != words]


# --- the oracle ---------------------------------------------------------------------------------------------------


@st.cache_resource(max_entries=256, show_spinner=False)
@common.one_thread()
def said(network: str, words: tuple[str, ...], place: Place, asked: Asked) -> Said:
    """The same question about the text's activations, about nothing, and about the activations of other texts, which
    are read where questions of this kind are asked of them."""
    oracle, own = open_oracle(), reading(network, words, place)
    read = material(network, asked.kind, "held_out").readings(place.depth, place.many)
    others = [own.shuffled(read[number]) for number, _ in other_texts(network, words, asked.kind)]
    about = [own, own.zero(oracle.means), *others]
    first, second, *rest = oracles.answers(oracle.logits(about, [asked.words] * len(about)), asked.options)
    return Said(first, second, rest)


@st.cache_resource(max_entries=8, show_spinner="The oracle is asked at every word and depth …")
@common.one_thread()
def everywhere(network: str, words: tuple[str, ...], count: int, asked: Asked) -> Float[Tensor, "depth word d_vocab"]:
    """The chance of every answer, if the question is asked at every word and depth."""
    depths = open_model(network).cfg.n_layers + 1
    about = [reading(network, words, Place(at, depth, count)) for depth in range(depths) for at in range(len(words))]
    logits = open_oracle().logits(about, [asked.words] * len(about), batch=64)
    if asked.options:
        allowed = torch.tensor([ids()[word] for word in asked.options])
        logits = torch.full_like(logits, -torch.inf).index_copy(1, allowed, logits[:, allowed])
    return logits.softmax(-1).view(depths, len(words), -1)


# --- those who have no oracle -------------------------------------------------------------------------------------


@st.cache_resource(max_entries=48, show_spinner="A probe is fitted to labelled texts …")
@common.one_thread()
def probe(network: str, kind: str, depth: int, count: int) -> LabelProbe | None:
    """A linear probe for a kind of question, at this depth and for so many words."""
    fitted = material(network, kind, "train")
    return judging.label_probe(fitted.examples, fitted.readings(depth, count), count)


def probed(network: str, words: tuple[str, ...], place: Place, kind: str) -> Answer | None:
    """The probe's answer about the text's activations; without chances where its scores are none. None: no probe."""
    fitted = probe(network, kind, place.depth, place.many) if kind else None
    if fitted is None:
        return None
    scores = fitted.scores([reading(network, words, place)])[0]
    best = scores.softmax(-1).topk(min(5, len(scores)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    named = tuple((fitted.names[i], p if fitted.logistic else nan) for i, p in pairs)
    return Answer(*named[0], named)


@st.cache_resource(max_entries=64, show_spinner=False)
@common.one_thread()
def aloud(network: str, words: tuple[str, ...], at: int, asked: Asked) -> Aloud:
    """Pico is given the text up to the same word, and is asked the question."""
    model = open_model(network)
    one = Example(Document("typed", list(words), []), at, at, 0, Question(asked.kind, "open", list(asked.words), ""))
    options = ("yes", "no") if questions.asks_yes_or_no(asked.words) else asked.values
    (answer,) = oracles.answers(oracles.black_box(model, [one]), options)
    row = [ids()[word] for word in judging.aloud(one)]
    said = steering.replies(model, [row], longest=REPLY)[0]
    return Aloud(answer, said.text + " …" * (len(said.tokens) == REPLY))


@common.one_thread()
def lenses(network: str, words: tuple[str, ...], place: Place, asked: Asked) -> tuple[Answer, Answer]:
    """What the logit lens reads at the last word: at the depth that is asked about, and after the last block."""
    model = open_model(network)
    at = [place, place._replace(depth=model.cfg.n_layers)]
    here, last = oracles.answers(oracles.lens_logits(model, [reading(network, words, one) for one in at]), asked.values)
    return here, last
