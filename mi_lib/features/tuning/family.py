"""A family of detectors: what they share, what they divide among themselves, and what is lost without them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.features.tuning import stimuli


def apart(a: Float[Tensor, "..."], b: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The angle between two directions in radians, between 0 and π: 350° and 10° are 20° apart."""
    turn = (a - b) % (2 * math.pi)
    return torch.minimum(turn, 2 * math.pi - turn)


def covered(angles: Float[Tensor, " unit"], count: int = stimuli.ANGLES) -> Int[Tensor, " angle"]:
    """For each of `count` angles of a whole turn, how many units have their best angle nearest to it."""
    nearest = (angles / (2 * math.pi) * count).round().long() % count
    return torch.bincount(nearest, minlength=count)


def mirrored(angles: Float[Tensor, " unit"], within: float = math.pi / stimuli.ANGLES) -> list[tuple[int, int]]:
    """Pairs of units with opposite angles (the same orientation, sharp and blurred exchanged), each unit in one pair at
    most. As many pairs as can be had: with the nearest first, and then whatever is left.

    within: how far from opposite a pair may be, in radians.
    """
    from scipy.optimize import linear_sum_assignment

    if not len(angles):
        return []
    # Each unit looks for a partner among the units of the other half turn, so no unit is on both sides.
    side = torch.sin(angles - 1e-4) > 0
    ones, others = side.nonzero()[:, 0], (~side).nonzero()[:, 0]
    far = apart(angles[ones][:, None], angles[others][None] + math.pi)
    cost = torch.where(far <= within + 1e-6, far - 10.0, torch.zeros_like(far))
    pairs = zip(*linear_sum_assignment(cost.numpy()), strict=True)
    return [(int(ones[i]), int(others[j])) for i, j in pairs if cost[i, j] < 0]


def silenced(
    units: Sequence[int] | Int[Tensor, " unit"], value: Float[Tensor, " channel"] | float = 0.0
) -> Callable[[Tensor], Tensor]:
    """An edit of a layer [image channel row column]: these channels say `value` everywhere, whatever the image.

    value: one number, or one for each channel of the layer (their means over scenes: mean ablation).
    """
    chosen = torch.as_tensor(units, dtype=torch.long)

    def edit(activation: Tensor, *_: object) -> Tensor:
        activation = activation.clone()
        there = chosen.to(activation.device)
        fill = torch.as_tensor(value, dtype=activation.dtype, device=activation.device)
        activation[:, there] = fill[there][:, None, None] if fill.ndim else fill
        return activation

    return edit


def matched(
    activity: Float[Tensor, " channel"], family: Bool[Tensor, " channel"], draws: int, seed: int
) -> list[Int[Tensor, " unit"]]:
    """Random sets of units outside of a family, as many as it has, of as much activity: the control of an ablation.

    Each member is replaced by one of the units outside that come nearest to it in mean activity: a random one of the
    three nearest that are left. Where a family has more members than there are others, ValueError.
    """
    members, others = family.nonzero()[:, 0].tolist(), (~family).nonzero()[:, 0].tolist()
    if len(members) > len(others):
        raise ValueError(
            f"the family has {len(members)} units, and there are {len(others)} others: no control of that size"
        )
    source = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(draws):
        left, chosen = list(others), []
        for i in torch.randperm(len(members), generator=source).tolist():
            left.sort(key=lambda unit: abs(float(activity[unit] - activity[members[i]])))
            chosen.append(left.pop(int(torch.randint(min(3, len(left)), (1,), generator=source))))
        found.append(torch.tensor(sorted(chosen)))
    return found
