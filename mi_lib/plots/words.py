"""What is drawn beside or upon the words of a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from mi_lib.plots.style import DASHES, GRID, PALETTE, array, positions, styled


def token_loss(losses: Mapping[str, Any], tokens: Sequence[str], title: str) -> go.Figure:
    """Loss of predicting each token [pos−1], one line per run; the first token has no loss."""
    labels = positions(tokens)[1:]
    figure = go.Figure()
    for i, (name, loss) in enumerate(losses.items()):
        figure.add_scatter(
            x=list(range(1, len(labels) + 1)),
            y=list(array(loss)),
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
        tickangle=-90,  # upright and small: on a phone a word is given little more room than a letter is high
        tickfont={"size": 11},
        showgrid=False,
    )
    figure.update_yaxes(title="loss (nats)", gridcolor=GRID, rangemode="tozero")
    return styled(figure, title, height=400, legend_below=True)
