"""Could a sparse autoencoder find the world's concepts in Pico? A quick trial; the chapter on them does it properly.

A TopK autoencoder (Gao et al. 2024, arXiv 2406.04093) of modest width is trained on the residual stream early in
the network. For each labelled concept the latent is chosen that tells it best on one half of held-out texts; the
figure is its F1 on the other half.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mi_lib.models import HookedModel
from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import Document, people, prose
from mi_lib.zoo.checks import Check
from mi_lib.zoo.pico_common import residuals

WIDTH, ACTIVE, STEPS, BATCH = 768, 12, 1200, 512
TEXTS_FOR_TRAINING, TEXTS_FOR_READING = 2000, 1200
RAREST, COMMONEST = 0.002, 0.5  # of all positions: a concept must be rarer than one half, and not too rare to measure
GOOD = 0.8
DEPTH = 1  # after the first block, where words have become kinds of words
KINDS = tuple(people.THING["kind"])
# Labels of a sentence, a turn or a text that are concepts at every word of it.
SPREAD = ("copy", "number", "speaker", "refused", "harmful", "voice", "truth", "verdict", "sense", "topic", "hops")
LONGEST = 3  # words of a slot: "receiver", "place", "weather", … are concepts at their own words
CLASSES: dict[str, frozenset[str]] = {
    "a woman": frozenset(people.WOMEN),
    "a man": frozenset(people.MEN),
    "a resident": frozenset(people.RESIDENTS),
    "a name": frozenset(people.NAMES),
    "a town": frozenset(people.TOWNS),
    "a river": frozenset(people.RIVERS),
    "a mayor": frozenset(people.MAYORS),
    "a trade": frozenset(people.TRADES),
    "a hobby": frozenset(people.HOBBIES),
    "a dish": frozenset(people.DISHES),
    "a craft": frozenset(people.CRAFTS),
    "a colour": frozenset(people.COLOURS),
    "a number": frozenset(prose.NUMBERS),
    "praise": frozenset(word for grade in (1, 2) for word in prose.GRADES[grade]),
    "blame": frozenset(word for grade in (-1, -2) for word in prose.GRADES[grade]),
    "a noun of many": frozenset(prose.NOUNS.values()),
    "a form of be": frozenset(("is", "are", "was", "were")),
    "a full stop": frozenset((".",)),
    "a question mark": frozenset(("?",)),
    **{f"a {kind}": frozenset(t for t, about in people.OF_THING.items() if about["kind"] == kind) for kind in KINDS},
}


_CLASSES_OF: dict[str, list[str]] = defaultdict(list)
for _name, _members in CLASSES.items():
    for _member in _members:
        _CLASSES_OF[_member].append(_name)


class TopK(nn.Module):
    """x̂ = W_dec · topk(W_enc (x − b)) + b. Few latents are active at once."""

    def __init__(self, d_model: int, width: int, active: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        directions = nn.functional.normalize(torch.randn(width, d_model, generator=generator), dim=-1)
        self.encoder, self.decoder = nn.Parameter(directions.T.clone()), nn.Parameter(directions.clone())
        self.bias, self.active = nn.Parameter(torch.zeros(d_model)), active

    def latents(self, x: Float[Tensor, "n d_model"]) -> Float[Tensor, "n width"]:
        before = ((x - self.bias) @ self.encoder).relu()
        kept = before.topk(self.active, dim=-1)
        return torch.zeros_like(before).scatter(-1, kept.indices, kept.values)

    def forward(self, x: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_model"]:
        return self.latents(x) @ self.decoder + self.bias


def trained(x: Float[Tensor, "n d_model"], seed: int = 0) -> TopK:
    """Mean squared error, Adam; the decoder's rows are kept at length 1."""
    sae = TopK(x.shape[1], WIDTH, ACTIVE, seed)
    with torch.no_grad():
        sae.bias.copy_(x.mean(0))
    optimizer = torch.optim.Adam(sae.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(STEPS):
        batch = x[torch.randint(len(x), (BATCH,), generator=generator)]
        loss = (sae(batch) - batch).pow(2).sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            sae.decoder.copy_(nn.functional.normalize(sae.decoder, dim=-1))
    return sae


def texts(count: int, seed: int, split: littletown.Split, chat: bool) -> list[Document]:
    return [
        littletown.document(i, seed, split, "chat" if chat and i % 2 else "base") for i in range(count)
    ]  # half and half, where the network is an assistant


def activations(model: HookedModel, read: list[Document], depth: int) -> Float[Tensor, "n d_model"]:
    """All words of all texts, <|bos|> left out; scaled so that the mean squared length is 1."""
    x = torch.cat([row[0, 1:] for row in residuals(model, [text.words for text in read], [depth])])
    return x / x.pow(2).sum(-1).mean().sqrt()


def concepts(read: list[Document]) -> dict[str, Bool[Tensor, " n"]]:
    """For each concept, at which words it holds; those that are too rare or too common are left out."""
    total = sum(len(text.words) for text in read)
    found: dict[str, Tensor] = defaultdict(lambda: torch.zeros(total, dtype=torch.bool))
    start = 0
    for text in read:
        for span in text.spans:
            where = slice(start + span.start, start + span.end)
            if span.kind in SPREAD:
                found[f"{span.kind}: {span.value}"][where] = True
            elif span.end - span.start <= LONGEST:
                found[f"slot: {span.kind}"][where] = True
        for at, word in enumerate(text.words):
            for name in _CLASSES_OF.get(word, ()):
                found[name][start + at] = True
        start += len(text.words)
    return {name: at for name, at in sorted(found.items()) if RAREST <= at.float().mean() <= COMMONEST}


def f1(active: Bool[Tensor, "n width"], at: Bool[Tensor, "n concept"]) -> Float[Tensor, "width concept"]:
    """F1 of each latent's being active as a test for each concept."""
    both = active.float().T @ at.float()
    return 2 * both / (active.sum(0)[:, None] + at.sum(0)).clamp(min=1)


def best_latents(
    latents: Float[Tensor, "n width"],
    where: dict[str, Bool[Tensor, " n"]],
    thresholds: tuple[float, ...] = (0, 0.1, 0.2),
) -> dict[str, float]:
    """For each concept: latent and threshold chosen on the first half, F1 on the second."""
    half, at = len(latents) // 2, torch.stack(list(where.values()), 1)
    first = torch.stack([f1(latents[:half] > t, at[:half]) for t in thresholds])  # [threshold width concept]
    second = torch.stack([f1(latents[half:] > t, at[half:]) for t in thresholds])
    chosen = first.flatten(0, 1).argmax(0)
    return dict(zip(where, second.flatten(0, 1)[chosen, torch.arange(len(where))].tolist(), strict=True))


def measure(model: HookedModel, untrained: HookedModel, depth: int = DEPTH) -> list[Check]:
    read = texts(TEXTS_FOR_READING, 31, "held_out", chat=True)
    where = concepts(read)

    def scores(network: HookedModel) -> dict[str, float]:
        sae = trained(activations(network, texts(TEXTS_FOR_TRAINING, 30, "train", chat=True), depth))
        with torch.no_grad():
            return best_latents(sae.latents(activations(network, read, depth)), where)

    found, control = scores(model), scores(untrained)
    good = [score >= GOOD for score in found.values()]
    bad = [score >= GOOD for score in control.values()]
    return [
        Check(
            "concepts_found",
            f"concepts (of {len(where)}) for which a small sparse autoencoder has a latent with F1 at least {GOOD}",
            float(sum(good)),
            15.0,
            True,
            float(sum(bad)),
            "an untrained network",
        )
    ]
