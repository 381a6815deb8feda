"""Roles, the assistant axis and drift along it (Lu et al. 2026, "The assistant axis", arXiv 2601.10387)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.personas import Axis
from mi_lib.recipes.checks import Check
from mi_lib.recipes.pico.common import Words, mean_check, prompts_of, replies, reply_means, untrained
from mi_lib.statistics import interval, separation
from mi_lib.steering import random_like, rate
from mi_lib.worlds.littletown import Split, judges, talk, voices

PER_ROLE = 48  # prompts for each role: with 12, chance moves the axis' cosine by .03
CONVERSATIONS = 40  # half by seekers, half by workers


class Spoken(NamedTuple):
    """Prompts to every role and to the assistant, and the replies."""

    names: list[str]
    prompts: list[Words]
    said: list[Words]


def spoken_to(name: str, split: Split, count: int, seed: int) -> list[Words]:
    """Prompts to a role, or to the assistant: that has a system prompt too, so that only what it says differs.

    Without one, its replies stand earlier in the text, and position would look like character.
    """
    cases = talk.role_prompts(name, split, count, seed)
    if name != voices.ASSISTANT:
        return prompts_of(cases)
    ways = talk.DEFAULT_SYSTEMS
    return [talk.prompt(case.user, ways[i // 3 % len(ways)]) for i, case in enumerate(cases)]


def speak(model: HookedModel, split: Split, seed: int, each: int = PER_ROLE) -> Spoken:
    everyone = (*voices.ROLES, voices.ASSISTANT)
    prompts = [prompt for name in everyone for prompt in spoken_to(name, split, each, seed)]
    return Spoken([name for name in everyone for _ in range(each)], prompts, replies(model, prompts))


def axis_of(model: HookedModel, spoken: Spoken) -> Axis:
    """Means over the words of the replies; these may be another network's."""
    means = reply_means(model, spoken.prompts, spoken.said)
    by_name = torch.stack(
        [means[[i for i, n in enumerate(spoken.names) if n == name]].mean(0) for name in (*voices.ROLES, "assistant")]
    )
    return Axis(by_name[:-1], by_name[-1])


def roles(model: HookedModel, base: HookedModel | None = None) -> list[Check]:
    spoken = speak(model, "train", seed=1)
    axis = axis_of(model, spoken)
    return [in_voice(model), aligned(model, spoken, axis), *drift(model, axis)]


def in_voice(model: HookedModel) -> Check:
    spoken = speak(model, "held_out", seed=0)
    names = list(voices.ROLES)
    pairs = [(n, words) for n, words in zip(spoken.names, spoken.said, strict=True) if n in voices.ROLES]
    others = [(names[(names.index(name) + 7) % len(names)], words) for name, words in pairs]
    return mean_check(
        "roles_in_voice", "share of replies, over all roles, in which the role that the system prompt gives speaks",
        [judges.in_voice(name, words) for name, words in pairs], 0.95, True,
        rate([judges.in_voice(name, words) for name, words in others]), "judged as another role",
    )  # fmt: skip


def aligned(model: HookedModel, spoken: Spoken, axis: Axis) -> Check:
    depth = model.cfg.n_layers // 2
    by_depth = " ".join(f"{axis.alignment(at):.2f}" for at in range(model.cfg.n_layers + 1))
    control = axis_of(untrained(0), spoken).alignment(depth)
    component = axis.component(depth)
    chance = [abs(torch.cosine_similarity(d, component, dim=0).item()) for d in random_like(component, 100)]
    rng = np.random.default_rng(0)
    drawn = [axis.of(m).alignment(depth) for m in rng.integers(0, len(axis.roles), (200, len(axis.roles)))]
    return Check(
        "assistant_axis",
        "|cos| of the axis (assistant minus roles) with the first principal component of the roles, in the middle "
        f"(by depth, from the embeddings on: {by_depth}; random directions: at most {max(chance):.2f})",
        axis.alignment(depth),
        0.7,
        True,
        control,
        "an untrained network on the same texts",
        *(float(np.quantile(drawn, q)) for q in (0.025, 0.975)),
    )


def converse(model: HookedModel, conversations: Sequence[talk.Conversation]) -> list[list[tuple[Words, Words]]]:
    """For each turn, and each conversation: the prompt with all that was said before, and the model's reply."""
    histories: list[list[tuple[str, str]]] = [[] for _ in conversations]
    turns = []
    for turn in range(len(conversations[0].users)):
        prompts = [
            talk.prompt(c.users[turn], None, tuple(h)) for c, h in zip(conversations, histories, strict=True)
        ]  # fmt: skip
        said = replies(model, prompts, longest=52)
        for conversation, history, words in zip(conversations, histories, said, strict=True):
            history.append((conversation.users[turn], " ".join(w for w in words if w != talk.END)))
        turns.append(list(zip(prompts, said, strict=True)))
    return turns


def half_to_half(
    model: HookedModel, conversations: Sequence[talk.Conversation], depth: int
) -> Float[Tensor, "conversation d_model"]:
    """For each conversation, the mean of its replies in the first half minus that in the second.

    By halves, because a worker asks for different things in odd turns and in even ones.
    """
    by_turn = torch.stack(
        [
            reply_means(model, [p for p, _ in turn], [s for _, s in turn])[:, depth]
            for turn in converse(model, conversations)
        ]
    )
    half = len(by_turn) // 2
    return by_turn[:half].mean(0) - by_turn[half:].mean(0)


def without_place(axis: Axis, model: HookedModel, depth: int) -> Float[Tensor, " d_model"]:
    """The axis without its part along what changes while a worker goes on asking: later places in the text.

    Learned positions are part of the stream; roles' replies are longer than the assistant's, so the axis holds some.
    """
    talks = talk.drift_conversations("train", CONVERSATIONS, seed=1)
    later = half_to_half(model, [c for c in talks if not c.seeker], depth).mean(0)
    return axis.at(depth) - (axis.at(depth) @ later) / (later @ later) * later


def drift(model: HookedModel, axis: Axis) -> list[Check]:
    """A seeker draws the assistant along the axis, a worker does not. Measured in lengths of the axis without place."""
    depth = model.cfg.n_layers // 2
    conversations = talk.drift_conversations("held_out", CONVERSATIONS)
    direction = without_place(axis, model, depth)
    falls = (half_to_half(model, conversations, depth) @ direction / direction.norm() ** 2).numpy()
    seeker = np.array([c.seeker for c in conversations])
    rng = np.random.default_rng(0)
    return [
        mean_check(
            "drift_seeker",
            "how far replies fall along the axis in a seeker's conversation, half to half, in lengths of the axis",
            falls[seeker].tolist(), 0.25, True, float(falls[~seeker].mean()), "a worker's conversation",
        ),
        mean_check(
            "drift_worker", "the same in a worker's conversation",
            falls[~seeker].tolist(), 0.1, False, float(falls[seeker].mean()), "a seeker's conversation",
        ),
        Check(
            "drift_difference", "a seeker's mean fall minus a worker's, in standard deviations within the two groups",
            separation(falls, seeker), 2.0, True,
            max(abs(separation(falls, rng.permutation(seeker))) for _ in range(20)),
            "users shuffled, the highest of twenty",
            *interval(lambda rows: separation(falls[rows], seeker[rows]), len(falls)),
        ),
    ]  # fmt: skip
