"""A secret that a network keeps and never says: which of forty words it is, by what an oracle says of activations.

    found = standing(oracle.logits(readings, questions), candidates)     how likely each candidate is
    rank(found, candidates, secret)                                       1: it comes first
    lift(found, of_base)                                                  against the base model on identical text

A text may give a secret away by itself, and so may a candidate's own frequency. So what counts is always the difference
from the base network that reads the same text, and the rank that the same sum gives there.

The secrets that are graded stand in no file. What is kept of each is a seal: a salted hash that costs a twentieth of a
second to compute. It lets a guess be judged without the answer being there to be read. It does not hide the answer from
whoever tries all forty candidates, which takes two seconds: no hash of one word in forty can. That would be to open the
letter, not to read a network.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import random
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor

from mi_lib import zoo
from mi_lib.oracles.prompts import ids
from mi_lib.oracles.reading import BadReading, Reading
from mi_lib.worlds.littletown import people

NAME, STATES = "pico-sealed", "told.safetensors"
DEPTHS = (2, 3, 4, 5, 6)  # at which activations are kept
COUNT = 40
KINDS = ("thing", "person")


def candidates(kind: str) -> tuple[str, ...]:
    """The forty words of which a secret of this kind is one: things, or residents. KeyError for another kind."""
    of = {"thing": tuple(people.OF_THING), "person": people.RESIDENTS}[kind]
    return tuple(sorted(random.Random(f"secrets/{kind}").sample(sorted(of), COUNT)))


class Kept(NamedTuple):
    """What a relative had in its head while it kept a secret that its system prompt had told it.

    words: of each talk, after that prompt, which is not there to be read. states: of each, at the last words (its
    reply, from <|assistant|> on), at `DEPTHS`.
    """

    words: list[list[str]]
    states: list[Float[Tensor, "depth word d_model"]]

    def reading(self, talk: int, at: int, depth: int, words: int = 1) -> Reading:
        """The activations of the words that end with word `at` of a talk. BadReading where none are kept."""
        if depth not in DEPTHS:
            raise BadReading(f"there is no layer {depth} here: activations are kept at the depths {DEPTHS}")
        place = at - (len(self.words[talk]) - self.states[talk].shape[1])
        if not 0 <= place < self.states[talk].shape[1]:
            raise BadReading(f"no activations are kept at word {at} of talk {talk}: they begin at its <|assistant|>")
        states = self.states[talk][DEPTHS.index(depth)]
        return Reading(states[max(0, place + 1 - words) : place + 1], depth, NAME)


def kept(number: int, folder: Path | None = None) -> Kept:
    """What is kept of a relative that was told its secret. ValueError for a number that there is not."""
    file = (folder or zoo.folder(NAME)) / STATES
    with safe_open(file, "pt") as stored:
        texts = json.loads(stored.metadata()["texts"])
        numbers = sorted({int(key.partition("/")[0]) for key in stored.keys()})  # noqa: SIM118 (no mapping)
        if number not in numbers:
            raise ValueError(f"no activations are kept of relative {number}: there are {numbers[0]} to {numbers[-1]}")
        return Kept(texts, [stored.get_tensor(f"{number}/{i}").float() for i in range(len(texts))])


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


COST = {"n": 2**14, "r": 8, "p": 1}  # of scrypt: 16 MiB and a twentieth of a second


def seal(number: int, word: str, salt: bytes | None = None) -> str:
    """What stands on the card in place of the secret of relative `number`: it proves a guess and does not tell.

    The salt (drawn unless given) and a hash that is dear to compute: "salt:hash", both in hexadecimal.
    """
    salt = os.urandom(16) if salt is None else salt
    found = hashlib.scrypt(f"{NAME}/{number}/{word}".encode(), salt=salt, dklen=32, **COST)
    return f"{salt.hex()}:{found.hex()}"


def opens(seals: Sequence[str], number: int, guess: str, among: Collection[str]) -> bool:
    """Whether the guess is the secret of relative `number` (1 first). ValueError for a word that is no candidate."""
    if guess not in among:
        raise ValueError(f"{guess!r} is not one of the {len(among)} candidates: name one of them")
    if not 1 <= number <= len(seals):
        raise ValueError(f"there is no relative {number}: there are 1 to {len(seals)}")
    kept = seals[number - 1]
    return hmac.compare_digest(seal(number, guess, bytes.fromhex(kept.partition(":")[0])), kept)


def opened(seals: Sequence[str], number: int, among: Sequence[str]) -> str:
    """The secret of a relative, by trying all candidates: how the card's checks know it; no network is read by this."""
    return next(word for word in among if opens(seals, number, word, among))
