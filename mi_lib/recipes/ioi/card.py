"""The card of the trained IOI network: every check, on what is shipped and on the other seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mi_lib import zoo
from mi_lib.models import Transformer
from mi_lib.recipes import cards
from mi_lib.recipes.checks import verify
from mi_lib.recipes.ioi import checks
from mi_lib.recipes.ioi.train import (
    BATCH,
    BLOCKS,
    COMMAND,
    LEARNING_RATE,
    NAME,
    STEPS,
    STORIES,
    WEIGHT_DECAY,
    load_run,
    phases,
)

DESCRIPTION = """An attention-only transformer with three layers of four heads, trained on stories in which one of two
people gives something, and on repeats of random words. It says to whom it is given. Nobody planted how: it adds both
names, and takes the giver's away. Heads of layer 1 look from the end at the giver, whoever that is, and write against
that name; nobody's look depends on what they say, as it would in GPT-2."""


def write(runs: Sequence[dict[str, Any]]) -> None:
    """Measure what is shipped, and the other seeds. runs: what training wrote of each seed, the shipped one first."""
    found = [_measured(run) for run in runs]
    model = load_run(runs[0]["seed"])
    alone = checks.says_alone(model, found[0]["circuit"]["heads"])
    cards.write(
        zoo.HERE / NAME,
        title=NAME,
        text=DESCRIPTION,
        command=COMMAND,
        seed=runs[0]["seed"],
        recipe={
            "steps": STEPS,
            "batch": BATCH,
            "stories_in_a_batch": STORIES,
            "block_lengths": list(BLOCKS),
            "learning_rate": LEARNING_RATE,
            "weight_decay": WEIGHT_DECAY,
        },
        by_seed=[{k: one[k] for k in ("seed", "seconds", "checks")} for one in found],
        curves=runs[0]["curves"],
        facts={
            "parameters": sum(p.numel() for p in model.parameters()),
            "circuit": {**found[0]["circuit"], "says_io_alone": alone},
            "routes": found[0]["routes"],
            "phases": phases(runs[0]["curves"]),
            "found": {f"seed_{one['seed']}": {k: one[k] for k in ("circuit", "routes", "phases")} for one in found},
        },
        words=f"Alone, the circuit of seed {runs[0]['seed']} says IO in {alone:.0%} of the stories: the difference of "
        f"two logits does not see who lifts both names above all other words.\n\n{_found_by_seed(found)}",
    )


def measure_again() -> None:
    """Measure the shipped weights again, and write that into the card. What is known of the other seeds is kept."""
    cards.put(zoo.folder(NAME), verify(NAME))


def _measured(run: dict[str, Any]) -> dict[str, Any]:
    """The record of one seed."""
    model: Transformer = load_run(run["seed"])
    circuit, givers = checks.find_circuit(model), checks.find_giver_heads(model)
    return {
        "seed": run["seed"],
        "seconds": round(run["seconds"]),
        "checks": [
            *checks.behaviour(model),
            *checks.circuit_checks(model, circuit),
            *checks.algorithm(model, givers),
        ],
        "circuit": {"heads": list(circuit), "giver_heads": list(givers)},
        "routes": checks.routes(model, givers),
        "phases": phases(run["curves"]),
    }


def _found_by_seed(found: Sequence[dict[str, Any]]) -> str:
    """What was found in each seed, for people."""
    routes = list(found[0]["routes"])
    lines = [
        "What was found in each seed. The routes say how much of the answer is lost if only that carries what it would "
        "carry where IO gives, as a share of what is lost if all does.",
        "",
        "| seed | circuit | giver heads | both names from step | the giver's away from step | "
        + " | ".join(routes)
        + " |",
        "|---|---|---|---|---|" + "---|" * len(routes),
    ]
    for one in found:
        heads, givers = (", ".join(one["circuit"][key]) for key in ("heads", "giver_heads"))
        steps = f"{one['phases']['both_names']} | {one['phases']['giver']}"
        shares = " | ".join(f"{value:.2f}" for value in one["routes"].values())
        lines.append(f"| {one['seed']} | {heads} | {givers} | {steps} | {shares} |")
    return "\n".join(lines)
