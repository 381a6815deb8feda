"""One colour for each number: attention, matrices, lens tables, maps of patching."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mi_lib.plots.style import array, positions, styled, written

CELL = 38  # pixels that a number needs
MANY_COLUMNS = 8  # of more than so many a phone shows the numbers too small to be read


def attention(pattern: Any, tokens: Sequence[str], title: str, highlight: Any = None) -> go.Figure:
    """One head's attention pattern [query key] as a map: each row is a position, and shows where it looks.

    highlight: for each query the key to be marked with a ring (−1 for none), for example where an induction head
    should look.
    """
    values = array(pattern)
    labels = positions(tokens)
    figure = go.Figure(_attention_map(values, tokens))
    if highlight is not None:
        points = [(int(key), query) for query, key in enumerate(array(highlight)) if key >= 0]
        figure.add_scatter(
            x=[p[0] for p in points],
            y=[p[1] for p in points],
            mode="markers",
            marker={"symbol": "circle-open", "size": 9, "color": "#D55E00", "line": {"width": 1.5}},
            name="one past the earlier occurrence",
            hoverinfo="skip",
        )
    axis = {"tickmode": "array", "tickvals": list(range(len(labels))), "ticktext": labels, "showgrid": False}
    # Upright and small: on a phone a column is little wider than a letter is high.
    figure.update_xaxes(title="looked at (key)", tickangle=-90, tickfont={"size": 11}, **axis)
    figure.update_yaxes(title="position (query)", autorange="reversed", **axis)
    figure = styled(figure, title, height=max(360, 18 * len(labels) + 160) + 40, legend_below=True)
    return figure.update_layout(margin={"t": 110})


def head_grid(patterns: Any, tokens: Sequence[str], titles: Sequence[str], title: str, columns: int = 4) -> go.Figure:
    """Many heads at a glance: patterns [head query key], one small map each."""
    values = array(patterns)
    rows = -(-len(values) // columns)
    names = _stacked(titles, columns)
    figure = make_subplots(rows, columns, subplot_titles=names, horizontal_spacing=0.03, vertical_spacing=0.14)
    for i, pattern in enumerate(values):
        figure.add_trace(_attention_map(pattern, tokens, scale=i == 0), row=i // columns + 1, col=i % columns + 1)
    figure.update_xaxes(showticklabels=False, ticks="", showgrid=False)
    figure.update_yaxes(showticklabels=False, ticks="", showgrid=False, autorange="reversed")
    figure.update_annotations(font_size=11)
    below = {"orientation": "h", "y": -0.02, "yanchor": "top", "title": {"text": "attention", "side": "bottom"}}
    figure.update_traces(colorbar=below, selector={"showscale": True})
    return styled(figure, title, height=230 * rows + 120)


def maps(
    values: Any, titles: Sequence[str], title: str, x_title: str = "b", y_title: str = "a", columns: int = 4
) -> go.Figure:
    """Functions of two numbers, [map row column], one small map each; zero is white.

    At the axes stand the numbers of rows and columns: some where a map has room for them, else the first and the last.
    """
    numbers = array(values)
    columns = min(columns, len(numbers))
    rows = -(-len(numbers) // columns)
    names = _stacked(titles, columns)
    figure = make_subplots(rows, columns, subplot_titles=names, horizontal_spacing=0.04, vertical_spacing=0.16)
    for i, z in enumerate(numbers):
        most = float(np.nanmax(np.abs(z), initial=0.0)) or 1.0
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
    figure.update_xaxes(**_ends(numbers.shape[2], columns), title_standoff=4)
    figure.update_yaxes(**_ends(numbers.shape[1], columns), title_standoff=4, autorange="reversed")
    figure.update_yaxes(showticklabels=False, ticks="")  # the same in a row of maps, so they stand beside its first
    figure.update_yaxes(title=y_title, showticklabels=True, col=1)
    figure.update_xaxes(title=x_title, row=rows)
    figure.update_annotations(font_size=12)
    figure = styled(figure, title, height=250 * rows + 90)
    lines = max(name.count("<br>") + 1 for name in names)
    return figure.update_layout(margin={"t": max(60, 34 + 17 * lines)})  # all lines of the names above the maps


def _ends(n: int, columns: int) -> dict[str, Any]:
    """Of an axis from 0 to n − 1 what stands at it: of maps side by side a phone has room for two numbers."""
    at = {"nticks": 6} if columns == 1 else {"tickvals": [0, n - 1], "tickfont": {"size": 10}}
    return at | {"showgrid": False, "zeroline": False, "tickangle": 0, "ticks": ""}


def matrix(
    values: Any,
    row_names: Sequence[str],
    column_names: Sequence[str],
    title: str,
    x_title: str = "",
    y_title: str = "",
    diverging: bool = True,
    decimals: int = 2,
) -> go.Figure:
    """A small matrix with its numbers written in the cells: whole ones as such, others with so many decimals."""
    numbers = array(values)
    decimals *= bool((numbers != numbers.round()).any())
    most = float(np.abs(numbers).max()) or 1.0
    limits = {"zmid": 0, "zmin": -most, "zmax": most} if diverging else {"zmin": 0, "zmax": most}
    texts = [[written(v, decimals) for v in row] for row in numbers]
    many = len(column_names) > MANY_COLUMNS
    cell = CELL if many else (250 - 6 * max(map(len, row_names))) / len(column_names)  # pixels on a phone
    size = min(13, max(8, cell / (0.6 * max(len(text) for row in texts for text in row))))
    figure = go.Figure(
        go.Heatmap(
            z=numbers,
            x=list(column_names),
            y=list(row_names),
            colorscale="RdBu" if diverging else "Cividis",
            text=texts,
            texttemplate="%{text}",
            textfont={"size": size},  # else the black ones and the white ones would have each their own
            hovertemplate="%{y} → %{x}: %{z:.3f}<extra></extra>",
            showscale=False,  # every number is written, and a phone has no room for both
            **limits,
        )
    )
    figure.update_xaxes(title=x_title, showgrid=False, autotickangles=[0, -90])  # slanted they would touch
    figure.update_yaxes(title=y_title, autorange="reversed", showgrid=False)
    if many:
        figure.update_layout(meta={"least": 60 + 7 * max(map(len, row_names)) + CELL * len(column_names)})
    return styled(figure, title, height=90 + 60 * len(row_names) + 80)


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

    A click on a cell selects a point whose x is the position and whose y is the depth.
    """
    numbers = array(values)
    scale = _above(scale_title)
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
    _clickable(figure, hovers, chosen)
    figure.update_xaxes(
        title={"text": "last word read, and its position", "standoff": 50},  # room for slanted words
        tickvals=list(range(len(columns))),
        ticktext=positions(columns),
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
    figure = styled(figure, title, height=42 * len(depths) + 275)
    figure.update_layout(margin={"t": 125, "r": 10, "b": 110})
    figure.update_layout(meta={"least": 190 + 56 * len(columns)})  # pixels: the words of the cells want to be read
    return figure.update_layout(hoverdistance=60, dragmode=False, clickmode="event+select")


def click_map(
    values: Any,
    hovers: Sequence[Sequence[str]],
    row_names: Sequence[str],
    column_names: Sequence[str],
    title: str,
    scale_title: str,
    x_title: str,
    y_title: str,
    chosen: tuple[int, int] | None = None,
) -> go.Figure:
    """Shares [row column], zero in the middle of the scale and ±1 at its ends, or more where there is more.

    What is 5 % or more is written into its cell, in hundredths. hovers, chosen: as in `lens_table`. A click on a cell
    selects a point whose x is the column and whose y is the row.
    """
    numbers = array(values)
    most = max(1.0, float(np.nanmax(np.abs(numbers))))
    figure = go.Figure(
        go.Heatmap(
            z=numbers,
            zmid=0,
            zmin=-most,
            zmax=most,
            colorscale="RdBu",
            colorbar=_above(scale_title),
            text=[[written(100 * v, 0) if abs(v) >= 0.05 else "" for v in row] for row in numbers],
            texttemplate="%{text}",
            xgap=1,
            ygap=1,
            hoverinfo="skip",
        )
    )
    _clickable(figure, hovers, chosen)
    for update, axis, names in (
        (figure.update_xaxes, x_title, column_names),
        (figure.update_yaxes, y_title, row_names),
    ):
        update(title=axis, tickvals=list(range(len(names))), ticktext=list(names), showgrid=False, zeroline=False)
    slanted = any(len(name) > 4 for name in column_names)
    figure.update_xaxes(range=[-0.5, len(column_names) - 0.5], tickangle=-45 if slanted else 0)
    figure.update_yaxes(range=[len(row_names) - 0.5, -0.5])
    figure = styled(figure, title, height=42 * len(row_names) + (275 if slanted else 225))
    figure.update_layout(margin={"t": 125, "r": 10, "b": 110 if slanted else 60})
    return figure.update_layout(hoverdistance=60, dragmode=False, clickmode="event+select")


def square(
    values: Any, names: Sequence[str], hovers: Sequence[Sequence[str]], title: str, scale_title: str, x_title: str,
    y_title: str, height: int = 440,
) -> go.Figure:  # fmt: skip
    """One value for every two of the same things, [n n], in square cells without numbers: for many of them.

    Zero is in the middle of the scale, and ±1 at its ends. hovers: what is shown beside the pointer.
    """
    numbers = array(values)
    places = list(range(len(names)))
    figure = go.Figure(
        go.Heatmap(
            z=numbers, zmid=0, zmin=-1, zmax=1, colorscale="RdBu", colorbar=_above(scale_title), xgap=1, ygap=1,
            text=list(hovers),
            hovertemplate="%{text}<extra></extra>",
        )
    )  # fmt: skip
    every = -(-len(names) // 12)
    ticks = {"tickvals": places[::every], "ticktext": list(names)[::every], "showgrid": False, "zeroline": False}
    figure.update_xaxes(title=x_title, constrain="domain", **ticks)
    figure.update_yaxes(title=y_title, autorange="reversed", scaleanchor="x", constrain="domain", **ticks)
    return styled(figure, title, height).update_layout(margin={"t": 110})


def kinds_map(
    kinds: Any,
    names: Sequence[str],
    hovers: Sequence[Sequence[str]],
    row_names: Sequence[str],
    column_names: Sequence[str],
    title: str,
    x_title: str,
    y_title: str,
    chosen: tuple[int, int] | None = None,
) -> go.Figure:
    """Of which kind each cell [row column] is: kinds numbers them, names says what is written into the cell.

    hovers, chosen, and what a click selects: as in `click_map`. At most three kinds.
    """
    numbers = array(kinds).astype(int)
    colors = ("#B8B8B8", "#E69F00", "#56B4E9")[: len(names)]  # dark letters can be read on each of them
    steps = [(k / len(colors), color) for k, color in enumerate(colors)]
    steps = [(edge + part / len(colors), color) for edge, color in steps for part in (0, 1)]
    figure = go.Figure(
        go.Heatmap(
            z=numbers, zmin=-0.5, zmax=len(colors) - 0.5, colorscale=steps, showscale=False, xgap=1, ygap=1,
            text=[[names[kind] for kind in row] for row in numbers], texttemplate="%{text}",
            textfont={"color": "#101010", "size": 11}, hoverinfo="skip",
        )
    )  # fmt: skip
    _clickable(figure, hovers, chosen)
    for update, axis, ticks in (
        (figure.update_xaxes, x_title, column_names),
        (figure.update_yaxes, y_title, row_names),
    ):
        update(title=axis, tickvals=list(range(len(ticks))), ticktext=list(ticks), showgrid=False, zeroline=False)
    figure.update_xaxes(range=[-0.5, len(column_names) - 0.5], tickangle=0)
    figure.update_yaxes(range=[len(row_names) - 0.5, -0.5])
    figure = styled(figure, title, height=38 * len(row_names) + 130)
    return figure.update_layout(hoverdistance=60, dragmode=False, clickmode="event+select")


def _stacked(titles: Sequence[str], columns: int) -> list[str]:
    """Titles of maps that stand side by side, in lines as short as a phone needs them."""
    return ["<br>".join(textwrap.wrap(title, 9)) if columns > 1 else title for title in titles]


def _above(title: str) -> dict[str, Any]:
    """A colour bar above the cells and at the left, where it is in view even if a wide map is scrolled sideways."""
    bar = {"title": {"text": title, "side": "top", "font": {"size": 13}}, "thickness": 10, "orientation": "h"}
    return bar | {"x": 0, "xanchor": "left", "y": 1.01, "yanchor": "bottom", "lenmode": "pixels", "len": 280}


def _clickable(figure: go.Figure, hovers: Sequence[Sequence[str]], chosen: tuple[int, int] | None) -> None:
    """Make cells [row column] of a map such that they can be pointed at and clicked, and frame the one that is chosen.

    Plotly selects points of a scatter plot and no cells of a map. So a point that is not seen lies on every cell.
    """
    places = [(row, column) for row, told in enumerate(hovers) for column in range(len(told))]
    unseen = {"marker": {"opacity": 0}}
    figure.add_scatter(
        x=[column for _, column in places],
        y=[row for row, _ in places],
        mode="markers",
        marker={"symbol": "square", "size": 30, "opacity": 0},
        selected=unseen,
        unselected=unseen,
        hovertext=[hovers[row][column] for row, column in places],
        hovertemplate="%{hovertext}<extra></extra>",
        hoverlabel={"align": "left"},
        showlegend=False,
    )
    if chosen is not None:
        row, column = chosen
        edge = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
        figure.add_shape(type="rect", line={"color": "#D55E00", "width": 3}, **edge)


def _attention_map(values: np.ndarray, tokens: Sequence[str], scale: bool = True) -> go.Heatmap:
    rows = [[f"{tokens[q]} ({q}) looks at {tokens[k]} ({k})" for k in range(len(tokens))] for q in range(len(tokens))]
    return go.Heatmap(
        z=values,
        zmin=0,
        zmax=1,
        colorscale="Cividis",
        showscale=scale,
        colorbar=_above("attention") | {"lenmode": "fraction", "len": 1},  # beside the map it would take a third of it
        text=rows,
        hovertemplate="%{text}: %{z:.2f}<extra></extra>",
    )
