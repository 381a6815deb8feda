"""What every probe is fitted on, looked at before anything is computed with it.

x  [n d]  activations, a row for each example
y  [n]    labels: whole numbers from 0 on
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor


class Unusable(ValueError):
    """Activations or labels that no probe can be fitted on or read from. The text is a sentence that says why."""


def numbered(labels: Sequence[Hashable], names: Sequence[Hashable] | None = None) -> tuple[Int[Tensor, " n"], list]:
    """Labels as numbers 0 … K − 1, and the name of each number, in alphabetical order of what is printed of them.

    names: those that are known already, of the examples a probe was fitted on; a label that is not among them is −1,
    which no probe ever answers.
    """
    known = sorted(set(labels), key=str) if names is None else list(names)
    number = {name: i for i, name in enumerate(known)}
    return torch.tensor([number.get(label, -1) for label in labels], dtype=torch.long), known


def activations(x: Shaped[Tensor, "n d"], what: str = "the activations", width: int | None = None) -> Tensor:
    """x itself, if it is usable. `Unusable` where it is empty, no table, has NaN or infinite numbers, or another width.

    width: how many numbers a row must have.
    """
    if not isinstance(x, Tensor) or x.ndim != 2:
        shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise Unusable(f"{what} must be a table [example width], not {shape}")
    if not len(x):
        raise Unusable(f"{what} are empty: there is no example")
    if width is not None and x.shape[1] != width:
        raise Unusable(f"{what} have {x.shape[1]} numbers in a row, and the probe reads {width}: is it the same site?")
    if not bool(torch.isfinite(x).all()):
        row = int((~torch.isfinite(x)).any(1).int().argmax())
        raise Unusable(f"{what} hold NaN or an infinite number, first in row {row}")
    return x


def to_fit(
    x: Shaped[Tensor, "n d"], y: Int[Tensor, " n"], classes: int | None = None, least: int = 2
) -> tuple[Float[Tensor, "n d"], Int[Tensor, " n"], int]:
    """x, y and the number of classes, if a probe can be fitted on them.

    least: how many examples each class must have. `Unusable`, beside what `activations` refuses: labels of another
    number or kind, constant labels, a class with too few examples.
    """
    activations(x)
    if not isinstance(y, Tensor) or y.is_floating_point() or y.shape != (len(x),):
        raise Unusable(f"there must be one whole number for each of the {len(x)} examples as its label")
    if int(y.min()) < 0:
        raise Unusable("labels are numbers from 0 on: one below 0 was not known when the classes were numbered")
    counts = torch.bincount(y, minlength=classes or 0)
    if len(counts) > (classes or len(counts)):
        raise Unusable(f"a label is {len(counts) - 1}, and there are {classes} classes, from 0 on")
    if int((counts > 0).sum()) < 2:
        raise Unusable("all labels are the same: there is nothing to tell apart")
    if int(counts.min()) < least:
        label, count = int(counts.argmin()), int(counts.min())
        told = {0: "no example", 1: "one example alone"}.get(count, f"{count} examples")
        raise Unusable(f"class {label} has {told}; each class needs {least} or more")
    return x, y, len(counts)


def class_means(x: Float[Tensor, "n d"], y: Int[Tensor, " n"], classes: int) -> Float[Tensor, "class d"]:
    """The mean of each class."""
    return torch.stack([x[y == k].mean(0) for k in range(classes)])
