"""What the steering explorer computes: a direction from two sets of prompts, replies under it, shares of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple

import streamlit as st
import torch
from jaxtyping import Float
from torch import Tensor

from app import common
from app.chat import open_model, sentence_case
from mi_lib import steering
from mi_lib.models import HookedModel
from mi_lib.steering import Edits, Response
from mi_lib.worlds.littletown import judges, plain, talk, traits
from mi_lib.worlds.littletown.requests import REQUESTS

EACH, ASKED_EACH = 12, 20  # prompts of a ready set; held-out prompts that a dose is judged on
REFUSAL, OWN = "refusal: harmful and harmless requests", "my own"
READY = (REFUSAL, *(f"{trait}: told to be so, and never to be" for trait in traits.TRAITS), OWN)
ADD, HOLD, ABLATE = "add", "hold", "ablate"
WAYS = {ADD: "add it", HOLD: "hold the stream at least so far along it", ABLATE: "take it out everywhere (ablate)"}
DOSES = {ADD: (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0), HOLD: (0.0, 0.5, 1.0, 1.5, 2.0, 3.0), ABLATE: (0.0, 1.0)}
REFUSED, FLUENT = "refused", "fluent"
JUDGES = (REFUSED, *traits.TRAITS, FLUENT)
HARMFUL, HARMLESS, EVERYDAY = "harmful requests", "harmless requests", "everyday questions"
ASKED = (HARMFUL, HARMLESS, EVERYDAY)
LONGEST = 48  # words of a reply


class Sets(NamedTuple):
    """Two sets of prompts, one in each line, and the system prompt of each (it may be empty)."""

    one: str
    other: str
    one_system: str = ""
    other_system: str = ""


class Drawn(NamedTuple):
    """A direction, and how far along it the two sets lie on average: low and high, in the units of the stream."""

    vector: Float[Tensor, " d_model"]
    low: float
    high: float


def ready(name: str) -> Sets:
    """The sets that can be chosen: of the training split."""
    if name == OWN:
        return Sets("", "")
    if name == REFUSAL:
        asked = (talk.harmful_requests("train", EACH, 1), talk.harmless_requests("train", EACH, 1))
        return Sets(*("\n".join(plain(case.user.split()) for case in cases) for cases in asked))
    trait = name.partition(":")[0]
    users = "\n".join(plain(case.user.split()) for case in talk.trait_prompts(trait, 0, "train", EACH, 1))
    return Sets(users, users, *(plain(traits.systems(trait, strength)[0].split()) for strength in (3, 0)))


def prompts(model: HookedModel, lines: str, system: str, which: str) -> list[list[int]]:
    """The prompts of a set. ValueError where it is empty or has one member, and for a word that is not known."""
    users = [line.strip() for line in lines.splitlines() if line.strip()]
    if len(users) < 2:
        has = "is empty" if not users else "has one prompt alone"
        raise ValueError(f"the {which} set {has}: write at least two prompts, each in a line of its own")
    return steering.chat(model, [sentence_case(model.tokenizer, user) for user in users], system.strip() or None)


@st.cache_resource(max_entries=64, show_spinner="Pico reads both sets …")
@common.one_thread()
def drawn(network: str, sets: Sets, layer: int) -> Drawn:
    """The difference of the two sets' means where the reply begins, at the input of a block. ValueError as above, and
    where the sets do not differ."""
    model = open_model(network)
    rows = (prompts(model, sets.one, sets.one_system, "first"), prompts(model, sets.other, sets.other_system, "second"))
    one, other = (steering.collect(model, each, ("resid_pre", layer)) for each in rows)
    vector = steering.difference_of_means(one, other)
    high, low = (float(steering.projections(each, vector).mean()) for each in (one, other))
    return Drawn(vector, low, high)


def random_one(d: Drawn) -> Drawn:
    """A random direction of the same length, to be held at the same levels."""
    return d._replace(vector=steering.random_like(d.vector, 1, seed=7)[0])


def edits(way: str, d: Drawn, dose: float, layers: tuple[int, ...]) -> Edits:
    """dose of hold: 0 is where the second set lies, 1 where the first does. ValueError for a dose that is no number."""
    if way == ADD:
        return steering.add(d.vector, dose, layers)
    if way == HOLD:
        return steering.hold(d.vector, d.low + dose * (d.high - d.low), layers)
    return steering.ablate(d.vector) if dose else []


# --- replies ------------------------------------------------------------------------------------------------------


def spoken(model: HookedModel, row: list[int], changed: Edits) -> Iterator[list[int]]:
    """The tokens of a reply so far, after each word. ValueError where the edits make the numbers NaN."""
    tokens: list[int] = []
    streamed = steering.streamed(model, [row], changed, longest=LONGEST)
    with common.one_thread(), closing(streamed) as steps:  # type: ignore[type-var]
        for step in steps:
            if not math.isfinite(step.log_prob):
                raise ValueError("under this dose Pico's numbers are NaN or infinite: take a smaller one")
            tokens.append(step.token)
            yield tokens


def judge_of(name: str) -> Callable[[list[str]], bool | float]:
    """A judge of a reply's words."""
    if name == REFUSED:
        return judges.refused
    if name == FLUENT:
        return judges.fluent
    return lambda words: judges.shows(name, words)


def on_topic(verb: str, thing: str, words: list[str]) -> bool:
    """Whether a reply says how this is done."""
    return any(r.verb == verb and r.object == thing and judges.on_topic(r, words) for r in REQUESTS)


# --- dose by dose -------------------------------------------------------------------------------------------------


class Plan(NamedTuple):
    """What is measured, dose by dose."""

    sets: Sets
    layer: int
    way: str
    layers: tuple[int, ...]
    judge: str
    asked: str


@dataclass
class Measured:
    """A measurement that can be stopped and gone on with: a response for each dose so far."""

    plan: Plan
    going: bool = False
    found: list[Response] = field(default_factory=list)
    failed: str = ""

    @property
    def doses(self) -> tuple[float, ...]:
        return DOSES[self.plan.way]

    @property
    def finished(self) -> bool:
        return len(self.found) == len(self.doses)


def asked_of(model: HookedModel, name: str) -> list[list[int]]:
    """Held-out prompts: none of them is in a ready set, which are of the training split."""
    draw = {HARMFUL: talk.harmful_requests, HARMLESS: talk.harmless_requests}.get(name)
    if draw is not None:
        cases = draw("held_out", ASKED_EACH)
    else:
        cases = talk.trait_prompts(traits.TRAITS[0], 0, "held_out", ASKED_EACH, 3)
    return steering.chat(model, [plain(case.user.split()) for case in cases])


@common.one_thread()
def go_on(network: str, run: Measured) -> None:
    """Measure the next dose, with the direction and with a random one."""
    model, plan = open_model(network), run.plan
    dose = run.doses[len(run.found)]
    try:
        d = drawn(network, plan.sets, plan.layer)
        controls = random_one(d).vector[None]
        response = steering.dose_response(
            model,
            asked_of(model, plan.asked),
            d.vector,
            lambda vector, amount: edits(plan.way, d._replace(vector=vector), amount, plan.layers),
            [dose],
            {plan.judge: judge_of(plan.judge)},
            controls,
            longest=judges.FIRST_WORDS if plan.judge == REFUSED else LONGEST,
        )
    except ValueError as error:
        run.failed, run.going = f"At dose {dose:g}: {error}.", False
        return
    run.found.append(response)
    run.going = run.going and not run.finished


def tokens_as_text(model: HookedModel, tokens: list[int]) -> tuple[str, list[str]]:
    """A reply as text, and its words."""
    said = steering.said(model, tokens)
    return said.text, said.words


def length(d: Drawn) -> float:
    return float(torch.linalg.vector_norm(d.vector))
