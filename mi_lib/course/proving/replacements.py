"""Results that are nonsense, and results that are right in another form: what stands in for a function's own.

A submission of `nonsense` ends with `name = replaced(name, "text")`; the rest happens in the learner's process. The
functions of the file itself still get the true result, so that it is the tests that see the nonsense.
"""

from __future__ import annotations

import collections
import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

NOT_HERE = "this replacement does not fit what the function returns"


class NotHere(Exception):
    """The replacement has no meaning for this result."""

    def __init__(self) -> None:
        super().__init__(NOT_HERE)


class Fitting(Exception):
    """Raised in the place of a result; its text numbers the replacements that fit it."""


Change = Callable[..., Any]  # (result, *arguments) → what is returned instead
WRONG: dict[str, Change] = {}  # a test that lets it pass looks at nothing
OPEN: dict[str, Change] = {}  # the same result in another form: passes, unless the docstring forbids it
EITHER: dict[str, Change] = {}  # may pass or fail, and must not break a test
# Of the wrong ones, those of the right kind and shape: of these it need not be said what should have come instead.
RIGHT_KIND = ("NaN", "infinity", "complex", "counted from the end", "its first argument", "changed in place")


def every() -> dict[str, Change]:
    """All replacements, in an order that stays."""
    return WRONG | OPEN | EITHER


def replaced(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The function with every result that leaves the learner's file replaced. Without a name: it raises `Fitting`."""

    @functools.wraps(function)
    def instead(*args: Any, **kwargs: Any) -> Any:
        value = function(*args, **kwargs)
        if sys._getframe(1).f_globals is getattr(function, "__globals__", None):
            return value
        arguments = (*args, *kwargs.values())
        if not name:
            raise Fitting("fitting: " + " ".join(str(number) for number in _fitting(value, arguments)))
        return every()[name](value, *arguments)

    return instead


def _fitting(value: Any, arguments: tuple[Any, ...]) -> Iterator[int]:
    for number, change in enumerate(every().values()):
        try:
            change(value, *arguments)
        except Exception:  # NotHere, or one that cannot be made of this result, though it is of the right kind
            continue
        yield number


def _named(table: dict[str, Change], name: str) -> Callable[[Change], Change]:
    def put(change: Change) -> Change:
        table[name] = change
        return change

    return put


# --- other kinds --------------------------------------------------------------------------------------------------


def _kind(table: dict[str, Change], name: str, made: Callable[[Any], Any], fits: Callable[[Any], bool]) -> None:
    """A replacement for the results that it fits."""

    def change(value: Any, *arguments: Any) -> Any:
        if not fits(value):
            raise NotHere
        return made(value)

    table[name] = change


def _any(value: Any) -> bool:
    return True


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def _axes(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, Tensor) and value.ndim >= least


def _floats(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, Tensor) and value.is_floating_point())


def _whole(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not value.is_floating_point() and value.dtype != torch.bool and not value.is_complex()
    return isinstance(value, int) and not isinstance(value, bool)


def _kind_of(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


def _filled(value: Any, number: float) -> Any:
    return torch.full_like(value, number) if isinstance(value, Tensor) else number


def _one(value: Tensor, number: float) -> Tensor:
    """The tensor with one of its numbers replaced."""
    value = value.detach().clone()
    value.view(-1)[-1:] = number
    return value


def _transposed(value: Tensor) -> Tensor:
    order = [*range(1, value.ndim), 0]
    return value.permute(order)


for _name, _made, _fits in (
    ("None", lambda value: None, lambda value: value is not None),
    ("a text", lambda value: "0.5", _any),
    ("the result as a text", str, _any),
    ("an empty dictionary", lambda value: {}, lambda value: value != {} if isinstance(value, dict) else True),
    ("a dictionary with the result", lambda value: {"result": value}, _any),
    ("a function", lambda value: lambda: value, _any),
    ("a generator", lambda value: (x for x in [value]), _any),
    ("an object", lambda value: object(), _any),
    ("an empty list", lambda value: [], lambda value: not isinstance(value, list) or bool(value)),
    ("an empty tensor", lambda value: torch.empty(0), lambda value: not _tensor(value) or value.numel() > 0),
    ("the number 0", lambda value: 0, lambda value: not _number(value) and not isinstance(value, bool)),
    ("a list of the result", lambda value: [value], _any),
    ("the result and None", lambda value: (value, None), lambda value: not isinstance(value, tuple)),
    ("a tuple too long", lambda value: (*value, None), _kind_of(tuple)),
    ("a tuple too short", lambda value: value[:-1], _kind_of(tuple)),
    ("the first of a tuple", lambda value: value[0], _kind_of(tuple)),
    ("a list too long", lambda value: [*value, value[-1] if value else 0], _kind_of(list)),
    ("a list with None in it", lambda value: [*value[:-1], None], lambda value: _kind_of(list)(value) and bool(value)),
    ("a dictionary without one key", lambda value: dict(list(value.items())[1:]),
     lambda value: _kind_of(dict)(value) and bool(value)),
    ("a dictionary of texts", lambda value: {str(key): str(v) for key, v in value.items()},
     lambda value: _kind_of(dict)(value) and bool(value)),
    ("a dictionary of None", lambda value: dict.fromkeys(value), lambda value: _kind_of(dict)(value) and bool(value)),
    ("a list of pairs", lambda value: list(value.items()), _kind_of(dict)),
    ("one axis more", lambda value: value[None], _tensor),
    ("one axis more at the end", lambda value: value[..., None], _tensor),
    ("flattened", lambda value: value.flatten(), _axes(2)),
    ("the first row", lambda value: value[0], lambda value: _axes(1)(value) and len(value) > 0),
    ("all but the last row", lambda value: value[:-1], lambda value: _axes(1)(value) and len(value) > 0),
    ("one row too many", lambda value: torch.cat([value, value[-1:]]), lambda v: _axes(1)(v) and len(v) > 0),
    ("a list of tensors", lambda value: list(value), lambda value: _axes(2)(value) and len(value) > 0),
    ("a tensor of one number", lambda value: torch.tensor([value, value]), _number),
    ("NaN", lambda value: _filled(value, float("nan")), _floats),
    ("infinity", lambda value: _filled(value, float("inf")), _floats),
    ("complex", lambda value: value + 1j, _floats),
    ("floats for whole numbers", lambda value: value.double() + 0.25 if _tensor(value) else value + 0.25, _whole),
    ("counted from the end", lambda value: -1 - value, _whole),
):  # fmt: skip
    _kind(WRONG, _name, _made, _fits)

for _name, _made, _fits in (
    ("numpy", lambda value: value.detach().numpy(), _tensor),
    ("a numpy number", np.float64, _kind_of(float)),
    ("a whole numpy number", np.int64, lambda value: _number(value) and isinstance(value, int)),
    ("a tensor without axes", torch.tensor, _number),
    ("nested lists", lambda value: value.tolist(), lambda value: _axes(1)(value) and value.numel() > 0),
    ("not contiguous", lambda value: value.mT.contiguous().mT, _axes(2)),
    ("a list for a tuple", list, _kind_of(tuple)),
    ("a tuple for a list", tuple, _kind_of(list)),
    ("an ordered dictionary", collections.OrderedDict, _kind_of(dict)),
    ("a parameter", lambda value: torch.nn.Parameter(value.detach()), lambda v: _tensor(v) and _floats(v)),
):
    _kind(OPEN, _name, _made, _fits)

for _name, _made, _fits in (
    ("axes turned", _transposed, _axes(2)),
    ("the last two axes exchanged", lambda value: value.mT, _axes(2)),
    ("a tuple the other way round", lambda value: value[::-1], _kind_of(tuple)),
    ("a list the other way round", lambda value: value[::-1], _kind_of(list)),
    ("truncated", lambda value: value.long() if _tensor(value) else int(value), _floats),
    ("the same as floats", lambda value: value.double() if _tensor(value) else float(value), _whole),
    ("a tensor of truth values", lambda value: value > 0, _tensor),
    ("a truth value", bool, _number),
    ("one NaN", lambda value: _one(value, float("nan")), lambda v: _tensor(v) and _floats(v) and v.numel() > 0),
    ("in float32", lambda value: value.float(), lambda value: _tensor(value) and _floats(value)),
    ("in float16", lambda value: value.half(), lambda value: _tensor(value) and _floats(value)),
    ("in float64", lambda value: value.double(), lambda value: _tensor(value) and _floats(value)),
    ("in int8", lambda value: value.to(torch.int8), lambda value: _tensor(value) and _whole(value)),
    ("a list of tensors of one number each", list, lambda value: _tensor(value) and value.ndim == 1),
    ("sparse", lambda value: value.detach().to_sparse(), _axes(1)),
    ("a number too large for 64 bits", lambda value: 2**70, _any),
    ("itself in itself", lambda value: _endless(), _any),
):
    _kind(EITHER, _name, _made, _fits)


def _endless() -> list[Any]:
    result: list[Any] = []
    result.append(result)
    return result


# --- inside of tuples, lists and dictionaries; and what a function does to its arguments ---------------------------


def _inside(change: Change, last: bool) -> Change:
    """The change made to the first or the last item only."""

    def inner(value: Any, *arguments: Any) -> Any:
        if not isinstance(value, tuple | list | dict) or not value:
            raise NotHere
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = keys[-1] if last else keys[0]
        if isinstance(value, dict):
            return value | {key: change(value[key])}
        items = [*value[:key], change(value[key]), *value[key + 1 :]]
        return items if isinstance(value, list) else tuple(items)

    return inner


for _name in ("None", "a text", "one axis more", "the first row", "a list of tensors", "NaN", "counted from the end",
              "a dictionary with the result", "complex", "all but the last row"):  # fmt: skip
    WRONG[f"first item: {_name}"] = _inside(WRONG[_name], last=False)
    WRONG[f"last item: {_name}"] = _inside(WRONG[_name], last=True)
for _name in ("numpy", "nested lists", "a numpy number", "a tensor without axes"):
    OPEN[f"first item: {_name}"] = _inside(OPEN[_name], last=False)


@_named(WRONG, "its first argument")
def _first_argument(value: Any, *arguments: Any) -> Any:
    if (
        not arguments
        or value is arguments[0]
        or (_tensor(arguments[0]) and _tensor(value) and arguments[0].shape == value.shape)
    ):
        raise NotHere
    return arguments[0]


@_named(WRONG, "tensors among its arguments changed in place")
def _changes_tensors(value: Any, *arguments: Any) -> Any:
    tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
    if not tensors:
        raise NotHere
    value = _copied(value)  # else what was returned would change too
    with torch.no_grad():
        for tensor in tensors:
            tensor.logical_not_() if tensor.dtype == torch.bool else tensor.mul_(2).add_(1)
    return value


@_named(WRONG, "lists and dictionaries among its arguments changed in place")
def _changes_containers(value: Any, *arguments: Any) -> Any:
    containers = [argument for argument in arguments if isinstance(argument, list | dict)]
    if not containers:
        raise NotHere
    value = _copied(value)
    for container in containers:
        if isinstance(container, list):
            container.append(None)
        else:
            container["added"] = None
    return value


@_named(WRONG, "the weights of a model among its arguments changed in place")
def _changes_models(value: Any, *arguments: Any) -> Any:
    models = [argument for argument in arguments if isinstance(argument, torch.nn.Module)]
    if not models:
        raise NotHere
    value = _copied(value)
    with torch.no_grad():
        for model in models:
            next(iter(model.parameters())).mul_(2)
    return value


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, tuple | list):
        return type(value)(_copied(item) for item in value)
    return {key: _copied(item) for key, item in value.items()} if isinstance(value, dict) else value
