"""`sample`: scenes of the kinds that a network is asked about.

    sharp, soft, colour, texture, front, absent (what each is stands in SENTENCES)

The task "figure" has a class for each shape of each kind, and one for "absent". To tell sharp and soft figures one must
see focus, for the texture ones waves, for the front ones which outline is broken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.worlds.scenes.drawing import (
    BEHIND,
    CHECKS,
    FRONT,
    GRATING,
    GROUND,
    NOISE,
    PLAIN,
    SIZE,
    Drawn,
    Layout,
    blank,
    draw,
)
from mi_lib.worlds.scenes.shapes import SHAPES

SENTENCES = {
    "sharp": "A figure in focus on ground that is out of focus: both noise, of one colour and equal contrast.",
    "soft": "The reverse: the figure is out of focus, and the ground is not.",
    "colour": "A figure of another colour, and nothing else: the ground's texture runs on through it.",
    "texture": "A figure of other waves: of another direction, or of another length. Its colour is the ground's.",
    "front": "Two figures of different shape and colour, one before the other. The one in front counts.",
    "absent": "No figure: ground of any texture.",
}
KINDS = tuple(SENTENCES)
CLASSES = (*(f"{kind} {shape}" for kind in KINDS[:-1] for shape in SHAPES), "absent")
TASKS = ("figure", "kind", "shape", "focus")
IN_FOCUS, OUT_OF_FOCUS = (0.5, 0.8), (2.2, 3.2)  # blur in pixels
FREQUENCIES = (0.06, 0.2)  # of waves, in cycles per pixel
RADII = (10.0, 16.0)
TILT = math.pi / 9  # figures stand upright, but for up to 20° either way
CONTRAST = (0.2, 0.3)
LONGER = 1.8  # how many times longer the waves of a figure are than its ground's, or shorter
COLOURS = (0.25, 0.75)  # of each channel
APART = 0.3  # least distance of two colours that are to be told
_FAR = 1_299_709  # one seed's noise is away from another's layout


@dataclass(frozen=True)
class Scenes(Drawn):
    """Drawn scenes, and what is asked about them. kind: a number of KINDS. shape: of the figure that counts, −1 for
    none."""

    kind: Int[Tensor, " n"]
    shape: Int[Tensor, " n"]

    def labels(self, task: str = "figure") -> Int[Tensor, " n"]:
        """The right answers. "figure": a number of CLASSES. "kind" and "shape": of KINDS and SHAPES. "focus": 1 where
        the figure is sharper than the ground, 0 where it is the reverse. −1 where a task does not apply.

        ValueError for another task.
        """
        if task == "figure":
            return torch.where(self.shape < 0, len(CLASSES) - 1, self.kind * len(SHAPES) + self.shape)
        if task in ("kind", "shape"):
            return self.kind if task == "kind" else self.shape
        if task == "focus":
            sharp, soft = (self.kind == KINDS.index(kind) for kind in ("sharp", "soft"))
            return torch.where(sharp, 1, torch.where(soft, 0, -1))
        raise ValueError(f"there is no task {task!r}; there are {', '.join(TASKS)}")

    def __getitem__(self, index: slice | Tensor) -> Scenes:
        """Some of the scenes."""
        return Scenes(self.images[index], self.region[index], self.layout[index], self.kind[index], self.shape[index])


def sample(n: int, *, seed: int, kinds: Sequence[str] = KINDS, size: int = SIZE) -> Scenes:
    """n scenes, classes equally likely among those of these kinds. The same arguments give the same scenes.

    ValueError for n < 1, or a kind that there is not.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}: how many scenes are wanted?")
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        wanted = repr(unknown[0]) if unknown else "nothing"
        raise ValueError(f"there are no scenes of the kind {wanted}; there are {', '.join(KINDS)}")
    r = _Random(seed, n)
    classes = torch.tensor([c for c, name in enumerate(CLASSES) if name.split()[0] in kinds])
    label = classes[r.whole(len(classes))]
    kind, shape = label // len(SHAPES), label % len(SHAPES)
    shape = torch.where(kind == KINDS.index("absent"), -1, shape)
    layout = _layout(kind, shape, r, size / SIZE)
    return Scenes(**vars(draw(layout, seed + _FAR, size)), kind=kind, shape=shape)


class _Random:
    """Draws for n scenes, all from one seed."""

    def __init__(self, seed: int, n: int) -> None:
        self.n, self.generator = n, torch.Generator().manual_seed(seed)

    def between(self, low: float, high: float, *shape: int) -> Float[Tensor, "n *shape"]:
        return low + (high - low) * torch.rand(self.n, *shape, generator=self.generator)

    def whole(self, below: int, *shape: int) -> Int[Tensor, "n *shape"]:
        return torch.randint(below, (self.n, *shape), generator=self.generator)


def _layout(kind: Int[Tensor, " n"], shape: Int[Tensor, " n"], r: _Random, scale: float) -> Layout:
    """What scenes of these kinds show. scale: image size over SIZE; figures and waves grow with it, blur does not."""
    is_ = {name: kind == number for number, name in enumerate(KINDS)}
    start = blank(len(kind))
    start.there[:, FRONT], start.there[:, BEHIND] = ~is_["absent"], is_["front"]
    start.field[is_["colour"], FRONT] = GROUND  # the ground's texture runs on
    drawn = {**_places(shape, r, scale), **_textures(is_, r, scale), "colour": _colours(is_, r)}
    contrast = r.between(*CONTRAST, 1).expand(-1, 3)
    return replace(start, contrast=contrast, light=r.between(-0.25, 0.25, 2), **drawn)


def _places(shape: Int[Tensor, " n"], r: _Random, scale: float) -> dict[str, Tensor]:
    """Shapes, and where they are. The one behind is another, shifted by about a radius: some of it is covered."""
    radius = r.between(*RADII, 3) * scale
    centre = r.between(-1, 1, 3, 2) * 0.9 * (SIZE / 2 - RADII[1]) * scale
    away, far = r.between(0, 2 * math.pi), r.between(0.8, 1.2) * radius[:, FRONT]
    centre[:, BEHIND] = centre[:, FRONT] + torch.stack([torch.cos(away), torch.sin(away)], 1) * far[:, None]
    other = (shape + 1 + r.whole(len(SHAPES) - 1)) % len(SHAPES)
    shapes = torch.stack([torch.zeros_like(shape), other, shape.clamp(min=0)], 1)
    return {"shape": shapes, "centre": centre, "radius": radius, "angle": r.between(-TILT, TILT, 3)}


def _textures(is_: dict[str, Tensor], r: _Random, scale: float) -> dict[str, Tensor]:
    """Any texture on the ground, of noise any focus; then what each kind asks for."""
    texture, frequency, orientation = r.whole(4, 3), r.between(*FREQUENCIES, 3), r.between(0, math.pi, 3)
    crisp, vague = r.between(*IN_FOCUS, 3), r.between(*OUT_OF_FOCUS, 3)
    in_focus = r.whole(2, 3).bool()

    focus = is_["sharp"] | is_["soft"]
    texture[focus] = NOISE
    in_focus[focus, GROUND], in_focus[focus, FRONT] = is_["soft"][focus], is_["sharp"][focus]

    # Waves on both, the figure's turned or, every other time, of another length.
    waves, turned = is_["texture"], r.whole(2).bool()
    texture[waves] = torch.where(r.whole(2, 1).bool(), GRATING, CHECKS)[waves]
    grating = texture[:, FRONT] == GRATING
    least, most = math.pi / 6, torch.where(grating, math.pi / 2, math.pi / 4)  # checks look the same after 90°
    turn = (least + (most - least) * r.between(0, 1)) * (1 - 2 * r.whole(2))
    low = r.between(FREQUENCIES[0], FREQUENCIES[1] / LONGER)
    pair = torch.stack([low, low * LONGER], 1).gather(1, r.whole(2, 1))
    ground_frequency = torch.where(waves & ~turned, pair[:, 0], frequency[:, GROUND])
    figure_frequency = torch.where(turned, ground_frequency, low + low * LONGER - ground_frequency)
    frequency[:, GROUND] = ground_frequency
    frequency[:, FRONT] = torch.where(waves, figure_frequency, frequency[:, FRONT])
    figure_orientation = orientation[:, GROUND] + turn * turned
    orientation[:, FRONT] = torch.where(waves, figure_orientation % math.pi, orientation[:, FRONT])

    front = is_["front"]
    texture[front, BEHIND:] = torch.where(r.whole(2, 2).bool(), NOISE, PLAIN)[front]
    return {
        "texture": texture,
        "blur": torch.where(in_focus, crisp, vague),
        "frequency": frequency / scale,
        "orientation": orientation,
        "phase": r.between(0, 2 * math.pi, 3),
    }


def _colours(is_: dict[str, Tensor], r: _Random) -> Float[Tensor, "n region rgb"]:
    """One for the whole scene; figures that are told by it differ from the ground and from each other."""
    colour = r.between(*COLOURS, 1, 3).repeat(1, 3, 1)
    told = is_["colour"] | is_["front"]
    rows = torch.arange(len(colour))
    for region, others in ((FRONT, [GROUND]), (BEHIND, [GROUND, FRONT])):
        drawn = r.between(*COLOURS, 16, 3)  # the first that is far enough; of sixteen there nearly always is one
        far = torch.stack([(drawn - colour[:, None, other]).norm(dim=-1) > APART for other in others]).all(0)
        colour[:, region] = torch.where(told[:, None], drawn[rows, far.float().argmax(1)], colour[:, region])
    return colour
