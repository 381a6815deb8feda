"""Is a method right? Its scores against a circuit that is known, or against exact patching.

Scores go by name: of edges, or of nodes. What counts is their order, by absolute value: an edge that speaks against the
answer belongs to the circuit too. A score may be a number or one for each pair of prompts; of these the mean of the
absolute values is taken, so that pairs of opposite sign do not cancel.

    AUROC               the chance that something on the circuit ranks above something off it, a tie counting half:
                        1 is right, .5 a coin (Gupta et al. 2024, arXiv 2407.14494, section 5)
    average precision   mean, over what is on the circuit, of the share of the circuit among all that ranks as high
    rank correlation    Spearman's: how far two methods agree on the order
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

Key = TypeVar("Key")
Score = float | Tensor


def strength(scores: Mapping[Key, Score]) -> dict[Key, float]:
    """How much each is held to matter: the absolute value, in the mean over pairs. ValueError for a score of NaN."""
    found = {key: float(torch.as_tensor(score).detach().double().abs().mean()) for key, score in scores.items()}
    if wrong := [key for key, value in found.items() if value != value]:
        raise ValueError(f"the score of {wrong[0]} is NaN, so that it has no rank; look at what it was computed from")
    return found


def auroc(scores: Mapping[Key, Score], truth: Mapping[Key, bool]) -> float:
    """The area under the ROC curve, from 0 to 1: (Σ ranks on the circuit − their least) / (on · off).

    truth: whether each belongs to the circuit; what it does not name is not judged. ValueError where a score is
    missing, and where nothing is on the circuit or nothing off it.
    """
    values, on = _both(scores, truth)
    n_on, n_off = int(on.sum()), int((~on).sum())
    return float((ranks(values)[on].sum() - n_on * (n_on + 1) / 2) / (n_on * n_off))


def average_precision(scores: Mapping[Key, Score], truth: Mapping[Key, bool]) -> float:
    """Σ (recall_n − recall_{n−1}) · precision_n over the thresholds n, from above. What ties enters together.

    By chance it is the share of what is on the circuit, not a half. Errors as `auroc`.
    """
    values, on = _both(scores, truth)
    above = values[None] >= values[on][:, None]  # [on all]: what ranks as high as each of the circuit, or higher
    return float((above[:, on].sum(1) / above.sum(1)).double().mean())


def rank_correlation(first: Mapping[Key, Score], second: Mapping[Key, Score]) -> float:
    """Spearman's ρ of the two orders, from −1 to 1; what ties shares its mean rank. 0 where one says nothing at all.

    ValueError where they are not about the same things, or about fewer than two.
    """
    if first.keys() != second.keys():
        missing = next(iter(first.keys() ^ second.keys()))
        raise ValueError(f"only one of the two has a score for {missing}; compare scores of the same edges or nodes")
    if len(first) < 2:
        raise ValueError("one score has no order; give the scores of at least two edges or nodes")
    one, other = strength(first), strength(second)
    a, b = (ranks(torch.tensor(values, dtype=torch.float64)) for values in ([*one.values()], [other[k] for k in one]))
    a, b = a - a.mean(), b - b.mean()
    size = a.norm() * b.norm()
    return float(a @ b / size) if size else 0.0


def ranks(values: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """1 for the smallest, n for the largest; what is equal shares the mean of its ranks."""
    _, place, count = values.unique(return_inverse=True, return_counts=True)
    last = count.cumsum(0).double()
    return (last - (count - 1) / 2)[place]


def _both(scores: Mapping[Key, Score], truth: Mapping[Any, bool]) -> tuple[Tensor, Tensor]:
    if missing := [key for key in truth if key not in scores]:
        raise ValueError(f"{len(missing)} have no score, such as {missing[0]}; score all that the truth names")
    found = strength({key: scores[key] for key in truth})
    on = torch.tensor(list(truth.values()), dtype=torch.bool)
    if not bool(on.any()) or bool(on.all()):
        where = "on" if not bool(on.any()) else "off"
        raise ValueError(f"nothing is {where} the circuit, so that there is nothing to tell apart; look at the truth")
    return torch.tensor(list(found.values()), dtype=torch.float64), on
