"""What chapter 02 says about the two induction models, measured: every figure that its lesson quotes, with its control.

All losses are in nats a token, on 256 sequences of known words in block lengths from 8 to 24
(`induction_checks.known_sample`); means for mean ablation come from other sequences of the same shape.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from mi_lib import induction
from mi_lib.induction.loss import split_loss
from mi_lib.models import HookedModel, Transformer
from mi_lib.recipes.induction import checks
from mi_lib.worlds import repeats
from mi_lib.worlds.repeats import Repeats

Head = tuple[int, int]
KINDS = ("zero", "mean", "pattern_preserving")
EARLY = 400  # a checkpoint after the heads formed, and before they pay rent
BETTER = 0.1  # one training is ahead of another once its loss is lower by this share


def losses(model: HookedModel) -> dict[str, float]:
    """On first copies, on later ones, on those of their words that can be known, and on the first word of each."""
    sample = checks.known_sample()
    with torch.no_grad():
        loss = induction.per_token_loss(model(sample.tokens), sample.tokens)
    first, second = split_loss(loss, sample)
    known = sample.predictable[:, :-1]
    opening = sample.second[:, 1:] & ~known
    return {
        "first": first,
        "second": second,
        "predictable": loss[known].mean().item(),
        "opening": loss[opening].mean().item(),
        "words": len(repeats.TRAIN_TOKENS),
        "even_bet": math.log(len(repeats.TRAIN_TOKENS)),  # the same probability for each word of the training
    }


def bets(model: HookedModel) -> dict[str, float]:
    """Where the next word can be known: the probability on words that this sequence has had, and how it is spread."""
    sample = checks.known_sample()
    with torch.no_grad():
        probabilities = model(sample.tokens).softmax(-1)
    batch, pos = sample.predictable[:, :-1].nonzero(as_tuple=True)
    seen = _seen(sample, probabilities.shape[-1])[batch, pos]  # [place d_vocab]
    on_seen = (probabilities[batch, pos] * seen).sum(-1)
    on_right = probabilities[batch, pos, sample.tokens[batch, pos + 1]]
    return {
        "on_seen": on_seen.mean().item(),
        "right_of_seen": (on_right / on_seen).mean().item(),
        "right_if_even": (1 / seen.sum(-1)).mean().item(),
    }


def _seen(sample: Repeats, d_vocab: int) -> Bool[Tensor, "batch pos d_vocab"]:
    """Which words a position has before it or at it, <bos> left out."""
    seen = torch.nn.functional.one_hot(sample.tokens, d_vocab).cumsum(1) > 0
    seen[..., repeats.BOS_TOKEN] = False
    return seen


def circuit(model: Transformer, early: Transformer) -> dict[str, Any]:
    """Which heads form the circuit, what the loss becomes without them, and how the two halves meet."""
    sample = checks.known_sample()
    measured = checks.scores(model, checks.held_out_samples())
    found = checks.circuit(model, measured)
    alike = [(1, head) for head in range(model.cfg.n_heads) if measured["prefix_matching"][1, head] >= checks.MEMBER]
    groups = {"induction": found.induction, "previous": found.previous, "others": found.others}
    late, young = _worths(model, sample), _worths(early, sample)
    return {
        **{name: [list(head) for head in heads] for name, heads in groups.items()},
        "others_count": len(found.others),
        "loss_without": {name: without(model, heads) for name, heads in groups.items()},
        "first_without": {name: split_without(model, heads)[0] for name, heads in groups.items()},
        "look_alikes": len(alike),
        "members": len(found.induction),
        "prefix_matching": measured["prefix_matching"][1].tolist(),
        **late,
        "induction_worth": _of(late["worth"], found.induction[0]),
        "previous_worth": _of(late["worth"], found.previous[0]),
        "on_bos_in_first_copies": on_bos(model, found.induction[0], sample, sample.first),
        "on_bos_when_known": on_bos(model, found.induction[0], sample, sample.predictable),
        "on_bos_untrained": on_bos(checks.untrained(model), found.induction[0], sample, sample.first),
        "k": _k_composition(model, found),
        "copying": _copying(model, found),
        "cut": {site: loss_with_cut(model, found, site) for site in "qkv"},
        "moved_notes": {"as_it_is": moved_notes(model, found, 0), "moved": moved_notes(model, found, 1)},
        "alikes_without": _alikes_without(model, found, alike),
        "early": {
            "step": EARLY,
            **young,
            "most_in_layer_1": max(young["worth"][1]),
            "all_of_layer_1": checks.loss_brought_back(early, sample, [(1, head) for head in range(early.cfg.n_heads)]),
            "alikes_without": _alikes_without(early, found, alike),
            **{f"{name}_lost": checks.loss_brought_back(early, sample, heads) for name, heads in groups.items()},
        },
    }


def without(model: HookedModel, heads: list[Head]) -> dict[str, float]:
    """Loss on later copies without these heads, for each kind of ablation."""
    return {kind: split_without(model, heads, kind)[1] for kind in KINDS}


def split_without(model: HookedModel, heads: list[Head], kind: Any = "zero") -> tuple[float, float]:
    """Loss on first and on later copies without these heads."""
    sample = checks.known_sample()
    elsewhere = repeats.sample(len(sample.tokens), seed=checks.KNOWN_SEED + 1, period=(8, 24)).tokens
    logits = induction.ablate_heads(model, sample.tokens, heads, kind, elsewhere if kind == "mean" else None)
    return split_loss(induction.per_token_loss(logits, sample.tokens), sample)


def _worths(model: Transformer, sample: Repeats) -> dict[str, list[list[float]]]:
    """[layer head]: ‖W_V W_O‖, and the share of what later copies save that is lost without this head."""
    cfg = model.cfg
    worth = [
        [checks.loss_brought_back(model, sample, [(layer, head)]) for head in range(cfg.n_heads)]
        for layer in range(cfg.n_layers)
    ]
    return {"writes": induction.FactoredMatrix(model.W_V, model.W_O).norm().tolist(), "worth": worth}


def _of(table: list[list[float]], head: Head) -> float:
    return table[head[0]][head[1]]


def on_bos(model: HookedModel, head: Head, sample: Repeats, where: Bool[Tensor, "batch pos"]) -> float:
    """The mean attention of a head to <bos>, over the positions of a mask."""
    return pattern(model, sample, head)[..., 0][where].mean().item()


def pattern(model: HookedModel, sample: Repeats, head: Head, edits: list[Any] | None = None) -> Tensor:
    """The pattern of one head, [batch query key], in a run with edits."""
    with model.hooks(edits or []):
        _, cache = model.run_with_cache(sample.tokens, ("pattern", head[0]))
    return cache["pattern", head[0]][:, head[1]]


def _k_composition(model: Transformer, found: checks.Circuit) -> dict[str, Any]:
    chance, spread = induction.composition_baseline(model, "K")
    pairs = checks.k_composition(model)
    others = [head for head in range(len(pairs)) if (0, head) not in found.previous]
    blank = checks.k_composition(checks.untrained(model))
    writer, reader = divmod(int(pairs.argmax()), pairs.shape[1])
    return {
        "pairs": pairs.tolist(),
        "chance": chance,
        "spread": spread,
        "strongest": pairs.max().item(),
        "strongest_pair": [[0, writer], [1, reader]],
        "least_with_previous": pairs[[head for _, head in found.previous]].min().item(),
        "other_writers": pairs[others].max().item(),
        "untrained": blank.abs().max().item(),
    }


def _copying(model: Transformer, found: checks.Circuit) -> dict[str, Any]:
    """Copying scores by eigenvalues."""
    scores = induction.copying_score_eigenvalues(model)
    return {
        "scores": scores.tolist(),
        "induction": scores[found.induction[0]].item(),
        "previous": scores[found.previous[0]].item(),
        "untrained": induction.copying_score_eigenvalues(checks.untrained(model)).abs().max().item(),
    }


def loss_with_cut(model: Transformer, found: checks.Circuit, site: str) -> float:
    """Loss on later copies if one of q, k, v of the induction head is computed without what the previous-token head
    writes; the other two, and everything else, still read it."""
    sample = checks.known_sample()
    (layer, head), (below, writer) = found.induction[0], found.previous[0]
    reads = {"q": model.W_Q, "k": model.W_K, "v": model.W_V}[site][layer, head]
    _, cache = model.run_with_cache(sample.tokens, ("z", below))
    written = cache["z", below][:, :, writer] @ model.W_O[below, writer]

    def cut(value: Tensor, hook: Any) -> Tensor:
        value = value.clone()
        value[:, :, head] -= written @ reads
        return value

    logits = model.run_with_hooks(sample.tokens, [((site, layer), cut)])
    return split_loss(induction.per_token_loss(logits, sample.tokens), sample)[1]


def moved_notes(model: Transformer, found: checks.Circuit, places: int) -> dict[str, float]:
    """What the previous-token head writes is moved so many places to the left. Where does the induction head look then,
    and what does the model say? Shares, where the next word can be known."""
    sample = checks.known_sample()
    (layer, head), (below, writer) = found.induction[0], found.previous[0]
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
        "says_next": (said == sample.tokens[:, 1:])[known].float().mean().item(),
        "says_present": (said == sample.tokens[:, :-1])[known].float().mean().item(),
    }


def _alikes_without(model: Transformer, found: checks.Circuit, alike: list[Head]) -> dict[str, dict[str, float]]:
    """How well these heads of layer 1 look one past the earlier occurrence (lowest and highest score) on held-out
    words: as they are, without the previous-token head, and without all other heads of layer 0."""
    others = [head for head in found.others if head[0] == 0]
    result = {}
    for name, silent in (("nothing", []), ("previous", found.previous), ("others", others)):
        scores = _scores_without(model, silent, alike)
        result[name] = {"lowest": min(scores), "highest": max(scores)}
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


def birth(curves: dict[str, list], control: dict[str, list]) -> dict[str, Any]:
    """When the heads formed, read off the curves of a training. control: those of the one-layer training.

    For the previous-token scores of layer 0 and the prefix-matching scores of layer 1: the first recorded step at which
    some head has a quarter, and one half; and which head is the best of its layer when half is reached. At the step
    where layer 0 has its quarter: how far the heads of layer 1 are, how far they were one record before, and the loss
    on later copies, beside the control's.
    """
    scores = {
        "previous": [layers[0] for layers in curves["previous_token"]],
        "induction": [layers[1] for layers in curves["prefix_matching"]],
    }
    result: dict[str, Any] = {}
    for name, by_step in scores.items():
        for mark, bound in (("quarter", 0.25), ("half", 0.5)):
            at = next(i for i, heads in enumerate(by_step) if max(heads) >= bound)
            result[f"{name}_{mark}"] = curves["step"][at]
        result[f"{name}_head"] = by_step[at].index(max(by_step[at]))
    at = curves["step"].index(result["previous_quarter"])
    result["at_previous_quarter"] = {
        "induction_least": min(scores["induction"][at]),
        "induction_most_before": max(scores["induction"][at - 1]),
        "second": curves["second"][at],
        "second_of_control": control["second"][control["step"].index(curves["step"][at])],
    }
    return result


def most_ever(curves: dict[str, list], name: str) -> float:
    """The highest score of any head at any recorded step of a training."""
    return max(max(heads) for layers in curves[name] for heads in layers)


def fall(curves: dict[str, list]) -> dict[str, int]:
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


def gpt2_parameters() -> int:
    """How many numbers GPT-2 (small) has, counted in an empty model."""
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.device("meta"):
        return GPT2LMHeadModel(GPT2Config()).num_parameters()
