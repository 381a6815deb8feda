"""Resampling: dead latents start again where the dictionary is worst.

    1. Inputs are drawn with a probability in proportion to their squared error ‖x − x̂‖². By the error itself, inputs
       that are explained well already would be drawn too often.
    2. The decoder row becomes the direction of that input's residual x − x̂, at length 1.
    3. The encoder row becomes the same direction, at 0.2 times the mean length of the living latents' rows; its bias 0.
       At the residual's own length one outlier would drown the others.
    4. Adam forgets what it knew of these rows, or its old moments would undo the work.

Source: Bricken et al. 2023, Towards Monosemanticity, "Neuron Resampling". They point the row at the input; we point it
at the residual, since the rest of the input is explained.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from mi_lib.saes.base import Dictionary

ENCODER_SHARE = 0.2


@torch.no_grad()
def resample(
    sae: Dictionary,
    x: Float[Tensor, "batch d"],
    dead: Bool[Tensor, " latent"],
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
) -> None:
    """Give the dead latents new rows, in place. x: in the units in which the dictionary is being trained."""
    residual = x - sae(x)
    rows = draw_by_squared_error(residual, int(dead.sum()), generator)
    directions = F.normalize(residual[rows], dim=1)
    alive = sae.W_enc[:, ~dead]
    length = alive.norm(dim=0).mean() if alive.shape[1] else torch.ones((), device=x.device)
    sae.W_dec[dead] = directions
    sae.W_enc[:, dead] = (ENCODER_SHARE * length * directions).T
    sae.restart(dead)
    _forget(sae, dead, optimizer)


def draw_by_squared_error(residual: Float[Tensor, "batch d"], n: int, generator: torch.Generator) -> Int[Tensor, " n"]:
    """Numbers of n inputs, drawn with P ∝ ‖x − x̂‖², with replacement."""
    weights = residual.pow(2).sum(-1).cpu()
    if not bool((weights > 0).any()):
        weights = torch.ones_like(weights)
    return torch.multinomial(weights, n, replacement=True, generator=generator).to(residual.device)


def _forget(sae: Dictionary, dead: Bool[Tensor, " latent"], optimizer: torch.optim.Optimizer) -> None:
    """Adam's moments of these latents become 0."""
    for name, parameter in sae.named_parameters():
        if name == "b_dec":
            continue
        for moment in ("exp_avg", "exp_avg_sq"):
            if moment in optimizer.state[parameter]:
                kept = optimizer.state[parameter][moment]
                (kept.T if name == "W_enc" else kept)[dead] = 0
