"""Attribution patching: what noising each activation would do, from one backward pass, and AtP*, which mends it.

Exact noising of a place costs a run. To first order all places cost two forward passes and one backward pass together
(Nanda 2022, "Attribution Patching: Activation Patching At Industrial Scale"; Kramár et al. 2024, arXiv 2403.00745,
section 2.2):

    AtP(n) = (a_corrupted − a_clean) · ∂m/∂a at the clean run

It fails where the metric is no line between the two values. AtP* (Kramár et al. 2024, section 3.1) mends two cases:

    saturated attention   another query or key may turn a pattern over, though the gradient of a pattern that looks at
                          one place alone is 0. So the softmax is computed anew with the patched query or key, and only
                          what follows is taken to first order: Σ (A_patched − A_clean) · ∂m/∂A
    cancelling paths      two paths whose effects have opposite signs may sum to 0 at the clean run. GradDrop takes the
                          gradient without what flows back through layer ℓ, for each ℓ, and averages the absolute
                          values: 1 / (L − 1) Σ_ℓ |AtP without layer ℓ|

Neither mends an MLP that saturates, a pattern saturated further on, or a spare part that wakes when the first is
silenced. And of two paths that cancel inside one layer, its attention against its MLP, dropping layers loses both;
`grad_drop="parts"` drops attention and MLP one by one.

All values are shares of the range, divided by m_corrupted − m_clean: an estimate of 1 − `patch_places(noising=True)`,
the share of the answer that is lost. The gradient goes through the norms as they are; none is frozen. Exchange the two
prompts for the first-order estimate of denoising.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.attribution.inputs import gradients
from mi_lib.attribution.pairs import Metric, PromptPairs, metric_range, read_pairs
from mi_lib.attribution.patching import patch_heads, patch_layers
from mi_lib.models import Hook, HookedModel
from mi_lib.models.graph import head_name, mlp_name
from mi_lib.models.hooked import Input
from mi_lib.models.sites import Names, layer_of

_SCALARS = ("hook_pattern", "hook_attn_scores", "hook_pre", "hook_pre_linear", "hook_post", "hook_scale")
_WRITTEN = ("hook_attn_out", "hook_mlp_out")


def attribution_patching(
    model: HookedModel,
    clean: Input,
    corrupted: Input,
    metric: Metric,
    names: Names,
    *,
    attention_mask: Tensor | None = None,
) -> dict[str, Tensor]:
    """AtP of every activation at these sites, by full name: two forward passes and a backward pass.

    Vectors (of the stream, of a head) are one activation: [batch pos] or [batch pos head]. Neurons, patterns and scores
    are one for each number, in the shape of the site. Positions are apart; their sum is the estimate for all at once.
    names, errors: as `run_with_cache` and `patch_places`; ValueError also for a site that is on no path to the metric.
    """
    return atp_star(
        model, clean, corrupted, metric, names, softmax=False, grad_drop=None, attention_mask=attention_mask
    )


def atp_star(
    model: HookedModel,
    clean: Input,
    corrupted: Input,
    metric: Metric,
    names: Names = None,
    *,
    softmax: bool = True,
    grad_drop: Literal["layers", "parts"] | None = "layers",
    attention_mask: Tensor | None = None,
) -> dict[str, Tensor]:
    """AtP* of every activation at these sites, by full name; shapes and errors as `attribution_patching`.

    names: None for the paper's nodes: q, k, v and z of each head, and what each MLP writes.
    softmax: the softmax computed anew for q and k, by the model itself, one block for all queries and one for each
        position of the keys.
    grad_drop: "layers" is the paper's, a backward pass for each layer; "parts" drops each attention and each MLP, which
        are then the L of the formula; None for no GradDrop. With it the values are absolute, and the drop of what holds
        a site counts as 0. ValueError where there is one thing to drop, as in a model of one layer.
    """
    pairs, drops = read_pairs(model, clean, corrupted, attention_mask), _drops(model, grad_drop)
    if len(drops) == 1 and grad_drop:
        raise ValueError("GradDrop compares layers and this model has one; ask for grad_drop=None")
    wanted = _nodes(model) if names is None else model._resolve(names)
    turned = [name for name in wanted if softmax and name.endswith(("hook_q", "hook_k"))]
    patterns = list(dict.fromkeys(f"{name.rpartition('.')[0]}.hook_pattern" for name in turned))
    plain = [name for name in wanted if name not in turned]
    m_clean, now, slope = _slopes(model, pairs, metric, [*plain, *patterns], drops)
    with torch.no_grad():
        other, then = model.run_with_cache(pairs.corrupted, wanted, attention_mask=pairs.mask)
        whole = metric_range(m_clean, metric(other))
    values = {name: _first_order(name, then[name] - now[name], slope[name]) for name in plain}
    for name in turned:
        at = f"{name.rpartition('.')[0]}.hook_pattern"
        values[name] = _through_softmax(model, pairs, name, then[name], now[at], slope[at])
    if grad_drop:
        counted = {name: len(drops) - (not _in_stream(name)) for name in wanted}
        return {name: _each(values[name].abs().sum(0) / counted[name], whole.abs()) for name in wanted}
    return {name: _each(values[name][0], -whole) for name in wanted}


def node_effects(
    model: HookedModel, clean: Input, corrupted: Input, metric: Metric, *, noising: bool = True, **options: Any
) -> dict[str, Float[Tensor, " batch"]]:
    """Exact patching of every node at all positions, by name: the share of the answer that is lost by noising it.

    Nodes: "a1.h2.q", "a1.h2.k", "a1.h2.v" (a head's queries, keys, values), "a1.h2" (z, and so its output), "m1" (what
    the MLP writes). Where heads share keys and values, these go by the first of them.
    noising: False for the share that denoising it brings back. options and errors: those of `patch_places`.
    """
    found: dict[str, Tensor] = {}
    for site in ("q", "k", "v", "z", *(["mlp_out"] if model.cfg.d_mlp else [])):
        patch = patch_layers if site == "mlp_out" else patch_heads
        at = patch(model, clean, corrupted, metric, site, noising=noising, **options)
        for layer, values in enumerate(1 - at if noising else at):
            found |= _named(model, site, layer, values)
    return found


def by_node(model: HookedModel, values: dict[str, Tensor]) -> dict[str, Float[Tensor, " batch"]]:
    """What `attribution_patching` and `atp_star` say, summed over positions, under the names of `node_effects`.

    values: of hook_q, hook_k, hook_v, hook_z and hook_mlp_out; ValueError for another site, which is no node.
    """
    found: dict[str, Tensor] = {}
    for name, value in values.items():
        layer, site = layer_of(name), name.rpartition("hook_")[2]
        if layer is None or site not in ("q", "k", "v", "z", "mlp_out"):
            raise ValueError(f"{name} is no node: give the values of hook_q, hook_k, hook_v, hook_z or hook_mlp_out")
        found |= _named(model, site, layer, value.sum(1).movedim(0, -1))
    return found


def _named(model: HookedModel, site: str, layer: int, values: Float[Tensor, "*head batch"]) -> dict[str, Tensor]:
    if site == "mlp_out":
        return {mlp_name(layer): values}
    shared = model.cfg.n_heads // len(values)
    end = "" if site == "z" else f".{site}"
    return {f"{head_name(layer, head * shared)}{end}": value for head, value in enumerate(values)}


def _nodes(model: HookedModel) -> list[str]:
    ends = ("attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_z", "hook_mlp_out")
    return [name for name in model.hook_names if name.endswith(ends)]


def _drops(model: HookedModel, grad_drop: str | None) -> list[list[str]]:
    """The sites through which no gradient flows, for each backward pass."""
    if grad_drop is None:
        return [[]]
    written = [name for name in model.hook_names if name.endswith(_WRITTEN)]
    if grad_drop == "parts":
        return [[name] for name in written]
    if grad_drop != "layers":
        raise ValueError(f"grad_drop must be 'layers', 'parts' or None, not {grad_drop!r}")
    return [[name for name in written if layer_of(name) == layer] for layer in range(model.cfg.n_layers)]


def _in_stream(name: str) -> bool:
    """Whether a site is of the stream, and not of an attention or MLP that can be dropped."""
    return layer_of(name) is None or name.endswith(("hook_resid_pre", "hook_resid_mid", "hook_resid_post"))


def _slopes(
    model: HookedModel, pairs: PromptPairs, metric: Metric, sites: list[str], drops: list[list[str]]
) -> tuple[Float[Tensor, " batch"], dict[str, Tensor], dict[str, Float[Tensor, "drop *site"]]]:
    """The metric of the clean run, what these sites hold in it, and their gradients for each drop."""
    dropped: list[str] = []

    def drop(gradient: Tensor, hook: Hook) -> Tensor | None:
        return torch.zeros_like(gradient) if hook.name in dropped else None

    written = list(dict.fromkeys(name for one in drops for name in one))
    with model.hooks(bwd_hooks=[(written, drop)] if written else []):
        logits, now = model.run_with_cache(pairs.clean, sites, attention_mask=pairs.mask, grad=True)
    with torch.enable_grad():
        found = metric(logits)
    slopes = []
    for dropped[:] in drops:
        one = gradients(found, [now[name] for name in sites], sites, again=len(drops) > 1)
        # What a part writes is read behind the place at which it is dropped.
        one = [gradient * (name not in dropped) for name, gradient in zip(sites, one, strict=True)]
        slopes.append(one)
    by_site = zip(sites, map(torch.stack, zip(*slopes, strict=True)), strict=True)
    return found.detach(), {name: now[name].detach() for name in sites}, dict(by_site)


def _each(values: Float[Tensor, "batch *rest"], by: Float[Tensor, " batch"]) -> Float[Tensor, "batch *rest"]:
    return values / by.view(-1, *(1,) * (values.ndim - 1))


def _first_order(name: str, change: Tensor, slope: Float[Tensor, "drop *site"]) -> Float[Tensor, "drop *node"]:
    product = change.nan_to_num() * slope  # masked scores are −∞ in both runs
    return product if name.endswith(_SCALARS) else product.sum(-1)


def _through_softmax(
    model: HookedModel,
    pairs: PromptPairs,
    name: str,
    patch: Float[Tensor, "batch pos head d_head"],
    pattern: Float[Tensor, "batch head query key"],
    slope: Float[Tensor, "drop batch head query key"],
) -> Float[Tensor, "drop batch pos head"]:
    """Σ (A_patched − A) · ∂m/∂A for each query, or for each key at each position."""
    layer = layer_of(name)
    assert layer is not None
    with torch.no_grad():
        stream = model(pairs.clean, pairs.mask, stop_at_layer=layer)

    def changed(at: int | slice) -> Float[Tensor, "batch head query key"]:
        """The change of the pattern if the queries or keys at these positions are the corrupted ones."""

        def put(value: Tensor, hook: Hook) -> None:
            value[:, at] = patch[:, at]

        return _pattern(model, pairs, layer, stream, (name, put)) - pattern

    with torch.no_grad():
        if name.endswith("hook_q"):  # each row of a pattern has a query of its own
            return (changed(slice(None)) * slope).sum(-1).transpose(-1, -2)
        by_key = torch.stack([(changed(pos) * slope).sum((-2, -1)) for pos in range(pattern.shape[-1])], -2)
        return by_key.unflatten(-1, (patch.shape[2], -1)).sum(-1)  # heads that share keys are patched together


def _pattern(model: HookedModel, pairs: PromptPairs, layer: int, stream: Tensor, edit: Any) -> Tensor:
    """The attention pattern of one block of the clean run under an edit, computed by the model itself."""
    kept: list[Tensor] = []

    def keep(value: Tensor, hook: Hook) -> None:
        kept.append(value.clone())

    edits: list[tuple[Any, Callable]] = [edit, (("pattern", layer), keep)]
    with model.hooks(edits):
        model._run_block(layer, stream, pairs.clean, pairs.mask)
    return kept[0]
