"""What single neurons of a real network answer to: concepts whose every occurrence is known.

A neuron (or any direction) answers to a concept if most words of the concept are among the words at which the neuron is
largest. Two concepts are unrelated if they never hold at the same word. A neuron that answers to two unrelated concepts
is polysemantic.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

TOP = 0.1  # of all words: those at which a neuron counts as active
MOST = 0.5  # of the concept's words must be among them


def active(values: Float[Tensor, "word neuron"], top: float = TOP) -> Bool[Tensor, "word neuron"]:
    """Where each neuron is among its own largest values: above its (1 − top) quantile."""
    kept = max(1, int(top * len(values)))
    return values > values.topk(kept + 1, dim=0).values[-1] if kept < len(values) else torch.ones_like(values) > 0


def answers_to(
    values: Float[Tensor, "word neuron"], holds: Bool[Tensor, "word concept"], top: float = TOP, most: float = MOST
) -> Bool[Tensor, "neuron concept"]:
    """Whether at least the share `most` of a concept's words is among the `top` of the neuron's.

    A concept that holds nowhere is answered by none. ValueError where the words are not as many, or values are no
    numbers.
    """
    if len(values) != len(holds):
        raise ValueError(f"there are {len(values)} words with activations and {len(holds)} with labels")
    if not bool(values.isfinite().all()):
        raise ValueError("some activations are not numbers")
    hits = active(values, top).float().T @ holds.float()
    return (hits >= most * holds.sum(0)) & (holds.sum(0) > 0)


def unrelated(holds: Bool[Tensor, "word concept"]) -> Bool[Tensor, "concept concept"]:
    """Whether two concepts never hold at the same word."""
    both = holds.float().T @ holds.float()
    return (both == 0) & ~torch.eye(len(both), dtype=torch.bool, device=both.device)


def polysemantic(
    answers: Bool[Tensor, "neuron concept"], apart: Bool[Tensor, "concept concept"]
) -> Bool[Tensor, " neuron"]:
    """Whether a neuron answers to two concepts that are unrelated (`unrelated`)."""
    a = answers.float()
    return torch.einsum("nc,cd,nd->n", a, apart.float(), a) > 0


def random_directions(
    values: Float[Tensor, "word neuron"], number: int, seed: int = 0
) -> Float[Tensor, "word direction"]:
    """The control: the activations, centred, along random directions of the same space."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(values.shape[1], number, generator=generator)
    return (values - values.mean(0)) @ (directions / directions.norm(dim=0))
