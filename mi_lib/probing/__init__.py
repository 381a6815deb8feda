"""Probing: what can be read in a network's activations, how to tell reading from learning by heart, and whether the
network uses what is read.

    x = probing.collect(model, texts, [("resid_pre", layer) for layer in range(8)])   # [site position text d_model]
    probe = probing.logistic(x[4, 0], labels)
    probing.judge(probe, held_x[4, 0], held_labels).share

collecting   activations of many sites and positions, each text read once
data         what is refused, and numbers for labels
probes       ridge, logistic regression, mass-mean and its covariance-corrected form; accuracy with its interval
splits       cut by combination; leaks refused
controls     control tasks and selectivity
mdl          minimum description length by an online code
curves       learning curves, transfer between templates, calibration
using        edits along a probe's direction, and along random ones
erasing      LEACE
concepts     TCAV
"""

from mi_lib.probing.collecting import collect
from mi_lib.probing.concepts import (
    Tested,
    activations_at,
    cav,
    directional_sensitivity,
    gradients_at,
    holm,
    null_scores,
    random_sets,
    rank_test,
    score,
    scores,
    tcav,
    two_sided,
)
from mi_lib.probing.controls import Selectivity, control_labels, probe_and_control, selectivity
from mi_lib.probing.curves import Calibration, calibration, learning_curve, transfer
from mi_lib.probing.data import Unusable, class_means, numbered
from mi_lib.probing.erasing import Eraser, leace
from mi_lib.probing.mdl import Code, online_code
from mi_lib.probing.probes import Fit, Judged, Probe, by_place, judge, judged, logistic, mass_mean, ridge
from mi_lib.probing.splits import Cut, Leak, by_combination, refuse_leaks
from mi_lib.probing.using import (
    Change,
    along,
    edit_at,
    end_logits,
    end_logits_of_each,
    flip,
    mirror,
    mirror_classes,
    preference,
    random_directions,
    to_other_mean,
    turned,
)

__all__ = [
    "Calibration", "Change", "Code", "Cut", "Eraser", "Fit", "Judged", "Leak", "Probe", "Selectivity", "Tested",
    "Unusable", "activations_at", "along", "by_combination", "by_place", "calibration", "cav", "class_means",
    "collect", "control_labels", "directional_sensitivity", "edit_at", "end_logits",
    "end_logits_of_each", "flip", "gradients_at", "holm",
    "judge", "judged", "leace", "learning_curve", "logistic", "mass_mean", "mirror", "mirror_classes",
    "null_scores", "numbered", "online_code", "preference", "probe_and_control", "random_directions", "random_sets",
    "rank_test", "refuse_leaks", "ridge", "score", "scores", "selectivity", "tcav", "to_other_mean", "transfer",
    "turned", "two_sided",
]  # fmt: skip
