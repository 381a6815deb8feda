"""A circuit that was found by machine against one that was found by hand, or planted: by edges, and by behaviour.

    precision    the share of the found that is in the other             |found ∩ truth| / |found|
    recall       the share of the other that was found                   |found ∩ truth| / |truth|
    faithful     F(found) / F(M) beside F(truth) / F(M)                  (`circuit.faithfulness`)

The two may disagree, and both are right: of two heads of which each suffices a machine that leaves out what is not
missed keeps one, so that an edge is missing and the behaviour is whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Generic

from mi_lib.circuits.circuit import Alone, Faithfulness, Part, faithfulness


@dataclass(frozen=True)
class Comparison(Generic[Part]):
    """both, missing (in the truth alone), added (in the found alone); and how each does by itself, if asked."""

    both: frozenset[Part]
    missing: frozenset[Part]
    added: frozenset[Part]
    found_alone: Faithfulness | None = None
    truth_alone: Faithfulness | None = None

    @property
    def precision(self) -> float:
        return len(self.both) / len(self.both | self.added)

    @property
    def recall(self) -> float:
        return len(self.both) / len(self.both | self.missing)

    def __str__(self) -> str:
        said = f"precision {self.precision:.2f}, recall {self.recall:.2f}"
        if self.found_alone is None or self.truth_alone is None:
            return said
        return (
            f"{said}; alone it keeps {self.found_alone.share:.2f} of the answer, the other {self.truth_alone.share:.2f}"
        )


def compare_circuits(
    found: Iterable[Part],
    truth: Iterable[Part],
    *,
    unjudged: Collection[Part] = (),
    F: Alone[Part] | None = None,
) -> Comparison[Part]:
    """Two circuits as sets of heads, or of edges.

    unjudged: what is neither right nor wrong, such as constant and dormant edges of a planted circuit; by edges it is
        left out of both, by behaviour it stays in.
    F: how they behave alone, as `heads_alone` or `edges_alone` say; None to compare their parts only.
    ValueError where either is empty, or nothing of it can be judged.
    """
    found, truth, unjudged = frozenset(found), frozenset(truth), frozenset(unjudged)
    a, b = found - unjudged, truth - unjudged
    for parts, which in ((a, "found"), (b, "other")):
        if not parts:
            raise ValueError(
                f"the {which} circuit is empty, so that there is nothing to compare; keep at least one part"
            )
    alone = (None, None) if F is None else (faithfulness(F, found), faithfulness(F, truth))
    return Comparison(a & b, b - a, a - b, *alone)
