"""Sparse features: what the toy models are fed. Every function gives [instance batch feature].

Sparsity S is the probability that a feature is ABSENT (its value is then 0). Where it is present its value is uniform
between 0 and 1 (Elhage et al. 2022, Toy Models of Superposition, "Demonstrating Superposition").
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Kind = Literal["independent", "correlated", "anticorrelated"]


def features(
    sparsity: Float[Tensor, " instance"],
    n_features: int,
    batch: int,
    generator: torch.Generator,
    kind: Kind = "independent",
    signed: bool = False,
) -> Float[Tensor, "instance batch feature"]:
    """Draw features. signed: present values are uniform between −1 and 1 ("Computation in Superposition").

    kind: "independent", or in pairs (0, 1), (2, 3), …: two that are "correlated" are present at the same inputs, with
    values of their own; two that are "anticorrelated" never are, and each is still present with probability 1 − S.
    ValueError for a sparsity that is no probability, an odd number of features in pairs, or more presence than two
    features that exclude each other can have.
    """
    sparsity = torch.as_tensor(sparsity, dtype=torch.float32)
    if sparsity.ndim != 1 or not bool(((sparsity >= 0) & (sparsity <= 1)).all()):
        raise ValueError(f"sparsity must be a list of probabilities, one for each instance, not {sparsity.tolist()}")
    values = torch.rand(len(sparsity), batch, n_features, generator=generator)
    values = 2 * values - 1 if signed else values
    return values * present(sparsity, n_features, batch, generator, kind)


def present(
    sparsity: Float[Tensor, " instance"], n_features: int, batch: int, generator: torch.Generator, kind: Kind
) -> Bool[Tensor, "instance batch feature"]:
    """Which features are there. ValueErrors as in `features`."""
    presence = (1 - sparsity)[:, None, None]
    if kind == "independent":
        return torch.rand(len(sparsity), batch, n_features, generator=generator) < presence
    if n_features % 2:
        raise ValueError(f"{n_features} features do not go into pairs")
    draws = torch.rand(len(sparsity), batch, n_features // 2, generator=generator)
    if kind == "correlated":
        return (draws < presence).repeat_interleave(2, dim=-1)
    if kind != "anticorrelated":
        raise ValueError(f"there is no kind of features {kind!r}: independent, correlated or anticorrelated")
    if bool((presence > 0.5).any()):
        raise ValueError("two features that exclude each other cannot both be present more than half of the time")
    first, second = draws < presence, (draws >= presence) & (draws < 2 * presence)
    return torch.stack([first, second], dim=-1).flatten(-2)


def variance(sparsity: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Of one feature, over inputs: p/3 − p²/4 with p = 1 − S, since E[x²] = p/3 and E[x] = p/2."""
    presence = 1 - sparsity
    return presence / 3 - presence**2 / 4
