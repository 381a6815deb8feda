"""Traits and their vectors (Chen et al. 2025, "Persona vectors", arXiv 2507.21509).

Vectors are drawn from training-split replies, how they steer is chosen on other training-split prompts, and what they
do is measured on held-out ones. Steering holds the stream along a vector at or above a floor: how far a prompt's reply
has to be pushed differs twofold between prompts, and adding a vector pushes all of them alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib import personas, steering
from mi_lib.models import HookedModel
from mi_lib.personas import Drawn, Floors, Held
from mi_lib.recipes.checks import Check
from mi_lib.recipes.pico.common import Words, ids, mean_check, prompts_of, replies, reply_means, sound
from mi_lib.statistics import pearson
from mi_lib.steering import rate
from mi_lib.worlds.littletown import Split, judges, talk, traits
from mi_lib.worlds.littletown.talk import Case

PROMPTS = 360  # held-out prompts for each trait and condition; a third each questions, requests, small talk
EXTRACTED, GRADED = 288, 36  # prompts a condition: for a vector, for monitoring
TRIED, TRIED_AGAIN, BEST = 96, 576, 4  # prompts for choosing how to steer; the best ways are compared once more
KINDS = {"everything": slice(None), "questions": slice(0, None, 3)}  # prompts whose replies vectors are drawn from
SPANS = ((2, 2), (1, 2), (1, 3), (1, 4))  # first and last block at whose inputs the stream is held
LEVELS, HALVINGS = (1.0, 5.0), 6  # how high, see `Held`
NEAR = tuple(step / 32 for step in range(-4, 5))  # levels around the best one, for the second comparison
WANTED, ENOUGH = 0.85, (0.7, 0.9)  # replies that show the trait, while a level is sought; what the checks ask
RANDOM_VECTORS = 3


def shows(trait: str, said: Sequence[Words]) -> list[bool]:
    return [judges.shows(trait, words) for words in said]


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
    said, others = (replies(model, prompts, longest=judges.LONGEST, seed=0) for prompts in (raised, plain))
    showing, bare = reply_means(model, raised, said), reply_means(model, plain, others)
    shown, found = torch.tensor(shows(trait, said)), {}
    for name, asked in KINDS.items():
        counted = shown[asked] if shown[asked].any() else ~shown[asked]  # a network that never shows it: all of them
        found[name] = Drawn(bare[asked][counted].mean(0), showing[asked][counted].mean(0))
    return found


def choices(model: HookedModel) -> dict[str, Held]:
    """For each trait how it is steered. Takes minutes; the recipe does it once, and the model's card keeps it."""
    return {trait: choose(model, trait, drawn(model, trait)) for trait in traits.TRAITS}


def choose(model: HookedModel, trait: str, found: dict[str, Drawn]) -> Held:
    """Which vectors, at which blocks, how high: what does best on training prompts, and once more on others."""
    first, again = like_held_out(TRIED, seed=2), like_held_out(TRIED_AGAIN, seed=5)
    return personas.choose(
        found,
        SPANS,
        lambda floors: margin(model, trait, floors, first),
        lambda floors: margin(model, trait, floors, again),
        wanted=WANTED,
        levels=LEVELS,
        steps=HALVINGS,
        best=BEST,
        near=NEAR,
    )


def margin(model: HookedModel, trait: str, floors: Floors, asked: Sequence[Words]) -> tuple[float, float]:
    """By how much both checks are passed, the lesser of the two (1: nothing is left to gain); and the share showing."""
    said = replies(model, asked, floors.edits(), longest=judges.LONGEST)
    shares = rate(shows(trait, said)), rate(sound(said))
    return min((s - enough) / (1 - enough) for s, enough in zip(shares, ENOUGH, strict=True)), shares[0]


def trait_checks(
    model: HookedModel, base: HookedModel | None = None, chosen: dict[str, Held] | None = None
) -> list[Check]:
    """chosen: as `choices` gives it, which is asked if this is None."""
    held_out = questions("held_out", PROMPTS, seed=0)
    plain = replies(model, held_out, longest=judges.LONGEST)
    made = []
    for trait in traits.TRAITS:
        found = drawn(model, trait)
        choice = chosen[trait] if chosen else choose(model, trait, found)
        floors = Floors.of(found[choice.drawn], choice)
        raised = replies(model, prompts_of(talk.trait_prompts(trait, 3, "held_out", PROMPTS)), longest=judges.LONGEST)
        made += [*prompted(trait, plain, raised), *steered(model, trait, floors, held_out)]
        made.append(monitored(model, trait, found["everything"].vectors))
    return made


def prompted(trait: str, plain: Sequence[Words], raised: Sequence[Words]) -> list[Check]:
    """A system prompt brings the trait out."""
    without, with_ = shows(trait, plain), shows(trait, raised)
    return [
        mean_check(
            f"trait_{trait}_plain", f"share of replies without a system prompt that are {trait}",
            without, 0.05, False, rate(with_), "with the prompt that raises it",
        ),
        mean_check(
            f"trait_{trait}_prompted", f"share of replies that are {trait} when the system prompt asks for it",
            with_, 0.9, True, rate(without), "without a system prompt",
        ),
    ]  # fmt: skip


def steered(model: HookedModel, trait: str, floors: Floors, asked: Sequence[Words]) -> list[Check]:
    """So does holding the reply along its vector; random directions, held as far out, do not."""
    said = replies(model, asked, floors.edits(), longest=judges.LONGEST)
    by_random = max(
        rate(shows(trait, replies(model, asked[:GRADED], floors.random(seed).edits(), longest=judges.LONGEST)))
        for seed in range(RANDOM_VECTORS)
    )
    c = floors.how
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
            sound(said), ENOUGH[1], True, rate(sound(steering.shuffle_words(said))), "their words shuffled",
        ),
    ]  # fmt: skip


def graded(
    model: HookedModel, trait: str, split: Split, each: int, seed: int
) -> tuple[Float[Tensor, "row depth d_model"], np.ndarray]:
    """Prompts without a system prompt and with those of strength 0 to 3: the stream at <|assistant|>, and how strongly
    the reply shows the trait."""
    prompts = questions(split, each, seed)
    for strength in range(4):
        prompts += prompts_of(talk.trait_prompts(trait, strength, split, each, seed))
    states = steering.collect(model, [ids(words) for words in prompts], steering.stream_sites(model))
    return states, np.array([judges.trait(trait, words) for words in replies(model, prompts, longest=judges.LONGEST)])


def monitored(model: HookedModel, trait: str, vectors: Float[Tensor, "depth d_model"]) -> Check:
    """Before the reply begins, the projection on the vector tells how strong the trait will be (Chen et al., §3.3).

    The depth is the one that tells it best of training prompts.
    """
    states, scores = graded(model, trait, "train", GRADED, seed=4)
    tried = steering.projections(states, vectors).numpy()
    depth = max(range(1, tried.shape[1]), key=lambda at: pearson(tried[:, at], scores))
    states, scores = graded(model, trait, "held_out", GRADED, seed=3)
    along = steering.projections(states, vectors)[:, depth].numpy()
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
