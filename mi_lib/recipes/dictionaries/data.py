"""What dictionaries are trained and judged on: Pico's activations at the words of Littletown's texts.

train      seed 60, half prose, half chat: dictionaries learn from it
to choose  the first of these texts: there latents are chosen for concepts and for words
held out   seed 61, combinations that no training saw, of Pico or of a dictionary: everything is judged on it
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.recipes.pico.common import ids, padded
from mi_lib.recipes.pico.data import encode
from mi_lib.worlds.littletown import Document
from mi_lib.worlds.littletown.concepts import texts

TRAIN, CHOOSE, HELD_OUT = 6500, 800, 600  # texts
SEED, SEED_HELD_OUT = 60, 61
BATCH = 64


def training_texts(count: int = TRAIN) -> list[Document]:
    return texts(count, SEED, "train")


def held_out_texts(count: int = HELD_OUT) -> list[Document]:
    return texts(count, SEED_HELD_OUT, "held_out")


class Rows(NamedTuple):
    """Some texts that are run together. number: which texts they are."""

    number: list[int]
    tokens: Int[Tensor, "row pos"]
    mask: Bool[Tensor, "row pos"]


def rows(documents: Sequence[Document]) -> Iterator[Rows]:
    """All texts, those of like length together, <|bos|> in front of each."""
    order = sorted(range(len(documents)), key=lambda i: len(documents[i].words))
    for at in range(0, len(order), BATCH):
        number = order[at : at + BATCH]
        yield Rows(number, *padded([ids(documents[i].words) for i in number]))


@torch.no_grad()
def activations(
    model: HookedModel, documents: Sequence[Document], sites: Sequence[str], *, with_bos: bool = False
) -> dict[str, Float[Tensor, "n d"]]:
    """What flows through each site, at every word of one text after the other.

    with_bos: at the <|bos|> before each text too. A dictionary learns from it, since it meets it when it is spliced in;
    nothing is judged on it, for it is the same everywhere, and long.
    """
    skipped = 0 if with_bos else 1
    lengths = [len(text.words) + 1 - skipped for text in documents]
    start = [0, *torch.tensor(lengths).cumsum(0).tolist()]
    found: dict[str, Tensor] = {}
    for some in rows(documents):
        _, cache = model.run_with_cache(some.tokens, list(sites), attention_mask=some.mask)
        for site in sites:
            values = cache[site]
            whole = found.setdefault(site, torch.empty(start[-1], values.shape[-1]))
            for row, i in enumerate(some.number):
                whole[start[i] : start[i + 1]] = values[row, skipped : skipped + lengths[i]]
    return found


def text_of_word(documents: Sequence[Document]) -> Int[Tensor, " n"]:
    """For every word of the texts, which text it stands in."""
    return torch.repeat_interleave(torch.tensor([len(text.words) for text in documents]))


def learned(documents: Sequence[Document]) -> list[Bool[Tensor, " word"]]:
    """For every text, which words Pico was taught to say: all of prose; of a conversation, what the assistant says."""
    encoded = [encode(text, replies_only=text.kind.startswith("chat")) for text in documents]
    return [torch.tensor(text.learned[1:]) > 0 for text in encoded]
