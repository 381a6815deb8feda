"""Planted features: x = Σ_i a_i d_i + noise, with directions, frequencies, correlations and hierarchies that are known.

A dictionary that is trained on x can be told how much of the truth it has found.

    frequency     P(a_i > 0), exact for every feature, also for children and correlated ones
    magnitude     where a feature is present, a_i is uniform between `low` and `high`
    correlation   of the normal draws behind presences (a Gaussian copula): 0 is independent, 1 is together
    parent        a child is present only where its parent is. Then one latent for "the parent without the child" and
                  one for "both" is sparser than the truth: this is what makes absorption happen (Chanin et al. 2024,
                  arXiv 2409.14507)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_OFFSET = 104_729_000  # away from the small numbers that are used as seeds


class Draw(NamedTuple):
    """Inputs, and the truth behind them."""

    x: Float[Tensor, "batch d"]
    activations: Float[Tensor, "batch feature"]


@dataclass(frozen=True)
class PlantedFeatures:
    """A world of features. `planted` makes one with random directions.

    directions: of unit length. frequency: P(a_i > 0). parent: the number of each feature's parent, −1 for none.
    correlation: of the normal draws behind the presences; None for independent ones. A child draws only where its
        parent is present, so its frequency stays exact if it is correlated with none of its ancestors.
    noise: standard deviation of a normal term in each coordinate, which no feature explains.
    """

    directions: Float[Tensor, "feature d"]
    frequency: Float[Tensor, " feature"]
    parent: tuple[int, ...]
    correlation: Float[Tensor, "feature feature"] | None = None
    low: float = 0.5
    high: float = 1.5
    noise: float = 0.0

    def __post_init__(self) -> None:
        n = len(self.directions)
        if self.directions.ndim != 2 or self.frequency.shape != (n,) or len(self.parent) != n:
            raise ValueError("directions must be [feature d], with one frequency and one parent for each feature")
        if not bool(((self.directions.norm(dim=1) - 1).abs() < 1e-4).all()):
            raise ValueError("every direction must have length 1")
        if not bool(((self.frequency > 0) & (self.frequency < 1)).all()):
            raise ValueError("every frequency must lie between 0 and 1, both excluded")
        if not 0 < self.low <= self.high or not self.noise >= 0:
            raise ValueError(f"0 < low <= high and noise >= 0 are needed, not {self.low}, {self.high}, {self.noise}")
        for child, parent in enumerate(self.parent):
            if not -1 <= parent < child:
                raise ValueError(f"feature {child} needs a parent with a smaller number, or -1, not {parent}")
            if parent >= 0 and self.frequency[child] > self.frequency[parent]:
                raise ValueError(f"feature {child} cannot be present more often than its parent {parent}")
        if self.correlation is not None:
            self._check_correlation(self.correlation)

    def _check_correlation(self, correlation: Tensor) -> None:
        n = len(self.directions)
        if correlation.shape != (n, n) or not torch.equal(correlation, correlation.T):
            raise ValueError(f"the correlation must be a symmetric matrix [{n} {n}]")
        if not bool((correlation.diagonal() == 1).all()) or torch.linalg.eigvalsh(correlation.double()).min() < -1e-6:
            raise ValueError("this is no correlation matrix: it needs a diagonal of ones and no negative eigenvalue")
        for child in range(n):
            ancestor = self.parent[child]
            while ancestor >= 0:
                if correlation[child, ancestor] != 0:
                    raise ValueError(f"feature {child} and its ancestor {ancestor} must not be correlated as well")
                ancestor = self.parent[ancestor]

    @property
    def mean_l0(self) -> float:
        """How many features are present in an input, on average."""
        return self.frequency.sum().item()

    def draw(self, batch: int, generator: torch.Generator) -> Draw:
        """Inputs [batch d] and the activations [batch feature] that they are made of."""
        present = self.present(batch, generator)
        size = self.low + (self.high - self.low) * torch.rand(present.shape, generator=generator)
        activations = present * size
        x = activations @ self.directions
        if self.noise:
            x = x + self.noise * torch.randn(x.shape, generator=generator)
        return Draw(x, activations)

    def present(self, batch: int, generator: torch.Generator) -> Bool[Tensor, "batch feature"]:
        """Which features are there."""
        z = torch.randn(batch, len(self.directions), generator=generator)
        if self.correlation is not None:
            z = z @ _root(self.correlation).T
        given = self.frequency.clone()  # P(present | the parent is)
        for child, parent in enumerate(self.parent):
            if parent >= 0:
                given[child] = self.frequency[child] / self.frequency[parent]
        present = z < torch.special.ndtri(given.double()).float()
        for child, parent in enumerate(self.parent):  # parents come first, so theirs are settled
            if parent >= 0:
                present[:, child] &= present[:, parent]
        return present


def planted(
    n_features: int,
    d: int,
    *,
    frequency: float | Float[Tensor, " feature"] = 0.05,
    parent: dict[int, int] | None = None,
    correlation: dict[tuple[int, int], float] | None = None,
    spread: int = 200,
    low: float = 0.5,
    high: float = 1.5,
    noise: float = 0.0,
    seed: int = 0,
) -> PlantedFeatures:
    """A world with random directions. parent: {child: parent}. correlation: {(i, j): ρ}, 0 for all other pairs.

    spread: steps that push the directions apart; with 0 they are as random as they were drawn. ValueErrors as in
    `PlantedFeatures`.
    """
    # An offset of its own: from the same seed a dictionary that starts with random rows would start at the truth.
    generator = torch.Generator().manual_seed(seed + _OFFSET)
    parents = [-1] * n_features
    for child, above in (parent or {}).items():
        parents[child] = above
    matrix = None
    if correlation:
        matrix = torch.eye(n_features)
        for (i, j), value in correlation.items():
            matrix[i, j] = matrix[j, i] = value
    frequencies = torch.as_tensor(frequency, dtype=torch.float32).expand(n_features).clone()
    directions = spread_directions(n_features, d, generator, spread)
    return PlantedFeatures(directions, frequencies, tuple(parents), matrix, low, high, noise)


def spread_directions(n: int, d: int, generator: torch.Generator, steps: int = 200) -> Float[Tensor, "n d"]:
    """Unit vectors, random at first, then pushed apart: gradient steps on Σ_{i≠j} cos(d_i, d_j)⁴."""
    directions = torch.nn.functional.normalize(torch.randn(n, d, generator=generator), dim=1)
    for _ in range(steps):
        cosines = directions @ directions.T - torch.eye(n)
        directions = torch.nn.functional.normalize(directions - 0.3 * cosines**3 @ directions, dim=1)
    return directions


def _root(correlation: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """R with R Rᵀ = the correlation, which may be singular (two features that are always together)."""
    values, vectors = torch.linalg.eigh(correlation.double())
    return (vectors * values.clamp(min=0).sqrt()).float()
