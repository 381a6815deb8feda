"""Thin matrices beside a network's own: W + (α/r) A B, of which only A and B are trained (Hu et al. 2021, 2106.09685).

    with_thin(model, rank=16)     every matrix inside the blocks gets a pair; nothing else is trained
    merged(model)                 the pairs are multiplied out, and the network is an ordinary one again

B begins at zero, so that the network begins as it was.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mi_lib.models.transformers_model import TransformersModel

ALPHA = 2.0  # α / r


class Thin(nn.Module):
    """W ↦ W + α/r · A B."""

    def __init__(self, weight: Float[Tensor, "row column"], rank: int) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.left = nn.Parameter(torch.randn(rows, rank) / rows**0.5)
        self.right = nn.Parameter(torch.zeros(rank, columns))

    def forward(self, weight: Float[Tensor, "row column"]) -> Float[Tensor, "row column"]:
        return weight + ALPHA * self.left @ self.right


def with_thin(model: TransformersModel, rank: int, seed: int = 0) -> TransformersModel:
    """Put a pair beside every matrix of the blocks, in place; everything else is frozen. Returns the model.

    ValueError for a rank below 1.
    """
    if rank < 1:
        raise ValueError(f"a thin matrix has at least one column, not {rank}")
    model.requires_grad_(False)
    torch.manual_seed(seed)
    for module in _matrices(model):
        assert isinstance(module.weight, Tensor)
        parametrize.register_parametrization(module, "weight", Thin(module.weight, rank))
    return model


def merged(model: TransformersModel) -> TransformersModel:
    """The same network with its pairs multiplied out, in place."""
    for module in _matrices(model):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    return model.requires_grad_(False)


def _matrices(model: TransformersModel) -> list[nn.Module]:
    """The modules of the blocks that have one matrix as their weight."""
    return [
        module for layer in model.layers for module in layer.modules()
        if isinstance(getattr(module, "weight", None), Tensor) and module.weight.ndim == 2
    ]  # fmt: skip
