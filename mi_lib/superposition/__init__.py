"""Superposition: how networks store more features than they have dimensions, on toys whose truth is known.

    toy = superposition.train(torch.full((8,), 0.95), n_features=5, n_hidden=2)   # eight at once
    superposition.dimensionality(toy.W)                                            # [instance feature]: 2/5 each
    superposition.names(toy.W[0])                                                  # ["pentagon"]

`data` draws features, `toy` holds the model and its training, `geometry` the shapes, `phases` what can be worked out,
`computing` the network that computes |x|, `adversarial` what a nudge does, `neurons` what neurons of a real network
answer to. Source: Elhage et al. 2022, Toy Models of Superposition.
"""

from mi_lib.superposition.adversarial import movement, nudge, sensitivity
from mi_lib.superposition.computing import (
    AbsToy,
    absolute,
    features_per_neuron,
    hidden,
    monosemanticity,
    train_absolute,
)
from mi_lib.superposition.data import features, variance
from mi_lib.superposition.geometry import (
    NAMES,
    Shape,
    cosines,
    dimensionality,
    dimensions_per_feature,
    names,
    represented,
    shapes,
)
from mi_lib.superposition.neurons import active, answers_to, polysemantic, random_directions, unrelated
from mi_lib.superposition.phases import PHASES, linear_floor, phase, phase_losses, phase_of
from mi_lib.superposition.toy import (
    Moment,
    Toy,
    fit,
    fitting,
    loss,
    measured_loss,
    reconstruct,
    started,
    train,
    training,
)

__all__ = [
    "NAMES", "PHASES", "AbsToy", "Moment", "Shape", "Toy", "absolute", "active", "answers_to", "cosines",
    "dimensionality", "dimensions_per_feature", "features", "features_per_neuron", "fit", "fitting", "hidden",
    "linear_floor",
    "loss", "measured_loss", "monosemanticity", "movement",
    "names", "nudge", "phase", "phase_losses", "phase_of", "polysemantic",
    "random_directions", "reconstruct", "represented", "sensitivity", "shapes", "started", "train", "train_absolute",
    "training", "unrelated", "variance",
]  # fmt: skip
