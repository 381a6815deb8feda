"""Planted features against latents, one to one.

With each feature free to take its best latent, one latent can answer for many features. One-to-one matching (the
assignment problem) gives every latent away once. Two scores:

    cosine        of the planted direction with the latent's row of W_dec: does it write the right thing?
    activation    the correlation of a_i with f_j over inputs: is it active when it should be? Absorption hides from the
                  first and shows in the second.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F


class Matching(NamedTuple):
    """For each feature its latent, −1 where there are fewer latents than features, and the score (0 there)."""

    latent: Int[Tensor, " feature"]
    score: Float[Tensor, " feature"]

    @property
    def mean(self) -> float:
        return self.score.mean().item()

    def found(self, bar: float = 0.9) -> float:
        """The share of features whose latent scores at least `bar`."""
        return (self.score >= bar).double().mean().item()


def match_directions(directions: Float[Tensor, "feature d"], decoder: Float[Tensor, "latent d"]) -> Matching:
    """By cosine. The sign counts: activations are not negative, so a latent that points the other way found nothing."""
    return match(F.normalize(directions, dim=1) @ F.normalize(decoder, dim=1).T)


def match_activations(a: Float[Tensor, "n feature"], f: Float[Tensor, "n latent"]) -> Matching:
    """By correlation over inputs; 0 for what is constant."""
    return match(correlations(a, f))


def correlations(a: Float[Tensor, "n feature"], f: Float[Tensor, "n latent"]) -> Float[Tensor, "feature latent"]:
    """Pearson's r of every pair; 0 where one of the two is constant."""
    return _standardised(a).T @ _standardised(f)


def _standardised(values: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    centred = values - values.mean(0)
    constant = (values == values[0]).all(0)
    return torch.where(constant, 0.0, F.normalize(centred, dim=0, eps=1e-30))


def match(score: Float[Tensor, "feature latent"]) -> Matching:
    """The one-to-one matching with the largest sum of scores. ValueError for NaN."""
    if not bool(score.isfinite().all()):
        raise ValueError("scores must be numbers: there is NaN or infinity among them")
    few_latents = score.shape[0] > score.shape[1]
    table = (score.T if few_latents else score).detach().cpu().double()
    columns = torch.from_numpy(assignment(-table.numpy()))
    latent = torch.full((score.shape[0],), -1)
    rows = torch.arange(len(columns))
    if few_latents:
        latent[columns] = rows
    else:
        latent[rows] = columns
    got = torch.where(latent >= 0, score.detach().cpu()[torch.arange(len(latent)), latent.clamp(min=0)], 0.0)
    return Matching(latent, got)


def assignment(cost: np.ndarray) -> np.ndarray:
    """The column of each row, all different, with the smallest sum of costs. As many columns as rows at least.

    Kuhn's Hungarian method in the form with shortest augmenting paths (Jonker & Volgenant 1987): rows come one by one,
    each along the cheapest path on which earlier rows change their columns. Prices keep reduced costs from becoming
    negative, as in Dijkstra's algorithm. O(rows² · columns).
    """
    n, m = cost.shape
    if n > m:
        raise ValueError(f"{n} rows cannot have a column each among {m}")
    row_price, price = np.zeros(n), np.zeros(m)
    owner = np.full(m, -1)  # the row that has a column
    for new in range(n):
        shortest = np.full(m, np.inf)  # the path's cost to each column
        before = np.full(m, -1)  # the column from which the path comes; −1: from the new row
        done = np.zeros(m, dtype=bool)
        row, column, length = new, -1, 0.0
        while row >= 0:
            through = length + cost[row] - row_price[row] - price
            better = ~done & (through < shortest)
            shortest[better], before[better] = through[better], column
            column = int(np.where(done, np.inf, shortest).argmin())
            length = shortest[column]
            done[column] = True
            row = owner[column]
        row_price[new] += length
        passed = done.copy()
        passed[column] = False
        row_price[owner[passed]] += length - shortest[passed]
        price[passed] -= length - shortest[passed]
        while column >= 0:  # along the path, each column goes to the row before it
            previous = before[column]
            owner[column] = owner[previous] if previous >= 0 else new
            column = previous
    columns = np.full(n, -1)
    taken = owner >= 0
    columns[owner[taken]] = np.flatnonzero(taken)
    return columns
