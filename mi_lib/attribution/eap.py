"""Edge attribution patching: what patching every edge would do, to first order, all edges at once.

    EAP       (z'_u − z_u) · ∂m/∂(what v reads), at the clean run        (Syed et al. 2023, arXiv 2310.10348, section 3)
    EAP-IG    the same, with the gradient averaged over runs whose embeddings lie between those of the two
              prompts                                                   (Hanna et al. 2024, arXiv 2403.17806, section 3)

z_u is what a sender writes in the clean run, z'_u in the corrupted one. A receiver reads the stream **before** its
norm, as in the papers: the gradient goes back through the norm with its scale, which is not frozen. The usual way is a
forward pass in which each head has q, k and v inputs of its own, three copies of the stream for every head. Nothing of
that is needed, for what v reads reaches q, k and v of the head by a norm and a matrix:

    1. one forward and one backward pass (for each step of EAP-IG) give ∂m/∂q, ∂m/∂k and ∂m/∂v of every head
    2. times W_Qᵀ, W_Kᵀ or W_Vᵀ, and back through the norm, that is the gradient of each head's own input
    3. the differences of all senders, times the gradients of all receivers, are all edges: one matrix product

All values are shares of the range, divided by m_corrupted − m_clean: an estimate of `edge_effects`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mi_lib.attribution.edges import check_writers
from mi_lib.attribution.inputs import Rule, gradients, path
from mi_lib.attribution.pairs import Metric, PromptPairs, metric_range, read_pairs
from mi_lib.models import ActivationCache, Hook, HookedModel
from mi_lib.models.graph import Edge, all_edges, receivers, senders
from mi_lib.models.hooked import Input

Site = tuple[str, int]
Streams = Float[Tensor, "node batch pos d_model"]


def eap(
    model: HookedModel,
    clean: Input,
    corrupted: Input,
    metric: Metric,
    *,
    attention_mask: Tensor | None = None,
) -> dict[Edge, Float[Tensor, " batch"]]:
    """EAP of every edge that the model can have, for each pair. Two forward passes and a backward pass.

    ValueError as `edge_effects`, and for a metric that does not use the logits.
    """
    pairs = read_pairs(model, clean, corrupted, attention_mask)
    after, said_then = _run(model, pairs.corrupted, pairs, metric)
    before, said_now, heard = _run_back(model, pairs.clean, pairs, metric)
    return _edges(model, said_then, said_now, heard, metric_range(before, after))


def eap_ig(
    model: HookedModel,
    clean: Input,
    corrupted: Input,
    metric: Metric,
    *,
    steps: int = 5,
    rule: Rule = "riemann",
    attention_mask: Tensor | None = None,
) -> dict[Edge, Float[Tensor, " batch"]]:
    """EAP-IG of every edge: the gradient is the mean over `steps` runs from the corrupted to the clean embeddings.

    rule: where on the way, see `inputs.path`; "riemann" is the paper's. Two forward passes, and another with a backward
    pass for each step. Errors as `eap`.
    """
    pairs = read_pairs(model, clean, corrupted, attention_mask)
    after, said_then = _run(model, pairs.corrupted, pairs, metric)
    before, said_now = _run(model, pairs.clean, pairs, metric)
    whole = metric_range(before, after)
    start, end = said_then["embed"], said_now["embed"]
    heard: Streams | None = None
    for alpha, weight in path(steps, rule):
        between = start + alpha * (end - start)

        def put(value: Tensor, hook: Hook, between: Tensor = between) -> Tensor:
            return between

        with model.hooks([("embed", put)]):
            now = weight * _run_back(model, pairs.clean, pairs, metric)[2]
        heard = now if heard is None else heard + now
    assert heard is not None
    return _edges(model, said_then, said_now, heard, whole)


def _written(model: HookedModel) -> list[str]:
    """The sites at which one reads what is written: z stands for the heads."""
    sites: list[str | Site] = ["embed", *(["pos_embed"] if model.cfg.positions == "learned" else [])]
    for layer in range(model.cfg.n_layers):
        sites += [("z", layer), *([("mlp_out", layer)] if model.cfg.d_mlp else [])]
    return model._resolve(sites)


def _readers(model: HookedModel) -> list[Site]:
    """The sites at whose gradient one sees what readers make of the stream."""
    sites: list[Site] = []
    for layer in range(model.cfg.n_layers):
        sites += [("q", layer), ("k", layer), ("v", layer), *([("mlp_in", layer)] if model.cfg.d_mlp else [])]
    return [*sites, ("resid_post", model.cfg.n_layers - 1)]


def _run(model: HookedModel, tokens: Tensor, pairs: PromptPairs, metric: Metric) -> tuple[Tensor, ActivationCache]:
    check_writers(model)
    with torch.no_grad():
        logits, said = model.run_with_cache(tokens, _written(model), attention_mask=pairs.mask)
        return metric(logits), said


def _run_back(
    model: HookedModel, tokens: Tensor, pairs: PromptPairs, metric: Metric
) -> tuple[Tensor, ActivationCache, Streams]:
    """The metric, what is written, and the gradient with respect to what every receiver reads, in their order."""
    sites = _readers(model)
    streams = [("resid_pre", layer) for layer in range(model.cfg.n_layers)] if model.cfg.norm != "none" else []
    names = model._resolve([*_written(model), *sites, *streams])
    logits, cache = model.run_with_cache(tokens, names, attention_mask=pairs.mask, grad=True)
    with torch.enable_grad():
        found = metric(logits)
    slopes = gradients(found, [cache[site] for site in sites], model._resolve(sites))
    with torch.no_grad():
        return found.detach(), cache, _heard(model, cache, dict(zip(sites, slopes, strict=True)))


def _heard(model: HookedModel, cache: ActivationCache, slope: dict[Site, Tensor]) -> Streams:
    """∂m/∂(what v reads) for all receivers v, in the order of `graph.receivers`."""
    found, shared = [], model.cfg.n_heads // model.cfg.kv_heads
    weights = {"q": model.W_Q, "k": model.W_K[:, ::shared], "v": model.W_V[:, ::shared]}
    for layer in range(model.cfg.n_layers):
        norm = model.pre_norm(layer, "attn")
        own = {}
        for which in "qkv":
            read = torch.einsum("bphd,hmd->hbpm", slope[which, layer], weights[which][layer])
            own[which] = read if norm is None else _before_norm(model, norm, cache["resid_pre", layer], read)
        for head in range(model.cfg.n_heads):
            found.append(own["q"][head])
            if head % shared == 0:  # heads that share keys and values read them once
                found += [own["k"][head // shared], own["v"][head // shared]]
        if model.cfg.d_mlp:
            found.append(slope["mlp_in", layer])
    return torch.stack([*found, slope["resid_post", model.cfg.n_layers - 1]])


def _before_norm(model: HookedModel, norm: nn.Module, x: Float[Tensor, "batch pos d_model"], slope: Streams) -> Streams:
    """The gradient with respect to what enters a norm, from that with respect to what leaves it.

    y = x̂ w + b with x̂ = (x − mean) / s and s = √(mean square + ε), so that with g = w ∂m/∂y
    ∂m/∂x = (g − mean(g) − x̂ mean(g x̂)) / s. RMSNorm subtracts no mean, in x̂ and here.
    """
    weight, _, epsilon, centred = model.norm_parts(norm)
    x = x - x.mean(-1, keepdim=True) if centred else x
    scale = (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt()
    x, slope = x / scale, slope * weight
    back = slope - x * (slope * x).mean(-1, keepdim=True)
    return (back - slope.mean(-1, keepdim=True) if centred else back) / scale


def _said(model: HookedModel, then: ActivationCache, now: ActivationCache) -> Streams:
    """z'_u − z_u for all senders u, in the order of `graph.senders`."""
    W_O, embed = model.W_O, then["embed"] - now["embed"]
    found = [embed]
    if model.cfg.positions == "learned":
        found.append((then["pos_embed"] - now["pos_embed"]).expand_as(embed))
    for layer in range(model.cfg.n_layers):
        found += torch.einsum("bphd,hdm->hbpm", then["z", layer] - now["z", layer], W_O[layer])
        if model.cfg.d_mlp:
            found.append(then["mlp_out", layer] - now["mlp_out", layer])
    return torch.stack(found)


def _edges(
    model: HookedModel, then: ActivationCache, now: ActivationCache, heard: Streams, whole: Float[Tensor, " batch"]
) -> dict[Edge, Float[Tensor, " batch"]]:
    """All edges: one matrix product of what senders say and what receivers would make of it."""
    with torch.no_grad():
        table = torch.einsum("sbpm,rbpm->srb", _said(model, then, now), heard) / -whole
    row = {name: i for i, name in enumerate(senders(model.cfg))}
    column = {name: i for i, name in enumerate(receivers(model.cfg))}
    edges = all_edges(model.cfg)
    values = table[[row[edge.sender] for edge in edges], [column[edge.receiver] for edge in edges]]
    return dict(zip(edges, values.unbind(), strict=True))
