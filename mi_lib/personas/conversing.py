"""Conversations: what a user says turn by turn, the model's own replies between, and where each reply stands.

    talked = converse(model, [["Who are you ?", "What do you dream of ?"], ["How do I paint the school ?"]])
    by_turn(model, talked, ("resid_pre", 3))       one [turn d_model] for each conversation

A conversation may be held while edits act (`capping`); each reply then answers what was said under them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.models.sites import Names
from mi_lib.steering import Edits, Said, chat, collect, collect_replies, replies


class Turn(NamedTuple):
    """prompt: tokens of all that was said before the reply, the user's turn included."""

    prompt: list[int]
    said: Said


def converse(
    model: HookedModel,
    users: Sequence[Sequence[str]],
    edits: Edits | Sequence = (),
    *,
    system: str | None = None,
    longest: int = 52,
    seed: int | None = None,
) -> list[list[Turn]]:
    """What is said in each conversation, turn by turn; they may differ in length.

    users: what the user says in each. longest: tokens of a reply. seed: as in `steering.replies`.
    ValueError for a conversation in which nothing is said, by the user or by the model before the end, and where one
    grows longer than the model can read.
    """
    for number, turns in enumerate(users):
        if isinstance(turns, str) or not len(turns):
            raise ValueError(f"conversation {number} should be a list of what the user says, with at least one turn")
    talked: list[list[Turn]] = [[] for _ in users]
    for turn in range(max(map(len, users), default=0)):
        members = [i for i, turns in enumerate(users) if len(turns) > turn]
        for i in members:
            if turn and not talked[i][-1].said.text.strip():
                raise ValueError(
                    f"in conversation {i} the model said nothing in turn {turn - 1}: it cannot go on from it"
                )
        prompts = [_prompt(model, users[i][: turn + 1], talked[i], system) for i in members]
        said = replies(model, prompts, edits, longest=longest, seed=None if seed is None else seed + 1000 * turn)
        for i, prompt, reply in zip(members, prompts, said, strict=True):
            talked[i].append(Turn(prompt, reply))
    return talked


def _prompt(model: HookedModel, users: Sequence[str], before: Sequence[Turn], system: str | None) -> list[int]:
    history = [(user, turn.said.text) for user, turn in zip(users, before, strict=False)]
    return chat(model, [users[-1]], system, history)[0]


def by_turn(
    model: HookedModel, talked: Sequence[Sequence[Turn]], site: Names
) -> list[Float[Tensor, "turn *sites d_model"]]:
    """Where each reply stands: the mean over its tokens, read behind all that was said before, without any edit."""
    flat = [turn for turns in talked for turn in turns]
    sites = site if isinstance(site, list) else [site]
    states = collect_replies(model, [t.prompt for t in flat], [t.said.tokens for t in flat], sites)  # type: ignore[arg-type]
    states = states if isinstance(site, list) else states[:, 0]
    return list(torch.split(states, [len(turns) for turns in talked]))


def before_reply(
    model: HookedModel, talked: Sequence[Sequence[Turn]], site: Names
) -> list[Float[Tensor, "turn *sites d_model"]]:
    """The same at the last token of each prompt, before a word of the reply is chosen."""
    flat = [turn for turns in talked for turn in turns]
    return list(torch.split(collect(model, [t.prompt for t in flat], site), [len(turns) for turns in talked]))
