"""Attention-only networks that others have trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from mi_lib.models import Transformer
from mi_lib.models.layouts import transformer_from_state


def from_state(
    state: Mapping[str, Tensor],
    *,
    norm: Literal["none", "layernorm"] | None = None,
    positions: Literal["learned", "shifted"] = "learned",
) -> Transformer:
    """An attention-only network of any depth from a state dict in our layout, TransformerLens's or Nanda's.

    norm, positions: what a state dict does not say; see `mi_lib.models.layouts.transformer_from_state`. TransformerLens
    folds a LayerNorm's weights away but goes on normalising: such a state needs norm="layernorm". Its "shortformer"
    models have positions="shifted". Raises ValueError, with what was found and what is needed, for weights that are
    missing, have no place in this architecture (an MLP), or lie in a way that cannot be told.
    """
    if mlp := [name for name in state if ".mlp." in str(name)]:
        raise ValueError(f"this is for networks of attention alone, and the state has an MLP ({mlp[0]})")
    return transformer_from_state(state, norm=norm, positions=positions)
