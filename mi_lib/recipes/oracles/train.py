"""Train the oracle of Pico: a copy of Pico that answers questions about Pico's activations.

    python -m mi_lib.recipes.oracles train                 # all weights, seed 0; --seed 1; --how lora, narrow, …
    python -m mi_lib.recipes.oracles sealed                # the relatives that keep a secret
    python -m mi_lib.recipes.oracles ship                  # writes the oracle's folder in the zoo, and its card
    python -m mi_lib.recipes.oracles describe              # its card anew, with the other seeds that have been trained
    python -m mi_lib.recipes.oracles ship-sealed           # the same of the relatives
    python -m mi_lib.recipes.oracles measure               # the card of the oracle alone
    python -m mi_lib.recipes.oracles compare               # other ways of training, as far as they have been run

Training can be interrupted; the same command goes on. The questions are written while training goes on, never twice.
"""

from __future__ import annotations

import copy
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from safetensors.torch import load_file, save_file
from torch import Tensor

import mi_lib
from mi_lib.models.transformers_model import TransformersModel
from mi_lib.oracles import dataset, lora, reading, training
from mi_lib.oracles.prompts import ids
from mi_lib.oracles.training import Plan

OUT = Path("out/recipes/oracles")
SUBJECT = "pico"
RANK = 16
FULL = Plan(steps=2400, texts=8, each=16)
SHORT = replace(FULL, steps=600)  # for comparing ways of training: a quarter of the questions
NARROW = ("word", "pet", "gender", "river", "kind", "speaker", "receiver", "topic", "role")
PLANS: dict[str, Plan] = {
    "full": FULL,
    "short": SHORT,
    "lora": replace(SHORT, learning_rate=3e-3, weight_decay=0.0),
    "narrow": replace(SHORT, kinds=NARROW),  # as many questions, of a quarter of the kinds
    "replace": replace(SHORT, way="replace"),
    "raw": replace(SHORT, centred=False),
    "outright": replace(SHORT, outright=True),
}
SAVE_EVERY, RECORD_EVERY, MEAN_TEXTS = 40, 20, 512


def subject() -> TransformersModel:
    model = mi_lib.load(SUBJECT)
    assert isinstance(model, TransformersModel)
    return model


def run_folder(how: str, seed: int) -> Path:
    return OUT / f"{how}-seed{seed}"


def rows(words: list[list[str]]) -> list[list[int]]:
    """Token numbers, <|bos|> in front."""
    return [[ids()["<|bos|>"], *(ids()[word] for word in text)] for text in words]


def means(model: TransformersModel) -> Tensor:
    """The subject's mean activations, measured once on texts of training."""
    file = OUT / "means.safetensors"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        texts = rows([dataset.document(i, 41, "train").words for i in range(MEAN_TEXTS)])
        save_file({"means": reading.mean_activations(model, texts)}, file)
    return load_file(file)["means"]


def start(how: str, model: TransformersModel, seed: int) -> TransformersModel:
    """What training begins from: a copy of the subject, with thin matrices beside its own for "lora"."""
    oracle = copy.deepcopy(model)
    if how == "lora":
        return lora.with_thin(oracle, RANK, seed)
    return oracle.requires_grad_(True)


def train(how: str, seed: int, progress: Progress, plan: Plan | None = None, stop_at: int | None = None) -> Path:
    """Train one oracle, going on from its saved state if there is one. Returns the run's folder.

    plan: another one than `PLANS[how]` (for tests). stop_at: stop there as an interruption would.
    """
    folder, plan = run_folder(how, seed), plan or PLANS[how]
    if (folder / "run.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    model = subject()
    middle = means(model) if plan.centred else None
    oracle = start(how, model, seed)
    optimizers = training.Optimizers(oracle.named_parameters(), plan, muon=how != "lora")
    done, seconds, mean, log = 0, 0.0, 0.0, []
    if (state_file := folder / "state.pt").exists():
        state = torch.load(state_file)
        oracle.load_state_dict(state["oracle"])
        optimizers.load_state_dict(state["optimizers"])
        done, seconds, mean, log = state["step"], state["seconds"], state["mean"], state["log"]
    task = progress.add_task(f"{how}, seed {seed}", total=plan.steps, completed=done)
    began = time.process_time() - seconds
    for step in range(done, plan.steps):
        if step % SAVE_EVERY == 0 and step > done:
            state = {"oracle": oracle.state_dict(), "optimizers": optimizers.state_dict(), "step": step}
            state |= {"seconds": time.process_time() - began, "mean": mean, "log": log}
            torch.save(state, folder / "state.part")
            (folder / "state.part").replace(state_file)
        if step == stop_at:
            return folder
        found = training.train_step(oracle, model, optimizers, middle, plan, step, seed)
        mean = found if not mean else 0.95 * mean + 0.05 * found
        if step % RECORD_EVERY == 0:
            log.append([step, round(mean, 4)])
        progress.update(task, advance=1, description=f"{how}, seed {seed}, loss {mean:.3f}")
    save(lora.merged(oracle), folder / "model.safetensors")
    about: dict[str, Any] = {"how": how, "seed": seed, "cpu_seconds": round(time.process_time() - began)}
    about |= {"plan": asdict(plan), "log": log, "questions": plan.steps * plan.texts * plan.each}
    (folder / "run.json").write_text(json.dumps(about))
    return folder


def save(oracle: TransformersModel, file: Path) -> None:
    """Half precision; the unembedding is the embedding, and stored once."""
    weights = {k: v.detach().half().contiguous() for k, v in oracle.hf.state_dict().items() if k != "lm_head.weight"}
    save_file(weights, file.with_suffix(".part"), metadata={"format": "pt"})
    file.with_suffix(".part").replace(file)


def load_run(how: str, seed: int = 0) -> TransformersModel:
    """A trained oracle as it is shipped (half-precision weights, read as float32)."""
    return with_weights(subject(), load_file(run_folder(how, seed) / "model.safetensors"))


def with_weights(model: TransformersModel, weights: dict[str, Tensor]) -> TransformersModel:
    """The subject's network with other weights, in place."""
    missing = model.hf.load_state_dict({k: v.float() for k, v in weights.items()}, strict=False)
    assert missing.missing_keys == ["lm_head.weight"]
    assert not missing.unexpected_keys
    model.hf.tie_weights()
    return model
