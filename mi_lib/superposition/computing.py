"""Computation in superposition: a layer of ReLU neurons that computes |x| of more features than it has neurons.

Elhage et al. 2022, "Computation in Superposition": y' = ReLU(W₂ ReLU(W₁ x) + b), and x between −1 and 1. Since
|x| = ReLU(x) + ReLU(−x), a feature needs two neurons if it shares none. The ReLU makes the neurons a privileged basis:
it acts on each alone, so that a rotation of the hidden space is another network.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.superposition.data import features
from mi_lib.superposition.toy import fit, loss


class AbsToy(NamedTuple):
    W_in: Float[Tensor, "instance neuron feature"]
    W_out: Float[Tensor, "instance feature neuron"]
    b: Float[Tensor, "instance feature"]


def hidden(toy: AbsToy, x: Float[Tensor, "instance batch feature"]) -> Float[Tensor, "instance batch neuron"]:
    """What the neurons say: ReLU(W₁ x)."""
    return (x @ toy.W_in.mT).relu()


def absolute(toy: AbsToy, x: Float[Tensor, "instance batch feature"]) -> Float[Tensor, "instance batch feature"]:
    """y' = ReLU(W₂ ReLU(W₁ x) + b), which is to be |x|."""
    return (hidden(toy, x) @ toy.W_out.mT + toy.b[:, None]).relu()


def train_absolute(
    sparsity: Float[Tensor, " instance"],
    n_features: int,
    n_neurons: int,
    importance: Float[Tensor, "... feature"],
    *,
    steps: int = 3000,
    batch: int = 512,
    lr: float = 1e-2,
    seed: int = 0,
    on_step: Callable[[int, Float[Tensor, " instance"]], object] = lambda step, now: None,
) -> AbsToy:
    """One model for each sparsity, trained to give |x|. ValueErrors as in `data.features`."""
    sparsity = torch.as_tensor(sparsity, dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    scale, n = math.sqrt(2 / (n_features + n_neurons)), len(sparsity)
    W_in = scale * torch.randn(n, n_neurons, n_features, generator=generator)
    W_out = scale * torch.randn(n, n_features, n_neurons, generator=generator)
    toy = AbsToy(W_in, W_out, torch.zeros(n, n_features))

    def losses() -> Float[Tensor, " instance"]:
        x = features(sparsity, n_features, batch, generator, signed=True)
        return loss(x.abs(), absolute(toy, x), importance)

    fit(toy, losses, steps, lr, on_step)
    return toy


def monosemanticity(W: Float[Tensor, "... neuron feature"]) -> Float[Tensor, "... neuron"]:
    """The share of a neuron's weights that belongs to its strongest feature: max_i |W_i| / Σ_i |W_i|.

    1: the neuron listens to one feature. 1 / n: to all alike. 0 for a neuron without weights.
    """
    size = W.abs()
    return size.amax(-1) / size.sum(-1).clamp(min=1e-12)


def features_per_neuron(W: Float[Tensor, "... neuron feature"], share: float = 0.3) -> Float[Tensor, "... neuron"]:
    """How many features have at least `share` of the weight of the neuron's strongest one."""
    size = W.abs()
    return ((size >= share * size.amax(-1, keepdim=True)) & (size > 1e-6)).float().sum(-1)
