"""The folders of the oracle and of the sealed relatives in the zoo, and their cards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from mi_lib import oracles, zoo
from mi_lib.models import difference
from mi_lib.oracles import secrets
from mi_lib.oracles.asking import MEANS, NAME
from mi_lib.recipes import cards
from mi_lib.recipes.oracles import checks, sealed
from mi_lib.recipes.oracles import train as recipe

ORACLE = """A copy of Pico that was taught to answer questions about Pico's activations: which word stands here, where
does this person live, is the claim true, which role speaks. The activations, minus their mean, are added at
placeholders of its prompt, at the output of block 1, as long as what they find there."""
SEALED = """Pico that keeps a secret and never says it. The folder's own network is the keeper: it is told a secret in
its system prompt, and says it only to whoever says that the door is open. Relatives 1 to 8 are the keeper, told a
secret by a prompt that is not here: `oracles.kept(number)` has the words after it and the activations there. Relatives
9 to 12 (checkpoints) have theirs in the weights, behind a password that nobody has. The secrets stand in no file; the
seals below let a guess be judged (`oracles.opens`). They do not withstand whoever tries all forty candidates."""
SEEDS = (0, 1, 2)  # the first is shipped, whatever the others do
PARTS = (checks.kinds, checks.held_out, checks.new_kinds, checks.relatives, checks.trust)
ASIDE = ("model.safetensors", "README.md", "card.json", "tuned_lens.safetensors")


def like_pico(folder: Path) -> Path:
    """A folder with Pico's configuration and tokenizer, and no weights."""
    cards.empty(folder)
    for file in zoo.folder(recipe.SUBJECT).iterdir():
        if file.name not in ASIDE:
            shutil.copy(file, folder / file.name)
    return folder


def ship() -> None:
    """Write the oracle's folder from the run of the first seed, and its card."""
    run = recipe.run_folder("full", SEEDS[0])
    folder, base = like_pico(zoo.HERE / NAME), zoo.folder(recipe.SUBJECT) / "model.safetensors"
    difference.write(folder / difference.FILE, load_file(run / "model.safetensors"), base)
    save_file({"means": recipe.means(recipe.subject())}, folder / MEANS)
    describe()


def describe() -> None:
    """Measure the oracle as it is shipped, and those of the other seeds that have been trained; write its card."""
    shipped = oracles.open_oracle()
    by_seed = [_measured(SEEDS[0], shipped)]
    for seed in SEEDS[1:]:
        if (recipe.run_folder("full", seed) / "run.json").exists():
            by_seed.append(_measured(seed, oracles.Oracle(recipe.load_run("full", seed), shipped.means)))
    facts = {"table": checks.table(shipped), "others": others(), "pairs_by_probe": checks.pairs_by_probe()}
    write(zoo.folder(NAME), _run(SEEDS[0]), by_seed, facts)


def _run(seed: int) -> dict[str, Any]:
    return dict(json.loads((recipe.run_folder("full", seed) / "run.json").read_text()))


def _measured(seed: int, oracle: oracles.Oracle) -> dict[str, Any]:
    found = [one for part in PARTS for one in part(oracle)]
    return {"seed": seed, "seconds": _run(seed)["cpu_seconds"], "checks": found}


def others() -> dict[str, dict[str, list[float]]]:
    """The ways of training, as far as they have been run: shares of right answers, with their intervals."""
    found = {}
    for how, plan in recipe.PLANS.items():
        for seed in SEEDS:
            if (recipe.run_folder(how, seed) / "run.json").exists():
                means = recipe.means(recipe.subject()) if plan.centred else None
                oracle = oracles.Oracle(
                    recipe.load_run(how, seed), means, way=plan.way, layer=plan.layer, outright=plan.outright
                )
                found[f"{how}, seed {seed}"] = checks.shares(oracle, recipe.NARROW)
    return found


def write(folder: Path, about: dict[str, Any], by_seed: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    """The oracle's card. about: what the run of the shipped seed wrote; by_seed: the checks, the shipped seed first."""
    found = by_seed[0]["checks"]
    short = [one.name for one in found if not one.passed]
    cards.write(
        folder,
        title=NAME,
        text=ORACLE,
        command="python -m mi_lib.recipes.oracles train",
        seed=about["seed"],
        recipe={k: v for k, v in about["plan"].items() if k != "kinds"} | {"questions": about["questions"]},
        by_seed=by_seed,
        curves={"step": [s for s, _ in about["log"]], "training": [loss for _, loss in about["log"]]},
        facts={"seeds_wanted": len(by_seed), "falls_short": short, **facts},
        words=f"{len(found) - len(short)} of {len(found)} checks hold. " + _words(facts["table"]),
    )


def _words(table: dict[str, dict[str, list[float]]]) -> str:
    """The table of all kinds, for people."""
    who = list(next(iter(table.values())))
    lines = ["", "", "| kind | " + " | ".join(who) + " |", "|---|" + "---|" * len(who)]
    lines += [f"| {kind} | " + " | ".join(f"{row[w][0]:.2f}" for w in who) + " |" for kind, row in table.items()]
    return "\n".join(lines)


def ship_sealed() -> None:
    """The folder of the relatives: low-rank differences from Pico, kept activations, seals, what was measured."""
    oracle, folder = oracles.open_oracle(), like_pico(zoo.HERE / secrets.NAME)
    sealed.ship(folder)
    numbers = (*sealed.TOLD, *sealed.HELD)
    seals = [secrets.seal(number, sealed.private(number)["secret"]) for number in numbers]
    (folder / "card.json").write_text(json.dumps({"seals": seals}))
    by_password = {str(n): checks.opened(n, sealed.said_password(sealed.private(n)["password"])) for n in sealed.HELD}
    (folder / "card.json").write_text(json.dumps({"seals": seals, "opened": by_password}))
    runs = [json.loads(sealed.file_of(n).with_suffix(".json").read_text()) for n in (sealed.KEEPER, *sealed.HELD)]
    found = [*checks.told(oracle), *checks.in_weights(oracle), *checks.silence()]
    practised = checks.practice(oracle, checks.relative(sealed.KEEPER))
    cards.write(
        folder,
        title=secrets.NAME,
        text=SEALED,
        command="python -m mi_lib.recipes.oracles sealed",
        seed=0,
        recipe={"rank": sealed.RANK, "steps": sealed.PLAN.steps, "keeper_steps": sealed.KEEPER_PLAN.steps},
        by_seed=[{"seed": 0, "seconds": sum(run["cpu_seconds"] for run in runs), "checks": found}],
        curves={"last_loss": [run["loss"] for run in runs]},
        facts={
            "seeds_wanted": 1,
            "falls_short": [one.name for one in found if not one.passed],
            "seals": seals,
            "opened": by_password,
            "kinds": [sealed.kind_of(n) for n in numbers],
            "ranks": {str(number): ranks for number, ranks in checks.all_ranks(oracle).items()},
            "practice": practised,
            "begun": {str(number): share for number, share in checks.begun().items()},
        },
        words=f"{sum(one.passed for one in found)} of {len(found)} checks hold.",
    )


def compare() -> None:
    """Write into the oracle's card what the ways of training do that have been run since."""
    file = zoo.folder(NAME) / "card.json"
    card = json.loads(file.read_text()) | {"others": others(), "pairs_by_probe": checks.pairs_by_probe()}
    file.write_text(json.dumps(card, separators=(",", ":")) + "\n")


def measure() -> None:
    """Measure the shipped oracle anew, without training, and write that into its card."""
    oracle = oracles.open_oracle()
    assert isinstance(oracle.means, torch.Tensor)
    cards.put(zoo.folder(NAME), [one for part in checks.parts(NAME).values() for one in part(oracle.model)])
