"""Train the network that nobody planted: attention alone, on stories of giving.

    python -m mi_lib.recipes.ioi                          # all seeds, the zoo folder and its card
    python -m mi_lib.recipes.ioi --seed 1 --only-train
    python -m mi_lib.recipes.ioi --measure                # train nothing: measure the runs, and write the card

Three layers of four heads, d_model 128, LayerNorm, learned positions, no MLP. Three texts of four are stories
(`mi_lib.worlds.giving`) with the name that is to be said at their end; one of four is a block of random words of the
same vocabulary and its repeats (`mi_lib.worlds.repeats`), as a text has other uses for names than this one. The loss is
that of a language model, the mean over all words. Most of them nobody can know, and the name at the end is one in
sixteen: the network stays at chance for long, and then learns it within some hundred steps.

It can be interrupted and run again: it goes on from the last saved state in `out/recipes`.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from rich.progress import Progress
from safetensors.torch import load_file, save_file
from torch import Tensor

from mi_lib.models import Transformer, TransformerConfig
from mi_lib.recipes import cards
from mi_lib.worlds import giving, repeats

NAME = "ioi-3l"
STEPS, BATCH, STORIES = 3000, 64, 48  # texts in a batch, and stories among them
LEARNING_RATE, WARM_UP, WEIGHT_DECAY = 1.5e-3, 100, 0.1
COOL_DOWN_FROM = 2500  # then the rate falls linearly to 0
BLOCKS = tuple(range(3, 9))  # words in a block that is repeated
SEEDS = (0, 1, 2, 3)  # the first is shipped, chosen before any result was seen
SAVE_EVERY, RECORD_EVERY = 500, 50
OUT = Path("out/recipes")
COMMAND = "python -m mi_lib.recipes.ioi"


def config() -> TransformerConfig:
    return TransformerConfig(
        n_layers=3,
        d_model=128,
        n_heads=4,
        d_head=32,
        d_vocab=giving.D_VOCAB,
        n_ctx=giving.N_CTX,
        norm="layernorm",
    )


def new_model(seed: int) -> Transformer:
    return Transformer(config(), cards.word_tokenizer(giving.VOCABULARY)).init_weights(seed)


def training_batch(seed: int, step: int) -> Int[Tensor, "batch pos"]:
    """Stories and repeats, of N_CTX + 1 tokens each, drawn for this step alone."""
    number = 1_000_003 * (seed + 1) + step
    stories = giving.whole_texts(giving.stories(STORIES, seed=number))
    blocks = repeats.sample(
        BATCH - STORIES,
        seed=number,
        period=BLOCKS,
        copies=(2, 4),
        offset=(0, 2),
        vocab=giving.D_VOCAB,
        n_ctx=giving.N_CTX + 1,
    )
    return torch.cat([stories, blocks.tokens])


def training_loss(model: Transformer, texts: Int[Tensor, "batch pos"]) -> Float[Tensor, ""]:
    """The mean cross-entropy of every word but the first. The last word of a text is asked for, never read."""
    return torch.nn.functional.cross_entropy(model(texts[:, :-1]).flatten(0, 1), texts[:, 1:].flatten())


def learning_rate(step: int) -> float:
    warm = min(1.0, (step + 1) / WARM_UP)
    return LEARNING_RATE * warm * min(1.0, (STEPS - step) / (STEPS - COOL_DOWN_FROM))


def train(seed: int, folder: Path, progress: Progress) -> dict[str, Any]:
    """Train one model into its folder, going on from a saved state if there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    model = new_model(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    curves: dict[str, list] = {k: [] for k in ("step", "right", "difference", "io", "s")}
    start, seconds, state_file = 0, 0.0, folder / "state.pt"
    if state_file.exists():
        state = torch.load(state_file)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start, seconds, curves = state["step"], state["seconds"], state["curves"]
    task = progress.add_task(f"seed {seed}", total=STEPS, completed=start)
    began = time.process_time() - seconds
    for step in range(start, STEPS):
        if step % SAVE_EVERY == 0:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "curves": curves}
            torch.save({**state, "step": step, "seconds": time.process_time() - began}, state_file.with_suffix(".part"))
            state_file.with_suffix(".part").replace(state_file)  # an interrupted write leaves the older one in place
        if step % RECORD_EVERY == 0:
            record(model, step, curves)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        loss = training_loss(model, training_batch(seed, step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.update(task, advance=1, description=f"seed {seed}, difference {curves['difference'][-1]:.2f}")
    record(model, STEPS, curves)
    save_file(model.weights(torch.float16), folder / "model.safetensors")
    result = {"seed": seed, "seconds": time.process_time() - began, "curves": curves}
    (folder / "run.json").write_text(json.dumps(result))
    state_file.unlink(missing_ok=True)
    return result


@torch.no_grad()
def record(model: Transformer, step: int, curves: dict[str, list]) -> None:
    """On stories with held-out pairs of names: how often IO is said, logit(IO) − logit(S), and how far each of the two
    logits lies above the mean of the names that do not occur."""
    drawn = giving.stories(128, seed=80_000, names="held_out")
    last = model(drawn.clean, logits_to_keep=1)[:, 0]
    io, s = (last.gather(1, name[:, None])[:, 0] for name in (drawn.answers, drawn.corrupted_answers))
    every = last[:, list(giving.NAME_TOKENS)]
    others = (every.sum(1) - io - s) / (every.shape[1] - 2)
    right = (last.argmax(1) == drawn.answers).float()
    for key, value in (("right", right), ("difference", io - s), ("io", io - others), ("s", s - others)):
        curves[key].append(round(value.mean().item(), 4))
    curves["step"].append(step)


def load_run(seed: int) -> Transformer:
    """The final weights of a run, as they would be shipped (float16)."""
    model = Transformer(config(), cards.word_tokenizer(giving.VOCABULARY))
    model.load_state_dict(load_file(OUT / f"{NAME}-seed{seed}" / "model.safetensors"))
    return model.float().eval().requires_grad_(False)


def untrained() -> Transformer:
    """The same architecture with random weights: the control of every claim about training."""
    return new_model(12345).requires_grad_(False)


def ship(seed: int, folder: Path) -> None:
    """Write the zoo folder of a run, without a card."""
    cards.empty(folder)
    load_run(seed).save(folder, torch.float16)


def phases(curves: dict[str, list]) -> dict[str, int]:
    """Recorded steps: when logit(IO) is half as far above the names that do not occur as at the end (by then S is as
    far: both names are brought), and when the difference of the two is half of what it is at the end."""

    def half(key: str) -> int:
        return next(step for step, v in zip(curves["step"], curves[key], strict=True) if v >= curves[key][-1] / 2)

    return {"both_names": half("io"), "giver": half("difference")}
