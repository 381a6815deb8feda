"""`Again`: a block of a run, computed once more at some positions of copies of it, into which another stream enters.

All in a block but attention works on each position by itself. So the positions that are to be computed, of all copies,
stand one behind the other in a single row [1 place d_model], however many of each copy there are. Attention alone must
know which place is where:

    spread    the new keys and values of each copy are put among those that the run had: whole texts, for attention
    gather    of what attention finds, only what stands at these places goes on

    with remembering() as past:                      # what attention saw in the run, by layer
        model(tokens)
    out = model._block_again(3, stream, Again(copy, pos, copies, past[3]))
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.models.sites import layer_of

Heads = Float[Tensor, "row pos head d_head"]


class Remembered(NamedTuple):
    """What one layer's attention saw in a run, and with which other arguments its block was called."""

    keys: Float[Tensor, "batch pos kv_head d_head"]
    values: Float[Tensor, "batch pos kv_head d_head"]
    allowed: Bool[Tensor, "#batch 1 query key"] | Float[Tensor, "#batch 1 query key"] | None  # None: what came before
    arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})


Past = dict[int, Remembered]


class Enough(Exception):
    """Ends a block once its keys and values are known."""

    def __init__(self, keys: Heads, values: Heads) -> None:
        super().__init__()
        self.keys, self.values = keys, values


@dataclass(frozen=True)
class Again:
    """Place i is position `pos[i]` of copy `copy[i]`. Copy c is one of text c modulo the number of texts in `before`.

    before: of the layer that is computed; it may also hold keys and values of every copy. What is computed in other
        places is as it was there.
    keys_only: stop once keys and values are known.
    """

    copy: Int[Tensor, " place"]
    pos: Int[Tensor, " place"]
    copies: int
    before: Remembered
    keys_only: bool = False

    @property
    def length(self) -> int:
        return self.before.keys.shape[1]

    @cached_property
    def first(self) -> int:
        """The first position that is computed in any copy."""
        return int(self.pos.min())

    @property
    def allowed(self) -> Tensor:
        """Which keys the queries from `first` on may see, in all copies."""
        mask = self.before.allowed
        if mask is None:
            ones = torch.ones(self.length, self.length, dtype=torch.bool, device=self.pos.device)
            mask = ones.tril()[None, None]
        mask = mask[:, :, self.first :]
        return mask if len(mask) == 1 else mask.repeat(self.copies // len(mask), 1, 1, 1)

    def spread(self, q: Heads, k: Heads, v: Heads) -> tuple[Heads, Heads, Heads]:
        """Queries of all copies from position `first` on, and keys and values of all positions.

        Queries that are not computed are 0. Raises Enough if only the keys and values are wanted.
        """
        k, v = (self._among(old, new) for old, new in ((self.before.keys, k), (self.before.values, v)))
        if self.keys_only:
            raise Enough(k, v)
        queries = q.new_zeros(self.copies, self.length - self.first, *q.shape[2:])
        queries.flatten(0, 1).index_copy_(0, self._at(queries), q[0])
        return queries, k, v

    def gather(self, z: Heads) -> Float[Tensor, "1 place head d_head"]:
        """What stands at the places, of what attention found for the queries of `spread`."""
        return z.flatten(0, 1).index_select(0, self._at(z))[None]

    def _among(self, old: Heads, new: Heads) -> Heads:
        whole = old.repeat(self.copies // len(old), 1, 1, 1)
        whole.flatten(0, 1).index_copy_(0, self.copy * self.length + self.pos, new[0])
        return whole

    def _at(self, queries: Heads) -> Int[Tensor, " place"]:
        return self.copy * queries.shape[1] + self.pos - self.first

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Those of the block in the run, at these places. Masks are not passed on: `allowed` stands for them."""
        args, kwargs = self.before.arguments
        return tuple(map(self._here, args)), {name: self._here(value) for name, value in kwargs.items()}

    def _here(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(self._here, value))
        if isinstance(value, Tensor) and value.ndim == 4:
            return None
        if not isinstance(value, Tensor) or value.ndim < 2 or value.shape[1] != self.length:
            return value
        return value[self.copy % len(value), self.pos][None]  # of positions: what turns queries and keys, say

    def with_keys_of(self, found: Enough) -> Remembered:
        return self.before._replace(keys=found.keys, values=found.values)

    def only_keys(self) -> Again:
        return replace(self, keys_only=True)


AGAIN: ContextVar[Again | None] = ContextVar("mi_lib block computed again", default=None)
_PAST: ContextVar[Past | None] = ContextVar("mi_lib run remembered", default=None)


@contextmanager
def running_again(again: Again) -> Iterator[None]:
    """Inside, the attention of the one block that runs takes its rows as places."""
    token = AGAIN.set(again)
    try:
        yield
    finally:
        AGAIN.reset(token)


@contextmanager
def remembering() -> Iterator[Past]:
    """Inside, a run leaves here what its attention saw, by layer."""
    past: Past = {}
    token = _PAST.set(past)
    try:
        yield past
    finally:
        _PAST.reset(token)


def remember_call(layer: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Told by a block: with what it was called, besides the stream."""
    if (past := _PAST.get()) is not None:
        nothing = torch.empty(0)
        past[layer] = Remembered(nothing, nothing, None, (args, kwargs))


def remember(attention: str, keys: Heads, values: Heads, allowed: Tensor | None) -> None:
    """Told by attention ("blocks.3.attn"), inside the block."""
    if (past := _PAST.get()) is not None:
        layer = layer_of(attention)
        assert layer is not None
        past[layer] = past[layer]._replace(keys=keys.detach(), values=values.detach(), allowed=allowed)
