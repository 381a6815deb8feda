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
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.attribution.edges import run_edges, sender_outputs
from mi_lib.attribution.judging import Score, strength
from mi_lib.attribution.pairs import Metric, metric_range, read_pairs, read_prompts
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
    attention_mask: Tensor | None = None,
    reference_mask: Tensor | None = None,
) -> Float[Tensor, "batch pos d_vocab"]:
    """Logits of a run in which only these edges carry what their senders say; all others carry the reference.

    reference: corrupted prompts, one for each, whose senders' words the others carry; with `mean` the mean of these
        words over all reference prompts, for each position (mean ablation).
    attention_mask: of the prompts, and of the reference unless `reference_mask` gives its own. What is padding there
        counts in no mean.
    ValueError for no edge at all, an edge that the model cannot have, and prompts of unequal length.
    """
    kept = set(circuit)
    if not kept:
        raise ValueError("the circuit has no edge, so that nothing of the prompt could arrive; keep at least one")
    edges = all_edges(model.cfg)
    for edge in kept.difference(edges):
        check_edge(edge, model.cfg)
    if not mean:
        tokens, reference, mask = read_pairs(model, tokens, reference, attention_mask)
        said = sender_outputs(model, reference, senders(model.cfg), attention_mask=mask)
    else:
        tokens, mask = read_prompts(model, tokens, attention_mask)
        said = _means(model, tokens, reference, attention_mask if reference_mask is None else reference_mask)
    others = {edge: said[edge.sender] for edge in edges if edge not in kept}
    if not others:
        with torch.no_grad():
            return model(tokens, mask)
    return run_edges(model, tokens, others, attention_mask=mask)


def _means(
    model: HookedModel, tokens: Int[Tensor, "batch pos"], reference: Int[Tensor, "other pos"], mask: Tensor | None
) -> dict[str, Float[Tensor, "batch pos d_model"]]:
    """What each sender says at each position of the reference prompts in the mean, for each prompt."""
    reference, mask = read_prompts(model, reference, mask)
    if tokens.shape[1] != reference.shape[1]:
        raise ValueError(
            f"prompts of {tokens.shape[1]} tokens and reference prompts of {reference.shape[1]}: a mean is taken for "
            "each position, so give reference prompts of the same length"
        )
    real = torch.ones_like(reference, dtype=torch.bool) if mask is None else mask
    said = sender_outputs(model, reference, senders(model.cfg), attention_mask=mask)
    counted = real[:, :, None]
    return {
        name: ((value * counted).sum(0, keepdim=True) / counted.sum(0, keepdim=True).clamp(min=1)).expand(
            len(tokens), -1, -1
        )
        for name, value in said.items()
    }


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
        if len(self.fractions) < 2:
            raise ValueError(f"no area lies above a single share, {self.fractions}; give at least two")
        steps = zip(self.fractions, self.fractions[1:], heights, heights[1:], strict=False)
        return sum((right - left) * (a + b) / 2 for left, right, a, b in steps)


def faithfulness(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    metric: Metric,
    circuit: Iterable[Edge],
    *,
    attention_mask: Tensor | None = None,
) -> float:
    """f(C), of the metric's means over pairs. ValueError as `run_circuit`, and for a metric without a range."""
    with torch.no_grad():
        clean, corrupted, mask = read_pairs(model, clean, corrupted, attention_mask)
        whole, nothing = metric(model(clean, mask)), metric(model(corrupted, mask))
        metric_range(whole, nothing)
        if abs(span := float((whole - nothing).mean())) < 1e-6 * float((whole - nothing).abs().mean()):
            raise ValueError(
                "the ranges of the pairs cancel in their mean, so that there is none to share out; choose a metric "
                "that goes the same way in all pairs"
            )
        alone = metric(run_circuit(model, clean, circuit, corrupted, attention_mask=mask))
    return float((alone - nothing).mean()) / span


def faithfulness_curve(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    metric: Metric,
    scores: Mapping[Edge, Score],
    fractions: Sequence[float] = FRACTIONS,
    *,
    signed: bool,
    attention_mask: Tensor | None = None,
) -> Curve:
    """Faithfulness of the best k edges for each share k; ⌊k · number of edges⌋ of them, and 0 for none.

    scores: of edges, as `edge_effects` and `eap` give them: what is lost when an edge is patched, for each pair.
    signed: rank by the mean effect (for CPR), or by its size (for CMD).
    attention_mask: of both prompts.
    ValueError where an edge of the model has no score, for a share that is none, and as `faithfulness`.
    """
    edges = all_edges(model.cfg)
    if missing := [edge for edge in edges if edge not in scores]:
        raise ValueError(f"{len(missing)} edges have no score, such as {missing[0]}; score all edges of the model")
    shares = sorted(set(fractions))
    if wrong := [share for share in shares if not 0 <= share <= 1]:
        raise ValueError(f"{wrong[0]} is no share of all edges; give numbers from 0 to 1")
    size = strength(scores)
    value = {edge: float(torch.as_tensor(scores[edge]).double().mean()) for edge in edges} if signed else size
    ranked = sorted(edges, key=lambda edge: -value[edge])
    found: dict[int, float] = {0: 0.0}
    for count in (counts := [int(share * len(edges) + 1e-9) for share in shares]):
        if count not in found:
            best = ranked[:count]
            found[count] = faithfulness(model, clean, corrupted, metric, best, attention_mask=attention_mask)
    return Curve(tuple(shares), tuple(found[count] for count in counts))


def cpr(*args: Any, **options: Any) -> float:
    """Circuit performance ratio: ∫ f dk with the signed ranking; more is better.

    Takes what `faithfulness_curve` takes, without `signed`: (model, clean, corrupted, metric, scores, fractions).
    """
    return faithfulness_curve(*args, signed=True, **options).cpr


def cmd(*args: Any, **options: Any) -> float:
    """Circuit-model distance: ∫ |1 − f| dk with the absolute ranking; 0 is best. Takes what `cpr` takes."""
    return faithfulness_curve(*args, signed=False, **options).cmd
