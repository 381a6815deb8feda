"""The cards of the two models of chapter 02: every check, on what is shipped and on the other seeds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mi_lib import zoo
from mi_lib.models import HookedModel, Transformer, load
from mi_lib.recipes import cards
from mi_lib.recipes.checks import Check
from mi_lib.recipes.induction import checks
from mi_lib.recipes.induction.train import BATCH, COMMAND, OUT, RENT_FROM, SAVE_EVERY, STEPS, load_run, phase_change


def write_cards(runs: dict[int, list[dict[str, Any]]]) -> None:
    """Measure what is shipped, and the other seeds, and write both cards."""
    begun = {run["seed"]: run["curves"] for run in runs[2]}
    for n_layers in (2, 1):
        by_seed = []
        for run in runs[n_layers]:
            measured = _checks(n_layers, load_run(n_layers, run["seed"]), load_run(2, run["seed"]))
            by_seed.append({"seed": run["seed"], "seconds": round(run["seconds"]), "checks": measured})
        _write(n_layers, by_seed, {n: of_depth[0]["curves"] for n, of_depth in runs.items()}, begun)


def measure_again() -> None:
    """Measure the shipped weights again, and write both cards. What is known of the other seeds alone is kept: the
    figures of those checks that are still there. (A check that asks something else gets another name.)"""
    shipped = {n_layers: zoo.card(f"induction-{n_layers}l") for n_layers in (2, 1)}
    curves = {n_layers: card["curves"] for n_layers, card in shipped.items()}
    begun = {0: curves[2]} | {
        json.loads(file.read_text())["seed"]: json.loads(file.read_text())["curves"]
        for file in sorted(OUT.glob("induction-2l-seed*-begun/run.json"))
    }
    models = {n_layers: load(f"induction-{n_layers}l") for n_layers in (2, 1)}
    for n_layers, card in shipped.items():
        measured = _checks(n_layers, models[n_layers], models[2])
        others = [_still_asked(seed, measured) for seed in card["seeds"][1:]]
        by_seed = [{"seed": card["seed"], "seconds": card["seconds"], "checks": measured}]
        _write(n_layers, by_seed, curves, begun, others)


def _still_asked(seed: dict[str, Any], now: list[Check]) -> dict[str, Any]:
    """The record of another seed without the checks that are no more."""
    names = {check.name for check in now}
    return {**seed, "checks": {name: check for name, check in seed["checks"].items() if name in names}}


def _checks(n_layers: int, model: HookedModel, deeper: HookedModel) -> list[Check]:
    return checks.two_layer(model) if n_layers == 2 else checks.one_layer(model, deeper)


def _write(
    n_layers: int,
    by_seed: list[dict[str, Any]],
    curves: dict[int, dict[str, list]],
    begun: dict[int, dict[str, list]],
    others: Sequence[dict[str, Any]] = (),
) -> None:
    """One card. begun: the curves of each seed's 2-layer training. others: the records of further seeds."""
    folder = zoo.HERE / f"induction-{n_layers}l"
    model = load(folder.name)
    assert isinstance(model, Transformer)
    first, second = checks.losses(model, checks.known_sample())
    facts: dict[str, Any] = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "losses": {"first": first, "second": second},
        "phase_change": phase_change(curves[2]),
    }
    if n_layers == 2:
        facts["circuit"] = asdict(checks.circuit(model, checks.scores(model, checks.held_out_samples())))
        facts["births"] = {f"seed_{seed}": birth(film, curves[1]) for seed, film in sorted(begun.items())}
    cards.write(
        folder,
        title=folder.name,
        text=TWO_LAYERS if n_layers == 2 else ONE_LAYER,
        command=COMMAND,
        seed=by_seed[0]["seed"],
        recipe={
            "steps": STEPS,
            "batch": BATCH,
            "learning_rate": LEARNING_RATE,
            "weight_decay": WEIGHT_DECAY,
            "rent_from": RENT_FROM,
            "save_every": SAVE_EVERY,
        },
        by_seed=by_seed,
        curves=curves[n_layers],
        facts=facts,
        words=f"Loss on first copies {first:.3f}, on later copies {second:.3f} nats per token (seed "
        f"{by_seed[0]['seed']}). Bounds that depend on a run (K-composition) are those of the first seed."
        + _table_of_seeds(others),
    )
    if others:
        card = zoo.card(folder.name)
        card["seeds"] += others
        (folder / "card.json").write_text(json.dumps(card, separators=(",", ":")) + "\n")


def birth(curves: dict[str, list], control: dict[str, list]) -> dict[str, Any]:
    """When the heads formed, read off the curves of a training. control: those of the one-layer training.

    For the previous-token scores of layer 0 and the prefix-matching scores of layer 1: the first recorded step at which
    some head has a quarter, and one half; and which head is the best of its layer when half is reached. At the step
    where layer 0 has its quarter: how far the heads of layer 1 are, how far they were one record before, and the loss
    on later copies, beside the control's.
    """
    scores = {
        "previous": [layers[0] for layers in curves["previous_token"]],
        "induction": [layers[1] for layers in curves["prefix_matching"]],
    }
    result: dict[str, Any] = {}
    for name, by_step in scores.items():
        for mark, bound in (("quarter", 0.25), ("half", 0.5)):
            at = next(i for i, heads in enumerate(by_step) if max(heads) >= bound)
            result[f"{name}_{mark}"] = curves["step"][at]
        result[f"{name}_head"] = by_step[at].index(max(by_step[at]))
    at = curves["step"].index(result["previous_quarter"])
    result["at_previous_quarter"] = {
        "induction_least": min(scores["induction"][at]),
        "induction_most_before": max(scores["induction"][at - 1]),
        "second": curves["second"][at],
        "second_of_control": control["second"][control["step"].index(curves["step"][at])],
    }
    return result


def _table_of_seeds(seeds: Sequence[dict[str, Any]]) -> str:
    """The figures of further seeds, for people."""
    if not seeds:
        return ""
    names = list(seeds[0]["checks"])
    lines = [
        "\n\nOther seeds of the same recipe, by the checks' short names:\n",
        "| seed | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(names),
    ]
    for seed in seeds:
        cells = [f"{check['value']:.3g}{'' if check['passed'] else ' ✗'}" for check in seed["checks"].values()]
        lines.append(f"| {seed['seed']} | {' | '.join(cells)} |")
    return "\n".join(lines)


TWO_LAYERS = """An attention-only transformer with two layers of four heads, trained on repeats of random words. A
head of layer 0 looks one word back, a head of layer 1 looks for the present word among what the first one wrote, and
the other six have stopped writing. Embeddings are fixed random directions, so the circuit also works on words that
training never showed."""

ONE_LAYER = """The control: the same recipe with one layer. It learns that words of a sequence come back, and hardly
which one comes next: there is no layer before its heads whose notes they could read."""
