"""What `mi zoo verify` measures on the shipped weights: claims with a bound, and a control that shows they can fail.

The checks of a family stand in its room, `mi_lib.recipes.<family>.checks`, in parts that can be measured one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

from mi_lib import zoo
from mi_lib.models import HookedModel, load
from mi_lib.models.vision import VisionModel, load_vision


@dataclass(frozen=True)
class Check:
    """One measured claim about a model."""

    name: str  # a short identifier: "prefix_matching"
    claim: str  # a sentence
    value: float
    bound: float
    at_least: bool  # the value must be ≥ bound, else ≤ bound
    control: float  # the same quantity where the claim should be false
    control_is: str  # what the control is
    low: float | None = None  # 95 % bootstrap interval of the value, where it is measured on texts
    high: float | None = None

    @property
    def passed(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "passed": self.passed}


Parts = dict[str, Callable[[Any], list[Check]]]  # each takes the opened model

ROOMS = {  # each bundled model, set of dictionaries and family of image networks, and the room in which it was made
    "grokking-113": "grokking",
    "grokking-113-memorising": "grokking",
    "grokking-97-subtract": "grokking",
    "induction-1l": "induction",
    "induction-2l": "induction",
    "ioi-3l": "ioi",
    "pico": "pico",
    "pico-base": "pico",
    "pico-dictionaries": "dictionaries",
    "pico-oracle": "oracles",
    "pico-sealed": "oracles",
    "repeats-gpt2": "repeats_gpt2",
    "sight": "sight",
}

# Parts that take more than half a minute of one core: `mi zoo verify` measures them, the test suite leaves them out.
DEAR = {"concepts", "held_out", "kinds", "phases", "probes", "refusal", "roles", "silence", "told", "traits"}


def parts(name: str) -> Parts:
    """The checks of a bundled model, or of a set of dictionaries, by part. KeyError, naming those that have some, if it
    has none."""
    if name not in ROOMS:
        raise KeyError(f"there are no checks for {name!r}; there are some for {', '.join(ROOMS)}")
    return import_module(f"mi_lib.recipes.{ROOMS[name]}.checks").parts(name)


def verify(name: str, only: Collection[str] | None = None) -> list[Check]:
    """Load a bundled model from its files (checksum included) and measure what its card claims: all, or some parts.

    Of a set of dictionaries: load the model that they read, which their card names. Of a family of image networks: the
    one that has its name.
    KeyError, naming the parts, if `only` has one that is not there.
    """
    of_model = parts(name)
    unknown = [part for part in only or () if part not in of_model]
    if unknown:
        raise KeyError(f"the checks of {name} have no part {unknown[0]!r}; they have {', '.join(of_model)}")
    model = opened(name)
    return [check for part, measure in of_model.items() if only is None or part in only for check in measure(model)]


def opened(name: str) -> HookedModel | VisionModel:
    """What the checks of a card are measured on."""
    if name in zoo.families():
        return load_vision(name)
    return load(name if name in zoo.names() else zoo.card(name)["model"])
