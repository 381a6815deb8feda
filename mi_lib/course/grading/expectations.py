"""What tests say: `expect_close(got, want, "the score of each head")` passes, or raises `Wrong` with a plain sentence.

Every check looks, in this order, at the type, the shape, NaN, the known mistakes, and only then at the numbers.
`got` comes from the learner, always as exact builtin types, tensors, arrays, models or handles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from mi_lib.course.grading.crossing import Handle
from mi_lib.course.grading.process import AnswerError

_ARRAYS = (torch.Tensor, np.ndarray, np.generic)


class Wrong(AssertionError):
    """A wrong answer. The text is the sentence for the learner."""


def expect(condition: object, sentence: str) -> None:
    """Pass if the condition holds, else tell the learner the sentence."""
    if not bool(condition):
        raise Wrong(sentence)


def expect_equal(got: Any, want: Any, what: str, *, mistakes: Mapping[str, Any] | None = None) -> None:
    """Exactly equal: for whole numbers, text, lists of them, and integer or boolean tensors.

    A tuple may stand for a list and a tensor of whole numbers for either, because a learner may well choose so.
    mistakes: {sentence for the learner: the wrong value that shows this mistake}.
    """
    if _same(got, want):
        return
    _tell_mistake(mistakes, lambda wrong: _same(got, wrong))
    if isinstance(want, torch.Tensor | np.ndarray):
        expect_close(got, want, what, atol=0, rtol=0)
    raise Wrong(f"{_capital(what)} should be {show(want)}, but your code gave {show(got)}.")


def expect_close(
    got: Any,
    want: Any,
    what: str,
    *,
    atol: float = 1e-5,
    rtol: float = 1e-4,
    mistakes: Mapping[str, Any] | None = None,
    strict: bool = False,
    axes: str = "",
) -> None:
    """Equal as numbers, within |got − want| ≤ atol + rtol·|want|.

    Passes whatever the floating dtype (float16 and bfloat16 get their own rounding as tolerance), the memory layout,
    and whether it is a tensor, an array or a list; `strict` asks for a tensor.
    axes: names of the axes ("head query key"), used in the sentence. mistakes: as in `expect_equal`.
    """
    target = _numbers(want)
    assert target is not None, f"the test itself compares with {show(want)}"
    values = _as_tensor(got, what, target, strict)
    atol, rtol = _loosen(values, target, atol, rtol)
    target = target.to(torch.complex128 if target.is_complex() else torch.float64)
    values = values.to(torch.complex128 if values.is_complex() else torch.float64)
    if values.shape == target.shape and _close(values, target, atol, rtol):
        return

    def shows(wrong: Any) -> bool:
        wrong = _numbers(wrong)
        return wrong is not None and wrong.shape == values.shape and _close(values, wrong.to(values.dtype), atol, rtol)

    _tell_mistake(mistakes, shows)
    _check_shape(values, target, what, axes, atol, rtol)
    _check_nan(values, target, what)
    raise Wrong(_difference(values, target, what, axes, atol, rtol))


@contextmanager
def expect_raises(kind: str, sentence: str) -> Iterator[None]:
    """The learner's code must raise an exception of this type name (or names, joined by "|"); else it is told."""
    try:
        yield
    except AnswerError as error:
        if error.type_name not in kind.split("|"):
            raise
    else:
        raise Wrong(sentence)


# --- type -------------------------------------------------------------------------------------------------------------


def _as_tensor(got: Any, what: str, want: torch.Tensor, strict: bool) -> torch.Tensor:
    kind = "a number" if want.ndim == 0 else f"a tensor of shape {_shape(want)}"
    if got is None:
        raise Wrong(
            f"{_capital(what)} should be {kind}, but your function returned None. Is a `return` missing at its end?"
        )
    if strict and not isinstance(got, torch.Tensor):
        raise Wrong(f"{_capital(what)} should be a torch tensor, but your code gave {show(got)}.")
    values = _numbers(got)
    if values is None:
        raise Wrong(f"{_capital(what)} should be {kind}, but your code gave {show(got)}.")
    if values.dtype == torch.bool and want.dtype != torch.bool:
        raise Wrong(f"{_capital(what)} should hold numbers, but yours holds True and False. Did you return a mask?")
    return values


def _numbers(x: Any) -> torch.Tensor | None:
    """The value as a tensor, if it is made of numbers."""
    if isinstance(x, torch.Tensor):
        return x.detach().cpu()
    if isinstance(x, np.ndarray | np.generic):
        return torch.from_numpy(np.array(x))
    if isinstance(x, bool | int | float | complex):
        dtype = torch.float64 if isinstance(x, float) else None
        return torch.tensor(x, dtype=dtype) if not isinstance(x, int) or abs(x) < 2**63 else None
    if isinstance(x, list | tuple) and x:
        if all(type(part) in (int, float) for part in x) and any(type(part) is float for part in x):
            return torch.tensor([float(part) for part in x], dtype=torch.float64)
        parts = [_numbers(part) for part in x]
        known = [p for p in parts if p is not None]
        if len(known) < len(parts) or any(p.shape != known[0].shape for p in known):
            return None
        return torch.stack([p.to(torch.result_type(known[0], p)) for p in _one_dtype(known)])
    return torch.zeros(0) if isinstance(x, list | tuple) else None


def _one_dtype(parts: list[torch.Tensor]) -> list[torch.Tensor]:
    dtype = parts[0].dtype
    for part in parts[1:]:
        dtype = torch.promote_types(dtype, part.dtype)
    return [part.to(dtype) for part in parts]


# --- shape ------------------------------------------------------------------------------------------------------------


def _check_shape(got: torch.Tensor, want: torch.Tensor, what: str, axes: str, atol: float, rtol: float) -> None:
    if got.shape == want.shape:
        if got.ndim >= 2:
            _check_transposed(got, want, what, atol, rtol)
        return
    names = f" [{axes}]" if axes else ""
    base = f"{_capital(what)} should have shape {_shape(want)}{names}, but yours has shape {_shape(got)}."
    if want.ndim == 0:
        base = f"{_capital(what)} should be a single number, but yours has shape {_shape(got)}."
    raise Wrong(f"{base}{_shape_hint(got, want)}")


def _shape_hint(got: torch.Tensor, want: torch.Tensor) -> str:
    g, w = list(got.shape), list(want.shape)
    if len(g) == len(w) and sorted(g) == sorted(w):
        return " The sizes are right but in another order: it looks transposed."
    if [n for n in g if n != 1] == [n for n in w if n != 1]:
        return " Only axes of size 1 differ: see squeeze, unsqueeze, or keepdim."
    if len(g) == len(w) + 1:
        for axis in range(len(g)):
            if g[:axis] + g[axis + 1 :] == w:
                return f" Axis {axis} (of size {g[axis]}) is still there: sum or average over it, or pick one entry."
    if len(g) == len(w) and sum(a != b for a, b in zip(g, w, strict=True)) == 1:
        axis = next(i for i, (a, b) in enumerate(zip(g, w, strict=True)) if a != b)
        if abs(g[axis] - w[axis]) == 1:
            return f" Axis {axis} is off by one: look at where your slices start and end."
    return ""


def _check_transposed(got: torch.Tensor, want: torch.Tensor, what: str, atol: float, rtol: float) -> None:
    for a in range(got.ndim):
        for b in range(a):
            turned = got.transpose(a, b)
            if turned.shape == want.shape and _close(turned, want, atol, rtol):
                raise Wrong(
                    f"{_capital(what)} looks transposed: with axes {b} and {a} exchanged, every number would be right."
                )


# --- numbers ----------------------------------------------------------------------------------------------------------


def _close(got: torch.Tensor, want: torch.Tensor, atol: float, rtol: float) -> bool:
    dtype = torch.promote_types(got.dtype, want.dtype)
    return bool(torch.allclose(got.to(dtype), want.to(dtype), atol=atol, rtol=rtol, equal_nan=True))


def _loosen(got: torch.Tensor, want: torch.Tensor, atol: float, rtol: float) -> tuple[float, float]:
    """A right answer in a smaller floating type is right: allow for its rounding (4 units in the last place)."""
    if got.dtype not in (torch.float16, torch.bfloat16) or got.dtype == want.dtype:
        return atol, rtol
    step = 4 * torch.finfo(got.dtype).eps
    scale = float(want.abs().max()) if want.numel() else 0.0
    return max(atol, step * scale), max(rtol, step)


def _check_nan(got: torch.Tensor, want: torch.Tensor, what: str) -> None:
    bad = torch.isnan(got) & ~torch.isnan(want)
    if bad.any():
        raise Wrong(
            f"{_capital(what)} holds NaN (not a number) {_where(bad)}. NaN comes from 0/0, from the logarithm of a "
            "negative number, from ∞ − ∞, or from the mean of nothing."
        )
    infinite = torch.isinf(got) & ~torch.isinf(want)
    if infinite.any():
        raise Wrong(f"{_capital(what)} is infinite {_where(infinite)}. Infinity comes from x/0 or from log(0).")


def _difference(got: torch.Tensor, want: torch.Tensor, what: str, axes: str, atol: float, rtol: float) -> str:
    off = ~torch.isclose(got, want.to(got.dtype), atol=atol, rtol=rtol, equal_nan=True)
    if want.ndim == 0:
        return f"{_capital(what)} should be {_number(want)}, but your code gave {_number(got)}."
    place = tuple(int(i) for i in off.nonzero()[0])
    names = f" ({axes})" if axes else ""
    share = "everywhere" if bool(off.all()) else f"at {int(off.sum())} of {off.numel()} places"
    index = place[0] if len(place) == 1 else list(place)
    return (
        f"{_capital(what)} is wrong {share}: at {index}{names}, for example, it should be {_number(want[place])}, "
        f"but your code gave {_number(got[place])}.{_pattern(got, want, atol, rtol)}"
    )


def _pattern(got: torch.Tensor, want: torch.Tensor, atol: float, rtol: float) -> str:
    """A remark on how the whole differs, where that is plain."""
    if _close(-got, want, atol, rtol):
        return " Only the sign is wrong."
    if want.numel() < 2 or got.is_complex() or want.is_complex():
        return ""
    top = float(want.abs().max())
    if top <= atol or float(got.abs().max()) == 0:
        return ""
    anchor = int(want.abs().argmax())
    denominator = float(want.flatten()[anchor])
    factor = float(got.flatten()[anchor]) / denominator
    if abs(factor) > 1e-3 and _close(got / factor, want, atol, max(rtol, 1e-4)):
        return f" Every number is {factor:.4g} times what it should be."
    shift = float((got - want).flatten()[0])
    if _close(got - shift, want, atol, rtol):
        return f" Every number is {abs(shift):.4g} too {'large' if shift > 0 else 'small'}."
    return ""


def _where(mask: torch.Tensor) -> str:
    if mask.ndim == 0:
        return ""
    place = [int(i) for i in mask.nonzero()[0]]
    index = place[0] if len(place) == 1 else place
    return "everywhere" if bool(mask.all()) else f"at {int(mask.sum())} of {mask.numel()} places, first at {index}"


def _number(x: torch.Tensor) -> str:
    value = x.item()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


# --- equality, mistakes, words ----------------------------------------------------------------------------------------


def _same(got: Any, want: Any) -> bool:
    """Equal, part by part. Only exact types of our own making are compared, never an object with its own `__eq__`."""
    if isinstance(got, _ARRAYS) or isinstance(want, _ARRAYS):
        a, b = _numbers(got), _numbers(want)
        return a is not None and b is not None and a.shape == b.shape and bool((a == b).all())
    if isinstance(want, list | tuple):
        if not isinstance(got, list | tuple) or len(got) != len(want):
            return False
        return all(_same(g, w) for g, w in zip(got, want, strict=True))
    if isinstance(want, dict):
        return isinstance(got, dict) and set(got) == set(want) and all(_same(got[k], want[k]) for k in want)
    if isinstance(want, set | frozenset):
        return isinstance(got, set | frozenset) and set(got) == set(want)
    if isinstance(want, bool) or isinstance(got, bool):
        return got is want
    plain = (int, float, complex, str, bytes, type(None), slice, torch.dtype)
    return isinstance(got, plain) and isinstance(want, plain) and bool(got == want)


def _tell_mistake(mistakes: Mapping[str, Any] | None, shows: Any) -> None:
    for sentence, wrong in (mistakes or {}).items():
        if shows(wrong):
            raise Wrong(sentence)


def show(x: Any) -> str:
    """A value in a few plain words."""
    if x is None:
        return "None"
    if isinstance(x, torch.Tensor | np.ndarray):
        kind = "a tensor" if isinstance(x, torch.Tensor) else "a numpy array"
        return f"{x.tolist()}" if 0 < _size(x) <= 8 and x.ndim <= 2 else f"{kind} of shape {_shape(x)}"
    if isinstance(x, Handle):
        return {"function": "a function", "generator": "a generator (wrap it in list(...))"}.get(
            x.type_name, f"an object of type {x.type_name}"
        )
    if isinstance(x, bool | int | float | complex | str | np.generic):
        return _short(repr(x))
    if isinstance(x, list | tuple | dict | set | frozenset):
        text = str(x) if len(x) <= 12 and not _holds_big(x) else ""
        return text if 0 < len(text) <= 120 else f"a {type(x).__name__} of {len(x)}"
    return f"an object of type {type(x).__name__}"


def _holds_big(x: Any) -> bool:
    values = list(x.values()) if isinstance(x, dict) else list(x)
    return any(not isinstance(v, bool | int | float | str | type(None) | tuple | list) for v in values)


def _size(x: torch.Tensor | np.ndarray) -> int:
    return x.numel() if isinstance(x, torch.Tensor) else int(x.size)


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:117] + "..."


def _shape(x: torch.Tensor | np.ndarray) -> str:
    return f"({', '.join(map(str, x.shape))})" if x.ndim != 1 else f"({x.shape[0]},)"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
