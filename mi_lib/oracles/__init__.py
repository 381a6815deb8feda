"""Activation oracles: a network that answers questions about another one's activations, and what its word is worth.

    oracle = oracles.open_oracle()
    reading = oracles.read(pico, "Mira lives in Oakham .", depth=4)[0]
    oracle.ask(reading, "What is the home town ?")

patchscopes  a hidden state put into another prompt: the network reads itself
injection    activations added at a placeholder, at the norm found there
reading      which activations, at which depth, and their mean
labels       what is true at a word, and at which word it is known
questions    kinds, forms and frames; those that training never sees
dataset      examples, written as training goes on; sets for measuring
prompts      the oracle's prompt, with the source layer in it
training     the loss, a step; all weights, or thin matrices (lora)
asking       an answer and its probability
judging      the oracle beside probe, black box, lenses, majority, shuffled and no activations
trust        calibration, and what it invents
secrets      a secret that is never said: ranks among forty, against the base network
"""

from mi_lib.oracles.asking import Answer, Oracle, answers, open_oracle
from mi_lib.oracles.dataset import Example, asked, asked_in_vain
from mi_lib.oracles.injection import add, at_norm, inject, replace
from mi_lib.oracles.judging import black_box, everybody, lens_logits, probe_right, readings, right, turned
from mi_lib.oracles.labels import Known, absent, known
from mi_lib.oracles.patchscopes import continuation, identity_prompt, lens_shares, patchscope, prompt, put, shares
from mi_lib.oracles.prompts import prompts
from mi_lib.oracles.questions import KINDS, NEVER_ASKED, NOTHING, BadQuestion, Question, question, typed
from mi_lib.oracles.reading import BadReading, Reading, mean_activations, read
from mi_lib.oracles.secrets import Kept, candidates, kept, lift, opens, rank, says, seal, standing
from mi_lib.oracles.training import Plan
from mi_lib.oracles.trust import Inventions, inventions, reliability

__all__ = [
    "KINDS", "NEVER_ASKED", "NOTHING", "Answer", "BadQuestion", "BadReading", "Example", "Inventions", "Kept", "Known",
    "Oracle", "Plan", "Question", "Reading", "absent", "add", "answers", "asked", "asked_in_vain", "at_norm",
    "black_box", "candidates", "continuation", "everybody", "identity_prompt", "inject", "inventions", "kept", "known",
    "lens_logits", "lens_shares", "lift", "mean_activations", "open_oracle", "opens", "patchscope", "probe_right",
    "prompt", "prompts", "put", "question", "rank", "read", "readings", "reliability", "replace", "right", "says",
    "seal", "shares", "standing", "turned", "typed",
]  # fmt: skip
