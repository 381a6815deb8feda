"""What tests say: `expect_close(got, want, "the score of each head")` passes, or raises `Wrong` with a plain sentence.

Every check looks, in this order, at the type, the shape, NaN, the known mistakes, and only then at the numbers.
`got` comes from the learner, always as exact builtin types, tensors, arrays, models or handles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from mi_lib.course.grading.crossing import Handle
from mi_lib.course.grading.process import AnswerError

_ARRAYS = (torch.Tensor, np.ndarray, np.generic)
UNUSUAL = {  # types that torch knows and computes next to nothing with, and what holds the same numbers
    torch.uint16: torch.int64,
    torch.uint32: torch.int64,
    torch.uint64: torch.int64,
    torch.float8_e4m3fn: torch.float32,
    torch.float8_e5m2: torch.float32,
}


# {sentence for the learner: the wrong value that shows this mistake}. A function that makes it is called only where an
# answer is wrong: some values take many runs of a model. A value of None shows nothing.
Mistakes = Mapping[str, Any] | Callable[[], Mapping[str, Any]]

# How much a sentence says about the fault, most first: of several, the most telling leads.
MISTAKE, SENTENCE, IN_PLACE, SHAPE, NUMBERS, RAISED = range(6)


class Wrong(AssertionError):
    """A wrong answer. The text is the sentence for the learner; `rank`, how much it says about the fault."""

    def __init__(self, sentence: str, rank: int = SENTENCE) -> None:
        super().__init__(sentence)
        self.rank = rank


def expect(condition: object, sentence: str) -> None:
    """Pass if the condition holds, else tell the learner the sentence."""
    if not bool(condition):
        raise Wrong(sentence)


def expect_equal(got: Any, want: Any, what: str, *, mistakes: Mistakes | None = None) -> None:
    """Exactly equal: for whole numbers, text, lists of them, and integer or boolean tensors.

    A tuple may stand for a list and a tensor of whole numbers for either, because a learner may well choose so.
    mistakes: {sentence for the learner: the wrong value that shows this mistake}, or a function that makes it.
    """
    if _same(got, want):
        return
    _tell_mistake(mistakes, lambda wrong: _same(got, wrong) and not _same(wrong, want))
    if isinstance(want, torch.Tensor | np.ndarray):
        expect_close(got, want, what, atol=0, rtol=0)
    raise Wrong(f"{_capital(what)} should be {show(want)}, but your code gave {show(got)}.", NUMBERS)


def expect_close(
    got: Any,
    want: Any,
    what: str,
    *,
    atol: float = 1e-5,
    rtol: float = 1e-4,
    mistakes: Mistakes | None = None,
    strict: bool = False,
    axes: str = "",
) -> None:
    """Equal as numbers, within |got − want| ≤ atol + rtol·|want|.

    Passes whatever the floating dtype (float16 and bfloat16 get their own rounding as tolerance), the memory layout,
    and whether it is a tensor, an array or a list; `strict` asks for a tensor.
    axes: names of the axes ("head query key"), used in the sentence. mistakes: as in `expect_equal`.
    """
    target = numbers(want)
    assert target is not None, f"the test itself compares with {show(want)}"
    values = _as_tensor(got, what, target, strict)
    atol, rtol = _loosen(values, target, atol, rtol)
    target = _doubled(target)
    if values.shape == target.shape:
        values = _doubled(values)
        if _close(values, target, atol, rtol):
            return

    def shows(wrong: Any) -> bool:
        wrong = numbers(wrong)
        if wrong is None or wrong.shape != values.shape:
            return False
        double = _doubled(values)
        wrong = wrong.to(torch.promote_types(wrong.dtype, double.dtype))
        return _close(double, wrong, atol, rtol) and _tells(wrong, target, atol, rtol)

    _tell_mistake(mistakes, shows)
    _check_shape(values, target, what, axes, atol, rtol)
    _check_nan(values, target, what)
    raise Wrong(_difference(values, target, what, axes, atol, rtol), NUMBERS)


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
    kind = "a number" if want.ndim == 0 else f"a tensor of shape {shape_in_words(want)}"
    if got is None:
        raise Wrong(
            f"{_capital(what)} should be {kind}, but your function returned None. Is a `return` missing at its end?",
            SHAPE,
        )
    if strict and not isinstance(got, torch.Tensor):
        raise Wrong(f"{_capital(what)} should be a torch tensor, but your code gave {show(got)}.", SHAPE)
    values = numbers(got)
    if values is None:
        raise Wrong(f"{_capital(what)} should be {kind}, but your code gave {show(got)}.", SHAPE)
    if values.dtype == torch.bool and want.dtype != torch.bool:
        sentence = f"{_capital(what)} should hold numbers, but yours holds True and False. Did you return a mask?"
        raise Wrong(sentence, SHAPE)
    return values


def _doubled(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.complex128 if x.is_complex() else torch.float64)


def numbers(x: Any) -> torch.Tensor | None:
    """The value as a tensor, if it is made of numbers. Nested lists of them take as long as they have entries."""
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu()
        return x.to(UNUSUAL.get(x.dtype, x.dtype))
    if isinstance(x, np.ndarray | np.generic):
        return numbers(torch.from_numpy(np.array(x)))
    if isinstance(x, bool | int | float | complex):
        dtype = torch.float64 if isinstance(x, float) else None
        return torch.tensor(x, dtype=dtype) if not isinstance(x, int) or abs(x) < 2**63 else None
    if isinstance(x, list | tuple):
        return _of_list(x) if x else torch.zeros(0)
    return None


_PLAIN = {bool, int, float, complex}


def _of_list(x: list[Any] | tuple[Any, ...]) -> torch.Tensor | None:
    kinds = set(map(type, x))
    if kinds <= _PLAIN:
        return _of_plain(x, kinds)
    if kinds <= {list, tuple}:
        lengths = set(map(len, x))
        if len(lengths) > 1:
            return None
        (length,) = lengths
        flat = numbers([part for row in x for part in row])
        return flat if flat is None else flat.reshape(len(x), length, *flat.shape[1:])
    parts = [numbers(part) for part in x]
    known = [p for p in parts if p is not None]
    if len(known) < len(parts) or any(p.shape != known[0].shape for p in known):
        return None
    return torch.stack(_one_dtype(known))


def _of_plain(x: list[Any] | tuple[Any, ...], kinds: set[type]) -> torch.Tensor | None:
    """Numbers of these types in a row; None where one is too large for the type that all of them go into."""
    try:
        if complex in kinds:
            return torch.tensor(x, dtype=None if kinds == {complex} else torch.complex128)
        return torch.tensor(x, dtype=torch.float64 if float in kinds else None)
    except (OverflowError, RuntimeError, ValueError):
        return None


def _one_dtype(parts: list[torch.Tensor]) -> list[torch.Tensor]:
    dtype = parts[0].dtype
    for other in {part.dtype for part in parts}:
        dtype = torch.promote_types(dtype, other)
    return [part.to(dtype) for part in parts]


# --- shape ------------------------------------------------------------------------------------------------------------


def _check_shape(got: torch.Tensor, want: torch.Tensor, what: str, axes: str, atol: float, rtol: float) -> None:
    if got.shape == want.shape:
        if got.ndim >= 2:
            _check_transposed(got, want, what, atol, rtol)
        return
    names = f" [{axes}]" if axes else ""
    base = (
        f"{_capital(what)} should have shape {shape_in_words(want)}{names}, but yours has shape {shape_in_words(got)}."
    )
    if want.ndim == 0:
        base = f"{_capital(what)} should be a single number, but yours has shape {shape_in_words(got)}."
    raise Wrong(f"{base}{shape_hint(list(got.shape), list(want.shape))}", SHAPE)


def shape_hint(g: list[int], w: list[int]) -> str:
    """A remark on how a shape differs from the right one, with a space before it."""
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
                    f"{_says(what, 'looks', 'look')} transposed: with axes {b} and {a} exchanged, "
                    "every number would be right.",
                    MISTAKE,
                )


# --- numbers ----------------------------------------------------------------------------------------------------------


def _close(got: torch.Tensor, want: torch.Tensor, atol: float, rtol: float) -> bool:
    dtype = torch.promote_types(got.dtype, want.dtype)
    return bool(torch.allclose(got.to(dtype), want.to(dtype), atol=atol, rtol=rtol, equal_nan=True))


def _tells(wrong: torch.Tensor, want: torch.Tensor, atol: float, rtol: float) -> bool:
    """Whether a known mistake can be told from the right answer by its numbers: NaN comes of too many slips."""
    numbers_there = ~torch.isnan(wrong)
    if wrong.shape != want.shape:
        return bool(numbers_there.any()) or not wrong.numel()
    dtype = torch.promote_types(wrong.dtype, want.dtype)
    apart = ~torch.isclose(wrong.to(dtype), want.to(dtype), atol=atol, rtol=rtol, equal_nan=True)
    return bool((apart & numbers_there).any())


def _loosen(got: torch.Tensor, want: torch.Tensor, atol: float, rtol: float) -> tuple[float, float]:
    """A right answer in a smaller floating type is right: allow for its rounding (4 units in the last place)."""
    if got.dtype not in (torch.float16, torch.bfloat16) or got.dtype == want.dtype:
        return atol, rtol
    step = 4 * torch.finfo(got.dtype).eps
    scale = float(want.abs().max()) if want.numel() else 0.0
    return max(atol, step * scale), max(rtol, step)


# Where the noun ends of which something is said: "the losses of each step" are many, "the loss of two steps" is one.
_NOUN_ENDS = re.compile(
    r"[,:(]| (?:of|for|in|at|on|with|by|from|after|before|behind|beside|between|over|under|per|mod|to|that|if|when"
    r"|where|which|whose|without|as|along|given|among|while|against|until|about|into|together)\b"
)


def _many(what: str) -> bool:
    """Whether a text names several things: "the vectors", "weights W_E", "W and b"; not "the loss", "what it adds"."""
    noun = _NOUN_ENDS.split(f"{what} ")[0].strip()
    words = noun.split()
    if not words or words[0].lower() in ("what", "how", "who", "which", "where"):
        return False
    while len(words) > 1 and re.search(r"[A-Z_.\d]", words[-1]):  # a name behind the noun
        words.pop()
    return " and " in noun or bool(re.search(r"[^aisu']s$", words[-1])) or words[-1] == "both"


def _says(what: str, one: str, many: str) -> str:
    """What is said of it, with the verb that fits."""
    return f"{_capital(what)} {many if _many(what) else one}"


def _check_nan(got: torch.Tensor, want: torch.Tensor, what: str) -> None:
    bad = torch.isnan(got) & ~torch.isnan(want)
    if bad.any():
        raise Wrong(
            f"{_says(what, 'holds', 'hold')} NaN (not a number) {_where(bad)}. NaN comes from 0/0, from the logarithm "
            "of a negative number, from ∞ − ∞, or from the mean of nothing.",
            NUMBERS,
        )
    infinite = torch.isinf(got) & ~torch.isinf(want)
    if infinite.any():
        sentence = f"{_says(what, 'is', 'are')} infinite {_where(infinite)}. Infinity comes from x/0 or from log(0)."
        raise Wrong(sentence, NUMBERS)


def _difference(got: torch.Tensor, want: torch.Tensor, what: str, axes: str, atol: float, rtol: float) -> str:
    off = ~torch.isclose(got, want.to(got.dtype), atol=atol, rtol=rtol, equal_nan=True)
    if want.ndim == 0:
        right, yours = _apart(want, got)
        return f"{_capital(what)} should be {right}, but your code gave {yours}."
    place = tuple(int(i) for i in off.nonzero()[0])
    names = f" ({axes})" if axes else ""
    share = "everywhere" if bool(off.all()) else f"at {int(off.sum())} of {off.numel()} places"
    index = place[0] if len(place) == 1 else list(place)
    right, yours = _apart(want[place], got[place])
    return (
        f"{_says(what, 'is', 'are')} wrong {share}: at {index}{names}, for example, it should be {right}, "
        f"but your code gave {yours}.{_pattern(got, want, atol, rtol)}"
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
    plain = f"{factor:.4g}"
    if abs(factor) > 1e-3 and plain not in ("1", "-1") and _close(got / factor, want, atol, max(rtol, 1e-4)):
        return f" Every number is {plain} times what it should be."
    shift = float((got - want).flatten()[0])
    if abs(shift) > atol and _close(got - shift, want, atol, rtol):
        return f" Every number is {abs(shift):.4g} too {'large' if shift > 0 else 'small'}."
    return ""


def _where(mask: torch.Tensor) -> str:
    if mask.ndim == 0:
        return ""
    place = [int(i) for i in mask.nonzero()[0]]
    index = place[0] if len(place) == 1 else place
    return "everywhere" if bool(mask.all()) else f"at {int(mask.sum())} of {mask.numel()} places, first at {index}"


def _apart(want: torch.Tensor, got: torch.Tensor) -> tuple[str, str]:
    """Two numbers as text, with as many digits as it takes to tell them apart."""
    for digits in (6, 9, 17):
        right, yours = (_number(x, digits) for x in (want, got))
        if right != yours:
            break
    return right, yours


def _number(x: torch.Tensor, digits: int) -> str:
    value = x.item()
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


# --- equality, mistakes, words ----------------------------------------------------------------------------------------


def _same(got: Any, want: Any) -> bool:
    """Equal, part by part. Only exact types of our own making are compared, never an object with its own `__eq__`."""
    if isinstance(got, _ARRAYS) or isinstance(want, _ARRAYS):
        a, b = numbers(got), numbers(want)
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


def _tell_mistake(mistakes: Mistakes | None, shows: Callable[[Any], bool]) -> None:
    known = mistakes() if callable(mistakes) else mistakes or {}
    for sentence, wrong in known.items():
        if shows(wrong):
            raise Wrong(sentence, MISTAKE)


def show(x: Any) -> str:
    """A value in a few plain words."""
    if x is None:
        return "None"
    if isinstance(x, torch.Tensor | np.ndarray):
        kind = "a tensor" if isinstance(x, torch.Tensor) else "a numpy array"
        return f"{x.tolist()}" if 0 < _size(x) <= 8 and x.ndim <= 2 else f"{kind} of shape {shape_in_words(x)}"
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


def shape_in_words(x: torch.Tensor | np.ndarray) -> str:
    return f"({', '.join(map(str, x.shape))})" if x.ndim != 1 else f"({x.shape[0]},)"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
