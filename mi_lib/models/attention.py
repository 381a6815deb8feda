"""One attention function for every architecture of `transformers`, with its insides open to the sites.

`transformers` lets a caller register an attention function under a name, and with it the function that makes its mask.
Both are needed: an attention function registered alone gets no mask, and the model sees the future.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask

if TYPE_CHECKING:
    from mi_lib.models.hooked import HookedModel

NAME = "mi_hooked"
INNER = ("rot_q", "rot_k", "attn_scores", "pattern", "z")


def hooked_attention(
    module: nn.Module,
    query: Float[Tensor, "batch head query d_head"],
    key: Float[Tensor, "batch kv_head key d_head"],
    value: Float[Tensor, "batch kv_head key d_head"],
    attention_mask: Float[Tensor, "batch 1 query key"] | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[Float[Tensor, "batch query head d_head"], Tensor | None]:
    """softmax(scaling · q kᵀ + mask) v, offering each step to the sites of the layer it belongs to.

    A layer of which no inner site is wanted goes through torch's fused attention instead (unless scores are capped).
    """
    model, prefix = module.mi_owner  # type: ignore[misc]  # set by TransformersModel
    if softcap is None and not any(model.active(f"{prefix}.hook_{name}") for name in INNER):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    if model.cfg.positions == "rotary":
        query = _offer(model, f"{prefix}.hook_rot_q", query)
        key = _offer(model, f"{prefix}.hook_rot_k", key)
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if attention_mask is not None:
        scores = scores + attention_mask
    scores = model.site(f"{prefix}.hook_attn_scores", scores)
    pattern = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(query.dtype)
    pattern = model.site(f"{prefix}.hook_pattern", pattern)
    pattern = nn.functional.dropout(pattern, p=dropout, training=module.training)
    z = (pattern @ value).transpose(1, 2).contiguous()  # [batch query head d_head]
    return model.site(f"{prefix}.hook_z", z), pattern


def _offer(model: HookedModel, name: str, value: Tensor) -> Tensor:
    """Sites have the position before the head; attention has it after."""
    return model.site(name, value.transpose(1, 2)).transpose(1, 2)


def register() -> None:
    """Make the function known to `transformers`, with the mask that belongs to it. Safe to call again."""
    AttentionInterface.register(NAME, hooked_attention)
    AttentionMaskInterface.register(NAME, eager_mask)
