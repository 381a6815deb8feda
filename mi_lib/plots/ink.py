"""Letters that can be read on the colour of their cell, black or white."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from mi_lib.plots.telling import values_of

BLACK, WHITE = "#000000", "#ffffff"


def legible(traces: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A figure's traces (`figure.to_dict()["data"]`), with what stands in the cells of maps in black or white.

    Plotly writes grey or white itself, and on colours in the middle neither can be read. A map has letters of one
    colour, so each becomes two maps, which leave out each other's cells; the second comes after all other traces. Maps
    whose letters have a colour already are left alone, and so are those whose scale has no ends.
    """
    shown, others = [], []
    for trace in traces:
        if not _written_in(trace):
            shown.append(trace)
            continue
        z = np.array(values_of(trace["z"]), dtype=float)
        white = _white(trace, z)
        shown.append(_part(trace, z, ~white, BLACK))
        if white.any():
            others.append(_part(trace, z, white, WHITE) | {"showscale": False})
    return shown + others


def _written_in(trace: dict[str, Any]) -> bool:
    if trace["type"] != "heatmap" or trace.get("texttemplate") != "%{text}" or trace.get("textfont", {}).get("color"):
        return False
    return all(trace.get(key) is not None for key in ("text", "colorscale", "zmin", "zmax"))


def _white(trace: dict[str, Any], z: np.ndarray) -> np.ndarray:
    """Which cells [row column] of a map ask for white letters."""
    share = (z - trace["zmin"]) / ((trace["zmax"] - trace["zmin"]) or 1.0)
    color = luminance(between(trace["colorscale"], 1 - share if trace.get("reversescale") else share))
    return contrast(color, 1.0) > contrast(color, 0.0)


def _part(trace: dict[str, Any], z: np.ndarray, here: np.ndarray, color: str) -> dict[str, Any]:
    """The same map without the cells [row column] that are not here."""
    text = np.where(here, np.array(trace["text"], dtype=object), "").tolist()
    font = trace.get("textfont", {}) | {"color": color}
    numbers = [
        [value if shown else None for value, shown in zip(*row, strict=True)] for row in zip(z, here, strict=True)
    ]
    cells = {"z": numbers, "text": text, "hoverongaps": False}
    return trace | cells | {"textfont": font}


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
