"""Rows of pictures, as the page's own elements: they are as high as they are wide, however narrow the window is."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from mi_lib.plots.images import data_url
from mi_lib.plots.pictures import GALLERY, GAP

WIDEST = 112  # pixels of the page, of one picture of many; of few, more
_CAPTION = "font-size: .75rem; line-height: 1.2; text-align: center; overflow-wrap: anywhere; align-self: end"
_ROW = "grid-column: 1 / -1; font-size: .8rem; line-height: 1.2; margin-top: .3rem"


def is_gallery(figure: go.Figure) -> bool:
    """Whether a figure comes from `mi_lib.plots.gallery`."""
    return figure.layout.meta == GALLERY


def as_html(figure: go.Figure) -> str:
    """The pictures of a gallery in a grid, names above their row. A figure of plotly keeps its height in a narrow page,
    and its pictures shrink: what is left would be white."""
    captions, names = figure.layout.xaxis.ticktext, figure.layout.yaxis.ticktext
    corner = 0.5 - GAP / 2  # of each picture, up and left of its place
    pictures = {(round(image.y + corner), round(image.x + corner)): image for image in figure.layout.images}
    cells = [f'<div style="{_CAPTION}">{html.escape(caption)}</div>' for caption in captions]
    for row, name in enumerate(names):
        cells.append(f'<div style="{_ROW}">{html.escape(name)}</div>')
        for column, caption in enumerate(captions):
            image = pictures.get((row, column))
            words = html.escape(f"{name}, {caption}")
            cells.append(
                f'<img src="{html.escape(image.source)}" alt="{words}" style="width: 100%">' if image else "<div></div>"
            )
    columns = f"repeat({len(captions)}, minmax(0, {max(WIDEST, min(200, 480 // len(captions)))}px))"
    return f'<div style="display: grid; grid-template-columns: {columns}; gap: .3rem">{"".join(cells)}</div>'


def tiles(images: Sequence[np.ndarray], captions: Sequence[str], width: int) -> str:
    """Images [h w rgb] of bytes, each so many pixels wide and with its caption below, as many in a row as there is room
    for."""
    cells = []
    for image, caption in zip(images, captions, strict=True):
        words = html.escape(caption)
        cells.append(
            f'<div><img src="{data_url(image.transpose(2, 0, 1) / 255)}" alt="{words}" style="width: 100%">'
            f'<div style="{_CAPTION}">{words}</div></div>'
        )
    columns = f"repeat(auto-fill, {width}px)"
    return f'<div style="display: grid; grid-template-columns: {columns}; gap: .6rem">{"".join(cells)}</div>'
