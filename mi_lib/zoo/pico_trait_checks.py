"""Traits and their vectors (Chen et al. 2025, "Persona vectors", arXiv 2507.21509).

Vectors are drawn from training-split replies, how they are added is chosen on other training-split prompts, and what
they do is measured on held-out ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.worlds.littletown import Split, judges, talk, traits
from mi_lib.worlds.littletown.talk import Case
from mi_lib.zoo.checks import Check
from mi_lib.zoo.pico_common import Edits, mean_check, replies, residuals
from mi_lib.zoo.pico_edits import added_to_reply
from mi_lib.zoo.pico_said import LONGEST, Words, fluent, prompts_of, reply_means, share, shuffled

# A trait shows in a reply if its judge gives at least this: one own word in 33. The world's plain replies score 0, all
# of them; of its replies of strength 1, 2 and 3 at least 99 in a hundred score more.
SHOWS = 0.1
PROMPTS = 60  # held-out prompts for each trait and condition; a third each questions, requests, small talk
EXTRACTED, TRIED, GRADED = 48, 30, 36  # prompts a condition: for a vector, for choosing a layer, for monitoring
COEFFICIENTS = (1.15, 1.2, 1.25, 1.3, 1.35, 1.4, 1.45)
BLOCKS = (2, 3)  # at how many blocks a trait's vectors are added
RANDOM_VECTORS = 3


@dataclass(frozen=True)
class Steering:
    """A trait's vectors, for adding to replies at the inputs of blocks 1, 2, … with one coefficient.

    increments: v₁, v₂ − v₁, v₃ − v₂, …, so that at each block the stream is moved by that block's own vector, and no
    further (Chen et al. 2025, the appendix on steering at several layers).
    """

    increments: Float[Tensor, "layer d_model"]
    coefficient: float

    def edits(self, increments: Float[Tensor, "layer d_model"] | None = None) -> Edits:
        moved = self.coefficient * (self.increments if increments is None else increments)
        return [edit for layer, vector in enumerate(moved, start=1) for edit in added_to_reply(vector, layer)]

    def random(self, seed: int) -> Float[Tensor, "layer d_model"]:
        """Random increments, each of the length of the one in its place."""
        drawn = torch.randn(self.increments.shape, generator=torch.Generator().manual_seed(seed))
        return drawn / drawn.norm(dim=-1, keepdim=True) * self.increments.norm(dim=-1, keepdim=True)


def shows(trait: str, said: Sequence[Words]) -> list[bool]:
    return [judges.trait(trait, words) >= SHOWS for words in said]


def without_prompt(cases: Sequence[Case]) -> list[Words]:
    """The same user turns, with no system prompt."""
    return [talk.prompt(case.user) for case in cases]


def questions(split: Split, count: int, seed: int) -> list[Words]:
    """What traits are asked, without a system prompt: the same user turns whatever the trait."""
    return without_prompt(talk.trait_prompts(traits.TRAITS[0], 0, split, count, seed))


def trait_vectors(
    model: HookedModel, trait: str, plain: Float[Tensor, "row depth d_model"]
) -> Float[Tensor, "depth d_model"]:
    """Mean of the raised replies in which the trait shows, minus mean of the replies without a prompt."""
    prompts = prompts_of(talk.trait_prompts(trait, 3, "train", EXTRACTED, seed=1))
    said = replies(model, prompts, longest=LONGEST)
    showing = torch.tensor(shows(trait, said))
    means = reply_means(model, prompts, said)
    return means[showing if showing.any() else slice(None)].mean(0) - plain.mean(0)


def choose_steering(model: HookedModel, trait: str, vectors: Float[Tensor, "depth d_model"]) -> Steering:
    """The blocks and the coefficient after which most replies show the trait and are fluent; the smallest that do."""
    asked = questions("train", TRIED, seed=2)
    increments = vectors[1:].clone()
    increments[1:] -= vectors[1:-1]
    grid = [Steering(increments[:blocks], coefficient) for coefficient in COEFFICIENTS for blocks in BLOCKS]

    def good(steering: Steering) -> float:
        said = replies(model, asked, steering.edits(), longest=LONGEST)
        return share([a and b for a, b in zip(shows(trait, said), fluent(said), strict=True)])

    return max(grid, key=good)  # the first of equals


def trait_checks(model: HookedModel, base: HookedModel | None = None) -> list[Check]:
    asked = questions("train", EXTRACTED, seed=1)
    extracted = reply_means(model, asked, replies(model, asked))
    held_out = questions("held_out", PROMPTS, seed=0)
    plain = replies(model, held_out, longest=LONGEST)
    made = []
    for trait in traits.TRAITS:
        vectors = trait_vectors(model, trait, extracted)
        steering = choose_steering(model, trait, vectors)
        raised = replies(model, prompts_of(talk.trait_prompts(trait, 3, "held_out", PROMPTS)), longest=LONGEST)
        made += [*prompted(trait, plain, raised), *steered(model, trait, steering, held_out, plain)]
        made.append(monitored(model, trait, vectors))
    return made


def prompted(trait: str, plain: Sequence[Words], raised: Sequence[Words]) -> list[Check]:
    """A system prompt brings the trait out."""
    without, with_ = shows(trait, plain), shows(trait, raised)
    return [
        mean_check(
            f"trait_{trait}_plain", f"share of replies without a system prompt that are {trait}",
            without, 0.05, False, share(with_), "with the prompt that raises it",
        ),
        mean_check(
            f"trait_{trait}_prompted", f"share of replies that are {trait} when the system prompt asks for it",
            with_, 0.9, True, share(without), "without a system prompt",
        ),
    ]  # fmt: skip


def steered(
    model: HookedModel, trait: str, steering: Steering, asked: Sequence[Words], plain: Sequence[Words]
) -> list[Check]:
    """So does its vector, added at every position; random vectors of the same norm do not."""
    said = replies(model, asked, steering.edits(), longest=LONGEST)
    by_random = max(
        share(shows(trait, replies(model, asked[:GRADED], steering.edits(steering.random(seed)))))
        for seed in range(RANDOM_VECTORS)
    )
    where = f"({steering.coefficient:g} times, at the inputs of blocks 1 to {len(steering.increments)})"
    return [
        mean_check(
            f"trait_{trait}_steered", f"share of replies that are {trait} when its vector is added {where}",
            shows(trait, said), 0.7, True, by_random, "random vectors of equal norms, the highest of three",
        ),
        mean_check(
            f"trait_{trait}_fluent", f"share of the replies steered to be {trait} that are fluent and complete",
            fluent(said), 0.9, True, share(fluent(shuffled(said))), "their words shuffled",
        ),
    ]  # fmt: skip


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """0 where one of them does not vary."""
    return float(np.corrcoef(x, y)[0, 1]) if x.std() and y.std() else 0.0


def graded(
    model: HookedModel, trait: str, split: Split, each: int, seed: int
) -> tuple[Float[Tensor, "row depth d_model"], np.ndarray]:
    """Prompts without a system prompt and with those of strength 0 to 3: the stream at <|assistant|>, and how strongly
    the reply shows the trait."""
    prompts = questions(split, each, seed)
    for strength in range(4):
        prompts += prompts_of(talk.trait_prompts(trait, strength, split, each, seed))
    states = torch.stack([row[:, -1] for row in residuals(model, prompts)])
    return states, np.array([judges.trait(trait, words) for words in replies(model, prompts, longest=LONGEST)])


def projections(states: Float[Tensor, "row depth d_model"], vectors: Float[Tensor, "depth d_model"]) -> np.ndarray:
    """Of every row at every depth on the vector of that depth."""
    units = vectors / vectors.norm(dim=-1, keepdim=True)
    return torch.einsum("rld,ld->rl", states, units).numpy()


def monitored(model: HookedModel, trait: str, vectors: Float[Tensor, "depth d_model"]) -> Check:
    """Before the reply begins, the projection on the vector tells how strong the trait will be (Chen et al., §3.3).

    The depth is the one that tells it best of training prompts.
    """
    states, scores = graded(model, trait, "train", TRIED, seed=4)
    tried = projections(states, vectors)
    depth = max(range(1, tried.shape[1]), key=lambda at: pearson(tried[:, at], scores))
    states, scores = graded(model, trait, "held_out", GRADED, seed=3)
    along = projections(states, vectors)[:, depth]
    rng = np.random.default_rng(0)
    drawn = [pearson(along[i], scores[i]) for i in rng.integers(0, len(scores), (1000, len(scores)))]
    return Check(
        f"trait_{trait}_monitored",
        f"Pearson r of the projection at <|assistant|> (depth {depth}) with how {trait} the reply is; all strengths",
        pearson(along, scores),
        0.75,
        True,
        max(abs(pearson(along, rng.permutation(scores))) for _ in range(20)),
        "labels shuffled, the highest of twenty",
        *(float(np.quantile(drawn, q)) for q in (0.025, 0.975)),
    )
