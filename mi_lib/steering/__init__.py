"""Steering: what a model does, changed by one direction, and what that costs.

prompts        what a model's chat template makes of texts
activations    read once, at many sites and positions
directions     one vector from two sets of texts; random ones beside it
ways           how it is applied: added, held, clamped, taken out
replies        what the model says then
judging        shares of replies, with intervals; judges proved by shuffled words
"""

from mi_lib.models.passes import prompts_end
from mi_lib.steering.activations import collect, collect_all, collect_replies, stream_sites
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
from mi_lib.steering.judging import Proof, Share, largest_change, prove, share, shuffle_words
from mi_lib.steering.prompts import after_instruction, chat
from mi_lib.steering.replies import Said, replies, said, streamed
from mi_lib.steering.ways import Edits, ablate, add, add_at_start, clamp, hold

__all__ = [
    "Edits",
    "Proof",
    "Said",
    "Share",
    "ablate",
    "actadd",
    "add",
    "add_at_start",
    "after_instruction",
    "chat",
    "clamp",
    "collect",
    "collect_all",
    "collect_replies",
    "contrastive",
    "difference_of_means",
    "first_component",
    "hold",
    "largest_change",
    "projections",
    "prompts_end",
    "prove",
    "random_like",
    "replies",
    "said",
    "share",
    "shuffle_words",
    "shuffled",
    "stream_sites",
    "streamed",
    "unit",
]
