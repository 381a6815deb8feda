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
    3. the differences of all senders, times the gradients of a layer's receivers, are the edges into that layer: one
       matrix product. So no more than one layer's inputs are held at a time

All values are shares of the range, divided by m_corrupted − m_clean: an estimate of `edge_effects`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mi_lib.attribution.edges import check_writers
from mi_lib.attribution.inputs import Rule, gradients, path
from mi_lib.attribution.pairs import Metric, PromptPairs, metric_range, read_pairs
from mi_lib.models import Hook, HookedModel
from mi_lib.models.config import ModelConfig
from mi_lib.models.graph import LOGITS, Edge, all_edges, head_name, mlp_name, receivers, senders
from mi_lib.models.hooked import Input
from mi_lib.models.sites import layer_of

Site = tuple[str, int]
Nodes = Float[Tensor, "node batch pos d_model"]
Table = Float[Tensor, "batch sender receiver"]
Values = dict[str, Tensor]  # by the full names of sites


def eap(
    model: HookedModel,
    clean: Input,
    corrupted: Input,
    metric: Metric,
    *,
    attention_mask: Tensor | None = None,
    logits_to_keep: int = 0,
) -> dict[Edge, Float[Tensor, " batch"]]:
    """EAP of every edge that the model can have, for each pair. Two forward passes and a backward pass.

    metric: with `logits_to_keep = n` it sees the logits of the last n positions alone, which is quicker.
    ValueError as `edge_effects`, and for a metric that does not use the logits.
    """
    pairs = read_pairs(model, clean, corrupted, attention_mask)
    after, then = _run(model, pairs.corrupted, pairs, metric, logits_to_keep)
    before, now, slopes = _run_back(model, pairs.clean, pairs, metric, logits_to_keep)
    whole = metric_range(before, after)
    return _edges(model, _table(model, _said(model, then, now), now, slopes), whole)


def eap_ig(
    model: HookedModel,
    clean: Input,
    corrupted: Input,
    metric: Metric,
    *,
    steps: int = 5,
    rule: Rule = "riemann",
    attention_mask: Tensor | None = None,
    logits_to_keep: int = 0,
) -> dict[Edge, Float[Tensor, " batch"]]:
    """EAP-IG of every edge: the gradient is the mean over `steps` runs from the corrupted to the clean embeddings.

    rule: where on the way, see `inputs.path`; "riemann" is the paper's, k / steps for k = 1 … steps (the authors' code,
        hannamw/EAP-IG, takes k = 0 … steps − 1). A forward pass of the corrupted prompts, a forward and a backward pass
        for each step, and a forward pass of the clean prompts unless they are a step. Otherwise as `eap`.
    """
    pairs = read_pairs(model, clean, corrupted, attention_mask)
    after, then = _run(model, pairs.corrupted, pairs, metric, logits_to_keep)
    way = sorted(path(steps, rule), reverse=True)
    if way[0][0] == 1:
        before, now, slopes = _run_back(model, pairs.clean, pairs, metric, logits_to_keep)
    else:
        before, now = _run(model, pairs.clean, pairs, metric, logits_to_keep)
    whole, change = metric_range(before, after), _said(model, then, now)
    (embed,) = model._resolve("embed")
    start, end = then[embed], now[embed]
    table: Table | float = 0.0
    for alpha, weight in way:
        here = now
        if alpha != 1:

            def put(value: Tensor, hook: Hook, between: Tensor = start + alpha * (end - start)) -> Tensor:
                return between

            with model.hooks([("embed", put)]):
                _, here, slopes = _run_back(model, pairs.clean, pairs, metric, logits_to_keep)
        table = table + weight * _table(model, change, here, slopes)
    assert isinstance(table, Tensor)
    return _edges(model, table, whole)


def _written(model: HookedModel) -> list[str]:
    """The sites at which one reads what is written: z stands for the heads."""
    sites: list[str | Site] = ["embed", *(["pos_embed"] if model.cfg.positions == "learned" else [])]
    for layer in range(model.cfg.n_layers):
        sites += [("z", layer), *([("mlp_out", layer)] if model.cfg.d_mlp else [])]
    return model._resolve(sites)


def _readers(model: HookedModel) -> list[str]:
    """The sites at whose gradient one sees what readers make of the stream."""
    sites: list[Site] = []
    for layer in range(model.cfg.n_layers):
        sites += [("q", layer), ("k", layer), ("v", layer), *([("mlp_in", layer)] if model.cfg.d_mlp else [])]
    return model._resolve([*sites, ("resid_post", model.cfg.n_layers - 1)])


def _run(
    model: HookedModel, tokens: Tensor, pairs: PromptPairs, metric: Metric, keep: int
) -> tuple[Float[Tensor, " batch"], Values]:
    """The metric, and what is written."""
    check_writers(model)
    with torch.no_grad():
        logits, said = model.run_with_cache(tokens, _written(model), attention_mask=pairs.mask, logits_to_keep=keep)
        return metric(logits), dict(said.items())


def _run_back(
    model: HookedModel, tokens: Tensor, pairs: PromptPairs, metric: Metric, keep: int
) -> tuple[Float[Tensor, " batch"], Values, Values]:
    """The metric, what is written and the stream that each block reads, and the gradients at the readers' sites."""
    sites = _readers(model)
    streams = [("resid_pre", layer) for layer in range(model.cfg.n_layers)] if model.cfg.norm != "none" else []
    names = model._resolve([*_written(model), *sites, *streams])
    logits, cache = model.run_with_cache(tokens, names, attention_mask=pairs.mask, logits_to_keep=keep, grad=True)
    with torch.enable_grad():
        found = metric(logits)
    slopes = gradients(found, [cache[site] for site in sites], sites)
    held = {name: cache[name].detach() for name in names if name not in sites}
    return found.detach(), held, dict(zip(sites, slopes, strict=True))


def _said(model: HookedModel, then: Values, now: Values) -> Nodes:
    """z'_u − z_u for all senders u, in the order of `graph.senders`; in float32 at least, as all that follows."""
    names = senders(model.cfg)
    wide = torch.promote_types(model.dtype, torch.float32)
    with torch.no_grad():
        change = {name: then[name].to(wide) - now[name].to(wide) for name in _written(model)}
        embed = change.pop("hook_embed")
        found = embed.new_empty(len(names), *embed.shape)
        found[0] = embed
        if "hook_pos_embed" in change:
            found[1] = change.pop("hook_pos_embed")
        for name, value in change.items():
            layer = layer_of(name)
            assert layer is not None
            if name.endswith("hook_z"):
                first = names.index(head_name(layer, 0))
                out = found[first : first + model.cfg.n_heads]
                out[:] = torch.einsum("bphd,hdm->hbpm", value, model._weight("W_O", layer).to(wide))
            else:
                found[names.index(mlp_name(layer))] = value
        return found


def _table(model: HookedModel, change: Nodes, now: Values, slopes: Values) -> Table:
    """Σ over positions of (z'_u − z_u) · ∂m/∂(what v reads); 0 for senders u that have not written when v reads."""
    column = {name: i for i, name in enumerate(receivers(model.cfg))}
    table = change.new_zeros(change.shape[1], len(change), len(column))
    with torch.no_grad():
        said = change.flatten(2).transpose(0, 1)  # [batch sender pos·d_model]
        for names, written, heard in _heard(model, now, slopes):
            # As `bmm`, which takes these views as they are, where an einsum would copy them.
            product = torch.bmm(heard.to(change).flatten(2).transpose(0, 1), said[:, :written].mT)
            table[:, :written, [column[name] for name in names]] = product.mT
    return table


def _heard(model: HookedModel, now: Values, slopes: Values) -> Iterator[tuple[list[str], int, Nodes]]:
    """∂m/∂(what v reads) for the receivers v of each layer, and how many senders have written when they read."""
    cfg = model.cfg
    shared = cfg.n_heads // cfg.kv_heads  # heads that share keys and values read them once
    written = 2 if cfg.positions == "learned" else 1
    for layer in range(cfg.n_layers):
        norm, block = model.pre_norm(layer, "attn"), f"blocks.{layer}"
        slope = torch.cat([slopes[f"{block}.attn.hook_{which}"] for which in "qkv"], 2)
        weight = torch.cat([model._weight(f"W_{x}", layer)[:: 1 if x == "Q" else shared] for x in "QKV"])
        names = [f"{head_name(layer, head)}.q" for head in range(cfg.n_heads)]
        names += [f"{head_name(layer, head)}.{which}" for which in "kv" for head in range(0, cfg.n_heads, shared)]
        if norm is None:
            yield names, written, torch.einsum("bprd,rmd->rbpm", slope, weight)
        else:
            yield names, written, _before_norm(model, norm, now[f"{block}.hook_resid_pre"], slope, weight)
        if cfg.d_mlp:
            at = written if cfg.parallel else written + cfg.n_heads
            yield [mlp_name(layer)], at, slopes[f"{block}.hook_mlp_in"][None]
        written += cfg.n_heads + bool(cfg.d_mlp)
    yield [LOGITS], written, slopes[f"blocks.{cfg.n_layers - 1}.hook_resid_post"][None]


def _before_norm(
    model: HookedModel,
    norm: nn.Module,
    x: Float[Tensor, "batch pos d_model"],
    slope: Float[Tensor, "batch pos node d_head"],
    weight: Float[Tensor, "node d_model d_head"],
) -> Nodes:
    """The gradient with respect to what enters a norm, from that of the queries, keys and values that are made of it.

    y = x̂ w + b with x̂ = (x − mean) / s and s = √(mean square + ε). So with g = w ∂m/∂y = w W_Q ∂m/∂q
    ∂m/∂x = (g − mean(g) − x̂ mean(g x̂)) / s. RMSNorm subtracts no mean, in x̂ and here.
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    gain, _, epsilon, centred = model.norm_parts(norm)
    x, slope, weight = x.to(wide), slope.to(wide), weight.to(wide) * gain.to(wide)[:, None]
    if centred:  # mean(g) is taken off the matrix, which is smaller
        x, weight = x - x.mean(-1, keepdim=True), weight - weight.mean(1, keepdim=True)
    scale = (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt()
    x = x / scale
    g = torch.einsum("bprd,rmd->rbpm", slope / scale[..., None], weight)
    along = (g * x).mean(-1, keepdim=True)
    return g.addcmul_(along, x, value=-1)


def _edges(model: HookedModel, table: Table, whole: Float[Tensor, " batch"]) -> dict[Edge, Float[Tensor, " batch"]]:
    """The table under the names of its edges, as shares of the range."""
    edges, rows, columns = _places(model.cfg)
    values = table[:, rows, columns].mT / -whole
    return dict(zip(edges, values.unbind(), strict=True))


@lru_cache(maxsize=4)  # GPT-2 small has 33,000 edges
def _places(cfg: ModelConfig) -> tuple[tuple[Edge, ...], Int[Tensor, " edge"], Int[Tensor, " edge"]]:
    """All edges, and where each stands in the table."""
    row, column = ({name: i for i, name in enumerate(names(cfg))} for names in (senders, receivers))
    edges = all_edges(cfg)
    where = torch.tensor([(row[edge.sender], column[edge.receiver]) for edge in edges])
    return tuple(edges), where[:, 0], where[:, 1]
