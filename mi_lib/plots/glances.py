"""A small picture of numbers of which nothing is known but their shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from mi_lib.plots.heatmaps import maps
from mi_lib.plots.images import pixels
from mi_lib.plots.style import GRID, PALETTE, array, styled

FEW = 12


def glance(values: Any, every: Sequence[int] = ()) -> go.Figure:
    """A heat map of a matrix, a line of a row of numbers, the image of an image [rgb h w] with values from 0 to 1.

    Several matrices [matrix 1 row column] are maps beside each other, each with a scale of its own.

    every: the numbers are every k-th of what is spoken of, so that the axes count in steps of k.
    """
    steps = list(every) or [1] * np.ndim(values)
    if np.ndim(values) == 3:
        figure = go.Figure(go.Image(z=pixels(values)))
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        return _small(figure, 260)
    numbers = array(values)
    if numbers.ndim == 4:
        names = [f"[{i}]" for i in range(len(numbers))]
        return maps(np.where(np.isfinite(numbers), numbers, np.nan)[:, 0], names, "", "column", "row")
    places = [np.arange(n) * k for n, k in zip(numbers.shape, steps, strict=True)]
    if numbers.ndim == 1:
        figure = go.Figure(go.Scatter(x=places[0], y=numbers, mode="lines", line={"color": PALETTE[0], "width": 2}))
        figure.update_xaxes(gridcolor=GRID, title="index")
        figure.update_yaxes(gridcolor=GRID)
        return _small(figure, 220)
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    colours = {"colorscale": "RdBu", "zmid": 0} if low < 0 < high else {"colorscale": "Cividis"}
    hover = "row %{y}, column %{x}: %{z:.4g}<extra></extra>"
    bar = {"nticks": 4, "thickness": 14}  # the picture is low: more numbers would touch each other
    figure = go.Figure(go.Heatmap(z=numbers, y=places[0], x=places[1], hovertemplate=hover, colorbar=bar, **colours))
    figure.update_xaxes(showgrid=False, title="column")
    figure.update_yaxes(showgrid=False, title="row", autorange="reversed")
    for update, places_of in ((figure.update_yaxes, places[0]), (figure.update_xaxes, places[1])):
        if len(places_of) <= FEW:
            update(tickvals=places_of)  # of a few rows Plotly would write halves between them
    return _small(figure, int(np.clip(80 + 14 * len(numbers), 160, 340)))


def _small(figure: go.Figure, height: int) -> go.Figure:
    return styled(figure, "", height).update_layout(margin={"t": 10, "b": 45})
