"""What the image explorer measures: examples, curves, weights and ablations of the units of an image network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import streamlit as st
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from app import common
from mi_lib import features
from mi_lib.features import Rendered, tuning
from mi_lib.features.pictures import SD
from mi_lib.models.vision import VisionModel, edits, load_vision
from mi_lib.plots.images import pixels
from mi_lib.worlds import scenes

SCENES, SCENES_SEED = 400, 5_000_003  # scenes that training has not seen
DRAWS = 32  # of each stimulus: as many as the card of the networks has
SIZE = 33  # pixels of a stimulus, as in chapter 14
RATIOS = (1.0, 1.5, 2.0, 3.0, 4.5, 6.0)
HIGH = 0.25  # cycles per pixel of the finer gratings
NOISE = "noise, sharp against blurred"
LOUD = 0.5  # spread of the noise with which a picture begins whose unit is silent near grey
STEPS, AT_ONCE = 120, 4  # of a picture, and how many before it is drawn again


@st.cache_resource(max_entries=6, show_spinner="Opening the network …")
def open_network(name: str) -> VisionModel:
    return load_vision(name)


def layers(model: VisionModel) -> list[str]:
    """The ReLUs: what a layer hands on."""
    return [name for name, module in model.module.named_modules() if isinstance(module, nn.ReLU)]


@st.cache_resource(max_entries=2, show_spinner=False)
def world() -> scenes.Scenes:
    return scenes.sample(SCENES, seed=SCENES_SEED)


# --- examples -----------------------------------------------------------------------------------------------------


@st.cache_resource(max_entries=8, show_spinner="Showing the network scenes …")
@common.one_thread()
def maps(name: str, layer: str) -> Float[Tensor, "scene unit row column"]:
    return features.activations(open_network(name), layer, world().images)


@st.cache_data(max_entries=8, show_spinner=False)
@common.one_thread()
def field_of(name: str, layer: str) -> tuple[int, int, int] | None:
    """(size, stride, start) of the receptive field; None where units see all of the image."""
    try:
        seen = features.field(open_network(name), layer, scenes.SIZE)
        return seen.size, seen.stride, seen.start
    except features.Unusable:
        return None


def marked(
    image: Float[Tensor, "3 h w"], outline: Bool[Tensor, "h w"] | None, box: tuple[int, int, int] | None, zoom: int = 3
) -> np.ndarray:
    """An image [h w rgb] enlarged, with an outline in white and black, and a box (top, left, size) around what is seen.

    The outline lies on the seam between two pixels, two lines beside each other, so that it is seen on any colour.
    """
    big = pixels(image).repeat(zoom, 0).repeat(zoom, 1)
    if outline is not None:
        thick = outline.numpy().repeat(zoom, 0).repeat(zoom, 1)
        inner = thick.copy()
        inner[:-1] &= thick[1:]
        inner[:, :-1] &= thick[:, 1:]
        big[thick] = 255
        big[thick & ~inner] = 0
    if box is not None:
        top, left, side = (zoom * v for v in box)
        height, width = big.shape[:2]
        rows = np.arange(max(0, top), min(height, top + side))
        columns = np.arange(max(0, left), min(width, left + side))
        for line, blue in ((0, (255, 255, 255)), (1, (0, 114, 178)), (2, (0, 114, 178))):
            for at in (top + line, top + side - 1 - line):
                if 0 <= at < height and len(columns):
                    big[at, columns] = blue
            for at in (left + line, left + side - 1 - line):
                if 0 <= at < width and len(rows):
                    big[rows, at] = blue
    return big


# --- its picture --------------------------------------------------------------------------------------------------


@dataclass
class Run:
    """A picture that is being made, and can be stopped and gone on with."""

    about: tuple[str, str, int, int]
    going: bool = True
    iterator: object = None
    last: Rendered | None = None
    trouble: str = ""
    louder: bool = False  # begun once more, with more noise: near grey the unit is silent, and nothing can be climbed
    values: list[float] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        return len(self.values) >= STEPS


def begun(name: str, layer: str, unit: int, seed: int) -> Run:
    return Run((name, layer, unit, seed), iterator=_frames(name, layer, unit, seed))


def _frames(name: str, layer: str, unit: int, seed: int, sd: float = SD) -> Iterator[Rendered]:
    """sd: of the noise with which the picture begins."""
    waves = features.Waves(colours=colours(), sd=sd)
    return features.rendering(
        open_network(name), features.channel(layer, unit), size=scenes.SIZE, steps=STEPS, seeds=seed,
        parameterisation=waves,
    )  # fmt: skip


@st.cache_resource(show_spinner=False)
def colours() -> features.Colours:
    """Of the world's own images: so the picture uses them as often as the world does."""
    return features.colours_of(world().images[:100])


@common.one_thread()
def go_on(run: Run) -> None:
    """A few steps of gradient ascent. What cannot be drawn is said."""
    try:
        for _ in range(AT_ONCE):
            run.last = next(run.iterator)  # type: ignore[call-overload]
            run.values.append(float(run.last.values[-1, 0]))
    except StopIteration:
        pass
    except features.Unusable as error:
        if run.louder or any(run.values):
            run.trouble = str(error)
        else:
            run.louder, run.values, run.iterator = True, [], _frames(*run.about, sd=LOUD)
    run.going = run.going and not run.finished and not run.trouble


# --- tuning -------------------------------------------------------------------------------------------------------


class Tuned(NamedTuple):
    """Mean responses of all units to boundaries: by angle; the textures' ratio first. detectors: by the rule of
    chapter 14, `tuning.COLOUR_TOO`."""

    curves: dict[str, Float[Tensor, "unit angle"]]
    detectors: Bool[Tensor, " unit"]
    angle: Float[Tensor, " unit"]  # radians, of the noise boundary that each unit likes best
    sharp: Float[Tensor, " unit"]
    blurred: Float[Tensor, " unit"]
    edge: Float[Tensor, "unit angle"]  # of brightness
    colour_edge: Float[Tensor, " unit"]  # the best one
    clear: Float[Tensor, " unit"]  # how many times more each unit says to its best boundary than to its best rival


def rows() -> list[str]:
    """The pairs of textures, as the map names them."""
    return [NOISE, *(f"gratings {ratio:g} : 1" for ratio in RATIOS)]


@st.cache_resource(max_entries=8, show_spinner=False)
@common.one_thread()
def eye_of(name: str, layer: str) -> tuning.Eye:
    return tuning.look(open_network(name), layer, SIZE)


@st.cache_resource(max_entries=8, show_spinner="Measuring the tuning of this layer …")
@common.one_thread()
def tuned(name: str, layer: str) -> Tuned:
    model, eye = open_network(name), eye_of(name, layer)
    with torch.no_grad():
        found = tuning.profile(model, layer, eye, draws=DRAWS)
        by_ratio = tuning.by_ratio(model, layer, eye, RATIOS, seed=0, high=HIGH, draws=DRAWS)
    curves = {NOISE: found.again, **{row: by_ratio[:, i] for i, row in enumerate(rows()[1:])}}
    clear = found.best / torch.maximum(found.rival, found.colour_edge).clamp(min=1e-6)
    detectors = tuning.detectors(found, tuning.COLOUR_TOO)
    return Tuned(curves, detectors, found.angle, found.sharp, found.blurred, found.edge, found.colour_edge, clear)


def stimulus(name: str, layer: str, row: str, angle: float, draw: int = 0) -> Float[Tensor, "3 h w"]:
    """One of the images behind a cell of the map."""
    eye = eye_of(name, layer)
    ratio = None if row == NOISE else RATIOS[rows().index(row) - 1]
    first = tuning.waves(HIGH) if ratio else tuning.sharp
    second = tuning.waves(HIGH / ratio) if ratio else tuning.blurred
    return tuning.paint(tuning.boundaries(first, second, angle, eye, DRAWS, 0)[draw])


def degrees(radians: float) -> int:
    """Halves upwards, whatever rounding has done to them: 22.5 is 23."""
    return math.floor(math.degrees(radians) + 0.5 + 1e-3) % 360


# --- weights ------------------------------------------------------------------------------------------------------


class Built(NamedTuple):
    """From what the units of a layer are built. below: the layer that the weights read. factors: of all units at once,
    the one that likes high frequency first. preference: of the channels below, from −1 to 1."""

    below: str
    factors: features.tuning.Factors
    preference: Float[Tensor, " below"]


@st.cache_resource(max_entries=8, show_spinner="Factoring the weights …")
@common.one_thread()
def built(name: str, layer: str) -> Built | None:
    """None for the first two layers, below which there are no two."""
    model, at = open_network(name), layers(open_network(name)).index(layer)
    if at < 2:
        return None
    convolutions = [module for module in model.module.modules() if isinstance(module, nn.Conv2d)]
    upper, lower = convolutions[at], convolutions[at - 1]
    with torch.no_grad():
        weights = tuning.contract(upper.weight, lower.weight, lower.stride[0])
    below, shown = layers(model)[at - 2], tuned(name, layers(model)[at - 2])
    preference = tuning.preference(shown.sharp, shown.blurred)
    return Built(below, tuning.factors(weights).ordered(preference), preference)


def kernel(name: str, unit: int) -> Float[Tensor, "3 h w"]:
    """The weights of a unit of the first layer, as an image: grey is 0."""
    first = next(m for m in open_network(name).module.modules() if isinstance(m, nn.Conv2d))
    weight = first.weight[unit].detach()
    return 0.5 + 0.5 * weight / weight.abs().max().clamp(min=1e-9)


# --- ablation -----------------------------------------------------------------------------------------------------


class Judged(NamedTuple):
    """What the network says of the scenes: a class for each, whole and without some units."""

    whole: Int[Tensor, " scene"]
    without: Int[Tensor, " scene"]

    def right(self, which: str, kind: str) -> float:
        """The share of scenes of a kind whose class is said."""
        drawn = world()
        of_kind = drawn.kind == scenes.KINDS.index(kind)
        return float((getattr(self, which) == drawn.labels())[of_kind].float().mean())


@st.cache_data(max_entries=64, show_spinner="Showing the scenes once more …")
@common.one_thread()
def judged(name: str, layer: str, units: tuple[int, ...]) -> Judged:
    """These units say 0 throughout. (Held at its mean, a detector of boundaries would see a faint one everywhere.)"""
    model, images = open_network(name), world().images
    with torch.no_grad():
        whole = torch.cat([model.logits(part).argmax(1) for part in images.split(128)])
        with model.edited({layer: edits.zero(units)}):
            without = torch.cat([model.logits(part).argmax(1) for part in images.split(128)])
    return Judged(whole, without)


def family(name: str, layer: str) -> list[int]:
    """The detectors, the clearest first."""
    found = tuned(name, layer)
    return sorted(found.detectors.nonzero()[:, 0].tolist(), key=lambda unit: -float(found.clear[unit]))


def control(name: str, layer: str, units: Sequence[int]) -> list[int]:
    """As many units that are not among these, of about the same activity; none where there are too few."""
    activity = maps(name, layer).mean((0, 2, 3))
    mask = torch.zeros(len(activity), dtype=torch.bool)
    mask[list(units)] = True
    others = mask | tuned(name, layer).detectors
    if not len(units) or int((~others).sum()) < len(units):
        return []
    # `matched` draws outside of what it is given: a single unit is not matched with a detector.
    spare = (~others) | mask
    kept = spare.nonzero()[:, 0]
    chosen = tuning.matched(activity[kept], mask[kept], 1, seed=0)[0]
    return kept[chosen].tolist()
