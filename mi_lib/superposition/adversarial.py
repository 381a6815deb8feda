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
from mi_lib.superposition.toy import Toy, loss, reconstruct


def sensitivity(W: Float[Tensor, "... hidden feature"]) -> Float[Tensor, "... feature"]:
    """‖WᵀW_i‖ = ‖W_i‖² / √D_i: by how much a nudge of length 1 can move output i, as long as it is active."""
    return W.pow(2).sum(-2) / dimensionality(W).clamp(min=1e-12).sqrt()


def nudge(W: Float[Tensor, "... hidden feature"], feature: int, size: float) -> Float[Tensor, "... feature"]:
    """The input change of length `size` that raises output `feature` the most."""
    direction = (W.mT @ W)[..., feature]
    return size * direction / direction.norm(dim=-1, keepdim=True).clamp(min=1e-12)


def attacked_loss(
    toy: Toy,
    x: Float[Tensor, "instance batch feature"],
    importance: Float[Tensor, "... feature"],
    size: float,
    steps: int = 20,
    seed: int = 0,
) -> Float[Tensor, " instance"]:
    """The loss, x as the target, when each input has been changed by a vector of length `size` that gradient ascent has
    made as harmful as it could. It starts at random, since the gradient is 0 where nothing is wrong yet."""
    delta = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))

    def to_size(d: Tensor) -> Tensor:
        return size * d / d.norm(dim=-1, keepdim=True).clamp(min=1e-12)

    def harm(d: Tensor) -> Float[Tensor, " instance"]:
        return loss(x, reconstruct(toy, x + d), importance)

    delta = to_size(delta)
    for _ in range(steps):
        delta.requires_grad_()
        (gradient,) = torch.autograd.grad(harm(delta).sum(), delta)
        delta = to_size(delta.detach() + to_size(gradient))
    with torch.no_grad():
        return harm(delta)
