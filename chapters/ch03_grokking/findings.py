"""What chapter 03 finds in the networks that do arithmetic mod p, each with its control.

Everything is measured on the shipped weights and checkpoints, on all pairs: nothing is sampled but the sets of other
waves, so that there are no intervals.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mi_lib import grokking, load, zoo
from mi_lib.course.findings import claim
from mi_lib.models import Hook, HookedModel, Transformer
from mi_lib.recipes.grokking import checks
from mi_lib.recipes.grokking.card import CONTROL, DRAWS, NETWORK, SECOND, other_frequencies
from mi_lib.worlds.modular import Modular

WELL = 0.85  # a neuron is well explained at this share (Nanda et al. 2023, section 4.2)
EARLY = 2000  # a step at which both networks know their training pairs, and no other
KNOWS = 0.9  # a part of the logits knows the rule, or the list, at this accuracy on unseen pairs, or on training pairs


class Subject(NamedTuple):
    """A network with its task, and the waves by which it is measured: the control's are those of the network."""

    name: str
    model: Transformer
    task: Modular
    frequencies: list[int]


@functools.cache
def subject(name: str = NETWORK, checkpoint: int | None = None) -> Subject:
    model = load(name, checkpoint=checkpoint)
    assert isinstance(model, Transformer)
    return Subject(name, model, checks.task_of(name), zoo.card(name)["measured_with"])


def memorised(name: str = NETWORK) -> Subject:
    """The same network at the step at which its training pairs were known."""
    return subject(name, zoo.card(name)["phases"]["memorised"])


@functools.cache
def analysis(name: str = NETWORK) -> grokking.Analysis:
    return grokking.analyse(subject(name).model)


def last_logits(
    model: HookedModel, task: Modular, edits: Sequence[Any] = (), order: Sequence[int] = (0, 1, 2)
) -> Float[Tensor, "pairs answer"]:
    """The logits of the p answers after "=", float64, under these edits. order: in which a, b and "=" are said."""
    with torch.no_grad():
        return model.run_with_hooks(task.tokens[:, list(order)], list(edits))[:, -1, : task.p].double()


def accuracy(logits: Float[Tensor, "pairs answer"], task: Modular, rows: Bool[Tensor, " pairs"] | None = None) -> float:
    rows = torch.ones(len(logits), dtype=torch.bool) if rows is None else rows
    return grokking.accuracy(logits[rows], task.answers[rows])


def mirrored_of(model: HookedModel, task: Modular) -> dict[str, float]:
    """Accuracy on pairs that training never showed: those whose mirror image (b, a) it did show, and the others."""
    mirror = task.in_training.view(task.p, task.p).T.reshape(-1)
    logits, unseen = last_logits(model, task), ~task.in_training
    return {"seen": accuracy(logits, task, unseen & mirror), "unseen": accuracy(logits, task, unseen & ~mirror)}


def rounding_of(model: HookedModel, task: Modular) -> dict[str, float]:
    """The loss of the training pairs and its gradient, computed from float32 logits and from float64 ones.

    zero: the share of pairs whose loss float32 calls exactly 0. cosine: between the two gradients; size: the length of
    the float32 one as a share of the other.
    """
    assert isinstance(model, Transformer)
    copy = Transformer(model.config)
    copy.load_state_dict(model.state_dict())
    logits, answers = copy(task.tokens[task.in_training])[:, -1], task.answers[task.in_training]
    losses = F.cross_entropy(logits, answers), F.cross_entropy(logits.double(), answers)
    narrow, wide = (
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(copy.parameters()), retain_graph=True)]).double()
        for loss in losses
    )
    return {
        "loss_float32": losses[0].item(),
        "loss_float64": losses[1].item(),
        "zero": (F.cross_entropy(logits, answers, reduction="none") == 0).double().mean().item(),
        "cosine": F.cosine_similarity(narrow, wide, dim=0).item(),
        "size": (narrow.norm() / wide.norm()).item(),
    }


def attention_of(model: HookedModel, task: Modular) -> dict[str, Any]:
    """How a and b reach "=": what its heads look at, and what is left if they may no longer look where they like.

    frozen: every head's pattern at "=" is its mean over all pairs, whatever a and b are. other_pair: the pattern is
    that of another pair, drawn at random. values_frozen: the patterns are free, and what is read is the mean.
    """
    with torch.no_grad():
        _, cache = model.run_with_cache(task.tokens, ["blocks.0.attn.hook_pattern", "blocks.0.attn.hook_v"])
    pattern = cache["pattern", 0][:, :, -1]  # [pairs head 3]
    order = torch.randperm(len(pattern), generator=torch.Generator().manual_seed(0))
    mean = pattern.mean(0).expand_as(pattern)

    def with_pattern(to: Tensor, heads: Sequence[int] | slice = slice(None)) -> Float[Tensor, "pairs answer"]:
        def edit(value: Tensor, hook: Hook) -> Tensor:
            value = value.clone()
            value[:, heads, -1] = to[:, heads]
            return value

        return last_logits(model, task, [(("pattern", 0), edit)])

    def mean_values(value: Tensor, hook: Hook) -> Tensor:
        return value.mean(0, keepdim=True).expand_as(value)

    frozen = with_pattern(mean)
    one_head = [accuracy(with_pattern(mean, [head]), task) for head in range(model.cfg.n_heads)]
    return {
        "to_a": pattern[:, :, 0].mean(0).tolist(),
        "to_b": pattern[:, :, 1].mean(0).tolist(),
        "to_equals_at_most": pattern[:, :, 2].mean(0).max().item(),
        "spread": pattern[:, :, 0].std(0).mean().item(),  # of what a gets, from pair to pair; mean over heads
        "frozen": accuracy(frozen, task),
        "frozen_loss": grokking.loss(frozen, task.answers),
        "other_pair": accuracy(with_pattern(pattern[order]), task),
        "values_frozen": accuracy(last_logits(model, task, [(("v", 0), mean_values)]), task),
        "one_head_frozen_least": min(one_head),
        "one_head_frozen_most": max(one_head),
    }


def swapped_of(model: HookedModel, task: Modular) -> float:
    """How far the logits move if b is said before a: the squared difference, as a share of the logits' variance over
    all pairs. 0 if a and b are treated alike; 2 if the two orders had nothing to do with each other.

    On the logits, since equal answers would say nothing about a network that is always right.
    """
    logits, other = last_logits(model, task), last_logits(model, task, order=(1, 0, 2))
    return ((other - logits).pow(2).sum() / (logits - logits.mean(0)).pow(2).sum()).item()


def products_of(model: HookedModel, task: Modular, frequencies: Sequence[int]) -> dict[str, float]:
    """Of what the neurons' inputs and outputs vary, the share that is a wave in a times a wave in b, both of one key
    frequency: before the ReLU and after it."""
    with torch.no_grad():
        _, cache = model.run_with_cache(task.tokens, ["blocks.0.mlp.hook_pre", "blocks.0.mlp.hook_post"])
    shares = {}
    for site in ("pre", "post"):
        energy = grokking.fourier_2d(cache[site, 0][:, -1].reshape(task.p, task.p, -1)).pow(2)
        energy[0, 0] = 0.0
        kept = sum(energy[2 * k - 1 : 2 * k + 1, 2 * k - 1 : 2 * k + 1].sum() for k in frequencies)
        shares[site] = (kept / energy.sum()).item()
    return shares


def circle_of(model: HookedModel, p: int, k: int) -> dict[str, float]:
    """How round the embedding is in the plane of frequency k.

    radius: the standard deviation of the 113 distances from the middle, as a share of their mean. off: by how many of
    the p places on the circle a number stands beside its own, the median. The circle may be turned or reflected.
    """
    embedding = model.W_E[:p]  # type: ignore[attr-defined]
    z = torch.view_as_complex(grokking.plane(embedding, k).contiguous())
    off = []
    for direction in (1, -1):
        angle = direction * 2 * torch.pi * k * torch.arange(p, dtype=torch.float64) / p
        turned = z * torch.polar(torch.ones_like(angle), -angle)
        off.append((turned / turned.mean()).angle().abs().median().item() / (2 * torch.pi / p))
    return {"frequency": k, "radius": (z.abs().std() / z.abs().mean()).item(), "off": min(off)}


def energy_of(one: Subject) -> dict[str, float]:
    """The share of the energy at the subject's frequencies: embedding, unembedding, and from neurons to logits; and of
    the embedding at their second harmonics."""
    model, p, ks = one.model, one.task.p, one.frequencies
    to_logits: Any = model.blocks[0].mlp.W_out @ model.W_U  # type: ignore[operator, union-attr]
    tables = {"W_E": model.W_E[:p], "W_U": model.W_U[:, :p].T, "W_L": to_logits[:, :p].T}
    shares = {name: sum(grokking.spectrum(x)[k - 1].item() for k in ks) for name, x in tables.items()}
    return {**shares, "harmonics_in_W_E": checks.embedding_energy(analysis(one.name), ks) - shares["W_E"]}


def waves_of(logits: Float[Tensor, "pairs answer"], task: Modular, frequencies: Sequence[int]) -> dict[str, float]:
    """Accuracy with waves alone (all pairs) and without them (training pairs): these, as many others, all there are.

    Of the random sets of other frequencies the one is named that comes nearest to what these do.
    """
    others, every = other_frequencies(task.p, frequencies, len(frequencies)), range(1, (task.p + 1) // 2)
    training = task.in_training

    def alone(ks: Sequence[int]) -> Tensor:
        return grokking.restricted_logits(logits, ks, task.sign)

    def without(ks: Sequence[int]) -> Tensor:
        return grokking.excluded_logits(logits, ks, task.sign)

    return {
        "alone": accuracy(alone(frequencies), task),
        "others_alone": max(accuracy(alone(ks), task) for ks in others),
        "without": accuracy(without(frequencies), task, training),
        "without_others": min(accuracy(without(ks), task, training) for ks in others),
        "without_all": accuracy(without(every), task, training),
    }


def leftover_of(logits: Float[Tensor, "pairs answer"], task: Modular, frequencies: Sequence[int]) -> dict[str, float]:
    """The logits of the training pairs without these waves: are they equal, as a guess would be, or noise?

    spread: the standard deviation from answer to answer, root mean square over pairs; spread_whole: that of all logits.
    loss_of_any_answer: the loss if an answer drawn at random were the right one.
    """
    rest = grokking.excluded_logits(logits, frequencies, task.sign)[task.in_training]

    def spread(values: Tensor) -> float:
        return values.var(-1, correction=0).mean().sqrt().item()

    return {
        "spread": spread(rest),
        "spread_whole": spread(logits[task.in_training]),
        "loss_of_any_answer": (-rest.log_softmax(-1)).mean().item(),
    }


def beside_of(logits: Float[Tensor, "pairs answer"], task: Modular, frequencies: Sequence[int]) -> dict[str, float]:
    """The loss with the key waves and, beside them, their second harmonics or as many other waves (the lowest)."""
    harmonics = {grokking.harmonic(k, task.p) for k in frequencies} - set(frequencies)

    def loss(ks: Sequence[int]) -> float:
        return grokking.loss(grokking.restricted_logits(logits, [*frequencies, *ks], task.sign), task.answers)

    drawn = other_frequencies(task.p, [*frequencies, *harmonics], len(harmonics))
    return {"harmonics": loss(sorted(harmonics)), "others": min(map(loss, drawn))}


def knows_the_rule(step: int) -> dict[str, float] | None:
    """What a checkpoint and its waves say of pairs that training never showed, if its waves alone know the rule."""
    _, model, task, ks = subject(NETWORK, step)
    logits, unseen = last_logits(model, task), ~task.in_training
    alone = accuracy(grokking.restricted_logits(logits, ks, task.sign), task, unseen)
    if alone < KNOWS:
        return None
    others = other_frequencies(task.p, ks, len(ks))
    drawn = [accuracy(grokking.restricted_logits(logits, those, task.sign), task, unseen) for those in others]
    return {"step": step, "whole": accuracy(logits, task, unseen), "alone": alone, "others_alone": max(drawn)}


def at_step(one: Subject) -> dict[str, float]:
    """A checkpoint, its waves alone and the rest of its logits, on pairs that training never showed.

    sure: the mean probability of whatever answer comes out first.
    """
    task, frequencies, logits = one.task, one.frequencies, last_logits(one.model, one.task)
    unseen = ~task.in_training

    def alone(ks: Sequence[int]) -> Tensor:
        return grokking.restricted_logits(logits, ks, task.sign)

    def sure(values: Tensor) -> float:
        return values[unseen].softmax(-1).amax(-1).mean().item()

    rest = grokking.excluded_logits(logits, frequencies, task.sign)
    drawn = other_frequencies(task.p, frequencies, len(frequencies))
    return {
        "whole": accuracy(logits, task, unseen),
        "alone": accuracy(alone(frequencies), task, unseen),
        "others_alone": max(accuracy(alone(ks), task, unseen) for ks in drawn),
        "alone_sure": sure(alone(frequencies)),
        "rest": accuracy(rest, task, unseen),
        "rest_sure": sure(rest),
        "rest_of_training": accuracy(rest, task, ~unseen),
    }


def knows_the_list(step: int) -> dict[str, float] | None:
    """How well a checkpoint knows its training pairs without the key waves, and how large its weights are, if it still
    does. weights: the sum of the squares of all weights, from the card."""
    _, model, task, ks = subject(NETWORK, step)
    logits = last_logits(model, task)
    rest = accuracy(grokking.excluded_logits(logits, ks, task.sign), task, task.in_training)
    if rest < KNOWS:
        return None
    columns = zoo.card(NETWORK)["measures"]
    return {
        "step": step,
        "of_training": rest,
        "whole": accuracy(logits, task, ~task.in_training),
        "weights": columns["weights"][columns["step"].index(step)],
    }


def training_of(name: str) -> dict[str, Any]:
    """From the columns of a card: when the test loss turns, how good the waves are then, how large the weights get.

    half_right: the first step at which half of the unseen pairs are right. first_team: that at which a frequency has
    a team of neurons. Weights are the sum of the squares of all weights, which has no unit.
    """
    card = zoo.card(name)
    columns, curves = card["measures"], card["curves"]
    peak = columns["test_loss"].index(max(columns["test_loss"]))
    half = next((s for s, x in zip(columns["step"], columns["test_accuracy"], strict=True) if x >= 0.5), None)
    return {
        "peak_step": columns["step"][peak],
        "peak_test_loss": columns["test_loss"][peak],
        "restricted_loss_at_start": columns["restricted_loss"][0],
        "restricted_loss_at_peak": columns["restricted_loss"][peak],
        "half_right": half,
        "first_team": next((s for s, n in zip(columns["step"], columns["key_frequencies"], strict=True) if n), None),
        "weights_start": curves["weights"][0],
        "weights_most": max(curves["weights"]),
        "weights_end": curves["weights"][-1],
    }


# --- claims -----------------------------------------------------------------------------------------------------------


@claim
def one_wave() -> dict[str, Any]:
    """How many waves there are, and how high the answers beside the peak of a single one stand: "Beside the peak, the
    answers next on the circle are almost as high"."""
    p = subject().task.p
    return {"frequencies": (p - 1) // 2, "next_to_the_peak": math.cos(2 * math.pi / p)}


@claim
def mirrored() -> dict[str, Any]:
    """Pairs that training never showed, with and without their mirror image: "these were nearly all mirror images".

    Controls: the network at its end, which answers both; the network that only memorised.
    """
    return {
        "when_memorised": mirrored_of(memorised().model, memorised().task),
        "network": mirrored_of(subject().model, subject().task),
        "control": mirrored_of(subject(CONTROL).model, subject(CONTROL).task),
    }


@claim
def float32() -> dict[str, Any]:
    """What is left of the training loss and its gradient in float32: "At the end of training, float32 no longer shows
    the way down". Controls: when the list was just learned; the network that only memorised."""
    return {
        "when_memorised": rounding_of(memorised().model, memorised().task),
        "network": rounding_of(subject().model, subject().task),
        "control": rounding_of(subject(CONTROL).model, subject(CONTROL).task),
    }


@claim
def early() -> dict[str, Any]:
    """The losses of both networks in the middle of the plateau: "both networks know their training sums, with a loss of
    almost nothing. On other sums their loss is far above that of blind guessing"."""
    at: dict[str, Any] = {"step": EARLY}
    for which, name in (("network", NETWORK), ("control", CONTROL)):
        columns = zoo.card(name)["measures"]
        row = columns["step"].index(EARLY)
        at[which] = {key: columns[key][row] for key in ("train_loss", "test_loss")}
    return at


@claim
def energy() -> dict[str, Any]:
    """How much of the weights lies at the key frequencies: "A handful of frequencies have nearly all of it"; and "of
    what leads from the neurons to the answers". Control: the network that only memorised, at the same frequencies."""
    return {which: energy_of(subject(name)) for which, name in (("network", NETWORK), ("control", CONTROL))}


@claim
def circle() -> dict[str, Any]:
    """How round the embedding is in the plane of its strongest frequency: "It is a clock". Control: the plane of the
    same frequency in the network that only memorised."""
    k = int(grokking.spectrum(subject().model.W_E[: subject().task.p]).argmax()) + 1
    pairs = (("network", NETWORK), ("control", CONTROL))
    return {which: circle_of(subject(name).model, subject(name).task.p, k) for which, name in pairs}


@claim(slow=True)
def attention() -> dict[str, Any]:
    """How a and b reach "=": "*Where* a head looks depends on a and b, and it multiplies *what* it reads there".

    Controls: the network that subtracts, which bears frozen attention; the network that only memorised.
    """
    return each(lambda one: attention_of(one.model, one.task))


@claim
def swapped() -> dict[str, Any]:
    """How far the logits move if b is said before a: "Does the first treat a and b alike?" Controls: the network when
    the list was just learned; the network that only memorised."""
    return {
        "when_memorised": swapped_of(memorised().model, memorised().task),
        "network": swapped_of(subject().model, subject().task),
        "control": swapped_of(subject(CONTROL).model, subject(CONTROL).task),
    }


@claim
def neurons() -> dict[str, Any]:
    """ "How clean is it really?" How many of all neurons one frequency explains well."""
    live, explained = analysis().neurons.live, analysis().neurons.explained
    return {
        "count": len(live),
        "well_from": WELL,
        "well_explained_of_all": ((explained >= WELL) & live).double().mean().item(),
    }


@claim
def seeds() -> dict[str, Any]:
    """How many trainings there were, and in how many sets of frequencies they ended: "Three networks that began with
    other weights, and were shown other sums, have three different sets"."""
    runs = zoo.card(NETWORK)["runs"]
    return {"runs": len(runs), "sets": len({tuple(run["frequencies"]) for run in runs})}


@claim
def products() -> dict[str, Any]:
    """Of what goes into the neurons and comes out, the share that is a product of a wave in a and one in b: "Is it so
    in the network?" Controls: the network that subtracts, whose attention does not multiply; the one that memorised."""
    return each(lambda one: products_of(one.model, one.task, one.frequencies))


@claim
def waves() -> dict[str, Any]:
    """The two cruel experiments: "keep the waves, and take away *everything else*", and the other way round.

    Controls: as many other waves, drawn at random; the network that only memorised, without any waves.
    """
    found = each(lambda one: waves_of(analysis(one.name).inputs.logits, one.task, one.frequencies))
    return {**found, "draws": DRAWS}


@claim
def leftover() -> dict[str, Any]:
    """ "Why is that worse than guessing?" What the network says beside its waves."""
    return leftover_of(analysis().inputs.logits, subject().task, subject().frequencies)


@claim
def beside() -> dict[str, Any]:
    """The loss with waves of twice the key frequencies beside them: "Not every network is so clean". Controls: as many
    other waves; the network that adds, which has no need of them."""
    found = each(lambda one: beside_of(analysis(one.name).inputs.logits, one.task, one.frequencies))
    return {which: found[which] for which in ("network", "subtract")}


@claim
def training() -> dict[str, Any]:
    """ "When did the rule begin to grow?" and "How large are the weights?": the film, read off the curves."""
    return {"network": training_of(NETWORK), "control": training_of(CONTROL)}


@claim
def at_the_peak() -> dict[str, Any]:
    """What the waves know when the test loss is highest: "Look only at sums that were never shown". Controls: as many
    other waves; the rest of the logits."""
    return at_step(subject(NETWORK, int(training_of(NETWORK)["peak_step"])))


@claim(slow=True)
def under_the_list() -> dict[str, Any]:
    """ "Is that only hindsight?" The first checkpoint whose waves alone know the rule: what the network says, and what
    its waves say. Control: as many other waves. None if no checkpoint is so far."""
    return next((found for step in zoo.checkpoints(NETWORK) if (found := knows_the_rule(step))), None)


@claim(slow=True)
def last_list() -> dict[str, Any]:
    """The last checkpoint that still knows its list without the key waves: "Is the difference the price of the list? We
    cannot say so". None if no checkpoint is so far."""
    return next((found for step in reversed(zoo.checkpoints(NETWORK)) if (found := knows_the_list(step))), None)


def each(measured: Callable[[Subject], Any]) -> dict[str, Any]:
    """The same for the network that adds, the control, and the network that subtracts."""
    names = {"network": NETWORK, "control": CONTROL, "subtract": SECOND}
    return {which: measured(subject(name)) for which, name in names.items()}
