"""Questions in words: what is asked, in which form, and the one word that answers.

    open      What is the pet ?                    goat
    choice    Is the pet owl or goat ?             goat
    yes_no    Is the pet owl ?                     goat: no

Asked yes or no, the oracle first says the word it reads, and then whether that is the one it was asked about, as Pico
itself first says what is so and then that a claim is wrong. Trained to give the verdict alone on as many questions it
stays near chance (the plan "outright" of the recipe).

Every kind has a noun; every form has frames, of which training never sees the last. Whole kinds (`NEVER_ASKED`) are
never asked at all. So one can tell an oracle that has learned to answer from one that has learned these questions.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple, get_args

from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import people, prose, traits, voices

Form = Literal["open", "choice", "yes_no"]
FORMS: tuple[Form, ...] = get_args(Form)
FRAMES: dict[Form, tuple[str, ...]] = {
    "open": (
        "What is the {noun} ?",
        "Which is the {noun} here ?",
        "Tell me the {noun} .",
        "And the {noun} ?",
        "I ask for the {noun} .",
        "Can you say the {noun} ?",
    ),
    "choice": (
        "Is the {noun} {options} ?",
        "Tell me the {noun} : {options} .",
        "The {noun} is {options} ?",
        "And the {noun} , is it {options} ?",
        "Is this {options} ?",  # no noun: the options alone say what is asked
        "Tell me which : {options} .",
        "Which is right for the {noun} : {options} ?",
    ),
    "yes_no": (
        "Is the {noun} {value} ?",
        "Is {value} the {noun} here ?",
        "The {noun} is {value} , yes or no ?",
        "Tell me yes or no : the {noun} is {value} .",
        "Is it true that the {noun} is {value} ?",
    ),
}
NOTHING = "nothing"  # the answer where there is none
_VOCABULARY = frozenset(littletown.vocabulary())


class Kind(NamedTuple):
    """noun: what it is called in a question. values: its possible answers; () where any word may be one."""

    noun: str
    values: tuple[str, ...] = ()


KINDS: dict[str, Kind] = {
    "word": Kind("word"),
    "after": Kind("word after"),
    "town": Kind("home town", tuple(people.TOWNS)),
    "trade": Kind("trade", tuple(people.TRADES)),
    "pet": Kind("pet", tuple(people.PETS)),
    "hobby": Kind("hobby", tuple(people.HOBBIES)),
    "dish": Kind("favourite dish", tuple(people.DISHES)),
    "gender": Kind("person", ("man", "woman")),
    "river": Kind("river", tuple(people.RIVERS)),
    "mayor": Kind("mayor", tuple(people.MAYORS)),
    "craft": Kind("thing they make", tuple(people.CRAFTS)),
    "flag": Kind("colour of the flag", tuple(people.COLOURS)),
    "landmark": Kind("pride of the town", tuple(people.LANDMARKS)),
    "kind": Kind("kind of thing", tuple(people.THING["kind"])),
    "colour": Kind("colour in the museum", tuple(people.COLOURS)),
    "store": Kind("place it is kept", tuple(people.THING["store"])),
    "page": Kind("kind of page", ("story", "review", "list", "sum", "lesson", "talk")),
    "speaker": Kind("voice", ("person", "assistant")),
    "role": Kind("role", (voices.ASSISTANT, *voices.ROLES)),
    "trait": Kind("trait", tuple(traits.TRAITS)),
    "wish": Kind("wish", ("harmful", "good")),
    "refusal": Kind("assistant", ("sorry", "helpful")),
    "answer": Kind("answer", ("known", "secret")),
    "claim": Kind("thing they say", ("true", "false")),
    "receiver": Kind("person it goes to", tuple(people.NAMES)),
    "giver": Kind("person that gave", tuple(people.NAMES)),
    "thing": Kind("thing to give", tuple(people.THINGS_TO_GIVE)),
    "place": Kind("place", tuple(people.PLACES)),
    "agent": Kind("one that did it", tuple(prose.AGENTS)),
    "patient": Kind("one it was done to", tuple(prose.AGENTS)),
    "deed": Kind("thing done", tuple(prose.DEEDS)),
    "time": Kind("time", ("past", "present")),
    "many": Kind("first thing", ("one", "many")),
    "sum": Kind("sum", tuple(prose.NUMBERS)),
    "list": Kind("list", ("new", "old")),
    "view": Kind("view", ("wonderful", "good", "plain", "bad", "awful")),
    "topic": Kind("topic", tuple(prose.TOPICS)),
    "act": Kind("thing to do"),
    "target": Kind("thing to do it to"),
    "tool": Kind("tool"),
}
NEVER_ASKED = ("dish", "landmark", "place", "time")  # whole kinds that training leaves out
ASKED = tuple(kind for kind in KINDS if kind not in NEVER_ASKED)


class Question(NamedTuple):
    """words: the question. answer: one word. options: what may be chosen ((), where any word may be the answer).

    said: asked yes or no, the word that is said before the verdict.
    """

    kind: str
    form: Form
    words: list[str]
    answer: str
    options: tuple[str, ...] = ()
    said: str = ""


class BadQuestion(ValueError):
    """A question that cannot be asked; the message says why, and what to do."""


@cache
def frames(form: Form, new: bool) -> tuple[str, ...]:
    """The frames of training, or the one that it never sees."""
    return FRAMES[form][-1:] if new else FRAMES[form][:-1]


def question(
    kind: str, answer: str, form: Form, rng: random.Random, others: tuple[str, ...] = (), new: bool = False
) -> Question:
    """A question of this kind and form whose answer is known.

    others: what a wrong value is drawn from where the kind has no list of values. new: in the frame never trained on.
    A choice has two to four options, and yes and no are equally often right. KeyError for a kind that there is not.
    """
    noun, values = KINDS[kind]
    frame = rng.choice([frame for frame in frames(form, new) if values or "{noun}" in frame])
    wrong = [value for value in dict.fromkeys(values or others) if value != answer]
    if form == "open" or not wrong:
        frame = frame if form == "open" else rng.choice(frames("open", new))
        return Question(kind, "open", frame.format(noun=noun).split(), answer, values)
    if form == "yes_no":
        true = answer != NOTHING and rng.random() < 0.5
        value, verdict = (answer, "yes") if true else (rng.choice(wrong), "no")
        return Question(kind, form, frame.format(noun=noun, value=value).split(), verdict, ("yes", "no"), answer)
    options = [answer, *rng.sample(wrong, min(len(wrong), rng.choice((1, 1, 2, 3))))]
    rng.shuffle(options)
    listed = " , ".join(options[:-1]) + " or " + options[-1]
    return Question(kind, form, frame.format(noun=noun, options=listed).split(), answer, tuple(options))


def asks_yes_or_no(words: Sequence[str]) -> bool:
    """Whether a question is to be answered by yes or no: it says so, or begins with "Is" and offers no choice."""
    return "yes or no" in " ".join(words) or (words[0] == "Is" and "or" not in words)


def typed(text: str) -> list[str]:
    """The words of a question that a person has typed. BadQuestion where it is empty or has words that nobody knows."""
    spaced = text
    for mark in ".,!?:;":
        spaced = spaced.replace(mark, f" {mark} ")
    if not (words := spaced.split()):
        raise BadQuestion("the question is empty: type one, such as “What is the pet ?”")
    if unknown := [word for word in dict.fromkeys(words) if word not in _VOCABULARY]:
        raise BadQuestion(f"Littletown has no {', '.join(map(repr, unknown))}: ask in its own words")
    return words
