"""Which part makes a method fail? Straighten it, and see whether the failure goes.

A method of first order is right wherever everything between the two runs is a straight line. So an error has a place:
some softmax or some MLP that is bent between the corrupted run and the clean one. To straighten it is to put the chord
in the place of the curve:

    an MLP's neuron    post_clean + (pre − pre_clean) · (post_corrupted − post_clean) / (pre_corrupted − pre_clean)
    a head's softmax   A_clean + t (A_corrupted − A_clean), and t is how far the scores of this query have come on the
                       way from the clean ones to the corrupted ones: ⟨s − s_clean, d⟩ / ⟨d, d⟩, where d is the whole
                       way, s_corrupted − s_clean

Neither of the two runs changes by it, nor what any edge carries in them; all that lies between them does. If a method
and exact patching agree from then on, it was this part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from mi_lib.attribution.pairs import read_pairs
from mi_lib.models import Hook, HookedModel
from mi_lib.models.graph import head_of, senders

Edit = tuple[Any, Callable[[Tensor, Hook], Tensor | None]]


@contextmanager
def straightened(
    model: HookedModel, clean: Int[Tensor, "batch pos"], corrupted: Int[Tensor, "batch pos"], part: str
) -> Iterator[HookedModel]:
    """Within the `with` block a head's softmax ("a1.h2") or an MLP's neurons ("m1") follow the chord between two runs.

    Runs inside must be of these pairs, in this order; several copies of the batch behind each other are allowed.
    ValueError for a part that the model does not have, and for prompts of unequal length.
    """
    clean, corrupted, _ = read_pairs(model, clean, corrupted)
    head, edits = _head(model, part), None
    if head:
        edits = _chord_of_softmax(model, clean, corrupted, *head)
    elif part.startswith("m") and part in senders(model.cfg):
        edits = _chord_of_neurons(model, clean, corrupted, int(part[1:]))
    if edits is None:
        raise ValueError(f"{part!r} is no head and no MLP of this model; write a1.h2 for a head, m1 for an MLP")
    with model.hooks(edits):
        yield model


@contextmanager
def silenced(model: HookedModel, part: str) -> Iterator[HookedModel]:
    """Within the `with` block a head ("a1.h2") or an MLP ("m1") writes nothing, in every run.

    ValueError for a part that the model does not have.
    """
    head = _head(model, part)

    def mute(value: Tensor, hook: Hook) -> Tensor:
        if head is None:
            return 0 * value  # what is written is 0, and gradients still find their way
        value[:, :, head[1]] = 0
        return value

    if part not in senders(model.cfg) or "embed" in part:
        raise ValueError(f"{part!r} is no head and no MLP of this model; write a1.h2 for a head, m1 for an MLP")
    with model.hooks([(("z", head[0]) if head else ("mlp_out", int(part[1:])), mute)]):
        yield model


def _head(model: HookedModel, part: str) -> tuple[int, int] | None:
    return head_of(part) if part in senders(model.cfg) else None


def _ends(model: HookedModel, clean: Tensor, corrupted: Tensor, sites: list[Any]) -> tuple[Any, Any]:
    """What these sites hold in both runs."""
    return model.run_with_cache(clean, sites)[1], model.run_with_cache(corrupted, sites)[1]


def _chord_of_neurons(model: HookedModel, clean: Tensor, corrupted: Tensor, layer: int) -> list[Edit]:
    pre, post = ("pre", layer), ("post", layer)
    now, then = _ends(model, clean, corrupted, [pre, post])
    run, rise = then[pre] - now[pre], then[post] - now[post]
    slope = torch.where(run == 0, 0.0, rise / torch.where(run == 0, 1.0, run))
    kept: list[Tensor] = []

    def note(value: Tensor, hook: Hook) -> None:
        kept[:] = [value]

    def put(value: Tensor, hook: Hook) -> Tensor:
        return _like(now[post], value) + _like(slope, value) * (kept[0] - _like(now[pre], value))

    return [(pre, note), (post, put)]


def _chord_of_softmax(model: HookedModel, clean: Tensor, corrupted: Tensor, layer: int, head: int) -> list[Edit]:
    scores, pattern = ("attn_scores", layer), ("pattern", layer)
    now, then = _ends(model, clean, corrupted, [scores, pattern])

    def seen(value: Tensor) -> Tensor:  # masked scores are −∞
        return torch.where(value[:, head].isfinite(), value[:, head], 0.0)

    start, along = seen(now[scores]), seen(then[scores]) - seen(now[scores])
    length = along.pow(2).sum(-1, keepdim=True)
    first, turn = now[pattern][:, head], then[pattern][:, head] - now[pattern][:, head]
    kept: list[Tensor] = []

    def note(value: Tensor, hook: Hook) -> None:
        kept[:] = [seen(value)]

    def put(value: Tensor, hook: Hook) -> Tensor:
        way = ((kept[0] - _like(start, value)) * _like(along, value)).sum(-1, keepdim=True)
        t = way / _like(length, value).clamp_min(torch.finfo(value.dtype).tiny)
        new = value.clone()
        new[:, head] = _like(first, value) + t * _like(turn, value)
        return new

    return [(scores, note), (pattern, put)]


def _like(kept: Tensor, value: Tensor) -> Tensor:
    """Once for each copy of the batch."""
    return kept.repeat(len(value) // len(kept), *(1,) * (kept.ndim - 1))
