"""What an oracle's word is worth: is it as often right as it is sure, and what does it say of what is not there?

found = reliability(logits, right_words)        by how sure it was: how often it was right
inventions(answers)                              asked in vain: how often it invents, and how surely
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.oracles.asking import Answer
from mi_lib.oracles.prompts import ids
from mi_lib.oracles.questions import NOTHING
from mi_lib.probing import Calibration, calibration

SURE = 0.5


class Inventions(NamedTuple):
    """Asked for what is not there. share: of answers that name something all the same. sure: of those, the share that
    the oracle gives more than `SURE`. chance: their mean probability."""

    share: float
    sure: float
    chance: float


def reliability(logits: Float[Tensor, "row d_vocab"], answers: Sequence[str], bins: int = 10) -> Calibration:
    """Reliability of the likeliest word (Guo et al. 2017, §2): in each bin how sure, and how often right."""
    return calibration(logits.float().softmax(-1), torch.tensor([ids()[word] for word in answers]), bins)


def inventions(answers: Sequence[Answer]) -> Inventions:
    """What an oracle answers where "nothing" would be right. ValueError where nothing was asked."""
    if not answers:
        raise ValueError("there are no answers: ask something first")
    made_up = [one.chance for one in answers if one.word != NOTHING]
    count = max(1, len(made_up))
    return Inventions(len(made_up) / len(answers), sum(p > SURE for p in made_up) / count, sum(made_up) / count)
