"""Could a sparse autoencoder find the world's concepts in Pico? A quick trial; the chapter on them does it properly.

Six small TopK autoencoders (Gao et al. 2024, arXiv 2406.04093) are trained on the residual stream: four on the words as
they enter, two further up, where words have become a text. No width finds everything: which kinds of things get a
latent of their own varies with width and seed, and most split "a name" into names with facts and names without. For
each labelled concept the latent, and the value above which it counts as active, are chosen on training texts; the
figure is the F1 on held-out texts.

The concepts are a fixed list. Configuration and list were chosen on training texts (of the configuration: trained on
2,000, compared on 2,000 others); no concept left the list for not being found. What is on it:
  1. who and what there is (people, towns, the ten kinds of things), and every attribute that the facts give them;
  2. kinds of words: numbers, nouns of many, forms of "be", states, places, praise, blame, verbs that may do harm;
  3. places in a text: its sentences and its turns;
  4. what goes on at a word: a refusal, a voice, a second copy, …
Labels that only hold of a text or a sentence as a whole are not on it, nor are two that mean nearly the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mi_lib.models import HookedModel
from mi_lib.recipes.checks import Check
from mi_lib.recipes.pico.common import residuals
from mi_lib.statistics import interval
from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import Document, people, prose, requests


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
LEVELS = tuple(i / 10 for i in range(10))  # a latent is active above this share of its largest value

WORDS: dict[str, Iterable[str]] = {
    # who and what there is
    "a name": people.NAMES,
    "a woman": people.WOMEN,
    "a man": people.MEN,
    "a stranger": people.STRANGERS,
    "a town": people.TOWNS,
    "a thing": people.OF_THING,
    **{f"{people.a(k)}": [t for t, of in people.OF_THING.items() if of["kind"] == k] for k in people.THING["kind"]},
    # what the facts say of it
    "a trade": people.TRADES,
    "a pet": people.PETS,
    "a hobby": people.HOBBIES,
    "a dish": people.DISHES,
    "a river": people.RIVERS,
    "a mayor": people.MAYORS,
    "a craft": people.CRAFTS,
    "a colour": people.COLOURS,
    "a landmark": people.LANDMARKS,
    "a store": people.THING["store"],
    "the name of a kind": people.THING["kind"],
    # kinds of words
    "a number": prose.NUMBERS,
    "a noun of many": prose.NOUNS.values(),
    "a form of be": prose.BE.values(),
    "a state": prose.STATES,
    "a place": people.PLACES,
    "praise": (*prose.GRADES[1], *prose.GRADES[2]),
    "blame": (*prose.GRADES[-1], *prose.GRADES[-2]),
    "a verb that may do harm": (*requests.HARSH, *requests.HARSH_WITH_PLACES),
    # places in a text
    "the end of a sentence": (".", "?", "!"),
}
ELSEWHERE = (
    "the first word of a sentence",
    "the system's turn",
    "the user's turn",
    "the assistant's turn",
    "a refusal",
    "not knowing",
    "a harmful request",
    "what a voice put there",
    "the past",
    "a second copy",
    "the tool for a task",
    "where a task begins",
)
CONCEPTS: tuple[str, ...] = (*WORDS, *ELSEWHERE)


def _contexts(text: Document) -> Iterator[tuple[str, int, int]]:
    """The concepts of a text that its words alone do not tell: name, start, end."""
    for span in text.spans:
        asked = text.words[span.start] == "<|user|>"
        match span.kind, span.value:
            case "speaker", who:
                yield f"the {who}'s turn", span.start, span.end
            case "refused", "yes":
                yield "a refusal", span.start, span.end
            case "known", "no" if not asked:
                yield "not knowing", span.start, span.end
            case "harmful", "yes" if asked:
                yield "a harmful request", span.start, span.end
            case "voice", whose if whose not in ("active", "passive"):
                yield "what a voice put there", span.start, span.end
            case "tense", "past":
                yield "the past", span.start, span.end
            case "copy", "later":
                yield "a second copy", span.start, span.end
            case "tool", _:
                yield "the tool for a task", span.start, span.end
            case "begin", _:
                yield "where a task begins", span.start, span.end
    for at, (before, word) in enumerate(pairwise((".", *text.words))):
        if (
            before in WORDS["the end of a sentence"] or before in littletown.SPECIAL
        ) and word not in littletown.SPECIAL:
            yield "the first word of a sentence", at, at + 1


def concepts(read: list[Document]) -> Bool[Tensor, "n concept"]:
    """At which words of the texts each of `CONCEPTS` holds."""
    words = [word for text in read for word in text.words]
    number = {name: i for i, name in enumerate(CONCEPTS)}
    holds = torch.zeros(len(words), len(CONCEPTS), dtype=torch.bool)
    for name, members in WORDS.items():
        members = frozenset(members)
        holds[:, number[name]] = torch.tensor([word in members for word in words])
    start = 0
    for text in read:
        for name, first, end in _contexts(text):
            holds[start + first : start + end, number[name]] = True
        start += len(text.words)
    return holds


class TopK(nn.Module):
    """x̂ = W_dec · topk(W_enc (x − b) + c) + b. Few latents are active at once."""

    def __init__(self, d_model: int, width: int, active: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        directions = nn.functional.normalize(torch.randn(width, d_model, generator=generator), dim=-1)
        self.encoder, self.decoder = nn.Parameter(directions.T.clone()), nn.Parameter(directions.clone())
        self.bias, self.encoder_bias = nn.Parameter(torch.zeros(d_model)), nn.Parameter(torch.zeros(width))
        self.active = active

    def latents(self, x: Float[Tensor, "n d_model"]) -> Float[Tensor, "n width"]:
        before = ((x - self.bias) @ self.encoder + self.encoder_bias).relu()
        kept = before.topk(self.active, dim=-1)
        return torch.zeros_like(before).scatter(-1, kept.indices, kept.values)

    def forward(self, x: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_model"]:
        return self.latents(x) @ self.decoder + self.bias


def counts(read: list[Document]) -> Float[Tensor, " n"]:
    """For each word of the texts, how often it is in them."""
    words = [word for text in read for word in text.words]
    count = Counter(words)
    return torch.tensor([float(count[word]) for word in words])


def trained(x: Float[Tensor, "n d_model"], count: Float[Tensor, " n"], trial: Trial, seed: int = 0) -> TopK:
    """Mean squared error, Adam, the rate falling to 0 over the last third; the decoder's rows are kept at length 1.

    A word is drawn count(word)^−rarity times as often as it stands in the texts: else full stops would crowd out the
    rivers (word2vec does alike: Mikolov et al. 2013, section 2.3).
    """
    sae = TopK(x.shape[1], trial.latents, trial.active, seed)
    with torch.no_grad():
        sae.bias.copy_(x.mean(0))
    optimizer = torch.optim.Adam(sae.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, 3 * (1 - step / STEPS)))
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(count**-trial.rarity, STEPS * BATCH, replacement=True, generator=generator)
    for chosen in drawn.split(BATCH):
        batch = x[chosen]
        loss = (sae(batch) - batch).pow(2).sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            sae.decoder.copy_(nn.functional.normalize(sae.decoder, dim=-1))
    return sae


def texts(count: int, seed: int, split: littletown.Split) -> list[Document]:
    """Half prose, half chat."""
    return [littletown.document(i, seed, split, "chat" if i % 2 else "base") for i in range(count)]


def activations(model: HookedModel, read: list[Document]) -> dict[int, Float[Tensor, "n d_model"]]:
    """The residual stream at each depth, at all words of all texts (<|bos|> left out), scaled to length 1."""
    depths = sorted({trial.depth for trial in DICTIONARIES})
    stream = torch.cat([row[:, 1:] for row in residuals(model, [text.words for text in read], depths)], dim=1)
    return dict(zip(depths, nn.functional.normalize(stream, dim=-1), strict=True))


def f1(active: Bool[Tensor, "n latent"], holds: Bool[Tensor, "n concept"]) -> Float[Tensor, "latent concept"]:
    """2 |active ∧ holds| / (|active| + |holds|): each latent as a test for each concept."""
    both = active.float().T @ holds.float()
    return 2 * both / (active.sum(0)[:, None] + holds.sum(0)).clamp(min=1)


def at_levels(
    values: Float[Tensor, "n latent"], largest: Float[Tensor, " latent"], holds: Bool[Tensor, "n concept"]
) -> Float[Tensor, "level_latent concept"]:
    """F1 of each latent, taken as active above each level (a share of its largest value)."""
    return torch.cat([f1(values > level * largest, holds) for level in LEVELS])


@torch.no_grad()
def scores(model: HookedModel, train: list[Document], read: list[Document]) -> Float[Tensor, " concept"]:
    """For each concept: latent and level chosen on the texts trained on, F1 on the others."""
    old, count, new = activations(model, train), counts(train), activations(model, read)
    holds, holds_anew = concepts(train), concepts(read)
    first, second = [], []
    for trial in DICTIONARIES:
        with torch.enable_grad():
            sae = trained(old[trial.depth], count, trial)
        values = sae.latents(old[trial.depth])
        largest = values.amax(0).clamp(min=1e-6)
        first.append(at_levels(values, largest, holds))
        second.append(at_levels(sae.latents(new[trial.depth]), largest, holds_anew))
    chosen = torch.cat(first).argmax(0)
    return torch.cat(second).gather(0, chosen[None])[0]


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
