"""What each head attends to, and what it writes about what it attends to. Every score is a mean in [0, 1]."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.induction.circuits import copying_score_eigenvalues
from mi_lib.models import HookedModel
from mi_lib.worlds.repeats import Repeats


def previous_token_score(pattern: Float[Tensor, "batch head query key"]) -> Float[Tensor, " head"]:
    """Mean attention from each position to the one before it (position 0 has none)."""
    return pattern.diagonal(offset=-1, dim1=-2, dim2=-1).mean((0, 2))


def duplicate_token_score(
    pattern: Float[Tensor, "batch head query key"], previous: Int[Tensor, "batch pos"]
) -> Float[Tensor, " head"]:
    """Mean attention from each repeated token to its latest earlier occurrence.

    previous: where the token last stood, −1 where it is new (those positions do not count).
    """
    return _mean_attention(pattern, previous)


def prefix_matching_score(
    pattern: Float[Tensor, "batch head query key"], previous: Int[Tensor, "batch pos"]
) -> Float[Tensor, " head"]:
    """Mean attention from each repeated token to the position AFTER its latest earlier occurrence (Olsson et al. 2022).

    previous: where the token last stood, −1 where it is new (those positions do not count).
    """
    return _mean_attention(pattern, torch.where(previous >= 0, previous + 1, -1))


def _mean_attention(pattern: Tensor, target: Int[Tensor, "batch pos"]) -> Float[Tensor, " head"]:
    """Mean over the positions with a target (≥ 0) of the attention paid to it; NaN if there is none."""
    counts = (target >= 0).to(pattern.device)
    index = target.clamp(min=0).to(pattern.device)[:, None, :, None].expand(-1, pattern.shape[1], -1, 1)
    paid = pattern.gather(-1, index)[..., 0]  # [batch head query]
    return (paid * counts[:, None]).sum((0, 2)) / counts.sum()


def copying_score_attention(model: HookedModel, tokens: Int[Tensor, "batch pos"], layer: int) -> Float[Tensor, " head"]:
    """Of all the logits that a head raises, the share that falls on the tokens it attends to.

    At each position: head output → unembed, subtract the mean logit, keep what is positive; then the share of that on
    each token, weighted by the attention to it (Olsson et al. 2022, "copying score"). The final norm is left out.
    Position 0 is left out: it can only attend to itself.
    """
    with torch.no_grad():
        _, cache = model.run_with_cache(tokens, [("pattern", layer), ("z", layer)])
        shares = []
        for head in range(model.cfg.n_heads):
            logits = cache["z", layer][:, :, head] @ model.W_O[layer, head] @ model.W_U  # [batch pos d_vocab]
            raised = (logits - logits.mean(-1, keepdim=True)).relu()
            share = raised / raised.sum(-1, keepdim=True).clamp(min=1e-12)
            on_keys = share.gather(-1, tokens[:, None, :].expand(-1, tokens.shape[1], -1))  # [batch query key]
            # A token that stands at several keys is counted once, with all the attention that its keys receive.
            attention = _attention_per_token(cache["pattern", layer][:, head], tokens)
            shares.append((on_keys * attention).sum(-1)[:, 1:].mean())
    return torch.stack(shares)


def _attention_per_token(
    pattern: Float[Tensor, "batch query key"], tokens: Int[Tensor, "batch pos"]
) -> Float[Tensor, "batch query key"]:
    """Attention summed over equal tokens and kept at the first of them (0 at the others)."""
    same = tokens[:, :, None] == tokens[:, None, :]  # [batch key key]
    summed = pattern @ same.to(pattern.dtype)
    first = same.float().argmax(-1) == torch.arange(tokens.shape[1], device=tokens.device)
    return summed * first[:, None, :]


def head_scores(model: HookedModel, repeats: Repeats) -> dict[str, Float[Tensor, "layer head"]]:
    """All heads on one sample: previous_token, duplicate_token, prefix_matching, copying (by eigenvalues)."""
    with torch.no_grad():
        _, cache = model.run_with_cache(repeats.tokens, lambda name: name.endswith("hook_pattern"))
    patterns = [cache["pattern", layer] for layer in range(model.cfg.n_layers)]
    return {
        "previous_token": torch.stack([previous_token_score(p) for p in patterns]),
        "duplicate_token": torch.stack([duplicate_token_score(p, repeats.previous) for p in patterns]),
        "prefix_matching": torch.stack([prefix_matching_score(p, repeats.previous) for p in patterns]),
        "copying": copying_score_eigenvalues(model),
    }
