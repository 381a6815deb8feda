"""The algorithm in the logits: waves cos(w_k(a ± b − c)), and what the loss is with them alone, and without them.

Everything here is about two kinds of direction. Over pairs (a, b), the waves u_k = cos w_k(a ± b) and
v_k = sin w_k(a ± b), with w_k = 2πk/p. Over pairs and answers, D_k = cos w_k(a ± b − c), which is largest where c is
the right answer. `sign` is +1 for a + b, −1 for a − b.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.grokking.fourier import ROUNDING, fourier_basis, n_frequencies


def key_directions(p: int, k: int, sign: int = 1) -> Float[Tensor, "2 pairs"]:
    """The unit vectors u_k and v_k over all pairs (row a·p + b), for one frequency; float64.

    u_k = (cos·cos ∓ sin·sin)/√2 and v_k = (sin·cos ± cos·sin)/√2 of the orthonormal basis: only 2 of the 4 products
    of that frequency, not the whole block (Nanda et al. 2023, appendix; a block would also hold cos w(a − b)).
    """
    basis = fourier_basis(p)
    cos, sin = basis[2 * k - 1], basis[2 * k]
    u = torch.outer(cos, cos) - sign * torch.outer(sin, sin)
    v = torch.outer(sin, cos) + sign * torch.outer(cos, sin)
    return torch.stack([u.flatten(), v.flatten()]) / math.sqrt(2)


def project(
    logits: Float[Tensor, "pairs answer"], frequencies: Sequence[int], sign: int = 1
) -> Float[Tensor, "pairs answer"]:
    """The part of the logits that lies along u_k and v_k of the given frequencies."""
    p = logits.shape[1]
    logits = logits.double()
    if not frequencies:
        return torch.zeros_like(logits)
    directions = torch.cat([key_directions(p, k, sign) for k in frequencies])  # [2·frequencies, pairs], orthonormal
    return directions.T @ (directions @ logits)


def restricted_logits(
    logits: Float[Tensor, "pairs answer"], frequencies: Sequence[int], sign: int = 1
) -> Float[Tensor, "pairs answer"]:
    """Only the key waves, and the mean over pairs: everything else that the network does is taken away."""
    return logits.double().mean(0) + project(logits, frequencies, sign)


def excluded_logits(
    logits: Float[Tensor, "pairs answer"], frequencies: Sequence[int], sign: int = 1
) -> Float[Tensor, "pairs answer"]:
    """Everything but the key waves: what is left is what was memorised."""
    return logits.double() - project(logits, frequencies, sign)


def loss(logits: Float[Tensor, "pairs answer"], answers: Int[Tensor, " pairs"]) -> float:
    """Mean cross-entropy in nats, in float64: in float32 a loss below 1e-7 is rounded to nothing."""
    return F.cross_entropy(logits.double(), answers).item()


def accuracy(logits: Float[Tensor, "pairs answer"], answers: Int[Tensor, " pairs"]) -> float:
    """The share of pairs whose largest logit is the right answer."""
    return (logits.argmax(-1) == answers).double().mean().item()


def cosine(p: int, k: int, sign: int = 1) -> Float[Tensor, "pairs answer"]:
    """D_k = cos(w_k(a + sign·b − c)) for all pairs and answers; float64."""
    numbers = torch.arange(p)
    total = (numbers[:, None] + sign * numbers).flatten()  # a + sign·b, row a·p + b
    return (2 * math.pi / p * ((k * (total[:, None] - numbers)) % p).double()).cos()


def amplitudes(logits: Float[Tensor, "pairs answer"], frequencies: Sequence[int], sign: int = 1) -> dict[int, float]:
    """The least-squares amplitude A_k of each wave D_k in the logits. The D_k are orthogonal, so each stands alone."""
    logits = logits.double()
    waves = {k: cosine(logits.shape[1], k, sign) for k in frequencies}
    return {k: ((logits * wave).sum() / wave.pow(2).sum()).item() for k, wave in waves.items()}


def formula_logits(p: int, amplitude: Mapping[int, float], sign: int = 1) -> Float[Tensor, "pairs answer"]:
    """The network-free formula: logit(c | a, b) = Σ_k A_k cos w_k(a + sign·b − c)."""
    result = torch.zeros(p * p, p, dtype=torch.float64)
    for k, a in amplitude.items():
        result += a * cosine(p, k, sign)
    return result


def wave_shares(logits: Float[Tensor, "pairs answer"], sign: int = 1) -> Float[Tensor, " frequency"]:
    """The share of the variance of the logits that lies along each D_k; entry k − 1 is frequency k.

    The logits are centred over answers (which softmax cannot see) and over pairs.
    """
    p = logits.shape[1]
    centred = logits.double() - logits.double().mean(1, keepdim=True)
    centred = centred - centred.mean(0)
    # ⟨L, D_k⟩ for all k at once: D_k depends on a + sign·b − c alone, so sum L over all with the same one.
    numbers = torch.arange(p)
    difference = ((numbers[:, None] + sign * numbers).flatten()[:, None] - numbers) % p
    sums = torch.zeros(p, dtype=torch.float64).index_add_(0, difference.flatten(), centred.flatten())
    total = centred.pow(2).sum()
    if total <= ROUNDING * logits.double().pow(2).sum():
        return torch.zeros(n_frequencies(p), dtype=torch.float64)
    cosines = fourier_basis(p)[1::2] * math.sqrt(p / 2)  # [frequency, difference]
    return (cosines @ sums).pow(2) / (total * p**3 / 2)
