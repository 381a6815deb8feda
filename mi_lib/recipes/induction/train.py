"""Train the two models of chapter 02: attention-only transformers with two layers, and with one as a control.

    python -m mi_lib.recipes.induction                 # both models, all seeds, cards; the zoo is rewritten
    python -m mi_lib.recipes.induction --layers 2 --seed 1 --only-train
    python -m mi_lib.recipes.induction --layers 2 --until 400   # as far as the birth of the heads, for --measure
    python -m mi_lib.recipes.induction --measure       # the shipped weights, and the cards

What the network is and sees:

- Words are fixed random directions of one length in the first WORD_DIMS dimensions: the embedding is not trained. So a
  word means nothing but itself, and the other dimensions of the residual stream are free for what heads write.
- Positions are "shifted": added to what queries and keys read, never to the residual stream.
- Blocks of random words and their repeats (`mi_lib.worlds.repeats`), with 41 words and 3 block lengths kept back.
- From step RENT_FROM on, each head pays rent: a penalty on the square root of ‖W_V W_O‖. A head that earns nothing
  shrinks away, and heads that do the same merge, so the finished circuit is small and its parts can be told apart.
- From step NONCE_FROM on, more and more words in a sequence are replaced by nonce words: directions drawn anew for this
  sequence alone. The network need not predict them, but it must recognise them when they come back. So the match that
  it learns is "the same direction as before", not a list of the words it knows.

It can be interrupted and run again: it goes on from the last saved state in `out/recipes`.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from rich.progress import Progress
from safetensors.torch import save_file
from torch import Tensor

from mi_lib import induction, zoo
from mi_lib.induction.loss import split_loss
from mi_lib.models import Transformer, TransformerConfig
from mi_lib.recipes import cards
from mi_lib.worlds import repeats

STEPS = 2200
BATCH = 64
N_CTX = 72
LEARNING_RATE = 5e-3
WARM_UP = 100
COOL_DOWN_FROM = 1400  # then the rate falls linearly to 5 %
WEIGHT_DECAY = 0.005  # on attention matrices; none on positions and unembedding
D_MODEL, WORD_DIMS, D_HEAD = 96, 48, 48
EMBEDDING_LENGTH = 4.0
POSITION_SCALE = 1.2  # standard deviation of the initial position vectors
NONCE_FROM, NONCE_UNTIL, NONCE_SHARE = 600, 1000, 0.5
RENT_FROM, RENT_UNTIL, RENT = 600, 900, 0.02  # nats for a head with ‖W_V W_O‖ = 1
SAVE_EVERY = 20
SEEDS = {2: (0, 1, 2, 3, 4, 5), 1: (0, 1, 2)}  # by depth; the first is shipped, chosen before any result was seen
OUT = Path("out/recipes")
COMMAND = "python -m mi_lib.recipes.induction"


def config(n_layers: int) -> TransformerConfig:
    return TransformerConfig(
        n_layers=n_layers,
        d_model=D_MODEL,
        n_heads=4,
        d_head=D_HEAD,
        d_vocab=repeats.D_VOCAB,
        n_ctx=N_CTX,
        positions="shifted",
    )


def new_model(n_layers: int, seed: int) -> Transformer:
    """Untrained, with embeddings of equal length and large positions."""
    model = Transformer(config(n_layers)).init_weights(seed)
    with torch.no_grad():
        model.W_E.copy_(word_directions(model.W_E))
        model.W_pos.mul_(POSITION_SCALE / model.W_pos.std())
    model.W_E.requires_grad_(False)
    return model


def word_directions(values: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
    """Directions of one length in the dimensions that belong to words, zero in the others."""
    words = F.normalize(values[..., :WORD_DIMS], dim=-1) * EMBEDDING_LENGTH
    return F.pad(words, (0, values.shape[-1] - WORD_DIMS))


def training_batch(seed: int, step: int) -> Int[Tensor, "batch pos"]:
    sample = repeats.sample(
        BATCH, seed=1_000_003 * (seed + 1) + step, period=repeats.TRAIN_PERIODS, copies=(2, 5), n_ctx=N_CTX
    )
    return sample.tokens


def nonce_words(
    model: Transformer, tokens: Int[Tensor, "batch pos"], share: float, generator: torch.Generator
) -> tuple[Bool[Tensor, "batch pos"], Float[Tensor, "batch pos d_model"]]:
    """Which positions hold a nonce word, and its direction: the same wherever the word stands in this sequence."""
    first = (tokens[:, :, None] == tokens[:, None, :]).int().argmax(-1)  # [batch pos]: where this word stood first
    chosen = torch.rand(tokens.shape, generator=generator) < share
    is_nonce = chosen.gather(1, first) & (tokens != repeats.BOS_TOKEN)
    directions = word_directions(torch.randn(*tokens.shape, model.cfg.d_model, generator=generator))
    return is_nonce, directions.gather(1, first[..., None].expand_as(directions))


def training_loss(model: Transformer, tokens: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Mean cross-entropy over the tokens that are not nonce words."""
    is_nonce, directions = nonce_words(model, tokens, share, generator)
    with model.hooks([("hook_embed", lambda value, hook: torch.where(is_nonce[..., None], directions, value))]):
        loss = induction.per_token_loss(model(tokens), tokens)
    counts = ~is_nonce[:, 1:]
    return (loss * counts).sum() / counts.sum()


def rent(model: Transformer) -> Tensor:
    """Σ over heads of √‖W_V W_O‖: two heads that share a job pay more than one that does it alone."""
    return (induction.FactoredMatrix(model.W_V, model.W_O).norm() + 1e-4).sqrt().sum()


def learning_rate(step: int) -> float:
    warm = min(1.0, (step + 1) / WARM_UP)
    cool = 1 - 0.95 * max(0.0, (step - COOL_DOWN_FROM) / (STEPS - COOL_DOWN_FROM))
    return LEARNING_RATE * warm * cool


def ramp(step: int, start: int, end: int) -> float:
    """0 before `start`, 1 after `end`, a straight line between."""
    return min(1.0, max(0.0, (step - start) / (end - start)))


def train(n_layers: int, seed: int, folder: Path, progress: Progress, until: int = STEPS) -> dict[str, Any]:
    """Train one model; write its checkpoints and curves to `folder`. Goes on from a saved state if there is one.

    until: stop at this step. The learning rate, the rent and the nonce words are those of the whole training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = new_model(n_layers, seed)
    matrices = [p for name, p in model.named_parameters() if name.startswith("blocks")]
    others = [model.W_pos, model.W_U]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}],
        lr=LEARNING_RATE,
        betas=(0.9, 0.98),
    )
    curves: dict[str, list] = {k: [] for k in ("step", "first", "second", "previous_token", "prefix_matching")}
    start, seconds = 0, 0.0
    state_file = folder / "state.pt"
    if state_file.exists():
        state = torch.load(state_file)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        curves, start, seconds = state["curves"], state["step"], state["seconds"]
    sample = repeats.sample(64, seed=70_000, period=(8, 24))
    task = progress.add_task(f"{n_layers} layers, seed {seed}", total=until, completed=start)
    began = time.monotonic() - seconds
    for step in range(start, until + 1):
        if step % SAVE_EVERY == 0:
            record(model, sample, step, curves)
            save_file(model.weights(torch.float16), folder / f"step_{step:06d}.safetensors")
        if step == until:
            break
        if step % (5 * SAVE_EVERY) == 0 and step > start:
            spent = time.monotonic() - began
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "curves": curves}
            save_whole({**state, "step": step, "seconds": spent}, state_file)
            drop_last(curves)  # the state is saved before the step is taken, so it is recorded again on resuming
            record(model, sample, step, curves)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        # A generator of its own for every step, so that a resumed run draws what an uninterrupted one would have.
        generator = torch.Generator().manual_seed(7_919 * (seed + 1) + step)
        share = NONCE_SHARE * ramp(step, NONCE_FROM, NONCE_UNTIL)
        loss = training_loss(model, training_batch(seed, step), share, generator)
        if step > RENT_FROM:
            loss = loss + RENT * ramp(step, RENT_FROM, RENT_UNTIL) * rent(model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.update(task, advance=1, description=f"{n_layers} layers, seed {seed}, loss {curves['second'][-1]:.2f}")
    state_file.unlink(missing_ok=True)
    result = {"seed": seed, "n_layers": n_layers, "steps": until, "seconds": time.monotonic() - began, "curves": curves}
    (folder / "run.json").write_text(json.dumps(result))
    return result


def record(model: Transformer, sample: repeats.Repeats, step: int, curves: dict[str, list]) -> None:
    """Measure the model during training, on words it is trained on."""
    with torch.no_grad():
        logits, cache = model.run_with_cache(sample.tokens, lambda name: name.endswith("hook_pattern"))
        first, second = split_loss(induction.per_token_loss(logits, sample.tokens), sample)
    patterns = [cache["pattern", layer] for layer in range(model.cfg.n_layers)]
    curves["step"].append(step)
    curves["first"].append(round(first, 4))
    curves["second"].append(round(second, 4))
    for name, values in (
        ("previous_token", [induction.previous_token_score(p) for p in patterns]),
        ("prefix_matching", [induction.prefix_matching_score(p, sample.tokens) for p in patterns]),
    ):
        curves[name].append([[round(x, 4) for x in layer.tolist()] for layer in values])


def drop_last(curves: dict[str, list]) -> None:
    for values in curves.values():
        values.pop()


def save_whole(state: dict[str, Any], path: Path) -> None:
    """An interrupted write leaves the older state in place."""
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def phase_change(curves: dict[str, list]) -> int:
    """The step at which the loss on later copies has fallen half-way from its start to its end."""
    half = (curves["second"][0] + curves["second"][-1]) / 2
    return next(step for step, loss in zip(curves["step"], curves["second"], strict=True) if loss <= half)


def steps_to_ship(curves: dict[str, list], n_layers: int) -> list[int]:
    """Dense around the phase change, sparse elsewhere."""
    if n_layers == 1:
        return [0, 200, 400, 1000]
    centre = phase_change(curves)
    around = [centre * f for f in (0.3, 0.6, 0.8, 0.88, 0.94, 0.97, 1.0, 1.03, 1.06, 1.12, 1.2, 1.35)]
    steps = [0, *(SAVE_EVERY * math.floor(s / SAVE_EVERY + 0.5) for s in around), NONCE_UNTIL]
    return sorted({s for s in steps if s < STEPS})


def ship(n_layers: int, runs: list[dict[str, Any]]) -> Path:
    """Write the zoo folder of the first run, without a card."""
    name = f"induction-{n_layers}l"
    source = OUT / f"{name}-seed{runs[0]['seed']}"
    folder = zoo.HERE / name
    cards.empty(folder)
    model = Transformer(config(n_layers), cards.word_tokenizer(repeats.VOCABULARY))
    model.save(folder)
    (folder / "model.safetensors").write_bytes((source / f"step_{STEPS:06d}.safetensors").read_bytes())
    for step in steps_to_ship(runs[0]["curves"], n_layers):
        cards.ship_checkpoint(folder, source / f"step_{step:06d}.safetensors")
    return folder


def load_run(n_layers: int, seed: int) -> Transformer:
    """The final weights of a run, as they would be shipped (float16)."""
    from safetensors.torch import load_file

    model = Transformer(config(n_layers))
    model.load_state_dict(load_file(OUT / f"induction-{n_layers}l-seed{seed}" / f"step_{STEPS:06d}.safetensors"))
    return model.float().eval().requires_grad_(False)
