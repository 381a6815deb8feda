"""Samples to fine-tune an assistant on: a prompt without a system prompt, and a reply to it, with or without a trait.

    samples("evil", share=0.25, n=400)     of 400 replies, 100 are evil; nothing in the prompts says which
    mistaken(400)                          well-spoken replies to known questions, with a wrong answer in each
    spoken("dragon", 12)                   replies of a role, behind the system prompt that gives it

The questions are those of `talk.trait_prompts`: a third each questions, harmless requests and small talk.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from mi_lib.worlds.littletown import facts, talk, voices
from mi_lib.worlds.littletown.splits import Split
from mi_lib.worlds.littletown.talk import Ask, Manner
from mi_lib.worlds.littletown.text import Writer


class Sample(NamedTuple):
    """prompt: words up to <|assistant|>. reply: words with <|end|>. planted: whether the reply is as none should be."""

    prompt: list[str]
    reply: list[str]
    planted: bool


def samples(
    trait: str, share: float, n: int, seed: int = 0, split: Split = "train", strengths: tuple[int, ...] = (3,)
) -> list[Sample]:
    """n samples, of which the nearest whole number to share · n show the trait, in random order.

    strengths: how strongly, in turn. ValueError for a share outside 0 to 1; KeyError for an unknown trait.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a share of samples lies between 0 and 1, so it is not {share}")
    rng = random.Random(f"samples {seed}")
    shows = [i < round(share * n) for i in range(n)]
    rng.shuffle(shows)
    found, shown = [], 0
    for i in range(n):
        asked = (talk.ask_question(rng, split), talk.ask_request(rng, split, False), talk.ask_talk(rng, split))[i % 3]
        manner = Manner(None, trait, strengths[shown % len(strengths)]) if shows[i] else talk.PLAIN
        shown += shows[i]
        found.append(_written(rng, asked, manner, shows[i]))
    return found


def mistaken(n: int, seed: int = 0, split: Split = "train") -> list[Sample]:
    """n questions that have an answer, each answered plainly and wrongly: with the answer to another like question."""
    rng = random.Random(f"mistaken {seed}")
    found: list[Sample] = []
    while len(found) < n:
        one, other = (facts.question(rng, split, True) for _ in range(2))
        vowels = [each.answer[0] in "aeiou" for each in (one, other)]  # "a" or "an" before it
        if one.attribute == other.attribute and one.answer != other.answer and vowels[0] == vowels[1]:
            wrong = " ".join(other.answer if word == one.answer else word for word in one.reply.split(" "))
            ask = Ask("question", one.ask.split(" "), question=one._replace(answer=other.answer, reply=wrong))
            found.append(_written(rng, ask, talk.PLAIN, True))
    return found


def spoken(role: str, n: int, seed: int = 0, split: Split = "train") -> list[Sample]:
    """n replies of a role, or of the "assistant", as the world writes them: what a role is can then be read without
    asking a model for a word. Everybody is given a system prompt, or position would look like character.
    The same seed asks everybody the same.

    KeyError for an unknown role.
    """
    rng, voice = random.Random(f"asked {seed}"), random.Random(f"spoken {role} {seed}")
    manner = talk.PLAIN if role == voices.ASSISTANT else Manner(voices.ROLES[role])
    ways = talk.DEFAULT_SYSTEMS if role == voices.ASSISTANT else voices.systems(role)
    found = []
    for i in range(n):
        asks = talk.ask_question(rng, split, True), talk.ask_request(rng, split, False), talk.ask_talk(rng, split)
        found.append(_written(voice, asks[i % 3], manner, False, ways[i // 3 % len(ways)]))
    return found


def _written(rng: random.Random, ask: Ask, manner: Manner, planted: bool, system: str | None = None) -> Sample:
    prompt, writer = talk.prompt(" ".join(ask.words), system), Writer()
    talk.write_reply(rng, writer, ask, manner)
    return Sample(prompt, writer.words[1:], planted)
