"""LEACE: take out of activations all that a linear probe could read about a label, and as little else as possible.

    r(x) = x − W⁺ P W (x − μ)        Belrose et al. 2023, Theorem 4.3

W = Σ_XX^(−1/2) makes the activations white: one unit is one standard deviation in every direction. P projects on what
is correlated with the label there, the columns of W Σ_XZ. W⁺ leads back. Of all affine maps after which no direction is
correlated with the label it is the one that moves x least in the mean square, in whatever units one measures. The means
of all classes coincide then, and no linear probe has a smaller loss than always saying how common each class is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.probing.data import activations, to_fit

THIN = 1e-8  # directions with less than this share of the largest variance count as having none


@dataclass(frozen=True)
class Eraser:
    """r(x) = x − matrix (x − mean). rank: how many directions are taken out (at most the number of classes less 1)."""

    matrix: Float[Tensor, "d d"]
    mean: Float[Tensor, " d"]
    rank: int

    def __call__(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """x without the label. `Unusable` where x has another width or NaN."""
        activations(x.reshape(-1, x.shape[-1]), width=len(self.mean))
        away = (x.double() - self.mean) @ self.matrix.T
        return (x.double() - away).to(x.dtype)


def covariances(
    x: Float[Tensor, "n d"], y: Int[Tensor, " n"], classes: int
) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"], Float[Tensor, "d class"]]:
    """The mean of x, Σ_XX, and Σ_XZ of x with the one-hot labels."""
    mean = x.mean(0)
    centred = x - mean
    z = torch.nn.functional.one_hot(y, classes).to(x.dtype)
    return mean, centred.T @ centred / len(x), centred.T @ (z - z.mean(0)) / len(x)


def leace(x: Float[Tensor, "n d"], y: Int[Tensor, " n"], classes: int | None = None) -> Eraser:
    """The eraser of a label, in closed form, fitted on x and y."""
    x, y, k = to_fit(x, y, classes, least=1)
    mean, sigma, cross = covariances(x.double(), y, k)
    values, vectors = torch.linalg.eigh(sigma)
    kept = values > THIN * values.max()
    root = vectors[:, kept] * values[kept].sqrt()  # W⁺, on the directions that vary
    white = vectors[:, kept] / values[kept].sqrt()  # Wᵀ
    u, s, _ = torch.linalg.svd(white.T @ cross, full_matrices=False)
    rank = int((s > 1e-6 * s.max()).sum()) if s.max() > 1e-9 else 0
    u = u[:, :rank]
    return Eraser(root @ u @ u.T @ white.T, mean, rank)
