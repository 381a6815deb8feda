"""Edits of some channels of an activation [batch channel ...], to be handed to `VisionModel.edited`.

Any function of the activation that returns one of the same shape is an edit too. None of these changes its argument.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor

Edit = Callable[[Tensor], Tensor]


def scale(channels: int | Sequence[int], factor: float) -> Edit:
    """Multiply these channels. IndexError, when it is applied, if there is no such channel."""
    wanted = _listed(channels)

    def edit(activation: Float[Tensor, "batch channel *rest"]) -> Float[Tensor, "batch channel *rest"]:
        _check(wanted, activation)
        new = activation.clone()
        new[:, wanted] = new[:, wanted] * factor
        return new

    return edit


def zero(channels: int | Sequence[int]) -> Edit:
    """Silence these channels (zero ablation)."""
    return scale(channels, 0.0)


def replace(channels: int | Sequence[int], value: float | Tensor) -> Edit:
    """Put a value into these channels: a number, or a tensor that broadcasts to [batch, len(channels), ...].

    A tensor [len(channels), 1, 1] of means is mean ablation.
    """
    wanted = _listed(channels)

    def edit(activation: Float[Tensor, "batch channel *rest"]) -> Float[Tensor, "batch channel *rest"]:
        _check(wanted, activation)
        new = activation.clone()
        new[:, wanted] = value.to(new) if isinstance(value, Tensor) else value
        return new

    return edit


def _listed(channels: int | Sequence[int]) -> list[int]:
    return [channels] if isinstance(channels, int) else [int(c) for c in channels]


def _check(channels: list[int], activation: Tensor) -> None:
    there = activation.shape[1]
    wrong = [c for c in channels if not 0 <= c < there]
    if wrong:
        raise IndexError(f"there is no channel {wrong[0]}: the layer has {there}, from 0 to {there - 1}")
