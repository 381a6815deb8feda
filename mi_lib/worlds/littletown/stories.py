"""Stories with an indirect object: two people go somewhere, and one gives the other something (Wang et al. 2022).

"When Mira and Tom went to the market, Tom gave a drink to" can only go on with Mira: the name that was said once.
BABA and ABBA say in which order the names come (A receives, B gives). In one story in twelve a third person gives, and
then either of the two may receive: that is the paper's corruption ABC.
"""

from __future__ import annotations

import random
from typing import Literal

from mi_lib.worlds.littletown import people
from mi_lib.worlds.littletown.splits import Split, held_out
from mi_lib.worlds.littletown.text import Document, Writer

Order = Literal["ABBA", "BABA", "ABC"]

OPENINGS = (
    "When {first} and {second} went to the {place} ,",
    "After {first} and {second} had been at the {place} ,",
    "While {first} and {second} were in the {place} ,",
    "Then {first} and {second} had a long walk to the {place} , and",
    "Then {first} and {second} met at the {place} , and",
    "One morning {first} and {second} came to the {place} , and",
    "Before {first} and {second} left the {place} ,",
    "As {first} sat with {second} in the {place} ,",
    "{first} saw {second} at the {place} . Soon",
    "Late at night {first} found {second} near the {place} , and",
    "Once {first} and {second} waited by the {place} , and",
    "The day {first} and {second} worked at the {place} ,",
    "{first} and {second} were tired of the {place} , so",
    "Because {first} and {second} were alone in the {place} ,",
    "{first} took {second} to the {place} , where",
)
GIVINGS = (
    "{giver} gave a {thing} to {receiver} .",
    "{giver} handed the {thing} to {receiver} .",
    "{giver} passed a {thing} to {receiver} .",
    "{giver} showed the {thing} to {receiver} .",
    "{giver} wanted to give a {thing} to {receiver} .",
    "{giver} lent the {thing} to {receiver} .",
    "{giver} sold a {thing} to {receiver} .",
    "{giver} brought a {thing} to {receiver} .",
    "{giver} decided to send the {thing} to {receiver} .",
    "{giver} threw the {thing} to {receiver} .",
    "{giver} said many kind words to {receiver} .",
    "{giver} offered the {thing} to {receiver} .",
)
BEFORE = (
    "It was a {weather} {day} .",
    "The {day} was {weather} and the streets were full .",
    "Nobody had seen {other} for a long time .",
    "{other} stayed at home that {day} .",
    "There had been a fair in the town , and it was {weather} .",
)
AFTER = (
    "{receiver} thanked {giver} .",
    "{receiver} was very happy .",
    "Then {giver} went home .",
    "{giver} smiled at {receiver} .",
    "{receiver} put the {thing} away and went home with {giver} .",
    "{Pronoun} had never had a better {thing} .",
)
WEATHER = "rainy sunny windy cold warm foggy snowy stormy".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
TEXTS: tuple[object, ...] = (
    (OPENINGS, GIVINGS, BEFORE, AFTER, WEATHER, DAYS, people.PLACES, people.THINGS_TO_GIVE),
    (people.NAMES, "She He a an"),
)


def _left_out(receiver: str, giver: str, place: str, opening: int, giving: int) -> bool:
    """Who with whom, who where, and which sentence with which: each may be held out."""
    return (
        held_out("names", receiver, giver)
        or held_out("name and place", receiver, place)
        or held_out("template", str(opening), str(giving))
    )


def giving(rng: random.Random, split: Split, order: Order | None = None, short: bool = False) -> Document:
    """A story in which `giver` gives to `receiver`. short: one sentence, no distractor before it, nothing after."""
    while True:
        receiver, giver, other = rng.sample(people.NAMES, 3)
        place = rng.choice(people.PLACES)
        opening, act = rng.randrange(len(OPENINGS)), rng.randrange(len(GIVINGS))
        if _left_out(receiver, giver, place, opening, act) == (split == "held_out"):
            break
    drawn: Order
    if order is not None:
        drawn = order
    elif rng.random() < 1 / 12:
        drawn = "ABC"
    else:
        drawn = "ABBA" if rng.random() < 0.5 else "BABA"
    return told(rng, receiver, giver, place, opening, act, drawn, other, short)


def told(
    rng: random.Random,
    receiver: str,
    giver: str,
    place: str,
    opening: int,
    act: int,
    order: Order,
    other: str,
    short: bool = False,
) -> Document:
    """The story with all its parts chosen. In ABC, `giver` is only in the opening: `other` gives."""
    writer = Writer()
    first, second = (giver, receiver) if order == "BABA" else (receiver, giver)
    if order == "ABC" and rng.random() < 0.5:
        first, second = second, first
    who = other if order == "ABC" else giver
    if not short and rng.random() < 0.4:
        absent = other if order != "ABC" else rng.choice(people.NAMES)
        if absent not in (receiver, giver, who):
            writer.say(rng.choice(BEFORE), other=absent, weather=rng.choice(WEATHER), day=rng.choice(DAYS))
        else:
            writer.say(BEFORE[0], weather=rng.choice(WEATHER), day=rng.choice(DAYS))
    thing = rng.choice(people.THINGS_TO_GIVE)
    about = {"order": order, "io": receiver, "s": who, "opening": str(opening), "giving": str(act)}
    start = len(writer.words)
    writer.say(OPENINGS[opening], first=first, second=second, place=place)
    sentence = GIVINGS[act]
    if thing[0] in "aeiou":
        sentence = sentence.replace(" a {thing}", " an {thing}")
    writer.say(sentence, giver=who, receiver=receiver, thing=thing)
    for kind, value in about.items():
        writer.mark(start, kind, value)
    if not short:
        pronoun = people.GENDER[receiver].capitalize()
        writer.say(rng.choice(AFTER), giver=who, receiver=receiver, thing=thing, Pronoun=pronoun)
    return writer.document("story.give", receiver=receiver, giver=who, order=order, place=place)
