"""Patchscopes: a hidden state put in place of a token of another prompt, and the network goes on from there.

    target = identity_prompt(model, ["apple", "boat", "ring", "park"])      apple apple , boat boat , … , x
    patchscope(model, states, target, depth=2)                              what comes next, with each state at x

(Ghandeharioun et al. 2024, arXiv 2401.06102, §3.) A patchscope is a prompt with a place in it, a source and a target
layer. The identity prompt asks for the token itself: where the logit lens multiplies a state with the unembedding, here
the rest of the network translates it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib import lens
from mi_lib.models import HookedModel
from mi_lib.models.edits import EditFunction
from mi_lib.models.generate import generate
from mi_lib.oracles.reading import BadReading, check_depth
from mi_lib.steering.prompts import pieces, rows_of

PLACEHOLDER = "x"


@dataclass(frozen=True)
class Prompt:
    """tokens: a prompt. place: the position in it where a state is put; what follows the prompt is the answer."""

    tokens: tuple[int, ...]
    place: int


def prompt(model: HookedModel, text: str, placeholder: str = PLACEHOLDER) -> Prompt:
    """A prompt as text, in which the placeholder stands once, as a word. BadReading where it does not.

    The placeholder need not be a word that the network knows: its state is replaced, so another token holds its place.
    """
    words = text.split()
    if (times := words.count(placeholder)) != 1:
        raise BadReading(f"the prompt must have the placeholder {placeholder!r} once, and has it {times} times")
    at = words.index(placeholder)
    others = [word for word in words if word != placeholder] or ["."]
    words[at] = others[0]
    place = len(rows_of(model, " ".join(words[:at]))[0]) if at else len(rows_of(model, others[0])[0]) - 1
    return Prompt(tuple(rows_of(model, " ".join(words))[0]), place)


def identity_prompt(model: HookedModel, words: Sequence[str], shots: int = 4, seed: int = 0) -> Prompt:
    """Words drawn from these, each said twice, and the placeholder: "a a , b b , c c , d d , x"."""
    drawn = random.Random(seed).sample(list(words), shots)
    return prompt(model, " , ".join([*(f"{word} {word}" for word in drawn), PLACEHOLDER]))


def put(states: Float[Tensor, "state d_model"], place: int) -> EditFunction:
    """An edit that puts state i in the place of what text i has at `place`."""

    def edit(value: Float[Tensor, "state pos d_model"], hook: object = None) -> Tensor:
        new = value.clone()
        new[:, place] = states.to(value)
        return new

    return edit


@torch.no_grad()
def patchscope(
    model: HookedModel, states: Float[Tensor, "state d_model"], target: Prompt, depth: int
) -> Float[Tensor, "state d_vocab"]:
    """For each state the logits after the prompt, when it has been put in its place before block `depth`.

    BadReading for states of another width, or a depth at which no block follows.
    """
    _check(model, states, depth)
    tokens = torch.tensor(target.tokens).expand(len(states), -1)
    edits = [(("resid_pre", depth), put(states, target.place))]
    return model.run_with_hooks(tokens, edits, logits_to_keep=1)[:, -1]


def continuation(
    model: HookedModel, state: Float[Tensor, " d_model"], target: Prompt, depth: int, longest: int = 12
) -> list[str]:
    """What the network says after the prompt with the state in its place, token by token."""
    _check(model, state[None], depth)
    with model.hooks([(("resid_pre", depth), put(state[None], target.place))]):
        said = generate(model, [list(target.tokens)], max_new_tokens=longest)[0]
    return pieces(model, said.tokens)


def _check(model: HookedModel, states: Tensor, depth: int) -> None:
    check_depth(model, depth)
    if depth >= model.cfg.n_layers:
        raise BadReading(f"after depth {depth} no block follows: put the state in at 0 to {model.cfg.n_layers - 1}")
    if states.ndim != 2 or states.shape[1] != (width := model.cfg.d_model):
        raise BadReading(f"these states have the shape {tuple(states.shape)}, and this network's are [state, {width}]")


def shares(
    model: HookedModel, states: Float[Tensor, "depth state d_model"], target: Prompt, right: Int[Tensor, " state"]
) -> Float[Tensor, "source target"]:
    """The share of states whose right token comes first, for every source depth (row) and target layer (column)."""
    table = []
    for some in states:
        said = [patchscope(model, some, target, depth).argmax(-1) for depth in range(model.cfg.n_layers)]
        table.append([(tokens == right).float().mean() for tokens in said])
    return torch.tensor(table)


@torch.no_grad()
def lens_shares(
    model: HookedModel,
    states: Float[Tensor, "depth state d_model"],
    right: Int[Tensor, " state"],
    tuned: lens.TunedLens | None = None,
) -> Float[Tensor, " depth"]:
    """The same by the logit lens, or by a tuned lens, on the same states; they need no target layer."""
    found = []
    for depth, some in enumerate(states):
        moved = some if tuned is None or depth == model.cfg.n_layers else tuned(some, depth)
        found.append((lens.read_out(model, moved).argmax(-1) == right).float().mean())
    return torch.stack(found)
