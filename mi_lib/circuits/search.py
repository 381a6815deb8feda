"""A circuit found by trying every set of parts, the small ones first: for a model of few heads.

    for k = 1, 2, 3, …:
        among the sets C of k parts that are
            faithful    |F(M) − F(C)| ≤ (1 − share) · F(M)
            complete    |F(C∖K) − F(M∖K)| ≤ gap · F(M) for every K ⊆ C, not for a few random ones
        take the one with the smallest of the worst gaps; stop at the first k that has any

These are the questions of Wang et al. 2022 (arXiv 2211.00593, section 4), asked of all there is. n parts have 2ⁿ sets,
so that GPT-2's 144 heads are out of reach; ACDC and the scores of `mi_lib.attribution` are for those. What is smallest
need not be the only one: others of the same size may do nearly as well, and one that does better may have a part more.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, combinations

from mi_lib.circuits.circuit import Alone, Part, completeness, faithfulness, worst_completeness

MOST = 16  # parts of which all sets can be tried


def powerset(parts: Iterable[Part]) -> list[frozenset[Part]]:
    """Every subset, from none to all. ValueError for more than `MOST` parts."""
    found = sorted(set(parts))
    if len(found) > MOST:
        raise ValueError(f"{len(found)} parts have 2^{len(found)} sets, which are too many; give at most {MOST}")
    return [frozenset(s) for s in chain.from_iterable(combinations(found, k) for k in range(len(found) + 1))]


def smallest_circuit(F: Alone[Part], *, share: float = 0.87, gap: float = 0.15) -> frozenset[Part]:
    """The smallest set of parts that is faithful and complete.

    share: F(C) lies between share · F(M) and (2 − share) · F(M). gap: of the worst K, as a share of F(M).
    ValueError for a model that cannot do the task (F(M) ≤ 0), for more than `MOST` parts, and where not even all parts
    but one will do.
    """
    whole = F(F.everything)
    if whole <= 0:
        raise ValueError(f"F(M) is {whole:.3g}, so that there is nothing to find; give a model that can do it")
    sets = powerset(F.everything)
    for size in range(1, len(F.everything)):
        chosen = [C for C in sets if len(C) == size and faithfulness(F, C).gap <= (1 - share) * whole]
        gaps = {C: worst_completeness(F, C, _until_too_wide(F, C, gap * whole))[1] for C in chosen}
        if fine := [C for C in chosen if gaps[C] <= gap * whole]:
            return min(fine, key=lambda C: (gaps[C], sorted(C)))
    raise ValueError("no set of parts is faithful and complete but the whole; allow a smaller share or a wider gap")


def _until_too_wide(F: Alone[Part], C: frozenset[Part], most: float) -> list[frozenset[Part]]:
    """The subsets K of C, up to the first whose gap is too wide: then C is out, and no other K matters."""
    found = []
    for K in powerset(C):
        found.append(K)
        if completeness(F, C, K) > most:
            break
    return found
