"""How the page shows a figure: a plain dict, made ready for the theme and for a narrow window.

Not a figure of Plotly's: that checks every number anew whenever it is copied or changed, for a tenth of a second of a
page's time.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import plotly.graph_objects as go

from app.ink import AT_AXES
from mi_lib.plots.ink import legible

GROUND = ("#ffffff", "#171614")  # of a page, light and dark
Spec = dict[str, Any]  # what Plotly draws: {"data": [...], "layout": {...}}
# Below zero, zero, above: as RdBu, but zero is as dark as the page.
DIVERGING_IN_THE_DARK = [[0, "#ffb49c"], [0.25, "#b2404a"], [0.5, "#171b23"], [0.75, "#336eb8"], [1, "#a6d0ff"]]
_LINE_OF_AN_AXIS = 36  # letters of an axis' title that a phone has room for
_ROOM_OF_A_TITLE = 30  # pixels of a figure's upper margin


class Ready(go.Figure):
    """A spec that Streamlit takes as it takes a figure, and does not check once more."""

    def __init__(self, spec: Spec) -> None:  # a figure's own beginning is what costs
        self._spec = spec

    def to_dict(self) -> Spec:
        return self._spec


def ready(figure: go.Figure, dark: bool, title: str = "") -> Ready:
    """A copy, without its title, which is written above it.

    title: for a picture that is saved (`everywhere`), handed on in the layout's `meta`.
    """
    spec = figure.to_dict()  # a copy: the figure may stand in a cache, for all themes
    layout = spec["layout"]
    # What is kept as a picture has its ground with it: pale letters on none could not be read elsewhere. On the page
    # the ground is left out (`main.STYLE`), so that it is right in a theme that changes meanwhile.
    layout["paper_bgcolor"] = GROUND[dark]
    if layout.get("title", {}).get("text"):
        layout["title"]["text"] = ""
        layout.setdefault("margin", {})["t"] = (layout.get("margin", {}).get("t") or 60) - _ROOM_OF_A_TITLE
    if title and isinstance(meta := layout.get("meta") or {}, dict):  # a learner's own figure may hold anything there
        layout["meta"] = meta | {"title": title}
    for axis in _axes(layout):
        if axis.get("title", {}).get("text"):
            axis["title"]["text"] = "<br>".join(broken(axis["title"]["text"]))
    if dark:
        for trace in spec["data"]:
            if trace["type"] == "heatmap" and trace.get("zmid") == 0:
                trace["colorscale"] = DIVERGING_IN_THE_DARK
            if trace["type"] == "bar":
                for whiskers in ("error_x", "error_y"):  # Plotly's own are nearly black
                    trace.get(whiskers, {}).setdefault("color", "#e6e6e6")
    else:
        _write_darker(layout)
    spec["data"] = legible(spec["data"])
    return Ready(spec)


def _axes(layout: Spec) -> Iterator[Spec]:
    return (value for name, value in layout.items() if name.startswith(("xaxis", "yaxis")))


def _write_darker(layout: Spec) -> None:
    """Write at axes and above parts of a figure as dark as small print: Streamlit's grey has 3.8 : 1 on white."""
    ink = AT_AXES[0]
    for axis in _axes(layout):
        axis.setdefault("tickfont", {}).setdefault("color", ink)
        axis.setdefault("title", {}).setdefault("font", {}).setdefault("color", ink)
    for note in layout.get("annotations", ()):
        note.setdefault("font", {}).setdefault("color", ink)


def broken(text: str) -> list[str]:
    """A text in as few lines as it needs, all about as long."""
    fewest = len(textwrap.wrap(text, _LINE_OF_AN_AXIS)) or 1
    widths = range(-(-len(text) // fewest), _LINE_OF_AN_AXIS + 1)
    tries = (textwrap.wrap(text, width) for width in widths)
    return next((lines for lines in tries if len(lines) == fewest), [text])
