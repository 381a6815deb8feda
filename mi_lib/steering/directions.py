"""Directions: one vector from two sets of texts, by several recipes; and random ones, which every claim needs.

    difference_of_means    two sets of activations                 Marks & Tegmark 2023, arXiv 2310.06824
    contrastive            pairs that differ in their last token   CAA: Rimsky et al. 2023, arXiv 2312.06681
    actadd                 one pair of prompts, a vector a place   ActAdd: Turner et al. 2023, arXiv 2308.10248
    first_component        where the activations vary most         RepE: Zou et al. 2023, arXiv 2310.01405
    random_like            nothing: random ones of the same norm

Any vector is a direction. A probe's normal (`classifier.coef_[0]`) or a latent's row of a dictionary's decoder goes
into the same ways as these do.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.models.sites import Names
from mi_lib.steering.activations import collect_all
from mi_lib.steering.prompts import rows_of


def difference_of_means(
    positive: Float[Tensor, "positive *rest d"], negative: Float[Tensor, "negative *rest d"]
) -> Float[Tensor, "*rest d"]:
    """μ⁺ − μ⁻, for every site and position by itself. The sets may differ in size.

    ValueError for an empty set or one with a single member, whose mean is that member, and for unlike shapes.
    """
    for which, rows in (("positive", positive), ("negative", negative)):
        if len(rows) < 2:
            raise ValueError(f"the {which} set has {len(rows)} member{'s' * (len(rows) != 1)}: a mean needs several")
    if positive.shape[1:] != negative.shape[1:]:
        raise ValueError(f"the two sets have activations of unlike shapes, {_shape(positive)} and {_shape(negative)}")
    return positive.mean(0) - negative.mean(0)


def contrastive(
    positive: Float[Tensor, "pair *rest d"], negative: Float[Tensor, "pair *rest d"]
) -> Float[Tensor, "*rest d"]:
    """The mean of the pairs' differences (CAA, section 3): row i of both sets answers the same question.

    Collect at the answer: `collect(model, prompts, site, -1)`, where the two prompts of a pair differ in the last token
    alone. Its value is that of `difference_of_means`; what the pairs buy is that everything else cancels.
    ValueError where the sets differ in shape, or hold a single pair.
    """
    if positive.shape != negative.shape:
        raise ValueError(f"pairs need sets of one shape, not {_shape(positive)} and {_shape(negative)}")
    if len(positive) < 2:
        raise ValueError(f"there is {len(positive) or 'no'} pair: a mean needs several")
    return (positive - negative).mean(0)


def actadd(
    model: HookedModel, positive: str | list[int], negative: str | list[int], site: Names, pad: int | None = None
) -> Float[Tensor, "pos d"]:
    """h(p⁺) − h(p⁻) at every position of one pair of prompts (ActAdd, section 3): give it to `ways.add_at_start`.

    The shorter prompt is filled up at its end. pad: with which token; None: with the one of a space, as in the paper,
    or the padding token of a vocabulary without it.
    """
    one, other = (rows_of(model, p if isinstance(p, str) else [p])[0] for p in (positive, negative))
    width = max(len(one), len(other))
    if len(one) != len(other):
        fill = _space(model) if pad is None else pad
        one, other = (row + [fill] * (width - len(row)) for row in (one, other))
    h = collect_all(model, [one, other], site)
    return (h[0] - h[1])[0]


def first_component(rows: Float[Tensor, "row d"]) -> Float[Tensor, " d"]:
    """The unit direction along which the rows vary most (about their mean). Its sign means nothing.

    ValueError for fewer than two rows.
    """
    if len(rows) < 2:
        raise ValueError(f"there is {len(rows) or 'no'} row: nothing varies")
    return torch.linalg.svd(rows - rows.mean(0), full_matrices=False).Vh[0]


def random_like(direction: Float[Tensor, "*rest d"], n: int = 10, seed: int = 0) -> Float[Tensor, "n *rest d"]:
    """n random directions of the same norm, the same ones for the same seed. Every claim about one needs them."""
    drawn = torch.randn(n, *direction.shape, generator=torch.Generator().manual_seed(seed)).to(direction)
    return drawn / drawn.norm(dim=-1, keepdim=True) * direction.norm(dim=-1, keepdim=True)


def shuffled(
    positive: Float[Tensor, "positive *rest d"], negative: Float[Tensor, "negative *rest d"], n: int = 10, seed: int = 0
) -> Float[Tensor, "n *rest d"]:
    """The differences of means after the labels were shuffled, n times: what the recipe finds where nothing differs.

    Scaled to the norm of the true difference, so that only where they point can make a difference.
    """
    true = difference_of_means(positive, negative)
    rows, generator = torch.cat([positive, negative]), torch.Generator().manual_seed(seed)
    found = []
    for _ in range(n):
        order = torch.randperm(len(rows), generator=generator).to(rows.device)
        found.append(difference_of_means(rows[order[: len(positive)]], rows[order[len(positive) :]]))
    drawn = torch.stack(found)
    return drawn / drawn.norm(dim=-1, keepdim=True) * true.norm(dim=-1, keepdim=True)


def projections(states: Float[Tensor, "*batch d"], direction: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
    """⟨x, v̂⟩: how far each state lies along a direction, in the units of the states. Directions may differ by site."""
    return torch.einsum("...d,...d->...", states, unit(direction))


def unit(direction: Float[Tensor, "*rest d"]) -> Float[Tensor, "*rest d"]:
    """v̂, of length 1. ValueError for a direction that is zero or not finite."""
    checked(direction)
    return direction / direction.norm(dim=-1, keepdim=True)


def checked(direction: Any) -> Tensor:
    """The direction. ValueError for one that is no tensor of numbers, not finite, or zero."""
    if not isinstance(direction, Tensor) or not direction.ndim or not direction.is_floating_point():
        raise ValueError(f"a direction is a tensor of numbers [d_model], not {type(direction).__name__}")
    if not torch.isfinite(direction).all():
        raise ValueError("the direction holds NaN or infinite numbers: look at the activations it was made of")
    if not (direction.norm(dim=-1) > 0).all():
        raise ValueError("the direction is zero: the two sets that it was made of do not differ")
    return direction


def _space(model: HookedModel) -> int:
    tokenizer = model.tokenizer
    space = tokenizer.encode(" ", add_special_tokens=False) if tokenizer is not None else []
    if len(space) == 1:
        return int(space[0])
    return int(getattr(tokenizer, "pad_token_id", None) or 0)


def _shape(rows: Tensor) -> str:
    return f"{tuple(rows.shape)}"
