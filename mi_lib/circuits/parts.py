"""Names of heads, checked against a model."""

from __future__ import annotations

from mi_lib.models.config import ModelConfig
from mi_lib.models.graph import head_name, head_of


def all_heads(cfg: ModelConfig) -> list[str]:
    """Every head, in the order of a forward pass: "a0.h0", "a0.h1", …"""
    return [head_name(layer, head) for layer in range(cfg.n_layers) for head in range(cfg.n_heads)]


def layer_and_head(name: str, cfg: ModelConfig) -> tuple[int, int]:
    """ "a1.h2" → (1, 2). ValueError for what is no head of this model, or one of its inputs."""
    found = head_of(name)
    known = all_heads(cfg)
    if found is None or head_name(*found) not in known:
        raise ValueError(f"this model has no head {name!r}; its heads are {known[0]} to {known[-1]}")
    if name != head_name(*found):
        raise ValueError(f"{name} is an input of a head; name the head itself, {head_name(*found)}")
    return found
