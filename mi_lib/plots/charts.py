"""Numbers over an axis: lines, bars and spectra, and points in a plane."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from mi_lib.plots.style import AROUND, DASHES, GRID, PALETTE, array, styled, written

FEW = 9  # numbers that an axis on a phone has room for
LONG = 16  # letters of a name that lying bars leave room for in one line


def lines(
    x: Sequence[Any],
    series: Mapping[str, Sequence[float]],
    title: str,
    x_title: str,
    y_title: str,
    vline: float | None = None,
    log_x: bool = False,
    log_y: bool = False,
    intervals: Mapping[str, Sequence[tuple[float, float]]] | None = None,
) -> go.Figure:
    """Curves over a common x axis. vline marks one x, such as the checkpoint that is being looked at.

    intervals: for curves by name the (low, high) of each point, drawn as whiskers; such curves have dots.
    log_y: zeros, which have no place on a logarithmic axis, lie on a line of their own below it, which is called 0.
    """
    figure = go.Figure()
    floor = _floor(series) if log_y else None
    for i, (name, y) in enumerate(series.items()):
        line = {"color": PALETTE[i % len(PALETTE)], "dash": DASHES[i // len(PALETTE) % len(DASHES)], "width": 2}
        whiskers, mode = (None, "lines")
        if intervals and name in intervals:
            whiskers, mode = _whiskers(y, intervals[name]), "lines+markers"
        figure.add_scatter(x=list(x), y=list(array(y)), name=name, mode=mode, line=line, error_y=whiskers)
        if floor is not None:
            figure.data[-1].update(
                y=np.where(array(y) == 0, floor, array(y)),
                customdata=list(array(y)),
                hovertemplate="%{x}: %{customdata:.3g}<extra>%{fullData.name}</extra>",
            )
    if vline is not None:
        figure.add_vline(x=vline, line={"color": "#888888", "dash": "dot", "width": 1.5})
    named = any(isinstance(value, str) for value in x)  # names of depths, say
    figure.update_xaxes(title=x_title, gridcolor=GRID, type="category" if named else "log" if log_x else "linear")
    figure.update_yaxes(title=y_title, gridcolor=GRID, rangemode="tozero", type="log" if log_y else "linear")
    if log_x:
        figure.update_xaxes(**_places(x))
    elif not named and _few_whole(x):
        figure.update_xaxes(dtick=1)  # there is no block 1.5, nor a turn
    if floor is not None:
        figure.update_yaxes(**_powers_above(floor, series))
    elif log_y:
        figure.update_yaxes(
            exponentformat="power", dtick="D1" if _decades(series) < 2 else max(1, _decades(series) // 6)
        )
    return styled(figure, title, height=380 + _for_names(series), legend_below=True)


def _floor(series: Mapping[str, Sequence[float]]) -> float | None:
    """Where the zeros of curves are drawn on a logarithmic axis: a power of ten below all else, if there are any."""
    values = np.concatenate([array(y) for y in series.values()])
    above = values[values > 0]
    return 10.0 ** (np.floor(np.log10(above.min())) - 1) if len(above) and (values == 0).any() else None


def _powers_above(floor: float, series: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Ticks at powers of ten, and the line of the zeros, called 0."""
    first = round(np.log10(floor)) + 1
    last = int(np.ceil(np.log10(max(float(array(y).max()) for y in series.values()))))
    powers = list(range(first, last + 1, max(1, (last - first) // 6)))
    said = ["0", *({0: "1", 1: "10"}.get(power, f"10<sup>{written(power, 0)}</sup>") for power in powers)]
    return {"tickvals": [floor, *(10.0**power for power in powers)], "ticktext": said}


def _few_whole(x: Sequence[Any]) -> bool:
    """Whether a curve goes from whole number to whole number, and through few of them, such as blocks or turns."""
    return len(x) > 1 and all(float(value).is_integer() for value in x) and float(max(x)) - float(min(x)) <= 8


def _places(x: Sequence[float]) -> dict[str, Any]:
    """What is written at a logarithmic axis: a few whole numbers as they are, else 1, 2, 5, 10, …, or powers of ten.

    Plotly writes "2" for 20 and for 200, in small.
    """
    values = array(x)
    places = [float(value) for value in values]
    if len(places) > FEW or not (values == values.round()).all():
        ends = 0.99 * values.min(), 1.01 * values.max()  # 1 is there if the values begin at 1.00000001
        steps = [part * 10.0**power for power in range(-12, 13) for part in (1, 2, 5)]
        places = [step for step in steps if ends[0] <= step <= ends[1]]
    if len(places) > FEW:
        return {"dtick": 1}
    return {"tickvals": places, "ticktext": [f"{place:,g}" for place in places]}


def _whiskers(y: Sequence[float], interval: Sequence[tuple[float, float]]) -> dict[str, Any]:
    values, ends = array(y), array(interval)
    return {"type": "data", "symmetric": False, "array": ends[:, 1] - values, "arrayminus": values - ends[:, 0]}


def share_y(*figures: go.Figure) -> None:
    """Give figures of `lines` that stand beside each other one range of y, and ticks as wide apart as its own."""
    logarithmic = figures[0].layout.yaxis.type == "log"
    values = np.concatenate([array(trace.y) for figure in figures for trace in figure.data])
    values = np.log10(values[values > 0]) if logarithmic else np.append(values, 0.0)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = 0.04 * (high - low)
    ticks = {"dtick": max(1, -(-int(high - low) // 6))} if logarithmic else {}
    for figure in figures:
        figure.update_yaxes(range=[low - room, high + room], **ticks)


def _decades(series: Mapping[str, Sequence[float]]) -> int:
    """Between the smallest and the largest positive value, in powers of ten."""
    values = np.concatenate([array(y) for y in series.values()])
    values = values[values > 0]
    return int(np.log10(values.max() / values.min())) if len(values) else 0


def bars(
    values: Mapping[str, float],
    title: str,
    y_title: str,
    errors: Mapping[str, float] | None = None,
    reference: float | None = None,
    marks: Mapping[str, float] | None = None,
    faint: Collection[str] = (),
) -> go.Figure:
    """One bar per name, with error whiskers, and a line at a reference value such as a control.

    marks: values that have a name; each is a dotted line, named at its right end. faint: bars that are to stand back.
    """
    whiskers = {"type": "data", "array": [errors[name] for name in values]} if errors else None
    colors = ["#999999" if name in faint else PALETTE[0] for name in values]
    figure = go.Figure(go.Bar(x=list(values), y=list(values.values()), error_y=whiskers, marker_color=colors))
    if reference is not None:
        figure.add_hline(y=reference, line={"color": "#D55E00", "dash": "dash", "width": 3})
    if marks:
        figure.update_layout(**_marks(marks))
    figure.update_xaxes(type="category", **_below(values))  # a name such as "02.10" is no number
    figure.update_yaxes(title=y_title, gridcolor=GRID)
    styled(figure, title, height=360 + _for_slanted(values))
    if marks:  # room for their names, which nothing else keeps free
        figure.update_layout(margin_r=max(figure.layout.margin.r or 0, 14 + 6 * max(map(len, marks))))
    return figure


def _for_names(series: Mapping[str, Any]) -> int:
    """Pixels that the names of many curves or bars take below these on a phone, where each is a row of its own."""
    return 19 * max(0, len(series) - 2)


NAME = 16  # letters of the longest line of a name below bars


def _below(names: Iterable[Any]) -> dict[str, Any]:
    """How names stand below their bars. Long ones have lines; on a phone these are upright, for slanted they would take
    a third of its width.
    """
    told = [str(name) for name in names]
    if max(map(len, told), default=0) <= NAME:
        return {}
    lines = ["<br>".join(textwrap.wrap(name, NAME)) for name in told]
    return {"tickvals": told, "ticktext": lines, "autotickangles": [0, -90]}


def _for_slanted(names: Iterable[Any]) -> int:
    """Pixels that long names take from the bars where they stand slanted or upright, as in a narrow window."""
    longest = max((len(str(name)) for name in names), default=0)
    return 4 * max(0, longest - 12) if longest <= NAME else 6 * (NAME - 8)


def _marks(marks: Mapping[str, float]) -> dict[str, Any]:
    """Dotted lines across a figure, and their names at the right. All at once: one by one they take a while."""
    line = {
        "type": "line",
        "xref": "x domain",
        "x0": 0,
        "x1": 1,
        "line": {"color": "#888888", "dash": "dot", "width": 1},
    }
    text = {"xref": "x domain", "x": 1.01, "xanchor": "left", "yanchor": "middle", "showarrow": False}
    # Names that lie close together move apart.
    ordered = sorted(marks.items(), key=lambda mark: mark[1])
    names = [
        text | {"y": value, "text": name, "font": {"size": 11}, "yshift": 3 if i % 2 else -3}
        for i, (name, value) in enumerate(ordered)
    ]
    return {"shapes": [line | {"y0": value, "y1": value} for value in marks.values()], "annotations": names}


def grouped_bars(names: Sequence[Any], series: Mapping[str, Any], title: str, x_title: str, y_title: str) -> go.Figure:
    """One bar per name and series, side by side."""
    figure = go.Figure()
    for i, (name, values) in enumerate(series.items()):
        color = PALETTE[i % len(PALETTE)]
        hover = f"{x_title} %{{x}}: %{{y:.3g}}<extra>{name}</extra>"
        figure.add_bar(x=list(names), y=list(array(values)), name=name, marker_color=color, hovertemplate=hover)
    figure.update_xaxes(title=x_title, showgrid=False)
    if any(isinstance(name, str) for name in names):
        figure.update_xaxes(type="category", **_below(names))  # names such as "98%" are no numbers
    figure.update_yaxes(title=y_title, gridcolor=GRID)
    figure.update_layout(barmode="group", bargap=0.1)
    return styled(figure, title, height=360 + _for_slanted(names) + _for_names(series), legend_below=len(series) > 1)


def sideways(figure: go.Figure) -> go.Figure:
    """The same bars lying, the first on top: for names that are many or long, which stand upright under upright bars.

    figure: of `bars` or `grouped_bars`. It is changed, and returned.
    """
    x, y = figure.layout.xaxis, figure.layout.yaxis
    values, names = y.title.text, x.title.text
    for bar in figure.data:
        whiskers, hover = bar.error_y.to_plotly_json() or None, bar.hovertemplate
        hover = hover and hover.replace("%{x}", "%{name}").replace("%{y", "%{x").replace("%{name}", "%{y}")
        written = [_in_two_lines(str(name)) for name in bar.x]
        bar.update(orientation="h", x=bar.y, y=written, error_y=None, error_x=whiskers, hovertemplate=hover)
    figure.update_layout(shapes=[_turned(shape) for shape in figure.layout.shapes])
    for note in figure.layout.annotations:  # the names of marks, from the right end of their lines to the upper one
        note.update(x=note.y, y=1, xref="x", yref="y domain", xanchor="center", yanchor="bottom", yshift=0)
    values = values and (values if len(values) <= 24 else _in_two_lines(values))  # beside the names it has less room
    figure.update_xaxes(tickvals=None, ticktext=None, autotickangles=None)  # of the names
    figure.update_xaxes(title=values, type="linear", showgrid=True, gridcolor=GRID, zerolinecolor="#888888")
    figure.update_yaxes(
        title=names,
        type="category",
        showgrid=False,
        autorange="reversed",
        automargin=True,
        dtick=1,
        ticklabelstandoff=6,
    )
    stacked = figure.layout.barmode == "stack"
    thick = 18 if stacked or len(figure.data) == 1 else 11 * len(figure.data) + 6
    lines = max(name.count("<br>") + 1 for name in figure.data[0].y)
    margin = {"l": 10, "r": 20}
    return figure.update_layout(
        height=len(figure.data[0].y) * max(thick, 14 * lines + 4) + 150 + 14 * len(figure.data),
        bargap=0.25,
        margin=margin,
    )


def _in_two_lines(name: str) -> str:
    """A long name, broken in its middle: beside lying bars it takes their room."""
    if len(name) <= LONG:
        return name
    spaces = [i for i, letter in enumerate(name) if letter == " "]
    middle = min(spaces, key=lambda i: abs(i - len(name) / 2), default=None)
    return name if middle is None else f"{name[:middle]}<br>{name[middle + 1 :]}"


def _turned(shape: Any) -> dict[str, Any]:
    """A line across a figure at one height, standing."""
    old = shape.to_plotly_json()
    at = {"x0": old["y0"], "x1": old["y1"], "xref": "x", "y0": 0, "y1": 1, "yref": "y domain"}
    return old | at


def dots(
    names: Sequence[str],
    series: Mapping[str, Sequence[Sequence[float]]],
    intervals: Mapping[str, Sequence[Sequence[tuple[float, float]]]],
    title: str,
    x_title: str,
    y_title: str,
) -> go.Figure:
    """Points with whiskers, side by side at each name: [run name] for each of `series`, which has one colour and mark.

    intervals: the (low, high) of each point, [run name].
    """
    marks = ("circle", "square", "diamond", "triangle-up", "cross", "star", "x", "hexagon")
    figure = go.Figure()
    for i, (name, runs) in enumerate(series.items()):
        for run, (values, ends) in enumerate(zip(runs, intervals[name], strict=True)):
            figure.add_scatter(
                x=list(names),
                y=list(values),
                error_y=_whiskers(values, ends) | {"thickness": 1.5, "width": 0},
                name=f"{name} ({run + 1})" if run else name,
                legendgroup=name,
                showlegend=not run,
                offsetgroup=f"{i} {run}",
                cliponaxis=False,
                mode="markers",
                marker={"size": 7, "color": PALETTE[i % len(PALETTE)], "symbol": marks[i % len(marks)]},
            )
    figure.update_xaxes(title=x_title, type="category", showgrid=False)
    figure.update_yaxes(title=y_title, gridcolor=GRID, rangemode="tozero", zerolinecolor=GRID)
    figure.update_layout(scattermode="group", scattergap=0.3)
    for i in range(1, len(names)):  # where one name's points end
        figure.add_vline(x=i - 0.5, line={"color": GRID, "width": 1})
    return styled(figure, title, height=420, legend_below=True)


def histogram(counts: Any, edges: Any, title: str, x_title: str, y_title: str) -> go.Figure:
    """How many values lie between each two edges: counts [bin], edges [bin + 1]."""
    numbers, ends = array(counts), array(edges)
    told = [f"{low:.2f} to {high:.2f}: {n:,.0f}" for low, high, n in zip(ends[:-1], ends[1:], numbers, strict=True)]
    bar = go.Bar(
        x=(ends[:-1] + ends[1:]) / 2, y=numbers, width=np.diff(ends) * 0.96, marker_color=PALETTE[0], hovertext=told,
        hovertemplate="%{hovertext}<extra></extra>",
    )  # fmt: skip
    figure = go.Figure(bar)
    figure.update_xaxes(title=x_title, showgrid=False, rangemode="tozero")
    figure.update_yaxes(title=y_title, gridcolor=GRID)
    return styled(figure, title, height=360)


def spectrum(series: Mapping[str, Any], title: str, y_title: str, highlight: Sequence[int] = ()) -> go.Figure:
    """One bar per frequency and network, frequencies counted from 1; those in `highlight` are named on the axis."""
    n = len(array(next(iter(series.values()))))
    figure = grouped_bars(range(1, n + 1), series, title, "frequency k", y_title)
    return figure.update_xaxes(tickvals=sorted(highlight) or None, tickangle=0)


def contributions(values: Mapping[str, float], title: str, x_title: str) -> go.Figure:
    """What each part adds to a sum or takes from it: one bar each, in their order from top to bottom."""
    numbers = list(values.values())
    figure = go.Figure(
        go.Bar(
            x=numbers,
            y=list(values),
            orientation="h",
            marker_color=[PALETTE[0] if number >= 0 else PALETTE[5] for number in numbers],
            text=[written(number, 2, sign="+") for number in numbers],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:+.3f}<extra></extra>",
        )
    )
    most, least = max(0.0, *numbers), min(0.0, *numbers)
    room = 0.2 * ((most - least) or 1.0)  # for the numbers beside the bars
    figure.update_xaxes(title=x_title, gridcolor=GRID, range=[least - room, most + room], zerolinecolor="#888888")
    figure.update_yaxes(autorange="reversed", showgrid=False, automargin=True)
    return styled(figure, title, height=26 * len(numbers) + 150)


def circle(points: Any, labels: Sequence[str], title: str, x_title: str, y_title: str) -> go.Figure:
    """Labelled points [n 2] in a plane with equal axes, coloured in their order around the colour wheel.

    A label that would lie upon another or upon a point is left out; it is still told where its point is pointed at.
    """
    xy = array(points)
    figure = go.Figure(
        go.Scatter(
            x=xy[:, 0],
            y=xy[:, 1],
            mode="markers",
            text=list(labels),
            showlegend=False,
            cliponaxis=False,
            marker={
                "size": 7,
                "color": list(range(len(xy))),
                "cmin": 0,
                "cmax": len(xy),  # one more than the last, which is not to look like the first
                "colorscale": [*AROUND, AROUND[0]],
                "showscale": False,
            },
            hovertemplate="%{text}: (%{x:.2f}, %{y:.2f})<extra></extra>",
        )
    )
    names, at = _outward(xy, labels)
    labelled = {"x": at[:, 0], "y": at[:, 1], "text": names, "textfont": {"size": 10}, "cliponaxis": False}
    figure.add_scatter(mode="text", hoverinfo="skip", showlegend=False, meta="placed", **labelled)
    figure.update_xaxes(title=x_title, gridcolor=GRID)
    figure.update_yaxes(title=y_title, gridcolor=GRID, scaleanchor="x")
    return styled(figure, title, height=480)


RADIUS, BESIDE = 105, 13  # pixels on a phone: from the middle of a plane to its outermost point, and on to a label


def _outward(xy: np.ndarray, labels: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """The labels that have room on the outer side of their points, and where in the plane their middles stand [n 2]."""
    away = xy - xy.mean(0)
    pixel = (np.abs(away).max() or 1.0) / RADIUS
    length = np.linalg.norm(away, axis=1, keepdims=True)
    outward = np.where(length > pixel, away / np.maximum(length, pixel), [0.0, 1.0])
    sizes = np.array([[LETTER * len(label), LINE - 2] for label in labels])
    at = xy + outward * pixel * (BESIDE + np.maximum(sizes[:, :1] / 2 - 8, 0))  # a long one stands further out
    names: list[str] = []
    taken: list[int] = []
    for i, label in enumerate(labels):
        free = all((2 * np.abs(at[i] - at[j]) / pixel >= sizes[i] + sizes[j]).any() for j in taken)
        free &= bool((np.abs(at[i] - xy) / pixel >= sizes[i] / 2 + 1).any(1).all())  # nor upon a point
        taken += [i] if label and free else []
        names.append(label if free else "")
    return names, at


SIDES = (
    "top center",
    "bottom center",
    "middle right",
    "middle left",
    "top right",
    "top left",
    "bottom right",
    "bottom left",
)
WIDE, HIGH, LETTER, LINE = 560, 300, 5.5, 13  # pixels: of a plane on a small window; of what stands at its points


def beside(
    spots: Sequence[tuple[float, float]], texts: Sequence[str], marks: Sequence[tuple[float, float]]
) -> list[str]:
    """For each text the side of its point (Plotly's word) on which it overlaps least with marks and earlier texts."""
    placed = [_box(mark, "", "", marks) for mark in marks]
    sides = []
    for spot, text in zip(spots, texts, strict=True):
        boxes = {side: _box(spot, text, side, marks) for side in SIDES}
        side = min(SIDES, key=lambda side: sum(_common(boxes[side], other) for other in placed))
        placed.append(boxes[side])
        sides.append(side)
    return sides


def _box(
    spot: tuple[float, float], text: str, side: str, marks: Sequence[tuple[float, float]]
) -> tuple[float, float, float, float]:
    """(left, right, bottom, top) in pixels of a text on a side of its spot; of the mark itself if there is no side."""
    lows, highs = [min(axis) for axis in zip(*marks, strict=True)], [max(axis) for axis in zip(*marks, strict=True)]
    x, y = (
        (at - low) / ((high - low) or 1) * size
        for at, low, high, size in zip(spot, lows, highs, (WIDE, HIGH), strict=True)
    )
    if not side:
        return x - 4, x + 4, y - 4, y + 4
    width = LETTER * len(text)
    left = x - width - 4 if "left" in side else x + 4 if "right" in side else x - width / 2
    bottom = y + 4 if "top" in side else y - LINE - 4 if "bottom" in side else y - LINE / 2
    return left, left + width, bottom, bottom + LINE


def _common(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """The area that two boxes share."""
    width, height = min(a[1], b[1]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[2], b[2])
    return max(width, 0) * max(height, 0)


def clouds(
    groups: Mapping[str, Sequence[tuple[float, float]]],
    title: str,
    x_title: str,
    y_title: str,
    labels: Mapping[str, Sequence[str]] | None = None,
    curves: Mapping[str, Sequence[tuple[float, float]]] | None = None,
) -> go.Figure:
    """Points (x, y) in a plane, a colour and a mark for each group. labels: for groups by name, what stands at each.

    curves: lines that the points are to be compared with, by name.
    """
    marks = ("circle", "square", "diamond", "triangle-up", "cross", "star", "x", "hexagon")
    figure = go.Figure()
    spots = [spot for points in groups.values() for spot in points]
    texts_of = {name: list((labels or {}).get(name, [])) for name in groups}
    named = [
        (spot, text) for name, points in groups.items() for spot, text in zip(points, texts_of[name], strict=False)
    ]
    free = iter(beside([spot for spot, _ in named], [text for _, text in named], spots))
    for i, (name, points) in enumerate(groups.items()):
        texts = list(labels[name]) if labels and name in labels else None
        figure.add_scatter(
            x=[float(x) for x, _ in points],
            y=[float(y) for _, y in points],
            name=name,
            mode="markers+text" if texts else "markers",
            text=texts,
            textposition=[next(free) for _ in points] if texts else None,
            textfont={"size": 10},
            marker={"size": 8, "color": PALETTE[i % len(PALETTE)], "symbol": marks[i % len(marks)], "opacity": 0.85},
            hovertemplate="%{text}: " * bool(texts) + "(%{x:.2f}, %{y:.2f})<extra>%{fullData.name}</extra>",
        )
    for i, (name, points) in enumerate((curves or {}).items()):
        line = {"color": "#888888", "dash": DASHES[(i + 1) % len(DASHES)], "width": 1.5}
        figure.add_scatter(x=[x for x, _ in points], y=[y for _, y in points], name=name, mode="lines", line=line)
    figure.update_xaxes(title=x_title, gridcolor=GRID, zerolinecolor=GRID)
    figure.update_yaxes(title=y_title, gridcolor=GRID, zerolinecolor=GRID)
    return styled(figure, title, height=440, legend_below=True)
