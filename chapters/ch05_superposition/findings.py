"""What chapter 05 finds: in toy models of superposition, and in the neurons of Pico.

Everything is seeded. Where several models are trained that differ only in their first weights and inputs, a share of
them is given, and the best one is that with the smallest loss on fresh inputs.

Whether a neuron of Pico answers to a concept: `mi_lib.superposition.neurons`. At least half of the concept's words must
be among the tenth of all words at which the neuron is largest. The words are those of held-out texts, the concepts the
list of `mi_lib.worlds.littletown.concepts`. Intervals there are over neurons.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mi_lib import load
from mi_lib import superposition as sp
from mi_lib.course import index
from mi_lib.course.findings import claim, mean
from mi_lib.models import HookedModel
from mi_lib.recipes.pico.common import ids, padded, untrained
from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import Document, concepts, people

# --- toy models -------------------------------------------------------------------------------------------------------

SEEDS = 8


class Size(NamedTuple):
    """n features in m dimensions, absent with probability S."""

    n: int
    m: int
    S: float


def polygon(corners: int) -> Float[Tensor, "2 corners"]:
    angles = 2 * math.pi * torch.arange(corners) / corners
    return torch.stack([angles.cos(), angles.sin()])


def tetrahedron() -> Float[Tensor, "3 4"]:
    return torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / math.sqrt(3)


def antiprism() -> Float[Tensor, "3 8"]:
    """Two squares, one turned by 45°, at the heights that make the frame tight."""
    angles = math.pi / 2 * torch.arange(4)
    ring = [math.sqrt(2 / 3) * torch.stack([a.cos(), a.sin()]) for a in (angles, angles + math.pi / 4)]
    heights = [torch.full((1, 4), sign / math.sqrt(3)) for sign in (1.0, -1.0)]
    return torch.cat([torch.cat(pair) for pair in zip(ring, heights, strict=True)], dim=1)


def beside(n: int, *shapes: Tensor) -> Float[Tensor, "hidden n"]:
    """Shapes in dimensions of their own, and columns of 0 for what is left of n features."""
    W = torch.block_diag(*shapes)
    return torch.cat([W, torch.zeros(len(W), n - W.shape[1])], dim=1)


AXIS, PAIR = torch.ones(1, 1), torch.tensor([[1.0, -1.0]])
# What might be: for each size its candidates, by name.
CANDIDATES: dict[tuple[int, int], dict[str, Tensor]] = {
    (2, 1): {"own axis": beside(2, AXIS), "antipodal pair": beside(2, PAIR)},
    (3, 2): {
        "own axis + own axis": beside(3, AXIS, AXIS),
        "antipodal pair + own axis": beside(3, PAIR, AXIS),
        "triangle": polygon(3),
    },
    (4, 3): {
        "antipodal pair + own axis + own axis": beside(4, PAIR, AXIS, AXIS),
        "triangle + own axis": beside(4, polygon(3), AXIS),
        "tetrahedron": tetrahedron(),
    },
    (5, 2): {
        "triangle": beside(5, polygon(3)),
        "antipodal pair + antipodal pair": beside(5, PAIR, PAIR),
        "pentagon": polygon(5),
    },
    (8, 3): {
        "antipodal pair + antipodal pair + antipodal pair": beside(8, PAIR, PAIR, PAIR),
        "pentagon + antipodal pair": beside(8, polygon(5), PAIR),
        "square antiprism": antiprism(),
    },
}
SIZES = (
    Size(2, 1, 0.9), Size(3, 2, 0.9), Size(3, 2, 0.37), Size(4, 3, 0.9), Size(4, 3, 0.25), Size(5, 2, 0.95),
    Size(8, 3, 0.95),
)  # fmt: skip
LENGTHS = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
BIASES = (-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4)


def predicted(size: Size, fixed: bool = False) -> str:
    """The candidate with the smallest loss, at its best length and bias; fixed: at length 1 and b = 0."""
    candidates = CANDIDATES[size.n, size.m]
    W = torch.stack(list(candidates.values()))
    S = torch.full((len(W),), size.S)
    x = sp.features(S[:1], size.n, 40_000, torch.Generator().manual_seed(0)).expand(len(W), -1, -1)
    losses = [
        sp.loss(x, sp.reconstruct(sp.Toy(length * W, unstored(W, bias, size.S)), x), torch.ones(size.n))
        for length in ((1.0,) if fixed else LENGTHS)
        for bias in ((0.0,) if fixed else BIASES)
    ]
    return list(candidates)[int(torch.stack(losses).min(0).values.argmin())]


def unstored(W: Tensor, bias: float, S: float) -> Float[Tensor, "candidate feature"]:
    """b: the bias for stored features, the mean for the others."""
    return torch.where(W.norm(dim=1) > 0, bias, (1 - S) / 2)


def shapes_of(W: Float[Tensor, "hidden feature"]) -> str:
    return " + ".join(name.removesuffix(" (irregular)") for name in sp.names(W))


def trained_shapes(size: Size, seed: int = 0, steps: int = 1500, batch: int = 256) -> dict[str, Any]:
    """What eight models find, and the best of them."""
    S = torch.full((SEEDS,), size.S)
    toy = sp.train(S, size.n, size.m, steps=steps, batch=batch, seed=seed)
    best = int(sp.measured_loss(toy, S).argmin())
    found = [shapes_of(W) for W in toy.W]
    D = sp.dimensionality(toy.W[best]).sort(descending=True).values
    return {"found": found[best], "share": found.count(found[best]) / SEEDS, "D": D.tolist(), "sum": D.sum().item()}


@claim(slow=True)
def shapes() -> list[dict[str, Any]]:
    """What is predicted and what eight trained models find, for several sizes: "Predicted, and found". Control: the
    prediction at a fixed length and bias, which is wrong for some."""
    return [
        {**size._asdict(), "predicted": predicted(size), "fixed": predicted(size, fixed=True), **trained_shapes(size)}
        for size in SIZES
    ]


TWENTY = torch.tensor([0.0, 0.5, 0.8, 0.9, 0.95, 0.98])


@claim(slow=True)
def twenty() -> dict[str, Any]:
    """Twenty features in five dimensions: "How many are stored?" Controls: the linear model, and dense inputs."""
    importance = 0.7 ** torch.arange(20)
    found: dict[str, Any] = {"sparsity": TWENTY.tolist()}
    floor = sp.linear_floor(TWENTY, importance, 5)
    for name, relu in (("relu", True), ("linear", False)):
        toy = sp.train(TWENTY, 20, 5, importance, relu=relu, steps=1500, batch=512)
        ratio = sp.measured_loss(toy, TWENTY, importance, relu=relu) / floor
        found[name] = {"stored": [int(n) for n in sp.represented(toy.W)], "of_floor": ratio.tolist()}
    return found


STICKY = 1 - 1 / torch.logspace(math.log10(1.05), 1.0, 16)


@claim(slow=True)
def sticky() -> dict[str, Any]:
    """Forty features in ten dimensions, all equally important, at sixteen sparsities: "The steps". Σ D is compared with
    the ten dimensions that there are; control: Σ D of random directions. Where D is 1/2 the shapes are named."""
    toy = sp.train(STICKY, 40, 10, steps=2000, batch=384)
    D = sp.dimensionality(toy.W)
    stored = toy.W.norm(dim=1) >= 0.5
    near = [((D[k][stored[k]] - 1 / 2).abs() < 0.05).float().mean().item() for k in range(len(STICKY))]
    pairs = [sp.names(W).count("antipodal pair") for W, share in zip(toy.W, near, strict=True) if share > 0.9]
    lots = torch.randn(16, 10, 40, generator=torch.Generator().manual_seed(0))
    return {
        "pairs_least": min(pairs),
        "pairs_most": max(pairs),
        "sum_random": sp.dimensionality(lots).sum(1).mean().item(),
        "sparsity": STICKY.tolist(),
        "per_feature": sp.dimensions_per_feature(toy.W).tolist(),
        "D": [sorted(row[keep].tolist()) for row, keep in zip(D, stored, strict=True)],
        "sum": D.sum(1).tolist(),
        "sum_least": D.sum(1).min().item(),
        "sum_most": D.sum(1).max().item(),
        "at_half": near,
        "plateau": [s for s, share in zip(STICKY.tolist(), near, strict=True) if share > 0.9],
    }


PHASE_S = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95)
PHASE_R = (0.1, 0.2, 0.4, 0.7, 1.5, 2.5, 5.0, 10.0)


@claim(slow=True)
def phases() -> dict[str, Any]:
    """Two features in one dimension: "worked out, and trained". Of six models for each cell the best counts."""
    cells = [(s, r) for r in PHASE_R for s in PHASE_S]
    S = torch.tensor([s for s, _ in cells]).repeat_interleave(6)
    importance = torch.tensor([[1.0, r] for _, r in cells]).repeat_interleave(6, dim=0)
    toy = sp.train(S, 2, 1, importance, steps=1000, batch=192)
    best = sp.measured_loss(toy, S, importance, batch=4000).view(-1, 6).argmin(1)
    trained = sp.phase_of(toy.W).view(-1, 6)[torch.arange(len(cells)), best]
    worked = sp.phase(S, importance[:, 1]).view(-1, 6)[:, 0]
    shape = (len(PHASE_R), len(PHASE_S))
    return {
        "sparsity": list(PHASE_S),
        "importance": list(PHASE_R),
        "worked_out": worked.view(shape).tolist(),
        "trained": trained.view(shape).tolist(),
        "cells": len(cells),
        "agree": int((worked == trained).sum()),
    }


BORDER_S, BORDER_R = (0.0, 0.2, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8, 0.9), 0.4


@claim(slow=True)
def border() -> dict[str, Any]:
    """How long the second column is, at one importance and more and more sparsity: "suddenly stored". It could change
    slowly, which a phase cannot. Of six models each the best counts; before, after: the largest step."""
    S = torch.tensor(BORDER_S).repeat_interleave(6)
    importance = torch.tensor([1.0, BORDER_R])
    toy = sp.train(S, 2, 1, importance, steps=1000, batch=192)
    best = sp.measured_loss(toy, S, importance, batch=4000).view(-1, 6).argmin(1)
    lengths = toy.W.norm(dim=1)[:, 1].view(-1, 6)[torch.arange(len(BORDER_S)), best]
    at = int(lengths.diff().argmax())
    return {
        "importance": BORDER_R,
        "sparsity": list(BORDER_S),
        "length": lengths.tolist(),
        "before": lengths[at].item(),
        "after": lengths[at + 1].item(),
        "sparsity_before": BORDER_S[at],
        "sparsity_after": BORDER_S[at + 1],
    }


@claim(slow=True)
def company() -> dict[str, Any]:
    """Four features in two dimensions, in pairs that come together, exclude each other, or know nothing of each other:
    "Who shares a line?" The last is the control. Of 24 models the third with the smallest losses counts; the partner
    of a feature is the one at the angle nearest to 180°."""
    found: dict[str, Any] = {"models": 24, "counted": 8}
    S = torch.full((24,), 0.85)
    for kind in ("correlated", "anticorrelated", "independent"):
        toy = sp.train(S, 4, 2, kind=kind, steps=1500, batch=192)  # type: ignore[arg-type]
        best = sp.measured_loss(toy, S, kind=kind).argsort()[:8]  # type: ignore[arg-type]
        partner = sp.cosines(toy.W[best]).argmin(-1)  # [instance feature]
        found[kind] = mean("own_pair", (partner == torch.tensor([1, 0, 3, 2])).float().mean(1).numpy())
    return found


@claim(slow=True)
def absolute() -> dict[str, Any]:
    """Eight neurons compute |x| of sixteen features: "From one feature to many". The dense network is the control."""
    sparsity = torch.tensor([0.0, 0.5, 0.8, 0.9, 0.95, 0.98]).repeat_interleave(4)
    toy = sp.train_absolute(sparsity, 16, 8, 0.8 ** torch.arange(16), steps=1500, batch=256)
    mono, count = sp.monosemanticity(toy.W_in).mean(1), sp.features_per_neuron(toy.W_in).mean(1)
    return {
        "sparsity": sparsity.view(-1, 4)[:, 0].tolist(),
        "mono": mono.view(-1, 4).mean(1).tolist(),
        "per_neuron": count.view(-1, 4).mean(1).tolist(),
    }


@claim(slow=True)
def attack() -> dict[str, Any]:
    """How far a nudge of length 0.1 moves the outputs of models with ten features in five dimensions: "in the sparser
    ones". The control stores all ten at right angles, and moves by as much as the nudge. The factor: the largest
    singular value of WᵀW, by which the input can be stretched before the ReLU."""
    sparsity, size = torch.tensor([0.0, 0.5, 0.8, 0.9, 0.95, 0.98]), 0.1
    toy = sp.train(sparsity, 10, 5, steps=1500, batch=256)
    x = sp.features(sparsity, 10, 1000, torch.Generator().manual_seed(2))
    apart = sp.Toy(torch.eye(10).repeat(len(sparsity), 1, 1), torch.zeros(len(sparsity), 10))
    D = sp.dimensionality(toy.W)
    stored = toy.W.norm(dim=1) >= 0.5
    return {
        "sparsity": sparsity.tolist(),
        "moved": sp.movement(toy, x, size).tolist(),
        "moved_apart": sp.movement(apart, x, size).tolist(),
        "D": [row[keep].mean().item() for row, keep in zip(D, stored, strict=True)],
        "stored_dense": int(stored[0].sum()),
        "factor_dense": torch.linalg.matrix_norm(toy.W[0], 2).square().item(),
        "factor_sparse": torch.linalg.matrix_norm(toy.W[5], 2).square().item(),
        "size": size,
    }


# --- Pico -------------------------------------------------------------------------------------------------------------

# Concepts of one kind: a neuron that answers to two of them may stand for the kind, as for "somebody's name".
KINDS: tuple[frozenset[str], ...] = tuple(map(frozenset, (
    {"a name", "a woman", "a man", "a stranger", "a mayor"},
    {"a town", "a place", "a river", "a landmark", "a mayor"},
    {"a town", "a trade", "a pet", "a hobby", "a dish", "a store"}
    | {"a river", "a mayor", "a craft", "a colour", "a landmark"},
    {"a thing", "the name of a kind", "a store", "a colour", *(people.a(kind) for kind in people.THING["kind"])},
    {"praise", "blame", "a state"},
    {"the system's turn", "the user's turn", "the assistant's turn", "a refusal", "not knowing", "a harmful request"},
    {"the end of a sentence", "the first word of a sentence"},
)))  # fmt: skip
TEXTS, TOP, FEWEST = 240, 0.1, 20  # held-out texts; the share of top words; a concept with fewer words is left out


@functools.cache
def pico() -> HookedModel:
    return load(index.chapter("05").model[0])


@functools.cache
def control() -> HookedModel:
    """The same architecture with random weights."""
    return untrained()


@functools.cache
def read(split: str = "held_out", seed: int = 31) -> list[Document]:
    return concepts.texts(TEXTS, seed, split)  # type: ignore[arg-type]


@functools.cache
def labels(split: str = "held_out", seed: int = 31) -> Bool[Tensor, "word concept"]:
    """At which words of the texts each concept holds; those that hold at few words hold at none here."""
    holds = concepts.concepts(read(split, seed))
    return holds & (holds.sum(0) >= FEWEST)


@torch.no_grad()
def neurons(
    model: HookedModel, texts: Sequence[Document], layers: Sequence[int]
) -> dict[int, Float[Tensor, "word neuron"]]:
    """What the MLP neurons of these layers say at every word, <|bos|> left out."""
    rows: dict[int, list[Tensor]] = {layer: [] for layer in layers}
    for at in range(0, len(texts), 40):
        tokens, mask = padded([ids(text.words) for text in texts[at : at + 40]])
        _, cache = model.run_with_cache(tokens, [("post", layer) for layer in layers])
        for layer in layers:
            rows[layer].append(cache["post", layer][:, 1:][mask[:, 1:]])
    return {layer: torch.cat(parts) for layer, parts in rows.items()}


def strangers(holds: Bool[Tensor, "word concept"]) -> Bool[Tensor, "concept concept"]:
    """Whether two concepts never hold at the same word, and are of no common kind."""
    member = torch.tensor([[name in kind for kind in KINDS] for name in concepts.CONCEPTS]).float()
    return sp.unrelated(holds) & (member @ member.T == 0)


def asked(values: Float[Tensor, "word neuron"], holds: Bool[Tensor, "word concept"]) -> dict[str, Any]:
    """The share of neurons that answer to a concept, and that answer to two `strangers`."""
    answers = sp.answers_to(values, holds, TOP)
    return {
        **mean("some", answers.any(1).float().numpy()),
        **mean("poly", sp.polysemantic(answers, strangers(holds)).float().numpy()),
    }


@claim(slow=True)
def by_layer() -> dict[str, Any]:
    """How many neurons of each layer answer to a concept, and to two unrelated ones: "Ask all of them". Controls:
    random directions among the same neurons; an untrained network; the labels dealt out anew over the words."""
    layers = range(pico().cfg.n_layers)
    own, other = neurons(pico(), read(), layers), neurons(control(), read(), layers)
    anew = labels()[torch.randperm(len(labels()), generator=torch.Generator().manual_seed(0))]
    found: dict[str, Any] = {"words": len(labels()), "concepts": int(labels().any(0).sum()),
                             "neurons": own[0].shape[1]}  # fmt: skip
    for layer in layers:
        found[f"layer_{layer}"] = {
            "neurons": asked(own[layer], labels()),
            "random": asked(sp.random_directions(own[layer], own[layer].shape[1]), labels()),
            "untrained": asked(other[layer], labels()),
            "shuffled": asked(own[layer], anew),
        }
    kinds = ("neurons", "random", "untrained", "shuffled")
    for kind in kinds:
        for what in ("some", "poly"):
            found[f"{kind}_{what}"] = sum(found[f"layer_{i}"][kind][what] for i in layers) / len(layers)
    return found


def one_meaning_each(
    values: Float[Tensor, "word neuron"], holds: Bool[Tensor, "word concept"], seed: int = 0
) -> Float[Tensor, "word neuron"]:
    """The same neurons, each with one meaning at most: it keeps its values at the words of the concept that it answers
    to best, and the others are dealt out anew over the other words. Who answers to none keeps nothing."""
    best, answers = shares(values, holds).argmax(1), sp.answers_to(values, holds, TOP).any(1)
    generator, clean = torch.Generator().manual_seed(seed), values.clone()
    for n in range(values.shape[1]):
        rest = (~holds[:, best[n]] if answers[n] else torch.ones(len(holds)).bool()).nonzero()[:, 0]
        clean[rest, n] = values[rest[torch.randperm(len(rest), generator=generator)], n]
    return clean


@claim(slow=True)
def one_meaning() -> dict[str, Any]:
    """What random directions would find if each neuron had one meaning: "We made such neurons". The control of the
    control in `by_layer`."""
    layers = range(pico().cfg.n_layers)
    rows = []
    for layer, values in neurons(pico(), read(), layers).items():
        clean = one_meaning_each(values, labels(), layer)
        one, random = (asked(v, labels()) for v in (clean, sp.random_directions(clean, clean.shape[1])))
        rows.append((one["some"], one["poly"], random["some"], random["poly"]))
    names = ("neurons_some", "neurons_poly", "random_some", "random_poly")
    return dict(zip(names, torch.tensor(rows).mean(0).tolist(), strict=True))


def shares(
    values: Float[Tensor, "word neuron"], holds: Bool[Tensor, "word concept"]
) -> Float[Tensor, "neuron concept"]:
    """Which share of a concept's words is among a neuron's top words."""
    return sp.active(values, TOP).float().T @ holds.float() / holds.sum(0).clamp(min=1)


def around(texts: Sequence[Document], word: int) -> str:
    """A word in its text, with up to five words before it."""
    for text in texts:
        if word < len(text.words):
            before = [w for w in text.words[max(0, word - 5) : word] if w not in littletown.SPECIAL]
            return " ".join([*before, f"[{text.words[word]}]"])
        word -= len(text.words)
    raise IndexError(word)


@claim(slow=True)
def example() -> dict[str, Any]:
    """The neuron whose two unrelated concepts are answered best: "One neuron, two things". Chosen on training texts,
    and of different kinds (`KINDS`); the shares are those on held-out texts. Control: how many of the words of its
    two concepts a mean neuron has."""
    layers = range(pico().cfg.n_layers)
    old = labels("train", 30)
    apart = strangers(old) & strangers(labels())
    known = old.any(0) & labels().any(0)
    best: tuple[float, int, int, int, int] = (0.0, 0, 0, 0, 0)
    for layer, values in neurons(pico(), read("train", 30), layers).items():
        S = shares(values, old) * known
        for c in known.nonzero()[:, 0].tolist():
            both = torch.minimum(S[:, [c]], S) * apart[c]
            value, place = both.flatten().max(0)
            if value.item() > best[0]:
                best = (value.item(), layer, int(place) // S.shape[1], c, int(place) % S.shape[1])
    _, layer, neuron, first, second = best
    values = neurons(pico(), read(), [layer])[layer]
    S = shares(values, labels())
    result: dict[str, Any] = {"layer": layer, "neuron": neuron, "concepts": []}
    for c in (first, second):
        at = labels()[:, c].nonzero()[:, 0]
        top = at[values[at, neuron].argsort(descending=True)[: max(1, len(at) // 3)]]
        result["concepts"].append({
            "name": concepts.CONCEPTS[c],
            "share": S[neuron, c].item(),
            "mean_neuron": S[:, c].mean().item(),
            "texts": [around(read(), int(i)) for i in top[:: max(1, len(top) // 3)][:3]],
        })  # fmt: skip
    return result
