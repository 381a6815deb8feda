"""Activations for many probes, from one pass over the texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.models.sites import layer_of, resolve
from mi_lib.models.text import at_positions, text_positions
from mi_lib.probing.data import Unusable

Texts = Sequence[Sequence[int]] | Sequence[str] | Tensor


def padded(model: HookedModel, texts: Texts) -> tuple[Int[Tensor, "text pos"], Bool[Tensor, "text pos"]]:
    """Tokens and mask, padded at the right. texts: strings, or tokens, in rows that may differ in length."""
    if not len(texts):
        raise Unusable("there is no text to read")
    if isinstance(texts[0], str):
        return model.tokenize(list(texts))  # type: ignore[arg-type]
    rows = [torch.as_tensor(row, dtype=torch.long) for row in texts]
    if not all(len(row) for row in rows):
        raise Unusable("a text has no tokens")
    tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    return tokens, torch.arange(tokens.shape[1]) < lengths[:, None]


@torch.no_grad()
def collect(
    model: HookedModel, texts: Texts, sites: Sequence[Any], positions: Sequence[int] = (-1,), batch: int = 64
) -> Float[Tensor, "site position text width"]:
    """What stands at some sites and positions of every text: each text is read once, whatever is asked for.

    sites: short forms or full names, such as ("resid_pre", 2), all of one width. positions: the same numbers for each
    text, −1 for its own last token. Blocks after the last site are not run. `Unusable` without texts or sites, or where
    widths differ; ValueError where a text is too short.
    """
    names = [name for site in sites for name in resolve(site, model.hook_names, model.cfg.n_layers)]
    if not names or not len(positions):
        raise Unusable("nothing is asked for: give at least one site and one position")
    layers = [layer_of(name) for name in names]
    stop = max(layers) + 1 if all(layer is not None for layer in layers) else None  # type: ignore[type-var, operator]
    found: list[Tensor] = []
    for at in range(0, len(texts), batch):
        tokens, mask = padded(model, texts[at : at + batch])
        _, cache = model.run_with_cache(tokens, names, attention_mask=mask, stop_at_layer=stop)
        own = [text_positions(tokens, mask, position) for position in positions]
        rows = [torch.stack([at_positions(cache[name], where) for where in own]) for name in names]
        if len({row.shape[2:] for row in rows}) > 1:
            raise Unusable(f"these sites differ in width: {', '.join(names)}; collect them one by one")
        found.append(torch.stack(rows).flatten(3))
    if not found:
        raise Unusable("there is no text to read")
    return torch.cat(found, 2)
