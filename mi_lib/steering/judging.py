"""What replies are like, as shares of them; and whether a judge can be trusted.

A judge is a function of a reply's words: True or False, or a number. Which words mean what is the truth of a world
(`mi_lib.worlds.littletown.judges`); here stand rates, intervals, and the proof of a judge by shuffled words.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mi_lib.statistics import interval

Words = list[str]
Judge = Callable[[Words], bool | float]


class Share(NamedTuple):
    """A mean over replies with its 95 % bootstrap interval (replies are drawn, not words)."""

    value: float
    low: float
    high: float
    n: int


class Proof(NamedTuple):
    """What a judge says of replies, and of the same replies with their words in random order."""

    of_replies: float
    of_shuffled: float


def rate(values: Sequence[bool | float]) -> float:
    """The mean. ValueError where there are no values."""
    if not len(values):
        raise ValueError("there are no replies to judge: an empty set has no share")
    return float(np.mean([float(value) for value in values]))


def share(values: Sequence[bool | float]) -> Share:
    """ValueError where there are no values."""
    x, mean = np.asarray(values, dtype=float), rate(values)
    return Share(mean, *interval(lambda rows: x[rows].mean(), len(x)), len(x))


def shuffle_words(said: Sequence[Words], seed: int = 0) -> list[Words]:
    """The same replies with their words in random order, the last one (which ends them) left where it is."""
    rng = random.Random(seed)
    return [[*rng.sample(words[:-1], max(0, len(words) - 1)), *words[-1:]] for words in said]


def prove(judge: Judge, said: Sequence[Words], seed: int = 0) -> Proof:
    """A judge of what is *said* falls when the words are shuffled; one of what words *occur* cannot.

    A judge that counts words (a trait's own words, say) gives both alike by construction. It says nothing about
    fluency then, and needs another control: replies that should not have those words.
    """
    mixed = shuffle_words(said, seed)
    return Proof(*(float(np.mean([float(judge(words)) for words in some])) for some in (said, mixed)))


def largest_change(before: Sequence[float], after: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """The largest change of the mean, up or down, over several controls; with its interval over the texts.

    before: a number for each text; after: the same for each control (a random direction, say).
    """
    changes: Float[np.ndarray, "control text"] = np.asarray(after, dtype=float) - np.asarray(before, dtype=float)

    def largest(rows: np.ndarray | slice) -> float:
        return float(np.abs(changes[:, rows].mean(1)).max())

    return largest(slice(None)), *interval(largest, changes.shape[1])
