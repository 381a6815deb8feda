"""The checks of the small GPT-2 of chapter 01: what it continues, and what it does not."""

from __future__ import annotations

from typing import Any

import torch

from mi_lib import induction
from mi_lib.induction.loss import split_loss
from mi_lib.recipes.checks import Check, Parts
from mi_lib.recipes.repeats_gpt2.train import D_VOCAB, HELD_OUT_PERIOD, PERIODS
from mi_lib.worlds import repeats

KNOWN_PERIODS = tuple(period for period in PERIODS if period > HELD_OUT_PERIOD - 2)  # of about the same length


def sample(period: repeats.Choice) -> repeats.Repeats:
    """New sequences: a block of this many words, or of one of these, and its repeat."""
    return repeats.sample(256, seed=72_001, period=period, offset=(0, 6), vocab=D_VOCAB)


@torch.no_grad()
def losses(model: Any, period: repeats.Choice) -> tuple[float, float]:
    """Mean loss in nats on first and on later copies. model: a `transformers` language model."""
    drawn = sample(period)
    return split_loss(induction.per_token_loss(model(drawn.tokens).logits, drawn.tokens), drawn)


@torch.no_grad()
def bet_on_seen_words(model: Any) -> float:
    """On first copies, where every word is new: the mean probability that the model gives to words seen before."""
    drawn = sample(KNOWN_PERIODS)
    seen = torch.nn.functional.one_hot(drawn.tokens, D_VOCAB).cumsum(1) > 0  # [batch pos word]: up to this position
    seen[..., repeats.BOS_TOKEN] = False
    bets = (model(drawn.tokens).logits.softmax(-1) * seen).sum(-1)[:, :-1]
    return bets[drawn.first[:, 1:]].mean().item()


def ratio(model: Any, period: repeats.Choice) -> float:
    first, second = losses(model, period)
    return second / first


def measure(model: Any) -> list[Check]:
    """The checks of a `transformers` GPT-2."""
    untrained = type(model)(model.config).eval()
    known, unknown = ratio(model, KNOWN_PERIODS), ratio(model, HELD_OUT_PERIOD)
    return [
        Check(
            name="continues_repeats",
            claim="loss on later copies, as a share of that on first copies (block lengths of training, new sequences)",
            value=known,
            bound=0.3,
            at_least=False,
            control=ratio(untrained, KNOWN_PERIODS),
            control_is="an untrained network",
        ),
        Check(
            name="counts_distances",
            claim=f"the same for blocks of {HELD_OUT_PERIOD} words, the length that training left out: it fails there",
            value=unknown,
            bound=0.8,
            at_least=True,
            control=known,
            control_is="the lengths of training",
        ),
    ]


def parts(name: str) -> Parts:
    """The checks of repeats-gpt2."""
    return {"repeats": lambda model: measure(model.hf)}  # type: ignore[attr-defined]
