"""How a probe's accuracy depends on how much it is fitted on, and on what; and whether it is as sure as it is right."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.probing.data import Unusable
from mi_lib.probing.probes import Fit


def learning_curve(
    fit: Fit,
    x: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    read_x: Float[Tensor, "m d"],
    read_y: Int[Tensor, " m"],
    sizes: Sequence[int],
    seeds: Sequence[int] = (0, 1, 2),
    classes: int | None = None,
) -> Float[Tensor, "size seed"]:
    """Accuracy on read_x after fitting on so many examples, drawn anew for each seed, the same ones first."""
    k = classes or int(y.max()) + 1
    if max(sizes) > len(x) or min(sizes) < 2:
        raise Unusable(f"sizes must lie between 2 and {len(x)}, the number of examples")
    rows = []
    for seed in seeds:
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
        chosen = [order[:size] for size in sizes]
        rows.append([float((fit(x[rows], y[rows], k)(read_x) == read_y).double().mean()) for rows in chosen])
    return torch.tensor(rows, dtype=torch.double).T


def transfer(
    fit: Fit,
    x: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    templates: Sequence[Hashable],
    read_x: Float[Tensor, "m d"],
    read_y: Int[Tensor, " m"],
    read_templates: Sequence[Hashable],
    classes: int | None = None,
) -> tuple[list[Hashable], Float[Tensor, "fitted read"]]:
    """A probe for every template, read on each template: the templates in order, and the table of accuracies.

    What lies off the diagonal says whether the probe has found the property, or how this template says it.
    """
    k = classes or int(y.max()) + 1
    names = sorted(set(templates) & set(read_templates), key=str)
    if not names:
        raise Unusable("no template is both fitted and read")
    table = []
    for one in names:
        rows = torch.tensor([template == one for template in templates])
        probe = fit(x[rows], y[rows], k)
        row = []
        for other in names:
            where = torch.tensor([template == other for template in read_templates])
            row.append(float((probe(read_x[where]) == read_y[where]).double().mean()))
        table.append(row)
    return names, torch.tensor(table, dtype=torch.double)


@dataclass(frozen=True)
class Calibration:
    """By how sure the probe was, in bins: how sure it was in the mean, how often it was right, the share of examples.

    error: the mean distance of the first two, each bin by its share (expected calibration error).
    """

    sure: Float[Tensor, " bin"]
    right: Float[Tensor, " bin"]
    share: Float[Tensor, " bin"]
    error: float


def calibration(chances: Float[Tensor, "n class"], y: Int[Tensor, " n"], bins: int = 10) -> Calibration:
    """Calibration of the likeliest class (Guo et al. 2017, §2), in bins of equal width. An empty bin is 0 throughout.

    `Unusable` where the chances of an example do not add up to 1.
    """
    if chances.ndim != 2 or not len(chances) or len(chances) != len(y):
        raise Unusable("there must be a row of chances for each label")
    if not torch.allclose(chances.sum(1).double(), torch.ones(len(chances), dtype=torch.double), atol=1e-4):
        raise Unusable("the chances of an example must add up to 1: a ridge's scores do not, a logistic probe's do")
    sure, answer = chances.double().max(1)
    hit = (answer == y).double()
    where = (sure * bins).long().clamp(0, bins - 1)
    count = torch.bincount(where, minlength=bins).double()
    means = [torch.zeros(bins, dtype=torch.double).index_add(0, where, v) / count.clamp(min=1) for v in (sure, hit)]
    share = count / len(y)
    return Calibration(means[0], means[1], share, float((share * (means[0] - means[1]).abs()).sum()))
