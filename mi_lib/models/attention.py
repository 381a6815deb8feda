"""One attention function for every architecture of `transformers`, with its insides open to the sites.

`transformers` lets a caller register an attention function under a name, and with it the function that makes its mask.
Both are needed: an attention function registered alone gets no mask, and the model sees padding, or the future.

What is only read leaves the model's numbers alone: the values that flow on come from torch's fused attention, as in
the plain model, and what is read is computed beside it. Only an edit of scores or pattern goes that way itself.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from mi_lib.models.again import AGAIN, remember
from mi_lib.models.edits import exactly, offer, sites_of

NAME = "mi_hooked"
INNER = ("rot_q", "rot_k", "attn_scores", "pattern", "z")


def hooked_attention(
    module: nn.Module,
    query: Float[Tensor, "batch head query d_head"],
    key: Float[Tensor, "batch kv_head key d_head"],
    value: Float[Tensor, "batch kv_head key d_head"],
    attention_mask: Bool[Tensor, "batch 1 query key"] | Float[Tensor, "batch 1 query key"] | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[Float[Tensor, "batch query head d_head"], Tensor | None]:
    """softmax(scaling · q kᵀ + mask) v, offering each step to the sites of the layer it belongs to."""
    instrument, prefix = getattr(module, "mi_site", (None, ""))
    wanted = sites_of(instrument) if instrument is not None else {}
    if instrument is not None and instrument.rotary and wanted:
        query = _offer_turned(instrument, f"{prefix}.hook_rot_q", query)
        key = _offer_turned(instrument, f"{prefix}.hook_rot_k", key)

    again = AGAIN.get()
    if again is not None:
        query, key, value = map(_turned, again.spread(*map(_turned, (query, key, value))))
        attention_mask = again.allowed
    elif instrument is not None:
        remember(prefix, _turned(key), _turned(value), attention_mask)

    def fused() -> Tensor:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )[0]

    inside = any(f"{prefix}.hook_{name}" in wanted for name in ("attn_scores", "pattern"))
    if not inside and softcap is None:
        z, pattern = fused(), None
    else:
        groups = query.shape[1] // key.shape[1]
        keys, values = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
        scores = query @ keys.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
        if softcap is not None:
            scores = softcap * torch.tanh(scores / softcap)
        scores = _masked(scores, attention_mask)
        scores, changed_scores = offer(instrument, f"{prefix}.hook_attn_scores", scores)
        pattern = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(query.dtype)
        pattern, changed_pattern = offer(instrument, f"{prefix}.hook_pattern", pattern)
        plain = softcap is None and not (changed_scores or changed_pattern)
        if plain and not (torch.is_grad_enabled() and pattern.requires_grad):
            z = fused()
        else:
            dropped = nn.functional.dropout(pattern, p=dropout, training=module.training)
            z = (dropped @ values).transpose(1, 2).contiguous()  # [batch query head d_head]
            z = exactly(fused(), z) if plain else z
    if again is not None:
        z = again.gather(z)
    if wanted:
        z, _ = offer(instrument, f"{prefix}.hook_z", z)
    return z, pattern


def _turned(value: Tensor) -> Tensor:
    """[row head pos d_head] → [row pos head d_head], and back."""
    return value.transpose(1, 2)


def _masked(scores: Float[Tensor, "batch head query key"], mask: Tensor | None) -> Tensor:
    """The scores with the smallest finite number where a query must not look. No mask: where a key comes later."""
    smallest = torch.finfo(scores.dtype).min
    if mask is None:
        queries, keys = scores.shape[-2:]
        if queries == 1:  # one more token: it sees all that came before
            return scores
        mask = torch.ones(queries, keys, dtype=torch.bool, device=scores.device).tril()
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, smallest)
    return scores + mask


def _offer_turned(instrument: Any, name: str, value: Tensor) -> Tensor:
    """Sites have the position before the head; attention has it after."""
    turned = _turned(value)
    new, _ = offer(instrument, name, turned)
    return value if new is turned else _turned(new)


def register() -> None:
    """Make the function known to `transformers`, with the mask that belongs to it. Safe to call again."""
    AttentionInterface.register(NAME, hooked_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
