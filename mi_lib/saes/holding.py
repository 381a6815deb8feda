"""How many bytes a piece of work holds: every storage that torch makes inside, for as long as it lives.

    with Holding() as held:
        model(tokens)
    held.peak

What was there before counts for nothing, however it is viewed inside. What one kernel of torch takes and gives back
within itself is not seen.
"""

from __future__ import annotations

import weakref
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary


class Holding(TorchDispatchMode):
    """now, peak: bytes, on whichever device they are."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: WeakIdKeyDictionary = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, Tensor):
                self._known[leaf.untyped_storage()] = True  # seen as an input first: it was there before
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor) and (storage := leaf.untyped_storage()) not in self._known:
                self._known[storage] = True
                self._add(storage.nbytes())
                weakref.finalize(storage, self._add, -storage.nbytes())
        return out

    def _add(self, n: int) -> None:
        self.now += n
        self.peak = max(self.peak, self.now)
