"""Figures. Technique modules return arrays; only this package draws.

It is cut by the form of a figure and not by technique, because one form serves many chapters.

style       colours, axes, and what every figure has in common
arrows      directions, on a line, in the plane or in space
charts      numbers over an axis: lines, bars, spectra
heatmaps    one colour for each number: attention, matrices, lens tables, patching
ink         letters that can be read on the colour of their cell
words       what is drawn beside or upon the words of a text
graphs      parts of a network, and the edges between them
pictures    images side by side
glances     a small picture of numbers of which nothing is known
images      pictures for a page in the browser
telling     what a figure shows, in words
"""

from mi_lib.plots.arrows import arrows
from mi_lib.plots.charts import (
    bars,
    circle,
    clouds,
    contributions,
    dots,
    grouped_bars,
    histogram,
    lines,
    share_y,
    sideways,
    spectrum,
)
from mi_lib.plots.glances import glance
from mi_lib.plots.graphs import Line, Place, circuit_graph
from mi_lib.plots.heatmaps import attention, click_map, head_grid, kinds_map, lens_table, maps, matrix, square
from mi_lib.plots.images import data_url, png
from mi_lib.plots.pictures import gallery, signed
from mi_lib.plots.style import DASHES, PALETTE
from mi_lib.plots.telling import told
from mi_lib.plots.words import token_loss

__all__ = [
    "DASHES",
    "PALETTE",
    "Line",
    "Place",
    "arrows",
    "attention",
    "bars",
    "circle",
    "circuit_graph",
    "click_map",
    "clouds",
    "contributions",
    "data_url",
    "dots",
    "gallery",
    "glance",
    "grouped_bars",
    "head_grid",
    "histogram",
    "kinds_map",
    "lens_table",
    "lines",
    "maps",
    "matrix",
    "png",
    "share_y",
    "sideways",
    "signed",
    "spectrum",
    "square",
    "token_loss",
    "told",
]
