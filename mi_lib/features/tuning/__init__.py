"""Tuning: what a unit of an image network answers to, and whether it is a high-low frequency detector.

    eye = tuning.look(model, "relu3", size=48)             # a place in the middle of the layer, and what it sees
    found = tuning.profile(model, "relu3", eye)            # responses to boundaries, textures and edges
    family = tuning.detectors(found)                       # Bool[unit], by `tuning.RULE`
    tuning.covered(found.angle[family])                    # how many at each of 16 angles

`stimuli` makes images, `curves` asks, `detectors` decides, `family` compares and ablates, `circuit` reads weights.
Source: Schubert et al. 2021, "High-Low Frequency Detectors", Distill.
"""

from mi_lib.features.tuning import circuit, stimuli
from mi_lib.features.tuning.circuit import Factors, agreement, contract, factors, pointing, preference, sides
from mi_lib.features.tuning.curves import (
    Eye,
    Network,
    alone,
    blurred,
    boundaries,
    by_angle,
    by_ratio,
    look,
    normalised,
    respond,
    sharp,
    to_edges,
    waves,
)
from mi_lib.features.tuning.detectors import (
    COLOUR_TOO,
    INVARIANT_COLOUR,
    INVARIANT_POLARITY,
    RULE,
    Invariance,
    Profile,
    Rule,
    detectors,
    edge_detectors,
    invariance,
    profile,
)
from mi_lib.features.tuning.family import apart, covered, matched, mirrored, silenced
from mi_lib.features.tuning.stimuli import across, angles, grating, gratings, noise, paint, signs, standard, step

__all__ = [
    "COLOUR_TOO",
    "INVARIANT_COLOUR", "INVARIANT_POLARITY", "RULE", "Eye", "Factors", "Invariance", "Network", "Profile", "Rule",
    "across", "agreement", "alone", "angles", "apart", "blurred", "boundaries", "by_angle", "by_ratio", "circuit",
    "contract", "covered", "detectors", "edge_detectors", "factors", "grating", "gratings", "invariance", "look",
    "matched", "mirrored", "noise", "normalised", "paint", "pointing", "preference", "profile", "respond", "sharp",
    "sides", "signs", "silenced", "standard", "step", "stimuli", "to_edges", "waves",
]  # fmt: skip
