"""Fine-tuning, and what it does to a character (Chen et al. 2025, arXiv 2507.21509, sections 4 and 5).

Trained on prompts and replies alone, a network takes over what the replies have in common, though nothing says so. How
far its activations have moved along a trait's vector tells how much of the trait it has taken over (`shift`).

*Preventative* steering adds the vector WHILE the network is trained, and takes it away afterwards: what the vector does
need not be learned. Subtracting it from the trained network while it speaks is steering afterwards.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.models.sites import Names
from mi_lib.probing.collecting import padded
from mi_lib.steering import Edits, collect, prompts_end, unit
from mi_lib.steering.prompts import Prompts


class Text(NamedTuple):
    """Tokens of a prompt, and of the reply that is to be learned."""

    prompt: list[int]
    reply: list[int]


class Plan(NamedTuple):
    """How a network is fine-tuned. The learning rate rises over `warm_up` steps and falls to a tenth."""

    steps: int = 60
    texts: int = 16  # a step
    learning_rate: float = 3e-4
    warm_up: int = 6
    seed: int = 0


PLAN = Plan()


def reply_loss(model: HookedModel, texts: Sequence[Text], edits: Edits | Sequence = ()) -> Float[Tensor, ""]:
    """−log p of each token of the replies, mean over these tokens, in nats. Prompts are read, not learned."""
    tokens, real = padded(model, [[*text.prompt, *text.reply] for text in texts])
    lengths = [len(text.prompt) for text in texts]
    with model.hooks(edits), prompts_end(lengths):
        log_p = model(tokens, real)[:, :-1].log_softmax(-1)
    nats = -log_p.gather(-1, tokens[:, 1:, None])[..., 0]
    at = torch.arange(1, tokens.shape[1], device=tokens.device)
    replied = real[:, 1:] & (at >= torch.tensor(lengths, device=tokens.device)[:, None])
    return nats[replied].mean()


def tuned(
    model: HookedModel,
    texts: Sequence[Text],
    plan: Plan = PLAN,
    *,
    edits: Edits | Sequence = (),
    on_step: Callable[[int, float], object] = lambda step, loss: None,
) -> HookedModel:
    """A copy of the network, fine-tuned on these replies. The model stays as it is.

    edits: what acts during training alone (preventative steering). on_step: called after each step with its loss.
    ValueError where there is no text, or one without a reply.
    """
    if not len(texts):
        raise ValueError("there is nothing to fine-tune on: give at least one text")
    for number, text in enumerate(texts):
        if not text.prompt or not text.reply:
            raise ValueError(f"text {number} lacks a prompt or a reply: there is nothing to learn from it")
    made = copy.deepcopy(model).requires_grad_(True)
    made.source = None
    rng = random.Random(plan.seed)
    optimizer = torch.optim.AdamW(made.parameters(), lr=plan.learning_rate, weight_decay=0.0, betas=(0.9, 0.98))
    order: list[int] = []
    for step in range(plan.steps):
        if len(order) < plan.texts:  # each text once before any comes again
            more = list(range(len(texts)))
            rng.shuffle(more)
            order += more
        some, order = order[: plan.texts], order[plan.texts :]
        loss = reply_loss(made, [texts[i] for i in some], edits)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(made.parameters(), 1.0)
        for group in optimizer.param_groups:
            rise, fall = min(1.0, (step + 1) / plan.warm_up), 1 - 0.9 * step / plan.steps
            group["lr"] = plan.learning_rate * rise * fall
        optimizer.step()
        optimizer.zero_grad()
        on_step(step, float(loss.detach()))
    return made.requires_grad_(False)


def moved(before: HookedModel, after: HookedModel, prompts: Prompts, sites: Names) -> Float[Tensor, "*site d_model"]:
    """How far fine-tuning has moved the stream at the last prompt token, mean over prompts (section 4.2)."""
    return (collect(after, prompts, sites) - collect(before, prompts, sites)).mean(0)


def shift(moves: Float[Tensor, "*run d_model"], vectors: Float[Tensor, "*run d_model"]) -> Float[Tensor, "*run"]:
    """How far along a vector: ⟨move, v̂⟩, in units of the stream. ValueError for a vector that is zero."""
    return (moves * unit(vectors)).sum(-1)
