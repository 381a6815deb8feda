"""Could a sparse autoencoder find the world's concepts in Pico? A quick trial; the chapter on them does it properly.

Six small TopK autoencoders (Gao et al. 2024, arXiv 2406.04093) are trained on the residual stream: four on the words as
they enter, two further up, where words have become a text. No width finds everything: which kinds of things get a
latent of their own varies with width and seed, and most split "a name" into names with facts and names without. For
each labelled concept (`mi_lib.worlds.littletown.concepts`) the latent, and the value above which it counts as active,
are chosen on training texts; the figure is the F1 on held-out texts.

The configuration was chosen on training texts: trained on 2,000, compared on 2,000 others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mi_lib import saes
from mi_lib.models import HookedModel
from mi_lib.recipes.checks import Check
from mi_lib.recipes.pico.common import residuals
from mi_lib.statistics import interval
from mi_lib.worlds.littletown import Document
from mi_lib.worlds.littletown.concepts import CONCEPTS, concepts, texts


class Trial(NamedTuple):
    """One dictionary: where, how wide, how many latents are active at a word, and how much rare words count for it."""

    depth: int  # how many blocks lie before it
    latents: int
    active: int
    rarity: float  # 0: words are drawn as often as they are written; 1: all different words equally often


DICTIONARIES = (
    Trial(0, 24, 4, 0.5),
    Trial(0, 192, 3, 1.0),
    Trial(0, 256, 4, 1.0),
    Trial(0, 512, 3, 0.85),
    Trial(2, 32, 4, 0.5),
    Trial(3, 128, 4, 0.75),
)
STEPS, BATCH, LEARNING_RATE = 1200, 192, 3e-3
TEXTS_FOR_TRAINING, TEXTS_FOR_READING = 2000, 2000
GOOD = 0.8


def counts(read: list[Document]) -> Float[Tensor, " n"]:
    """For each word of the texts, how often it is in them."""
    words = [word for text in read for word in text.words]
    count = Counter(words)
    return torch.tensor([float(count[word]) for word in words])


def batches(
    x: Float[Tensor, "n d_model"], count: Float[Tensor, " n"], rarity: float, seed: int
) -> Iterator[Float[Tensor, "batch d_model"]]:
    """A word is drawn count(word)^−rarity times as often as it stands in the texts: else full stops would crowd out the
    rivers (word2vec does alike: Mikolov et al. 2013, section 2.3)."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(count**-rarity, STEPS * BATCH, replacement=True, generator=generator)
    return (x[chosen] for chosen in drawn.split(BATCH))


def trained(x: Float[Tensor, "n d_model"], count: Float[Tensor, " n"], trial: Trial, seed: int = 0) -> saes.TopK:
    """The trial's own plain schedule, as its figure on the card was made: Adam, the rate falling to 0 over the last
    third, no warm-up and no revival."""
    sae = saes.TopK(x.shape[1], trial.latents, k=trial.active, seed=seed)
    with torch.no_grad():
        sae.b_dec.copy_(x.mean(0))
    optimizer = torch.optim.Adam(sae.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, 3 * (1 - step / STEPS)))
    nobody = torch.zeros(trial.latents, dtype=torch.bool)
    for batch in batches(x, count, trial.rarity, seed):
        loss, _ = sae.losses(batch, nobody)
        optimizer.zero_grad()
        loss.error.backward()
        optimizer.step()
        schedule.step()
        sae.project_weight()
    return sae.eval().requires_grad_(False)


def activations(model: HookedModel, read: list[Document]) -> dict[int, Float[Tensor, "n d_model"]]:
    """The residual stream at each depth, at all words of all texts (<|bos|> left out), scaled to length 1."""
    depths = sorted({trial.depth for trial in DICTIONARIES})
    stream = torch.cat([row[:, 1:] for row in residuals(model, [text.words for text in read], depths)], dim=1)
    return dict(zip(depths, nn.functional.normalize(stream, dim=-1), strict=True))


def scores(model: HookedModel, train: list[Document], read: list[Document]) -> Float[Tensor, " concept"]:
    """For each concept: dictionary, latent and threshold chosen on the texts trained on, F1 on the others."""
    old, count, new = activations(model, train), counts(train), activations(model, read)
    holds, holds_anew = concepts(train), concepts(read)
    first, second = [], []
    for trial in DICTIONARIES:
        sae = trained(old[trial.depth], count, trial)
        choices = saes.choose(sae.encode(old[trial.depth]), holds)
        first.append(torch.tensor([choice.score for choice in choices]))
        second.append(saes.judge(choices, sae.encode(new[trial.depth]), holds_anew).f1)
    chosen = torch.stack(first).argmax(0)
    return torch.stack(second).gather(0, chosen[None])[0]


def measure(model: HookedModel, untrained: HookedModel) -> list[Check]:
    train, read = texts(TEXTS_FOR_TRAINING, 30, "train"), texts(TEXTS_FOR_READING, 31, "held_out")
    found, control = ((scores(m, train, read) >= GOOD).numpy() for m in (model, untrained))
    return [
        Check(
            "concepts_found",
            f"concepts (of {len(CONCEPTS)}) for which a small sparse autoencoder has a latent with F1 at least {GOOD}",
            float(found.sum()),
            len(CONCEPTS) / 2,
            True,
            float(control.sum()),
            "an untrained network",
            *interval(lambda rows: found[rows].sum(), len(found)),  # were the list of concepts another
        )
    ]
