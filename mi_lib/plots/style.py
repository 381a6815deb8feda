"""What every figure has in common: colours, axes, size, and what is read of an array.

Colours are Okabe and Ito's eight, which colour-blind readers can tell apart; maps use Cividis, or blue–red where zero
matters. Backgrounds are transparent, so that a figure fits a light page and a dark one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
# Once around the hues, all as bright (OKLCH, lightness 0.64): on a white page and on a dark one each can be seen.
AROUND = (
    *("#e15955", "#d16e0d", "#b08505", "#8a9500", "#37a643", "#05a388"),
    *("#199eaa", "#0497d2", "#5886f2", "#9572e7", "#be62c4", "#d85891"),
)
DASHES = ("solid", "dash", "dot", "dashdot")
GRID = "rgba(128, 128, 128, 0.25)"


def styled(figure: go.Figure, title: str, height: int, legend_below: bool = False) -> go.Figure:
    figure.update_layout(
        title={"text": title, "x": 0, "xanchor": "left", "font": {"size": 16}},
        height=height,
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        margin={"l": 60, "r": 20, "t": 60, "b": 60},
        font={"size": 13},
        hovermode="closest",
        # Plotly's own ground of these buttons is half black where the figure's is transparent.
        modebar={"bgcolor": "rgba(0, 0, 0, 0)", "color": "#8a8a8a", "activecolor": "#3f8fd2"},
    )
    if legend_below:
        # Below the axis title, where it has room for several rows on a phone: Plotly then widens the margin itself.
        below = {"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "xanchor": "left", "x": 0}
        figure.update_layout(legend=below)
    return figure


def array(values: Any) -> np.ndarray:
    """A NumPy array of a tensor, list or array."""
    if hasattr(values, "detach"):
        values = values.detach().float().cpu()
    return np.asarray(values, dtype=float)


def positions(tokens: Sequence[str]) -> list[str]:
    return [f"{token} {i}" for i, token in enumerate(tokens)]


def written(number: float, decimals: int, sign: str = "") -> str:
    """A number as a figure shows it: −0.22 with a minus sign, which a hyphen is not, and 0.00 without one.

    sign: "+" to write that too.
    """
    return f"{round(number, decimals) + 0.0:{sign}.{decimals}f}".replace("-", "−")
