"""The checks of the two induction models: is the circuit there, does it carry the behaviour, and is it absent where
it should be?

Which heads belong to the circuit is decided before anything is ablated: layer-0 heads that look at the previous token
and layer-1 heads that look one past the earlier occurrence, each with a score of at least one half, if they write at
all (‖W_V W_O‖ at least a twentieth of the largest). The control of their ablation is all other heads at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mi_lib import induction
from mi_lib.induction.loss import split_loss
from mi_lib.models import HookedModel, Transformer, load
from mi_lib.recipes.checks import Check, Parts
from mi_lib.worlds import repeats
from mi_lib.worlds.repeats import Repeats

MEMBER, ALIVE = 0.5, 0.05  # a member looks there half of the time and writes 1/20 of what the loudest head does
HELD_OUT_SEED, KNOWN_SEED = 71_001, 71_002  # of the samples that checks use; training draws from other seeds


@dataclass(frozen=True)
class Circuit:
    """Heads as (layer, head), best first."""

    previous: list[tuple[int, int]]
    induction: list[tuple[int, int]]
    others: list[tuple[int, int]]  # all heads that are in neither


def held_out_samples() -> list[Repeats]:
    """Words and block lengths that training never saw; one block and its repeat, at three offsets."""
    return [
        repeats.sample(48, seed=HELD_OUT_SEED + i, period=period, offset=offset, vocab="held_out")
        for i, period in enumerate(repeats.HELD_OUT_PERIODS)
        for offset in (0, 4, 8)
    ]


def known_sample() -> Repeats:
    """Known words in new sequences, block lengths from 8 to 24."""
    return repeats.sample(256, seed=KNOWN_SEED, period=(8, 24))


def scores(model: HookedModel, samples: list[Repeats]) -> dict[str, Tensor]:
    """Mean over samples of the three attention scores, [layer head] each."""
    every = [induction.head_scores(model, sample) for sample in samples]
    return {name: torch.stack([s[name] for s in every]).mean(0) for name in every[0]}


def circuit(model: HookedModel, measured: dict[str, Tensor]) -> Circuit:
    """Sort the heads by what they attend to."""
    writes = induction.FactoredMatrix(model.W_V, model.W_O).norm()
    previous, prefix = measured["previous_token"], measured["prefix_matching"]
    layers, heads = previous.shape
    everyone = [(layer, head) for layer in range(layers) for head in range(heads)]
    alive = writes >= ALIVE * writes.max()
    first = [h for h in everyone if h[0] == 0 and previous[h] >= MEMBER and alive[h]]
    second = [h for h in everyone if h[0] > 0 and prefix[h] >= MEMBER and alive[h]]
    others = [h for h in everyone if h not in first and h not in second]
    return Circuit(
        previous=sorted(first, key=lambda h: -previous[h].item()),
        induction=sorted(second, key=lambda h: -prefix[h].item()),
        others=others,
    )


def untrained(model: Transformer) -> Transformer:
    """The same architecture with random weights: the control of every claim about training."""
    return Transformer(model.config, model.tokenizer).init_weights(seed=12345).requires_grad_(False)


def losses(model: HookedModel, sample: Repeats) -> tuple[float, float]:
    return induction.half_losses(model, sample)


def loss_brought_back(model: HookedModel, sample: Repeats, heads: list[tuple[int, int]]) -> float:
    """The share of what later copies save over first ones that is lost without these heads (zero ablation)."""
    first, second = losses(model, sample)
    logits = induction.ablate_heads(model, sample.tokens, heads, "zero")
    _, without = split_loss(induction.per_token_loss(logits, sample.tokens), sample)
    return (without - second) / (first - second)


def k_composition(model: HookedModel) -> Tensor:
    """K-composition of every layer-0 head with every layer-1 head, above the random baseline."""
    return induction.composition(model, "K", 0, 1) - induction.composition_baseline(model, "K")[0]


def two_layer(model: HookedModel) -> list[Check]:
    """The claims about the 2-layer model."""
    assert isinstance(model, Transformer)
    blank = untrained(model)
    held_out, known = held_out_samples(), known_sample()
    mine, blanks = scores(model, held_out), scores(blank, held_out)
    found = circuit(model, mine)
    first, second = losses(model, known)
    blank_first, blank_second = losses(blank, known)
    count = len(found.induction)
    pairs = k_composition(model)
    # By what they attend to alone: a head that has stopped writing may still read like an induction head.
    partners = (mine["previous_token"][0] >= MEMBER)[:, None] & (mine["prefix_matching"][1] >= MEMBER)[None]
    strongest = pairs[partners].max().item() if bool(partners.any()) else 0.0
    strongest_other = pairs[~partners].max().item() if bool((~partners).any()) else 0.0
    heads = f"{count} induction head{'' if count == 1 else 's'}"
    rest = f"all {len(found.others)} heads outside the circuit"
    return [
        Check(
            "previous_token",
            "a layer-0 head attends to the previous token (held-out words and block lengths)",
            mine["previous_token"][0].max().item(),
            0.9,
            True,
            blanks["previous_token"][0].max().item(),
            "the best head of an untrained model",
        ),
        Check(
            "prefix_matching",
            "a layer-1 head attends one past the earlier occurrence (held-out words and block lengths)",
            mine["prefix_matching"][1].max().item(),
            0.9,
            True,
            blanks["prefix_matching"][1].max().item(),
            "the best head of an untrained model",
        ),
        Check(
            "loss_ratio",
            "loss on later copies, as a share of the loss on first copies",
            second / first,
            0.15,
            False,
            blank_second / blank_first,
            "an untrained model",
        ),
        Check(
            "induction_heads_matter",
            f"share of the saved loss that is lost without the {heads}",
            loss_brought_back(model, known, found.induction) if count else 0.0,
            0.8,
            True,
            loss_brought_back(model, known, found.others) if count else float("nan"),
            f"{rest}, silenced at once",
        ),
        Check(
            "all_others_do_not",
            f"share of the saved loss that is lost without {rest}, silenced at once",
            loss_brought_back(model, known, found.others) if count else 1.0,
            0.1,
            False,
            loss_brought_back(model, known, found.induction) if count else float("nan"),
            f"the {heads}",
        ),
        Check(
            "k_composition",
            "K-composition above random of the strongest pair of a previous-token head and a prefix-matching one; "
            "the bound is the strongest other pair",
            strongest,
            max(0.01, strongest_other),
            True,
            strongest_other,
            "the strongest other pair",
        ),
    ]


def one_layer(model: HookedModel, deeper: HookedModel) -> list[Check]:
    """The claims about the 1-layer control."""
    mine, theirs = scores(model, held_out_samples()), scores(deeper, held_out_samples())
    known_prefix = scores(model, [known_sample()])["prefix_matching"].max().item()
    _, second = losses(model, known_sample())
    _, deeper_second = losses(deeper, known_sample())
    return [
        Check(
            "prefix_matching",
            "no head attends one past the earlier occurrence (known or held-out words)",
            max(mine["prefix_matching"].max().item(), known_prefix),
            0.3,
            False,
            theirs["prefix_matching"].max().item(),
            "the best head of the 2-layer model",
        ),
        Check(
            "loss_on_repeats",
            "loss on later copies, in multiples of the 2-layer model's",
            second / deeper_second,
            5.0,
            True,
            1.0,
            "the 2-layer model itself",
        ),
    ]


def parts(name: str) -> Parts:
    """The checks of induction-2l, or of its control."""
    if name == "induction-2l":
        return {"two_layer": two_layer}
    return {"one_layer": lambda model: one_layer(model, load("induction-2l"))}
