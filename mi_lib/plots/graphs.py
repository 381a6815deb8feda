"""Parts of a network, and the edges between them: a column for each layer, from the embedding to the logits.

A head is read three times, so edges end at one of three ports at its left: its queries, keys or values. An edge that
passes other columns runs between their rows, so that it is not taken for one that ends there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from mi_lib.plots.style import PALETTE, styled

PORTS = {"q": -0.27, "k": 0.0, "v": 0.27}  # how far below the middle of a head
_HALF = 0.22  # of a part's width, in columns
_COLUMNS = 6.5  # a figure is at least as wide as so many, or parts would stand far from the ends of their edges
_WIDEST, _WIDTHS = 9.0, (1.0, 2.0, 3.5, 5.5, 9.0)  # pixels: plotly draws lines of one width together


class Place(NamedTuple):
    """Where a part stands: its column (it may be a fraction), its row from the top, and what is written on it."""

    column: float
    row: float
    label: str


class Line(NamedTuple):
    """An edge to be drawn. port: "q", "k", "v", or "" for a part that is read once. weight: from 0 to 1.

    kind: which of the legend's kinds of lines it is. hover: what is said when it is pointed at.
    """

    sender: str
    receiver: str
    port: str
    weight: float
    kind: str
    hover: str


class Look(NamedTuple):
    """How a kind of line is drawn. dash: as well as the colour, for those who see no difference of colours."""

    color: str
    dash: str


LOOKS = {
    "for": Look(PALETTE[0], "solid"),
    "against": Look(PALETTE[1], "dash"),
    "found": Look(PALETTE[0], "solid"),
    "missed": Look(PALETTE[1], "dash"),
    "false": Look(PALETTE[3], "dot"),
    "open": Look(PALETTE[7], "dashdot"),
}


def circuit_graph(
    places: Mapping[str, Place],
    edges: Sequence[Line],
    title: str,
    names: Mapping[str, str],
    columns: Mapping[float, str],
    hovers: Mapping[str, str],
    dropped: Iterable[str] = (),
    ringed: Iterable[str] = (),
) -> go.Figure:
    """Parts as boxes, edges as lines that are as wide as their weight, at least a pixel.

    names: for each kind of line (a key of `LOOKS`) what the legend calls it. columns: names under the columns.
    hovers: for each part, what is said when it is pointed at. dropped: parts that are drawn as if switched off.
    ringed: parts with a ring around them. Every part can be clicked: its name is the point's `customdata`.
    """
    figure = go.Figure()
    for kind, name in names.items():
        _lines(figure, places, [edge for edge in edges if edge.kind == kind], kind, name)
    _ports(figure, places, edges)
    _parts(figure, places, hovers, set(dropped), set(ringed))
    rows = [place.row for place in places.values()]
    beside = max(0.5, (_COLUMNS - max(columns) + min(columns)) / 2)
    figure.update_xaxes(
        tickvals=list(columns),
        ticktext=list(columns.values()),
        showgrid=False,
        zeroline=False,
        range=[min(columns) - beside, max(columns) + beside],
    )
    figure.update_yaxes(visible=False, range=[max(rows) + 0.7, min(rows) - 0.7])
    figure = styled(figure, title, height=round(62 * (max(rows) - min(rows) + 1)) + 190, legend_below=True)
    figure.update_layout(margin={"l": 10, "r": 10}, dragmode=False, clickmode="event+select", hoverdistance=30)
    return figure


def _lines(figure: go.Figure, places: Mapping[str, Place], edges: list[Line], kind: str, name: str) -> None:
    """All lines of a kind: a trace for each width, and points in the middle of each that can be pointed at."""
    look = LOOKS[kind]
    by_width: dict[float, list[Line]] = defaultdict(list)
    for edge in edges:
        wide = max(1.0 if look.dash == "solid" else 2.0, _WIDEST * edge.weight)  # dashes of a pixel are hardly seen
        by_width[min(_WIDTHS, key=lambda width: abs(width - wide))].append(edge)
    # An empty line for the legend, so that a kind of which there is none stands there too.
    figure.add_scatter(
        x=[None], y=[None], mode="lines", line={"color": look.color, "dash": look.dash, "width": 4}, name=name
    )
    for width, some in sorted(by_width.items()):
        ways = [np.vstack([_way(places, edge), [np.nan, np.nan]]) for edge in some]
        x, y = np.concatenate(ways).T
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines",
            line={"color": look.color, "dash": look.dash, "width": width},
            opacity=0.9,
            hoverinfo="skip",
            showlegend=False,
        )
    middles = [_way(places, edge)[_STEPS // 2] for edge in edges]
    figure.add_scatter(
        x=[x for x, _ in middles],
        y=[y for _, y in middles],
        mode="markers",
        marker={"size": 9, "color": look.color},
        selected={"marker": {"opacity": 0.9}},
        unselected={"marker": {"opacity": 0.9}},
        hovertext=[edge.hover for edge in edges],
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=False,
    )


_STEPS = 24


def _way(places: Mapping[str, Place], edge: Line) -> Float[np.ndarray, "step 2"]:
    """From the right of the sender to the receiver's port, level at both ends."""
    start, end = places[edge.sender], places[edge.receiver]
    x0, x1 = start.column + _HALF, end.column - _HALF
    y0, y1 = start.row, end.row + PORTS.get(edge.port, 0.0)
    x = np.linspace(x0, x1, _STEPS)
    if end.column - start.column <= 1.3:
        return np.stack([x, y0 + (y1 - y0) * _ease((x - x0) / (x1 - x0))], -1)
    # Between two rows, and each sender a little apart from the others there.
    lane = np.floor(y1) + 0.5 if y1 < y0 else np.ceil(y1) - 0.5
    lane += 0.06 * ((round(4 * start.column) + round(2 * start.row)) % 5 - 2)
    bend = 0.62
    y = y0 + (lane - y0) * _ease((x - x0) / bend) + (y1 - lane) * _ease((x - x1 + bend) / bend)
    return np.stack([x, y], -1)


def _ease(t: Float[np.ndarray, " step"]) -> Float[np.ndarray, " step"]:
    """0 up to t = 0, 1 from t = 1 on, and level at both."""
    t = t.clip(0, 1)
    return t * t * (3 - 2 * t)


def _ports(figure: go.Figure, places: Mapping[str, Place], edges: Sequence[Line]) -> None:
    """The letters q, k and v where an edge arrives."""
    used = sorted({(edge.receiver, edge.port) for edge in edges if edge.port})
    figure.add_scatter(
        x=[places[receiver].column - _HALF - 0.05 for receiver, _ in used],
        y=[places[receiver].row + PORTS[port] - 0.1 for receiver, port in used],
        mode="text",
        text=[port for _, port in used],
        textfont={"size": 10},
        hoverinfo="skip",
        showlegend=False,
    )


def _parts(
    figure: go.Figure, places: Mapping[str, Place], hovers: Mapping[str, str], dropped: set[str], ringed: set[str]
) -> None:
    figure.add_scatter(
        x=[place.column for place in places.values()],
        y=[place.row for place in places.values()],
        mode="markers+text",
        text=[f"<s>{place.label}</s>" if name in dropped else place.label for name, place in places.items()],
        textfont={"size": 11, "color": ["#8a8a8a" if name in dropped else "#101010" for name in places]},
        marker={
            "symbol": "square",
            "size": 40,
            "opacity": 1,
            "color": ["rgba(128, 128, 128, 0.12)" if name in dropped else "#dfe5ec" for name in places],
            "line": {
                "width": [3 if name in ringed else 1 for name in places],
                "color": [PALETTE[2] if name in ringed else "#8a8a8a" for name in places],
            },
        },
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}, "textfont": {"color": "#101010"}},
        customdata=list(places),
        hovertext=[hovers.get(name, name) for name in places],
        hovertemplate="%{hovertext}<extra></extra>",
        name="parts",
        showlegend=False,
    )
