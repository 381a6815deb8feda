"""What training never sees: combinations. Each part of one is well known, so whoever gets it right has generalised.

A combination is, say, a name and a place, or a verb and an object. One in eight of every kind is held out, chosen by a
checksum of its words, so that it is the same on every machine and in every version. Training text avoids them all;
held-out text is made of them.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from typing import Literal, TypeVar

Split = Literal["train", "held_out"]
T = TypeVar("T")
ONE_IN = 8
_KNOWN: dict[tuple[str, ...], bool] = {}


def held_out(kind: str, *parts: str, one_in: int = ONE_IN) -> bool:
    """Whether training leaves this combination out."""
    key = (kind, *parts)
    if (found := _KNOWN.get(key)) is None:
        found = _KNOWN[key] = zlib.crc32("|".join(key).encode()) % one_in == 0
    return found


def draw(rng: random.Random, split: Split, sample: Callable[[random.Random], T], left_out: Callable[[T], bool]) -> T:
    """Draw until the sample belongs to this split. Raises RuntimeError if none does in a thousand draws."""
    want = split == "held_out"
    for _ in range(1000):
        if left_out(drawn := sample(rng)) == want:
            return drawn
    raise RuntimeError(f"in a thousand draws none belonged to the split {split!r}")
