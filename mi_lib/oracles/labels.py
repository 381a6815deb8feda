"""What is true at a word of a text, and can be asked of the activation there: the questions' ground truth.

    labels.known(document)        every (kind, place, answer) that the world's own labels and tables give

Where a thing is asked matters as much as what: a truth that the network settles at one word is not to be found at
another. So each kind stands at the places that hold its answer: the receiver at the word before the name, the verdict
at the word before it is said, a resident's town at the resident's name and at the word before the town is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from functools import cache
from typing import NamedTuple

from mi_lib.worlds.littletown import SPECIAL, Document, people
from mi_lib.worlds.littletown.splits import held_out

ONE_IN = 8  # of the combinations are never asked in training
STILL_ASKED = 2  # of other subjects at least, so that an answer is known to be one


class Known(NamedTuple):
    """One thing that can be asked about a text.

    kind: what ("pet"). at: the word (its number in the text, from 0) at which it is known: the last one that is read.
    answer: one word. subject: what it is asked about, where the world's tables answer ("Mira"), else "".
    """

    kind: str
    at: int
    answer: str
    subject: str = ""

    @property
    def left_out(self) -> bool:
        """Whether training never asks this: one in eight pairs of a kind and its subject (see `left_out_of`)."""
        return self.subject in left_out_of(self.kind)


# What the world's tables say of a name: kind of question, table, attribute.
TABLES: dict[str, tuple[dict[str, dict[str, str]], str]] = {
    **{kind: (people.OF_PERSON, kind) for kind in ("town", "trade", "pet", "hobby", "dish")},
    **{kind: (people.OF_TOWN, kind) for kind in ("river", "mayor", "craft", "landmark")},
    "flag": (people.OF_TOWN, "colour"),
    **{kind: (people.OF_THING, kind) for kind in ("kind", "store")},
    "colour": (people.OF_THING, "colour"),
}
ATTRIBUTES = {  # (whose table, attribute) to the kind of question that asks for it
    **{("person", kind): kind for kind in ("town", "trade", "pet", "hobby", "dish")},
    **{("town", kind): kind for kind in ("river", "mayor", "craft", "landmark")},
    **{("thing", kind): kind for kind in ("kind", "store", "colour")},
    ("town", "colour"): "flag",
}  # fmt: skip
PAGES = {  # what kind of text it is
    "story.give": "story", "prose.review": "review", "prose.repeats": "list", "prose.numbers": "sum",
    "howto.plain": "lesson", "quote": "talk",
}  # fmt: skip
VIEWS = {2: "wonderful", 1: "good", 0: "plain", -1: "bad", -2: "awful"}
_MARKS = (*SPECIAL, *"!,.:?")


@cache
def left_out_of(kind: str) -> frozenset[str]:
    """The subjects of whom training never asks this kind: about one in eight.

    None whose answer would then be asked of fewer than two others: an oracle that has never given "Calder" as a river
    could not give it now, whatever it reads. So of rivers and mayors, which no two towns share, none is left out.
    """
    table, attribute = TABLES.get(kind, ({}, ""))
    asked, found = Counter(row[attribute] for row in table.values()), set()
    for subject, row in table.items():
        if held_out("asked", kind, subject, one_in=ONE_IN) and asked[row[attribute]] > STILL_ASKED:
            found.add(subject)
            asked[row[attribute]] -= 1
    return frozenset(found)


def known(text: Document) -> list[Known]:
    """All that can be asked about a text, in the order of its words."""
    found = [*_of_words(text), *_of_names(text), *_of_page(text), *_of_chat(text), *_of_prose(text)]
    return sorted(found, key=lambda one: (one.at, one.kind))


def _of_words(text: Document) -> Iterator[Known]:
    """Which word stands here, which comes next."""
    for i, word in enumerate(text.words):
        if word not in _MARKS:
            yield Known("word", i, word)
            if i > 1:
                yield Known("after", i - 1, word)


def _of_names(text: Document) -> Iterator[Known]:
    """What the tables say of a name, at the name."""
    for i, word in enumerate(text.words):
        for kind, (table, attribute) in TABLES.items():
            if word in table:
                yield Known(kind, i, table[word][attribute], word)
        if word in people.GENDER:
            yield Known("gender", i, "woman" if people.GENDER[word] == "she" else "man", word)
    yield from _of_facts(text)


def _of_facts(text: Document) -> Iterator[Known]:
    """The same, at the word before the value is said: there the network has looked it up, in order to say it.

    It is what the tables say, also where a claim goes on with something else.
    """
    values = text.labels("value")
    for span in text.spans:
        if span.kind != "fact":
            continue
        subject, attribute = span.value.rsplit(" ", 1)
        inside = range(span.start + 1, span.end)
        due = next((i for i in inside if values[i] is not None and subject in text.words[span.start : i]), None)
        kind = ATTRIBUTES.get((_entity(subject), attribute))
        if due is not None and kind is not None:
            yield Known(kind, due - 1, TABLES[kind][0][subject][TABLES[kind][1]], subject)


def _entity(subject: str) -> str:
    of = {"person": people.OF_PERSON, "town": people.OF_TOWN, "thing": people.OF_THING}
    return next((entity for entity, table in of.items() if subject in table), "")


def _of_page(text: Document) -> Iterator[Known]:
    if (page := PAGES.get(text.kind)) is not None:
        for i in range(4, len(text.words)):
            yield Known("page", i, page)


def _of_chat(text: Document) -> Iterator[Known]:
    """Who speaks, as which role, with which trait; whether a wish is harmful, an answer known, a reply a refusal."""
    if not text.kind.startswith("chat"):
        return
    words = text.words
    speaker, harmful, refused = text.labels("speaker"), text.labels("harmful"), text.labels("refused")
    role, trait, strength = text.labels("role"), text.labels("trait"), text.labels("strength")
    known_ = text.labels("known")
    for i, word in enumerate(words):
        inside = word not in SPECIAL
        if inside and speaker[i] in ("user", "assistant"):
            yield Known("speaker", i, "person" if speaker[i] == "user" else "assistant")
        starts = word == "<|assistant|>" and i + 1 < len(words)
        near = starts or (inside and i > 2 and "<|assistant|>" in words[max(0, i - 6) : i])
        if (inside or starts) and refused[i + starts] is not None and near:
            yield Known("refusal", i, "sorry" if refused[i + starts] == "yes" else "helpful")
        if starts and harmful[i - 1] is not None:
            yield Known("wish", i, "harmful" if harmful[i - 1] == "yes" else "good")
        if starts and known_[i - 1] is not None:
            yield Known("answer", i, "known" if known_[i - 1] == "yes" else "secret")
        if role[i] is not None and i > 3 and role[i - 3] is not None:
            yield Known("role", i, str(role[i]))
        if trait[i] not in (None, "none") and int(strength[i] or 0) >= 2 and i > 3 and trait[i - 3] is not None:
            yield Known("trait", i, str(trait[i]))


def _of_prose(text: Document) -> Iterator[Known]:
    for span in text.spans:
        if span.kind == "verdict":  # settled at the word before it is said
            yield Known("claim", span.start - 1, span.value)
        elif span.kind == "be":
            yield Known("many", span.start - 1, "one" if text.labels("number")[span.start] == "singular" else "many")
        elif span.kind == "total":
            yield Known("sum", span.start - 1, span.value)
        elif span.kind == "copy":
            for i in range(span.start + 2, span.end):
                yield Known("list", i, "new" if span.value == "first" else "old")
    yield from _of_story(text)
    yield from _of_deed(text)
    yield from _of_view_and_topic(text)
    yield from _of_how_to(text)


def _of_story(text: Document) -> Iterator[Known]:
    """Who gives what to whom, where: each from the word on at which it has been told, up to the receiver's name."""
    if text.kind != "story.give":
        return
    starts = {kind: text.where(kind)[0] for kind in ("place", "giver", "receiver")}
    due = next(i for i in text.where("receiver") if i > starts["giver"]) - 1
    if text.truth["order"] != "ABC":
        yield Known("receiver", due, text.truth["receiver"])
    for i in range(starts["giver"] + 1, due + 1):
        yield Known("giver", i, text.words[starts["giver"]])
    for i in range(starts["place"], due + 1):
        yield Known("place", i, text.truth["place"])
    things = [i for i in text.where("thing") if i <= due]
    for i in range(things[0], due + 1) if things else ():
        yield Known("thing", i, text.words[things[0]])


def _of_deed(text: Document) -> Iterator[Known]:
    if text.kind != "prose.deed":
        return
    end, verb = text.words.index("."), text.where("verb")[0]
    for i in (end - 1, end, end + 1):  # the sentence is over
        yield Known("agent", i, text.truth["subject"])
        yield Known("patient", i, text.truth["object"])
        yield Known("time", i, text.truth["tense"])
    for i in range(verb, verb + 3):  # where it is said: at the end little of it is left
        yield Known("deed", i, text.truth["deed"])


def _of_view_and_topic(text: Document) -> Iterator[Known]:
    if text.kind == "prose.review":
        so_far, stars = text.labels("sentiment so far"), text.where("stars")[0]
        for span in text.spans:
            if span.kind == "grade":
                for i in range(span.end - 1, min(span.end + 2, stars)):
                    if so_far[i] is not None:
                        yield Known("view", i, VIEWS[int(so_far[i] or 0)])
    if text.kind == "prose.topic":
        for i in range(8, text.where("named")[0]):
            yield Known("topic", i, text.truth["topic"])


def _of_how_to(text: Document) -> Iterator[Known]:
    """What is to be done, to what, with which tool: as far as one word says it."""
    for span in text.spans:
        if span.kind == "tool":
            yield Known("tool", span.end - 1, span.value.rsplit(" ", 1)[-1])
            if span.start:
                yield Known("tool", span.start - 1, span.value.rsplit(" ", 1)[-1])
        elif span.kind == "verb" and " " not in span.value and text.kind.startswith(("howto", "chat")):
            for i in range(span.end, min(span.end + 4, len(text.words))):
                yield Known("act", i, span.value)
        elif span.kind == "object" and text.kind.startswith(("howto", "chat")):
            for i in range(span.end, min(span.end + 4, len(text.words))):
                yield Known("target", i, span.value.rsplit(" ", 1)[-1])


def absent(text: Document, there: Collection[str]) -> list[str]:
    """The kinds of question that this text gives no answer to: nobody gives, nothing is summed, no town is named.

    there: the kinds that `known` finds in it.
    """
    words = set(text.words)
    missing = [kind for kind, (table, _) in TABLES.items() if not words & set(table)]
    missing += [kind for kind in _TOLD if kind not in there]
    if text.kind.startswith(("chat", "dialogue", "howto.dialogue", "quote")):
        missing = [kind for kind in missing if kind not in _SPOKEN]
    return missing


_SPOKEN = ("role", "trait", "wish", "refusal", "answer", "speaker")
_TOLD = (*_SPOKEN, "claim", "receiver", "giver", "place", "agent", "patient", "deed", "many", "sum", "view", "topic")
