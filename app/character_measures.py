"""What the explorer of characters computes: where replies stand along the axis and on the traits' vectors, free and
capped. What roles and traits are is read from replies that Littletown itself writes, so that nobody waits for Pico."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import streamlit as st
import torch
from jaxtyping import Float
from torch import Tensor

from app import common
from app.chat import open_model
from mi_lib import personas, steering
from mi_lib.models import HookedModel
from mi_lib.personas import Axis, Cap, Drawn, Space
from mi_lib.steering import Edits
from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import samples, traits, voices

PER_ROLE, OWN, PER_TRAIT = 6, 24, 12  # replies that are read of each role, of the assistant, of each trait
LAYERS = (1, 2, 3, 4)  # at whose inputs the stream is capped
DEPTH = 3  # where turns are placed
LONGEST = 52  # words of a reply


class Known(NamedTuple):
    """What the page knows before anybody talks: the axis, the traits' vectors, a cap, and the space of the roles."""

    axis: Axis
    traits: dict[str, Drawn]
    cap: Cap
    space: Space
    depth: int
    later: Tensor  # how the stream moves when the same reply stands later in a conversation


class Place(NamedTuple):
    """Where a reply stands. axis: 1 the assistant, 0 the roles on average. traits: 0 plain replies, 1 those with it."""

    axis: float
    traits: dict[str, float]
    map: tuple[float, float]


@st.cache_resource(max_entries=4, show_spinner="Reading what the roles and the traits are like …")
@common.one_thread()
def known(network: str) -> Known:
    model = open_model(network)
    layers = tuple(layer for layer in LAYERS if layer < model.cfg.n_layers)
    depth = min(DEPTH, model.cfg.n_layers - 1)
    of = {name: samples.spoken(name, PER_ROLE, 1) for name in voices.ROLES}
    of[voices.ASSISTANT] = samples.spoken(voices.ASSISTANT, OWN, 1)
    for trait in traits.TRAITS:
        of[trait] = samples.samples(trait, 1.0, PER_TRAIT, 1)
    of[""] = samples.samples(traits.TRAITS[0], 0.0, PER_TRAIT, 1)
    read = _means(model, [one for some in of.values() for one in some])
    parts = dict(zip(of, torch.split(read, [len(some) for some in of.values()]), strict=True))
    axis = Axis(torch.stack([parts[name].mean(0) for name in voices.ROLES]), parts[voices.ASSISTANT].mean(0))
    drawn = {trait: Drawn(parts[""].mean(0), parts[trait].mean(0)) for trait in traits.TRAITS}
    units = torch.stack([axis.at(layer) for layer in layers])
    cap = Cap.of(units, parts[voices.ASSISTANT][:, list(layers)], layers)
    return Known(axis, drawn, cap, personas.space(axis.roles[:, depth]), depth, _later(model, of[""])[depth])


def _later(model: HookedModel, of: list[samples.Sample]) -> Float[Tensor, "depth d_model"]:
    """Plain replies read behind two other turns, less the same replies read as a conversation's first. Roles' replies
    are longer than the assistant's, so that the axis has some of this in it, and everything would seem to fall."""
    turned = [[*of[i - 1].prompt, *of[i - 1].reply, *of[i - 2].prompt, *of[i - 2].reply] for i in range(len(of))]
    return (_means(model, of, turned) - _means(model, of)).mean(0)


def _means(
    model: HookedModel, of: list[samples.Sample], before: list[list[str]] | None = None
) -> Float[Tensor, "sample depth d_model"]:
    ids = {word: i for i, word in enumerate(littletown.vocabulary())}
    start = model.tokenizer.bos_token_id
    heads = before or [[] for _ in of]
    prompts = [[start, *(ids[w] for w in (*head, *one.prompt))] for head, one in zip(heads, of, strict=True)]
    return steering.collect_replies(
        model, prompts, [[ids[word] for word in one.reply] for one in of], steering.stream_sites(model)
    )


def floor(of: Known, quantile: float) -> Cap:
    """The cap with its floors at this quantile of the assistant's own replies."""
    return Cap.of(of.cap.units, of.cap.at_rest.transpose(0, 1), of.cap.layers, quantile)


def prompt(model: HookedModel, users: list[str], said: list[str]) -> list[int]:
    """The prompt of the last thing that the user says, with all before it. ValueError where it does not fit."""
    row = steering.chat(model, [users[-1]], None, list(zip(users, said, strict=False)))[0]
    if len(row) + LONGEST > model.cfg.n_ctx:
        raise ValueError("this conversation is as long as Pico can read: begin a new one")
    return row


def spoken(model: HookedModel, row: list[int], edits: Edits) -> Iterator[list[int]]:
    """The tokens of a reply so far, after each word. ValueError where the edits make the numbers NaN."""
    tokens: list[int] = []
    streamed = steering.streamed(model, [row], edits, longest=LONGEST)
    with common.one_thread(), closing(streamed) as steps:  # type: ignore[type-var]
        for step in steps:
            if not math.isfinite(step.log_prob):
                raise ValueError("under this cap Pico's numbers are NaN or infinite")
            tokens.append(step.token)
            yield tokens


@common.one_thread()
def placed(model: HookedModel, of: Known, row: list[int], tokens: list[int]) -> Place:
    """Where a reply stands, read behind its prompt without any edit."""
    state = steering.collect_replies(model, [row], [tokens], [steering.stream_sites(model)[of.depth]])[0, 0]
    levels = {}
    for name, drawn in of.traits.items():
        vector = drawn.vectors[of.depth]
        levels[name] = float((state - drawn.plain[of.depth]) @ vector / vector.square().sum())
    x, y = of.space.map(state).tolist()
    return Place(float(of.axis.place(state, of.depth, of.later)), levels, (x, y))
