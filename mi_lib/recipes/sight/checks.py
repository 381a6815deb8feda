"""The checks of the networks that see scenes: do they see them, and do they have detectors of where focus changes?

What a high-low frequency detector is was written down before any of these networks was looked at
(`mi_lib.features.tuning.RULE`). The control is the same network before training. All bounds below were written before
the shipped networks were measured.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from mi_lib.features import tuning
from mi_lib.models.vision import VisionModel
from mi_lib.models.vision.loading import wrapped
from mi_lib.recipes.checks import Check, Parts
from mi_lib.recipes.sight.train import NAME, SEEDS, new_net
from mi_lib.statistics import interval
from mi_lib.worlds import scenes

SCENES, SCENES_SEED = 2000, 71_002  # held out: training draws from other seeds
LAYER = "relu3"  # the one of which the card makes claims; facts are of all
ACCURACY, OF_A_KIND = 0.8, 0.6
DETECTORS, ANGLES = 4, 4  # at least so many in LAYER, and so many of the 16 angles among them


@cache
def held_out() -> scenes.Scenes:
    return scenes.sample(SCENES, seed=SCENES_SEED)


@cache
def untrained() -> VisionModel:
    return wrapped(new_net(SEEDS[0]))


def right(model: VisionModel) -> Bool[np.ndarray, " scene"]:
    """Which of the held-out scenes the network calls by their class."""
    drawn = held_out()
    with torch.no_grad():
        said = torch.cat([model.logits(images).argmax(1) for images in drawn.images.split(250)])
    return (said == drawn.labels()).numpy()


def seeing(model: VisionModel) -> list[Check]:
    """Accuracy on held-out scenes, of all kinds and of each kind of figure. (That there is none, a network may say to
    everything, so there is no check of that alone.)"""
    mine, blank, kind = right(model), right(untrained()), held_out().kind.numpy()
    found = [_accuracy("accuracy", "the share of held-out scenes whose class is said", mine, blank, ACCURACY)]
    for number, name in enumerate(scenes.KINDS[:-1]):
        claim = f"the same, of scenes of the kind “{name}”"
        found.append(_accuracy(name, claim, mine[kind == number], blank[kind == number], OF_A_KIND))
    return found


def _accuracy(name: str, claim: str, mine: np.ndarray, blank: np.ndarray, bound: float) -> Check:
    low, high = interval(lambda rows: mine[rows].mean(), len(mine))
    control = "the network before training"
    return Check(name, claim, float(mine.mean()), bound, True, float(blank.mean()), control, low, high)


def family(model: VisionModel, layer: str) -> dict[str, Any]:
    """The high-low frequency detectors of a layer: their units, and the angle of each in degrees."""
    found = tuning.profile(model, layer, tuning.look(model, layer, scenes.SIZE))
    units: Tensor = tuning.detectors(found).nonzero()[:, 0]
    degrees = (found.angle[units] * 180 / torch.pi).round()
    angles = int((tuning.covered(found.angle[units]) > 0).sum())
    return {"units": units.tolist(), "degrees": degrees.tolist(), "angles": angles}


def detectors(model: VisionModel) -> list[Check]:
    """Whether there are high-low frequency detectors, and at how many angles."""
    mine, blank = family(model, LAYER), family(untrained(), LAYER)
    return [
        Check(
            "detectors",
            f"high-low frequency detectors in {LAYER}, by the rule that was fixed beforehand",
            float(len(mine["units"])),
            DETECTORS,
            True,
            float(len(blank["units"])),
            "the network before training",
        ),
        Check(
            "angles",
            "of 16 angles, at how many one of them is at its best",
            float(mine["angles"]),
            ANGLES,
            True,
            float(blank["angles"]),
            "the network before training",
        ),
    ]


def parts(name: str) -> Parts:
    """KeyError for another family."""
    if name != NAME:
        raise KeyError(name)
    return {"seeing": seeing, "detectors": detectors}
