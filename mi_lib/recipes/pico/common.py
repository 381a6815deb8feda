"""What the checks of Pico share: means with their bootstrap intervals, and replies of the network, edited or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import GPT2LMHeadModel

from mi_lib.models import Hook, HookedModel
from mi_lib.models.transformers_model import TransformersModel
from mi_lib.recipes.checks import Check
from mi_lib.recipes.pico.data import BOS, END, PAD, tokenizer
from mi_lib.recipes.pico.train import config
from mi_lib.statistics import interval
from mi_lib.worlds import littletown

Edits = Sequence[tuple[Any, Callable[[Tensor, Hook], Tensor | None]]]
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


def padded(rows: Sequence[Sequence[int]], left: bool = False) -> tuple[Tensor, Tensor]:
    """Tokens [row pos] and mask [row pos], padded at the right, or at the left for generating."""
    width = max(map(len, rows))
    tokens = torch.full((len(rows), width), PAD)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        where = slice(width - len(row), width) if left else slice(0, len(row))
        tokens[i, where] = torch.tensor(row)
        mask[i, where] = True
    return tokens, mask


@torch.no_grad()
def logits_of(model: HookedModel, texts: Sequence[Sequence[str]], edits: Edits = (), batch: int = 64) -> list[Tensor]:
    """For each text its logits [pos d_vocab]; entry p is what follows word p − 1 (entry 0: what follows <|bos|>)."""
    found: list[Tensor] = []
    for at in range(0, len(texts), batch):
        rows = [ids(words) for words in texts[at : at + batch]]
        tokens, mask = padded(rows)
        with model.hooks(edits) if edits else nullcontext():
            out = model(tokens, mask)
        found += [out[i, : len(row)] for i, row in enumerate(rows)]
    return found


@torch.no_grad()
def replies(
    model: HookedModel,
    prompts: Sequence[Sequence[str]],
    edits: Edits = (),
    longest: int = 64,
    seed: int | None = None,
    batch: int = 64,
) -> list[list[str]]:
    """What the network replies, up to and with <|end|>. Edits hold at every position.

    seed: draw each word by its probability (temperature 1), with this seed; None: always the likeliest.
    """
    vocabulary = littletown.vocabulary()
    drawn: dict[str, Any] = {"do_sample": False} if seed is None else {"do_sample": True, "top_k": 0, "top_p": 1.0}
    found: list[list[str]] = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for at in range(0, len(order), batch):
        members = order[at : at + batch]
        tokens, mask = padded([ids(prompts[i]) for i in members], left=True)
        room = min(longest, model.cfg.n_ctx - tokens.shape[1])  # ValueError of `generate` where a prompt leaves none
        with model.hooks(edits) if edits else nullcontext(), torch.random.fork_rng(devices=[]):
            torch.manual_seed((seed or 0) + at)
            out = model.hf.generate(  # type: ignore[operator, union-attr]
                tokens, attention_mask=mask.long(), max_new_tokens=room, pad_token_id=PAD, **drawn
            )
        for i, row in zip(members, out[:, tokens.shape[1] :].tolist(), strict=True):
            end = row.index(END) + 1 if END in row else len(row)
            found[i] = [vocabulary[t] for t in row[:end]]
    return found


@torch.no_grad()
def residuals(
    model: HookedModel, texts: Sequence[Sequence[str]], depths: Sequence[int] | None = None, batch: int = 64
) -> list[Float[Tensor, "depth pos d_model"]]:
    """For each text the residual stream at these depths (all: before every block, and after the last one).

    Position p is word p − 1.
    """
    last = model.cfg.n_layers
    wanted = list(range(last + 1)) if depths is None else list(depths)
    names = [("resid_post", last - 1) if depth == last else ("resid_pre", depth) for depth in wanted]
    enough = max(wanted) + 1  # blocks; the others need not run
    found: list[Tensor] = []
    for at in range(0, len(texts), batch):
        rows = [ids(words) for words in texts[at : at + batch]]
        tokens, mask = padded(rows)
        _, cache = model.run_with_cache(
            tokens, names, attention_mask=mask, stop_at_layer=enough if enough < last else None
        )
        stacked = torch.stack([cache[name] for name in names])
        found += [stacked[:, i, : len(row)].clone() for i, row in enumerate(rows)]
    return found
