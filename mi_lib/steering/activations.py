"""Activations of many prompts, collected once: at some sites, at some positions of each text.

    collect(model, prompts, ("resid_pre", 3))                  at each text's own last token
    collect(model, prompts, sites, positions=(-2, -1))         several sites and positions in one pass

Texts of different length are read together, padded; a position is counted in each text by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.models.sites import Names, layer_of, resolve
from mi_lib.probing.collecting import collect as by_site
from mi_lib.probing.collecting import padded
from mi_lib.steering.prompts import Prompts, rows_of, stop_tokens

BATCH = 64


def collect(
    model: HookedModel, prompts: Prompts, sites: Names, position: int | Sequence[int] = -1, batch: int = BATCH
) -> Float[Tensor, "prompt *site_position d"]:
    """[prompt d_model] for one site and one position; [prompt site position d_model] for several of both.

    sites: one site (a name or a short form such as ("resid_pre", 3)), or several, in the order given.
    position: of each text by itself, from its beginning (0) or its end (−1); several add an axis.
    The model runs no further than the last of the sites. ValueError, naming the text, where one is too short.
    """
    names = resolve(sites, *_known(model))
    one = isinstance(sites, str) or (isinstance(sites, tuple) and isinstance(sites[0], str) and len(names) == 1)
    positions = [position] if isinstance(position, int) else list(position)
    found = by_site(model, rows_of(model, prompts), names, positions, batch).permute(2, 0, 1, 3)
    found = found[:, :, 0] if isinstance(position, int) else found
    return found[:, 0] if one else found


@torch.no_grad()
def collect_all(
    model: HookedModel, prompts: Prompts, sites: Names, batch: int = BATCH
) -> list[Float[Tensor, "site pos d"]]:
    """For each text what stands at these sites at every one of its positions, padding left out."""
    names = resolve(sites, *_known(model))
    found: list[Tensor] = []
    for mask, cache in _read(model, rows_of(model, prompts), names, batch):
        stacked = torch.stack([cache[name] for name in names])
        found += [stacked[:, i, : int(real.sum())].clone() for i, real in enumerate(mask)]
    return found


@torch.no_grad()
def all_logits(
    model: HookedModel, prompts: Prompts, edits: Sequence = (), batch: int = BATCH
) -> list[Float[Tensor, "pos d_vocab"]]:
    """For each text its logits, padding left out; row p is what the model expects after token p."""
    rows, found = rows_of(model, prompts), []
    for at in range(0, len(rows), batch):
        some = rows[at : at + batch]
        with model.hooks(edits):
            logits = model(*padded(model, some))
        found += [logits[i, : len(row)] for i, row in enumerate(some)]
    return found


def collect_replies(
    model: HookedModel,
    prompts: Prompts,
    replies: Sequence[Sequence[int]],
    sites: Names,
    ends: Collection[int] | None = None,
    batch: int = BATCH,
) -> Float[Tensor, "prompt site d"]:
    """The mean over the tokens of each reply, read behind its prompt (Chen et al. 2025, arXiv 2507.21509, section 2.2).

    replies: tokens. ends: those that end a reply, read but not counted; None: the ones that the model names. Of a reply
    that is nothing else its end counts, and of one without tokens the last one of the prompt.
    """
    rows, stop = rows_of(model, prompts), stop_tokens(model) if ends is None else ends
    texts = [[*prompt, *reply] for prompt, reply in zip(rows, replies, strict=True)]
    found = []
    for prompt, reply, states in zip(rows, replies, collect_all(model, texts, sites, batch), strict=True):
        ended = bool(len(reply)) and reply[-1] in stop
        start = len(prompt) if len(reply) else len(prompt) - 1
        found.append(states[:, start : start + max(1, len(reply) - ended)].mean(1))
    return torch.stack(found)


def stream_sites(model: HookedModel) -> list[tuple[str, int]]:
    """The residual stream at every depth: before each block, and after the last one."""
    last = model.cfg.n_layers
    return [*(("resid_pre", layer) for layer in range(last)), ("resid_post", last - 1)]


def _known(model: HookedModel) -> tuple[list[str], int]:
    return model.hook_names, model.cfg.n_layers


def _read(model: HookedModel, rows: Sequence[Sequence[int]], names: list[str], batch: int) -> Any:
    """(mask, cache) of one batch after the other."""
    stop = _enough(model, names)
    for at in range(0, len(rows), batch):
        tokens, mask = padded(model, rows[at : at + batch])
        _, cache = model.run_with_cache(tokens, names, attention_mask=mask, stop_at_layer=stop)
        yield mask, cache


def _enough(model: HookedModel, names: list[str]) -> int | None:
    """The block before which a pass may end; None if it must run to the end."""
    layers = [layer_of(name) for name in names]
    if any(layer is None and name.startswith("ln_final") for layer, name in zip(layers, names, strict=True)):
        return None
    stop = 1 + max((layer for layer in layers if layer is not None), default=0)
    return stop if stop < model.cfg.n_layers else None
