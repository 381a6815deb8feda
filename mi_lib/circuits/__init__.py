"""Circuits: which heads and edges do a task together, taken apart as Wang et al. 2022 (arXiv 2211.00593) did.

data            prompts with an indirect object, and their corruptions: planted, Littletown, English
knockout        heads exchanged for their means over ABC, per template and position
path_patching   what one head tells a receiver directly
roles           what each head does, by tests with random-head controls
circuit         a set of heads or of edges run alone; faithfulness, completeness, minimality
acdc            a circuit found by machine: one edge after another left out
search          a circuit found by machine: every set of heads tried, where there are few
comparing       two circuits, by parts and by behaviour
published       the heads that the paper names in GPT-2 small
"""

from mi_lib.circuits.acdc import acdc
from mi_lib.circuits.circuit import (
    Alone,
    Faithfulness,
    completeness,
    edges_alone,
    faithfulness,
    greedy_completeness,
    heads_alone,
    minimality,
    most_minimality,
    subsets,
    worst_completeness,
)
from mi_lib.circuits.comparing import Comparison, compare_circuits
from mi_lib.circuits.data import (
    IOIData,
    corruptions,
    giving_data,
    littletown_data,
    pair_data,
    planted_data,
    sentence_data,
)
from mi_lib.circuits.knockout import Means, abc_means, knock_out, run_without
from mi_lib.circuits.parts import all_heads
from mi_lib.circuits.path_patching import path_effects, path_patch
from mi_lib.circuits.published import GPT2_SMALL, against_published
from mi_lib.circuits.roles import HeadRoles, attention_scores, copy_scores, effects_without, head_roles, total_effects
from mi_lib.circuits.search import powerset, smallest_circuit

__all__ = [
    "GPT2_SMALL",
    "Alone",
    "Comparison",
    "Faithfulness",
    "HeadRoles",
    "IOIData",
    "Means",
    "abc_means",
    "acdc",
    "against_published",
    "all_heads",
    "attention_scores",
    "compare_circuits",
    "completeness",
    "copy_scores",
    "corruptions",
    "edges_alone",
    "effects_without",
    "faithfulness",
    "giving_data",
    "greedy_completeness",
    "head_roles",
    "heads_alone",
    "knock_out",
    "littletown_data",
    "minimality",
    "most_minimality",
    "pair_data",
    "path_effects",
    "path_patch",
    "planted_data",
    "powerset",
    "run_without",
    "sentence_data",
    "smallest_circuit",
    "subsets",
    "total_effects",
    "worst_completeness",
]
