"""Linear maps inside a network, whatever holds them: a Linear, GPT-2's Conv1D, an adapter around one, a quantised one.

Whoever reads `.weight` of a wrapped map reads half the truth. So a map that is not plainly a weight is asked what it
does: to the unit vectors, for its matrix, and to zero, for its bias; and it is checked that it is linear at all.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor, nn


class NotLinear(RuntimeError):
    """A projection that no matrix and bias describe. The message says which."""


def is_plain(module: Any) -> bool:
    """Whether a module is x W + b with its own W and b, and nothing around it."""
    return (type(module) is nn.Linear or _is_conv(module)) and module.weight.is_floating_point()


def _is_conv(module: Any) -> bool:
    """Whether it is GPT-2's linear map, whose weight lies the other way round. Imports nothing: who has one, has it."""
    found = sys.modules.get("transformers.pytorch_utils")
    return found is not None and type(module) is found.Conv1D


def apply(module: Any, x: Tensor) -> Tensor:
    """What a module computes, without the hooks on it."""
    return module.forward(x)


def matrix(module: Any, d_in: int) -> Float[Tensor, "d_in d_out"]:
    """W of x ↦ x W + b. NotLinear if the module is no such map."""
    if is_plain(module):
        return module.weight if _is_conv(module) else module.weight.T
    like = _like(module)
    zero = apply(module, torch.zeros(1, d_in, **like))
    found = apply(module, torch.eye(d_in, **like)) - zero
    probe = torch.linspace(-1, 1, 3 * d_in, **like).view(3, d_in)
    _compare(module, probe @ found + zero, apply(module, probe))
    return found


def bias(module: Any, d_in: int) -> Float[Tensor, " d_out"] | None:
    """b of x ↦ x W + b; None where there is none."""
    if is_plain(module):
        return module.bias
    return apply(module, torch.zeros(1, d_in, **_like(module)))[0]


def per_head(
    module: Any, z: Float[Tensor, "batch pos head d_head"], out: Float[Tensor, "batch pos d_model"]
) -> tuple[Float[Tensor, "batch pos head d_model"], Float[Tensor, "d_model"]]:
    """What each head adds to `out` = module(z), and the bias. NotLinear if they do not sum to it."""
    heads, d_head = z.shape[-2:]
    if is_plain(module):
        W = matrix(module, heads * d_head).unflatten(0, (heads, d_head))
        result = einsum(z, W, "batch pos head d, head d d_model -> batch pos head d_model")
        added = module.bias if module.bias is not None else result.new_zeros(result.shape[-1])
    else:
        alone = torch.zeros(heads, *z.shape, dtype=z.dtype, device=z.device)  # head, batch, pos, head, d_head
        for head in range(heads):
            alone[head, :, :, head] = z[:, :, head]
        added = apply(module, torch.zeros_like(alone[0, :1, :1].flatten(-2)))[0, 0]
        result = (apply(module, alone.flatten(-2)) - added).movedim(0, 2)
    wide = torch.promote_types(out.dtype, torch.float32)
    _compare(module, (result.to(wide).sum(2) + added.to(wide)).to(out.dtype), out)
    return result, added


def _like(module: Any) -> dict[str, Any]:
    """The dtype and device of a module's numbers (float32 where it holds none that are floating point)."""
    own = next((p for p in (*module.parameters(), *module.buffers()) if p.is_floating_point()), torch.zeros(()))
    return {"dtype": own.dtype, "device": own.device}


def _compare(module: Any, sum_of_parts: Tensor, whole: Tensor) -> None:
    size = whole.detach().abs().max().clamp(min=1e-3)
    gap = ((sum_of_parts - whole).detach().abs().max() / size).item() if whole.numel() else 0.0
    if not gap <= min(0.05, 1e4 * torch.finfo(whole.dtype).eps):
        raise NotLinear(
            f"{type(module).__name__} is not read head by head: its parts do not sum to what it gives (off by "
            f"{gap:.1e} of its size). An adapter with dropout needs `model.eval()`; merge others into the weights first"
        )
