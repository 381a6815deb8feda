"""Pairs of prompts that differ in one name, and so in the word that must follow: for patching one into the other."""

from __future__ import annotations

import random
from typing import NamedTuple

from mi_lib.worlds.littletown import facts, people
from mi_lib.worlds.littletown.splits import held_out


class Pair(NamedTuple):
    """Two texts of as many words, and the word that comes after each."""

    clean: str
    corrupted: str
    answer: str
    corrupted_answer: str


# The value stands at the end of this phrasing, so that whoever reads up to it must recall it.
_HOME = facts.STATEMENTS["person", "town"][1].partition(" {value}")[0]


def homes(n: int, seed: int, others: bool = False) -> list[Pair]:
    """n times "The home of Mira is in" → Selby, each with a resident of another town; the same for the same seed.

    others: of the residents, the half that this function does not name otherwise. So what was found with one half can
    be judged with the other. ValueError for n < 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}: how many pairs are wanted?")
    rng = random.Random(f"homes {seed}")
    half = [name for name in people.RESIDENTS if held_out("pairs", name, one_in=2) == others]
    found: list[Pair] = []
    while len(found) < n:
        who, other = rng.sample(half, 2)
        town, elsewhere = (people.OF_PERSON[name]["town"] for name in (who, other))
        if town != elsewhere:
            found.append(Pair(_HOME.format(subject=who), _HOME.format(subject=other), town, elsewhere))
    return found
