"""Which layer and which head is meant: any kind of whole number, counted from either end."""

from __future__ import annotations

import operator
from typing import Any

from mi_lib.models.config import ModelConfig


def layer_number(cfg: ModelConfig, layer: Any) -> int:
    """0 … n_layers − 1 for a layer given as int, NumPy integer or 0-d tensor; negative ones count from the end.

    ValueError for anything else.
    """
    return _number(layer, cfg.n_layers, "layer", f"this model's layers are 0 to {cfg.n_layers - 1}")


def head_number(cfg: ModelConfig, head: Any) -> int:
    """0 … n_heads − 1 for a head, as `layer_number` does for a layer."""
    return _number(head, cfg.n_heads, "head", f"each layer of this model has heads 0 to {cfg.n_heads - 1}")


def _number(given: Any, count: int, kind: str, there_are: str) -> int:
    try:
        number = operator.index(given)
    except TypeError:
        raise ValueError(f"a {kind} is one whole number, not {given!r}; {there_are}") from None
    if not -count <= number < count:
        raise ValueError(f"there is no {kind} {number}: {there_are}")
    return number % count
