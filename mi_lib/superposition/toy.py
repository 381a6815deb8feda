"""The ReLU output model, x' = ReLU(WᵀW x + b), and its training: many instances at once.

Elhage et al. 2022, Toy Models of Superposition. n features are squeezed into m hidden dimensions and read out again:

1. `data.features` draws sparse inputs, another sparsity for each instance.
2. `reconstruct` is the model. All instances are one product of [instance · ·] tensors.
3. `loss` weighs squared errors by importance. The losses of all instances are added: since no weight is shared, the
   gradient of the sum is the gradient of each.
4. `fit` makes the steps; `training` gives them one by one, for whoever wants to watch or to stop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.superposition.data import Kind, features


class Toy(NamedTuple):
    """Trained models. Column i of an instance's W is the direction in which feature i is stored."""

    W: Float[Tensor, "instance hidden feature"]
    b: Float[Tensor, "instance feature"]


class Moment(NamedTuple):
    """Models in training, after a step. The toy changes in place: copy what is to be kept."""

    step: int
    toy: Toy
    losses: Float[Tensor, " instance"]  # before the step


def reconstruct(
    toy: Toy, x: Float[Tensor, "instance batch feature"], relu: bool = True
) -> Float[Tensor, "instance batch feature"]:
    """x' = ReLU(WᵀW x + b); without `relu` the linear model, which is the control.

    ValueError where instances or features of x are not those of the models.
    """
    if x.ndim != 3 or x.shape[0] != toy.W.shape[0] or x.shape[2] != toy.W.shape[2]:
        raise ValueError(
            f"x must be [instance batch feature] with {toy.W.shape[0]} instances and {toy.W.shape[2]} features, "
            f"not {list(x.shape)}"
        )
    hidden = x @ toy.W.mT  # [instance batch hidden]
    out = hidden @ toy.W + toy.b[:, None]
    return out.relu() if relu else out


def loss(
    x: Float[Tensor, "instance batch feature"],
    out: Float[Tensor, "instance batch feature"],
    importance: Float[Tensor, "... feature"],
) -> Float[Tensor, " instance"]:
    """Σ_i I_i (x_i − x'_i)², averaged over the batch. importance: [feature], or [instance feature]."""
    return (importance * (x - out).pow(2).mean(1)).sum(-1)


def started(n_instances: int, n_features: int, n_hidden: int, generator: torch.Generator) -> Toy:
    """Weights before training: W normal with the variance 2 / (n + m) of Glorot & Bengio (2010), b = 0."""
    scale = math.sqrt(2 / (n_features + n_hidden))
    W = scale * torch.randn(n_instances, n_hidden, n_features, generator=generator)
    return Toy(W, torch.zeros(n_instances, n_features))


def fitting(
    parameters: Sequence[Tensor], losses: Callable[[], Float[Tensor, " instance"]], steps: int, lr: float
) -> Iterator[tuple[int, Float[Tensor, " instance"]]]:
    """Adam on Σ losses(), its rate falling to 0 along half a cosine. The parameters change in place.

    Gives the number of each step, once it is made, and the losses before it. FloatingPointError, at the end, where the
    parameters are no numbers.
    """
    leaves = [parameter.requires_grad_() for parameter in parameters]
    optimizer = torch.optim.Adam(leaves, lr=lr)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * 0.5 * (1 + math.cos(math.pi * step / steps))
        now = losses()
        optimizer.zero_grad()
        now.sum().backward()
        optimizer.step()
        yield step, now.detach()
    for leaf in leaves:
        leaf.requires_grad_(False)
        if not bool(leaf.isfinite().all()):
            raise FloatingPointError(f"training has ended in numbers that are none: try a learning rate below {lr:g}")


def fit(
    parameters: Sequence[Tensor],
    losses: Callable[[], Float[Tensor, " instance"]],
    steps: int,
    lr: float,
    on_step: Callable[[int, Float[Tensor, " instance"]], object] = lambda step, now: None,
) -> None:
    """All steps of `fitting`. on_step: called with the number of the step and the losses before it."""
    for step, now in fitting(parameters, losses, steps, lr):
        on_step(step, now)


def train(
    sparsity: Float[Tensor, " instance"],
    n_features: int,
    n_hidden: int,
    importance: Float[Tensor, "... feature"] | None = None,
    *,
    kind: Kind = "independent",
    relu: bool = True,
    steps: int = 3000,
    batch: int = 512,
    lr: float = 1e-2,
    seed: int = 0,
    on_step: Callable[[int, Float[Tensor, " instance"]], object] = lambda step, now: None,
) -> Toy:
    """One model for each entry of `sparsity`, all trained in the same loop, each on inputs of its own.

    importance: all 1 by default. Everything random comes from `seed`. ValueErrors as in `data.features`, and for an
    importance that does not fit.
    """
    toy, losses = _begun(sparsity, n_features, n_hidden, importance, kind, relu, batch, seed)
    fit(toy, losses, steps, lr, on_step)
    return toy


def training(
    sparsity: Float[Tensor, " instance"],
    n_features: int,
    n_hidden: int,
    importance: Float[Tensor, "... feature"] | None = None,
    *,
    kind: Kind = "independent",
    relu: bool = True,
    steps: int = 3000,
    batch: int = 512,
    lr: float = 1e-2,
    seed: int = 0,
) -> Iterator[Moment]:
    """The same training as `train`, step by step: whoever asks for no further step stops it. ValueErrors as there."""
    toy, losses = _begun(sparsity, n_features, n_hidden, importance, kind, relu, batch, seed)
    return (Moment(step, toy, now) for step, now in fitting(toy, losses, steps, lr))


def _begun(
    sparsity: Float[Tensor, " instance"],
    n_features: int,
    n_hidden: int,
    importance: Float[Tensor, "... feature"] | None,
    kind: Kind,
    relu: bool,
    batch: int,
    seed: int,
) -> tuple[Toy, Callable[[], Float[Tensor, " instance"]]]:
    """Models before training, and the losses that they have on inputs drawn anew for each call."""
    sparsity = torch.as_tensor(sparsity, dtype=torch.float32)
    weight = torch.ones(n_features) if importance is None else torch.as_tensor(importance, dtype=torch.float32)
    if weight.shape not in {(n_features,), (len(sparsity), n_features)}:
        raise ValueError(f"importance must be [feature] or [instance feature], not {list(weight.shape)}")
    generator = torch.Generator().manual_seed(seed)
    toy = started(len(sparsity), n_features, n_hidden, generator)

    def losses() -> Float[Tensor, " instance"]:
        x = features(sparsity, n_features, batch, generator, kind)
        return loss(x, reconstruct(toy, x, relu), weight)

    return toy, losses


@torch.no_grad()
def measured_loss(
    toy: Toy,
    sparsity: Float[Tensor, " instance"],
    importance: Float[Tensor, "... feature"] | None = None,
    *,
    kind: Kind = "independent",
    relu: bool = True,
    batch: int = 20_000,
    seed: int = 1,
) -> Float[Tensor, " instance"]:
    """The loss of each instance on fresh inputs."""
    n_features = toy.W.shape[-1]
    x = features(sparsity, n_features, batch, torch.Generator().manual_seed(seed), kind)
    return loss(x, reconstruct(toy, x, relu), torch.ones(n_features) if importance is None else importance)
