"""Figures. Technique modules return arrays; only this one draws.

Colours are Okabe and Ito's eight, which colour-blind readers can tell apart; maps use Cividis, or blue–red where zero
matters. Backgrounds are transparent, so that a figure fits a light page and a dark one.

How this file becomes a package, by chapter 08: `plots/style.py` (palette, axes and what every figure has in common),
`plots/charts.py` (lines, bars and spectra: numbers over an axis), `plots/maps.py` (attention, matrices and lens tables:
one colour for each number) and `plots/words.py` (what is drawn beside or upon the words of a text). It is cut by the
form of a figure and not by technique, because one form serves many chapters. `plots/__init__.py` goes on to offer every
name, so that `from mi_lib import plots` and `plots.lines` stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
DASHES = ("solid", "dash", "dot", "dashdot")
_GRID = "rgba(128, 128, 128, 0.25)"


def attention(pattern: Any, tokens: Sequence[str], title: str, highlight: Any = None) -> go.Figure:
    """One head's attention pattern [query key] as a map: each row is a position, and shows where it looks.

    highlight: for each query the key to be marked with a ring (−1 for none), for example where an induction head
    should look.
    """
    values = _array(pattern)
    labels = _positions(tokens)
    figure = go.Figure(_attention_map(values, tokens))
    if highlight is not None:
        points = [(int(key), query) for query, key in enumerate(_array(highlight)) if key >= 0]
        figure.add_scatter(
            x=[p[0] for p in points],
            y=[p[1] for p in points],
            mode="markers",
            marker={"symbol": "circle-open", "size": 9, "color": "#D55E00", "line": {"width": 1.5}},
            name="one past the earlier occurrence",
            hoverinfo="skip",
        )
    axis = {"tickmode": "array", "tickvals": list(range(len(labels))), "ticktext": labels, "showgrid": False}
    figure.update_xaxes(title="looked at (key)", tickangle=-60, **axis)
    figure.update_yaxes(title="position (query)", autorange="reversed", **axis)
    return _style(figure, title, height=max(360, 18 * len(labels) + 160), legend_below=True)


def head_grid(patterns: Any, tokens: Sequence[str], titles: Sequence[str], title: str, columns: int = 4) -> go.Figure:
    """Many heads at a glance: patterns [head query key], one small map each."""
    values = _array(patterns)
    rows = -(-len(values) // columns)
    figure = make_subplots(rows, columns, subplot_titles=list(titles), horizontal_spacing=0.03, vertical_spacing=0.14)
    for i, pattern in enumerate(values):
        figure.add_trace(_attention_map(pattern, tokens, scale=i == 0), row=i // columns + 1, col=i % columns + 1)
    figure.update_xaxes(showticklabels=False, showgrid=False)
    figure.update_yaxes(showticklabels=False, showgrid=False, autorange="reversed")
    figure.update_annotations(font_size=11)
    return _style(figure, title, height=230 * rows + 90)


def lines(
    x: Sequence[Any],
    series: Mapping[str, Sequence[float]],
    title: str,
    x_title: str,
    y_title: str,
    vline: float | None = None,
    log_x: bool = False,
    log_y: bool = False,
) -> go.Figure:
    """Curves over a common x axis. vline marks one x, such as the checkpoint that is being looked at."""
    figure = go.Figure()
    for i, (name, y) in enumerate(series.items()):
        line = {"color": PALETTE[i % len(PALETTE)], "dash": DASHES[i // len(PALETTE) % len(DASHES)], "width": 2}
        figure.add_scatter(x=list(x), y=list(_array(y)), name=name, mode="lines", line=line)
    if vline is not None:
        figure.add_vline(x=vline, line={"color": "#888888", "dash": "dot", "width": 1.5})
    figure.update_xaxes(title=x_title, gridcolor=_GRID, type="log" if log_x else "linear")
    figure.update_yaxes(title=y_title, gridcolor=_GRID, rangemode="tozero", type="log" if log_y else "linear")
    if log_y:
        figure.update_yaxes(
            exponentformat="power", dtick="D1" if _decades(series) < 2 else max(1, _decades(series) // 6)
        )
    return _style(figure, title, height=380, legend_below=True)


def _decades(series: Mapping[str, Sequence[float]]) -> int:
    """Between the smallest and the largest positive value, in powers of ten."""
    values = np.concatenate([_array(y) for y in series.values()])
    values = values[values > 0]
    return int(np.log10(values.max() / values.min())) if len(values) else 0


def grouped_bars(names: Sequence[Any], series: Mapping[str, Any], title: str, x_title: str, y_title: str) -> go.Figure:
    """One bar per name and series, side by side."""
    figure = go.Figure()
    for i, (name, values) in enumerate(series.items()):
        color = PALETTE[i % len(PALETTE)]
        hover = f"{x_title} %{{x}}: %{{y:.3g}}<extra>{name}</extra>"
        figure.add_bar(x=list(names), y=list(_array(values)), name=name, marker_color=color, hovertemplate=hover)
    figure.update_xaxes(title=x_title, showgrid=False)
    figure.update_yaxes(title=y_title, gridcolor=_GRID)
    figure.update_layout(barmode="group", bargap=0.1)
    return _style(figure, title, height=360, legend_below=len(series) > 1)


def spectrum(series: Mapping[str, Any], title: str, y_title: str, highlight: Sequence[int] = ()) -> go.Figure:
    """One bar per frequency and network, frequencies counted from 1; those in `highlight` are named on the axis."""
    n = len(_array(next(iter(series.values()))))
    figure = grouped_bars(range(1, n + 1), series, title, "frequency k", y_title)
    return figure.update_xaxes(tickvals=sorted(highlight) or None, tickangle=0)


def maps(
    values: Any, titles: Sequence[str], title: str, x_title: str = "b", y_title: str = "a", columns: int = 4
) -> go.Figure:
    """Functions of two numbers, [map row column], one small map each; zero is white."""
    numbers = _array(values)
    columns = min(columns, len(numbers))
    rows = -(-len(numbers) // columns)
    figure = make_subplots(rows, columns, subplot_titles=list(titles), horizontal_spacing=0.04, vertical_spacing=0.16)
    for i, z in enumerate(numbers):
        most = float(np.abs(z).max()) or 1.0
        figure.add_trace(
            go.Heatmap(
                z=z,
                zmid=0,
                zmin=-most,
                zmax=most,
                colorscale="RdBu",
                showscale=False,
                hovertemplate=f"{y_title} %{{y}}, {x_title} %{{x}}: %{{z:.2f}}<extra></extra>",
            ),
            row=i // columns + 1,
            col=i % columns + 1,
        )
    figure.update_xaxes(showgrid=False, showticklabels=False)
    figure.update_yaxes(showgrid=False, showticklabels=False, autorange="reversed")
    figure.update_xaxes(title=x_title, row=rows)
    figure.update_yaxes(title=y_title, col=1)
    figure.update_annotations(font_size=12)
    return _style(figure, title, height=250 * rows + 90)


def circle(points: Any, labels: Sequence[str], title: str, x_title: str, y_title: str) -> go.Figure:
    """Labelled points [n 2] in a plane with equal axes, coloured in their order around the colour wheel."""
    xy = _array(points)
    figure = go.Figure(
        go.Scatter(
            x=xy[:, 0],
            y=xy[:, 1],
            mode="markers+text",
            text=list(labels),
            textposition="top center",
            textfont={"size": 9},
            marker={"size": 7, "color": list(range(len(xy))), "colorscale": "HSV", "showscale": False},
            hovertemplate="%{text}: (%{x:.2f}, %{y:.2f})<extra></extra>",
        )
    )
    figure.update_xaxes(title=x_title, gridcolor=_GRID)
    figure.update_yaxes(title=y_title, gridcolor=_GRID, scaleanchor="x")
    return _style(figure, title, height=480)


def token_loss(losses: Mapping[str, Any], tokens: Sequence[str], title: str) -> go.Figure:
    """Loss of predicting each token [pos−1], one line per run; the first token has no loss."""
    labels = _positions(tokens)[1:]
    figure = go.Figure()
    for i, (name, loss) in enumerate(losses.items()):
        figure.add_scatter(
            x=list(range(1, len(labels) + 1)),
            y=list(_array(loss)),
            name=name,
            mode="lines+markers",
            marker={"size": 5},
            line={"color": PALETTE[i % len(PALETTE)], "dash": DASHES[i % len(DASHES)], "width": 2},
        )
    figure.update_xaxes(
        title="token that is predicted",
        tickmode="array",
        tickvals=list(range(1, len(labels) + 1)),
        ticktext=labels,
        tickangle=-60,
        showgrid=False,
    )
    figure.update_yaxes(title="loss (nats)", gridcolor=_GRID, rangemode="tozero")
    return _style(figure, title, height=400, legend_below=True)


def bars(
    values: Mapping[str, float],
    title: str,
    y_title: str,
    errors: Mapping[str, float] | None = None,
    reference: float | None = None,
) -> go.Figure:
    """One bar per name, with error whiskers, and a line at a reference value such as a control."""
    whiskers = {"type": "data", "array": [errors[name] for name in values]} if errors else None
    figure = go.Figure(go.Bar(x=list(values), y=list(values.values()), error_y=whiskers, marker_color=PALETTE[0]))
    if reference is not None:
        figure.add_hline(y=reference, line={"color": "#D55E00", "dash": "dash"})
    figure.update_xaxes(type="category")  # a name such as "02.10" is no number
    figure.update_yaxes(title=y_title, gridcolor=_GRID)
    return _style(figure, title, height=360)


def matrix(
    values: Any,
    row_names: Sequence[str],
    column_names: Sequence[str],
    title: str,
    x_title: str = "",
    y_title: str = "",
    diverging: bool = True,
) -> go.Figure:
    """A small matrix with its numbers written in the cells."""
    numbers = _array(values)
    most = float(np.abs(numbers).max()) or 1.0
    limits = {"zmid": 0, "zmin": -most, "zmax": most} if diverging else {"zmin": 0, "zmax": most}
    figure = go.Figure(
        go.Heatmap(
            z=numbers,
            x=list(column_names),
            y=list(row_names),
            colorscale="RdBu" if diverging else "Cividis",
            text=[[f"{round(v, 2) + 0.0:.2f}" for v in row] for row in numbers],  # + 0.0: no "-0.00"
            texttemplate="%{text}",
            hovertemplate="%{y} → %{x}: %{z:.3f}<extra></extra>",
            **limits,
        )
    )
    figure.update_xaxes(title=x_title, showgrid=False)
    figure.update_yaxes(title=y_title, autorange="reversed", showgrid=False)
    return _style(figure, title, height=90 + 60 * len(row_names) + 80)


def lens_table(
    values: Any,
    words: Sequence[Sequence[str]],
    hovers: Sequence[Sequence[str]],
    depths: Sequence[str],
    columns: Sequence[str],
    title: str,
    scale_title: str,
    low: float,
    high: float,
    best_is_low: bool = False,
    ticks: Mapping[float, str] | None = None,
    chosen: tuple[int, int] | None = None,
) -> go.Figure:
    """A word in every cell [depth pos], on a colour that says something about it; the lighter, the nearer to the best.

    hovers: what is shown beside the pointer, with <br> between lines. low, high: the ends of the colour scale.
    ticks: names for values of the scale. chosen: the cell (depth, pos) that gets a frame.

    Plotly selects points of a scatter plot and no cells of a map. So a point that is not seen lies on every cell: a
    click on a cell selects its point, whose x is the position and whose y is the depth.
    """
    numbers = _array(values)
    places = [(depth, pos) for depth in range(len(depths)) for pos in range(len(columns))]
    # Above the cells and at the left, where it is in view even if a long table is scrolled sideways.
    scale: dict[str, Any] = {
        "title": {"text": scale_title, "side": "top", "font": {"size": 13}},
        "thickness": 10,
        "orientation": "h",
    }
    scale |= {"x": 0, "xanchor": "left", "y": 1.01, "yanchor": "bottom", "lenmode": "pixels", "len": 280}
    if ticks is not None:
        scale |= {"tickvals": list(ticks), "ticktext": list(ticks.values())}
    bright = (numbers - low) / ((high - low) or 1.0)
    bright = 1 - bright if best_is_low else bright
    figure = go.Figure()
    for letters, there in (("#ffffff", bright < 0.48), ("#101010", bright >= 0.48)):  # readable on any cell
        figure.add_heatmap(
            z=np.where(there, numbers, np.nan),
            zmin=low,
            zmax=high,
            colorscale="Cividis",
            reversescale=best_is_low,
            colorbar=scale,
            showscale=letters == "#ffffff",
            text=np.where(there, np.array(words, dtype=object), ""),
            texttemplate="%{text}",
            textfont={"size": 12, "color": letters},
            xgap=1,
            ygap=1,
            hoverinfo="skip",
        )
    unseen = {"marker": {"opacity": 0}}
    figure.add_scatter(
        x=[pos for _, pos in places],
        y=[depth for depth, _ in places],
        mode="markers",
        marker={"symbol": "square", "size": 30, "opacity": 0},
        selected=unseen,
        unselected=unseen,
        hovertext=[hovers[depth][pos] for depth, pos in places],
        hovertemplate="%{hovertext}<extra></extra>",
        hoverlabel={"align": "left"},
        showlegend=False,
    )
    if chosen is not None:
        depth, pos = chosen
        edge = {"x0": pos - 0.5, "x1": pos + 0.5, "y0": depth - 0.5, "y1": depth + 0.5}
        figure.add_shape(type="rect", line={"color": "#D55E00", "width": 3}, **edge)
    figure.update_xaxes(
        title={"text": "word that was read last, and its position", "standoff": 50},  # room for slanted words
        tickvals=list(range(len(columns))),
        ticktext=_positions(columns),
        tickangle=-45,
        showgrid=False,
        zeroline=False,
        range=[-0.5, len(columns) - 0.5],
    )
    figure.update_yaxes(
        title="depth",
        tickvals=list(range(len(depths))),
        ticktext=list(depths),
        showgrid=False,
        zeroline=False,
        range=[len(depths) - 0.5, -0.5],
    )
    figure = _style(figure, title, height=42 * len(depths) + 275)
    figure.update_layout(margin={"t": 125, "r": 10, "b": 110})
    return figure.update_layout(hoverdistance=60, dragmode=False, clickmode="event+select")


def contributions(values: Mapping[str, float], title: str, x_title: str) -> go.Figure:
    """What each part adds to a sum or takes from it: one bar each, in their order from top to bottom."""
    numbers = list(values.values())
    figure = go.Figure(
        go.Bar(
            x=numbers,
            y=list(values),
            orientation="h",
            marker_color=[PALETTE[0] if number >= 0 else PALETTE[5] for number in numbers],
            text=[f"{round(number, 2) + 0.0:+.2f}" for number in numbers],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:+.3f}<extra></extra>",
        )
    )
    most, least = max(0.0, *numbers), min(0.0, *numbers)
    room = 0.2 * ((most - least) or 1.0)  # for the numbers beside the bars
    figure.update_xaxes(title=x_title, gridcolor=_GRID, range=[least - room, most + room], zerolinecolor="#888888")
    figure.update_yaxes(autorange="reversed", showgrid=False, automargin=True)
    return _style(figure, title, height=26 * len(numbers) + 150)


def _attention_map(values: np.ndarray, tokens: Sequence[str], scale: bool = True) -> go.Heatmap:
    rows = [[f"{tokens[q]} ({q}) looks at {tokens[k]} ({k})" for k in range(len(tokens))] for q in range(len(tokens))]
    return go.Heatmap(
        z=values,
        zmin=0,
        zmax=1,
        colorscale="Cividis",
        showscale=scale,
        colorbar={"title": "attention", "thickness": 12},
        text=rows,
        hovertemplate="%{text}: %{z:.2f}<extra></extra>",
    )


def _positions(tokens: Sequence[str]) -> list[str]:
    return [f"{token} {i}" for i, token in enumerate(tokens)]


def _array(values: Any) -> np.ndarray:
    """A NumPy array of a tensor, list or array."""
    if hasattr(values, "detach"):
        values = values.detach().float().cpu()
    return np.asarray(values, dtype=float)


def _style(figure: go.Figure, title: str, height: int, legend_below: bool = False) -> go.Figure:
    figure.update_layout(
        title={"text": title, "x": 0, "xanchor": "left", "font": {"size": 16}},
        height=height,
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        margin={"l": 60, "r": 20, "t": 60, "b": 60},
        font={"size": 13},
        hovermode="closest",
    )
    if legend_below:
        # Below the axis title, where it has room for several rows on a phone: Plotly then widens the margin itself.
        below = {"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "xanchor": "left", "x": 0}
        figure.update_layout(legend=below)
    return figure
