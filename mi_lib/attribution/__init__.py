"""Attribution: which parts of a model caused its answer.

pairs          clean and corrupted prompts, and a metric of their logits
patching       exact: one place exchanged at a time, both ways
edges          exact: what one part says to one other
inputs         gradient × input, integrated gradients
nodes          to first order, all places at once: attribution patching, AtP*
eap            to first order, all edges at once: EAP, EAP-IG
judging        scores against the truth, and against each other
faithfulness   a circuit run alone; CPR and CMD
sanity         the same method on shuffled weights
"""

from mi_lib.attribution.eap import eap, eap_ig
from mi_lib.attribution.edges import edge_effects, patch_edges, run_edges, sender_outputs
from mi_lib.attribution.faithfulness import Curve, cmd, cpr, faithfulness, faithfulness_curve, run_circuit
from mi_lib.attribution.inputs import InputAttribution, gradient_x_input, integrated_gradients
from mi_lib.attribution.judging import auroc, average_precision, rank_correlation, strength
from mi_lib.attribution.nodes import atp_star, attribution_patching, by_node, node_effects
from mi_lib.attribution.pairs import Metric, answer_tokens, logit_difference
from mi_lib.attribution.patching import patch_heads, patch_layers, patch_neurons, patch_places, patch_positions
from mi_lib.attribution.sanity import Sanity, randomised, sanity_check

__all__ = [
    "Curve",
    "InputAttribution",
    "Metric",
    "Sanity",
    "answer_tokens",
    "atp_star",
    "attribution_patching",
    "auroc",
    "average_precision",
    "by_node",
    "cmd",
    "cpr",
    "eap",
    "eap_ig",
    "edge_effects",
    "faithfulness",
    "faithfulness_curve",
    "gradient_x_input",
    "integrated_gradients",
    "logit_difference",
    "node_effects",
    "patch_edges",
    "patch_heads",
    "patch_layers",
    "patch_neurons",
    "patch_places",
    "patch_positions",
    "randomised",
    "rank_correlation",
    "run_circuit",
    "run_edges",
    "sanity_check",
    "sender_outputs",
    "strength",
]
