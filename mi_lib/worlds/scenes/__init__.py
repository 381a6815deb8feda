"""Scenes: small colour images whose truth is known for every pixel.

    scenes = sample(500, seed=0)                 # scenes.images [500 3 64 64], values from 0 to 1
    scenes.labels("figure")                      # a number of CLASSES: "sharp disc", …, "absent"
    scenes.truth("blur")                         # per pixel; also "texture", "depth", "colour", …
    draw(layout, seed)                           # whatever a `Layout` describes
    focus_edges(angles, seed=0)                  # a straight line, in focus on one side

One idea per file: `textures`, `shapes`, `drawing` (regions before one another), `sampling` (what a network is asked
about), `edges`.
"""

from mi_lib.worlds.scenes.drawing import SIZE, TEXTURES, Drawn, Layout, blank, draw
from mi_lib.worlds.scenes.edges import brightness_edges, focus_edges, uniform
from mi_lib.worlds.scenes.sampling import CLASSES, KINDS, SENTENCES, TASKS, Scenes, sample
from mi_lib.worlds.scenes.shapes import SHAPES

__all__ = [
    "CLASSES",
    "KINDS",
    "SENTENCES",
    "SHAPES",
    "SIZE",
    "TASKS",
    "TEXTURES",
    "Drawn",
    "Layout",
    "Scenes",
    "blank",
    "brightness_edges",
    "draw",
    "focus_edges",
    "sample",
    "uniform",
]
