"""Fourier analysis on Z_p: functions of a number a in 0 … p−1 as sums of waves cos(2πka/p) and sin(2πka/p).

For an odd p the frequencies are k = 1 … (p−1)/2, the last one included. A higher k is the same wave again:
cos(2π(p−k)a/p) = cos(2πka/p).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

ROUNDING = 1e-20  # a share of the whole energy (float64) below which there is nothing but rounding


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
    x = x.double()
    energy = by_frequency((fourier_basis(len(x)) @ x).pow(2).sum(1))
    if energy.sum() <= ROUNDING * x.pow(2).sum():
        return torch.zeros_like(energy)
    return energy / energy.sum()


def component_norms(x: Float[Tensor, "number d"]) -> Float[Tensor, " component"]:
    """The length of what x holds of each row of `fourier_basis`, the constant included.

    Their Gini coefficient says how sparse x is in frequencies (Nanda et al. 2023, section 5.1).
    """
    return (fourier_basis(len(x)) @ x.double()).norm(dim=1)


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


def plane(x: Float[Tensor, "number d"], k: int) -> Float[Tensor, "number 2"]:
    """Each number's place in the plane that frequency k spans: a circle, if x holds waves of that frequency.

    The plane is spanned by what the cosine and the sine of k write into the d dimensions; its axes are orthonormal, and
    the mean of x is its origin.
    """
    basis = fourier_basis(len(x))
    written = basis[2 * k - 1 : 2 * k + 1] @ x.double()  # [2 d]
    axes = torch.linalg.qr(written.T).Q  # [d 2]
    return (x.double() - x.double().mean(0)) @ axes
