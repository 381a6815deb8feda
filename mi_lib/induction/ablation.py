"""Runs in which some heads say nothing, in three meanings of "nothing"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.models import Hook, HookedModel

Head = tuple[int, int]  # (layer, head)


def ablate_heads(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    heads: Sequence[Head],
    kind: Literal["zero", "mean", "pattern_preserving"] = "zero",
    reference: Int[Tensor, "batch pos"] | None = None,
) -> Float[Tensor, "batch pos d_vocab"]:
    """Logits of a run without the output of some heads.

    "zero": their output z is 0. "mean": it is their mean output over the batch at each position, measured on
    `reference` (the same tokens if None). "pattern_preserving" (Olsson et al. 2022): it is 0, and every attention
    pattern of the model is held at that of the full run, so that what is lost is what these heads write to the logits
    and to values, not what later heads look at.
    """
    _check(model, heads)
    with torch.no_grad():
        if kind == "zero":
            return model.run_with_hooks(tokens, _silence(heads, None))
        if kind == "mean":
            layers = sorted({layer for layer, _ in heads})
            _, cache = model.run_with_cache(tokens if reference is None else reference, [("z", i) for i in layers])
            return model.run_with_hooks(tokens, _silence(heads, {i: cache["z", i].mean(0) for i in layers}))
        if kind == "pattern_preserving":
            _, cache = model.run_with_cache(tokens, lambda name: name.endswith("hook_pattern"))
            frozen = [(name, lambda _, hook: cache[hook.name]) for name in cache]
            return model.run_with_hooks(tokens, [*frozen, *_silence(heads, None)])
    raise ValueError(f"kind must be 'zero', 'mean' or 'pattern_preserving', not {kind!r}")


def _silence(heads: Sequence[Head], means: dict[int, Tensor] | None) -> list:
    """One edit of z per layer. means: layer → [pos head d_head], or None for zero."""
    by_layer: dict[int, list[int]] = {}
    for layer, head in heads:
        by_layer.setdefault(layer, []).append(head)

    def edit(z: Float[Tensor, "batch pos head d_head"], hook: Hook) -> Tensor:
        layer = hook.layer
        assert layer is not None
        out = z.clone()
        for head in by_layer[layer]:
            out[:, :, head] = 0.0 if means is None else means[layer][:, head]
        return out

    return [(("z", layer), edit) for layer in by_layer]


def _check(model: HookedModel, heads: Sequence[Head]) -> None:
    for layer, head in heads:
        if not (0 <= layer < model.cfg.n_layers and 0 <= head < model.cfg.n_heads):
            last = f"{model.cfg.n_layers - 1}.{model.cfg.n_heads - 1}"
            raise ValueError(f"there is no head {layer}.{head}: this model's last one is {last}")
