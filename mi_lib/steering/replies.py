"""What a model replies under edits: many prompts at once, of different length, with the keys and values kept.

    said = replies(model, chat(model, texts), ablate(direction))
    [judge(one.words) for one in said]

The likeliest words, or words drawn by their probability with a seed. What a prompt is replied does not depend on the
others that are read with it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import torch

from mi_lib.models import HookedModel
from mi_lib.models.generate import Step, generate, stream
from mi_lib.steering.prompts import Prompts, pieces, rows_of, shown, stop_tokens
from mi_lib.steering.ways import Edits

BATCH = 64


class Said(NamedTuple):
    """A reply: its tokens, with the one that ended it. words: each token as a string. text: without special tokens."""

    tokens: list[int]
    words: list[str]
    text: str


def replies(
    model: HookedModel,
    prompts: Prompts,
    edits: Edits | Sequence = (),
    *,
    longest: int = 64,
    seed: int | torch.Generator | None = None,
    temperature: float = 1.0,
    stop: Collection[int] | None = None,
    batch: int = BATCH,
) -> list[Said]:
    """A reply to each prompt.

    prompts: texts, or rows of tokens such as `steering.chat` gives. longest: tokens of a reply at most.
    seed: draw each token by its probability at this temperature, prompt i with seed + i; None: take the likeliest. A
        generator draws for each batch together, which is quicker, and makes replies depend on the batch.
    stop: the tokens that end a reply; None: those that the model itself names.
    ValueError for a prompt that leaves no room for a reply, and where the edits make the numbers NaN.
    """
    rows = rows_of(model, prompts)
    for number, row in enumerate(rows):
        if len(row) >= model.cfg.n_ctx:
            raise ValueError(f"prompt {number} has {len(row)} tokens: of {model.cfg.n_ctx} it leaves none for a reply")
    if temperature <= 0:
        raise ValueError(f"the temperature must be above 0, not {temperature}; seed=None takes the likeliest words")
    ends = stop_tokens(model) if stop is None else stop
    found: list[list[int]] = [[] for _ in rows]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))  # little padding
    for at in range(0, len(order), batch):
        members = order[at : at + batch]
        seeds = [seed + i for i in members] if isinstance(seed, int) else seed or 0
        with model.hooks(edits):
            made = generate(
                model,
                [rows[i] for i in members],
                max_new_tokens=longest,
                temperature=0.0 if seed is None else temperature,
                seed=seeds,
                stop=ends,
            )
        for i, reply in zip(members, made, strict=True):
            if not all(map(math.isfinite, reply.log_probs)):
                raise ValueError("under these edits the model's numbers are NaN or infinite: take a smaller dose")
            found[i] = reply.tokens[: model.cfg.n_ctx - len(rows[i])]  # so that the whole can be read again
    return [said(model, tokens) for tokens in found]


def said(model: HookedModel, tokens: Sequence[int]) -> Said:
    """A reply of these tokens."""
    special = set(getattr(model.tokenizer, "all_special_ids", ()))
    spoken = [token for token in tokens if token not in special]
    text = shown(model, spoken) if model.tokenizer is not None else " ".join(map(str, spoken))
    return Said(list(tokens), pieces(model, tokens), text)


def streamed(
    model: HookedModel, prompt: Prompts, edits: Edits | Sequence = (), *, longest: int = 64, seed: int | None = None
) -> Iterator[Step]:
    """The same for one prompt, token by token, as soon as each is chosen."""
    (row,) = rows_of(model, prompt)
    with model.hooks(edits):
        yield from stream(
            model, row, 0.0 if seed is None else 1.0, seed or 0, stop_tokens(model), max_new_tokens=longest
        )
