"""What chapter 02 finds in the two induction models, measured, each claim with its control.

All losses are in nats a token, on 256 sequences of known words in block lengths from 8 to 24 (`checks.known_sample`);
their intervals are over these sequences. Means for mean ablation come from other sequences of the same shape. Whatever
follows from the weights alone is exact, and has no interval.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mi_lib import induction, load, zoo
from mi_lib.course.findings import claim, mean
from mi_lib.induction.loss import split_loss
from mi_lib.models import HookedModel, Transformer
from mi_lib.recipes.induction import checks
from mi_lib.worlds import repeats
from mi_lib.worlds.repeats import Repeats

TWO, ONE = "induction-2l", "induction-1l"
Head = tuple[int, int]
KINDS = ("zero", "mean", "pattern_preserving")
EARLY = 400  # a checkpoint after the heads formed, and before they pay rent
BETTER = 0.1  # one training is ahead of another once its loss is lower by this share


@functools.cache
def network(name: str = TWO, checkpoint: int | None = None) -> Transformer:
    model = load(name, checkpoint=checkpoint)
    assert isinstance(model, Transformer)
    return model


@functools.cache
def found() -> checks.Circuit:
    """The circuit of the finished network, by the rule of its checks."""
    return checks.circuit(network(), scores())


@functools.cache
def scores(early: bool = False) -> dict[str, Tensor]:
    """The three attention scores of the network on held-out words, [layer head] each."""
    return checks.scores(network(TWO, EARLY if early else None), checks.held_out_samples())


def alike() -> list[Head]:
    """The heads of layer 1 that look at the right place more than half of the time."""
    return [(1, head) for head, score in enumerate(scores()["prefix_matching"][1].tolist()) if score >= checks.MEMBER]


def named(head: Head) -> str:
    return f"{head[0]}.{head[1]}"


@torch.no_grad()
def losses_of(model: HookedModel) -> dict[str, Any]:
    """On first copies, on later ones, on those of their words that can be known, and on the first word of each."""
    sample = checks.known_sample()
    loss = induction.per_token_loss(model(sample.tokens), sample.tokens)
    second, known = sample.second[:, 1:], sample.predictable[:, :-1]
    return {
        **mean("first", loss, sample.first[:, 1:]),
        **mean("second", loss, second),
        **mean("predictable", loss, known),
        **mean("opening", loss, second & ~known),
    }


@torch.no_grad()
def bets_of(model: HookedModel) -> dict[str, Any]:
    """Where the next word can be known: the probability on words that this sequence has had, and how it is spread."""
    sample = checks.known_sample()
    probabilities, known = model(sample.tokens).softmax(-1)[:, :-1], sample.predictable[:, :-1]
    seen = _seen(sample, probabilities.shape[-1])[:, :-1]
    on_seen = (probabilities * seen).sum(-1)
    on_right = probabilities.gather(-1, sample.tokens[:, 1:, None])[..., 0]
    return {
        **mean("on_seen", on_seen, known),
        **mean("right_of_seen", on_right / on_seen, known),
        **mean("right_if_even", 1 / seen.sum(-1).clamp(min=1), known),
    }


def _seen(sample: Repeats, d_vocab: int) -> Bool[Tensor, "batch pos d_vocab"]:
    """Which words a position has before it or at it, <bos> left out."""
    seen = torch.nn.functional.one_hot(sample.tokens, d_vocab).cumsum(1) > 0
    seen[..., repeats.BOS_TOKEN] = False
    return seen


@torch.no_grad()
def loss_without(model: HookedModel, heads: list[Head], kind: Any = "zero") -> Float[Tensor, "batch pos"]:
    """The loss of every token without these heads."""
    sample = checks.known_sample()
    elsewhere = repeats.sample(len(sample.tokens), seed=checks.KNOWN_SEED + 1, period=(8, 24)).tokens
    logits = induction.ablate_heads(model, sample.tokens, heads, kind, elsewhere if kind == "mean" else None)
    return induction.per_token_loss(logits, sample.tokens)


def worths(model: Transformer) -> list[list[float]]:
    """[layer head]: the share of what later copies save that is lost without this head."""
    cfg, sample = model.cfg, checks.known_sample()
    return [
        [checks.loss_brought_back(model, sample, [(layer, head)]) for head in range(cfg.n_heads)]
        for layer in range(cfg.n_layers)
    ]


def on_bos_of(model: HookedModel, name: str, where: Bool[Tensor, "batch pos"]) -> dict[str, Any]:
    """The mean attention of the induction head to <bos>, over the positions of a mask."""
    return mean(name, pattern(model, checks.known_sample(), found().induction[0])[..., 0], where)


def pattern(model: HookedModel, sample: Repeats, head: Head, edits: list[Any] | None = None) -> Tensor:
    """The pattern of one head, [batch query key], in a run with edits."""
    with model.hooks(edits or []):
        _, cache = model.run_with_cache(sample.tokens, ("pattern", head[0]))
    return cache["pattern", head[0]][:, head[1]]


def loss_with_cut(model: Transformer, heads: checks.Circuit, site: str) -> Float[Tensor, "batch pos"]:
    """The loss of every token if one of q, k, v of the induction head is computed without what the previous-token head
    writes; the other two, and everything else, still read it."""
    sample = checks.known_sample()
    (layer, head), (below, writer) = heads.induction[0], heads.previous[0]
    reads = {"q": model.W_Q, "k": model.W_K, "v": model.W_V}[site][layer, head]
    _, cache = model.run_with_cache(sample.tokens, ("z", below))
    written = cache["z", below][:, :, writer] @ model.W_O[below, writer]

    def cut(value: Tensor, hook: Any) -> Tensor:
        value = value.clone()
        value[:, :, head] -= written @ reads
        return value

    logits = model.run_with_hooks(sample.tokens, [((site, layer), cut)])
    return induction.per_token_loss(logits, sample.tokens)


def moved_notes_of(model: Transformer, heads: checks.Circuit, places: int) -> dict[str, Any]:
    """What the previous-token head writes is moved so many places to the left. Where does the induction head look then,
    and what does the model say? Shares, where the next word can be known."""
    sample = checks.known_sample()
    (layer, head), (below, writer) = heads.induction[0], heads.previous[0]
    _, cache = model.run_with_cache(sample.tokens, ("z", below))
    notes = cache["z", below][:, :, writer]

    def move(z: Tensor, hook: Any) -> Tensor:
        z = z.clone()
        z[:, : z.shape[1] - places, writer] = notes[:, places:]
        return z

    edit: list[Any] = [(("z", below), move)]
    looks = pattern(model, sample, (layer, head), edit)[:, None]
    said = model.run_with_hooks(sample.tokens, edit)[:, :-1].argmax(-1)
    known = sample.predictable[:, :-1]
    return {
        "looks_one_past": induction.prefix_matching_score(looks, sample.tokens).item(),
        "looks_at_itself": induction.duplicate_token_score(looks, sample.tokens).item(),
        **mean("says_next", said == sample.tokens[:, 1:], known),
        **mean("says_present", said == sample.tokens[:, :-1], known),
    }


def alikes_without(model: Transformer) -> dict[str, dict[str, float]]:
    """How well the look-alikes look one past the earlier occurrence (lowest and highest score) on held-out words: as
    they are, without the previous-token head, and without all other heads of layer 0."""
    others = [head for head in found().others if head[0] == 0]
    result = {}
    for name, silent in (("nothing", []), ("previous", found().previous), ("others", others)):
        scored = _scores_without(model, silent, alike())
        result[name] = {"lowest": min(scored), "highest": max(scored)}
    return result


def _scores_without(model: Transformer, silent: list[Head], heads: list[Head]) -> list[float]:
    """The prefix-matching score of each of these heads, without some heads of layer 0."""
    samples = checks.held_out_samples()
    edits: list[Any] = [(("z", 0), silencing(silent))]

    def score(head: Head, sample: Repeats) -> float:
        return induction.prefix_matching_score(pattern(model, sample, head, edits)[:, None], sample.tokens).item()

    return [sum(score(head, sample) for sample in samples) / len(samples) for head in heads]


def silencing(heads: list[Head]) -> Any:
    """An edit of z that sets these heads to 0."""

    def silence(z: Tensor, hook: Any) -> Tensor:
        z = z.clone()
        for layer, head in heads:
            if layer == hook.layer:
                z[:, :, head] = 0.0
        return z

    return silence


def most_ever_of(curves: dict[str, list], name: str) -> float:
    """The highest score of any head at any recorded step of a training."""
    return max(max(heads) for layers in curves[name] for heads in layers)


def fall_of(curves: dict[str, list]) -> dict[str, int]:
    """The first recorded steps at which a tenth, and nine tenths, of the fall of the loss on later copies are over."""
    start, end = curves["second"][0], curves["second"][-1]

    def over(share: float) -> int:
        bound = start - share * (start - end)
        return next(step for step, loss in zip(curves["step"], curves["second"], strict=True) if loss <= bound)

    return {"begins": over(0.1), "is_over": over(0.9)}


def no_better_until(curves: dict[str, list], control: dict[str, list]) -> int:
    """The last recorded step before the loss on later copies is lower than the control's by the share BETTER."""
    pairs = zip(curves["step"], curves["second"], control["second"], strict=True)
    better = next(step for step, mine, theirs in pairs if mine < (1 - BETTER) * theirs)
    return curves["step"][curves["step"].index(better) - 1]


def parameters_of_gpt2() -> int:
    """How many numbers GPT-2 (small) has, counted in an empty model."""
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.device("meta"):
        return GPT2LMHeadModel(GPT2Config()).num_parameters()


# --- claims -----------------------------------------------------------------------------------------------------------


@claim
def losses() -> dict[str, Any]:
    """What the networks pay, on first copies and on later ones: "no better than the even bet", "nearly all of that is
    their first word". Control: the network with one layer."""
    words = len(repeats.TRAIN_TOKENS)
    return {"two": losses_of(network()), "one": losses_of(network(ONE)), "words": words, "even_bet": math.log(words)}


@claim
@torch.no_grad()
def misaligned() -> dict[str, Any]:
    """The two losses if the masks are read at the place of the guess, and not at that of its token: "nothing looks
    wrong". Control: `losses`, where they are read one place further."""
    sample = checks.known_sample()
    loss = induction.per_token_loss(network()(sample.tokens), sample.tokens)
    return {**mean("first", loss, sample.first[:, :-1]), **mean("second", loss, sample.second[:, :-1])}


@claim
def bets() -> dict[str, Any]:
    """What the network with one layer has learned: "It has learned a little". Controls: an untrained network; the
    network with two layers."""
    one = network(ONE)
    return {"one": bets_of(one), "one_untrained": bets_of(checks.untrained(one)), "two": bets_of(network())}


@claim
def heads() -> dict[str, Any]:
    """Which heads form the circuit, how many look like an induction head, and how many are one: "Their looks cannot
    tell"."""
    circuit, cfg = found(), network().cfg
    return {
        "layers": cfg.n_layers,
        "each": cfg.n_heads,
        "all": cfg.n_layers * cfg.n_heads,
        "induction": [named(head) for head in circuit.induction],
        "previous": [named(head) for head in circuit.previous],
        "others": len(circuit.others),
        "others_below": sum(layer == 0 for layer, _ in circuit.others),
        "look_alikes": len(alike()),
        "members": len(circuit.induction),
        "prefix_matching": scores()["prefix_matching"][1].tolist(),
    }


@claim
def on_bos() -> dict[str, Any]:
    """Where the induction head looks when there is nothing to find: "It has to look somewhere". Controls: where the
    next word can be known; the same head of an untrained network."""
    sample = checks.known_sample()
    return {
        **on_bos_of(network(), "in_first_copies", sample.first),
        **on_bos_of(network(), "when_known", sample.predictable),
        **on_bos_of(checks.untrained(network()), "untrained", sample.first),
    }


@claim(slow=True)
def worth() -> dict[str, Any]:
    """What every head is worth, finished and early in training: "In the end one is left". Control for "all others at
    once": the same heads at the early step, where they are worth something."""
    late, young, sample = worths(network()), worths(network(TWO, EARLY)), checks.known_sample()
    (layer, head), (below, writer) = found().induction[0], found().previous[0]
    first_layer = [(1, head) for head in range(network().cfg.n_heads)]
    return {
        "finished": late,
        "early": young,
        "early_step": EARLY,
        "induction": late[layer][head],
        "previous": late[below][writer],
        "most_in_layer_1_early": max(young[1]),
        "all_of_layer_1_early": checks.loss_brought_back(network(TWO, EARLY), sample, first_layer),
        "others_early": checks.loss_brought_back(network(TWO, EARLY), sample, found().others),
        "writes": induction.FactoredMatrix(network().W_V, network().W_O).norm().tolist(),
    }


@claim
def without() -> dict[str, Any]:
    """The loss on later copies without a group of heads, for the three kinds of ablation: "And what does that prove?"
    Controls: first copies, which should not suffer; all heads outside of the circuit."""
    sample, circuit = checks.known_sample(), found()
    groups = {"induction": circuit.induction, "previous": circuit.previous, "others": circuit.others}
    result: dict[str, Any] = {}
    for name, silent in groups.items():
        by_kind = {kind: loss_without(network(), silent, kind) for kind in KINDS}
        result[name] = {"first_copies": split_loss(by_kind["zero"], sample)[0]}
        for kind, loss in by_kind.items():
            result[name] |= mean(kind, loss, sample.second[:, 1:])
    return result


def own_word(model: HookedModel, layer: int, head: int) -> float:
    """The share of all words that a head raises most when it looks at them."""
    table = induction.ov_circuit(model, layer, head, tokens=True)
    best = (table.left @ table.right).argmax(-1)
    return (best == torch.arange(len(best))).float().mean().item()


@claim
def copying() -> dict[str, Any]:
    """Copying scores by eigenvalues: "Which heads will copy?", and how often the largest cell of a row lies on the
    diagonal: "Does one of our heads do that?" Control: an untrained network."""
    scored = induction.copying_score_eigenvalues(network())
    blank, cfg = checks.untrained(network()), network().cfg
    everyone = [(layer, head) for layer in range(cfg.n_layers) for head in range(cfg.n_heads)]
    return {
        "cells": cfg.d_vocab**2,
        "own_word": {
            "induction": own_word(network(), *found().induction[0]),
            "previous": own_word(network(), *found().previous[0]),
            "untrained": max(own_word(blank, *head) for head in everyone),
        },
        "scores": scored.tolist(),
        "induction": scored[found().induction[0]].item(),
        "previous": scored[found().previous[0]].item(),
        "untrained": induction.copying_score_eigenvalues(blank).abs().max().item(),
    }


@claim
def k_composition() -> dict[str, Any]:
    """Who reads whom: "it must show in the weights". Controls: random heads, whose score is taken away; other writers;
    an untrained network; the other trainings of the same recipe."""
    chance, spread = induction.composition_baseline(network(), "K")
    pairs = checks.k_composition(network())
    others = [head for head in range(len(pairs)) if (0, head) not in found().previous]
    blank = checks.k_composition(checks.untrained(network()))
    writer, reader = divmod(int(pairs.argmax()), pairs.shape[1])
    seeds = [seed["checks"]["k_composition"]["passed"] for seed in zoo.card(TWO)["seeds"]]
    return {
        "pairs": pairs.tolist(),
        "chance": chance,
        "spread": spread,
        "strongest": pairs.max().item(),
        "strongest_pair": [named((0, writer)), named((1, reader))],
        "least_with_previous": pairs[[head for _, head in found().previous]].min().item(),
        "other_writers": pairs[others].max().item(),
        "untrained": blank.abs().max().item(),
        "trainings": len(seeds),
        "trainings_that_fail": seeds.count(False),
    }


@claim(slow=True)
def alikes() -> dict[str, Any]:
    """What becomes of the look-alikes' scores without the previous-token head: "Is that why they look at the right
    place?" Control: without the other heads of layer 0, early in training, when these still wrote."""
    return {"finished": alikes_without(network()), "early": alikes_without(network(TWO, EARLY))}


@claim
def cut() -> dict[str, Any]:
    """The loss on later copies if the induction head's queries, keys or values are computed without the notes: "it must
    go through the keys". Controls: the other two cuts."""
    second = checks.known_sample().second[:, 1:]
    cuts = [mean(site, loss_with_cut(network(), found(), site), second) for site in "qkv"]
    return {key: value for entry in cuts for key, value in entry.items()}


@claim
def moved_notes() -> dict[str, Any]:
    """What the model says when every note lies one place to the left: "whoever moves the notes must move the gaze".
    Control: the notes as they are."""
    return {
        "as_it_is": moved_notes_of(network(), found(), 0),
        "moved": moved_notes_of(network(), found(), 1),
    }


@claim
def fall() -> dict[str, Any]:
    """When the loss on later copies fell: "Slowly at first, then most of it in a short stretch". Control: the network
    with one layer."""
    two, one = (zoo.card(name)["curves"] for name in (TWO, ONE))
    parted = {"no_better_until": no_better_until(two, one), "better_by": BETTER}
    return {"two": fall_of(two), "one": fall_of(one), **parted}


@claim
def most_ever() -> dict[str, Any]:
    """The highest score of any head in a whole training: "nobody learns to look back" with one layer. Control: two."""
    sites = ("previous_token", "prefix_matching")
    curves = {"two": zoo.card(TWO)["curves"], "one": zoo.card(ONE)["curves"]}
    return {which: {site: most_ever_of(films, site) for site in sites} for which, films in curves.items()}


@claim
def gpt2() -> dict[str, Any]:
    """How much larger GPT-2 is: "GPT-2 has ... times as many weights as our patient"."""
    return {"times": parameters_of_gpt2() / sum(p.numel() for p in network().parameters())}
