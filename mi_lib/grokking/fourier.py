"""Fourier analysis on Z_p: functions of a number a in 0 … p−1 as sums of waves cos(2πka/p) and sin(2πka/p).

For an odd p the frequencies are k = 1 … (p−1)/2, the last one included. A higher k is the same wave again:
cos(2π(p−k)a/p) = cos(2πka/p).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def n_frequencies(p: int) -> int:
    """(p − 1)/2, for an odd p. Raises ValueError for an even one, whose last frequency has no sine."""
    if p < 3 or p % 2 == 0:
        raise ValueError(f"p must be an odd number of at least 3, not {p}")
    return (p - 1) // 2


def fourier_basis(p: int) -> Float[Tensor, "component number"]:
    """The orthonormal basis 1/√p, then √(2/p)·cos(2πka/p) and √(2/p)·sin(2πka/p) for k = 1 … (p−1)/2; float64.

    Row 0 is the constant, row 2k − 1 the cosine and row 2k the sine of frequency k. The rows are orthonormal and
    complete: basis @ basis.T and basis.T @ basis are both the identity.
    """
    numbers = torch.arange(p, dtype=torch.float64)
    rows = [torch.full((p,), 1 / math.sqrt(p), dtype=torch.float64)]
    for k in range(1, n_frequencies(p) + 1):
        angle = 2 * math.pi * (k * numbers % p) / p  # reduced first: exact for large k·a
        rows += [math.sqrt(2 / p) * angle.cos(), math.sqrt(2 / p) * angle.sin()]
    return torch.stack(rows)


def by_frequency(energy: Float[Tensor, "component *rest"]) -> Float[Tensor, "frequency *rest"]:
    """Add the cosine's and the sine's entry of each frequency; entry k − 1 is frequency k. The constant is left out."""
    return energy[1::2] + energy[2::2]


def spectrum(x: Float[Tensor, "number d"]) -> Float[Tensor, " frequency"]:
    """The share of the centred energy of x that each frequency holds; entry k − 1 is frequency k. They sum to 1.

    x: one vector per number, for example the embedding of 0 … p−1 (Nanda et al. 2023, figure 3). All zeros if all
    vectors are equal.
    """
    energy = by_frequency((fourier_basis(len(x)) @ x.double()).pow(2).sum(1))
    return energy / energy.sum() if energy.sum() > 0 else energy


def fourier_2d(x: Float[Tensor, "a b *rest"]) -> Float[Tensor, "component_a component_b *rest"]:
    """The transform over both axes, F x Fᵀ, so that x[a, b] = Σ result[i, j] F[i, a] F[j, b]."""
    basis = fourier_basis(x.shape[0])
    over_a = torch.tensordot(basis, x.double(), dims=1)  # [component_a b …]
    return torch.tensordot(basis, over_a, dims=([1], [1])).transpose(0, 1)  # one axis at a time: 2p³ and not p⁴ steps


def fold(k: int, p: int) -> int:
    """The frequency in 0 … (p−1)/2 that is the same wave as k."""
    return min(k % p, -k % p)


def harmonic(k: int, p: int) -> int:
    """The frequency of the second harmonic: 2k, folded back. A ReLU of a wave of frequency k contains some of it."""
    return fold(2 * k, p)
