"""`draw`: a description of scenes becomes images, and the truth about every pixel.

A scene has up to three regions, each in front of the one before: the ground, a figure behind, a figure in front. A
region has a colour and a texture (`textures`); light falls off across the whole image. A pixel is

    colour of its region × (1 + contrast × texture) × light,    cut off at 0 and 1

Outlines are sharp whatever the focus of the textures, so that nothing but the texture tells what is in focus.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.worlds.scenes import textures
from mi_lib.worlds.scenes.shapes import distance

SIZE = 64  # pixels, in both directions
GROUND, BEHIND, FRONT = REGIONS = range(3)
PLAIN, NOISE, GRATING, CHECKS = range(4)
TEXTURES = ("plain", "noise", "grating", "checks")
_AT_ONCE = 32


@dataclass(frozen=True)
class Layout:
    """What is to be drawn, a row for each scene and a column for each region. Textures other than noise are in focus.

    there: whether the region exists (the ground always does). shape, centre (x, y), radius, angle: see `shapes`; of
    the ground they mean nothing. field: whose texture it shows: a figure with field 0 carries on the ground's.
    blur: of noise, in pixels. frequency: of gratings and checks, cycles per pixel. contrast: standard deviation of the
    brightness, as a share of the colour. light: the slope to the right and upwards, per image width.
    """

    there: Bool[Tensor, "n region"]
    shape: Int[Tensor, "n region"]
    centre: Float[Tensor, "n region 2"]
    radius: Float[Tensor, "n region"]
    angle: Float[Tensor, "n region"]
    field: Int[Tensor, "n region"]
    texture: Int[Tensor, "n region"]
    blur: Float[Tensor, "n region"]
    frequency: Float[Tensor, "n region"]
    orientation: Float[Tensor, "n region"]
    phase: Float[Tensor, "n region"]
    contrast: Float[Tensor, "n region"]
    colour: Float[Tensor, "n region rgb"]
    light: Float[Tensor, "n 2"]

    def __len__(self) -> int:
        return len(self.there)

    def __getitem__(self, index: slice | Tensor) -> Layout:
        return Layout(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def blank(n: int) -> Layout:
    """n scenes of plain grey ground without figures, to be changed in place or with `dataclasses.replace`."""
    return Layout(
        there=torch.tensor([True, False, False]).repeat(n, 1),
        shape=torch.zeros(n, 3, dtype=torch.long),
        centre=torch.zeros(n, 3, 2),
        radius=torch.full((n, 3), SIZE / 4),
        angle=torch.zeros(n, 3),
        field=torch.arange(3).repeat(n, 1),
        texture=torch.full((n, 3), PLAIN),
        blur=torch.zeros(n, 3),
        frequency=torch.full((n, 3), 0.1),
        orientation=torch.zeros(n, 3),
        phase=torch.zeros(n, 3),
        contrast=torch.zeros(n, 3),
        colour=torch.full((n, 3, 3), 0.5),
        light=torch.zeros(n, 2),
    )


@dataclass(frozen=True)
class Drawn:
    """Images with values from 0 to 1, and for each pixel the region that it shows most of (0, 1, 2)."""

    images: Float[Tensor, "n rgb h w"]
    region: Int[Tensor, "n h w"]
    layout: Layout

    def __len__(self) -> int:
        return len(self.images)

    def truth(self, what: str) -> Tensor:
        """Per pixel, [n h w] or [n h w rgb]: "texture", "blur", "frequency", "orientation", "contrast", "colour",
        "shape", or "depth" (how far away: 2 the ground, 1 behind, 0 in front). What a texture has not got is 0.

        ValueError for another word.
        """
        if what == "depth":
            return 2 - self.region
        by_region = self._tables.get(what)
        if by_region is None:
            raise ValueError(f"there is no truth about {what!r}; there is about {', '.join([*self._tables, 'depth'])}")
        rows = torch.arange(len(self), device=self.region.device)[:, None, None]
        return by_region[rows, self.region]

    @cached_property
    def _tables(self) -> dict[str, Tensor]:
        """By region, with the texture that it truly shows."""
        lay = self.layout

        def shown(values: Tensor) -> Tensor:
            return values.gather(1, lay.field)

        texture = shown(lay.texture)
        waves = (texture == GRATING) | (texture == CHECKS)
        shape = lay.shape.clone()
        shape[:, GROUND] = -1
        return {
            "texture": texture,
            "blur": shown(lay.blur) * (texture == NOISE),
            "frequency": shown(lay.frequency) * waves,
            "orientation": shown(lay.orientation) * waves,
            "contrast": shown(lay.contrast) * (texture != PLAIN),
            "colour": lay.colour,
            "shape": shape,
        }

    def outline(self) -> Bool[Tensor, "n h w"]:
        """The pixels whose neighbour to the right or below shows another region."""
        edge = torch.zeros_like(self.region, dtype=torch.bool)
        edge[:, :, :-1] |= self.region[:, :, 1:] != self.region[:, :, :-1]
        edge[:, :-1] |= self.region[:, 1:] != self.region[:, :-1]
        return edge


def draw(layout: Layout, seed: int, size: int = SIZE) -> Drawn:
    """Draw the scenes. The noise comes from `seed`; everything else stands in the layout."""
    generator = torch.Generator().manual_seed(seed)
    # A few at a time: what is worked on then stays in the processor's cache.
    parts = [_drawn(layout[i : i + _AT_ONCE], generator, size) for i in range(0, len(layout), _AT_ONCE)]
    images, region = (torch.cat(each) for each in zip(*parts, strict=True))
    return Drawn(images, region, layout)


def _drawn(lay: Layout, generator: torch.Generator, size: int) -> tuple[Tensor, Tensor]:
    field = _fields(lay, generator, size)
    rows = torch.arange(len(lay))
    images = _surface(lay, field, rows, GROUND)
    shown = torch.zeros(len(lay), size, size, dtype=torch.long)
    for region in (BEHIND, FRONT):
        i = lay.there[:, region].nonzero()[:, 0]
        if not len(i):
            continue
        at = (i, region)
        away = distance(lay.shape[at], lay.centre[at], lay.radius[at], lay.angle[at], size)
        covered = (0.5 - away).clamp_(0, 1)  # the share of a pixel that lies inside
        images[i] = images[i].lerp_(_surface(lay, field, i, region), covered[:, None])
        shown[i] = shown[i].masked_fill_(covered >= 0.5, region)
    x, y = textures.coordinates(size)
    light = 1 + (lay.light[:, 0, None, None] * x + lay.light[:, 1, None, None] * y) / size
    return images.mul_(light[:, None]).clamp_(0, 1), shown


def _surface(lay: Layout, field: Tensor, i: Int[Tensor, " some"], region: int) -> Float[Tensor, "some rgb h w"]:
    """What a region would look like if it covered everything, before light falls on it."""
    source = lay.field[i, region]
    brightness = 1 + field[i, source] * lay.contrast[i, source][:, None, None]
    return lay.colour[i, region][:, :, None, None] * brightness[:, None]


def _fields(layout: Layout, generator: torch.Generator, size: int) -> Float[Tensor, "n region h w"]:
    """The textures that some region shows; 0 for the others."""
    wanted = torch.zeros_like(layout.there)
    for region in REGIONS:
        i = layout.there[:, region].nonzero()[:, 0]
        wanted[i, layout.field[i, region]] = True
    out = torch.zeros(*layout.there.shape, size, size)
    noise = wanted & (layout.texture == NOISE)
    if noise.any():
        out[noise] = textures.noise(layout.blur[noise], generator, size)
    for number, wave in ((GRATING, textures.grating), (CHECKS, textures.checks)):
        here = wanted & (layout.texture == number)
        if here.any():
            out[here] = wave(layout.frequency[here], layout.orientation[here], layout.phase[here], size)
    return out
