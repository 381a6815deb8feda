"""Induction heads: detect them, remove them, and read from the weights how they work.

An induction head looks for where the present word stood before and copies the word that followed. It needs two layers:
a head that tells each position which word came just before it, and a head that searches for the present word among
those notes. Sources: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; Olsson et al. 2022,
"In-context Learning and Induction Heads" (arXiv 2209.11895).

    scores    what heads attend to: previous token, duplicate token, prefix matching; what they copy
    loss      per token, on first and later copies, and how context lowers it
    ablation  runs without some heads: zero, mean, pattern-preserving
    circuits  OV and QK as factored matrices, composition between layers with a random baseline
    networks  attention-only networks that others have trained
"""

from mi_lib.induction.ablation import ablate_heads
from mi_lib.induction.circuits import (
    FactoredMatrix,
    composition,
    composition_baseline,
    copying_score_eigenvalues,
    ov_circuit,
    qk_circuit,
)
from mi_lib.induction.loss import half_losses, in_context_learning_score, per_token_loss
from mi_lib.induction.networks import from_state
from mi_lib.induction.scores import (
    copying_score_attention,
    duplicate_token_score,
    head_scores,
    prefix_matching_score,
    previous_token_score,
)

__all__ = [
    "FactoredMatrix",
    "ablate_heads",
    "composition",
    "composition_baseline",
    "copying_score_attention",
    "copying_score_eigenvalues",
    "duplicate_token_score",
    "from_state",
    "half_losses",
    "head_scores",
    "in_context_learning_score",
    "ov_circuit",
    "per_token_loss",
    "prefix_matching_score",
    "previous_token_score",
    "qk_circuit",
]
