"""ReLU + L1: f = ReLU(pre), L = E‖x − x̂‖² + λ E Σ_i f_i ‖d_i‖.

The penalty is by size, so that it pays to make every active latent smaller than it should be: shrinkage. The factor
‖d_i‖ closes the way out of small f and long rows, also where rows are not kept at length 1.
Source: Bricken et al. 2023, Towards Monosemanticity; the factor: Conerly et al. 2024, Circuits Updates, April.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from mi_lib.saes.base import Dead, Dictionary, Loss, squared_error, zero


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
