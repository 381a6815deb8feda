"""What each head attends to, and what it writes about what it attends to. Every score is a mean in [0, 1]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.induction.circuits import copying_score_eigenvalues, plain_norms, written
from mi_lib.models import HookedModel
from mi_lib.models.hooked import Input
from mi_lib.models.places import layer_number
from mi_lib.worlds.repeats import Repeats


def previous_token_score(
    pattern: Float[Tensor, "batch head query key"], attention_mask: Bool[Tensor, "batch pos"] | None = None
) -> Float[Tensor, " head"]:
    """Mean attention from each token to the one before it (the first of a text has none).

    attention_mask: True at real tokens, False at padding, which counts neither as query nor as key.
    """
    batch, _, n, _ = pattern.shape
    real = _real((batch, n), attention_mask, pattern.device)
    return _mean(pattern.diagonal(offset=-1, dim1=-2, dim2=-1), real[:, 1:] & real[:, :-1])


def duplicate_token_score(
    pattern: Float[Tensor, "batch head query key"],
    tokens: Int[Tensor, "batch pos"],
    attention_mask: Bool[Tensor, "batch pos"] | None = None,
) -> Float[Tensor, " head"]:
    """Mean over repeated tokens of the attention from each to all its earlier occurrences together.

    Tokens that are new do not count, and neither does padding. NaN if no token is repeated. ValueError for `tokens`
    that are none, such as the positions of earlier occurrences.
    """
    earlier = _earlier(pattern, tokens, attention_mask)
    return _mean((pattern * earlier[:, None]).sum(-1), earlier.any(-1))


def prefix_matching_score(
    pattern: Float[Tensor, "batch head query key"],
    tokens: Int[Tensor, "batch pos"],
    attention_mask: Bool[Tensor, "batch pos"] | None = None,
) -> Float[Tensor, " head"]:
    """Mean over repeated tokens of the attention to all positions AFTER earlier occurrences (Olsson et al. 2022).

    An induction head that shares its attention among three earlier copies is one as much as a head that prefers the
    latest. Where a token stands twice running, the position after the first is the second's own; it counts. Which
    tokens count, and the errors, are those of `duplicate_token_score`.
    """
    earlier = _earlier(pattern, tokens, attention_mask)
    after = F.pad(earlier, (1, 0))[..., :-1]  # one to the right: the same queries, the keys that follow
    return _mean((pattern * after[:, None]).sum(-1), earlier.any(-1))


def _earlier(pattern: Tensor, tokens: Tensor, mask: Tensor | None) -> Bool[Tensor, "batch query key"]:
    """Whether the key is an earlier occurrence of the query's token."""
    batch, _, n, _ = pattern.shape
    if tokens.shape != (batch, n):
        raise ValueError(f"tokens must be [batch pos] = ({batch}, {n}) for this pattern, not {tuple(tokens.shape)}")
    if bool((tokens < 0).any()):
        raise ValueError("tokens are never negative: give the tokens themselves, not where they stood before")
    tokens = tokens.to(pattern.device)
    real = _real((batch, n), mask, pattern.device)
    before = torch.ones(n, n, dtype=torch.bool, device=pattern.device).tril(-1)
    return (tokens[:, :, None] == tokens[:, None, :]) & before & real[:, :, None] & real[:, None, :]


def _real(shape: tuple[int, int], mask: Tensor | None, device: torch.device) -> Bool[Tensor, "batch pos"]:
    if mask is None:
        return torch.ones(shape, dtype=torch.bool, device=device)
    if mask.shape != shape:
        raise ValueError(f"attention_mask must be [batch pos] = {shape} for this pattern, not {tuple(mask.shape)}")
    return mask.to(device).bool()


def _mean(paid: Float[Tensor, "batch head query"], counts: Bool[Tensor, "batch query"]) -> Float[Tensor, " head"]:
    """Mean over the queries that count; NaN if there is none."""
    return torch.where(counts[:, None], paid, 0.0).sum((0, 2)) / counts.sum()


def copying_score_attention(
    model: HookedModel, tokens: Input, layer: int, attention_mask: Tensor | None = None, *, fold: bool = True
) -> Float[Tensor, " head"]:
    """Of all the logits that a head raises, the share that falls on the tokens it attends to.

    At each position: head output → unembed, subtract the mean logit, keep what is positive; then the share of that on
    each token, weighted by the attention to it (Olsson et al. 2022, "copying score"). The first token of a text is
    left out, since it can only attend to itself, and so is padding. fold: as in `ov_circuit`; of the final norm, which
    otherwise is left out altogether, the gains count.
    """
    layer = layer_number(model.cfg, layer)
    tokens, mask = model._tokens_and_mask(tokens, attention_mask)
    real = _real((tokens.shape[0], tokens.shape[1]), mask, tokens.device)
    counts = real & (real.cumsum(-1) > 1)
    with torch.no_grad():
        model = plain_norms(model, fold)
        _, cache = model.run_with_cache(tokens, [("pattern", layer), ("z", layer)], attention_mask=mask)
        W_O, W_U = written(model, layer, fold), model.W_U
        shares = []
        for head in range(model.cfg.n_heads):
            logits = cache["z", layer][:, :, head] @ W_O[head] @ W_U  # [batch pos d_vocab]
            raised = (logits - logits.mean(-1, keepdim=True)).relu()
            share = raised / raised.sum(-1, keepdim=True).clamp(min=1e-12)
            on_keys = share.gather(-1, tokens[:, None, :].expand(-1, tokens.shape[1], -1))  # [batch query key]
            # A token that stands at several keys is counted once, with all the attention that its keys receive.
            attention = _attention_per_token(cache["pattern", layer][:, head], tokens, real)
            shares.append((on_keys * attention).sum(-1)[counts].mean())
    return torch.stack(shares)


def _attention_per_token(
    pattern: Float[Tensor, "batch query key"], tokens: Int[Tensor, "batch pos"], real: Bool[Tensor, "batch pos"]
) -> Float[Tensor, "batch query key"]:
    """Attention summed over equal real tokens and kept at the first of them (0 at the others)."""
    same = (tokens[:, :, None] == tokens[:, None, :]) & real[:, :, None] & real[:, None, :]  # [batch key key]
    summed = pattern @ same.to(pattern.dtype)
    first = same.float().argmax(-1) == torch.arange(tokens.shape[1], device=tokens.device)
    return summed * first[:, None, :]


def head_scores(model: HookedModel, repeats: Repeats, *, fold: bool = True) -> dict[str, Float[Tensor, "layer head"]]:
    """All heads on one sample: previous_token, duplicate_token, prefix_matching, copying (by eigenvalues).

    fold: as in `ov_circuit`, for copying.
    """
    with torch.no_grad():
        _, cache = model.run_with_cache(repeats.tokens, lambda name: name.endswith("hook_pattern"))
    patterns = [cache["pattern", layer] for layer in range(model.cfg.n_layers)]
    return {
        "previous_token": torch.stack([previous_token_score(p) for p in patterns]),
        "duplicate_token": torch.stack([duplicate_token_score(p, repeats.tokens) for p in patterns]),
        "prefix_matching": torch.stack([prefix_matching_score(p, repeats.tokens) for p in patterns]),
        "copying": copying_score_eigenvalues(model, fold=fold),
    }
