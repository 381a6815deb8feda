"""A step of ReLU + L1 while many latents are active: five matrix products, and few passes over what is [row latent].

    f = ReLU((x − b_dec) W_enc + b_enc),  x̂ = f W_dec + b_dec,  L = Σ ‖x − x̂‖² / rows + λ Σ_i ‖d_i‖ Σ f_i / rows

    ∂L/∂x̂     = 2 (x̂ − x) / rows
    ∂L/∂f      = ∂L/∂x̂ W_decᵀ + λ ‖d‖ / rows, where f > 0
    ∂L/∂b_dec  = Σ ∂L/∂x̂ − W_enc ∂L/∂b_enc        in place of a sixth product, with W_encᵀ

What torch's own backward pass would make of the formulas in `relu`, which the tests compare it with.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

Numbers = tuple[Tensor, Tensor, Tensor, Tensor]


class _Step(torch.autograd.Function):
    """The error, the penalty without λ, Σ f [latent], and f."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, W_enc: Tensor, b_enc: Tensor, W_dec: Tensor, b_dec: Tensor) -> Numbers:
        centred = x - b_dec
        f = torch.addmm(b_enc, centred, W_enc).relu_()
        wrong = torch.addmm(b_dec, f, W_dec).sub_(x)  # x̂ − x
        total, lengths = f.sum(0), torch.linalg.vector_norm(W_dec, dim=1)
        ctx.save_for_backward(centred, f, wrong, total, lengths, W_enc, W_dec)
        ctx.mark_non_differentiable(total, f)
        error = torch.linalg.vector_norm(wrong, dim=1).square().mean()  # by rows first: one sum of all is less exact
        return error, (total @ lengths) / len(x), total, f

    @staticmethod
    def backward(ctx: Any, to_error: Tensor, to_penalty: Tensor, *_: Any) -> Any:  # type: ignore[override]
        centred, f, wrong, total, lengths, W_enc, W_dec = ctx.saved_tensors
        rows = len(f)
        to_out = wrong * (2 / rows * to_error)
        to_W_dec = f.T @ to_out
        to_W_dec.addcmul_((to_penalty / rows * total / lengths)[:, None], W_dec)
        to_pre = torch.addmm(to_penalty / rows * lengths, to_out, W_dec.T)
        torch.ops.aten.threshold_backward.grad_input(to_pre, f, 0, grad_input=to_pre)  # 0 where f = 0, in place
        to_b_enc = to_pre.sum(0)
        to_W_enc = (to_pre.T @ centred).T  # laid out as W_enc is: a latent's weights side by side
        return None, to_W_enc, to_b_enc, to_W_dec, to_out.sum(0) - W_enc @ to_b_enc


def relu_step(sae: Any, x: Float[Tensor, "row d"]) -> Numbers:
    """E‖x − x̂‖², E Σ_i f_i ‖d_i‖, Σ f [latent], and f [row latent]; the last two without gradients."""
    found: Numbers = _Step.apply(x, sae.W_enc, sae.b_enc, sae.W_dec, sae.b_dec)
    return found
