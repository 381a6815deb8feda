"""Which examples a probe is fitted on, and on which it is read: cut by combination, never by row.

Rows that follow from the same combination of words (the same agent and patient, the same two nouns) are nearly copies.
If some of them are fitted and others read, a probe that has learnt combinations by heart looks as if it had understood.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from mi_lib.probing.data import Unusable


class Leak(ValueError):
    """A combination that is fitted and read. The text is a sentence that names one."""


class Cut(NamedTuple):
    """The numbers of the examples to fit, and of those to read."""

    fitted: Int[Tensor, " n"]
    read: Int[Tensor, " m"]


def parts_of(combination: Hashable) -> tuple[Hashable, ...]:
    """The parts of a combination: of a tuple its entries, of anything else none."""
    return combination if isinstance(combination, tuple) else ()


def by_combination(combinations: Sequence[Hashable], share: float = 0.25, seed: int = 0) -> Cut:
    """Cut examples so that every combination lies on one side, about `share` of all combinations on the read one.

    combinations: one for each example. Where they are tuples, each part of a combination that is read is fitted in
    some other one: what is new is how parts come together. Which combinations are read depends on them and the seed,
    not on their order. `Unusable` if nothing would be left to fit or to read.
    """
    if not 0 < share < 1:
        raise Unusable(f"the share that is read must lie between 0 and 1, not be {share}")
    distinct = sorted(set(combinations), key=str)
    random.Random(seed).shuffle(distinct)
    wanted = max(1, round(share * len(distinct)))
    left = Counter((place, part) for combination in distinct for place, part in enumerate(parts_of(combination)))
    read: set[Hashable] = set()
    for combination in distinct:
        own = list(enumerate(parts_of(combination)))
        if len(read) < wanted and all(left[part] > 1 for part in own):
            read.add(combination)
            left.subtract(own)
    if not read or len(read) == len(distinct):
        raise Unusable(
            f"{len(distinct)} combinations cannot be cut so that some are read and each of their parts is fitted"
        )
    rows = [i for i, combination in enumerate(combinations) if combination in read]
    others = [i for i, combination in enumerate(combinations) if combination not in read]
    return Cut(torch.tensor(others), torch.tensor(rows))


def refuse_leaks(fitted: Sequence[Hashable], read: Sequence[Hashable]) -> None:
    """`Leak` if a combination is on both sides; `Unusable` if a side is empty."""
    if not len(fitted) or not len(read):
        raise Unusable("one side of the cut is empty")
    both = set(fitted) & set(read)
    if both:
        one = min(both, key=str)
        number = sum(combination in both for combination in read)
        raise Leak(
            f"{len(both)} combinations are fitted and read, {one!r} among them ({number} of {len(read)} examples that "
            "are read): cut by combination, see `by_combination`"
        )
