"""Activations handed to a network as if they were words: added to, or put in place of, its own at some positions.

    h ← h + ‖h‖ · v / ‖v‖        at every placeholder, at the output of one block           (`add`)
    h ← ‖h‖ · v / ‖v‖            the alternative, which forgets what stood there             (`replace`)

Karvonen et al. 2025 (arXiv 2512.15674), section 2 and their code: the norm found at the place is kept, so that an
activation from a deep layer, which is long, does not drown an early one; and the prompt's own part (which position it
is) stays, since v is added.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.models.edits import EditFunction

Way = Literal["add", "replace"]
LAYER = 1  # the block at whose output they are added


def at_norm(
    vectors: Float[Tensor, "*batch d_model"], found: Float[Tensor, "*batch d_model"]
) -> Float[Tensor, "*batch d_model"]:
    """The vectors, each as long as what was found at its place. A vector of zeros stays one: it has no direction."""
    length = vectors.norm(dim=-1, keepdim=True)
    return found.norm(dim=-1, keepdim=True) * vectors / length.clamp(min=1e-8)


def add(found: Float[Tensor, "*batch d_model"], vectors: Float[Tensor, "*batch d_model"]) -> Tensor:
    """h + ‖h‖ · v / ‖v‖."""
    return found + at_norm(vectors, found)


def replace(found: Float[Tensor, "*batch d_model"], vectors: Float[Tensor, "*batch d_model"]) -> Tensor:
    """‖h‖ · v / ‖v‖."""
    return at_norm(vectors, found)


WAYS: dict[Way, Callable[[Tensor, Tensor], Tensor]] = {"add": add, "replace": replace}


def inject(
    vectors: Float[Tensor, "batch place d_model"],
    positions: Int[Tensor, "batch place"],
    real: Bool[Tensor, "batch place"] | None = None,
    way: Way = "add",
) -> EditFunction:
    """An edit of a residual stream [batch pos d_model] that puts these vectors at these positions.

    real: which of the places there are (rows may have fewer); all unless given. It edits the prompt alone: what is
    generated afterwards has other positions. ValueError for an unknown way, or where shapes do not fit.
    """
    if way not in get_args(Way):
        raise ValueError(f"there is no way {way!r} to inject; there are {', '.join(get_args(Way))}")
    if vectors.shape[:2] != positions.shape:
        raise ValueError(f"{tuple(vectors.shape[:2])} vectors do not fit {tuple(positions.shape)} positions")
    rows = torch.arange(len(positions))[:, None].expand_as(positions)
    where = torch.ones_like(positions, dtype=torch.bool) if real is None else real
    rows, columns, wanted = rows[where], positions[where], vectors[where]

    def edit(value: Float[Tensor, "batch pos d_model"], hook: object = None) -> Tensor:
        found = value[rows, columns]
        return value.index_put((rows, columns), WAYS[way](found, wanted.to(value)))

    return edit
