"""What chapter 03 finds in the networks that do arithmetic mod p, measured for their cards, each with its control.

Everything is measured on the shipped weights and checkpoints, so it needs no training run.

`python -m mi_lib.recipes.grokking_reading` measures it again, and writes it on the three cards.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mi_lib import grokking, load, zoo
from mi_lib.models import Hook, HookedModel, Transformer
from mi_lib.recipes.grokking import checks
from mi_lib.recipes.grokking.card import CONTROL, DRAWS, NETWORK, SECOND, other_frequencies
from mi_lib.worlds.modular import Modular

WELL = 0.85  # a neuron is well explained at this share (Nanda et al. 2023, section 4.2)
KNOWS = 0.9  # a part of the logits knows the rule, or the list, at this accuracy on unseen pairs, or on training pairs


def last_logits(
    model: HookedModel, task: Modular, edits: Sequence[Any] = (), order: Sequence[int] = (0, 1, 2)
) -> Float[Tensor, "pairs answer"]:
    """The logits of the p answers after "=", float64, under these edits. order: in which a, b and "=" are said."""
    with torch.no_grad():
        return model.run_with_hooks(task.tokens[:, list(order)], list(edits))[:, -1, : task.p].double()


def accuracy(logits: Float[Tensor, "pairs answer"], task: Modular, rows: Bool[Tensor, " pairs"] | None = None) -> float:
    rows = torch.ones(len(logits), dtype=torch.bool) if rows is None else rows
    return grokking.accuracy(logits[rows], task.answers[rows])


def mirrored(model: HookedModel, task: Modular) -> dict[str, float]:
    """Accuracy on pairs that training never showed: those whose mirror image (b, a) it did show, and the others."""
    mirror = task.in_training.view(task.p, task.p).T.reshape(-1)
    logits, unseen = last_logits(model, task), ~task.in_training
    return {"seen": accuracy(logits, task, unseen & mirror), "unseen": accuracy(logits, task, unseen & ~mirror)}


def rounding(model: HookedModel, task: Modular) -> dict[str, float]:
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


def attention(model: HookedModel, task: Modular) -> dict[str, Any]:
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


def swapped(model: HookedModel, task: Modular) -> float:
    """How far the logits move if b is said before a: the squared difference, as a share of the logits' variance over
    all pairs. 0 if a and b are treated alike; 2 if the two orders had nothing to do with each other.

    On the logits, since equal answers would say nothing about a network that is always right.
    """
    logits, other = last_logits(model, task), last_logits(model, task, order=(1, 0, 2))
    return ((other - logits).pow(2).sum() / (logits - logits.mean(0)).pow(2).sum()).item()


def products(model: HookedModel, task: Modular, frequencies: Sequence[int]) -> dict[str, float]:
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


def strongest(name: str) -> int:
    """The strongest frequency of the embedding. The control is looked at where its network is looked at."""
    network = load(NETWORK if name == CONTROL else name)
    embedding = network.W_E[: zoo.card(name)["recipe"]["p"]]  # type: ignore[attr-defined]
    return int(grokking.spectrum(embedding).argmax()) + 1


def circle(model: HookedModel, p: int, k: int) -> dict[str, float]:
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


def matrices(model: Any, p: int, frequencies: Sequence[int]) -> dict[str, float]:
    """The share of the energy at these frequencies: embedding, unembedding, and from neurons to logits."""
    to_logits = model.blocks[0].mlp.W_out @ model.W_U
    tables = {"W_E": model.W_E[:p], "W_U": model.W_U[:, :p].T, "W_L": to_logits[:, :p].T}
    return {name: sum(grokking.spectrum(x)[k - 1].item() for k in frequencies) for name, x in tables.items()}


def waves(logits: Float[Tensor, "pairs answer"], task: Modular, frequencies: Sequence[int]) -> dict[str, float]:
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


def leftover(logits: Float[Tensor, "pairs answer"], task: Modular, frequencies: Sequence[int]) -> dict[str, float]:
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


def beside(logits: Float[Tensor, "pairs answer"], task: Modular, frequencies: Sequence[int]) -> dict[str, float]:
    """The loss with the key waves and, beside them, their second harmonics or as many other waves (the lowest)."""
    harmonics = {grokking.harmonic(k, task.p) for k in frequencies} - set(frequencies)

    def loss(ks: Sequence[int]) -> float:
        return grokking.loss(grokking.restricted_logits(logits, [*frequencies, *ks], task.sign), task.answers)

    drawn = other_frequencies(task.p, [*frequencies, *harmonics], len(harmonics))
    return {"harmonics": loss(sorted(harmonics)), "others": min(map(loss, drawn))}


def under_the_list(name: str, task: Modular, frequencies: Sequence[int]) -> dict[str, float] | None:
    """The first checkpoint whose waves alone know the rule: what the network says, and what its waves say.

    On pairs that training never showed. None if no checkpoint is so far.
    """
    unseen, others = ~task.in_training, other_frequencies(task.p, frequencies, len(frequencies))
    for step in zoo.checkpoints(name):
        logits = last_logits(load(name, checkpoint=step), task)
        alone = accuracy(grokking.restricted_logits(logits, frequencies, task.sign), task, unseen)
        if alone >= KNOWS:
            drawn = [accuracy(grokking.restricted_logits(logits, ks, task.sign), task, unseen) for ks in others]
            return {"step": step, "whole": accuracy(logits, task, unseen), "alone": alone, "others_alone": max(drawn)}
    return None


def at_step(name: str, task: Modular, frequencies: Sequence[int], step: int) -> dict[str, float] | None:
    """A checkpoint, its waves alone and the rest of its logits, on pairs that training never showed.

    sure: the mean probability of whatever answer comes out first. None if there is no such checkpoint.
    """
    if step not in zoo.checkpoints(name):
        return None
    unseen, logits = ~task.in_training, last_logits(load(name, checkpoint=step), task)

    def alone(ks: Sequence[int]) -> Tensor:
        return grokking.restricted_logits(logits, ks, task.sign)

    def sure(values: Tensor) -> float:
        return values[unseen].softmax(-1).amax(-1).mean().item()

    rest = grokking.excluded_logits(logits, frequencies, task.sign)
    drawn = other_frequencies(task.p, frequencies, len(frequencies))
    return {
        "step": step,
        "whole": accuracy(logits, task, unseen),
        "alone": accuracy(alone(frequencies), task, unseen),
        "others_alone": max(accuracy(alone(ks), task, unseen) for ks in drawn),
        "alone_sure": sure(alone(frequencies)),
        "rest": accuracy(rest, task, unseen),
        "rest_sure": sure(rest),
        "rest_of_training": accuracy(rest, task, ~unseen),
    }


def last_list(name: str, task: Modular, frequencies: Sequence[int]) -> dict[str, float] | None:
    """The last checkpoint that still knows its list without the key waves, and how large its weights are.

    weights: the sum of the squares of all weights, from the card. None if no checkpoint is so far.
    """
    columns = zoo.card(name)["measures"]
    for step in reversed(zoo.checkpoints(name)):
        logits = last_logits(load(name, checkpoint=step), task)
        rest = accuracy(grokking.excluded_logits(logits, frequencies, task.sign), task, task.in_training)
        if rest >= KNOWS:
            weights = columns["weights"][columns["step"].index(step)]
            return {
                "step": step,
                "of_training": rest,
                "whole": accuracy(logits, task, ~task.in_training),
                "weights": weights,
            }
    return None


def training(card: dict[str, Any]) -> dict[str, float]:
    """From the columns of the card: when the test loss turns, how good the waves are then, how large the weights get.

    half_right: the first step at which half of the unseen pairs are right. first_team: that at which a frequency has
    a team of neurons. Weights are the sum of the squares of all weights, which has no unit.
    """
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


def measure(name: str) -> dict[str, Any]:
    """What the chapter says about one of the networks, for its card."""
    card, task, model = zoo.card(name), checks.task_of(name), load(name)
    ks, found, over = card["measured_with"], grokking.analyse(model), card["phases"]
    live = found.neurons.live
    return {
        "mirrored_when_memorised": mirrored(load(name, checkpoint=over["memorised"]), task),
        "mirrored": mirrored(model, task),
        "float32_when_memorised": rounding(load(name, checkpoint=over["memorised"]), task),
        "float32": rounding(model, task),
        "attention": attention(model, task),
        "products": products(model, task, ks),
        "swapped_when_memorised": swapped(load(name, checkpoint=over["memorised"]), task),
        "swapped": swapped(model, task),
        "circle": circle(model, task.p, strongest(name)),
        "energy": matrices(model, task.p, ks),
        "harmonics_in_W_E": checks.embedding_energy(found, ks) - matrices(model, task.p, ks)["W_E"],
        "neurons": len(live),
        "well_explained_of_all": ((found.neurons.explained >= WELL) & live).double().mean().item(),
        "draws": DRAWS,
        "waves": waves(found.inputs.logits, task, ks),
        "leftover": leftover(found.inputs.logits, task, ks),
        "beside": beside(found.inputs.logits, task, ks),
        "under_the_list": under_the_list(name, task, ks),
        "at_the_peak": at_step(name, task, ks, int(training(card)["peak_step"])),
        "last_list": last_list(name, task, ks),
        "training": training(card),
    }


def write(name: str) -> dict[str, Any]:
    """Measure a shipped network again, and write what is found on its card."""
    file = zoo.folder(name) / "card.json"
    card = json.loads(file.read_text())
    card["reading"] = measure(name)
    file.write_text(json.dumps(card, separators=(",", ":")) + "\n")
    return card["reading"]


def main() -> None:
    for name in (NETWORK, CONTROL, SECOND):
        print(name, json.dumps(write(name), indent=2))


if __name__ == "__main__":
    main()
