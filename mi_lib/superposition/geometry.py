"""Which shapes features form: dimensionality, and the polytopes that superposition is made of.

A column W_i is the direction of feature i. Features that are not at right angles interfere; groups that interfere only
among themselves are shapes: pairs, triangles, pentagons (Elhage et al. 2022, "The Geometry of Superposition").
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

LEAST_NORM = 0.5  # ‖W_i‖: below it a feature is not represented
INTERFERES = 0.15  # |cosine|: below it two features are at right angles
ALIKE = 0.04  # dimensionalities of a regular shape differ less from rank / features
NAMES = {  # (features, dimensions that they span)
    (1, 1): "own axis",
    (2, 1): "antipodal pair",
    (3, 2): "triangle",
    (4, 3): "tetrahedron",
    (5, 2): "pentagon",
    (8, 3): "square antiprism",
}


def dimensionality(W: Float[Tensor, "... hidden feature"]) -> Float[Tensor, "... feature"]:
    """D_i = ‖W_i‖² / Σ_j (Ŵ_i · W_j)², j = i included: the share of a dimension that feature i has for itself.

    1: no other feature is in its way. 0 for a feature that is not stored at all. Σ_i D_i is at most the rank of W, and
    equals it where the shape is a tight frame: with F = WWᵀ, D_i = ‖W_i‖⁴ / (W_iᵀ F W_i) ≤ W_iᵀ F⁺ W_i (Cauchy and
    Schwarz), and Σ W_iᵀ F⁺ W_i = rank.
    """
    squared = W.pow(2).sum(-2)  # ‖W_i‖²
    unit = W / squared.sqrt().clamp(min=1e-12)[..., None, :]
    return squared / (unit.mT @ W).pow(2).sum(-1).clamp(min=1e-24)


def cosines(W: Float[Tensor, "... hidden feature"]) -> Float[Tensor, "... feature feature"]:
    """Of the angle between any two features; 0 where one of them is 0."""
    unit = W / W.norm(dim=-2, keepdim=True).clamp(min=1e-12)
    return unit.mT @ unit


def represented(W: Float[Tensor, "... hidden feature"], least: float = LEAST_NORM) -> Float[Tensor, "..."]:
    """How many features have a direction that is at least `least` long."""
    return (W.norm(dim=-2) >= least).float().sum(-1)


class Shape(NamedTuple):
    """A group of features that interfere among themselves alone."""

    features: tuple[int, ...]
    rank: int  # dimensions that they span
    dimensionality: float  # the mean of their D
    spread: float  # the largest distance of one of their D from rank / features

    @property
    def name(self) -> str:
        """What the shape is called; "5 in 3" for one without a name, "(irregular)" where D is not the same for all."""
        name = NAMES.get((len(self.features), self.rank), f"{len(self.features)} in {self.rank}")
        return name if self.spread <= ALIKE else f"{name} (irregular)"


def shapes(
    W: Float[Tensor, "hidden feature"], interferes: float = INTERFERES, least: float = LEAST_NORM
) -> list[Shape]:
    """The shapes of one instance, the largest first. Features shorter than `least` belong to none.

    Two features are in one shape if a chain of features leads from one to the other, each with |cosine| > `interferes`
    to the next. ValueError where W is not one instance's.
    """
    if W.ndim != 2:
        raise ValueError(f"shapes are those of one instance, W [hidden feature], not {list(W.shape)}")
    kept = [i for i, norm in enumerate(W.norm(dim=0).tolist()) if norm >= least]
    if not kept:
        return []
    D = dimensionality(W)
    found = []
    for group in _connected(cosines(W[:, kept]).abs() > interferes):
        members = tuple(kept[i] for i in group)
        rank = int(torch.linalg.matrix_rank(W[:, members], rtol=interferes))
        own = D[list(members)]
        spread = float((own - rank / len(members)).abs().max())
        found.append(Shape(members, rank, float(own.mean()), spread))
    return sorted(found, key=lambda shape: (-len(shape.features), shape.features))


def _connected(linked: Bool[Tensor, "n n"]) -> list[list[int]]:
    """The groups of a graph that no link leaves. Each node is linked to itself."""
    reached = linked
    while not torch.equal(wider := reached.float() @ reached.float() > 0, reached):
        reached = wider
    return [row.nonzero()[:, 0].tolist() for i, row in enumerate(reached) if int(row.int().argmax()) == i]


def names(W: Float[Tensor, "hidden feature"]) -> list[str]:
    """The names of an instance's shapes, the largest first."""
    return [shape.name for shape in shapes(W)]


def dimensions_per_feature(W: Float[Tensor, "... hidden feature"]) -> Float[Tensor, "..."]:
    """m / ‖W‖²_F: about how many dimensions each stored feature has, as the paper plots it against sparsity."""
    return W.shape[-2] / W.pow(2).sum((-2, -1))
