"""Which method finds which circuit: AUROC against planted circuits, methods × circuits.

    python benchmarks/attribution_on_planted.py               # two tables, half a minute on one thread
    python benchmarks/attribution_on_planted.py --precision   # average precision instead of AUROC

Scores of every edge, and of every node (each head's q, k, v and output, each MLP), for sixteen pairs of prompts, in the
mean of their sizes. Constant and dormant edges, of which no patch can tell, are not judged.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import torch

from mi_lib import attribution as at
from mi_lib.worlds import planted

Method = Callable[..., Mapping]

EDGES: dict[str, Method] = {
    "exact, noising": at.edge_effects,
    "exact, denoising": lambda model, clean, corrupted, metric: at.edge_effects(model, corrupted, clean, metric),
    "EAP": at.eap,
    "EAP, at the corrupted prompt": lambda model, clean, corrupted, metric: at.eap(model, corrupted, clean, metric),
    "EAP-IG, 5 steps": at.eap_ig,
    "EAP-IG, 50 steps": lambda *pair: at.eap_ig(*pair, steps=50),
}
NODES: dict[str, Method] = {
    "exact, noising": at.node_effects,
    "exact, denoising": lambda *pair: at.node_effects(*pair, noising=False),
    "attribution patching": lambda model, *pair: _nodes(model, *pair, softmax=False, grad_drop=None),
    "… with the softmax": lambda model, *pair: _nodes(model, *pair, softmax=True, grad_drop=None),
    "… with GradDrop": lambda model, *pair: _nodes(model, *pair, softmax=False, grad_drop="layers"),
    "AtP*": lambda model, *pair: _nodes(model, *pair, softmax=True, grad_drop="layers"),
    "AtP*, parts dropped": lambda model, *pair: _nodes(model, *pair, softmax=True, grad_drop="parts"),
}


def _nodes(model, *pair, **options):
    return at.by_node(model, at.atp_star(model, *pair, **options))


def table(methods: Mapping[str, Method], judge: Callable[[Mapping, Mapping], float]) -> dict[str, dict[str, float]]:
    """How each method does on each circuit: {method: {circuit: judged}}."""
    found: dict[str, dict[str, float]] = {name: {} for name in methods}
    for name in (*planted.NAMES, "ioi"):
        circuit = planted.circuit(name)
        pairs = circuit.pairs(16, seed=1)
        truth = circuit.truth() if methods is EDGES else circuit.node_truth()
        metric = at.logit_difference(pairs.answers, pairs.corrupted_answers)
        for method, score in methods.items():
            found[method][name] = judge(score(circuit.model, pairs.clean, pairs.corrupted, metric), truth)
    return found


def show(title: str, found: dict[str, dict[str, float]]) -> None:
    circuits = list(next(iter(found.values())))
    print(f"\n| {title} | {' | '.join(circuits)} |\n|---|{'---|' * len(circuits)}")
    for method, row in found.items():
        print(f"| {method} | {' | '.join(f'{value:.2f}' for value in row.values())} |")


def main() -> None:
    torch.set_num_threads(1)
    judge = at.average_precision if "--precision" in sys.argv else at.auroc
    show("edges", table(EDGES, judge))
    show("nodes", table(NODES, judge))


if __name__ == "__main__":
    main()
