"""A defence: a network fine-tuned so that taking one direction out no longer takes refusal out.

The attack is `ablate` (Arditi et al. 2024, arXiv 2406.11717). The defence trains under it (in the manner of refusal
feature adversarial training, Yu et al. 2024, arXiv 2409.20089), and the network is its own teacher:

1. Let the original refuse harmful prompts, and keep what it says. Keep other texts too, with harmless replies.
2. Every few steps draw the directions of the network as it is NOW: harmful minus harmless, at the input of every block
   and after the last, at every token behind the instruction. In each step one of them, by lot, is taken out.
3. Make small      KL(original ‖ network without the direction)   where a refusal's words are predicted
                 + KL(original ‖ network)                         everywhere in the kept texts

A direction that was drawn once would be a wall with one gate: whoever draws anew goes around it. What a defended
network resists is what it was trained against, so try more than that: fresh directions, several at once, subtraction.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.probing.collecting import padded
from mi_lib.steering.activations import collect, stream_sites
from mi_lib.steering.directions import difference_of_means
from mi_lib.steering.prompts import Prompts, after_instruction, require_template, rows_of
from mi_lib.steering.replies import replies
from mi_lib.steering.ways import ablate

Tokens = list[list[int]]


class Plan(NamedTuple):
    """How a network is trained to resist. The learning rate rises over `warm_up` steps and falls to a tenth."""

    steps: int = 60
    attacked: int = 16  # harmful prompts with their refusals, a step
    kept: int = 16  # other texts, a step
    learning_rate: float = 3e-4
    warm_up: int = 10
    redraw: int = 5  # steps between two drawings of the directions
    longest: int = 32  # tokens of a refusal
    seed: int = 0


PLAN = Plan()


class Lesson(NamedTuple):
    """What a step cost: the divergence under attack, and on what is kept. In nats per token."""

    attacked: float
    kept: float


def divergence(
    before: Float[Tensor, "batch pos d_vocab"],
    after: Float[Tensor, "batch pos d_vocab"],
    counts: Bool[Tensor, "batch pos"],
) -> Float[Tensor, ""]:
    """KL(before ‖ after) of the next token in nats, mean over the positions that count."""
    p, q = before.log_softmax(-1)[counts], after.log_softmax(-1)[counts]
    return (p.exp() * (p - q)).sum(-1).mean()


def defence_loss(
    model: HookedModel,
    original: HookedModel,
    direction: Float[Tensor, "*k d_model"],
    harmful: Tokens,
    lengths: Sequence[int],
    kept: Tokens,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The two parts of the loss; the loss is their sum.

    harmful: prompts with the refusals behind them; lengths: tokens of each prompt. A refusal's tokens are predicted
    from the prompt's last one on.
    """
    tokens, real = padded(model, harmful)
    at = torch.arange(tokens.shape[1], device=model.device)
    starts = torch.as_tensor(lengths, device=model.device)[:, None] - 1
    refusal = (at >= starts) & (at < real.sum(1, keepdim=True) - 1)
    texts, there = padded(model, kept)
    with torch.no_grad():
        wanted, as_before = original(tokens, real), original(texts, there)
    with model.hooks(ablate(direction)):
        attacked = model(tokens, real)
    return divergence(wanted, attacked, refusal), divergence(as_before, model(texts, there), there)


def defended(
    model: HookedModel,
    harmful: Prompts,
    harmless: Prompts,
    kept: Tokens,
    plan: Plan = PLAN,
    *,
    drawing: Callable[[HookedModel], list[Tensor]] | None = None,
    on_step: Callable[[int, Lesson], object] = lambda step, lesson: None,
) -> HookedModel:
    """A copy of the network that was trained to refuse while a direction is taken out. The model stays as it is.

    harmful, harmless: prompts of the training split; the first half of each is trained on, directions are drawn from
    the second. kept: whole texts that the network shall read as it did, plain ones among them; the model's own replies
    to the harmless prompts are added.
    drawing: which directions are taken out, of the network as it is now; None: `directions_of`. Random ones are the
    control: whatever such training does by itself, it does then too.
    on_step: called after each step. ValueError for too few prompts, and where nothing is to be kept.
    """
    rows, plain = rows_of(model, harmful), rows_of(model, harmless)
    if min(len(rows), len(plain)) < 4 or not kept:
        raise ValueError("the defence needs at least 4 prompts of each kind, and texts that shall stay as they are")
    half, less = len(rows) // 2, len(plain) // 2
    original = copy.deepcopy(model).requires_grad_(False)
    made = copy.deepcopy(model).requires_grad_(True)
    made.source = None
    refusals = _with_replies(original, rows[:half], plan.longest)
    stay = [*_with_replies(original, plain[:less], plan.longest), *kept]
    lengths = [len(row) for row in rows[:half]]
    draw = drawing or (lambda now: directions_of(now, rows[half:], plain[less:]))
    rng = random.Random(plan.seed)
    optimizer = torch.optim.AdamW(made.parameters(), lr=plan.learning_rate, weight_decay=0.0, betas=(0.9, 0.98))
    directions: list[Tensor] = []
    for step in range(plan.steps):
        if step % plan.redraw == 0:
            directions = draw(made)
        some = [rng.randrange(len(refusals)) for _ in range(plan.attacked)]
        others = [stay[rng.randrange(len(stay))] for _ in range(plan.kept)]
        parts = defence_loss(
            made, original, rng.choice(directions), [refusals[i] for i in some], [lengths[i] for i in some], others
        )
        sum(parts).backward()  # type: ignore[union-attr]
        torch.nn.utils.clip_grad_norm_(made.parameters(), 1.0)
        rise, fall = min(1.0, (step + 1) / plan.warm_up), 1 - 0.9 * step / plan.steps
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate * rise * fall
        optimizer.step()
        optimizer.zero_grad()
        on_step(step, Lesson(*(float(part.detach()) for part in parts)))
    return made.requires_grad_(False)


@torch.no_grad()
def directions_of(model: HookedModel, harmful: Prompts, harmless: Prompts) -> list[Float[Tensor, " d_model"]]:
    """What an attacker may draw: harmful minus harmless, at every depth but the embeddings and every token behind the
    instruction. ValueError for prompts that do not end as the chat template ends."""
    ends = after_instruction(model)
    sites, places = stream_sites(model)[1:], range(-len(ends), 0)
    both = []
    for which, prompts in (("harmful prompt", harmful), ("harmless prompt", harmless)):
        some = rows_of(model, prompts)
        require_template(model, some, which)
        states = collect(model, some, sites, list(places))
        both.append(states.reshape(len(some), len(sites) * len(places), -1))
    return list(difference_of_means(*both))


def _with_replies(model: HookedModel, rows: Tokens, longest: int) -> Tokens:
    """Each prompt with what the model replies."""
    return [[*row, *said.tokens] for row, said in zip(rows, replies(model, rows, longest=longest), strict=True)]
