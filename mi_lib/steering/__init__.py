"""Steering: what a model does, changed by one direction, and what that costs.

prompts        what a model's chat template makes of texts
activations    read once, at many sites and positions
directions     one vector from two sets of texts; random ones beside it
ways           how it is applied: added, held, clamped, taken out
replies        what the model says then
judging        shares of replies, with intervals; judges proved by shuffled words
weights        a direction taken out of the weights, instead of while the model runs
selection      refusal's direction, chosen on training prompts alone
dose           how much is enough, and what it costs
"""

from mi_lib.models.passes import prompts_end
from mi_lib.steering.activations import all_logits, collect, collect_all, collect_replies, stream_sites
from mi_lib.steering.directions import (
    actadd,
    contrastive,
    difference_of_means,
    first_component,
    projections,
    random_like,
    shuffled,
    unit,
)
from mi_lib.steering.dose import Effects, Response, dose_response, knows, least_dose, perplexity, side_effects, surprise
from mi_lib.steering.judging import Proof, Share, largest_change, prove, rate, share, shuffle_words
from mi_lib.steering.prompts import after_instruction, chat
from mi_lib.steering.replies import Said, replies, said, streamed
from mi_lib.steering.selection import Candidate, Conditions, Score, candidates, refusal_direction, score, select
from mi_lib.steering.ways import Edits, ablate, add, add_at_start, clamp, hold
from mi_lib.steering.weights import orthogonalised, save, writers, written_along

__all__ = [
    "Candidate",
    "Conditions",
    "Edits",
    "Effects",
    "Proof",
    "Response",
    "Said",
    "Score",
    "Share",
    "ablate",
    "actadd",
    "add",
    "add_at_start",
    "after_instruction",
    "all_logits",
    "candidates",
    "chat",
    "clamp",
    "collect",
    "collect_all",
    "collect_replies",
    "contrastive",
    "difference_of_means",
    "dose_response",
    "first_component",
    "hold",
    "knows",
    "largest_change",
    "least_dose",
    "orthogonalised",
    "perplexity",
    "projections",
    "prompts_end",
    "prove",
    "random_like",
    "rate",
    "refusal_direction",
    "replies",
    "said",
    "save",
    "score",
    "select",
    "share",
    "shuffle_words",
    "shuffled",
    "side_effects",
    "stream_sites",
    "streamed",
    "surprise",
    "unit",
    "writers",
    "written_along",
]
