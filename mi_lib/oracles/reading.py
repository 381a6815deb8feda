"""What an oracle is asked about: the residual stream at some words of a text, at one depth.

    read(model, ["Mira lives in Oakham ."], depth=4, words=4)        one Reading: the last four words
    means = mean_activations(model, texts)                             per depth, to be subtracted

Depth d is the residual stream before block d; the last depth is what leaves the last block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib import steering
from mi_lib.models import HookedModel
from mi_lib.steering.prompts import Prompts, rows_of

WORDS = 4  # how many words are read, unless somebody says otherwise


@dataclass(frozen=True)
class Reading:
    """Activations of some words that follow one another. depth: where. of: the model they were read in."""

    vectors: Float[Tensor, "word d_model"]
    depth: int
    of: str = "pico"

    def shuffled(self, other: Reading) -> Reading:
        """The control: another text's activations in place of these, as many as there are of both."""
        many = min(len(self.vectors), len(other.vectors))
        return replace(self, vectors=other.vectors[-many:])

    def zero(self, means: Float[Tensor, "depth d_model"] | None) -> Reading:
        """The control that says nothing: what is nothing once the oracle's means are subtracted, so none is added."""
        nothing = torch.zeros_like(self.vectors)
        return replace(self, vectors=nothing if means is None else nothing + means[self.depth])


class BadReading(ValueError):
    """Activations that cannot be read, or not by this oracle; the message says why, and what to do."""


def check_depth(model: HookedModel, depth: int) -> None:
    """BadReading for a depth that the network does not have."""
    if not isinstance(depth, int) or not 0 <= depth <= model.cfg.n_layers:
        raise BadReading(f"there is no layer {depth}: this network has the depths 0 to {model.cfg.n_layers}")


def read(
    model: HookedModel,
    texts: Prompts,
    depth: int,
    words: int = WORDS,
    ends: Sequence[int] | None = None,
    of: str | None = None,
) -> list[Reading]:
    """For each text the activations of `words` tokens, the last of which is token number `ends` (−1: the text's last).

    Fewer where the text begins later; its first token, which every text has, is not read. of: the model's name, unless
    it knows it. BadReading for an empty text, a depth that is not there, a place outside the text.
    """
    check_depth(model, depth)
    if words < 1:
        raise BadReading(f"at least one word must be read, not {words}")
    if isinstance(texts, str):
        texts = [texts]
    for i, text in enumerate(texts):
        if not len(text) or (isinstance(text, str) and not text.strip()):
            raise BadReading(f"text {i} is empty: there is nothing to read the activations of")
    rows = rows_of(model, texts)
    name = of or (model.source[0] if model.source else "pico")
    states = steering.collect_all(model, rows, [steering.stream_sites(model)[depth]])
    return [
        _of(row, state[0], -1 if ends is None else ends[i], i, words, depth, name)
        for i, (row, state) in enumerate(zip(rows, states, strict=True))
    ]


def _of(row: list[int], state: Tensor, end: int, number: int, words: int, depth: int, name: str) -> Reading:
    last = end + len(row) if end < 0 else end
    if not 1 <= last < len(row):
        raise BadReading(f"there is no word {end} in text {number}: its tokens after the first are 1 to {len(row) - 1}")
    return Reading(state[max(1, last + 1 - words) : last + 1], depth, name)


def mean_activations(model: HookedModel, texts: Prompts) -> Float[Tensor, "depth d_model"]:
    """The mean over all words of these texts (their first token left out), at every depth."""
    states = steering.collect_all(model, texts, steering.stream_sites(model))
    return torch.cat([state[:, 1:] for state in states], 1).mean(1)
