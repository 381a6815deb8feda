"""Directions as arrows: on a line, in the plane, or in space."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from mi_lib.plots.style import GRID, PALETTE, array, styled

FAINT = "#999999"
REACH = 1.5  # the axes go from -REACH to REACH, whatever is drawn: arrows that grow are seen to grow


def arrows(
    vectors: Any, names: Sequence[str], title: str, axis_title: str, faint: Collection[int] = (), height: int = 440
) -> go.Figure:
    """An arrow from 0 for each of the vectors [n dimension], in one, two or three dimensions.

    names: written at their ends. faint: numbers of arrows that are to stand back: grey, dotted, and without a name.
    axis_title: the axes are called so, with their number. ValueError for other dimensions.
    """
    ends = array(vectors)
    if ends.ndim != 2 or ends.shape[1] not in (1, 2, 3):
        raise ValueError(f"arrows are drawn in one to three dimensions, not of the shape {list(ends.shape)}")
    figure = go.Figure()
    for back in (True, False):
        chosen = [i for i in range(len(ends)) if (i in faint) == back]
        _bundle(figure, ends[chosen], [names[i] for i in chosen], back)
    if ends.shape[1] == 3:
        axis = {"range": [-REACH, REACH], "dtick": 1, "gridcolor": FAINT, "zerolinecolor": FAINT}
        axis |= {"showbackground": False, "tickfont": {"size": 10}}
        axes = {
            f"{letter}axis": axis | {"title": {"text": f"{axis_title} {k}", "font": {"size": 11}}}
            for k, letter in enumerate("xyz")
        }
        camera = {"eye": {"x": 1.5, "y": 1.5, "z": 0.9}}  # all of it is in view, names of axes included
        figure.update_layout(scene={"aspectmode": "cube", "uirevision": "kept", "camera": camera, **axes})
    else:
        if ends.shape[1] == 2:
            figure.add_shape(type="circle", x0=-1, y0=-1, x1=1, y1=1, line={"color": FAINT, "width": 1, "dash": "dot"})
        figure.update_xaxes(title=f"{axis_title} 0", range=[-REACH, REACH], gridcolor=GRID, zerolinecolor=FAINT)
        second = f"{axis_title} 1" if ends.shape[1] == 2 else ""
        figure.update_yaxes(title=second, range=[-REACH, REACH], gridcolor=GRID, zerolinecolor=FAINT, scaleanchor="x")
        if ends.shape[1] == 1:
            figure.update_yaxes(showticklabels=False, showgrid=False)
    figure = styled(figure, title, height)
    if ends.shape[1] == 3:
        figure.update_layout(margin={"l": 0, "r": 0, "b": 0})
    return figure.update_layout(showlegend=False, dragmode="orbit" if ends.shape[1] == 3 else False)


def _bundle(figure: go.Figure, ends: np.ndarray, names: Sequence[str], faint: bool) -> None:
    """Arrows that look alike, as one line with gaps: a figure of few traces is drawn sooner."""
    told = [f"{name}: {length:.2f} long" for name, length in zip(names, np.linalg.norm(ends, axis=1), strict=True)]
    column = [None if k == 2 else k * value for row in ends.T for value in row for k in (0, 1, 2)]
    along = [column[i : i + 3 * len(ends)] for i in range(0, len(column), 3 * len(ends))] if len(ends) else [[]] * 3
    color, texts = FAINT if faint else PALETTE[0], [text for each in told for text in ("", each, "")]
    look: dict[str, Any] = {"hovertext": texts, "hovertemplate": "%{hovertext}<extra></extra>", "mode": "lines+markers"}
    if ends.shape[1] == 3:
        sizes = [0, 2 if faint else 6, 0] * len(ends)
        line: dict[str, Any] = {"color": color, "width": 2 if faint else 6}
        marker = {"color": color, "size": sizes, "opacity": 1}
        figure.add_scatter3d(x=along[0], y=along[1], z=along[2], line=line, marker=marker, **look)
    else:
        second = along[1] if ends.shape[1] == 2 else [None if x is None else 0.0 for x in along[0]]
        line = {"color": color, "width": 1.5 if faint else 3, "dash": "dot" if faint else "solid"}
        sizes = [0, 6 if faint else 13, 0] * len(ends)
        head = {"symbol": "arrow", "angleref": "previous", "size": sizes, "color": color, "opacity": 1}
        figure.add_scatter(x=along[0], y=second, line=line, marker=head, **look)
    if not faint:
        lengths = np.linalg.norm(ends, axis=1, keepdims=True)
        out = ends * (1 + 0.14 / np.maximum(lengths, 1e-6))  # a little further out than the arrow's end
        axes = dict(zip("xyz", out.T, strict=False))
        add = figure.add_scatter3d if ends.shape[1] == 3 else figure.add_scatter
        add(**({"y": [0.0] * len(out)} | axes), mode="text", text=list(names), hoverinfo="skip")
