"""The learner's side of a scratch run: lines that are tried beside the answers, and a look at what they give.

Nothing is graded here. `run` executes lines as a cell of a notebook would: the last one is shown if it is an expression
that is not None, and so is whatever is given to `display`. What is shown is data: a tensor is told by its shape, dtype
and range, and by a picture of at most 128 x 128 numbers (every k-th row and column of a larger one), or of a few small
matrices; a Plotly figure by
its JSON; everything else by its `repr`, cut off where it is long.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import inspect
import linecache
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

LINES = "scratch"  # the name of the lines in a traceback
MAX_ROWS = MAX_COLUMNS = 128  # of a picture
MAX_POINTS = 1024  # of a line
MAX_MATRICES, MAX_SIDE = 8, 64  # of several matrices beside each other: how many, and rows or columns of each
MAX_TEXT = 4_000  # characters of a repr
MAX_PARTS = 12  # of a tuple, list, dict or record
MAX_SHOWN = 20  # values of one run
MAX_DEPTH = 2
FEW = 24  # so many numbers are written out
MAX_FIGURE = 4_000_000  # bytes of a figure: one with far too many points stalls a browser


def run(lines: str, namespace: dict[str, Any], flags: int, show: Callable[[Any], None]) -> None:
    """Execute lines in a namespace, and `show` their last value. What they raise passes through.

    flags: of the compiler, as `from __future__` in the learner's file has set them.
    """
    linecache.cache[LINES] = (len(lines), None, lines.splitlines(keepends=True), LINES)
    builtins.display = show  # type: ignore[attr-defined]
    _catch_figures(lines, show)
    tree = ast.parse(lines, LINES)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, LINES, "exec", flags=flags, dont_inherit=True), namespace)
    if last is not None:
        code = compile(ast.Expression(last.value), LINES, "eval", flags=flags, dont_inherit=True)  # type: ignore[attr-defined]
        value = eval(code, namespace)
        if value is not None:
            show(value)


def _catch_figures(lines: str, show: Callable[[Any], None]) -> None:
    """`figure.show()` would look for a browser; here it shows the figure as a last line would."""
    if ".show(" in lines:
        from plotly.basedatatypes import BaseFigure

        BaseFigure.show = lambda figure, *_, **__: show(figure)


def describe(value: Any, depth: int = 0) -> dict[str, Any]:
    """A value as plain data for the page: its kind, a text, and a picture, a figure or parts where it has them."""
    if isinstance(value, torch.Tensor):
        return _tensor(value)
    if inspect.iscoroutine(value):
        value.close()  # or Python would warn, of a line of the course's
        return {
            "kind": "text",
            "type": "coroutine",
            "text": f"{value.__name__}() waits to be run: asyncio.run(…) does it",
        }
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        numbers = torch.from_numpy(np.ascontiguousarray(value).astype(value.dtype.newbyteorder("=")))
        return _tensor(numbers.reshape(value.shape), "array") | {"type": "array"}
    if type(value).__module__.split(".")[0] == "plotly" and hasattr(value, "to_plotly_json"):
        return _figure(value)
    if depth < MAX_DEPTH and (parts := _parts(value)) is not None:
        return _record(value, parts, depth)
    return {"kind": "text", "type": type(value).__name__, "text": _text(value)}


def _tensor(x: torch.Tensor, kind: str = "tensor") -> dict[str, Any]:
    told: dict[str, Any] = {"kind": kind, "type": type(x).__name__, "shape": list(x.shape)}
    told |= {"dtype": str(x.dtype).removeprefix("torch."), "grad": x.requires_grad}
    x = x.detach()
    x = (x.to_dense() if x.layout is not torch.strided else x).cpu()
    if x.numel() and x.numel() <= FEW:
        told["text"] = _text(_short(x.tolist()))
    if x.is_complex() or not x.numel() or x.is_meta:
        return told
    numbers = x.double() if x.is_floating_point() else x.to(torch.float64)
    finite = numbers[numbers.isfinite()]
    told["odd"] = numbers.numel() - finite.numel()
    if finite.numel():
        told |= {"low": finite.min().item(), "high": finite.max().item(), "mean": finite.mean().item()}
    return told | _picture(numbers)


def _short(numbers: Any) -> Any:
    """The same numbers, in nested lists, with as many digits as are read: a float32 has no more than seven."""
    if isinstance(numbers, list):
        return [_short(each) for each in numbers]
    return float(f"{numbers:.6g}") if isinstance(numbers, float) else numbers


def _picture(x: torch.Tensor) -> dict[str, Any]:
    """At most 128 x 128 of the numbers of a matrix, or 1024 of a row: every k-th. Few small matrices, such as the
    patterns of a layer's heads, whole: [matrix 1 row column]. Nothing for other shapes but images.

    Axes of length 1 are left out, so that a batch of one matrix is a matrix.
    """
    axes = [n for n in x.shape if n > 1]
    if len(axes) == 3 and axes[0] == 3 and max(axes) <= MAX_ROWS and x.min() >= 0 and x.max() <= 1:
        return {"picture": x.reshape(axes).float().contiguous(), "every": [1, 1, 1]}  # an image: red, green and blue
    if len(axes) == 3 and axes[0] <= MAX_MATRICES and max(axes[1:]) <= MAX_SIDE:
        return {"picture": x.reshape(axes)[:, None].float().contiguous(), "every": [1] * 4}
    if not 1 <= len(axes) <= 2 or math.prod(axes) < 2:
        return {}
    most = (MAX_POINTS,) if len(axes) == 1 else (MAX_ROWS, MAX_COLUMNS)
    every = [-(-n // limit) for n, limit in zip(axes, most, strict=True)]
    x = x.reshape(axes)
    x = x[:: every[0]] if len(axes) == 1 else x[:: every[0], :: every[1]]
    return {"picture": x.float().contiguous(), "every": every}


def _figure(value: Any) -> dict[str, Any]:
    text = value.to_json() if hasattr(value, "to_json") else _text(value)
    if len(text) > MAX_FIGURE:
        size = f"a figure of {len(text) / 1e6:.0f} MB, too much for a browser: draw fewer points"
        return {"kind": "text", "type": type(value).__name__, "text": size}
    return {"kind": "figure", "type": type(value).__name__, "json": text}


def _parts(value: Any, depth: int = 0) -> Iterator[tuple[str, Any]] | None:
    """The named parts of something that holds tensors or figures. None for what is better told by its `repr`.

    depth: below `value` it is looked no deeper than it is shown (a list may hold itself).
    """
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        pairs = [(f".{name}", part) for name, part in zip(value._fields, value, strict=False)]
    elif isinstance(value, list | tuple):
        pairs = [(f"[{i}]", part) for i, part in enumerate(value)]
    elif isinstance(value, Mapping):
        pairs = [(f"[{key!r}]"[:80], part) for key, part in value.items()]
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = [(f".{f.name}", getattr(value, f.name, None)) for f in dataclasses.fields(value) if f.repr]
    else:
        return None
    telling = (torch.Tensor, np.ndarray)
    if any(isinstance(part, telling) or hasattr(part, "to_plotly_json") for _, part in pairs[:1000]):
        return iter(pairs)
    if depth == MAX_DEPTH:
        return None
    nested = any(isinstance(part, list | tuple | Mapping) and _parts(part, depth + 1) for _, part in pairs[:MAX_PARTS])
    return iter(pairs) if nested else None


def _record(value: Any, parts: Iterator[tuple[str, Any]], depth: int) -> dict[str, Any]:
    pairs = list(parts)
    shown = [{"name": name, **describe(part, depth + 1)} for name, part in pairs[:MAX_PARTS]]
    return {"kind": "parts", "type": type(value).__name__, "count": len(pairs), "parts": shown}


def _text(value: Any) -> str:
    """The `repr`, as far as it is read; a sentence where there is none to be had."""
    import pprint

    try:
        if isinstance(value, list | tuple | dict | set) and len(value) > 1000:
            kind, items = type(value).__name__, list(value)[:20]
            return f"a {kind} of {len(value):,}, which begins with {items!r}"[:MAX_TEXT]
        text = pprint.pformat(value, width=100, compact=True, sort_dicts=False)
    except Exception as error:
        return f"(its repr raised {type(error).__name__})"
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} … ({len(text):,} characters in all)"
