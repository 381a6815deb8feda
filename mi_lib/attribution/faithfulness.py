"""Does a circuit do it alone? Run it with everything else corrupted, and see how much of the answer is left.

    faithfulness   f(C) = (m(C) − m(∅)) / (m(N) − m(∅))      N: all edges, ∅: none
    CPR            ∫ f dk    the k edges that help most: by their effect, sign and all
    CMD            ∫ |1 − f| dk    the k edges that matter most: by the size of their effect

as in MIB (Mueller et al. 2025, arXiv 2504.13151, section 3). k is a share of all edges, on a linear axis. The two have
rankings of their own: a good circuit by CPR leaves out what speaks against the answer and may score above 1; one by CMD
has it in, for it is to behave as the network does. Integrated over log k, or with one ranking for both, they are other
numbers.

Differences to the published code: edges are taken by rank alone, and what no path joins to the logits stays in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.attribution.edges import run_edges, sender_outputs
from mi_lib.attribution.judging import Score, strength
from mi_lib.attribution.pairs import Metric, metric_range, read_pairs
from mi_lib.models import HookedModel
from mi_lib.models.graph import Edge, all_edges, check_edge, senders

FRACTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # MIB's


def run_circuit(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    circuit: Iterable[Edge],
    reference: Int[Tensor, "other pos"],
    *,
    mean: bool = False,
) -> Float[Tensor, "batch pos d_vocab"]:
    """Logits of a run in which only these edges carry what their senders say; all others carry the reference.

    reference: corrupted prompts, one for each, whose senders' words the others carry; with `mean` the mean of these
        words over all reference prompts, for each position (mean ablation).
    ValueError for no edge at all, an edge that the model cannot have, and prompts of unequal length.
    """
    kept = set(circuit)
    if not kept:
        raise ValueError("the circuit has no edge, so that nothing of the prompt could arrive; keep at least one")
    for edge in kept:
        check_edge(edge, model.cfg)
    if not mean:
        tokens, reference, _ = read_pairs(model, tokens, reference)
    elif tokens.shape[1] != reference.shape[1]:
        raise ValueError(
            f"prompts of {tokens.shape[1]} tokens and reference prompts of {reference.shape[1]}: a mean is taken for "
            "each position, so give reference prompts of the same length"
        )
    said = sender_outputs(model, reference, senders(model.cfg))
    if mean:
        said = {name: value.mean(0, keepdim=True).expand(len(tokens), -1, -1) for name, value in said.items()}
    others = {edge: said[edge.sender] for edge in all_edges(model.cfg) if edge not in kept}
    if not others:
        with torch.no_grad():
            return model(tokens)
    return run_edges(model, tokens, others)


@dataclass(frozen=True)
class Curve:
    """Faithfulness of the circuits of the best k edges, for several k, as shares of all edges."""

    fractions: tuple[float, ...]
    faithfulness: tuple[float, ...]

    @property
    def cpr(self) -> float:
        """∫ f dk over these k, by trapezoids on a linear axis. Its ranking must be signed."""
        return self._area(self.faithfulness)

    @property
    def cmd(self) -> float:
        """∫ |1 − f| dk. Its ranking must be absolute."""
        return self._area([abs(1 - f) for f in self.faithfulness])

    def _area(self, heights: Sequence[float]) -> float:
        steps = zip(self.fractions, self.fractions[1:], heights, heights[1:], strict=False)
        return sum((right - left) * (a + b) / 2 for left, right, a, b in steps)


def faithfulness(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    metric: Metric,
    circuit: Iterable[Edge],
) -> float:
    """f(C), with the metric in the mean over pairs. ValueError as `run_circuit`, and for a metric without a range."""
    clean, corrupted, _ = read_pairs(model, clean, corrupted)
    with torch.no_grad():
        whole, nothing = metric(model(clean)), metric(model(corrupted))
        metric_range(whole, nothing)
        alone = metric(run_circuit(model, clean, circuit, corrupted))
    return float((alone - nothing).mean() / (whole - nothing).mean())


def faithfulness_curve(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    metric: Metric,
    scores: Mapping[Edge, Score],
    *,
    signed: bool,
    fractions: Sequence[float] = FRACTIONS,
) -> Curve:
    """Faithfulness of the best k edges for each share k; ⌊k · number of edges⌋ of them, and 0 for none.

    scores: of edges, as `edge_effects` and `eap` give them: what is lost when an edge is patched, for each pair.
    signed: rank by the mean effect (for CPR), or by its size (for CMD).
    ValueError where an edge of the model has no score, and as `faithfulness`.
    """
    edges = all_edges(model.cfg)
    if missing := [edge for edge in edges if edge not in scores]:
        raise ValueError(f"{len(missing)} edges have no score, such as {missing[0]}; score all edges of the model")
    size = strength(scores)
    value = {edge: float(torch.as_tensor(scores[edge]).double().mean()) for edge in edges} if signed else size
    ranked = sorted(edges, key=lambda edge: -value[edge])
    found = []
    for fraction in sorted(fractions):
        best = ranked[: int(fraction * len(edges) + 1e-9)]
        found.append(faithfulness(model, clean, corrupted, metric, best) if best else 0.0)
    return Curve(tuple(sorted(fractions)), tuple(found))


def cpr(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    metric: Metric,
    scores: Mapping[Edge, Score],
    fractions: Sequence[float] = FRACTIONS,
) -> float:
    """Circuit performance ratio: ∫ f dk with the signed ranking; more is better. See `faithfulness_curve`."""
    return faithfulness_curve(model, clean, corrupted, metric, scores, signed=True, fractions=fractions).cpr


def cmd(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    metric: Metric,
    scores: Mapping[Edge, Score],
    fractions: Sequence[float] = FRACTIONS,
) -> float:
    """Circuit-model distance: ∫ |1 − f| dk with the absolute ranking; 0 is best. See `faithfulness_curve`."""
    return faithfulness_curve(model, clean, corrupted, metric, scores, signed=False, fractions=fractions).cmd
