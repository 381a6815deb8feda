"""What a stream reads: tokens and a mask, a piece at a time, from the place where it was left.

A corpus is anything that can be gone through: texts, or tokens, one or many at a time.

    "Mira lives in …"             a text                  [3, 1, 4]              the tokens of one
    ["Mira …", "Selby …"]         several                 tokens [batch pos]     of several, all real
                                                          (tokens, mask)         of several, padded

One that can be gone through again (a list, a tensor, a function that returns a new iterator) is read as often as is
asked for, in the order that it has; an iterator ends. Its place is three numbers, so that reading can go on there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

GROUP = 32  # texts, or tokens of one text, that come one at a time are put together, so many at most


class Piece(NamedTuple):
    """Rows that are read together. mask: True at real tokens."""

    tokens: Int[Tensor, "row pos"]
    mask: Bool[Tensor, "row pos"]


class Corpus:
    """A place in a corpus. encode: texts to tokens and mask. epochs: how often it is read; None: without end.

    TypeError for what is neither text nor tokens; ValueError for an iterator that is to be read more than once.
    """

    def __init__(self, source: Any, encode: Callable[[list[str]], tuple[Tensor, Tensor]], epochs: int | None) -> None:
        if isinstance(source, Tensor):
            source = [source]
        elif isinstance(source, str):
            source = [[source]]
        once = not callable(source) and iter(source) is source
        if once and epochs not in (None, 1):
            raise ValueError(f"an iterator can be read once, not {epochs} times: give a list, or what makes it")
        self.source: Iterable[Any] | Callable[[], Iterable[Any]] = source
        self.encode, self.epochs = encode, 1 if once else epochs
        self.epoch = self.item = self.row = 0  # which time round, how many items before, how many rows of what is there
        self._items: Iterator[Any] | None = None
        self._there: Piece | None = None
        self._taken = 0  # how many items `_there` was made of
        self.made = 0  # bytes of tokens that were put together here and not by the caller

    @property
    def place(self) -> tuple[int, int, int]:
        return self.epoch, self.item, self.row

    def go_to(self, place: tuple[int, int, int]) -> None:
        """Go on from a place. An iterator must be a new one, which begins where that one had begun."""
        self.epoch, self.item, self.row = place
        self._items = self._there = None

    def waiting(self) -> Piece | None:
        """What comes next, as it came; None where the corpus has ended."""
        while self._there is None or self.row >= len(self._there.tokens):
            if self._there is not None:
                self.item, self.row, self._there, self.made = self.item + self._taken, 0, None, 0
            if self.epochs is not None and self.epoch >= self.epochs:
                return None
            if self._items is None:
                self._items = self._begin()
            found = self._next()
            if found is not None:
                self._there = found
            elif self.item == 0:
                return None  # nothing in it
            else:
                self.epoch, self.item, self._items = self.epoch + 1, 0, None
        return Piece(*(part[self.row :] for part in self._there))

    def taken(self, rows: int) -> None:
        """So many rows of what was waiting have been read."""
        self.row += rows

    def _begin(self) -> Iterator[Any]:
        items = _Ahead(iter(self.source() if callable(self.source) else self.source))
        for _ in range(self.item):
            items.next()
        return items

    def _next(self) -> Piece | None:
        """The next item, or the next texts where they come one at a time. None where this time round is over."""
        assert isinstance(self._items, _Ahead)
        if (first := self._items.next()) is None:
            return None
        self._taken = 1
        if not _is_one(first):
            return self._piece(first)
        group = [first]
        while len(group) < GROUP and type(self._items.peek()) is type(first) and _is_one(self._items.peek()):
            group.append(self._items.next())
        self._taken = len(group)
        if isinstance(first, str):
            return self._own(Piece(*self.encode(group)))
        return self._own(_padded([torch.as_tensor(one) for one in group]))

    def _own(self, piece: Piece) -> Piece:
        self.made = piece.tokens.nbytes + piece.mask.nbytes
        return piece

    def _piece(self, item: Any) -> Piece:
        if isinstance(item, Tensor):
            return Piece(item, torch.ones_like(item, dtype=torch.bool))
        if isinstance(item, tuple) and len(item) == 2 and all(isinstance(part, Tensor) for part in item):
            tokens, mask = item
            if tokens.ndim != 2 or tokens.shape != mask.shape:
                raise ValueError(f"tokens {list(tokens.shape)} and mask {list(mask.shape)} must both be [batch pos]")
            return Piece(tokens, mask.bool())
        if isinstance(item, list | tuple) and item and all(isinstance(part, str) for part in item):
            return self._own(Piece(*self.encode(list(item))))
        raise TypeError(f"a corpus is made of texts, tokens or (tokens, mask), and this is a {type(item).__name__}")


class _Ahead(Iterator[Any]):
    """An iterator that can be looked into one item ahead. None is its end."""

    def __init__(self, items: Iterator[Any]) -> None:
        self.items = items
        self.seen: list[Any] = []

    def peek(self) -> Any:
        if not self.seen:
            self.seen.append(next(self.items, None))
        return self.seen[0]

    def next(self) -> Any:
        return self.seen.pop() if self.seen else next(self.items, None)

    def __next__(self) -> Any:
        if (item := self.next()) is None:
            raise StopIteration
        return item


def _is_one(item: Any) -> bool:
    """Whether it is one text, or the tokens of one."""
    if isinstance(item, Tensor):
        return item.ndim == 1
    return isinstance(item, str) or (isinstance(item, list) and bool(item) and isinstance(item[0], int))


def _padded(texts: list[Tensor]) -> Piece:
    tokens = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
    lengths = torch.tensor([len(text) for text in texts])
    return Piece(tokens, torch.arange(tokens.shape[1]) < lengths[:, None])
