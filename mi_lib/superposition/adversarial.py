"""How far a small nudge of the input can move an output, and that superposition makes it further.

Output i is ReLU(W_i · W x + b_i). Where it is active, its gradient is WᵀW_i. A nudge of length ε moves it by at most
ε ‖WᵀW_i‖, and ‖WᵀW_i‖² = Σ_j (W_j · W_i)² = ‖W_i‖⁴ / D_i: the less of a dimension a feature has, the more it can be
moved (Elhage et al. 2022, "Relationship to Adversarial Robustness").
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.superposition.geometry import dimensionality
from mi_lib.superposition.toy import Toy, reconstruct


def sensitivity(W: Float[Tensor, "... hidden feature"]) -> Float[Tensor, "... feature"]:
    """‖WᵀW_i‖ = ‖W_i‖² / √D_i: by how much a nudge of length 1 can move output i, as long as it is active."""
    return W.pow(2).sum(-2) / dimensionality(W).clamp(min=1e-12).sqrt()


def nudge(W: Float[Tensor, "... hidden feature"], feature: int, size: float) -> Float[Tensor, "... feature"]:
    """The input change of length `size` that raises output `feature` the most."""
    direction = (W.mT @ W)[..., feature]
    return size * direction / direction.norm(dim=-1, keepdim=True).clamp(min=1e-12)


def movement(
    toy: Toy, x: Float[Tensor, "instance batch feature"], size: float, steps: int = 20, seed: int = 0
) -> Float[Tensor, " instance"]:
    """How far nudges of length `size`, found by gradient ascent, move the outputs: ‖x'(x + δ) − x'(x)‖² / size², in the
    mean over the batch. 1 for a model that stores every feature at right angles: there a nudge only comes through."""
    with torch.no_grad():
        clean = reconstruct(toy, x)

    def scaled(d: Float[Tensor, "instance batch feature"]) -> Float[Tensor, "instance batch feature"]:
        return size * d / d.norm(dim=-1, keepdim=True).clamp(min=1e-12)

    def moved(d: Float[Tensor, "instance batch feature"]) -> Float[Tensor, " instance"]:
        return (reconstruct(toy, x + d) - clean).pow(2).sum(-1).mean(-1) / size**2

    delta = scaled(torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)))
    for _ in range(steps):
        delta.requires_grad_()
        (gradient,) = torch.autograd.grad(moved(delta).sum(), delta)
        delta = scaled(delta.detach() + scaled(gradient))
    with torch.no_grad():
        return moved(delta)
