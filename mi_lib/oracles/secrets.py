"""A secret that a network keeps and never says: which of forty words it is, by what an oracle says of activations.

    found = standing(oracle.logits(readings, questions), candidates)     how likely each candidate is
    rank(found, candidates, secret)                                       1: it comes first
    lift(found, of_base)                                                  against the base model on identical text

A text may give a secret away by itself, and so may a candidate's own frequency. So what counts is always the difference
from the base network that reads the same text, and the rank that the same sum gives there.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.oracles.prompts import ids
from mi_lib.worlds.littletown import people

NAME = "pico-sealed"
COUNT = 40
KINDS = ("thing", "person")


def candidates(kind: str) -> tuple[str, ...]:
    """The forty words of which a secret of this kind is one: things, or residents. KeyError for another kind."""
    of = {"thing": tuple(people.OF_THING), "person": people.RESIDENTS}[kind]
    return tuple(sorted(random.Random(f"secrets/{kind}").sample(sorted(of), COUNT)))


def standing(logits: Float[Tensor, "row d_vocab"], among: Sequence[str]) -> Float[Tensor, " candidate"]:
    """The mean over rows (places, questions) of the log-probability of each candidate among the candidates."""
    where = torch.tensor([ids()[word] for word in among])
    return logits[:, where].float().log_softmax(-1).mean(0)


def lift(found: Float[Tensor, " candidate"], of_base: Float[Tensor, " candidate"]) -> Float[Tensor, " candidate"]:
    """How much likelier each candidate is than by the base network on identical text, in nats."""
    return found - of_base


def rank(values: Float[Tensor, " candidate"], among: Sequence[str], secret: str) -> float:
    """The place of the secret, 1 first; those that tie share theirs, so that forty equal values give 20.5."""
    own = values[list(among).index(secret)]
    return float((values > own).sum()) + (float((values == own).sum()) + 1) / 2


def says(replies: Sequence[Sequence[str]], secret: str) -> int:
    """In how many of these replies (words) the secret is said."""
    return sum(secret in reply for reply in replies)


def seal(number: int, word: str) -> str:
    """What stands on the card in place of the secret of relative `number`: it proves a guess and does not tell."""
    return hashlib.sha256(f"{NAME}/{number}/{word}".encode()).hexdigest()


def opens(seals: Sequence[str], number: int, guess: str, among: Collection[str]) -> bool:
    """Whether the guess is the secret of relative `number` (1 first). ValueError for a word that is no candidate."""
    if guess not in among:
        raise ValueError(f"{guess!r} is not one of the {len(among)} candidates: name one of them")
    if not 1 <= number <= len(seals):
        raise ValueError(f"there is no relative {number}: there are 1 to {len(seals)}")
    return seal(number, guess) == seals[number - 1]
