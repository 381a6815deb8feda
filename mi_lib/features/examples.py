"""What a unit likes among images that exist: its dataset examples, and the part of each that it can see.

The top ones alone say less than they seem to: nine images of dogs may be nine of nine or nine of a thousand. So random
images stand beside them, with how strongly the unit answers to those.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from mi_lib.features import data
from mi_lib.features.data import Unusable, Vision


class Examples(NamedTuple):
    """Some images, and where in each the unit is most active."""

    image: Int[Tensor, " n"]
    row: Int[Tensor, " n"]  # a place of the unit's map
    column: Int[Tensor, " n"]
    value: Float[Tensor, " n"]  # its activation there


class Field(NamedTuple):
    """The pixels that reach the places of a map: place i sees `size` pixels from start + stride · i on, each way."""

    size: int
    stride: int
    start: int  # below 0 where the first places see the padding of the image


def activations(
    model: Vision, layer: str, images: Float[Tensor, "image 3 h w"], batch: int = 128
) -> Float[Tensor, "image channel row column"]:
    """A layer's activations on many images, some at a time."""
    data.images(images)
    with torch.no_grad():
        return torch.cat([model.run(part, [layer])[layer] for part in images.split(batch)])


def strongest(acts: Float[Tensor, "image channel row column"]) -> Float[Tensor, "image channel"]:
    """Of each image and unit the largest activation over the map."""
    return acts if acts.ndim == 2 else acts.flatten(2).amax(2)


def top(maps: Float[Tensor, "image row column"], n: int) -> Examples:
    """The n images in which a unit is most active at its best place, strongest first. Each image counts once."""
    _enough(maps, n)
    best = maps.flatten(1).amax(1)
    return _found(maps, best.argsort(descending=True, stable=True)[:n])


def random(maps: Float[Tensor, "image row column"], n: int, seed: int = 0) -> Examples:
    """n images drawn without regard to the unit, and where it is most active in each."""
    _enough(maps, n)
    return _found(maps, torch.randperm(len(maps), generator=torch.Generator().manual_seed(seed))[:n])


def _found(maps: Tensor, rows: Tensor) -> Examples:
    value, place = maps[rows].flatten(1).max(1)
    return Examples(rows, place // maps.shape[2], place % maps.shape[2], value)


def _enough(maps: Tensor, n: int) -> None:
    if not 1 <= n <= len(maps):
        raise Unusable(f"{n} examples are asked for, and there are {len(maps)} images")


def field(model: Vision, layer: str, size: int | tuple[int, int] = 64, tries: int = 8, seed: int = 0) -> Field:
    """The receptive field of a layer's units, found by gradients: which pixels change what stands at a place.

    Two places in the middle of the map are asked, in noise images; where ReLUs hide a pixel in one image, another one
    shows it. A map of fewer than four places across is refused: its middle sees the edges.
    """
    height, width = (size, size) if isinstance(size, int) else size
    source = torch.Generator().manual_seed(seed)
    noise = torch.rand(tries, 3, height, width, generator=source).requires_grad_()
    acts = model.run(noise, [layer])[layer]
    if acts.ndim != 4 or acts.shape[3] < 4:
        raise Unusable(f"the units of {layer} have no place in the image that could be told: they see all of it")
    row, middle = acts.shape[2] // 2, acts.shape[3] // 2
    ends = []
    for column in (middle - 1, middle):
        slope = torch.autograd.grad(acts[:, :, row, column].sum(), noise, retain_graph=True)[0]
        seen = (slope.abs().amax((0, 1, 2)) > 0).nonzero().flatten()
        if not len(seen):
            raise Unusable(f"no unit of {layer} is active in noise: its gradients are 0")
        ends.append((int(seen[0]), int(seen[-1])))
    (first, last), (after, _) = ends
    return Field(last - first + 1, after - first, first - (middle - 1) * (after - first))


def patches(images: Float[Tensor, "image 3 h w"], found: Examples, seen: Field) -> Float[Tensor, "n 3 size size"]:
    """What the unit sees of each example: the image cut to the receptive field, grey where that leaves the image."""
    room = seen.size
    framed = F.pad(images[found.image], (room,) * 4, value=0.5)
    cut = []
    for image, row, column in zip(framed, found.row.tolist(), found.column.tolist(), strict=True):
        y, x = (room + seen.start + seen.stride * place for place in (row, column))
        if min(y, x) < 0 or y + room > image.shape[1] or x + room > image.shape[2]:
            raise Unusable("an example lies outside of its image: the field belongs to another layer or size")
        cut.append(image[:, y : y + room, x : x + room])
    return torch.stack(cut)
