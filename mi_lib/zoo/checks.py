"""What `mi zoo verify` measures on the shipped weights: claims with a bound, and a control that shows they can fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mi_lib.models import HookedModel


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


def verify(name: str) -> list[Check]:
    """Load a bundled model from its files (checksum included) and measure everything that its card claims."""
    from mi_lib.models import load

    if name not in CHECKS:
        raise KeyError(f"there are no checks for {name!r}; there are some for {', '.join(CHECKS)}")
    return CHECKS[name](load(name))


def _induction(model: HookedModel) -> list[Check]:
    from mi_lib.zoo.induction_checks import two_layer

    return two_layer(model)


def _control(model: HookedModel) -> list[Check]:
    from mi_lib.models import load
    from mi_lib.zoo.induction_checks import one_layer

    return one_layer(model, load("induction-2l"))


def _repeats_gpt2(model: HookedModel) -> list[Check]:
    from mi_lib.zoo.repeats_gpt2_checks import measure

    return measure(model.hf)  # type: ignore[attr-defined]


def _grokking(model: HookedModel) -> list[Check]:
    from mi_lib import zoo
    from mi_lib.zoo import grokking_checks as checks

    name, other = "grokking-113", "grokking-113-memorising"
    control = (checks.shipped(other), checks.task_of(other)) if other in zoo.names() else None
    return checks.grokked(checks.shipped(name, model), checks.task_of(name), control)


def _memorising(model: HookedModel) -> list[Check]:
    from mi_lib.zoo import grokking_checks as checks

    name, other = "grokking-113-memorising", "grokking-113"
    return checks.memorised(checks.shipped(name, model), checks.task_of(name), checks.shipped(other))


def _subtracting(model: HookedModel) -> list[Check]:
    from mi_lib.zoo import grokking_checks as checks

    name = "grokking-97-subtract"
    return checks.grokked(checks.shipped(name, model), checks.task_of(name), but=checks.NOT_OF_SUBTRACTION)


def _pico_base(model: HookedModel) -> list[Check]:
    from mi_lib.recipes.pico_card import base_checks

    return base_checks(model)  # type: ignore[arg-type]


def _pico(model: HookedModel) -> list[Check]:
    from mi_lib import zoo
    from mi_lib.recipes.pico_card import chat_checks
    from mi_lib.zoo.pico_trait_checks import Choice

    steering = {trait: Choice(**how) for trait, how in zoo.card("pico")["steering"].items()}
    return chat_checks(model, steering)  # type: ignore[arg-type]


CHECKS: dict[str, Callable[[HookedModel], list[Check]]] = {
    "induction-2l": _induction,
    "induction-1l": _control,
    "grokking-113": _grokking,
    "grokking-113-memorising": _memorising,
    "grokking-97-subtract": _subtracting,
    "repeats-gpt2": _repeats_gpt2,
    "pico-base": _pico_base,
    "pico": _pico,
}
