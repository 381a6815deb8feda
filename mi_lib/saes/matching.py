"""Planted features against latents, one to one.

With each feature free to take its best latent, one latent can answer for many features. One-to-one matching (the
assignment problem) gives every latent away once. Two scores:

    cosine        of the planted direction with the latent's row of W_dec: does it write the right thing?
    activation    the correlation of a_i with f_j over inputs: is it active when it should be? Absorption hides from the
                  first and shows in the second.
"""

from __future__ import annotations

from typing import NamedTuple

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
    """The one-to-one matching with the largest sum of scores (the Hungarian method). ValueError for NaN."""
    from scipy.optimize import linear_sum_assignment  # when it is needed: half a second

    if not bool(score.isfinite().all()):
        raise ValueError("scores must be numbers: there is NaN or infinity among them")
    few_latents = score.shape[0] > score.shape[1]
    table = (score.T if few_latents else score).detach().cpu().double()
    columns = torch.from_numpy(linear_sum_assignment(table.numpy(), maximize=True)[1])
    latent = torch.full((score.shape[0],), -1)
    rows = torch.arange(len(columns))
    if few_latents:
        latent[columns] = rows
    else:
        latent[rows] = columns
    got = torch.where(latent >= 0, score.detach().cpu()[torch.arange(len(latent)), latent.clamp(min=0)], 0.0)
    return Matching(latent, got)
