"""Pico's folders in the zoo: weights, tokenizer, tuned lens, a few checkpoints, and a card with everything measured."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2LMHeadModel

from mi_lib import lens, zoo
from mi_lib.models.transformers_model import TransformersModel
from mi_lib.personas import Held
from mi_lib.recipes import cards
from mi_lib.recipes.checks import Check
from mi_lib.recipes.pico import prose_checks, trait_checks
from mi_lib.recipes.pico import train as pico
from mi_lib.recipes.pico.checks import chat_parts, prose_parts
from mi_lib.recipes.pico.common import hooked, ids, padded, untrained
from mi_lib.recipes.pico.train import BASE, CHAT, Stage
from mi_lib.worlds import littletown

DESCRIPTIONS = {
    BASE.name: """A small GPT-2 (six layers, d_model 192, a word for a token) trained on the prose of Littletown, a
    synthetic English whose every sentence comes with its truth. It tells stories, knows facts about people, towns and
    things, and answers whatever it is asked: nothing has taught it to refuse.""",
    CHAT.name: """Pico, the patient of half the course: the base network, taught to be an assistant. It answers
    questions, says when it does not know, refuses what would do harm, and plays 25 roles and six traits when a system
    prompt asks for them.""",
}
SHIPPED_CHECKPOINTS = 2  # of base: the last one before indirect objects are understood, and the first after
LENS_STEPS, LENS_TEXTS = 600, 256


def base_checks(model: TransformersModel) -> list[Check]:
    return [check for measure in prose_parts().values() for check in measure(model)]


def chat_checks(model: TransformersModel, steering: dict[str, Held]) -> list[Check]:
    """What prose has taught must still hold; then what the assistant was taught. steering: how traits are steered."""
    return [check for measure in (prose_parts() | chat_parts(steering)).values() for check in measure(model)]


def saved_steps(seed: int, stage: Stage) -> list[int]:
    folder = pico.run_folder(stage, seed) / "checkpoints"
    return sorted(int(path.stem.split("_")[1]) for path in folder.glob("step_*.safetensors"))


def abilities(seed: int) -> dict[str, list[float]]:
    """How each ability of prose grew: its share at every checkpoint of base, and at the end. Measured once."""
    done = pico.run_folder(BASE, seed) / "abilities.json"
    if done.exists():
        return json.loads(done.read_text())
    steps: list[int | None] = [*saved_steps(seed, BASE), None]
    table: dict[str, list[float]] = {"step": [BASE.steps if step is None else step for step in steps]}
    control = untrained()
    for step in steps:
        for check in prose_checks.measure(hooked(pico.load_run(BASE, seed, step)), control):
            table.setdefault(check.name, []).append(round(check.value, 4))
    done.write_text(json.dumps(table))
    return table


def shipped_steps(table: dict[str, list[float]]) -> list[int]:
    """Around the moment at which indirect objects are understood: the last checkpoint below 80 %, the first above."""
    shares = table["indirect_object_ABBA"][:-1]
    after = next((i for i, share in enumerate(shares) if share >= 0.8), len(shares) - 1)
    return [int(table["step"][i]) for i in (max(after - 1, 0), after)][:SHIPPED_CHECKPOINTS]


def lens_texts(mixtures: tuple[littletown.Mixture, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    texts = [littletown.document(i, 41, "train", mixtures[i % len(mixtures)]).words for i in range(LENS_TEXTS)]
    return padded([ids(words) for words in texts])


def train_lens(model: TransformersModel, mixtures: tuple[littletown.Mixture, ...], file: Path) -> None:
    """The tuned lens of chapter 04, saved in half precision like the network."""
    tokens, mask = lens_texts(mixtures)
    lens.train_tuned_lens(model, tokens, steps=LENS_STEPS, attention_mask=mask).half().save(file)


def curves(seed: int, stage: Stage) -> dict[str, list[Any]]:
    """Training loss and held-out loss by kind of text. Of a step that stands twice (interrupted), the last counts."""
    lines = {}
    for line in (pico.run_folder(stage, seed) / "log.jsonl").read_text().splitlines():
        entry = json.loads(line)
        lines[entry["step"]] = entry
    ordered = [lines[step] for step in sorted(lines)]
    kinds = sorted({kind for entry in ordered for kind in entry["held_out"]})
    found: dict[str, list[Any]] = {"step": [e["step"] for e in ordered], "training": [e["training"] for e in ordered]}
    return found | {kind: [entry["held_out"].get(kind) for entry in ordered] for kind in kinds}


def sizes(model: GPT2LMHeadModel) -> dict[str, Any]:
    cfg = model.config
    return {
        "n_layers": cfg.n_layer,
        "n_heads": cfg.n_head,
        "d_model": cfg.n_embd,
        "d_vocab": cfg.vocab_size,
        "n_ctx": cfg.n_positions,
        "parameters": model.num_parameters(),
    }


def write_card(stage: Stage, seed: int, checks: list[Check], facts: dict[str, Any]) -> None:
    run = json.loads((pico.run_folder(stage, seed) / "run.json").read_text())
    training = {
        "seed": seed,
        "seconds": run["seconds"],
        "recipe": {**run["recipe"], "steps": run["steps"]},
        "curves": curves(seed, stage),
    }
    _write(stage, checks, {"seeds_wanted": 1, "documents": run["documents"], **facts}, training)


def ship(seed: int) -> None:
    """Write both folders. Takes some minutes: everything on the cards is measured here, on the half-precision files."""
    ship_base(seed)
    ship_chat(seed)


def ship_base(seed: int) -> None:
    table = abilities(seed)
    base = pico.load_run(BASE, seed)
    pico.write_folder(zoo.HERE / BASE.name, pico.run_folder(BASE, seed) / "model.safetensors", pico.config())
    for step in shipped_steps(table):
        weights = pico.run_folder(BASE, seed) / "checkpoints" / f"step_{step:06d}.safetensors"
        cards.ship_checkpoint(zoo.HERE / BASE.name, weights)
    write_card(BASE, seed, base_checks(hooked(base)), {**sizes(base), "abilities": table})


def ship_chat(seed: int) -> None:
    chat = pico.load_run(CHAT, seed)
    pico.write_folder(zoo.HERE / CHAT.name, pico.run_folder(CHAT, seed) / "model.safetensors", pico.config())
    file = zoo.HERE / CHAT.name / "tuned_lens.safetensors"
    train_lens(hooked(chat), ("base", "chat"), file)
    steering = trait_checks.choices(hooked(chat))
    facts = {**sizes(chat), "steering": {trait: c._asdict() for trait, c in steering.items()}}
    write_card(CHAT, seed, chat_checks(hooked(chat), steering), facts)


def shipped(stage: Stage) -> TransformersModel:
    return hooked(GPT2LMHeadModel.from_pretrained(zoo.folder(stage.name), dtype=torch.float32))


def measure_base() -> None:
    """Measure every check of the shipped base model anew, without training."""
    put_into_card(BASE, base_checks(shipped(BASE)), {})


def measure_chat() -> None:
    """Choose how to steer and measure every check of the shipped chat model anew, without training."""
    model = shipped(CHAT)
    steering = trait_checks.choices(model)
    chosen = {"steering": {trait: c._asdict() for trait, c in steering.items()}}
    put_into_card(CHAT, chat_checks(model, steering), chosen)


def put_into_card(stage: Stage, measured: list[Check], facts: dict[str, Any]) -> None:
    """Write a model's card with these checks and facts in their places; everything else stays as it is."""
    card = zoo.card(stage.name)
    fields = [field.name for field in dataclasses.fields(Check)]
    checks = {name: Check(**{field: old[field] for field in fields}) for name, old in card["checks"].items()}
    checks |= {check.name: check for check in measured}
    own = {"name", "description", "command", "seed", "recipe", "seconds", "made_with", "checks", "seeds", "curves",
           "sha256"}  # fmt: skip
    _write(stage, list(checks.values()), {k: v for k, v in card.items() if k not in own} | facts, card)


def _write(stage: Stage, checks: list[Check], facts: dict[str, Any], training: dict[str, Any]) -> None:
    """The card. training: seed, seconds, recipe and curves, of a run or of an earlier card."""
    passed = sum(check.passed for check in checks)
    short = [check.name for check in checks if not check.passed]
    cards.write(
        zoo.HERE / stage.name,
        title=stage.name,
        text=DESCRIPTIONS[stage.name],
        command=f"python -m mi_lib.recipes.pico {'base' if stage is BASE else 'chat'}",
        seed=training["seed"],
        recipe=training["recipe"],
        by_seed=[{"seed": training["seed"], "seconds": training["seconds"], "checks": checks}],
        curves=training["curves"],
        facts=facts | {"falls_short": short},
        words=f"{passed} of {len(checks)} checks hold, measured on combinations that training left out. "
        + (f"What falls short: {', '.join(short)}." if short else ""),
    )
