"""Runs in which some heads say nothing, in three meanings of "nothing"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.models import Hook, HookedModel
from mi_lib.models.hooked import Input
from mi_lib.models.places import head_number, layer_number

Head = tuple[int, int]  # (layer, head)


def ablate_heads(
    model: HookedModel,
    tokens: Input,
    heads: Sequence[Head],
    kind: Literal["zero", "mean", "pattern_preserving"] = "zero",
    reference: Input | None = None,
    *,
    attention_mask: Tensor | None = None,
    reference_mask: Tensor | None = None,
) -> Float[Tensor, "batch pos d_vocab"]:
    """Logits of a run without the output of some heads.

    "zero": their output z is 0. "mean": it is their mean output over texts at each position, measured on
    `reference` (the same tokens if None). "pattern_preserving" (Olsson et al. 2022): it is 0, and every attention
    pattern of the model is held at that of the full run, so that what is lost is what these heads write to the logits
    and to values, not what later heads look at.

    The masks are True at real tokens, padding on either side; texts given as text bring their own. A mean is over real
    tokens alone, and a position counts each text's own tokens. ValueError for a head that is not there, or for a text
    that is longer than all of `reference`.
    """
    chosen = [_head(model, head) for head in heads]
    tokens, mask = model._tokens_and_mask(tokens, attention_mask)
    with torch.no_grad():
        if kind == "zero":
            return model.run_with_hooks(tokens, _silence(chosen, None), attention_mask=mask)
        if kind == "mean":
            known = model._tokens_and_mask(reference, reference_mask) if reference is not None else (tokens, mask)
            number, longest = _own_numbers(tokens, mask), int(_own_numbers(*known).max()) + 1
            if int(number.max()) >= longest:
                raise ValueError(f"the reference has {longest} positions at most, and a text has {number.max() + 1}")
            means = _means(model, *known, sorted({layer for layer, _ in chosen}))
            at_each = {layer: mean[number] for layer, mean in means.items()}
            return model.run_with_hooks(tokens, _silence(chosen, at_each), attention_mask=mask)
        if kind == "pattern_preserving":
            _, cache = model.run_with_cache(tokens, lambda name: name.endswith("hook_pattern"), attention_mask=mask)
            frozen = [(name, lambda _, hook: cache[hook.name]) for name in cache]
            return model.run_with_hooks(tokens, [*frozen, *_silence(chosen, None)], attention_mask=mask)
    raise ValueError(f"kind must be 'zero', 'mean' or 'pattern_preserving', not {kind!r}")


def _means(
    model: HookedModel, tokens: Tensor, mask: Tensor | None, layers: Sequence[int]
) -> dict[int, Float[Tensor, "number head d_head"]]:
    """For each layer the mean of z over all texts that have a token of this number, real tokens alone."""
    _, cache = model.run_with_cache(tokens, [("z", layer) for layer in layers], attention_mask=mask)
    number = _own_numbers(tokens, mask)
    real = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
    rows = number[real]
    count = torch.bincount(rows)
    found = {}
    for layer in layers:
        z = cache["z", layer][real]  # [token head d_head]
        found[layer] = z.new_zeros(len(count), *z.shape[1:]).index_add_(0, rows, z) / count[:, None, None].to(z.dtype)
    return found


def _own_numbers(tokens: Tensor, mask: Tensor | None) -> Int[Tensor, "batch pos"]:
    """Which of its text's tokens each is: 0, 1, 2, … over the real ones (at padding, a number that means nothing)."""
    if mask is None:
        return torch.arange(tokens.shape[1], device=tokens.device).expand(tokens.shape)
    return (mask.long().cumsum(-1) - 1).clamp(min=0)


def _silence(heads: Sequence[Head], means: dict[int, Tensor] | None) -> list:
    """One edit of z per layer. means: layer → [batch pos head d_head], or None for zero."""
    by_layer: dict[int, list[int]] = {}
    for layer, head in heads:
        by_layer.setdefault(layer, []).append(head)

    def edit(z: Float[Tensor, "batch pos head d_head"], hook: Hook) -> Tensor:
        layer = hook.layer
        assert layer is not None
        out = z.clone()
        for head in by_layer[layer]:
            out[:, :, head] = 0.0 if means is None else means[layer][:, :, head]
        return out

    return [(("z", layer), edit) for layer in by_layer]


def _head(model: HookedModel, head: Head) -> Head:
    try:
        return layer_number(model.cfg, head[0]), head_number(model.cfg, head[1])
    except ValueError as error:
        last = f"{model.cfg.n_layers - 1}.{model.cfg.n_heads - 1}"
        raise ValueError(f"there is no head {head[0]}.{head[1]}: this model's last one is {last}") from error
