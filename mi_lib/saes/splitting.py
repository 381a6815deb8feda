"""How what one latent of a narrow dictionary stands for is shared out in a wider one.

    by direction     a wide latent's parent is the narrow latent whose row has the largest cosine with its own
    by activation    containment: of the words at which the wide latent is active, the share at which the parent is too

A child by both writes like its parent and is active only where the parent is. From the side of the labels: how many
latents does a concept need until their union is good enough?
Source: Bricken et al. 2023, Towards Monosemanticity, "Feature Splitting" (by direction); the rest is set theory.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from mi_lib.saes.concepts import PURITIES, Choice, judge, unions
from mi_lib.saes.entries import Values, chunks


class Split(NamedTuple):
    """For each wide latent its parent among the narrow ones."""

    parent: Int[Tensor, " wide"]
    cosine: Float[Tensor, " wide"]
    containment: Float[Tensor, " wide"] | None  # in the parent; None without activations, NaN for who is never active

    def children(self, latent: int, cosine: float = 0.7, containment: float = 0.9) -> list[int]:
        """The wide latents whose parent this is, with at least that cosine and containment; most alike first."""
        own = (self.parent == latent) & (self.cosine >= cosine)
        if self.containment is not None:
            own &= self.containment >= containment
        members = own.nonzero()[:, 0]
        return members[self.cosine[members].argsort(descending=True, stable=True)].tolist()


@torch.no_grad()
def split(
    narrow: Float[Tensor, "narrow d"],
    wide: Float[Tensor, "wide d"],
    values: Values | None = None,
    wide_values: Values | None = None,
) -> Split:
    """narrow, wide: decoder rows. values, wide_values: activations of both at the same words, in the same chunks.

    ValueError for rows of different widths, and where only one dictionary has activations or they do not fit.
    """
    if narrow.ndim != 2 or wide.ndim != 2 or narrow.shape[1] != wide.shape[1]:
        raise ValueError(f"decoders of one site are [latent d], not {list(narrow.shape)} and {list(wide.shape)}")
    alike = F.normalize(wide, dim=1) @ F.normalize(narrow, dim=1).to(wide).T
    cosine, parent = alike.max(1)
    if (values is None) != (wide_values is None):
        raise ValueError("containment needs the activations of both dictionaries, at the same words")
    if values is None or wide_values is None:
        return Split(parent.cpu(), cosine.cpu(), None)
    together = contained(values, wide_values)
    if together.shape != alike.T.shape:
        raise ValueError(f"these are activations of {list(together.shape)} latents, not of {list(alike.T.shape)}")
    return Split(parent.cpu(), cosine.cpu(), together.gather(0, parent.cpu()[None])[0])


def contained(values: Values, wide_values: Values) -> Float[Tensor, "narrow wide"]:
    """Of the words at which a wide latent is active, the share at which a narrow one is. NaN for one never active."""
    both = active = None
    for a, b in zip(chunks(values), chunks(wide_values), strict=True):
        if len(a) != len(b):
            raise ValueError(f"both must be activations at the same words, not at {len(a)} and {len(b)}")
        here, there = (a > 0).float().T @ (b > 0).float().to(a.device), (b > 0).sum(0).to(a.device)
        both, active = (here, there) if both is None or active is None else (both + here, active + there)
    if both is None or active is None:
        raise ValueError("there are no activations: give at least one row")
    return (both / active).cpu()


class Needed(NamedTuple):
    """How many latents a concept needs, and what their union is worth on held-out texts.

    number: 0 where no union of the size that was allowed is good enough; the F1 is then that of the best one.
    """

    number: Int[Tensor, " concept"]
    f1: Float[Tensor, " concept"]
    choices: list[Choice]


def latents_needed(
    values: Values,
    holds: Bool[Tensor, "n concept"],
    new_values: Values,
    new_holds: Bool[Tensor, "m concept"],
    *,
    bar: float = 0.8,
    most: int = 16,
) -> Needed:
    """The smallest union whose F1 is at least `bar` on the texts where it is chosen, and its F1 on the new ones.

    ValueErrors as for `choose` and `judge`.
    """
    paths = unions(values, holds, k=most, purities=PURITIES)
    sizes = [[len(choice.latents) for choice in path if choice.score >= bar] for path in paths]
    numbers = [min(good, default=0) for good in sizes]
    chosen = [path[number - 1] for path, number in zip(paths, numbers, strict=True)]
    return Needed(torch.tensor(numbers), judge(chosen, new_values, new_holds).f1, chosen)
