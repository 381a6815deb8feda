"""Control tasks: could this probe, on this network, learn labels that mean nothing? (Hewitt & Liang 2019, §2)."""

from __future__ import annotations

import random
import zlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.probing.data import Unusable
from mi_lib.probing.probes import Fit
from mi_lib.statistics import interval


def control_labels(
    types: Sequence[Hashable], classes: int, like: Int[Tensor, " m"] | None = None, seed: int | None = None
) -> Int[Tensor, " n"]:
    """A label for each example that depends on its TYPE alone (a word, a combination of words), and on nothing else.

    Every example of a type has the same label, so that who knows types by heart can learn it. A label for each example
    would be noise that nobody can learn: its accuracy is chance for every probe, and every selectivity looks good.

    types: the type of each example. like: labels whose frequencies the control shall have; otherwise all classes are
    equally likely. seed: each gives labels that know nothing of the others'; None for those of the models' cards, which
    a checksum draws. They are the same on every machine.
    """
    if classes < 2:
        raise Unusable("a control needs two classes or more")
    if seed is None:
        drawn = {kind: zlib.crc32(f"control {kind}".encode()) for kind in set(types)}
    else:
        drawn = {kind: random.Random(f"{seed} {kind}").getrandbits(32) for kind in set(types)}
    if like is None:
        return torch.tensor([drawn[kind] % classes for kind in types], dtype=torch.long)
    shares = torch.bincount(like, minlength=classes).double() / len(like)
    where = torch.tensor([drawn[kind] / 2**32 for kind in types], dtype=torch.double)
    return torch.searchsorted(shares.cumsum(0)[:-1].contiguous(), where, right=True)


@dataclass(frozen=True)
class Selectivity:
    """Accuracy on the task, accuracy on the control task, and how much larger the one is, with its 95 % interval."""

    accuracy: float
    control: float
    value: float
    low: float
    high: float


def selectivity(right: Bool[Tensor, " n"], control: Bool[Tensor, " n"]) -> Selectivity:
    """Accuracy minus the accuracy on meaningless labels. right, control: of the same examples, whether each was right;
    the bootstrap draws examples, and keeps the two answers of each together. `Unusable` if these are not the same."""
    a, b = right.double().numpy(), control.double().numpy()
    if not len(a) or len(a) != len(b):
        raise Unusable("both tasks must be judged on the same examples, one or more")
    low, high = interval(lambda rows: (a[rows] - b[rows]).mean(), len(a))
    return Selectivity(float(a.mean()), float(b.mean()), float(a.mean() - b.mean()), low, high)


def probe_and_control(
    fit: Fit,
    x: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    types: Sequence[Hashable],
    read_x: Float[Tensor, "m d"],
    read_y: Int[Tensor, " m"],
    read_types: Sequence[Hashable],
    classes: int | None = None,
) -> Selectivity:
    """The same kind of probe, fitted twice at the same place: on the labels, and on a control's."""
    k = classes or int(y.max()) + 1
    control, read_control = control_labels(types, k), control_labels(read_types, k)
    right = fit(x, y, k)(read_x) == read_y
    return selectivity(right, fit(x, control, k)(read_x) == read_control)
