"""In the learner's process: which arguments a call has changed in place.

    watch = Watch(args, kwargs)
    ...                        # the learner's function runs
    watch.report()             # [[0, "numbers"], ["model", "hooks"]]: position or keyword, and what was changed

A report can be silenced by the code that it is about; it can only ever cost points.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import nn

HOW = ("numbers", "entries", "weights", "hooks", "gradients", "mode")
MAX_BYTES = 32 * 2**20  # of a call's tensors that are compared number by number; beyond, torch's own count of edits
MAX_DEPTH = 8
_HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
)  # fmt: skip
_NUMBERS_OF = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

Mark = tuple[str, Callable[[], bool]]  # (what would have been changed, whether it is as it was)


class Watch:
    """The arguments of one call as they were before it."""

    def __init__(self, args: list[Any], kwargs: dict[str, Any]) -> None:
        self._bytes_left = MAX_BYTES
        self._seen: set[int] = set()
        self._marks: list[tuple[int | str, str, Callable[[], bool]]] = []
        given: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
        for label, value in given:
            with suppress(Exception):  # an object of the learner's own that cannot be looked at
                self._marks += [(label, how, unchanged) for how, unchanged in self._of(value, 0)]

    def report(self) -> list[list[int | str]]:
        """What was changed, each kind once for each argument."""
        found: dict[tuple[int | str, str], None] = {}
        for label, how, unchanged in self._marks:
            with suppress(Exception):
                if (label, how) not in found and not unchanged():
                    found[label, how] = None
        return [list(pair) for pair in found]

    def _of(self, value: Any, depth: int) -> Iterator[Mark]:
        """The marks of a value and of everything in it."""
        if value is None or isinstance(value, bool | int | float | str | bytes) or depth > MAX_DEPTH:
            return
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        if isinstance(value, torch.Tensor):
            yield from self._tensor(value)
        elif isinstance(value, np.ndarray):
            yield from self._array(value)
        elif isinstance(value, nn.Module):
            yield from self._module(value)
        else:
            yield from self._container(value, depth)

    def _tensor(self, x: torch.Tensor) -> Iterator[Mark]:
        requires_grad = x.requires_grad
        as_before = self._numbers(x)
        yield "numbers", lambda: as_before(x)
        yield "gradients", lambda: x.requires_grad == requires_grad

    def _numbers(self, x: torch.Tensor) -> Callable[[torch.Tensor], bool]:
        """Whether a tensor holds the numbers that x holds at this moment."""
        size = x.numel() * x.element_size()
        if size > self._bytes_left:
            version, shape = x._version, x.shape
            return lambda y: y is x and y._version == version and y.shape == shape
        self._bytes_left -= size
        before = x.detach().clone()
        return lambda y: _equal(y, before)

    def _array(self, x: np.ndarray) -> Iterator[Mark]:
        if x.nbytes <= self._bytes_left:
            self._bytes_left -= x.nbytes
            before, shape = x.tobytes(), x.shape
            yield "numbers", lambda: x.shape == shape and x.tobytes() == before

    def _module(self, model: nn.Module) -> Iterator[Mark]:
        as_before = {name: self._numbers(x) for name, x in _weights(model).items()}
        grads = {name: x.requires_grad for name, x in _weights(model).items()}
        modes, hooks, active = _modes(model), _hooks(model), _active(model)

        def same_weights() -> bool:
            now = _weights(model)
            return set(now) == set(as_before) and all(as_before[name](x) for name, x in now.items())

        yield "weights", same_weights
        yield "gradients", lambda: {name: x.requires_grad for name, x in _weights(model).items()} == grads
        yield "mode", lambda: _modes(model) == modes
        yield "hooks", lambda: _hooks(model) == hooks and _active(model) == active

    def _container(self, value: Any, depth: int) -> Iterator[Mark]:
        if isinstance(value, list | tuple):
            parts = list(value)
            yield "entries", lambda: _alike(list(value), parts)
        elif isinstance(value, Mapping):
            items = dict(value)
            parts = list(items.values())
            yield "entries", lambda: set(value) == set(items) and _alike([value[key] for key in items], parts)
        elif isinstance(value, set | frozenset):
            members = set(value)
            parts = []
            yield "entries", lambda: value == members
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = [f.name for f in dataclasses.fields(value)]
            parts = [getattr(value, name) for name in fields]
            yield "entries", lambda: _alike([getattr(value, name) for name in fields], parts)
        else:
            return
        for part in parts:
            yield from self._of(part, depth + 1)


def _equal(x: torch.Tensor, before: torch.Tensor) -> bool:
    """Bit for bit, so that NaN is what it was."""
    if x.shape != before.shape or x.dtype != before.dtype:
        return False
    return torch.equal(_as_whole(x.detach()), _as_whole(before))


def _as_whole(x: torch.Tensor) -> torch.Tensor:
    x = x.resolve_conj().resolve_neg() if x.is_complex() else x
    x = torch.view_as_real(x) if x.is_complex() else x
    return x.view(_NUMBERS_OF[x.element_size()]) if x.dtype != torch.bool else x


def _alike(now: list[Any], before: list[Any]) -> bool:
    """The same things in the same order: the same objects, or equal plain values."""
    plain = (bool, int, float, str, bytes, type(None))
    return len(now) == len(before) and all(
        a is b or (type(a) is type(b) and isinstance(a, plain) and a == b) for a, b in zip(now, before, strict=True)
    )


def _weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _modes(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


def _hooks(model: nn.Module) -> list[list[int]]:
    """The numbers of torch's own hooks in each part of a model."""
    return [list(getattr(module, name, {})) for module in model.modules() for name in _HOOKS]


def _active(model: nn.Module) -> list[str]:
    """The sites of a `HookedModel` that somebody reads or edits."""
    if not hasattr(model, "active") or not hasattr(model, "hook_names"):
        return []
    return [name for name in model.hook_names if model.active(name)]  # type: ignore[union-attr,operator]
