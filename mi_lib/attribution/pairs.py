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
    """Clean and corrupted prompts, as tokens or as texts (see `read_prompts`).

    attention_mask: of both; texts bring their own. ValueError, naming the pair, where the two differ in length.
    """
    first, first_mask = read_prompts(model, clean, attention_mask)
    second, second_mask = read_prompts(model, corrupted, attention_mask)
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


def read_prompts(
    model: HookedModel, prompts: Input, attention_mask: Tensor | None = None
) -> tuple[Int[Tensor, "batch pos"], Bool[Tensor, "batch pos"] | None]:
    """Tokens and mask. Texts are padded on the left: the last position, where metrics look, is the last of each."""
    if isinstance(prompts, Tensor) or not len(prompts) or not isinstance(prompts[0], str):
        return model._tokens_and_mask(prompts, attention_mask)
    tokens, mask = model.tokenize(prompts, padding_side="left")
    return model._tokens_and_mask(tokens, mask if attention_mask is None and not mask.all() else attention_mask)


def metric_range(clean: Float[Tensor, " batch"], corrupted: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """m_clean − m_corrupted for each pair. ValueError, naming the pair, where there is none to divide by."""
    if clean.ndim != 1 or clean.shape != corrupted.shape:
        raise ValueError(
            f"the metric must return one number for each prompt, not shapes {tuple(clean.shape)} and "
            f"{tuple(corrupted.shape)}: do not average over the batch in it"
        )
    if not clean.is_floating_point():
        raise ValueError(f"the metric must return fractions, not {clean.dtype}; end it with .float()")
    size = torch.maximum(clean.abs(), corrupted.abs())
    # What rounding alone makes of equal prompts in float32. Half the bits leave no room for that: there it is equality.
    steps = 16 if torch.finfo(clean.dtype).eps < 1e-4 else 0
    none = ~((clean - corrupted).abs() > steps * torch.finfo(clean.dtype).eps * size)  # also where one is NaN
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


def logit_difference(
    right: int | Int[Tensor, " batch"], wrong: int | Int[Tensor, " batch"], position: int | Int[Tensor, " batch"] = -1
) -> Metric:
    """The metric logit[right] − logit[wrong] at the last position (Wang et al. 2022, arXiv 2211.00593, section 2).

    One token for all prompts, or one for each.
    position: another one, or one for each prompt: where tokens are padded on the right, the last position is padding,
        and each prompt's own end is `attention_mask.sum(1) − 1`.
    """

    def metric(logits: Float[Tensor, "batch pos d_vocab"]) -> Float[Tensor, " batch"]:
        at = torch.as_tensor(position, device=logits.device).expand(len(logits))
        last = logits[torch.arange(len(logits), device=logits.device), at]
        columns = [torch.as_tensor(token, device=last.device).expand(len(last)) for token in (right, wrong)]
        got, other = (last.gather(1, column[:, None])[:, 0] for column in columns)
        return got - other

    return metric
