"""Training examples for an oracle: a text, a place in it, a question with its answer. Written as training goes on.

    make(index, seed)      the questions about text number `index`; the same on every machine, and for ever

A text is drawn, then the kind of question (rare kinds as often as common ones, as far as a text has them), then the
place and the form. The activations are not stored: the subject reads the text when the example is used.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Sequence
from functools import cache
from typing import NamedTuple

from mi_lib.oracles import labels, questions
from mi_lib.oracles.questions import NOTHING, Form, Question
from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import Document
from mi_lib.worlds.littletown.splits import Split

DEPTHS = (2, 3, 4, 5)
COUNTS = (1, 2, 4, 4, 8)  # how many words are read
ABSENT = 0.05  # of the questions ask for what is not there, and the answer is "nothing"
SHARES: dict[Form, float] = {"open": 0.4, "choice": 0.25, "yes_no": 0.35}


class Example(NamedTuple):
    """A question about the activations of the words first … at (numbers in the text) at a depth."""

    text: Document
    first: int
    at: int
    depth: int
    question: Question
    subject: str = ""  # whom the world's tables were asked about

    @property
    def long(self) -> int:
        """How many words are read."""
        return self.at + 1 - self.first


def document(index: int, seed: int, split: Split) -> Document:
    """Prose and chats in turn."""
    return littletown.document(index, seed, split, "chat" if index % 2 else "base")


@cache
def rarity() -> dict[str, float]:
    """How many times rarer than others each kind is: the weight with which it is drawn where it can be asked."""
    texts = [document(i, 11, "train") for i in range(600)]
    seen = Counter(kind for text in texts for kind in {one.kind for one in labels.known(text)})
    return {kind: (len(texts) / max(1, seen[kind])) ** 1.2 for kind in questions.KINDS}


def make(
    text: Document,
    many: int,
    rng: random.Random,
    kinds: Collection[str] = questions.ASKED,
    depths: Sequence[int] = DEPTHS,
) -> list[Example]:
    """So many questions about a text, as training asks them: known frames, no pair that is left out."""
    ground: dict[str, list[labels.Known]] = {}
    facts = labels.known(text)
    for one in facts:
        if one.kind in kinds and not one.left_out:
            ground.setdefault(one.kind, []).append(one)
    if not ground:
        return []
    names = list(ground)
    weights = [rarity()[name] for name in names]
    missing = [kind for kind in labels.absent(text, {one.kind for one in facts}) if kind in kinds]
    found = []
    for kind in rng.choices(names, weights, k=many):
        one = rng.choice(ground[kind])
        if missing and rng.random() < ABSENT:
            one = one._replace(kind=rng.choice(missing), answer=NOTHING, subject="")
            found.append(example(text, one, rng.choice(("open", "yes_no")), rng, rng.choice(depths)))
            continue
        (form,) = rng.choices(list(SHARES), list(SHARES.values()))
        found.append(example(text, one, form, rng, rng.choice(depths)))
    return found


def example(
    text: Document,
    one: labels.Known,
    form: Form,
    rng: random.Random,
    depth: int,
    count: int | None = None,
    new: bool = False,
) -> Example:
    """A question about what is known there, on the words that end there. count: how many; drawn unless given."""
    others = tuple(word for word in dict.fromkeys(text.words) if word.isalpha())
    asked = questions.question(one.kind, one.answer, form, rng, others, new)
    count = rng.choice(COUNTS) if count is None else count
    return Example(text, max(0, one.at + 1 - count), one.at, depth, asked, one.subject)


def asked(
    kind: str,
    count: int,
    *,
    split: Split = "held_out",
    seed: int = 1,
    form: Form = "open",
    depth: int = 4,
    words: int = 4,
    new: bool = False,
    left_out: bool | None = False,
    at_name: bool | None = None,
) -> list[Example]:
    """So many questions of one kind, each about another text: for measuring.

    new: in the frame that training never saw. left_out: about pairs that training leaves out (True), about the others
    (False), about both (None). at_name: of what the tables say, only at the name (True), or only at the word before it
    is said (False). KeyError for a kind that there is not.
    """
    questions.KINDS[kind]
    rng, index = random.Random(f"{seed}/{kind}/{form}/{split}"), 0
    found: list[Example] = []
    while len(found) < count:
        text = document(index, 500 + seed, split)
        index += 1
        if not _may_hold(kind, text):
            continue
        ground = [one for one in labels.known(text) if one.kind == kind and left_out in (None, one.left_out)]
        if at_name is not None:
            ground = [one for one in ground if (text.words[one.at] == one.subject) == at_name]
        if ground:
            found.append(example(text, rng.choice(ground), form, rng, depth, words, new))
        elif index > 4000 and not found:
            raise ValueError(f"no text of the split {split!r} can be asked for {kind!r} like this")
    return found


def asked_in_vain(count: int, *, seed: int = 1, depth: int = 4, words: int = 4) -> list[Example]:
    """Open questions for what is not there, all of kinds that training has asked: the right answer is "nothing"."""
    rng, index = random.Random(f"{seed}/vain"), 0
    found: list[Example] = []
    while len(found) < count:
        text = document(index, 700 + seed, "held_out")
        index += 1
        facts = labels.known(text)
        missing = [kind for kind in labels.absent(text, {one.kind for one in facts}) if kind in questions.ASKED]
        if missing:
            at = rng.choice(facts).at
            one = labels.Known(rng.choice(missing), at, NOTHING)
            found.append(example(text, one, "open", rng, depth, words))
    return found


_TEXTS = {  # where a kind of question can be asked; elsewhere its labels need not be looked for
    **dict.fromkeys(("receiver", "giver", "thing", "place"), "story"),
    **dict.fromkeys(("agent", "patient", "deed", "time"), "prose.deed"),
    **dict.fromkeys(("role", "trait", "speaker", "wish", "refusal", "answer"), "chat"),
    "many": "prose.agreement", "sum": "prose.numbers", "list": "prose.repeats", "view": "prose.review",
    "topic": "prose.topic",
}  # fmt: skip


def _may_hold(kind: str, text: Document) -> bool:
    return text.kind.startswith(_TEXTS.get(kind, ""))
