"""Grokking: how a small transformer adds mod p, read from its weights and activations.

The network turns each number into waves, multiplies waves by its MLP, and adds up cos w_k(a + b − c) over a handful of
frequencies k, so that the largest logit is at c = a + b. Source: Nanda et al. 2023, "Progress Measures for Grokking
via Mechanistic Interpretability" (arXiv 2301.05217).

    fourier    the basis on Z_p, spectra, the 2-D transform
    neurons    which frequency a neuron listens to; the key frequencies
    logits     the waves in the logits: restricted and excluded loss, amplitudes, the formula
    measures   Gini coefficient, weight norm, phases of training
    networks   every input through a network; networks that others have trained
    analysis   all of it at once, with a verdict
"""

from mi_lib.grokking.analysis import Analysis, analyse
from mi_lib.grokking.fourier import component_norms, fold, fourier_2d, fourier_basis, harmonic, plane, spectrum
from mi_lib.grokking.logits import (
    accuracy,
    amplitudes,
    cosine,
    excluded_logits,
    formula_logits,
    key_directions,
    loss,
    restricted_logits,
    wave_shares,
)
from mi_lib.grokking.measures import Phases, gini, phases, weight_norm
from mi_lib.grokking.networks import EveryInput, every_input, from_state
from mi_lib.grokking.neurons import Neurons, key_frequencies, neuron_frequencies

__all__ = [
    "Analysis",
    "EveryInput",
    "Neurons",
    "Phases",
    "accuracy",
    "amplitudes",
    "analyse",
    "component_norms",
    "cosine",
    "every_input",
    "excluded_logits",
    "fold",
    "formula_logits",
    "fourier_2d",
    "fourier_basis",
    "from_state",
    "gini",
    "harmonic",
    "key_directions",
    "key_frequencies",
    "loss",
    "neuron_frequencies",
    "phases",
    "plane",
    "restricted_logits",
    "spectrum",
    "wave_shares",
    "weight_norm",
]
