"""All checks of Pico's two stages, in parts: prose, which both must know; then what the assistant was taught."""

from __future__ import annotations

from functools import partial

from mi_lib import zoo
from mi_lib.personas import Held
from mi_lib.recipes.checks import Parts
from mi_lib.recipes.pico import concept_checks, probe_checks, prose_checks
from mi_lib.recipes.pico.chat_checks import jailbreaks, knowledge
from mi_lib.recipes.pico.common import untrained
from mi_lib.recipes.pico.refusal_checks import refusal
from mi_lib.recipes.pico.role_checks import roles
from mi_lib.recipes.pico.trait_checks import trait_checks


def parts(name: str) -> Parts:
    """The checks of pico-base or pico, with traits steered as its card says."""
    if name == "pico-base":
        return prose_parts()
    return prose_parts() | chat_parts({trait: Held(**how) for trait, how in zoo.card(name)["steering"].items()})


def prose_parts() -> Parts:
    control = untrained()
    return {
        "indirect_object": partial(prose_checks.indirect_object, untrained=control),
        "repeats": lambda model: [prose_checks.repeats(model, control)],
        "facts": partial(prose_checks.recalled, untrained=control),
        "agreement": lambda model: [prose_checks.agreement(model, control)],
        "verdicts": lambda model: [prose_checks.verdicts(model, control)],
        "probes": probe_checks.decodable,
        "used_or_not": probe_checks.used_or_not,
    }


def chat_parts(steering: dict[str, Held]) -> Parts:
    return {
        "concepts": partial(concept_checks.measure, untrained=untrained()),
        "knowledge": knowledge,
        "refusal": refusal,
        "traits": partial(trait_checks, chosen=steering),
        "roles": roles,
        "jailbreaks": jailbreaks,
    }
