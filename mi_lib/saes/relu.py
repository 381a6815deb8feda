"""ReLU + L1: f = ReLU(pre), L = E‖x − x̂‖² + λ E Σ_i f_i ‖d_i‖.

The penalty is by size, so that it pays to make every active latent smaller than it should be: shrinkage. The factor
‖d_i‖ closes the way out of small f and long rows, also where rows are not kept at length 1.
Source: Bricken et al. 2023, Towards Monosemanticity; the factor: Conerly et al. 2024, Circuits Updates, April.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.saes import sparse
from mi_lib.saes.base import Dead, Dictionary, Loss, Seen, squared_error, zero
from mi_lib.saes.dense import relu_step

LOOK = 32  # inputs that are looked at to see whether few latents are active
FEWER = 4  # entries of a list whose length varies cost more than k in each row


class ReLU(Dictionary):
    """l1: λ, against a squared error of inputs with E‖x‖² = 1."""

    kind = "relu"

    def __init__(self, d: int, n_latents: int, *, l1: float = 0.3, seed: int = 0) -> None:
        super().__init__(d, n_latents, seed=seed, l1=l1)

    def encode(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... latent"]:
        return self.pre(x).relu()

    def losses(self, x: Float[Tensor, "batch d"], dead: Dead, pressure: float = 1.0) -> tuple[Loss, Tensor]:
        f = self.encode(x)
        penalty = self.settings["l1"] * (f @ self.W_dec.norm(dim=1)).mean()
        return Loss(squared_error(x, self.decode(f)), pressure * penalty, zero(x)), f

    def step_losses(self, x: Float[Tensor, "batch d"], dead: Dead, pressure: float = 1.0) -> tuple[Loss, Seen]:
        """The same in fewer products (see `dense`), or from the active latents alone (see `sparse`)."""
        if torch.is_autocast_enabled(x.device.type):
            return super().step_losses(x, dead, pressure)
        weight = pressure * self.settings["l1"]
        if self._few_are_active(x):
            values, entries = sparse.encode(self, x, sparse.positive)
            out = sparse.decode(values, self.W_dec, entries) + self.b_dec
            penalty = weight * (values @ self.W_dec.norm(dim=1)[entries.latents]) / len(x)
            return Loss(squared_error(x, out), penalty, zero(x)), sparse.seen(values, entries, out)
        error, penalty, total, f = relu_step(self, x)
        l0 = lambda: (f > 0).sum(-1).float().mean()  # noqa: E731
        return Loss(error, weight * penalty, zero(x)), Seen(total > 0, l0, lambda: self.decode(f).detach())

    @torch.no_grad()
    def _few_are_active(self, x: Float[Tensor, "batch d"]) -> bool:
        """Whether it pays to count on it, by a look at some inputs of a batch."""
        active = (self.pre(x[:LOOK]) > 0).sum().item() / min(LOOK, len(x))
        return sparse.worthwhile(x, math.ceil(FEWER * active), self.n_latents)
