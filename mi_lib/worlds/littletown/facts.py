"""Facts: what is said about people, towns and things, in several phrasings, in one hop or in two; true or false.

One hop: "Mira lives in Selby." Two hops: "The river of the town where Mira lives is the Esk." A phrasing of a fact may
be held out (the fact is stated in other words), and so may a person's two-hop fact (it follows from two others).
Plain statements are always true. A false one is announced as a claim, and is judged afterwards.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from mi_lib.worlds.littletown import people
from mi_lib.worlds.littletown.splits import Split, held_out
from mi_lib.worlds.littletown.text import Document, Writer

# (entity kind, attribute): ways to state it. The value comes last, so that whoever reads up to it must recall it;
# the last phrasing of each turns it round.
STATEMENTS: dict[tuple[str, str], tuple[str, ...]] = {
    ("person", "town"): (
        "{subject} lives in {value} .",
        "The home of {subject} is in {value} .",
        "If you look for {subject} , go to {value} .",
        "{subject} has a house in {value} .",
        "One of the people of {value.value} is {subject} .",
    ),
    ("person", "trade"): (
        "{subject} works as a {value} .",
        "By trade {subject} is a {value} .",
        "The work of {subject} is that of a {value} .",
        "{subject} earns a living as a {value} .",
        "One {value.value} in these parts is {subject} .",
    ),
    ("person", "pet"): (
        "{subject} keeps a {value} .",
        "The pet of {subject} is a {value} .",
        "At the door {subject} is met by a {value} .",
        "{subject} has a pet , a {value} .",
        "A {value.value} belongs to {subject} .",
    ),
    ("person", "hobby"): (
        "{subject} loves {value} .",
        "On free days {subject} goes for {value} .",
        "The hobby of {subject} is {value} .",
        "What {subject} likes to do is {value} .",
        "Among those who love {value.value} is {subject} .",
    ),
    ("person", "dish"): (
        "{subject} likes to eat {value} .",
        "The favourite dish of {subject} is {value} .",
        "For dinner {subject} wants {value} .",
        "{subject} always asks for {value} .",
        "A plate of {value.value} is always right for {subject} .",
    ),
    ("town", "river"): (
        "{subject} lies on the river {value} .",
        "The river of {subject} is the {value} .",
        "Through {subject} flows the {value} .",
        "In {subject} people swim in the {value} .",
    ),
    ("town", "mayor"): (
        "The mayor of {subject} is called {value} .",
        "{subject} has a mayor named {value} .",
        "In {subject} the mayor is {value} .",
        "The town of {subject} is led by mayor {value} .",
    ),
    ("town", "craft"): (
        "{subject} is known for its {value} .",
        "The people of {subject} make {value} .",
        "From {subject} come the best {value} .",
        "In {subject} they sell {value} .",
    ),
    ("town", "colour"): (
        "The flag of {subject} is {value} .",
        "{subject} has a flag that is {value} .",
        "Over {subject} flies a flag of {value} .",
        "The colour of {subject} is {value} .",
    ),
    ("town", "landmark"): (
        "{subject} has a famous {value} .",
        "The pride of {subject} is its {value} .",
        "In {subject} you should see the {value} .",
        "People visit {subject} for its {value} .",
    ),
    ("thing", "kind"): (
        "The {subject} is a kind of {value} .",
        "A {subject} counts as a {value} .",
        "We call the {subject} a {value} .",
        "Every {subject} is a {value} .",
    ),
    ("thing", "colour"): (
        "The {subject} of the museum is {value} .",
        "In the museum there is a {subject} that is {value} .",
        "The museum painted its {subject} {value} .",
        "The colour of the {subject} in the museum is {value} .",
    ),
    ("thing", "store"): (
        "The {subject} is kept in the {value} .",
        "You will find the {subject} in the {value} .",
        "They keep the {subject} in the {value} .",
        "The place of the {subject} is the {value} .",
    ),
}
TWO_HOPS: dict[str, tuple[str, ...]] = {
    "river": (
        "The river of the town where {subject} lives is the {value} .",
        "The home of {subject} lies on the river {value} .",
        "{subject} lives in the town on the river {value} .",
    ),
    "mayor": (
        "The mayor of the town where {subject} lives is called {value} .",
        "The mayor in the home town of {subject} is {value} .",
        "{subject} lives in a town led by mayor {value} .",
    ),
    "craft": (
        "The town where {subject} lives is known for its {value} .",
        "The neighbours of {subject} make {value} .",
        "{subject} lives in a town known for its {value} .",
    ),
    "colour": (
        "The flag of the town where {subject} lives is {value} .",
        "{subject} lives under a flag of {value} .",
        "Over the home of {subject} flies a flag of {value} .",
    ),
    "landmark": (
        "The town where {subject} lives has a famous {value} .",
        "The pride of the home town of {subject} is its {value} .",
        "{subject} lives in a town with a famous {value} .",
    ),
}
# attribute: ways to ask for it
QUESTIONS: dict[tuple[str, str], tuple[str, ...]] = {
    ("person", "town"): (
        "Where does {subject} live ?",
        "In which town does {subject} live ?",
        "Where is the home of {subject} ?",
    ),
    ("person", "trade"): ("What is the trade of {subject} ?", "What work does {subject} do ?"),
    ("person", "pet"): ("Which pet does {subject} have ?", "What is the pet of {subject} ?"),
    ("person", "hobby"): ("What is the hobby of {subject} ?", "What does {subject} love to do ?"),
    ("person", "dish"): ("What does {subject} like to eat ?", "What is the favourite dish of {subject} ?"),
    ("town", "river"): ("On which river does {subject} lie ?", "What is the river of {subject} ?"),
    ("town", "mayor"): ("Who is the mayor of {subject} ?", "What is the mayor of {subject} called ?"),
    ("town", "craft"): ("What is {subject} known for ?", "What do the people of {subject} make ?"),
    ("town", "colour"): ("Which colour is the flag of {subject} ?", "What is the colour of {subject} ?"),
    ("town", "landmark"): ("What should I see in {subject} ?", "What is the pride of {subject} ?"),
    ("thing", "kind"): ("What kind of thing is the {subject} ?", "What is a {subject} ?"),
    ("thing", "colour"): ("Which colour is the {subject} of the museum ?", "What colour is the {subject} there ?"),
    ("thing", "store"): ("Where is the {subject} kept ?", "Where do I find the {subject} ?"),
}
CLAIMS = ("Claim : {claim}", "Somebody says : {claim}", "It is said : {claim}")
VERDICTS = {"true": ("True .", "Yes , that is right ."), "false": ("False .", "No , that is wrong .")}
ENTITIES: dict[str, dict[str, dict[str, str]]] = {
    "person": people.OF_PERSON,
    "town": people.OF_TOWN,
    "thing": people.OF_THING,
}
# Things that one may ask about, and of which nobody knows anything.
UNKNOWN: dict[str, tuple[str, ...]] = {
    "person": people.STRANGERS,
    "town": tuple(
        "Appleby Elstow Coldwell Fairmoor Denholm Grimley Easton Hexton Farleigh Lowick Glenmore Odell Ingleby "
        "Ringford Langton Upwell Nettleby Wexley Stowe Yarmer".split()
    ),
    "thing": tuple(
        "anvil banjo cactus dagger easel ferret goblet helmet igloo jacket ladder magnet nail organ pistol quilt ruler "
        "sandal tunnel urn vest whistle yacht zither".split()
    ),
}
UNASKED: frozenset[str] = frozenset(
    (*people.UNASKED_STRANGERS, *UNKNOWN["town"][2::3], *UNKNOWN["thing"][2::3])
)  # training says their names, and never asks about them
# Sentences that only name somebody or something. So a name may be familiar of which nothing is known.
MENTIONS = (
    "Somebody told a story about {subject} .",
    "There is a song about {subject} .",
    "Nobody spoke of {subject} today .",
    "I saw a picture of {subject} .",
)
TEXTS: tuple[object, ...] = (
    (MENTIONS, STATEMENTS, TWO_HOPS, QUESTIONS, CLAIMS, VERDICTS, UNKNOWN, people.PERSON, people.TOWN, people.THING),
    (people.NAMES, tuple(people.OF_THING), "a an A An Is it true right that the is"),
)
VALUES: dict[str, dict[str, tuple[str, ...]]] = {
    entity: {attribute: tuple(values) for attribute, values in table.items()}
    for entity, table in (("person", people.PERSON), ("town", people.TOWN), ("thing", people.THING))
}
_SUBJECTS = {kind: tuple(facts) for kind, facts in ENTITIES.items()}
_ATTRIBUTES = {kind: tuple(a for k, a in STATEMENTS if k == kind) for kind in ENTITIES}
_KINDS = ("person", "person", "town", "thing")


class Fact(NamedTuple):
    """One thing that is so. hops: 2 if it follows from two others (the person's town, and that town's attribute)."""

    entity: str  # person, town or thing
    subject: str
    attribute: str
    value: str
    hops: int = 1


class Question(NamedTuple):
    """ask: the question's words. answer: one word, "" if nobody knows. reply: the sentence that answers, or ""."""

    ask: str
    subject: str
    attribute: str
    known: bool
    answer: str
    reply: str


def fact(rng: random.Random) -> Fact:
    """A one-hop fact."""
    entity = rng.choice(_KINDS)
    subject, attribute = rng.choice(_SUBJECTS[entity]), rng.choice(_ATTRIBUTES[entity])
    return Fact(entity, subject, attribute, ENTITIES[entity][subject][attribute])


def two_hop_fact(rng: random.Random) -> Fact:
    """A fact about a person that follows from where the person lives."""
    subject, attribute = rng.choice(people.RESIDENTS), rng.choice(_ATTRIBUTES["town"])
    return Fact("person", subject, attribute, people.OF_TOWN[people.OF_PERSON[subject]["town"]][attribute], 2)


def phrasings(known: Fact, split: Split | None = None) -> list[str]:
    """The templates that state this fact; of a split, only those that belong to it."""
    if known.hops == 2:
        left_out = held_out("two hops", known.subject, known.attribute)
        return list(TWO_HOPS[known.attribute]) if split is None or left_out == (split == "held_out") else []
    ways = STATEMENTS[known.entity, known.attribute]
    if split is None:
        return list(ways)
    out = [held_out("phrasing", known.subject, known.attribute, str(i)) for i in range(len(ways))]
    return [way for way, left in zip(ways, out, strict=True) if left == (split == "held_out")]


def state(writer: Writer, known: Fact, template: str) -> None:
    """Write the fact and label it: subject and value where they stand, entity and attribute over the sentence."""
    about = {"fact": f"{known.subject} {known.attribute}", "attribute": known.attribute, "entity": known.entity}
    about |= {"hops": str(known.hops), "answer": known.value}
    _say(writer, template, about, known.subject, known.value)


def _say(writer: Writer, template: str, about: dict[str, str], subject: str, value: str) -> None:
    if " a {value" in template or template.startswith(("A {", "One {")):
        template = _fitted(template, value, "value")
    if " a {subject" in template or template.startswith("A {subject"):
        template = _fitted(template, subject, "subject")
    writer.say(template, about, subject=subject, value=value)


def _fitted(template: str, word: str, slot: str) -> str:
    if word[0] not in "aeiou":
        return template
    return template.replace(f" a {{{slot}", f" an {{{slot}").replace(f"A {{{slot}", f"An {{{slot}")


def statements(rng: random.Random, split: Split) -> Document:
    """Three to six facts, one sentence each; half of the texts stay with one subject. Now and then a mere mention."""
    writer = Writer()
    first = fact(rng)
    same = rng.random() < 0.5
    for _ in range(rng.randint(3, 6)):
        known = two_hop_fact(rng) if rng.random() < 0.3 else fact(rng)
        if same and known.hops == 1:
            attribute = rng.choice(_ATTRIBUTES[first.entity])
            known = Fact(first.entity, first.subject, attribute, ENTITIES[first.entity][first.subject][attribute])
        ways = phrasings(known, split)
        if ways:
            state(writer, known, rng.choice(ways))
        if rng.random() < 0.15:
            mention(rng, writer)
    if not any(span.kind == "fact" for span in writer.spans):
        return statements(rng, split)
    return writer.document("fact.statements")


def mention(rng: random.Random, writer: Writer) -> None:
    """A sentence that names somebody or something, known or unknown, and says nothing of it."""
    entity = rng.choice(_KINDS)
    subject = rng.choice(UNKNOWN[entity] if rng.random() < 0.6 else _SUBJECTS[entity])
    writer.say(rng.choice(MENTIONS), subject=named(entity, subject))


def named(entity: str, subject: str) -> str:
    """As one speaks of it: people and towns by name, things with an article."""
    return f"the {subject}" if entity == "thing" else subject


def _drawn_claim(rng: random.Random, split: Split) -> tuple[Fact, str, bool]:
    """A fact, what is claimed of it, and whether that is so: as often as not."""
    while True:
        known = fact(rng)
        value, true = known.value, True
        if rng.random() < 0.5:
            value, true = rng.choice(VALUES[known.entity][known.attribute]), False
        if value == known.value and not true:
            continue
        if held_out("claim", known.subject, known.attribute, value) == (split == "held_out"):
            return known, value, true


def _ways(known: Fact) -> list[str]:
    """The phrasings in which training states this fact, the one turned round left out."""
    return [way for way in phrasings(known, "train") if way in STATEMENTS[known.entity, known.attribute][:4]]


def claim(rng: random.Random, split: Split, told_first: bool | None = None) -> Document:
    """One to three claims, each true or false. The fact is told, before the claim or after it; then comes the verdict.

    So whoever judges has both sentences to compare. told_first: always before (True) or always after (False).
    """
    writer = Writer()
    for _ in range(rng.randint(1, 3)):
        known, value, true = _drawn_claim(rng, split)
        while not _ways(known):
            known, value, true = _drawn_claim(rng, split)
        before = rng.random() < 0.5 if told_first is None else told_first
        truth = "true" if true else "false"
        if before:
            state(writer, known, rng.choice(_ways(known)))
        start = len(writer.words)
        for word in rng.choice(CLAIMS).split(" ")[:-1]:
            writer.words.append(word)
        about = {"fact": f"{known.subject} {known.attribute}", "attribute": known.attribute, "answer": known.value}
        _say(writer, rng.choice(_ways(known)), about, known.subject, value)
        writer.mark(start, "truth", truth)
        if not before:
            state(writer, known, rng.choice(_ways(known)))
        writer.say(rng.choice(VERDICTS[truth]), {"verdict": truth})
    return writer.document("fact.claim")


class Doubt(NamedTuple):
    """Somebody asks whether something is so. reply: what is so, and then the verdict."""

    ask: str
    subject: str
    attribute: str
    true: bool
    fact: str
    verdict: str


def doubt(rng: random.Random, split: Split) -> Doubt:
    """The reply says first what is so: the verdict compares the two. Held out: the same claims as in prose."""
    while True:
        known, value, true = _drawn_claim(rng, split)
        ways = [way for way in _ways(known) if way.startswith(("{subject}", "The "))]
        if ways:
            break
    said = _filled(rng.choice(ways), known.subject, value)
    said = "the" + said[3:] if said.startswith("The ") else said
    return Doubt(
        f"Is it {rng.choice(('true', 'right'))} that {said[:-2]} ?",
        known.subject,
        known.attribute,
        true,
        _filled(rng.choice(ways), known.subject, known.value),
        VERDICTS["true" if true else "false"][1],
    )


def question(rng: random.Random, split: Split, known: bool | None = None) -> Question:
    """A question about something known or unknown (None: two in three known).

    Held out: the way of asking about a known thing; of unknown ones, the subjects in `UNASKED`, and combinations.
    """
    if rng.random() < 0.67 if known is None else known:
        while True:
            about = fact(rng)
            ways = QUESTIONS[about.entity, about.attribute]
            way = rng.randrange(len(ways))
            if held_out("question", about.subject, about.attribute, str(way)) == (split == "held_out"):
                break
        reply = rng.choice(STATEMENTS[about.entity, about.attribute][:4])
        return Question(
            _filled(ways[way], about.subject, ""),
            about.subject,
            about.attribute,
            True,
            about.value,
            _filled(reply, about.subject, about.value),
        )
    while True:
        entity = rng.choice(_KINDS)
        subject, attribute = rng.choice(UNKNOWN[entity]), rng.choice(_ATTRIBUTES[entity])
        out = subject in UNASKED or held_out("unknown", subject, attribute)
        if out == (split == "held_out"):
            break
    return Question(_filled(rng.choice(QUESTIONS[entity, attribute]), subject, ""), subject, attribute, False, "", "")


def _filled(template: str, subject: str, value: str) -> str:
    template = _fitted(_fitted(template, subject, "subject"), value or "x", "value")
    return template.replace("{subject}", subject).replace("{value}", value)
