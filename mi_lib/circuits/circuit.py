"""A circuit run alone, and the three questions that Wang et al. 2022 (arXiv 2211.00593, section 4) ask of it.

M is the whole model, C a circuit in it, F(X) the mean metric when the parts X alone work.

    faithfulness    |F(M) − F(C)|                     does the circuit do it alone?        F(C) / F(M) as a share
    completeness    |F(C∖K) − F(M∖K)|                 is the same lost when K is lost?     small for every K ⊆ C
    minimality      |F(C∖(K∪{v})) − F(C∖K)|           is v needed, for some K?             large for every v ∈ C

Faithfulness alone does not see a spare part: it sleeps while the others work, in the model and in the circuit. With K
the others, completeness sees that the model still answers and the circuit does not; and without K minimality could
not see that a spare part does anything.

What X is made of, and what the rest does:

    heads_alone    X are heads; the others are knocked out by their ABC means (`knockout`); MLPs work
    edges_alone    X are edges; the others carry what their senders say in the ABC prompt (`attribution.run_circuit`)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.attribution import patch_edges, run_circuit
from mi_lib.circuits.data import IOIData
from mi_lib.circuits.knockout import Means, abc_means, knock_out
from mi_lib.circuits.parts import all_heads, layer_and_head
from mi_lib.models import HookedModel
from mi_lib.models.graph import Edge, all_edges, check_edge

Part = TypeVar("Part", str, Edge)


@dataclass(frozen=True)
class Alone(Generic[Part]):
    """F: called with parts, the mean metric when these alone work. What was asked before is remembered.

    everything: all parts, so that F(everything) is F(M). logits: of the clean prompts, if these work alone; END last.
    """

    everything: frozenset[Part]
    logits: Callable[[Collection[Part]], Float[Tensor, "batch kept d_vocab"]]
    metric: Callable[[Tensor], Float[Tensor, " batch"]]
    _known: dict[frozenset[Part], float] = field(default_factory=dict, repr=False)

    def __call__(self, parts: Iterable[Part]) -> float:
        chosen = frozenset(parts)
        if chosen not in self._known:
            with torch.no_grad():
                self._known[chosen] = float(self.metric(self.logits(chosen)).mean())
        return self._known[chosen]


def heads_alone(model: HookedModel, data: IOIData, means: Means | None = None) -> Alone[str]:
    """F over sets of heads, "a1.h2", on the clean prompts of `data`.

    means: of the heads that are knocked out; those over the data's own ABC prompts if None.
    The clean run is kept, and runs begin at the first head that is knocked out. So F is of the model as it was when
    this was called: under other edits, make another one.
    Calls raise ValueError for a head that the model has not.
    """
    means = abc_means(model, data) if means is None else means
    every = all_heads(model.cfg)
    _, streams = model.run_with_cache(data.clean, [("resid_pre", layer) for layer in range(model.cfg.n_layers)])

    def logits(parts: Collection[str]) -> Tensor:
        for name in parts:
            layer_and_head(name, model.cfg)
        others = [name for name in every if name not in parts]
        # What comes before the first of them is as in the clean run; the metric looks at END alone.
        first = min((layer_and_head(name, model.cfg)[0] for name in others), default=model.cfg.n_layers - 1)
        with model.hooks(knock_out(model, others, means, data.template)):
            return model(data.clean, start_at_layer=first, residual=streams["resid_pre", first], logits_to_keep=1)

    return Alone(frozenset(every), logits, data.metric)


def edges_alone(model: HookedModel, data: IOIData) -> Alone[Edge]:
    """F over sets of edges, on the clean prompts of `data`; all other edges carry their ABC prompt.

    Calls raise ValueError for an edge that the model cannot have.
    """
    every = all_edges(model.cfg)

    def logits(parts: Collection[Edge]) -> Tensor:
        for edge in parts:
            check_edge(edge, model.cfg)
        if not parts:
            return patch_edges(model, data.clean, data.corrupted["ABC"], every)
        return run_circuit(model, data.clean, parts, data.corrupted["ABC"])

    return Alone(frozenset(every), logits, data.metric)


@dataclass(frozen=True)
class Faithfulness:
    """whole: F(M). alone: F(C)."""

    whole: float
    alone: float

    @property
    def gap(self) -> float:
        """|F(M) − F(C)|, in logits."""
        return abs(self.whole - self.alone)

    @property
    def share(self) -> float:
        """F(C) / F(M): 1 for a circuit that does what the model does."""
        return self.alone / self.whole


def faithfulness(F: Alone[Part], circuit: Iterable[Part]) -> Faithfulness:
    """|F(M) − F(C)|, and F(C) / F(M). ValueError for a circuit of nothing."""
    return Faithfulness(F(F.everything), F(_circuit(circuit)))


def completeness(F: Alone[Part], circuit: Iterable[Part], without: Iterable[Part] = ()) -> float:
    """|F(C∖K) − F(M∖K)|, in logits; with no K it is the faithfulness gap.

    without: K. ValueError for a circuit of nothing, and for a K that is not part of it.
    """
    C, M = _circuit(circuit), F.everything
    K = _within(without, C)
    return abs(F(C - K) - F(M - K))


def minimality(F: Alone[Part], circuit: Iterable[Part], part: Part, without: Iterable[Part] = ()) -> float:
    """|F(C∖(K∪{v})) − F(C∖K)|, in logits: what v adds once K is gone.

    part: v. without: K, of which v is none. ValueError for a circuit of nothing, and for a v or a K that is not in it.
    """
    C = _circuit(circuit)
    K, v = _within(without, C), _within([part], C)
    return abs(F(C - (K | v)) - F(C - K))


def subsets(circuit: Iterable[Part], n: int, seed: int) -> list[frozenset[Part]]:
    """n random K ⊆ C, each part being in K by the toss of a coin (Wang et al. 2022, section 4.1).

    ValueError for a circuit of nothing.
    """
    rng, parts = random.Random(seed), sorted(_circuit(circuit))
    return [frozenset(part for part in parts if rng.random() < 0.5) for _ in range(n)]


def worst_completeness(
    F: Alone[Part], circuit: Iterable[Part], candidates: Iterable[Collection[Part]]
) -> tuple[frozenset[Part], float]:
    """(K, gap): the K among the candidates with the largest completeness gap. ValueError for no candidate."""
    C, Ks = _circuit(circuit), [frozenset(K) for K in candidates]
    if not Ks:
        raise ValueError("no K was given; give sets of parts of the circuit, as subsets(circuit, 20, seed=0) does")
    return max(((K, completeness(F, C, K)) for K in Ks), key=lambda found: found[1])


def greedy_completeness(F: Alone[Part], circuit: Iterable[Part]) -> tuple[frozenset[Part], float]:
    """(K, gap): K grown from nothing by the part that widens the completeness gap most, while one does.

    The paper's search for the K that shows most what a circuit lacks (section 4.1). It may miss the worst one: of two
    movers of which each keeps a spare part asleep, taking out one shows nothing, so that it never comes to both.
    """
    C = _circuit(circuit)
    best: tuple[frozenset[Part], float] = (frozenset(), completeness(F, C))
    while larger := [(best[0] | {v}, completeness(F, C, best[0] | {v})) for v in sorted(C - best[0])]:
        found = max(larger, key=lambda one: one[1])
        if found[1] <= best[1]:
            break
        best = found
    return best


def most_minimality(
    F: Alone[Part], circuit: Iterable[Part], part: Part, candidates: Sequence[Collection[Part]]
) -> tuple[frozenset[Part], float]:
    """(K, what v adds): the K among the candidates, v taken out, with which v matters most. ValueError for none."""
    C, Ks = _circuit(circuit), [frozenset(K) - {part} for K in candidates]
    if not Ks:
        raise ValueError("no K was given; give sets of parts of the circuit, of which one may be empty")
    return max(((K, minimality(F, C, part, K)) for K in Ks), key=lambda found: found[1])


def _circuit(parts: Iterable[Part]) -> frozenset[Part]:
    found = frozenset(parts)
    if not found:
        raise ValueError("the circuit is empty, so that nothing of the prompt could arrive; keep at least one part")
    return found


def _within(parts: Iterable[Part], circuit: frozenset[Part]) -> frozenset[Part]:
    found = frozenset(parts)
    if strangers := sorted(map(str, found - circuit)):
        raise ValueError(f"{strangers[0]} is not in the circuit, so that it cannot be taken out; choose parts of it")
    return found
