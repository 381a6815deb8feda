"""What a result should be: an annotation as an object that looks at a value, takes what is left open, names the rest.

    kind.fit(value, look) -> the value in the one form that tests see; `Misfit` if it is of another kind altogether

What the annotation leaves open is brought to one form: arrays and nested lists of numbers become tensors where a tensor
is annotated, anything that holds one number becomes a float, a list may stand for a tuple. A tensor of other axes, or
of fractions where whole numbers are asked for, is noted in `look.complaints`, and the test goes on with it.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from mi_lib.course.grading.crossing import Handle
from mi_lib.course.grading.expectations import UNUSUAL, numbers, shape_hint, shape_in_words, show
from mi_lib.models import HookedModel, Transformer

MAX_LISTED = 100_000  # numbers of a tensor that may stand for a list
_EXACT = 2**24  # whole numbers up to here are exact in float32


class Misfit(Exception):
    """A value of another kind. The text says what it should be; the hint, what may help."""

    def __init__(self, kind: Kind, value: Any, subject: str, hint: str = "") -> None:
        what = describe(value)
        super().__init__(f"{subject} should be {kind.one}, but it is {what}.{' ' if hint else ''}{hint}")


@dataclass
class Look:
    """One look at one result: sizes of the axes that are known, what is being looked at, what was found."""

    subject: str  # "What your embed returns"
    sizes: dict[str, int | None] = field(default_factory=dict)  # None: two arguments disagree
    whole: dict[str, int] = field(default_factory=dict)  # whole numbers among the arguments: pos+n_new
    complaints: list[str] = field(default_factory=list)
    part: bool = False  # of a tuple, list or dict

    def at(self, subject: str) -> Look:
        """The same look at a part of the result."""
        return Look(subject, self.sizes, self.whole, self.complaints, part=True)

    def size(self, axis: str) -> int | None:
        """How many entries an axis has, if that is known: "3", "batch", "pos-1"."""
        if axis.isdigit():
            return int(axis)
        if axis in self.sizes:
            return self.sizes[axis]
        if axis.isidentifier():
            return None
        try:
            return _arithmetic(ast.parse(axis, mode="eval").body, {**self.whole, **self.sizes})
        except (SyntaxError, ValueError, ZeroDivisionError):
            return None

    def bind(self, axis: str, size: int) -> None:
        """An argument or an earlier part of the result has this size along an axis."""
        if axis.isdigit() or axis == "_":
            return
        self.sizes[axis] = size if self.sizes.get(axis, size) == size else None


_OPERATORS: dict[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


def _arithmetic(node: ast.AST, names: dict[str, int | None]) -> int | None:
    """A sum, difference, product or quotient of whole numbers and names; None if a name is unknown."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _arithmetic(node.left, names), _arithmetic(node.right, names)
        return None if left is None or right is None else _OPERATORS[type(node.op)](left, right)
    return None


class Kind:
    """Anything at all: what an annotation says that we cannot read."""

    one = "something"  # as in "should be …"
    many = "things"

    def fit(self, value: Any, look: Look) -> Any:
        """The value as tests see it. Raises `Misfit`; adds to `look.complaints`."""
        return value

    def bind(self, value: Any, look: Look) -> None:
        """Learn the sizes of axes from an argument of this kind."""

    def refusal(self, value: Any, look: Look) -> str:
        """The sentence for a value by its shape alone, before its numbers are there; "" if the shape may be right."""
        return ""


# --- tensors ----------------------------------------------------------------------------------------------------------

_OF = {
    "float": "floating-point numbers",
    "int": "whole numbers",
    "bool": "True and False",
    "complex": "complex numbers",
}


@dataclass(frozen=True)
class TensorKind(Kind):
    """`Float[Tensor, "batch pos"]`. axes None: any shape."""

    of: str = "any"  # or float, int, bool, complex
    axes: tuple[str, ...] | None = None
    dtype: torch.dtype | None = None

    @property
    def one(self) -> str:  # type: ignore[override]
        of = f" of {_OF[self.of]}" if self.of in _OF else ""
        if self.axes == ():
            return f"a tensor with a single number ({_OF[self.of]})" if self.of in _OF else "a tensor with one number"
        return f"a tensor{of}{f' [{self.names}]' if self.axes else ''}"

    @property
    def many(self) -> str:  # type: ignore[override]
        return f"tensors{f' [{self.names}]' if self.axes else ''}"

    @property
    def names(self) -> str:
        return " ".join(self.axes or ())

    def fit(self, value: Any, look: Look) -> torch.Tensor:
        x = self._tensor(value, look)
        x = self._typed(x, value, look)
        if self.axes is not None:
            self._shaped(x, look)
        return x

    def bind(self, value: Any, look: Look) -> None:
        if isinstance(value, torch.Tensor | np.ndarray) and self.axes is not None:
            for axis, size in self._paired(tuple(value.shape)) or ():
                look.bind(axis, size)

    def refusal(self, value: Any, look: Look) -> str:
        if not isinstance(value, torch.Tensor) or self.axes is None:
            return ""
        pairs = self._paired(tuple(value.shape))
        return self._misshapen(value, look) if pairs is None or _contradicts(pairs, look) else ""

    def _tensor(self, value: Any, look: Look) -> torch.Tensor:
        """One tensor, of whatever holds numbers."""
        if isinstance(value, torch.Tensor):
            return value
        if isinstance(value, list | tuple) and any(isinstance(v, torch.Tensor) and v.ndim for v in _leaves(value)):
            raise Misfit(self, value, look.subject, "`torch.stack` makes one tensor of several.")
        x = numbers(value)
        if x is None:
            raise Misfit(self, value, look.subject, _RETURN if value is None else "")
        if not isinstance(value, list | tuple | np.ndarray):
            return self._of_number(x, value, look)
        return x

    def _of_number(self, x: torch.Tensor, value: Any, look: Look) -> torch.Tensor:
        """A plain number: as a part, 0 may stand for zeros; one that should be a tensor has lost its gradient."""
        sizes = [look.size(axis) for axis in self.axes or ()]
        if look.part and sizes and None not in sizes and x.dtype != torch.bool and not bool(x):
            return torch.zeros(tuple(int(n) for n in sizes if n is not None), dtype=x.dtype)
        if self.axes is None or not self.axes:
            look.complaints.append(
                f"{look.subject} should be {self.one}, but it is the plain number {show(value)}. A plain number "
                "carries no gradient: leave `.item()` and `float(...)` out."
            )
        return x

    def _typed(self, x: torch.Tensor, value: Any, look: Look) -> torch.Tensor:
        """The numbers of the type that was asked for, where that changes nothing."""
        if x.dtype in UNUSUAL:
            look.complaints.append(
                f"{look.subject} has the dtype {_dtype(x)}, with which torch can hardly compute. "
                f"Use {str(UNUSUAL[x.dtype]).removeprefix('torch.')}."
            )
            x = x.to(UNUSUAL[x.dtype])
        if self.of == "any":
            return x
        if x.dtype == torch.bool and self.of != "bool":
            raise Misfit(self, value, look.subject, "Did you return a mask?")
        if x.is_complex() and self.of != "complex":
            raise Misfit(self, value, look.subject, "See `.real` and `.abs()`.")
        x = {"float": _floating, "int": self._whole, "bool": self._truth, "complex": _same}[self.of](x, look)
        if self.dtype is not None and x.dtype != self.dtype:
            look.complaints.append(
                f"{look.subject} should have the dtype {str(self.dtype).removeprefix('torch.')}, not {_dtype(x)}."
            )
        return x

    def _whole(self, x: torch.Tensor, look: Look) -> torch.Tensor:
        if not x.is_floating_point():
            return x
        if x.numel() or x.ndim != 1:  # an empty list has no type of its own
            look.complaints.append(f"{look.subject} should hold whole numbers (int64), but its dtype is {_dtype(x)}.")
        exact = bool((x.isfinite() & (x == x.round()) & (x.abs() < 2**62)).all())
        return x.to(torch.int64) if exact else x

    def _truth(self, x: torch.Tensor, look: Look) -> torch.Tensor:
        if x.dtype == torch.bool:
            return x
        if x.numel():
            look.complaints.append(f"{look.subject} should hold True and False (bool), but its dtype is {_dtype(x)}.")
        return x == 1 if bool(((x == 0) | (x == 1)).all()) else x

    # --- axes -------------------------------------------------------------------------------------------------------

    def _paired(self, shape: tuple[int, ...]) -> list[tuple[str, int]] | None:
        """Each named axis with its size; None if there are too few or too many."""
        axes = list(self.axes or ())
        free = [i for i, axis in enumerate(axes) if axis == "..." or axis.startswith("*")]
        if not free:
            return list(zip(axes, shape, strict=True)) if len(axes) == len(shape) else None
        before, after = axes[: free[0]], axes[free[0] + 1 :]
        if len(shape) < len(before) + len(after):
            return None
        middle = shape[len(before) : len(shape) - len(after)]
        named = [(f"{axes[free[0]]}{len(middle)}:{i}", size) for i, size in enumerate(middle)]
        many = (f"{axes[free[0]]}:", len(middle))
        ends = list(zip(after, shape[len(shape) - len(after) :], strict=True))
        return [*zip(before, shape, strict=False), many, *named, *ends]

    def _shaped(self, x: torch.Tensor, look: Look) -> None:
        pairs = self._paired(tuple(x.shape))
        if pairs is None or _contradicts(pairs, look):
            look.complaints.append(self._misshapen(x, look))
        else:
            for axis, size in pairs:
                look.bind(axis, size)

    def _misshapen(self, x: torch.Tensor, look: Look) -> str:
        if not self.axes:
            return f"{look.subject} should be a single number, but it has the shape {shape_in_words(x)}."
        sizes = [look.size(axis) for axis in self.axes]
        if "..." in self.axes and look.size("...:") is not None:
            count = look.size("...:") or 0
            at = self.axes.index("...")
            sizes[at : at + 1] = [look.size(f"...{count}:{i}") for i in range(count)]
            axes = [*self.axes[:at], *["..."] * count, *self.axes[at + 1 :]]
        else:
            axes = list(self.axes)
        words = ", ".join(axis if size is None else str(size) for axis, size in zip(axes, sizes, strict=True))
        comma = "," if len(sizes) == 1 else ""
        named = not any(size is not None for size in sizes)
        shape = f"{len(self.axes)} {'axis' if len(self.axes) == 1 else 'axes'}" if named else f"shape ({words}{comma})"
        hint = ""
        if None not in sizes:
            hint = shape_hint(list(x.shape), [int(n) for n in sizes if n is not None])
        return f"{look.subject} should have {shape} [{self.names}], but it has shape {shape_in_words(x)}.{hint}"


def _contradicts(pairs: list[tuple[str, int]], look: Look) -> bool:
    """Whether these sizes differ from what is known of the axes, or among themselves."""
    first = dict(reversed(pairs))
    return any(look.size(axis) not in (None, size) or (axis != "_" and first[axis] != size) for axis, size in pairs)


_RETURN = "Is a `return` missing at the end of your function?"


def _floating(x: torch.Tensor, look: Look) -> torch.Tensor:
    """Whole numbers as floats, exactly: in the default type where it can hold them."""
    if x.is_floating_point():
        return x
    return x.to(torch.float32 if not x.numel() or int(x.max()) < _EXACT > -int(x.min()) else torch.float64)


def _same(x: torch.Tensor, look: Look) -> torch.Tensor:
    return x


def _leaves(value: Any) -> Iterator[Any]:
    """The parts of nested lists and tuples."""
    for part in value:
        if isinstance(part, list | tuple):
            yield from _leaves(part)
        else:
            yield part


def _dtype(x: torch.Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


# --- numbers and text -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Number(Kind):
    """`float`, `int` or `bool`."""

    of: type

    @property
    def one(self) -> str:  # type: ignore[override]
        return {float: "a number", int: "a whole number", bool: "True or False"}.get(self.of, "a number")

    @property
    def many(self) -> str:  # type: ignore[override]
        return {float: "numbers", int: "whole numbers", bool: "True and False"}.get(self.of, "numbers")

    def fit(self, value: Any, look: Look) -> Any:
        if type(value) is self.of:
            return value
        x = self._single(value, look)
        if isinstance(x, complex) or (isinstance(x, bool) and self.of is not bool):
            raise Misfit(self, value, look.subject)
        if self.of is float:
            return _float(x)
        if self.of is int:
            return self._int(x, look)
        if not isinstance(x, bool):
            look.complaints.append(f"{look.subject} should be True or False, but it is {show(value)}.")
            return bool(x) if x in (0, 1) else x
        return x

    def refusal(self, value: Any, look: Look) -> str:
        return _no_tensor(self, value, look)

    def _single(self, value: Any, look: Look) -> Any:
        """The one number that a tensor or array holds."""
        if isinstance(value, torch.Tensor | np.ndarray) and shape_size(value) == 1:
            if value.ndim:
                look.complaints.append(
                    f"{look.subject} should be {self.one}, but it has the shape {shape_in_words(value)}."
                )
            return value.reshape(()).item()
        if isinstance(value, np.generic):
            value = value.item()
        if not isinstance(value, bool | int | float | complex):
            raise Misfit(self, value, look.subject, _RETURN if value is None else "")
        return value

    def _int(self, x: int | float, look: Look) -> int | float:
        if isinstance(x, int):
            return int(x)
        look.complaints.append(f"{look.subject} should be a whole number (an int), but it is the float {x!r}.")
        return int(x) if x.is_integer() else x


def _float(x: int | float) -> float:
    try:
        return float(x)
    except OverflowError:
        return float("inf") if x > 0 else -float("inf")


def shape_size(x: torch.Tensor | np.ndarray) -> int:
    return x.numel() if isinstance(x, torch.Tensor) else int(x.size)


@dataclass(frozen=True)
class Exactly(Kind):
    """A value of one builtin type: a text, None."""

    type: type
    one: str  # type: ignore[misc]
    many: str  # type: ignore[misc]

    def fit(self, value: Any, look: Look) -> Any:
        if not isinstance(value, self.type):
            raise Misfit(self, value, look.subject, _RETURN if value is None else "")
        return value

    def refusal(self, value: Any, look: Look) -> str:
        return _no_tensor(self, value, look)


def _no_tensor(kind: Kind, value: Any, look: Look) -> str:
    """The sentence for a large tensor where there should be none."""
    if isinstance(value, torch.Tensor) and value.numel() > 8:  # fewer are shown as numbers
        return str(Misfit(kind, value, look.subject))
    return ""


# --- containers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ListOf(Kind):
    """`list[int]`, `tuple[int, ...]`, `Sequence[…]`. make: list or tuple."""

    item: Kind
    make: type = list

    @property
    def one(self) -> str:  # type: ignore[override]
        return f"a {self.make.__name__} of {self.item.many}"

    @property
    def many(self) -> str:  # type: ignore[override]
        return f"{self.make.__name__}s of {self.item.many}"

    def fit(self, value: Any, look: Look) -> Any:
        parts = _parts(value)
        if parts is None:
            raise Misfit(self, value, look.subject, _RETURN if value is None else "")
        if isinstance(self.item, Number) and all(type(part) is self.item.of for part in parts):
            return self.make(parts)
        return self.make(self.item.fit(part, look.at(_entry(look, i))) for i, part in enumerate(parts))

    def bind(self, value: Any, look: Look) -> None:
        for part in value if isinstance(value, list | tuple) else ():
            self.item.bind(part, look)

    def refusal(self, value: Any, look: Look) -> str:
        parts = enumerate(value if isinstance(value, list | tuple) else ())
        return next((why for i, part in parts if (why := self.item.refusal(part, look.at(_entry(look, i))))), "")


def _entry(look: Look, i: int) -> str:
    return f"Entry {i} of {look.subject[:1].lower()}{look.subject[1:]}"


def _parts(value: Any) -> list[Any] | None:
    """What a sequence holds, in order; a set of numbers may stand for a list of them."""
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, torch.Tensor | np.ndarray) and value.ndim:
        if shape_size(value) > MAX_LISTED:
            return None
        return value.tolist() if value.ndim == 1 else list(value)
    if isinstance(value, set | frozenset) and all(isinstance(v, int | float) for v in value):
        return sorted(value)
    return None


_PLACES = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


@dataclass(frozen=True)
class TupleOf(Kind):
    """`tuple[Tensor, list[float]]`: so many things, each of its own kind."""

    items: tuple[Kind, ...]

    @property
    def one(self) -> str:  # type: ignore[override]
        return f"{_COUNTS.get(len(self.items), len(self.items))} things: ({'; '.join(item.one for item in self.items)})"

    @property
    def many(self) -> str:  # type: ignore[override]
        return f"tuples of {len(self.items)} things"

    def fit(self, value: Any, look: Look) -> tuple[Any, ...]:
        parts = None if isinstance(value, set | frozenset) else _parts(value)
        if parts is None:
            raise Misfit(self, value, look.subject, _RETURN if value is None else "")
        if len(parts) != len(self.items):
            raise Misfit(self, value, look.subject, f"That is {len(parts)}, not {len(self.items)}.")
        return tuple(
            item.fit(part, look.at(self._place(look, i)))
            for i, (item, part) in enumerate(zip(self.items, parts, strict=True))
        )

    def bind(self, value: Any, look: Look) -> None:
        if isinstance(value, list | tuple) and len(value) == len(self.items):
            for item, part in zip(self.items, value, strict=True):
                item.bind(part, look)

    def refusal(self, value: Any, look: Look) -> str:
        if not isinstance(value, list | tuple) or len(value) != len(self.items):
            return ""
        parts = enumerate(zip(self.items, value, strict=True))
        return next((w for i, (item, part) in parts if (w := item.refusal(part, look.at(self._place(look, i))))), "")

    def _place(self, look: Look, i: int) -> str:
        place = _PLACES[i] if i < len(_PLACES) else f"{i + 1}th"
        return f"The {place} part of {look.subject[:1].lower()}{look.subject[1:]}"


_COUNTS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}


@dataclass(frozen=True)
class DictOf(Kind):
    """`dict[str, Tensor]`."""

    key: Kind
    value: Kind

    @property
    def one(self) -> str:  # type: ignore[override]
        return f"a dict{self._from_to}"

    @property
    def many(self) -> str:  # type: ignore[override]
        return f"dicts{self._from_to}"

    @property
    def _from_to(self) -> str:
        return "" if type(self.value) is Kind else f" from {self.key.many} to {self.value.many}"

    def fit(self, value: Any, look: Look) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise Misfit(self, value, look.subject, _RETURN if value is None else "")
        fitted = {}
        for key, part in value.items():
            at = f"The entry {show(key)} of {look.subject[:1].lower()}{look.subject[1:]}"
            key = self.key.fit(key, look.at(f"The key {show(key)} of {look.subject[:1].lower()}{look.subject[1:]}"))
            fitted[key] = self.value.fit(part, look.at(at))
        return fitted

    def bind(self, value: Any, look: Look) -> None:
        for part in value.values() if isinstance(value, dict) else ():
            self.value.bind(part, look)

    def refusal(self, value: Any, look: Look) -> str:
        items = value.items() if isinstance(value, dict) else ()
        of = f"of {look.subject[:1].lower()}{look.subject[1:]}"
        whys = (self.value.refusal(part, look.at(f"The entry {show(key)} {of}")) for key, part in items)
        return next(filter(None, whys), "")


@dataclass(frozen=True)
class OneOf(Kind):
    """`str | None`: the first of these that takes the value without a complaint, else the first that takes it."""

    kinds: tuple[Kind, ...]

    @property
    def one(self) -> str:  # type: ignore[override]
        return " or ".join(kind.one for kind in self.kinds)

    @property
    def many(self) -> str:  # type: ignore[override]
        return " or ".join(kind.many for kind in self.kinds)

    def fit(self, value: Any, look: Look) -> Any:
        second: tuple[Any, Look] | None = None
        for kind in self.kinds:
            attempt = Look(look.subject, dict(look.sizes), look.whole, part=look.part)
            try:
                fitted = kind.fit(value, attempt)
            except Misfit:
                continue
            if not attempt.complaints:
                return fitted
            second = second or (fitted, attempt)
        if second is None:
            raise Misfit(self, value, look.subject, _RETURN if value is None else "")
        look.complaints += second[1].complaints
        return second[0]

    def refusal(self, value: Any, look: Look) -> str:
        whys = [kind.refusal(value, Look(look.subject, dict(look.sizes), look.whole)) for kind in self.kinds]
        return whys[0] if all(whys) else ""

    def bind(self, value: Any, look: Look) -> None:
        if value is not None and len(rest := [kind for kind in self.kinds if not isinstance(kind, Exactly)]) == 1:
            rest[0].bind(value, look)


# --- what stays with the learner --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Object(Kind):
    """A function, an iterator, a model, an object of a class: no plain data."""

    one: str  # type: ignore[misc]
    many: str  # type: ignore[misc]
    takes: Callable[[Any], bool] = lambda value: True

    def fit(self, value: Any, look: Look) -> Any:
        plain = not isinstance(value, Handle | HookedModel)
        if plain or not self.takes(value):
            raise Misfit(self, value, look.subject, _RETURN if value is None else "")
        return value

    def bind(self, value: Any, look: Look) -> None:
        """A model knows the sizes of its own axes; what the tensors say goes first."""
        if isinstance(value, HookedModel):
            for axis, name in _SIZES_OF_A_MODEL.items():
                size = getattr(value.cfg, name, None)
                if type(size) is int:
                    look.sizes.setdefault(axis, size)


_SIZES_OF_A_MODEL = {
    **{name: name for name in ("d_model", "d_vocab", "d_head", "d_mlp")},
    "layer": "n_layers",
    "head": "n_heads",
    "neuron": "d_mlp",
}
FUNCTION = Object("a function", "functions", lambda value: isinstance(value, Handle) and value.callable)
ITERATOR = Object("an iterator", "iterators", lambda value: isinstance(value, Handle))
TRANSFORMER = Object("a Transformer", "Transformers", lambda value: isinstance(value, Transformer))


# --- words ------------------------------------------------------------------------------------------------------------


def describe(value: Any) -> str:
    """A value in a few words, with the type of its numbers."""
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {shape_in_words(value)} and dtype {_dtype(value)}"
    if isinstance(value, np.ndarray):
        return f"a numpy array of shape {shape_in_words(value)} and dtype {value.dtype}"
    if isinstance(value, list | tuple) and value and all(isinstance(v, torch.Tensor) for v in value):
        return f"a {type(value).__name__} of {len(value)} {'tensors' if len(value) > 1 else 'tensor'}"
    if isinstance(value, str):
        return f"the text {show(value)}"
    if isinstance(value, HookedModel):
        return "a model"
    return show(value)


def oddity(value: Any, error: Exception) -> str:
    """What about a result of the right kind may have broken a test that computed with it; "" if nothing stands out."""
    if isinstance(value, dict) and isinstance(error, KeyError):
        return (
            f"a dict with the keys {show(list(value))}, and {show(error.args[0]) if error.args else 'one'} is missing"
        )
    for x in _number_parts(value):
        if not x.numel():
            return f"{describe(value)}, which is empty"
        if (x.is_floating_point() or x.is_complex()) and not bool(x.isfinite().all()):
            return f"{describe(value)}, with NaN or infinity in it"
        if not x.is_floating_point() and not x.is_complex() and (int(x.min()) < 0 or isinstance(error, IndexError)):
            return f"{describe(value)}, with whole numbers from {int(x.min())} to {int(x.max())}"
    if isinstance(value, list | tuple) and (isinstance(error, IndexError) or not value):
        return describe(value)
    return ""


def _number_parts(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in a result, and its lists of numbers as tensors."""
    if isinstance(value, dict):
        value = list(value.values())
    x = numbers(value) if not isinstance(value, list | tuple) or value else None
    if x is not None:
        yield x
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _number_parts(part)
