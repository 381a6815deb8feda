"""How well each token is predicted. Losses are cross-entropies in nats."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.models.text import at_positions, text_positions
from mi_lib.worlds.repeats import Repeats


def per_token_loss(
    logits: Float[Tensor, "batch pos d_vocab"],
    tokens: Int[Tensor, "batch pos"],
    attention_mask: Bool[Tensor, "batch pos"] | None = None,
) -> Float[Tensor, "batch pos-1"]:
    """−log p(next token): entry t is the loss of predicting token t + 1 from the logits at t.

    attention_mask: True at real tokens; the loss is NaN where either of the two is padding, so that a mean over all
    is not mistaken for one over the texts (`nanmean` is).
    """
    log_probs = logits[:, :-1].log_softmax(-1)
    loss = -log_probs.gather(-1, tokens[:, 1:, None].to(logits.device))[..., 0]
    if attention_mask is None:
        return loss
    real = attention_mask.to(loss.device).bool()
    return loss.masked_fill(~(real[:, 1:] & real[:, :-1]), math.nan)


def half_losses(model: HookedModel, repeats: Repeats) -> tuple[float, float]:
    """Mean loss on the tokens of first copies, and on those of later copies (their first token included)."""
    with torch.no_grad():
        loss = per_token_loss(model(repeats.tokens), repeats.tokens)
    return split_loss(loss, repeats)


def split_loss(loss: Float[Tensor, "batch pos-1"], repeats: Repeats) -> tuple[float, float]:
    """The means of a per-token loss over first copies and over later copies."""
    first, second = repeats.first[:, 1:].to(loss.device), repeats.second[:, 1:].to(loss.device)
    return loss[first].mean().item(), loss[second].mean().item()


def in_context_learning_score(loss: Float[Tensor, "batch pos"], early: int, late: int) -> float:
    """Mean loss at a late position minus mean loss at an early one: negative when context helps.

    Olsson et al. 2022 use positions 50 and 500 of long documents. Positions count each text's own losses: NaN at
    either end of a row is padding (see `per_token_loss`). ValueError where a text is too short, or NaN inside one.
    """
    if not 0 <= early < late < loss.shape[1]:
        raise ValueError(f"positions must satisfy 0 <= early < late < {loss.shape[1]}, not {early} and {late}")
    real = ~loss.isnan()
    ends = torch.diff(F.pad(real.int(), (1, 1)), dim=-1).abs().sum(-1)  # where a row goes from padding to text or back
    if bool((ends > 2).any()):
        raise ValueError("some of these losses are NaN in the middle of a text")
    shortest = int(real.sum(-1).min())
    if late >= shortest:
        raise ValueError(f"there is no position {late} in the shortest text, which has {shortest} losses")
    at_early, at_late = (at_positions(loss, text_positions(loss, real, position)) for position in (early, late))
    return (at_late.mean() - at_early.mean()).item()
