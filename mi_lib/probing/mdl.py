"""Minimum description length of labels, by an online code (Voita & Titov 2020, §3.2).

One sends labels to somebody who has the activations. The first block goes uncoded; then both fit a probe on all that
was sent, and the next block is sent in the code that this probe suggests: −log2 p bits for a label to which it gives p.
So a property that a probe finds late, with many examples, costs more bits than one that it finds at once, though in the
end both are read without error.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.probing.data import Unusable, to_fit
from mi_lib.probing.probes import Fit, logistic

FRACTIONS = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0)


@dataclass(frozen=True)
class Code:
    """bits: the whole length. uniform: n log2 K, the length without any probe. blocks: the bits of each block."""

    bits: float
    uniform: float
    blocks: tuple[float, ...]

    @property
    def compression(self) -> float:
        """How many times shorter than without a probe."""
        return self.uniform / self.bits


def online_code(
    x: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    fit: Fit = logistic,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
    classes: int | None = None,
) -> Code:
    """L = t₁ log2 K − Σ log2 p(block i + 1 | probe on blocks ≤ i).

    fractions: where blocks end, as shares of all examples, ascending to 1. Examples are sent in a random order. What
    the probe says is mixed with the uniform distribution, 1 part in t + 1 where t examples were seen: a label that it
    holds to be impossible must have a code too. Before two classes have two examples each, all labels are equally
    likely.
    """
    x, y, k = to_fit(x, y, classes, least=0)
    ends = [round(f * len(x)) for f in fractions]
    if not ends or ends[-1] != len(x) or sorted(set(ends)) != ends or ends[0] < 1:
        raise Unusable("fractions must ascend to 1, and each block must have an example")
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    x, y = x[order], y[order]
    blocks = [ends[0] * math.log2(k)]
    for start, end in itertools.pairwise(ends):
        chances = chances_after(fit, x[:start], y[:start], x[start:end], k)
        blocks.append(-float(chances[torch.arange(end - start), y[start:end]].log2().sum()))
    return Code(sum(blocks), len(x) * math.log2(k), tuple(blocks))


def chances_after(
    fit: Fit, x: Float[Tensor, "t d"], y: Int[Tensor, " t"], coming: Float[Tensor, "m d"], classes: int
) -> Float[Tensor, "m class"]:
    """What somebody who has seen t examples holds of the coming ones. Classes with fewer than two are not fitted."""
    counts = torch.bincount(y, minlength=classes)
    seen = (counts >= 2).nonzero()[:, 0]
    chances = torch.full((len(coming), classes), 1 / classes, dtype=torch.double)
    if len(seen) < 2:
        return chances
    keep = torch.isin(y, seen)
    probe = fit(x[keep], torch.searchsorted(seen, y[keep]), len(seen))
    told = torch.zeros_like(chances)
    told[:, seen] = probe.chances(coming).double()
    mixed = 1 / (len(x) + 1)
    return (1 - mixed) * told + mixed * chances
