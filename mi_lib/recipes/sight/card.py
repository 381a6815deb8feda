"""The card of the networks that see scenes: every check, of each seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mi_lib import zoo
from mi_lib.models.vision import VisionModel, load_vision
from mi_lib.recipes import cards
from mi_lib.recipes.sight import checks
from mi_lib.recipes.sight.train import (
    BATCH,
    CHANNELS,
    COMMAND,
    KERNELS,
    LEARNING_RATE,
    NAME,
    SEEDS,
    STEPS,
    STRIDES,
    UNTRAINED,
    WEIGHT_DECAY,
    shipped_name,
)
from mi_lib.worlds import scenes

DESCRIPTION = """Small convolutional networks that say which shape a figure has and by what it is told from its ground:
focus, colour, waves, or standing in front. Four convolutions with a ReLU each, and a linear readout of the means. Three
seeds of one recipe (sight, sight-seed1, sight-seed2), and the first of them before training (sight-untrained)."""

LAYERS = tuple(f"relu{i}" for i in range(1, len(CHANNELS) + 1))


def write(runs: Sequence[dict[str, Any]]) -> None:
    """Measure what is shipped and write the card. runs: what training wrote of each seed, the first one first."""
    by_seed, found = [], {}
    for run in runs:
        model = load_vision(shipped_name(run["seed"]))
        measured = [check for part in checks.parts(NAME).values() for check in part(model)]
        by_seed.append({"seed": run["seed"], "seconds": round(run["seconds"]), "checks": measured})
        found[model.source] = detectors(model)
    found[UNTRAINED] = detectors(load_vision(UNTRAINED))
    first = load_vision(NAME)
    cards.write(
        zoo.HERE / NAME,
        title=NAME,
        text=DESCRIPTION,
        command=COMMAND,
        seed=runs[0]["seed"],
        recipe={
            "channels": list(CHANNELS),
            "kernels": list(KERNELS),
            "strides": list(STRIDES),
            "steps": STEPS,
            "batch": BATCH,
            "learning_rate": LEARNING_RATE,
            "weight_decay": WEIGHT_DECAY,
        },
        by_seed=by_seed,
        curves=runs[0]["curves"],
        facts={
            "parameters": sum(p.numel() for p in first.module.parameters()),
            "classes": list(scenes.CLASSES),
            "networks": [*map(shipped_name, SEEDS), UNTRAINED],
            "detectors": found,
        },
        words=_words(found),
    )


def measure_again() -> None:
    """Measure the shipped files anew; how they were trained is read off the card."""
    card = zoo.card(NAME)
    write([{"seed": s["seed"], "seconds": s["seconds"], "curves": card["curves"]} for s in card["seeds"]])


def detectors(model: VisionModel) -> dict[str, Any]:
    """By layer."""
    return {layer: checks.family(model, layer) for layer in LAYERS}


def _words(found: dict[Any, dict[str, Any]]) -> str:
    """The classes, and the detectors of all layers and networks, for people."""
    lines = [
        f"Classes: {', '.join(scenes.CLASSES)}.",
        "",
        "High-low frequency detectors, by layer (and at how many of 16 angles):",
        "",
        f"| network | {' | '.join(LAYERS)} |",
        "|---|" + "---|" * len(LAYERS),
    ]
    for name, layers in found.items():
        cells = [f"{len(one['units'])} ({one['angles']})" for one in layers.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    chance = sum(len(one["units"]) for one in found[UNTRAINED].values())
    lines += ["", f"Units of the untrained network that pass the rule, by chance: {chance}."]
    return "\n".join(lines)
