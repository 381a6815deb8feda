"""Training a dictionary, on a tensor or on a stream of batches.

1. Inputs are scaled so that E‖x‖² = 1: λ, ε and learning rates then mean the same at every site. At the end the scale
   is folded into the dictionary, which reads plain activations.
2. The learning rate warms up, and falls to 0 over the last fifth; the penalty's share warms up too, or latents may die
   before they have found anything.
3. Decoder rows keep length 1 by two projections (`base`).
4. A latent that has not been active for `dead_after` inputs is dead. TopK's kin revive it by their loss (AuxK); the
   others are resampled now and then (`reviving`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.saes.base import Dictionary
from mi_lib.saes.reviving import resample

Batches = Iterable[Float[Tensor, "batch d"]]


class Report(NamedTuple):
    """What a step has seen, in units of normalised inputs."""

    step: int
    error: float  # E‖x − x̂‖², where E‖x‖² = 1
    penalty: float
    auxiliary: float
    l0: float
    dead: int


def train(
    sae: Dictionary,
    data: Float[Tensor, "n d"] | Batches,
    steps: int,
    *,
    batch: int = 512,
    lr: float = 3e-3,
    warmup: int = 100,
    penalty_warmup: int = 200,
    dead_after: int = 50_000,
    resample_every: int = 500,
    seed: int = 0,
    on_step: Callable[[Report], object] = lambda report: None,
) -> Dictionary:
    """Train in place, and give it back in `eval()` mode, for plain activations.

    data: activations, from which batches of `batch` are drawn in a new order each time round; or batches as they come,
        of any size. One that holds them all in memory is the caller's choice: a stream is read one batch at a time.
    dead_after: in inputs. resample_every: steps, for variants whose loss revives nobody; none in the last fifth.
    ValueError for another width, for a stream that ends before `steps`, and for NaN or infinity in a batch: the
    dictionary is then as the last good step left it.
    """
    if steps < 1:
        raise ValueError(f"training needs at least one step, not {steps}")
    stream = _shuffled(data, batch, seed) if isinstance(data, Tensor) else iter(data)
    first = _checked(next(stream, None), sae, 0, steps)
    sample = _checked(data, sae, 0, steps) if isinstance(data, Tensor) else first
    scale = input_scale(sample)
    if bool(sae.b_dec.any()):  # trained before, so it reads plain activations
        sae.rescale(scale)
    else:  # a new one starts in normalised units
        sae.b_dec.data.copy_(scale * sample.mean(0))
    sae.train().requires_grad_(True)
    try:
        _steps(sae, itertools.chain([first], stream), scale, steps, lr, warmup, penalty_warmup, dead_after,
               resample_every, seed, on_step)  # fmt: skip
    finally:
        sae.rescale(1 / scale)
        sae.eval().requires_grad_(False)
        sae.zero_grad(set_to_none=True)
    return sae


def _steps(
    sae: Dictionary,
    stream: Iterator[Tensor],
    scale: float,
    steps: int,
    lr: float,
    warmup: int,
    penalty_warmup: int,
    dead_after: int,
    resample_every: int,
    seed: int,
    on_step: Callable[[Report], object],
) -> None:
    generator = torch.Generator().manual_seed(seed + 1)
    optimizer = torch.optim.Adam(sae.parameters(), lr=lr)
    silent = torch.zeros(sae.n_latents, device=sae.W_dec.device)  # inputs since a latent was last active
    for step in range(steps):
        x = scale * _checked(next(stream, None), sae, step, steps)
        for group in optimizer.param_groups:
            group["lr"] = lr * rate(step, steps, warmup)
        loss, f = sae.losses(x, silent >= dead_after, min(1.0, (step + 1) / max(1, penalty_warmup)))
        if not math.isfinite(loss.total.item()):
            raise FloatingPointError(f"the loss of step {step} is no number: try a learning rate below {lr:g}")
        optimizer.zero_grad()
        loss.total.backward()
        sae.project_gradient()
        optimizer.step()
        sae.project_weight()
        active = (f.detach() > 0).any(0)
        silent = torch.where(active, 0.0, silent + len(x))
        dead = silent >= dead_after
        l0 = (f > 0).sum(-1).float().mean().item()
        on_step(Report(step, loss.error.item(), loss.penalty.item(), loss.auxiliary.item(), l0, int(dead.sum())))
        if not sae.revives and (step + 1) % resample_every == 0 and step < 0.8 * steps and bool(dead.any()):
            resample(sae, x, dead, optimizer, generator)
            silent[dead] = 0


def rate(step: int, steps: int, warmup: int) -> float:
    """The learning rate's share: up along a line, 1, and down along a line over the last fifth."""
    up = (step + 1) / max(1, warmup)
    down = (steps - step) / max(1.0, 0.2 * steps)
    return min(1.0, up, down)


def input_scale(x: Float[Tensor, "n d"]) -> float:
    """What x is multiplied by so that E‖x‖² = 1. ValueError where all is 0."""
    mean = x.pow(2).sum(-1).mean().item()
    if mean == 0:
        raise ValueError("all these activations are 0: there is nothing to learn from them")
    return 1 / math.sqrt(mean)


def _checked(x: Tensor | None, sae: Dictionary, step: int, steps: int) -> Tensor:
    """A batch that can be learnt from, or one sentence on why not."""
    if x is None:
        raise ValueError(f"the activations ended after {step} of {steps} steps: give a longer stream, or ask for fewer")
    if x.ndim != 2 or x.shape[1] != sae.d or len(x) == 0:
        raise ValueError(f"this dictionary reads activations [batch {sae.d}], not {list(x.shape)}")
    if not bool(x.isfinite().all()):
        raise ValueError(f"the activations of step {step} hold NaN or infinite numbers: look at what produced them")
    return x.detach().to(sae.W_dec)


def _shuffled(data: Float[Tensor, "n d"], batch: int, seed: int) -> Iterator[Tensor]:
    """Batches without end, in a new order each time round."""
    generator = torch.Generator().manual_seed(seed)
    while len(data):
        for rows in torch.randperm(len(data), generator=generator).split(batch):
            yield data[rows.to(data.device)]
