"""What the circuit explorer takes apart: networks, each with a task, and pairs of prompts for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import streamlit as st
import torch
from torch import Tensor

from app.chat import open_model
from mi_lib import attribution, zoo
from mi_lib.models import HookedModel, load
from mi_lib.worlds import giving, planted
from mi_lib.worlds.littletown import pairs as littletown
from mi_lib.worlds.planted import Circuit, Pairs
from mi_lib.worlds.planted.ioi import NamePairs

PICO = "pico"  # a bundled name, or a folder
TRAINED = "ioi-"  # how the names of the bundled networks begin that were trained on stories of giving
HOMES, GIVING = "homes", "giving"


class Subject(NamedTuple):
    """A network and a task. network: a bundled name, or a folder; "" for the planted circuit of the task's name."""

    title: str
    network: str
    task: str


class Shown(NamedTuple):
    """The pair of prompts that is looked at, as tokens."""

    clean: tuple[int, ...]
    corrupted: tuple[int, ...]
    answer: int
    other: int

    @property
    def prompts(self) -> tuple[Tensor, Tensor]:
        """Clean and corrupted, [1 pos] each."""
        return torch.tensor([self.clean]), torch.tensor([self.corrupted])

    @property
    def metric(self) -> attribution.Metric:
        return attribution.logit_difference(self.answer, self.other)


def subjects() -> list[Subject]:
    """What can be taken apart here: planted networks, and of the bundled ones those that are there."""
    found = [Subject("planted: indirect objects, as in GPT-2", "", "ioi")]
    trained = [name for name in zoo.names() if name.startswith(TRAINED)]
    found += [Subject(f"trained: indirect objects ({name})", name, GIVING) for name in trained]
    if PICO in zoo.names() or Path(PICO).is_dir():
        found.append(Subject("Pico: where somebody lives", PICO, HOMES))
    return found + [Subject(f"planted: {name.replace('_', ' ')}", "", name) for name in planted.NAMES]


@st.cache_resource(max_entries=16, show_spinner="Writing the weights down …")
def circuit(name: str) -> Circuit:
    return planted.circuit(name)


def network(subject: Subject) -> HookedModel:
    if not subject.network:
        return circuit(subject.task).model
    return open_model(subject.network) if subject.network == PICO else _trained(subject.network)


@st.cache_resource(max_entries=4, show_spinner="Loading the network …")
def _trained(name: str) -> HookedModel:
    return load(name)


def draw(subject: Subject, n: int, seed: int, held_out: bool = False) -> list[Pairs]:
    """n pairs, those of one template together, so that a mean over them is one for each position.

    held_out: to judge what was found with others.
    """
    if subject.task == HOMES:
        told = littletown.homes(n, seed, others=held_out)
        model = network(subject)
        clean, corrupted, answers, others = (list(column) for column in zip(*told, strict=True))
        tokens = (attribution.answer_tokens(model, words) for words in (answers, others))
        return [Pairs(model.to_tokens(clean), model.to_tokens(corrupted), *tokens)]
    found: Pairs
    if subject.task == GIVING:
        which: giving.Which = "held_out" if held_out else "train"
        found = giving.stories(n, seed=seed, names=which, templates=which)
    else:
        found = circuit(subject.task).pairs(n, seed)
    if not isinstance(found, NamePairs):
        return [found]
    fields = (found.clean, found.corrupted, found.answers, found.corrupted_answers)
    return [Pairs(*(field[found.template == t] for field in fields)) for t in found.template.unique()]


def words(model: HookedModel, tokens: Sequence[int]) -> list[str]:
    """As they are shown. Marks such as <|bos|> would be read as HTML by a figure."""
    told = model.to_str_tokens(torch.tensor(list(tokens)))
    return [_plain(word) for word in told]


def word(model: HookedModel, token: int) -> str:
    return words(model, [token])[0]


def _plain(token: str) -> str:
    inside = token.removeprefix("<").removesuffix(">").strip("|")
    return f"⟨{'start' if inside == 'bos' else inside}⟩" if token.startswith("<") else token
