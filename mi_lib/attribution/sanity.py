"""A method must depend on the network: with its weights at random, another ranking must come out.

The check of Adebayo et al. 2018 (arXiv 1810.03292, section 3): a method that finds the same in a network that has
learned nothing tells of the prompts, or of the architecture, and not of the network.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mi_lib.attribution.judging import Score, rank_correlation, strength
from mi_lib.models import HookedModel

NOTHING = 1e-6  # of the largest score
ALIKE = 0.5  # as a rank correlation: from here on, more of the order comes from elsewhere than from the weights


def randomised(model: HookedModel, seed: int) -> HookedModel:
    """A copy in which the numbers of every weight are shuffled: each tensor keeps its numbers, and none its place."""
    new = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in new.parameters():
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
    return new


@dataclass(frozen=True)
class Sanity:
    """Rank correlation of a method's answer with its answers about networks with shuffled weights."""

    correlations: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.correlations)

    @property
    def survives(self) -> bool:
        """Whether the answer outlives the weights, which it must not."""
        return self.mean >= ALIKE

    def __str__(self) -> str:
        said = f"with shuffled weights the ranking correlates {self.mean:.2f} with the network's own"
        if self.survives:
            return f"{said}: the method's answer survives without what the network has learned, so do not trust it"
        return f"{said}: the method's answer depends on the weights"


def sanity_check(
    method: Callable[[HookedModel], Mapping[Hashable, Score] | Tensor], model: HookedModel, seeds: range = range(5)
) -> Sanity:
    """Ask a method about the network and about copies with shuffled weights.

    method: from a model to scores, by name or as a tensor; only the order of their sizes counts. What is nothing in
        all of these networks is left out: it is 0 by the prompts (a position carries the same in both), and any method
        is right about it whatever the weights.
    seeds: a copy for each. ValueError for none.
    """
    if not len(seeds):
        raise ValueError("a check needs at least one network with shuffled weights; give at least one seed")
    own, *others = (_by_name(method(m)) for m in (model, *(randomised(model, seed) for seed in seeds)))
    counted = [
        key for key in own if any(other.get(key, 0.0) > NOTHING * max(other.values()) for other in (own, *others))
    ]

    def alone(scores: Mapping[Hashable, float]) -> dict[Hashable, float]:
        return {key: scores[key] for key in counted}

    return Sanity(tuple(rank_correlation(alone(own), alone(other)) for other in others))


def _by_name(scores: Mapping[Hashable, Score] | Tensor) -> dict[Hashable, float]:
    return strength(dict(enumerate(scores.flatten())) if isinstance(scores, Tensor) else scores)
