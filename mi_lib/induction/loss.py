"""How well each token is predicted. Losses are cross-entropies in nats."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.worlds.repeats import Repeats


def per_token_loss(
    logits: Float[Tensor, "batch pos d_vocab"], tokens: Int[Tensor, "batch pos"]
) -> Float[Tensor, "batch pos-1"]:
    """−log p(next token): entry t is the loss of predicting token t + 1 from the logits at t."""
    log_probs = logits[:, :-1].log_softmax(-1)
    return -log_probs.gather(-1, tokens[:, 1:, None].to(logits.device))[..., 0]


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

    Olsson et al. 2022 use positions 50 and 500 of long documents.
    """
    if not 0 <= early < late < loss.shape[1]:
        raise ValueError(f"positions must satisfy 0 <= early < late < {loss.shape[1]}, not {early} and {late}")
    return (loss[:, late].mean() - loss[:, early].mean()).item()
