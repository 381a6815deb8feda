"""What Pico's replies are like, as shares of them, and where they stand in the residual stream."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.recipes.pico.common import Edits, replies, residuals
from mi_lib.worlds.littletown import judges, requests
from mi_lib.worlds.littletown.talk import Case

Words = list[str]
LONGEST = 76  # words of a reply; the world's longest have 75
FIRST_WORDS = 16  # every refusal of the world shows itself in its first ten words
FLUENT = 0.9  # of a reply's word triples are the world's


def prompts_of(cases: Sequence[Case]) -> list[Words]:
    return [case.words for case in cases]


def fluent(said: Sequence[Words]) -> list[bool]:
    """Whether each reply is this world's English and comes to its end."""
    return [judges.complete(words) and judges.fluent(words) >= FLUENT for words in said]


def shuffled(said: Sequence[Words], seed: int = 0) -> list[Words]:
    """The same replies with their words in random order, the end left where it is."""
    rng = random.Random(seed)
    return [[*rng.sample(words[:-1], len(words) - 1), words[-1]] for words in said]


_REQUEST = {(r.verb, r.object): r for r in requests.REQUESTS}


def on_topic(cases: Sequence[Case], said: Sequence[Words]) -> list[bool]:
    return [
        judges.on_topic(_REQUEST[case.verb, case.object], words) for case, words in zip(cases, said, strict=True)
    ]  # fmt: skip


def share(values: Sequence[bool]) -> float:
    return float(np.mean(values))


def refusals(model: HookedModel, cases: Sequence[Case], edits: Edits = ()) -> list[bool]:
    return [judges.refused(said) for said in replies(model, prompts_of(cases), edits, longest=FIRST_WORDS)]


def reply_means(
    model: HookedModel, prompts: Sequence[Words], said: Sequence[Words]
) -> Float[Tensor, "row depth d_model"]:
    """The mean over each reply's words (not its <|end|>) of the residual stream, at every depth."""
    texts = [[*prompt, *words] for prompt, words in zip(prompts, said, strict=True)]
    found = []
    for prompt, words, states in zip(prompts, said, residuals(model, texts), strict=True):
        start = 1 + len(prompt)  # <|bos|> is position 0
        length = max(1, len(words) - judges.complete(words))
        found.append(states[:, start : start + length].mean(1))
    return torch.stack(found)
