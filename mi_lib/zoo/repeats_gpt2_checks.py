"""The checks of the small GPT-2 of chapter 01: it has learned to continue repeats, and an untrained one has not."""

from __future__ import annotations

from typing import Any

import torch

from mi_lib import induction
from mi_lib.induction.loss import split_loss
from mi_lib.recipes.repeats_gpt2 import D_VOCAB, HELD_OUT_PERIOD
from mi_lib.worlds import repeats
from mi_lib.zoo.checks import Check


def sample() -> repeats.Repeats:
    """Sequences of a block length that training did not see."""
    return repeats.sample(256, seed=72_001, period=HELD_OUT_PERIOD, vocab=D_VOCAB)


@torch.no_grad()
def losses(model: Any) -> tuple[float, float]:
    """Mean loss in nats on first and on later copies. model: a `transformers` language model."""
    return split_loss(induction.per_token_loss(model(sample().tokens).logits, sample().tokens), sample())


def measure(model: Any) -> list[Check]:
    """The checks of a `transformers` GPT-2. Its control has the same architecture and random weights."""
    untrained = type(model)(model.config).eval()
    first, second = losses(model)
    control_first, control_second = losses(untrained)
    return [
        Check(
            name="continues_repeats",
            claim="loss on later copies, as a share of that on first copies (held-out block lengths)",
            value=second / first,
            bound=0.3,
            at_least=False,
            control=control_second / control_first,
            control_is="an untrained model",
        )
    ]
