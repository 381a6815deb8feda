"""Which frequency a neuron listens to, and how much of it that explains."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.grokking.fourier import ROUNDING, fourier_2d, n_frequencies


class Neurons(NamedTuple):
    """One entry per neuron."""

    frequency: Int[Tensor, " neuron"]  # the one that explains most
    explained: Float[Tensor, " neuron"]  # share of the neuron's variance over all (a, b) that it explains
    live: Bool[Tensor, " neuron"]  # False: the neuron hardly varies, and its frequency means nothing


LIVE = 1e-3  # a live neuron has at least this share of the variance of the liveliest one


def frequency_energy(activations: Float[Tensor, "a b neuron"]) -> Float[Tensor, "frequency neuron"]:
    """The energy of each neuron in {1, cos k, sin k} ⊗ {1, cos k, sin k} without the constant; entry k − 1 is k.

    Eight of the p² components for each frequency: functions of a alone, of b alone, and of both, at frequency k.
    """
    energy = fourier_2d(activations).pow(2)
    energy[0, 0] = 0.0  # centred: the mean does not count as explained
    parts = []
    for k in range(1, n_frequencies(activations.shape[0]) + 1):
        rows = torch.tensor([0, 2 * k - 1, 2 * k])
        parts.append(energy[rows[:, None], rows].sum((0, 1)))
    return torch.stack(parts)


def neuron_frequencies(activations: Float[Tensor, "a b neuron"]) -> Neurons:
    """Each neuron's frequency: argmax over k of `frequency_energy` (Nanda et al. 2023, section 4.2)."""
    activations = activations.double()
    total = (activations - activations.mean((0, 1))).pow(2).sum((0, 1))
    best, index = frequency_energy(activations).max(0)
    live = (total > LIVE * total.max()) & (total > ROUNDING * activations.pow(2).sum((0, 1)))
    explained = torch.where(total > 0, best / total.clamp(min=1e-300), 0.0)
    return Neurons(index + 1, explained, live)


def key_frequencies(neurons: Neurons, owns: float = 0.5, share: float = 0.02) -> list[int]:
    """The frequencies that the network computes with, ascending: those to which neurons belong.

    A neuron belongs to its frequency if that explains at least `owns` of its variance. A frequency is key if at least
    `share` of the live neurons belong to it. An untrained or memorising network has none.
    """
    members = neurons.frequency[neurons.live & (neurons.explained >= owns)]
    counts = torch.bincount(members, minlength=1)
    return [int(k) for k in (counts >= max(1, share * int(neurons.live.sum()))).nonzero().flatten()]
