"""Pictures side by side, in rows that have names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from mi_lib.plots.images import data_url, pixels
from mi_lib.plots.style import array, styled

GAP = 0.08  # between pictures, of their width
ABOVE, BELOW = np.array([33, 102, 172]) / 255, np.array([178, 24, 43]) / 255  # rgb
GALLERY = "gallery"  # what a figure of `gallery` is told by: a page may show its pictures in another way


def gallery(rows: Mapping[str, Sequence[Any]], captions: Sequence[str], title: str, height: int = 96) -> go.Figure:
    """Images [3 h w], from 0 to 1, in rows: rows by name, columns by caption. height: of a row, in pixels of the page.

    ValueError if a row has more images than there are captions.
    """
    figure = go.Figure()
    names = list(rows)
    if longer := [name for name in names if len(rows[name]) > len(captions)]:
        raise ValueError(f"row {longer[0]!r} has {len(rows[longer[0]])} images for {len(captions)} captions")
    zoom = [max(1, round(96 / pixels(images[0]).shape[1])) for images in rows.values()]
    for r, name in enumerate(names):
        for c, image in enumerate(rows[name]):
            figure.add_layout_image(
                source=data_url(image, zoom[r]), xref="x", yref="y", x=c - 0.5 + GAP / 2, y=r - 0.5 + GAP / 2,
                sizex=1 - GAP, sizey=1 - GAP, xanchor="left", yanchor="top", sizing="stretch", layer="above",
            )  # fmt: skip
    # Plotly draws no axes without a trace.
    x, y = np.meshgrid(range(len(captions)), range(len(names)))
    figure.add_scatter(x=x.ravel(), y=y.ravel(), mode="markers", marker={"opacity": 0}, hoverinfo="skip",
                       showlegend=False)  # fmt: skip
    plain = {"showgrid": False, "zeroline": False, "showline": False, "ticks": ""}
    figure.update_xaxes(tickvals=list(range(len(captions))), ticktext=list(captions), side="top",
                        range=[-0.5, len(captions) - 0.5], tickangle=0, constrain="domain", **plain)  # fmt: skip
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=names, range=[len(names) - 0.5, -0.5],
                        scaleanchor="x", constrain="domain", **plain)  # fmt: skip
    return styled(figure, title, height=height * len(names) + 130).update_layout(
        margin={"t": 90, "b": 20}, meta=GALLERY
    )


def signed(values: Any) -> np.ndarray:
    """An image [3 h w] of numbers [h w] of either sign: blue above zero, red below it, white at it."""
    numbers = array(values)
    share = np.abs(numbers) / (np.abs(numbers).max() or 1.0)
    ends = np.where(numbers >= 0, ABOVE[:, None, None], BELOW[:, None, None])
    return 1 - share * (1 - ends)
