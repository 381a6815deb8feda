"""What the checks of Pico share: means with their intervals, and the library's calls with words for tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import GPT2LMHeadModel

from mi_lib import steering
from mi_lib.models import HookedModel
from mi_lib.models.transformers_model import TransformersModel
from mi_lib.recipes.checks import Check
from mi_lib.recipes.pico.data import BOS, END, PAD, tokenizer
from mi_lib.recipes.pico.train import config
from mi_lib.statistics import interval
from mi_lib.steering import Edits
from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import judges
from mi_lib.worlds.littletown.talk import Case

Words = list[str]
_IDS: dict[str, int] = {}


def hooked(model: GPT2LMHeadModel) -> TransformersModel:
    return TransformersModel(model.eval().requires_grad_(False), tokenizer())


def untrained(seed: int = 5) -> TransformersModel:
    """The control of every check: the same architecture with random weights."""
    torch.manual_seed(seed)
    return hooked(GPT2LMHeadModel(config()))


def ids(words: Sequence[str]) -> list[int]:
    """Token ids, <|bos|> in front."""
    if not _IDS:
        _IDS.update({word: i for i, word in enumerate(littletown.vocabulary())})
    return [BOS, *(_IDS[word] for word in words)]


def token(word: str) -> int:
    return ids([word])[1]


def mean_check(
    name: str, claim: str, values: Sequence[float], bound: float, at_least: bool, control: float, control_is: str
) -> Check:
    """A check on a mean over texts, with its 95 % bootstrap interval (1,000 resamples, seeded)."""
    x = np.asarray(values, dtype=float)
    low, high = interval(lambda rows: x[rows].mean(), len(x))
    return Check(name, claim, float(x.mean()), bound, at_least, control, control_is, low, high)


def padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Tokens [row pos] and mask [row pos], padded at the right."""
    width = max(map(len, rows))
    tokens = torch.full((len(rows), width), PAD)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = True
    return tokens, mask


def rows_of(cases: Sequence[Case]) -> list[list[int]]:
    """The prompts of these cases, as the library takes them."""
    return [ids(case.words) for case in cases]


def prompts_of(cases: Sequence[Case]) -> list[Words]:
    return [case.words for case in cases]


def logits_of(model: HookedModel, texts: Sequence[Sequence[str]], edits: Edits | Sequence = ()) -> list[Tensor]:
    """For each text its logits [pos d_vocab]; entry p is what follows word p − 1 (entry 0: what follows <|bos|>)."""
    return steering.all_logits(model, [ids(words) for words in texts], edits)


def replies(
    model: HookedModel,
    prompts: Sequence[Sequence[str]],
    edits: Edits | Sequence = (),
    longest: int = 64,
    seed: int | None = None,
    batch: int = 64,
) -> list[Words]:
    """What the network replies, up to and with <|end|>.

    seed: draw each word by its probability, a batch of prompts of like length together: so the card's vectors were
        drawn. None: always the likeliest.
    """
    vocabulary = littletown.vocabulary()
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    found: list[Words] = [[] for _ in prompts]
    for at in range(0, len(order), batch):
        members = order[at : at + batch]
        said = steering.replies(
            model,
            [ids(prompts[i]) for i in members],
            edits,
            longest=longest,
            seed=None if seed is None else torch.Generator().manual_seed(seed + at),
            stop=(END,),
            batch=batch,
        )
        for i, reply in zip(members, said, strict=True):
            found[i] = [vocabulary[token] for token in reply.tokens]
    return found


def refusals(model: HookedModel, cases: Sequence[Case], edits: Edits | Sequence = ()) -> list[bool]:
    return [judges.refused(said) for said in replies(model, prompts_of(cases), edits, judges.FIRST_WORDS)]


def answered(cases: Sequence[Case], said: Sequence[Words]) -> list[bool]:
    """Whether each reply is on the topic of its request."""
    return [judges.answers(case, words) for case, words in zip(cases, said, strict=True)]


def sound(said: Sequence[Words]) -> list[bool]:
    """Whether each reply is this world's English and comes to its end."""
    return [judges.sound(words) for words in said]


def reply_means(
    model: HookedModel, prompts: Sequence[Words], said: Sequence[Words]
) -> Float[Tensor, "row depth d_model"]:
    """The mean over each reply's words (not its <|end|>) of the residual stream, at every depth."""
    rows, replied = [ids(words) for words in prompts], [ids(words)[1:] for words in said]
    return steering.collect_replies(model, rows, replied, steering.stream_sites(model), (END,))


def residuals(
    model: HookedModel, texts: Sequence[Sequence[str]], depths: Sequence[int] | None = None
) -> list[Float[Tensor, "depth pos d_model"]]:
    """For each text the residual stream at these depths (all: before every block, and after the last one).

    Position p is word p − 1.
    """
    sites = steering.stream_sites(model)
    wanted = sites if depths is None else [sites[depth] for depth in depths]
    return steering.collect_all(model, [ids(words) for words in texts], wanted)
