"""Edits of latents inside a run: hold one at a value, silence some, make one larger or smaller.

    edit = clamped(latent, 4.0)
    model.run_with_hooks(tokens, [(site, spliced(sae, keep_error=True, edit=edit))])

With the error term kept, the site moves along the decoder rows of these latents and by nothing else.

positions: at which positions of every text, as numbers (negative ones count from the end) or a mask [batch pos]; None:
at all. They count what runs through the model together: in generation with cached keys and values that is first the
prompt, then one word at a time, so that −1 is always the newest word.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

EditLatents = Callable[[Float[Tensor, "batch pos latent"]], Float[Tensor, "batch pos latent"]]
Latents = int | Sequence[int]
Positions = int | Sequence[int] | Bool[Tensor, "batch pos"] | None


def clamped(latents: Latents, value: float, positions: Positions = None) -> EditLatents:
    """Hold latents at a value, in units of activations. ValueError below 0, where no latent can be."""
    if not value >= 0:
        raise ValueError(f"a latent cannot be {value:g}: activations are at least 0")
    return _edit(latents, lambda f: torch.full_like(f, value), positions)


def silenced(latents: Latents, positions: Positions = None) -> EditLatents:
    """Hold latents at 0."""
    return clamped(latents, 0.0, positions)


def scaled(latents: Latents, factor: float, positions: Positions = None) -> EditLatents:
    """Multiply latents by a factor: where they are silent they stay so. ValueError below 0."""
    if not factor >= 0:
        raise ValueError(f"a factor of {factor:g} would make activations negative, or no numbers")
    return _edit(latents, lambda f: factor * f, positions)


def in_turn(*edits: EditLatents) -> EditLatents:
    """One edit after another."""

    def edit(f: Tensor) -> Tensor:
        for one in edits:
            f = one(f)
        return f

    return edit


def _edit(latents: Latents, new: Callable[[Tensor], Tensor], positions: Positions) -> EditLatents:
    wanted = [operator.index(i) for i in ([latents] if isinstance(latents, int) else latents)]

    def edit(f: Float[Tensor, "batch pos latent"]) -> Float[Tensor, "batch pos latent"]:
        for latent in wanted:
            if not 0 <= latent < f.shape[-1]:
                raise ValueError(f"there is no latent {latent}: this dictionary has {f.shape[-1]}, from 0 on")
        chosen = torch.zeros(f.shape[-1], dtype=torch.bool, device=f.device)
        chosen[wanted] = True
        return torch.where(chosen & _places(positions, f)[..., None], new(f), f)

    return edit


def _places(positions: Positions, f: Float[Tensor, "batch pos latent"]) -> Bool[Tensor, "batch pos"]:
    shape = f.shape[:-1]
    if positions is None:
        return torch.ones(shape, dtype=torch.bool, device=f.device)
    if isinstance(positions, Tensor) and positions.dtype == torch.bool:
        if positions.shape != shape:
            raise ValueError(f"the mask of positions is {list(positions.shape)}, the activations are {list(shape)}")
        return positions.to(f.device)
    numbers = [operator.index(i) for i in ([positions] if isinstance(positions, int) else positions)]
    if bad := [i for i in numbers if not -shape[-1] <= i < shape[-1]]:
        raise ValueError(f"there is no position {bad[0]}: {shape[-1]} run through the model together")
    places = torch.zeros(shape, dtype=torch.bool, device=f.device)
    places[..., numbers] = True
    return places
