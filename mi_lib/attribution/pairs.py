"""What every method starts from: pairs of prompts, a metric of their logits, and the range that is to be explained.

clean        prompts with the answer that is to be explained
corrupted    one of the same length for each, with another answer
metric       a number for each prompt, from logits [batch pos d_vocab]
range        the metric of the clean prompt minus that of the corrupted one
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.models.hooked import Input

Metric = Callable[[Float[Tensor, "batch pos d_vocab"]], Float[Tensor, " batch"]]


class PromptPairs(NamedTuple):
    """Tokens of both prompts of each pair, and which of them are real (None: all)."""

    clean: Int[Tensor, "batch pos"]
    corrupted: Int[Tensor, "batch pos"]
    mask: Bool[Tensor, "batch pos"] | None


def read_pairs(model: HookedModel, clean: Input, corrupted: Input, attention_mask: Tensor | None = None) -> PromptPairs:
    """Clean and corrupted prompts, as tokens or as texts.

    attention_mask: of both; texts bring their own. ValueError, naming the pair, where the two differ in length.
    """
    first, first_mask = model._tokens_and_mask(clean, attention_mask)
    second, second_mask = model._tokens_and_mask(corrupted, attention_mask)
    if len(first) != len(second):
        raise ValueError(f"{len(first)} clean prompts and {len(second)} corrupted ones: give each its own")
    lengths = [
        torch.full((len(tokens),), tokens.shape[1]) if mask is None else mask.sum(1).cpu()
        for tokens, mask in ((first, first_mask), (second, second_mask))
    ]
    if not torch.equal(*lengths):
        pair = int((lengths[0] != lengths[1]).int().argmax())
        raise ValueError(
            f"the clean prompt of pair {pair} has {int(lengths[0][pair])} tokens and the corrupted one "
            f"{int(lengths[1][pair])}; give each prompt a corrupted one of the same length"
        )
    return PromptPairs(first, second, first_mask)


def metric_range(clean: Float[Tensor, " batch"], corrupted: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """m_clean − m_corrupted for each pair. ValueError, naming the pair, where there is none to divide by."""
    if clean.ndim != 1 or clean.shape != corrupted.shape:
        raise ValueError(
            f"the metric must return one number for each prompt, not shapes {tuple(clean.shape)} and "
            f"{tuple(corrupted.shape)}: do not average over the batch in it"
        )
    size = torch.maximum(clean.abs(), corrupted.abs())
    none = ~((clean - corrupted).abs() > 16 * torch.finfo(clean.dtype).eps * size)  # also where one is NaN
    if bool(none.any()):
        pair = int(none.int().argmax())
        raise ValueError(
            f"the metric is {float(clean[pair]):.4g} in both runs of pair {pair}, so that there is nothing to restore "
            "and no range is left; choose a corrupted prompt with another answer"
        )
    return clean - corrupted


def answer_tokens(model: HookedModel, answers: Sequence[str]) -> Int[Tensor, " batch"]:
    """The token of each answer. ValueError for one that the model reads as several tokens, or does not know.

    Mind the space: GPT-2 reads " Mary" as one token and "Mary" as another.
    """
    found = []
    for answer in answers:
        tokens = model.to_tokens([answer], prepend_bos=False)[0]
        if len(tokens) != 1:
            pieces = ", ".join(map(repr, model.to_str_tokens(tokens)))
            raise ValueError(
                f"{answer!r} is no single token but {len(tokens)} ({pieces}); choose an answer that is one, "
                "and mind the space before it"
            )
        found.append(tokens[0])
    return torch.stack(found)


def logit_difference(right: int | Int[Tensor, " batch"], wrong: int | Int[Tensor, " batch"]) -> Metric:
    """The metric logit[right] − logit[wrong] at the last position (Wang et al. 2022, arXiv 2211.00593, section 2).

    One token for all prompts, or one for each.
    """

    def metric(logits: Float[Tensor, "batch pos d_vocab"]) -> Float[Tensor, " batch"]:
        last = logits[:, -1]
        columns = [torch.as_tensor(token, device=last.device).expand(len(last)) for token in (right, wrong)]
        got, other = (last.gather(1, column[:, None])[:, 0] for column in columns)
        return got - other

    return metric
