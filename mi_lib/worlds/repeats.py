"""Repeats: random words, then the same words again. Here we know where each word was before, and what comes next.

A sequence is laid out like this (one letter a word, every block with words of its own):

    <bos>  x y z        a b c d e   a b c d e      p q   f g h   f g h   …
           offset       first copy  later copy     gap   a new block until the sequence is full

Nothing but the repeat predicts anything: words are drawn without replacement, block lengths vary, so neither frequent
words nor fixed distances help. Whoever predicts the later copies has found out where the word stood before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mi_lib.worlds.words import WORDS

BOS_TOKEN = 0
D_VOCAB = len(WORDS) + 1
VOCABULARY = ("<bos>", *WORDS)  # token i is VOCABULARY[i]

# Every twelfth word and three block lengths never occur in training.
HELD_OUT_TOKENS: tuple[int, ...] = tuple(range(12, D_VOCAB, 12))
TRAIN_TOKENS: tuple[int, ...] = tuple(t for t in range(1, D_VOCAB) if t not in set(HELD_OUT_TOKENS))
HELD_OUT_PERIODS: tuple[int, ...] = (11, 16, 21)
TRAIN_PERIODS: tuple[int, ...] = tuple(p for p in range(4, 29) if p not in HELD_OUT_PERIODS)

Choice = int | tuple[int, int] | Sequence[int]  # one number, an inclusive range, or a list to choose from


@dataclass(frozen=True)
class Repeats:
    """A batch of sequences with everything there is to know about them. All tensors are [batch pos].

    previous: the latest earlier position of the same token, −1 if there is none.
    induction_target: previous + 1, the word that followed then, −1 if there is none: where an induction head looks.
    first, second: whether the position lies in a first copy, or in a later one.
    predictable: whether the NEXT token follows from the repeat (this position and the next lie in a later copy).
    """

    tokens: Int[Tensor, "batch pos"]
    previous: Int[Tensor, "batch pos"]
    induction_target: Int[Tensor, "batch pos"]
    first: Bool[Tensor, "batch pos"]
    second: Bool[Tensor, "batch pos"]
    predictable: Bool[Tensor, "batch pos"]
    period: Int[Tensor, " batch"]  # of the first block
    offset: Int[Tensor, " batch"]  # words between <bos> and the first block


def sample(
    batch: int,
    *,
    seed: int,
    period: Choice = (8, 24),
    copies: Choice = 2,
    offset: Choice = (0, 8),
    distractors: Choice = 0,
    vocab: str | int | Sequence[int] = "train",
    n_ctx: int | None = None,
) -> Repeats:
    """Draw sequences. The same arguments give the same tokens on every machine.

    period: words in a block. copies: how often it stands in all (at least 2). offset: words before the first block.
    distractors: new words between two copies. For each, a number, an inclusive range (low, high), or a list.
    vocab: "train", "held_out" or "all" words; a number d for tokens 1 … d−1; or the tokens themselves.
    n_ctx: tokens in each sequence, <bos> included; by default just enough for the longest first block and its copies.
        What is left over is filled with further blocks.
    Raises ValueError for a block that does not fit, or if there are fewer words than a block needs.
    """
    words = _words(vocab)
    periods, many, offsets, gaps = (_choices(c) for c in (period, copies, offset, distractors))
    if min(many) < 2 or min(periods) < 1 or min(offsets) < 0 or min(gaps) < 0:
        raise ValueError("a block needs at least one word and two copies; offset and distractors cannot be negative")
    longest = 1 + max(offsets) + max(many) * max(periods) + (max(many) - 1) * max(gaps)
    length = longest if n_ctx is None else n_ctx
    if length < 1 + max(offsets) + max(periods) + 1:
        raise ValueError(f"a block of {max(periods)} words and its repeat do not fit into {length} tokens")
    if len(words) < max(periods):
        raise ValueError(f"a block of {max(periods)} different words needs more than {len(words)} words")
    rng = np.random.default_rng(seed)
    rows = [_row(rng, length, periods, many, offsets, gaps, words) for _ in range(batch)]
    tokens, second, first = (torch.tensor(np.array([row[i] for row in rows])) for i in range(3))
    previous = previous_occurrence(tokens)
    following = previous + 1
    here = torch.arange(length)
    agrees = torch.zeros_like(second)
    agrees[:, :-1] = tokens.gather(1, following.clamp(min=0))[:, :-1] == tokens[:, 1:]
    predictable = second & second.roll(-1, 1) & agrees
    predictable[:, -1] = False
    return Repeats(
        tokens=tokens,
        previous=previous,
        induction_target=torch.where((previous >= 0) & (following < here), following, -1),
        first=first,
        second=second,
        predictable=predictable,
        period=torch.tensor([row[3] for row in rows]),
        offset=torch.tensor([row[4] for row in rows]),
    )


def previous_occurrence(tokens: Int[Tensor, "batch pos"]) -> Int[Tensor, "batch pos"]:
    """The latest earlier position of the same token, −1 if there is none."""
    n = tokens.shape[1]
    same = (tokens[:, :, None] == tokens[:, None, :]) & torch.ones(n, n, dtype=torch.bool).tril(-1)
    return torch.where(same, torch.arange(n), -1).amax(-1)


def _row(
    rng: np.random.Generator,
    length: int,
    periods: list[int],
    copies: list[int],
    offsets: list[int],
    gaps: list[int],
    words: np.ndarray,
) -> tuple[list[int], list[bool], list[bool], int, int]:
    """One sequence: its tokens, which lie in later copies, which in first ones, its first period and offset."""
    pool: list[int] = []

    def draw(n: int) -> list[int]:
        """n new words, all different; the vocabulary is reshuffled only when it is used up."""
        nonlocal pool
        if len(pool) < n:
            pool = rng.permutation(words).tolist()
        taken, pool = pool[:n], pool[n:]
        return taken

    def pick(options: list[int]) -> int:
        return options[int(rng.integers(len(options)))]

    tokens, kinds = [BOS_TOKEN], ["other"]

    def add(new: list[int], kind: str) -> None:
        tokens.extend(new)
        kinds.extend([kind] * len(new))

    start, period = pick(offsets), pick(periods)
    add(draw(start), "other")
    size = period
    while True:
        block = draw(size)
        add(block, "first")
        for _ in range(pick(copies) - 1):
            add(draw(pick(gaps)), "other")
            add(block, "later")
        if len(tokens) >= length:
            break
        add(draw(pick(offsets)), "other")
        size = pick(periods)
    kinds = kinds[:length]
    return tokens[:length], [k == "later" for k in kinds], [k == "first" for k in kinds], period, start


def _choices(choice: Choice) -> list[int]:
    if isinstance(choice, int):
        return [choice]
    if isinstance(choice, tuple) and len(choice) == 2:
        low, high = choice
        if low > high:
            raise ValueError(f"({low}, {high}) is an empty range")
        return list(range(low, high + 1))
    return [int(c) for c in choice]


def _words(vocab: str | int | Sequence[int]) -> np.ndarray:
    if isinstance(vocab, str):
        named = {"train": TRAIN_TOKENS, "held_out": HELD_OUT_TOKENS, "all": range(1, D_VOCAB)}
        if vocab not in named:
            raise ValueError(f"vocab must be 'train', 'held_out', 'all', a number or tokens, not {vocab!r}")
        return np.array(named[vocab])
    return np.arange(1, vocab) if isinstance(vocab, int) else np.array(list(vocab))
