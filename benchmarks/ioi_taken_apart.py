"""The analysis of Wang et al. 2022 (arXiv 2211.00593) on the planted IOI, where right is known: what does it give?

    python benchmarks/ioi_taken_apart.py            # a minute on one thread
    python benchmarks/ioi_taken_apart.py --leak 0.003

Four tables: the three numbers of the true circuit and of circuits that lack something; knock-outs done right and wrong;
circuits found by machine against the planted edges; the backups before and after the movers are silenced.

Prompts that a circuit is judged on are others than those that it was found on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence

import torch

from mi_lib import attribution as at
from mi_lib import circuits as ci
from mi_lib.models.graph import Edge
from mi_lib.worlds import planted
from mi_lib.worlds.planted.ioi import CLASSES

HEADS = frozenset(head for heads in CLASSES.values() for head in heads)
MOVERS, BACKUPS = (frozenset(CLASSES[kind]) for kind in ("name mover", "backup mover"))
CIRCUITS = {
    "as planted": HEADS,
    "without backups": HEADS - BACKUPS,
    "without the negative mover": HEADS - frozenset(CLASSES["negative mover"]),
    "without inhibition by place": HEADS - {"a2.h3"},
    "with an idle head": HEADS | {"a3.h1"},
}


def show(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    print(f"\n| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    for row in rows:
        print(f"| {' | '.join(f'{cell:.3f}' if isinstance(cell, float) else str(cell) for cell in row)} |")


def three_numbers(F: ci.Alone[str]) -> None:
    """Faithfulness, the widest completeness gap, the least that any head adds; as shares of F(M)."""
    M = F(F.everything)
    rows = []
    for name, C in CIRCUITS.items():
        Ks = [frozenset(), *ci.subsets(C, 50, seed=0), *(frozenset(heads) & C for heads in CLASSES.values())]
        worst = ci.worst_completeness(F, C, Ks)
        greedy = ci.greedy_completeness(F, C)
        least = min(((head, *ci.most_minimality(F, C, head, Ks)) for head in C), key=lambda found: found[2])
        rows.append(
            (name, ci.faithfulness(F, C).share, worst[1] / M, said(worst[0]), greedy[1] / M, least[2] / M, least[0])
        )
    show(("circuit", "F(C)/F(M)", "worst gap", "its K", "gap by greedy K", "least minimality", "of head"), rows)


def said(heads: Iterable[str]) -> str:
    return " ".join(sorted(heads)) or "none"


def knock_outs(model: planted.Circuit, data: ci.IOIData) -> None:
    """What is left of the answer when a class is knocked out by each kind of mean."""
    ways = ("per template", "pooled", "clean", "zero")
    whole = data.metric(model.model(data.clean)).mean()
    rows = []
    for kind, heads in CLASSES.items():
        left = []
        for how in ways:
            means = ci.abc_means(model.model, data, how)  # type: ignore[arg-type]
            left.append(float(data.metric(ci.run_without(model.model, data, heads, means)).mean() / whole))
        rows.append((kind, *left))
    show(("left when these are knocked out", *ways), rows)


def by_machine(circuit: planted.Circuit, found_on: ci.IOIData, judged_on: ci.IOIData) -> None:
    """ACDC, EAP and EAP-IG against the planted edges: precision and recall, and how their circuits do alone."""
    model, clean, corrupted = circuit.model, found_on.clean, found_on.corrupted["ABC"]
    pair = (model, clean, corrupted, found_on.metric)
    whole = float(found_on.metric(model(clean)).mean())
    silent = circuit.constant_edges | circuit.dormant
    F = ci.edges_alone(model, judged_on)
    from_movers = {edge for edge in F.everything if edge.sender in MOVERS}
    found: dict[str, tuple[frozenset[Edge], float]] = {"planted": (circuit.edges | silent, 0.0)}
    for share in (0.01, 0.05, 0.2):
        start = time.process_time()
        kept = ci.acdc(model, clean, corrupted, share * whole, found_on.metric)
        found[f"ACDC, difference, {share:.0%}"] = (kept, time.process_time() - start)
    start = time.process_time()
    found["ACDC, KL, .01"] = (ci.acdc(model, clean, corrupted, 0.01), time.process_time() - start)
    for name, method in (("exact edges", at.edge_effects), ("EAP", at.eap), ("EAP-IG, 5 steps", at.eap_ig)):
        start = time.process_time()
        size = at.strength(method(*pair))
        took = time.process_time() - start
        found[f"{name}, above 5 %"] = (frozenset(edge for edge, value in size.items() if value > 0.05), took)
        judged = [edge for edge in size if edge not in silent]
        best = sorted(judged, key=lambda edge: -size[edge])[: len(circuit.edges)]
        found[f"{name}, as many as planted"] = (frozenset(best), took)
    rows = []
    for name, (edges, took) in found.items():
        compared = ci.compare_circuits(edges, circuit.edges | silent, unjudged=silent, F=F)
        assert compared.found_alone is not None
        without = F(edges - from_movers) / F(F.everything)
        size_ = len(edges - silent)
        rows.append((name, size_, compared.precision, compared.recall, compared.found_alone.share, without, took))
    left = F(F.everything - from_movers) / F(F.everything)
    rows.append(("all edges", len(F.everything), "", "", 1.0, left, 0.0))
    show(("found by", "edges", "precision", "recall", "F(C)/F(M)", "F without movers/F(M)", "seconds"), rows)


def backups(circuit: planted.Circuit, data: ci.IOIData) -> None:
    """The direct effect of backups (and, beside them, of the negative mover and a decoy), in logits."""
    model, means = circuit.model, ci.abc_means(circuit.model, data)
    rows = []
    for head in (*sorted(BACKUPS), *CLASSES["negative mover"], "a4.h2"):
        effects = []
        for silent in ((), sorted(MOVERS)[:1], sorted(MOVERS)):
            with model.hooks(ci.knock_out(model, silent, means, data.template)):
                start = data.metric(model(data.clean))
                patched = data.metric(ci.path_patch(model, data.clean, data.corrupted["ABC"], head))
            effects.append(float((start - patched).mean()))
        rows.append((head, *effects))
    show(("direct effect of", "all work", "one mover silent", "both movers silent"), rows)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--leak", type=float, default=0.0003)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    circuit = planted.circuit("ioi", leak=asked.leak)
    found_on, judged_on = ci.planted_data(circuit, 16, seed=1), ci.planted_data(circuit, 100, seed=2)
    three_numbers(ci.heads_alone(circuit.model, judged_on))
    knock_outs(circuit, judged_on)
    by_machine(circuit, found_on, judged_on)
    backups(circuit, judged_on)
    roles = ci.head_roles(circuit.model, found_on).roles
    show(("role", "found", "planted"), [(role, said(heads), said(CLASSES[role])) for role, heads in roles.items()])


if __name__ == "__main__":
    main()
