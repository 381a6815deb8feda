"""Traits and their vectors (Chen et al. 2025, "Persona vectors", arXiv 2507.21509).

Vectors are drawn from training-split replies, how they steer is chosen on other training-split prompts, and what they
do is measured on held-out ones. Steering holds the stream along a vector at or above a floor: how far a prompt's reply
has to be pushed differs twofold between prompts, and adding a vector pushes all of them alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.recipes.checks import Check
from mi_lib.recipes.pico.common import Edits, mean_check, replies, residuals
from mi_lib.recipes.pico.edits import held_in_reply
from mi_lib.recipes.pico.said import LONGEST, Words, fluent, prompts_of, reply_means, share, shuffled
from mi_lib.worlds.littletown import Split, judges, talk, traits
from mi_lib.worlds.littletown.talk import Case

# A trait shows in a reply if its judge gives at least this: one own word in 33. The world's plain replies score 0, all
# of them; of its replies of strength 1, 2 and 3 at least 99 in a hundred score more.
SHOWS = 0.1
PROMPTS = 360  # held-out prompts for each trait and condition; a third each questions, requests, small talk
EXTRACTED, GRADED = 288, 36  # prompts a condition: for a vector, for monitoring
TRIED, TRIED_AGAIN, BEST = 96, 576, 4  # prompts for choosing how to steer; the best ways are compared once more
KINDS = {"everything": slice(None), "questions": slice(0, None, 3)}  # prompts whose replies vectors are drawn from
SPANS = ((2, 2), (1, 2), (1, 3), (1, 4))  # first and last block at whose inputs the stream is held
LEVELS, HALVINGS = (1.0, 5.0), 6  # how high, see `Choice`
NEAR = tuple(step / 32 for step in range(-4, 5))  # levels around the best one, for the second comparison
WANTED, ENOUGH = 0.85, (0.7, 0.9)  # replies that show the trait, while a level is sought; what the checks ask
RANDOM_VECTORS = 3


class Drawn(NamedTuple):
    """Where training replies without a trait and with it stand: the means over their words, at every depth."""

    plain: Float[Tensor, "depth d_model"]
    showing: Float[Tensor, "depth d_model"]

    @property
    def vectors(self) -> Float[Tensor, "depth d_model"]:
        """The persona vectors, a difference of means at every depth (Chen et al. 2025, §2.2)."""
        return self.showing - self.plain


class Choice(NamedTuple):
    """How a trait is steered: by vectors drawn from which replies, at the inputs of blocks first to last, how high.

    level: 0 is where plain replies stand along the vector, 1 where those with the trait stand, on average.
    """

    drawn: str
    first: int
    last: int
    level: float


@dataclass(frozen=True)
class Steering:
    """A trait's directions, on which replies are held at or above a floor, at the inputs of some blocks in turn.

    reach: how far the floors lie from where plain replies stand.
    """

    choice: Choice
    units: Float[Tensor, "layer d_model"]
    plain: Float[Tensor, "layer d_model"]
    reach: Float[Tensor, " layer"]

    @classmethod
    def of(cls, found: Drawn, choice: Choice) -> Steering:
        blocks = slice(choice.first, choice.last + 1)
        vectors = found.vectors[blocks]
        units = torch.nn.functional.normalize(vectors, dim=-1)
        return cls(choice, units, found.plain[blocks], choice.level * vectors.norm(dim=-1))

    def edits(self) -> Edits:
        floors = (self.plain * self.units).sum(-1) + self.reach
        held = enumerate(zip(self.units, floors.tolist(), strict=True), self.choice.first)
        return [edit for layer, (unit, floor) in held for edit in held_in_reply(unit, floor, layer)]

    def random(self, seed: int) -> Steering:
        """Random directions, with floors as far from where plain replies stand."""
        drawn = torch.randn(self.units.shape, generator=torch.Generator().manual_seed(seed))
        return replace(self, units=torch.nn.functional.normalize(drawn, dim=-1))


def shows(trait: str, said: Sequence[Words]) -> list[bool]:
    return [judges.trait(trait, words) >= SHOWS for words in said]


def without_prompt(cases: Sequence[Case]) -> list[Words]:
    """The same user turns, with no system prompt."""
    return [talk.prompt(case.user) for case in cases]


def questions(split: Split, count: int, seed: int) -> list[Words]:
    """What traits are asked, without a system prompt: the same user turns whatever the trait."""
    return without_prompt(talk.trait_prompts(traits.TRAITS[0], 0, split, count, seed))


def like_held_out(count: int, seed: int) -> list[Words]:
    """Training questions of the kinds that held-out ones are: of small talk, only opinions are ever held out."""
    cases = talk.trait_prompts(traits.TRAITS[0], 0, "train", 6 * count, seed)
    lines = {line for line, _ in talk.SMALL_TALK}
    opinions = [case for case in cases[2::3] if case.user not in lines]
    thirds = zip(cases[0::3], cases[1::3], opinions, strict=False)
    return without_prompt([case for third in thirds for case in third][:count])


def drawn(model: HookedModel, trait: str) -> dict[str, Drawn]:
    """What replies tell of a trait: those to everything, or those to questions alone.

    The prompts are a third each questions, requests and small talk. Where a trait also changes what is said, only
    replies to questions show how: of the inventive, that it answers what nobody knows.
    Replies are drawn at temperature 1: the likeliest ones are so few that their mean is in part that of set phrases.
    """
    cases = talk.trait_prompts(trait, 3, "train", EXTRACTED, seed=1)
    raised, plain = prompts_of(cases), without_prompt(cases)
    said, others = (replies(model, prompts, longest=LONGEST, seed=0) for prompts in (raised, plain))
    showing, bare = reply_means(model, raised, said), reply_means(model, plain, others)
    shown, found = torch.tensor(shows(trait, said)), {}
    for name, asked in KINDS.items():
        counted = shown[asked] if shown[asked].any() else ~shown[asked]  # a network that never shows it: all of them
        found[name] = Drawn(bare[asked][counted].mean(0), showing[asked][counted].mean(0))
    return found


def choices(model: HookedModel) -> dict[str, Choice]:
    """For each trait how it is steered. Takes minutes; the recipe does it once, and the model's card keeps it."""
    return {trait: choose(model, trait, drawn(model, trait)) for trait in traits.TRAITS}


def choose(model: HookedModel, trait: str, found: dict[str, Drawn]) -> Choice:
    """Which vectors, at which blocks, how high: what does best on training prompts, and once more on others."""
    first, again = like_held_out(TRIED, seed=2), like_held_out(TRIED_AGAIN, seed=5)
    tried = [
        max(_tries(model, trait, found[name], name, span, first), key=lambda one: one[0])
        for name in found
        for span in SPANS
    ]
    best = [steering.choice for _, steering in sorted(tried, key=lambda one: -one[0])[:BEST]]
    near = [choice._replace(level=choice.level + step) for choice in best for step in NEAR]
    return max(near, key=lambda one: margin(model, trait, Steering.of(found[one.drawn], one), again)[0])


def _tries(
    model: HookedModel, trait: str, found: Drawn, name: str, span: tuple[int, int], asked: Sequence[Words]
) -> Iterator[tuple[float, Steering]]:
    """Levels on the way to the one at which about as many replies show the trait as wanted, with their margins."""
    low, high = LEVELS
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        steering = Steering.of(found, Choice(name, *span, middle))
        least, shown = margin(model, trait, steering, asked)
        yield least, steering
        low, high = (middle, high) if shown < WANTED else (low, middle)


def margin(model: HookedModel, trait: str, steering: Steering, asked: Sequence[Words]) -> tuple[float, float]:
    """By how much both checks are passed, the lesser of the two (1: nothing is left to gain); and the share showing."""
    said = replies(model, asked, steering.edits(), longest=LONGEST)
    shares = share(shows(trait, said)), share(fluent(said))
    return min((s - enough) / (1 - enough) for s, enough in zip(shares, ENOUGH, strict=True)), shares[0]


def trait_checks(
    model: HookedModel, base: HookedModel | None = None, chosen: dict[str, Choice] | None = None
) -> list[Check]:
    """chosen: as `choices` gives it, which is asked if this is None."""
    held_out = questions("held_out", PROMPTS, seed=0)
    plain = replies(model, held_out, longest=LONGEST)
    made = []
    for trait in traits.TRAITS:
        found = drawn(model, trait)
        choice = chosen[trait] if chosen else choose(model, trait, found)
        steering = Steering.of(found[choice.drawn], choice)
        raised = replies(model, prompts_of(talk.trait_prompts(trait, 3, "held_out", PROMPTS)), longest=LONGEST)
        made += [*prompted(trait, plain, raised), *steered(model, trait, steering, held_out, plain)]
        made.append(monitored(model, trait, found["everything"].vectors))
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
    """So does holding the reply along its vector; random directions, held as far out, do not."""
    said = replies(model, asked, steering.edits(), longest=LONGEST)
    by_random = max(
        share(shows(trait, replies(model, asked[:GRADED], steering.random(seed).edits(), longest=LONGEST)))
        for seed in range(RANDOM_VECTORS)
    )
    c = steering.choice
    blocks = f"block {c.last}" if c.first == c.last else f"blocks {c.first} to {c.last}"
    where = (
        f"({c.level:.2f} times as far out as its replies are, at the input of {blocks}; "
        f"drawn from replies to {c.drawn})"
    )
    return [
        mean_check(
            f"trait_{trait}_steered", f"share of replies that are {trait} when they are held along its vector {where}",
            shows(trait, said), ENOUGH[0], True, by_random, "random directions held as far out, the highest of three",
        ),
        mean_check(
            f"trait_{trait}_fluent", f"share of the replies steered to be {trait} that are fluent and complete",
            fluent(said), ENOUGH[1], True, share(fluent(shuffled(said))), "their words shuffled",
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
    states, scores = graded(model, trait, "train", GRADED, seed=4)
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
