"""Gated: whether a latent is active and how much are two questions, so the penalty on the first shrinks nothing.

    π = (x − b_dec) W_enc + b_enc                   the gate
    f = 1[π > 0] · ReLU(e^r ⊙ (x − b_dec) W_enc + b_mag)
    L = E‖x − x̂‖² + λ E Σ_i ReLU(π_i) ‖d_i‖ + E‖x − (ReLU(π) W̄_dec + b̄_dec)‖²

A step has no gradient, so the gate's bias learns from the last two terms alone. The decoder of the last is frozen
(written with a bar): else it would learn to decode the shrunken ReLU(π).
Source: Rajamanoharan et al. 2024, arXiv 2404.16014, section 3.2.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mi_lib.saes.base import Dead, Dictionary, Loss, squared_error


class Gated(Dictionary):
    """l1: λ, against a squared error of inputs with E‖x‖² = 1."""

    kind = "gated"
    in_units_of_x = ("b_enc", "b_dec", "b_mag")

    def __init__(self, d: int, n_latents: int, *, l1: float = 0.6, seed: int = 0) -> None:
        super().__init__(d, n_latents, seed=seed, l1=l1)
        self.r = nn.Parameter(torch.zeros(n_latents))
        self.b_mag = nn.Parameter(torch.zeros(n_latents))

    def encode(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... latent"]:
        return self._gated(self.pre(x))

    def _gated(self, gate: Float[Tensor, "... latent"]) -> Float[Tensor, "... latent"]:
        size = self.r.exp() * (gate - self.b_enc) + self.b_mag
        return (gate > 0) * size.relu()

    @torch.no_grad()
    def restart(self, dead: Dead) -> None:
        super().restart(dead)
        self.r[dead] = 0
        self.b_mag[dead] = 0

    def losses(self, x: Float[Tensor, "batch d"], dead: Dead, pressure: float = 1.0) -> tuple[Loss, Tensor]:
        gate = self.pre(x)
        f = self._gated(gate)
        penalty = self.settings["l1"] * (gate.relu() @ self.W_dec.norm(dim=1)).mean()
        by_gate = gate.relu() @ self.W_dec.detach() + self.b_dec.detach()
        return Loss(squared_error(x, self.decode(f)), pressure * penalty, squared_error(x, by_gate)), f
