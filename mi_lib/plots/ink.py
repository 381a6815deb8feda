"""Letters that can be read on the colour of their cell, black or white."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from mi_lib.plots.style import array

BLACK, WHITE = "#000000", "#ffffff"


def legible(figure: go.Figure) -> go.Figure:
    """Write what stands in the cells of a figure's maps in black or white, whichever is read more easily on each.

    Returns the same figure. Plotly writes grey or white itself, and on colours in the middle neither can be read. A map
    has letters of one colour, so each becomes two maps, which leave out each other's cells. Maps whose letters have a
    colour already are left alone, and so are those whose scale has no ends.
    """
    for trace in list(figure.select_traces(_written_in)):
        white, numbers, said = _white(trace), array(trace.z), np.array(trace.text, dtype=object)
        other = go.Heatmap(trace).update(showscale=False)
        for part, color, here in ((trace, BLACK, ~white), (other, WHITE, white)):
            part.update(z=np.where(here, numbers, np.nan), text=np.where(here, said, ""))
            part.update(textfont={"color": color}, hoverongaps=False)
        if white.any():
            figure.add_trace(other)
    return figure


def _written_in(trace: Any) -> bool:
    if trace.type != "heatmap" or trace.texttemplate != "%{text}" or trace.textfont.color:
        return False
    return None not in (trace.text, trace.colorscale, trace.zmin, trace.zmax)


def _white(trace: Any) -> np.ndarray:
    """Which cells [row column] of a map ask for white letters."""
    share = (array(trace.z) - trace.zmin) / ((trace.zmax - trace.zmin) or 1.0)
    color = luminance(between(trace.colorscale, 1 - share if trace.reversescale else share))
    return contrast(color, 1.0) > contrast(color, 0.0)


def between(scale: Sequence[Sequence[Any]], share: Any) -> np.ndarray:
    """The colours [... rgb], from 0 to 1, that a scale ((place, colour), …) has at these shares of its length."""
    places, colors = zip(*scale, strict=True)
    parts = np.array([_rgb(color) for color in colors])
    return np.stack([np.interp(np.clip(share, 0, 1), places, parts[:, i]) for i in range(3)], axis=-1)


def _rgb(color: str) -> list[float]:
    """ "#ff8000" or "rgb(255, 128, 0)" as three numbers from 0 to 1."""
    if color.startswith("#"):
        return [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [float(part) / 255 for part in re.findall(r"[\d.]+", color)[:3]]


def luminance(rgb: Any) -> np.ndarray:
    """How bright colours [... rgb] look, from 0 (black) to 1 (white). Source: WCAG 2.2, "relative luminance"."""
    parts = np.asarray(rgb, dtype=float)
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def contrast(one: Any, other: Any) -> np.ndarray:
    """Of two luminances, from 1 to 21. Letters ask for 4.5. Source: WCAG 2.2, "contrast ratio"."""
    high, low = np.maximum(one, other), np.minimum(one, other)
    return (high + 0.05) / (low + 0.05)
