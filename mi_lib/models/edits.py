"""Who reads and edits which site: functions that belong to the caller, not to the network.

They are kept in a context variable. So two threads that run one network at the same time do not see each other's edits,
two wrappers around one network see the same ones, and a copy of a network starts without any.

    key       what stands for a network: the native model itself, or the `Instrument` inside a `transformers` model
    name      a site: "blocks.1.attn.hook_z"
    Entry     one function that is called there, in the order in which they were registered
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from mi_lib.models.sites import Hook

EditFunction = Callable[[Tensor, Hook], Tensor | None]


class Entry(NamedTuple):
    """A function at a site.

    edit: is handed a copy, so that whatever it does to it reaches nobody who keeps the value. What it returns flows on;
        if it returns None, the copy does where it was changed in place, else the value as it was.
    rows: an edit that makes its own copy. read: looks only; what it returns has the same numbers. backward: is called
        with the gradient with respect to the activation, and may return another.
    """

    function: EditFunction
    kind: Literal["edit", "rows", "read", "backward"] = "edit"


Sites = Mapping[str, tuple[Entry, ...]]
_EMPTY: Sites = {}
# Never changed in place: every registration makes new dictionaries, so a context that was copied keeps its own.
_ACTIVE: ContextVar[Mapping[Hashable, Sites]] = ContextVar("mi_lib sites", default={})  # noqa: B039

_AROUND: ContextVar[Callable[[Tensor, Entry, Hook], Tensor | None] | None] = ContextVar("mi_lib around", default=None)


def sites_of(key: Hashable) -> Sites:
    """What is registered now, in this context, for one network."""
    return _ACTIVE.get().get(key, _EMPTY)


@contextmanager
def registered(key: Hashable, entries: Sequence[tuple[str, Entry]]) -> Iterator[None]:
    """Register (site name, entry) pairs for the time of the `with` block, in this context only."""
    own = [(name, Entry(*entry)) for name, entry in entries]
    _set(key, [*_flat(key), *own])
    try:
        yield
    finally:
        left = _flat(key)
        for name, entry in own:  # by identity, from the end: an outer context may have registered the same function
            for i in reversed(range(len(left))):
                if left[i][0] == name and left[i][1] is entry:
                    del left[i]
                    break
        _set(key, left)


def _flat(key: Hashable) -> list[tuple[str, Entry]]:
    return [(name, entry) for name, entries in sites_of(key).items() for entry in entries]


def _set(key: Hashable, entries: list[tuple[str, Entry]]) -> None:
    sites: dict[str, tuple[Entry, ...]] = {}
    for name, entry in entries:
        sites[name] = (*sites.get(name, ()), entry)
    others = {k: v for k, v in _ACTIVE.get().items() if k is not key}
    _ACTIVE.set({**others, key: sites} if sites else others)


def offer(key: Hashable, name: str, value: Tensor) -> tuple[Tensor, bool]:
    """Offer an activation to whoever registered for it: (what flows on, whether an edit has changed it).

    Where nothing was changed, what flows on has the same numbers, and is the same tensor unless gradients are kept.
    """
    entries = sites_of(key).get(name)
    if not entries:
        return value, False
    changed, hook = False, Hook(name)
    for entry in entries:
        if entry.kind == "read":
            new = entry.function(value, hook)
            value = value if new is None else new
        elif entry.kind == "backward":
            value = _watched(value, entry.function, hook)
        else:
            new = _edited(value, entry, hook)
            if new is not None:
                value, changed = new, True
    return value, changed


def _edited(value: Tensor, entry: Entry, hook: Hook) -> Tensor | None:
    """What an edit makes of a value; None if it leaves it as it is."""
    if entry.kind == "rows":
        return entry.function(value, hook)
    around = _AROUND.get()
    if around is not None:
        return around(value, entry, hook)
    return call_edit(value, entry, hook)


def call_edit(value: Tensor, entry: Entry, hook: Hook) -> Tensor | None:
    """Call an edit with a copy of the value. None if it leaves the value as it is."""
    given = value.clone()
    before = _version(given)
    new = entry.function(given, hook)
    if new is None or new is given:
        touched = _version(given) != before if before is not None else not torch.equal(given, value)
        return given if touched else None
    if not isinstance(new, Tensor):
        raise TypeError(f"the edit at {hook.name} must return a tensor or None, not a {type(new).__name__}")
    if new.shape != value.shape:
        raise ValueError(f"the edit at {hook.name} returned shape {tuple(new.shape)}, not {tuple(value.shape)}")
    return new.to(value.dtype)


@contextmanager
def edits_called_by(around: Callable[[Tensor, Entry, Hook], Tensor | None]) -> Iterator[None]:
    """Inside the `with` block edits are called by `around` instead of `call_edit` (see `whole`)."""
    token = _AROUND.set(around)
    try:
        yield
    finally:
        _AROUND.reset(token)


def _version(value: Tensor) -> int | None:
    """Torch's count of changes in place; None where it keeps none."""
    return None if value.is_inference() else value._version


def tracked(value: Tensor) -> Tensor:
    """The value as a part of a graph of its own, so that gradients with respect to it exist: always a new tensor."""
    return value.view_as(value) if value.requires_grad else value.detach().requires_grad_()


def _watched(value: Tensor, function: Callable[[Tensor, Hook], Tensor | None], hook: Hook) -> Tensor:
    if not torch.is_grad_enabled():
        raise RuntimeError(f"a backward hook at {hook.name} needs gradients: run the model under torch.enable_grad()")
    value = tracked(value)

    def on_gradient(gradient: Tensor) -> Tensor | None:
        new = function(gradient.clone(), hook)
        if new is not None and new.shape != gradient.shape:
            raise ValueError(f"the backward hook at {hook.name} returned shape {tuple(new.shape)}")
        return new

    value.register_hook(on_gradient)
    return value


def exactly(value: Tensor, path: Tensor) -> Tensor:
    """The numbers of `value` with the gradient of `path`, which is the same quantity computed another way.

    Reading must not move a model's numbers, not even by rounding; yet a gradient must pass through what was read.
    """
    if not (torch.is_grad_enabled() and path.requires_grad):
        return value
    path = path.to(value.dtype)
    return value.detach() + (path - path.detach())


class Beside(torch.autograd.Function):
    """`Beside.apply(value, given, compute)`: value, which is also compute(given), with gradients to both.

    For what is read beside the way that the model's numbers take (the input of one head's queries). What `given` was
    made of gets its gradient from `value` alone, and so do the weights inside `compute`: nothing is counted twice.
    """

    @staticmethod
    def forward(ctx: Any, value: Tensor, given: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.compute = compute
        ctx.save_for_backward(given)
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        with torch.enable_grad():
            given = ctx.saved_tensors[0].detach().requires_grad_()
            (to_given,) = torch.autograd.grad(ctx.compute(given), given, gradient)
        return gradient, to_given, None


def changed_at(key: Hashable, names: Sequence[str]) -> list[str]:
    """Those of the names at which an edit is registered."""
    sites: Any = sites_of(key)
    return [name for name in names if any(entry.kind in ("edit", "rows") for entry in sites.get(name, ()))]
