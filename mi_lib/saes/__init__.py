"""Sparse autoencoders: dictionaries of directions, six ways to train them, and what tells a good one.

    sae = saes.train(saes.BatchTopK(d=24, n_latents=48, k=2), activations, steps=1500)
    saes.fve(x, sae(x)), saes.l0(sae.encode(x))
    saes.match_directions(world.directions, sae.W_dec).found()        # the share of planted features that it has

base         x̂ = f W_dec + b_dec; rows of length 1
relu         ReLU + L1: shrinks
gated        whether and how much, apart
topk         the k largest; AuxK revives the dead
batch_topk   the k · B largest of a batch; a threshold at inference
jumprelu     a learnt threshold, straight-through
matryoshka   nested prefixes
training     on a tensor or a stream of batches; reviving: dead latents start again
streaming    activations of any site of a model through a shuffled buffer; corpus: what it reads; holding: bytes counted
sources      where batches come from; checkpoints: go on as if nothing had happened; interrupting: Ctrl-C, politely
metrics      L0, variance explained, density, dead share
matching     planted features against latents, one to one
splicing     a dictionary inside a model; loss recovered
edits        latents held, silenced, scaled in a run
reading      the texts in which a latent is largest, its neighbours, its histogram
effects      the words that a latent makes likelier
absorption   a latent with silent exceptions, and who does its work there
splitting    a narrow dictionary's latents in a wider one; how many a concept needs
concepts     which latents stand for a labelled concept: chosen on some texts, judged on others
interpreting names made of labels, graded by detection
files        save and load, the bundled ones by their names; writing: a file that is whole or not there
saelens      SAELens's folders
"""

from mi_lib.saes.absorption import Absorption, absorbed, main_latents, measure_absorption
from mi_lib.saes.base import Dictionary, Loss
from mi_lib.saes.batch_topk import BatchTopK
from mi_lib.saes.concepts import (
    PURITIES,
    Choice,
    Judged,
    both_signs,
    choose,
    f1,
    judge,
    says,
    sets_of_words,
    shuffled,
    unions,
)
from mi_lib.saes.edits import clamped, in_turn, scaled, silenced
from mi_lib.saes.effects import Effects, direct_effects, effects_of_silencing, logit_effects
from mi_lib.saes.files import about, load, load_dictionary, save_dictionary
from mi_lib.saes.gated import Gated
from mi_lib.saes.interpreting import Detection, Labels, Name, detect, exchanged, interpret, near_misses
from mi_lib.saes.jumprelu import JumpReLU
from mi_lib.saes.matching import Matching, correlations, match, match_activations, match_directions
from mi_lib.saes.matryoshka import Matryoshka
from mi_lib.saes.metrics import dead_share, density, density_histogram, fve, l0
from mi_lib.saes.reading import Histogram, Neighbour, TopText, histogram, neighbours, top_texts, top_texts_of
from mi_lib.saes.relu import ReLU
from mi_lib.saes.saelens import load_saelens, save_saelens
from mi_lib.saes.splicing import Recovered, loss_recovered, spliced
from mi_lib.saes.splitting import Needed, Split, latents_needed, split
from mi_lib.saes.streaming import ActivationStream, special_tokens
from mi_lib.saes.topk import TopK
from mi_lib.saes.training import Report, input_scale, train

__all__ = [
    "PURITIES", "Absorption", "ActivationStream", "BatchTopK", "Choice", "Detection", "Dictionary", "Effects",
    "Gated", "Histogram", "Judged", "JumpReLU", "Labels", "Loss", "Matching", "Matryoshka", "Name", "Needed",
    "Neighbour", "ReLU", "Recovered", "Report", "Split", "TopK", "TopText", "about", "absorbed", "both_signs",
    "choose", "clamped", "correlations", "dead_share", "density", "density_histogram", "detect", "direct_effects",
    "effects_of_silencing", "exchanged", "f1", "fve", "histogram", "in_turn", "input_scale", "interpret", "judge",
    "l0", "latents_needed", "load", "load_dictionary", "load_saelens", "logit_effects", "loss_recovered",
    "main_latents", "match", "match_activations", "match_directions", "measure_absorption", "near_misses",
    "neighbours", "save_dictionary", "save_saelens", "says", "scaled", "sets_of_words", "shuffled", "silenced",
    "special_tokens", "spliced", "split", "top_texts", "top_texts_of", "train", "unions",
]  # fmt: skip
