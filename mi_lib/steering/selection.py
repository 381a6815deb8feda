"""Refusal's direction, chosen as Arditi et al. 2024 (arXiv 2406.11717, section 2.3 and appendix C) choose it.

1. Candidates: mean harmful − mean harmless, at the INPUT of each block and at each token that the chat template puts
   behind the user's words. (One block later is another direction: "layer l" after the block is a known slip.)
2. On other prompts of the training split, each candidate gets three numbers:
       refuses   how much the harmful are refused when the direction is ablated
       induces   how much the harmless are refused when it is added at its own layer, everywhere
       kl        KL(before ‖ after) of the next token on the harmless when it is ablated, in nats
3. The one that leaves the least refusal, of those that induce some (> 0), leave the harmless alone (kl < 0.1) and come
   early (layer < 0.8 · number of layers).

How much is refused is measured without any reply: log P − log(1 − P), with P the probability that the reply begins with
one of the words that begin refusals. Held-out prompts are never seen here: measure on them afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.steering.activations import collect
from mi_lib.steering.directions import difference_of_means
from mi_lib.steering.judging import Judge, rate
from mi_lib.steering.prompts import Prompts, after_instruction, require_template, rows_of
from mi_lib.steering.replies import replies
from mi_lib.steering.ways import Edits, ablate, add

Measure = Callable[[Prompts, Edits | Sequence], float]  # how much these prompts are refused under these edits
BATCH = 64


class Candidate(NamedTuple):
    """A direction: harmful minus harmless at the input of a block, at a position counted from the prompt's end."""

    layer: int
    position: int
    direction: Float[Tensor, " d_model"]


class Score(NamedTuple):
    """refuses: the harmful, ablated. induces: the harmless, added (at the best of the doses). kl: ablated, in nats."""

    refuses: float
    induces: float
    kl: float


class Conditions(NamedTuple):
    """What a candidate must do: induce more than this, change the harmless by less, and come before this depth."""

    induces: float = 0.0
    kl: float = 0.1
    depth: float = 0.8


PAPER = Conditions()


def candidates(
    model: HookedModel,
    harmful: Prompts,
    harmless: Prompts,
    layers: Sequence[int] | None = None,
    positions: Sequence[int] | None = None,
) -> list[Candidate]:
    """A difference of means for every block input and every position behind the instruction.

    The embeddings (layer 0) are left out by default: behind the instruction they are the same for all.
    ValueError for a set with a single member, for prompts that do not end as the chat template ends, and for layers
    that are not there.
    """
    rows = [rows_of(model, prompts) for prompts in (harmful, harmless)]
    if positions is None:
        for which, some in zip(("harmful prompt", "harmless prompt"), rows, strict=True):
            require_template(model, some, which)
        positions = range(-len(after_instruction(model)), 0)
    at = list(range(1, model.cfg.n_layers)) if layers is None else list(layers)
    sites = [("resid_pre", layer) for layer in at]
    difference = difference_of_means(*(collect(model, some, sites, list(positions)) for some in rows))
    if len(at) == 1:
        difference = difference.reshape(1, len(positions), -1)
    return [
        Candidate(layer, position, difference[i, j])
        for i, layer in enumerate(at)
        for j, position in enumerate(positions)
    ]


@torch.no_grad()
def next_logits(
    model: HookedModel, prompts: Prompts, edits: Edits | Sequence = (), batch: int = BATCH
) -> Float[Tensor, "prompt d_vocab"]:
    """The logits of the token that follows each prompt."""
    rows = rows_of(model, prompts)
    found = []
    for at in range(0, len(rows), batch):
        some = rows[at : at + batch]
        width = max(map(len, some))
        tokens = torch.tensor([[0] * (width - len(row)) + row for row in some])
        mask = torch.tensor([[i >= width - len(row) for i in range(width)] for row in some])
        with model.hooks(edits):
            found.append(model(tokens, mask, logits_to_keep=1)[:, -1].float())
    return torch.cat(found)


def log_odds(logits: Float[Tensor, "row d_vocab"], tokens: Collection[int]) -> Float[Tensor, " row"]:
    """log P − log(1 − P), P the probability of these tokens together. Computed so that it does not overflow."""
    chosen = torch.zeros(logits.shape[-1], dtype=torch.bool, device=logits.device)
    chosen[list(tokens)] = True
    logits = logits.double()
    inside = logits.masked_fill(~chosen, -math.inf).logsumexp(-1)
    return inside - logits.masked_fill(chosen, -math.inf).logsumexp(-1)


def divergence(before: Float[Tensor, "row d_vocab"], after: Float[Tensor, "row d_vocab"]) -> float:
    """KL(before ‖ after) of the next token, mean over prompts, in nats."""
    p, q = before.log_softmax(-1), after.log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1).mean().item()


def by_first_token(model: HookedModel, tokens: Collection[int]) -> Measure:
    """The mean log odds that a reply begins with one of these tokens (the paper's measure of refusal)."""
    if not tokens:
        raise ValueError("name the tokens that refusals begin with: with none of them nothing is ever refused")
    return lambda prompts, edits: log_odds(next_logits(model, prompts, edits), tokens).mean().item()


def by_judge(model: HookedModel, judge: Judge, longest: int = 16) -> Measure:
    """The share of replies that a judge of their words calls refusals; `longest` tokens of each are enough to tell."""

    def measure(prompts: Prompts, edits: Edits | Sequence) -> float:
        return rate([judge(reply.words) for reply in replies(model, prompts, edits, longest=longest)])

    return measure


def score(
    model: HookedModel,
    candidate: Candidate,
    harmful: Prompts,
    harmless: Prompts,
    measure: Measure,
    doses: Sequence[float] = (1.0,),
) -> Score:
    """doses: how often the direction is added; the paper adds it once."""
    without = ablate(candidate.direction)
    return Score(
        measure(harmful, without),
        max(measure(harmless, add(candidate.direction, dose, candidate.layer)) for dose in doses),
        divergence(next_logits(model, harmless), next_logits(model, harmless, without)),
    )


def meets(model: HookedModel, candidate: Candidate, found: Score, conditions: Conditions = PAPER) -> bool:
    """Whether a candidate does what it must. One with NaN does not."""
    return (
        found.induces > conditions.induces
        and found.kl < conditions.kl
        and candidate.layer < conditions.depth * model.cfg.n_layers
        and not math.isnan(found.refuses)
    )


def select(
    model: HookedModel,
    scored: Sequence[tuple[Candidate, Score]],
    conditions: Conditions = PAPER,
    alike: float = 0.0,
) -> Candidate:
    """The candidate that leaves the least refusal, of those that meet the conditions.

    alike: what differs by no more than about this counts as equal (a share of 32 replies has steps of 1/32); of equals
    the one that induces more, then the one with the smaller kl. The paper has no such rule: 0.
    ValueError, saying how many fail which condition, where none meets all.
    """
    fit = [(c, s) for c, s in scored if meets(model, c, s, conditions)]
    if not fit:
        weak = sum(not s.induces > conditions.induces for _, s in scored)
        loud = sum(not s.kl < conditions.kl for _, s in scored)
        late = sum(not c.layer < conditions.depth * model.cfg.n_layers for c, _ in scored)
        raise ValueError(
            f"none of {len(scored)} candidates meets the conditions: {weak} induce too little, {loud} change harmless "
            f"prompts too much, {late} come too late. Add the direction more often (`doses`), or loosen a condition"
        )
    if not alike:
        return min(fit, key=lambda cs: cs[1].refuses)[0]
    return min(fit, key=lambda cs: (round(cs[1].refuses / alike), -cs[1].induces, cs[1].kl))[0]


def refusal_direction(
    model: HookedModel,
    training: tuple[Prompts, Prompts],
    validation: tuple[Prompts, Prompts],
    measure: Measure,
    doses: Sequence[float] = (1.0,),
    conditions: Conditions = PAPER,
) -> tuple[Candidate, list[tuple[Candidate, Score]]]:
    """The whole selection: (the chosen one, all candidates with their scores).

    training, validation: harmful and harmless prompts of the training split (128 and 32 of each in the paper).
    """
    scored = [(c, score(model, c, *validation, measure, doses)) for c in candidates(model, *training)]
    return select(model, scored, conditions), scored
