"""Feature visualisation: the picture that a unit likes best, what it promises, and whether the unit keeps that promise.

    pictures = features.render(model, features.channel("conv3", range(64)), count=64).images
    promised = features.by_waves(pictures, stimuli)                    # [unit stimulus], without the network
    features.rank_correlation(promised, answers)                       # [unit]

A model is whatever has `run(images, layers)`, such as `mi_lib.models.vision.VisionModel`.

data           images and activations, looked at before use
colours        decorrelation by the covariance of a world's own colours
pictures       what a picture is made of: pixels, or waves of which large ones are easier (Fourier, 1/f)
transforming   pad, jitter, scale, rotate
objectives     channel, neuron, direction, cosine, likeness, diversity; they add, subtract and multiply
regularising   total variation, L1, L2, roughness: costs of the image
rendering      gradient ascent for many units at once
examples       the images that excite a unit most, random ones beside them, its receptive field
caricatures    more of what an image does to a layer; a picture for each place of an image
matching       which unit of another network does the same
fooling        a network that knows when it is looked at, and lies
predicting     how strongly a unit will answer to an image, read off its picture
tuning         what a unit answers to by measured curves: high-low frequency detectors, their family, their circuit
"""

from mi_lib.features.caricatures import caricature, grid
from mi_lib.features.colours import Colours, colours_of
from mi_lib.features.data import IMAGE, Acts, Unusable, Vision, at_centre, over_map
from mi_lib.features.examples import Examples, Field, activations, field, patches, random, strongest, top
from mi_lib.features.matching import correlations, matched, unmatched
from mi_lib.features.objectives import (
    Objective,
    channel,
    cosine,
    direction,
    diversity,
    neuron,
    number,
    resembles,
)
from mi_lib.features.pictures import (
    Parameterisation,
    Pixels,
    Waves,
    frequencies,
    from_waves,
    noise,
    to_waves,
    wave_scale,
)
from mi_lib.features.predicting import bands, by_bands, by_place, by_template, by_waves, rank_correlation, waves_of
from mi_lib.features.regularising import blurred, l1, l2, roughness, total_variation
from mi_lib.features.rendering import Rendered, judged, render, rendering
from mi_lib.features.transforming import Transform, compose, jitter, none, pad, rotate, scale, standard

__all__ = [
    "IMAGE", "Acts", "Colours", "Examples", "Field", "Objective", "Parameterisation", "Pixels", "Rendered",
    "Transform", "Unusable", "Vision", "Waves", "activations", "at_centre", "bands", "blurred", "by_bands",
    "by_place", "by_template", "by_waves", "caricature", "channel", "colours_of", "compose", "correlations",
    "cosine", "direction", "diversity", "field", "frequencies", "from_waves", "grid", "jitter", "judged", "l1",
    "l2", "matched", "neuron", "noise", "none", "number", "over_map", "pad", "patches", "random",
    "rank_correlation", "render", "rendering", "resembles", "rotate", "roughness", "scale", "standard", "strongest",
    "to_waves", "top", "total_variation", "unmatched", "wave_scale", "waves_of",
]  # fmt: skip
