"""Edits of Pico's residual stream that the checks make: a direction taken out, added, or held above a floor."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.models import Hook
from mi_lib.recipes.pico.common import Edits


def ablated(direction: Float[Tensor, " d_model"]) -> Edits:
    """x − r̂ r̂ᵀ x at every block input, attention output and MLP output, every position (Arditi et al. 2024, §2.4)."""
    unit = direction / direction.norm()

    def edit(value: Tensor, hook: Hook) -> Tensor:
        return value - (value @ unit)[..., None] * unit

    ends = ("hook_resid_pre", "hook_attn_out", "hook_mlp_out")
    return [(lambda name: name.endswith(ends), edit)]


def added(vector: Float[Tensor, " d_model"], layer: int) -> Edits:
    """x + v at one block input, every position."""
    return [(("resid_pre", layer), lambda value, hook: value + vector)]


def held_in_reply(unit: Float[Tensor, " d_model"], floor: float, layer: int) -> Edits:
    """x + max(0, floor − ⟨x, v̂⟩) v̂ at one block input, at <|assistant|> and at every word of the reply.

    The projection on v̂ is lifted to the floor where it lies below (activation capping, Lu et al. 2026,
    arXiv 2601.10387), so a word that has the trait already is not pushed once more, as it would be by adding.
    """

    def edit(value: Tensor, hook: Hook) -> Tensor:
        place = torch.zeros(value.shape[1], 1)  # while a reply is generated, the last position is the reply's
        place[-1] = 1
        return value + place * (floor - value @ unit).clamp(min=0)[..., None] * unit

    return [(("resid_pre", layer), edit)]


def random_directions(like: Float[Tensor, " d_model"], count: int, seed: int = 0) -> list[Float[Tensor, " d_model"]]:
    """Random vectors of the same norm."""
    drawn = torch.randn(count, len(like), generator=torch.Generator().manual_seed(seed))
    return list(drawn / drawn.norm(dim=-1, keepdim=True) * like.norm())
