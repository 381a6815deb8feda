"""The oracle's prompt: the layer the activations come from, a placeholder for each of them, the question.

    <|bos|> <|user|> layer four : <|act|> <|act|> What is the pet ? <|end|> <|assistant|>

Its next word is the answer; asked yes or no, the next but one, and the word before it is handed over as `said`.
(Karvonen et al. 2025, arXiv 2512.15674, section 2: "Layer: ℓ", placeholders, question.)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import prose

BOS, PLACEHOLDER = "<|bos|>", "<|act|>"
FIRST = 5  # the first placeholder's position: it follows <|bos|> <|user|> layer four :


class Prompts(NamedTuple):
    """Prompts padded at the left, so that every answer follows the last column; places: of the placeholders."""

    tokens: Int[Tensor, "row pos"]
    mask: Bool[Tensor, "row pos"]
    places: Int[Tensor, "row place"]
    real: Bool[Tensor, "row place"]  # which of the places a row has


@cache
def ids() -> dict[str, int]:
    """The number of every word."""
    return {word: i for i, word in enumerate(littletown.vocabulary())}


def words_of(question: Sequence[str], depth: int, count: int, said: str = "") -> list[str]:
    """The words of the prompt with so many placeholders. said: what the oracle has said already."""
    head = [BOS, "<|user|>", "layer", prose.NUMBERS[depth], ":"]
    return [*head, *[PLACEHOLDER] * count, *question, "<|end|>", "<|assistant|>", *([said] if said else [])]


def prompts(
    questions: Sequence[Sequence[str]], depths: Sequence[int], counts: Sequence[int], said: Sequence[str] = ()
) -> Prompts:
    """The prompts of these questions, each about `counts` activations from `depths`. said: of each, "" or a word."""
    table, begun = ids(), said or [""] * len(questions)
    rows = [[table[w] for w in words_of(*one)] for one in zip(questions, depths, counts, begun, strict=True)]
    wide, most = max(map(len, rows)), max(counts)
    tokens, mask = torch.zeros(len(rows), wide, dtype=torch.long), torch.zeros(len(rows), wide, dtype=torch.bool)
    for i, row in enumerate(rows):
        tokens[i, wide - len(row) :], mask[i, wide - len(row) :] = torch.tensor(row), True
    pad = wide - torch.tensor([len(row) for row in rows])
    places = pad[:, None] + FIRST + torch.arange(most)
    real = torch.arange(most) < torch.tensor(counts)[:, None]
    return Prompts(tokens, mask, places.where(real, places[:, :1]), real)
