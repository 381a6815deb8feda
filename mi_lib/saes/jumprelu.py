"""JumpReLU: f = z · 1[z > θ] with a threshold for each latent, and a penalty on L0 itself: L = E‖x − x̂‖² + λ E‖f‖₀.

Nothing shrinks, for the penalty does not ask how large f is. But neither jump has a gradient to θ. It is replaced by
that of an average over a window of width ε around θ (straight-through, kernel K(u) = 1[|u| < 1/2]):

    ∂f/∂θ      →  −(θ/ε) K((z − θ)/ε)
    ∂1[z>θ]/∂θ →  −(1/ε) K((z − θ)/ε)

Only θ gets these; z gets the true gradient 1[z > θ] from f, and none from the penalty. θ = exp(log θ) stays positive.
Source: Rajamanoharan et al. 2024, arXiv 2407.14435, sections 3 and 4.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mi_lib.saes.base import Dead, Dictionary, Loss, squared_error, zero


class _Jump(torch.autograd.Function):
    """z · 1[z > θ]."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, theta: Tensor, width: float) -> Tensor:
        ctx.save_for_backward(z, theta)
        ctx.width = width
        return z * (z > theta)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        z, theta = ctx.saved_tensors
        to_theta = -(theta / ctx.width) * _window(z, theta, ctx.width) * gradient
        return gradient * (z > theta), to_theta.flatten(0, -2).sum(0), None


class _Step(torch.autograd.Function):
    """1[z > θ]."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, theta: Tensor, width: float) -> Tensor:
        ctx.save_for_backward(z, theta)
        ctx.width = width
        return (z > theta).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:  # type: ignore[override]
        z, theta = ctx.saved_tensors
        to_theta = -(1 / ctx.width) * _window(z, theta, ctx.width) * gradient
        return None, to_theta.flatten(0, -2).sum(0), None


def _window(z: Tensor, theta: Tensor, width: float) -> Tensor:
    """K((z − θ)/ε)."""
    return (((z - theta) / width).abs() < 0.5).to(z.dtype)


class JumpReLU(Dictionary):
    """l0: λ, against a squared error of inputs with E‖x‖² = 1. theta: where thresholds start. width: ε.

    theta and width are in units of normalised inputs. ValueError unless both are positive.
    """

    kind = "jumprelu"

    def __init__(
        self, d: int, n_latents: int, *, l0: float = 0.03, theta: float = 0.1, width: float = 0.1, seed: int = 0
    ) -> None:
        if not (theta > 0 and width > 0):
            raise ValueError(f"the threshold's start and the window's width must be positive, not {theta} and {width}")
        super().__init__(d, n_latents, seed=seed, l0=l0, theta=theta, width=width)
        self.log_theta = nn.Parameter(torch.full((n_latents,), math.log(theta)))

    @property
    def theta(self) -> Float[Tensor, " latent"]:
        return self.log_theta.exp()

    def encode(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... latent"]:
        z = self.pre(x).relu()
        return z * (z > self.theta)

    def losses(self, x: Float[Tensor, "batch d"], dead: Dead, pressure: float = 1.0) -> tuple[Loss, Tensor]:
        z, theta, width = self.pre(x).relu(), self.theta, self.settings["width"]
        f: Tensor = _Jump.apply(z, theta, width)
        active: Tensor = _Step.apply(z, theta, width)
        penalty = self.settings["l0"] * active.sum(-1).mean()
        return Loss(squared_error(x, self.decode(f)), pressure * penalty, zero(x)), f

    @torch.no_grad()
    def restart(self, dead: Dead) -> None:
        """The threshold becomes that of the living: at its first value it could not be reached in other units."""
        super().restart(dead)
        self.log_theta[dead] = self.log_theta[~dead if bool((~dead).any()) else dead].median()

    @torch.no_grad()
    def rescale(self, factor: float) -> None:
        super().rescale(factor)
        self.log_theta.add_(math.log(factor))
