"""Where a training gets its batches from, and how it goes on there: a tensor, a stream, or batches as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.saes.checkpoints import checksum
from mi_lib.saes.streaming import ActivationStream

SAMPLE = 256  # rows by which a tensor is known again


class Source(Protocol):
    """An iterator over batches [batch d] that knows where it is."""

    def __next__(self) -> Tensor: ...

    def about(self) -> dict[str, Any]:
        """By what it is known again."""

    def state(self) -> dict[str, Tensor]: ...

    def restore(self, state: dict[str, Tensor]) -> None: ...


def source_of(data: Tensor | Iterable[Tensor], batch: int, seed: int) -> Source:
    if isinstance(data, Tensor):
        return Rows(data, batch, seed)
    return data if isinstance(data, ActivationStream) else Batches(data)


class Rows:
    """Batches of a tensor's rows without end, in a new order each time round."""

    def __init__(self, data: Float[Tensor, "n d"], batch: int, seed: int) -> None:
        self.data, self.batch, self.seed = data, batch, seed
        self.generator = torch.Generator().manual_seed(seed)
        self._begin()

    def _begin(self) -> None:
        self.before = self.generator.get_state()
        self.order = torch.randperm(len(self.data), generator=self.generator).split(self.batch)
        self.place = 0

    def __next__(self) -> Float[Tensor, "batch d"]:
        if not len(self.data):
            raise StopIteration
        if self.place == len(self.order):
            self._begin()
        self.place += 1
        return self.data[self.order[self.place - 1].to(self.data.device)]

    def about(self) -> dict[str, Any]:
        some = self.data[:: max(1, len(self.data) // SAMPLE)].detach().cpu().contiguous()
        return {"shape": list(self.data.shape), "checksum": checksum(some)}

    def state(self) -> dict[str, Tensor]:
        return {"generator": self.before, "place": torch.tensor(self.place)}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.generator.set_state(state["generator"])
        self._begin()
        self.place = int(state["place"])


class Batches:
    """Batches as they come. To go on, it must be given the same ones again from the first on, and skips what it had."""

    def __init__(self, data: Iterable[Tensor]) -> None:
        self.data: Iterator[Tensor] = iter(data)
        self.place = 0

    def __next__(self) -> Float[Tensor, "batch d"]:
        self.place += 1
        return next(self.data)

    def about(self) -> dict[str, Any]:
        return {}

    def state(self) -> dict[str, Tensor]:
        return {"place": torch.tensor(self.place)}

    def restore(self, state: dict[str, Tensor]) -> None:
        while self.place < int(state["place"]) and next(self.data, None) is not None:
            self.place += 1
