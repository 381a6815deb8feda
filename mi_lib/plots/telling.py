"""What a figure shows, in words: for whoever hears the page and does not see it."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

MOST = 8  # traces that are told one by one


def told(figure: go.Figure) -> str:
    """A few sentences: the title, what the axes are, and of every curve, row of bars and map its least and its most.

    Never empty, and never with a tag in it. What is drawn for the eye alone (no name, and nothing under the mouse) is
    left out. An axis that is left unnamed goes unnamed here too.
    """
    said = [_plain(figure.layout.title.text), _axes(figure)]
    traces = [trace for trace in figure.data if not _silent(trace)]
    names = _names(figure, traces)
    said += [_of(trace, figure, name) for trace, name in zip(traces[:MOST], names, strict=False)]
    if len(traces) > MOST:
        said.append(f"And {len(traces) - MOST} more.")
    if pictures := len(figure.layout.images):
        rows, columns = (_ticks(figure, axis) for axis in ("yaxis", "xaxis"))
        said.append(f"{_many(pictures, 'picture')}{_in(rows, ' in rows')}{_in(columns, ', under')}.")
    said = [sentence if sentence.endswith((".", "?", "!")) else f"{sentence}." for sentence in said if sentence]
    return " ".join(said) or "An empty figure."


def _of(trace: Any, figure: go.Figure, name: str) -> str:
    if trace.type == "heatmap":
        return _map(trace, figure, name)
    if points := [said for said in map(_plain, _hovers(trace)) if said]:
        more = f"; and {len(points) - MOST} more" if len(points) > MOST else ""
        return f"{name or 'To point at'}: {'; '.join(points[:MOST])}{more}"
    ends = [values_of(getattr(trace, axis, None)) for axis in ("x", "y")]
    if trace.type == "scatter" and "%{customdata" in (trace.hovertemplate or ""):
        ends[1] = values_of(trace.customdata)  # zeros that are drawn elsewhere, say
    if any(end is None for end in ends):
        return f"{name or 'Something'} ({trace.type})"
    return _curve(trace, name, *ends)  # type: ignore[arg-type]


def _curve(trace: Any, name: str, x: list[Any], y: list[Any]) -> str:
    """A curve, points or bars: how many, and the ends of what they measure."""
    at, values = (y, x) if trace.type == "bar" and trace.orientation == "h" else (x, y)
    start = f"{name or 'Values'}: {_many(len(values), 'bar' if trace.type == 'bar' else 'point')}"
    numbers = _numbers(values)
    if numbers is None or np.isnan(numbers).all():
        return start
    low, high = int(np.nanargmin(numbers)), int(np.nanargmax(numbers))
    if numbers[low] == numbers[high]:
        return f"{start}, {_one(numbers[low])}{' everywhere' if len(numbers) > 1 else ''}"
    ends = [f"{_one(numbers[i])} at {_one(at[i]) if i < len(at) else i}" for i in (low, high)]
    return f"{start}, least {ends[0]}, most {ends[1]}"


def _map(trace: Any, figure: go.Figure, name: str) -> str:
    """A map of numbers: its size, and where it is least and most."""
    start = f"{name}: a map" if name else "A map"
    rows = [_numbers(values_of(row) or []) for row in (values_of(trace.z) or [])]
    if not rows or any(row is None or row.shape != rows[0].shape for row in rows):  # type: ignore[union-attr]
        return start
    grid = np.array(rows)
    start += f" of {_many(grid.shape[0], 'row')} and {_many(grid.shape[1], 'column')}"
    if np.isnan(grid).all():
        return start
    ends = [np.unravel_index(find(grid), grid.shape) for find in (np.nanargmin, np.nanargmax)]
    places = [f"{_one(grid[end])} at {_place(trace, figure, end)}" for end in ends]
    return f"{start}, least {places[0]}, most {places[1]}"


def _place(trace: Any, figure: go.Figure, end: Sequence[Any]) -> str:
    """ "row river, column 3" of a cell of a map, by what its axes call them, and what is written in it."""
    names = []
    for word, axis, i in (("row", "y", int(end[0])), ("column", "x", int(end[1]))):
        values = values_of(getattr(trace, axis)) or _ticks(figure, f"{axis}axis")
        names.append(f"{word} {_one(values[i]) if values and i < len(values) else i}")
    row, column, rows = int(end[0]), int(end[1]), values_of(trace.text) or []
    written = rows[row][column] if len(rows) > row and len(rows[row]) > column else ""
    return ", ".join(names) + (f" (“{_plain(written)}”)" if re.search(r"[^\W\d_]", str(written)) else "")


def _names(figure: go.Figure, traces: Sequence[Any]) -> list[str]:
    """The names of traces; of several that have none, what is written above each, where that is one thing for each."""
    above = [_plain(note.text) for note in figure.layout.annotations]
    if len(above) == len(traces) and not any(trace.name for trace in traces):
        return above
    return [_plain(trace.name) for trace in traces]


def _hovers(trace: Any) -> list[Any]:
    """What stands under the pointer, of points that have a text each."""
    found = getattr(trace, "hovertext", None)
    return [found] if isinstance(found, str) else values_of(found) or []


def _silent(trace: Any) -> bool:
    """Whether a trace is drawn for the eye or the pointer alone."""
    if trace.type == "heatmap":
        return False
    unseen = trace.type == "scatter" and trace.marker.opacity == 0
    empty = trace.type == "scatter" and values_of(trace.x) in ([], [None])  # for a legend
    return unseen or empty or (trace.hoverinfo == "skip" and (not trace.name or trace.showlegend is False))


def _axes(figure: go.Figure) -> str:
    """ "Across: training step. Up: loss (nats)", as far as the axes have names."""
    titles = [("Across", figure.layout.xaxis.title.text), ("Up", figure.layout.yaxis.title.text)]
    return ". ".join(f"{word}: {_plain(title)}" for word, title in titles if _plain(title))


def _ticks(figure: go.Figure, axis: str) -> list[Any]:
    try:
        return list(figure.layout[axis].ticktext or [])
    except KeyError:
        return []


def values_of(values: Any) -> list[Any] | None:
    """A list of what a trace holds; Plotly also keeps numbers as bytes with their type."""
    if values is None:
        return None
    if isinstance(values, dict):
        if "bdata" not in values:
            return None
        flat = np.frombuffer(base64.b64decode(values["bdata"]), dtype=np.dtype(values["dtype"]))
        shape = [int(size) for size in str(values.get("shape", len(flat))).split(",")]
        return list(flat.reshape(shape))
    return list(values)


def _numbers(values: list[Any]) -> np.ndarray | None:
    try:
        return np.array([np.nan if value is None else value for value in values], dtype=float)
    except (TypeError, ValueError):
        return None


def _one(value: Any) -> str:
    """A number with three digits or as a whole one, or a name."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return _plain(value)
    number = float(value)
    return f"{number:{',.0f' if abs(number) >= 1000 else '.3g'}}".replace("-", "−")


def _plain(text: Any) -> str:
    """Text without tags and in one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", "" if text is None else str(text))).split())


def _many(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _in(names: list[Any], how: str) -> str:
    shown = ", ".join(map(_one, names[:MOST]))
    return f"{how}: {shown}" if shown else ""
