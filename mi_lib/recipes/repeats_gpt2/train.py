"""Train the small language model of chapter 01: GPT-2's architecture, on random words and their repeats.

    python -m mi_lib.recipes.repeats_gpt2

Two layers, d_model 128, four heads: an ordinary `transformers` folder, small enough to build again by hand, and with
every part that GPT-2 has. It learns to continue repeats (`mi_lib.worlds.repeats`). It takes a few minutes on one core.

Training leaves out one block length, seven words. The network could look for the word before, and does not: it learns
the nine distances that occur by heart, and fails on a block of seven. Chapter 01 shows that, and the card measures it.

Three choices make it learn soon: few places (n_ctx 32), because each is a vector that must be learned on its own; words
and places five times as long at the start as GPT-2's; and a loss in which a word that nobody can know counts less.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from mi_lib import induction
from mi_lib.induction.loss import split_loss
from mi_lib.recipes import cards
from mi_lib.worlds import repeats

NAME = "repeats-gpt2"
STEPS, BATCH, N_CTX = 4000, 32, 32
D_VOCAB = 64  # <bos> and the first 63 words
PERIODS, HELD_OUT_PERIOD = (3, 4, 5, 6, 8, 9, 10, 11, 12), 7
LEARNING_RATE, WARM_UP, WEIGHT_DECAY = 3e-3, 100, 0.01
INITIAL_SIZE = 0.1  # standard deviation of the untrained word and place vectors
UNKNOWABLE = 0.3  # what a word that is in no later copy counts in the loss; one that is counts this and 1
SEEDS = (0, 1, 2)  # the first is shipped, chosen before any result was seen
SAVE_EVERY, RECORD_EVERY = 500, 50
OUT = Path("out/recipes")
COMMAND = "python -m mi_lib.recipes.repeats_gpt2"


def config() -> GPT2Config:
    return GPT2Config(
        vocab_size=D_VOCAB,
        n_positions=N_CTX,
        n_embd=128,
        n_layer=2,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=repeats.BOS_TOKEN,
        eos_token_id=repeats.BOS_TOKEN,
    )


def new_model(seed: int) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(config())
    with torch.no_grad():
        for table in (model.transformer.wte, model.transformer.wpe):
            table.weight.normal_(0, INITIAL_SIZE)
    return model


def training_batch(seed: int, step: int) -> repeats.Repeats:
    """Blocks of several lengths with two to six copies each, until N_CTX tokens are full."""
    return repeats.sample(
        BATCH,
        seed=1_000_003 * (seed + 1) + step,
        period=PERIODS,
        copies=(2, 6),
        offset=(0, 6),
        vocab=D_VOCAB,
        n_ctx=N_CTX,
    )


def training_loss(model: GPT2LMHeadModel, batch: repeats.Repeats) -> Tensor:
    """The mean loss, in which words of later copies count most."""
    weight = UNKNOWABLE + batch.second[:, 1:].float()
    return (induction.per_token_loss(model(batch.tokens).logits, batch.tokens) * weight).sum() / weight.sum()


def learning_rate(step: int) -> float:
    """A linear warm-up, then half a cosine down to zero."""
    if step < WARM_UP:
        return LEARNING_RATE * (step + 1) / WARM_UP
    return LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / (STEPS - WARM_UP)))


def train(seed: int, folder: Path, progress: Progress) -> dict[str, Any]:
    """Train one model into its folder, going on from a saved state if there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    model = new_model(seed).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.98))
    curves: dict[str, list] = {"step": [], "first": [], "second": []}
    start, seconds, state_file = 0, 0.0, folder / "state.pt"
    if state_file.exists():
        state = torch.load(state_file)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start, seconds, curves = state["step"], state["seconds"], state["curves"]
    sample = repeats.sample(64, seed=70_000, period=PERIODS[3:], offset=(0, 6), vocab=D_VOCAB)
    task = progress.add_task(f"seed {seed}", total=STEPS, completed=start)
    began = time.monotonic() - seconds
    for step in range(start, STEPS):
        if step % RECORD_EVERY == 0 and step > (curves["step"] or [-1])[-1]:
            record(model, sample, step, curves)
        if step % SAVE_EVERY == 0:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "curves": curves}
            state |= {"step": step, "seconds": time.monotonic() - began}
            torch.save(state, state_file.with_suffix(".part"))
            state_file.with_suffix(".part").replace(state_file)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        loss = training_loss(model, training_batch(seed, step))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        progress.update(task, advance=1, description=f"seed {seed}, loss on repeats {curves['second'][-1]:.2f}")
    record(model, sample, STEPS, curves)
    weights = {
        name: p.detach().half().contiguous() for name, p in model.state_dict().items() if name != "lm_head.weight"
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    result = {"seed": seed, "seconds": time.monotonic() - began, "curves": curves}
    (folder / "run.json").write_text(json.dumps(result))
    return result


@torch.no_grad()
def record(model: GPT2LMHeadModel, sample: repeats.Repeats, step: int, curves: dict[str, list]) -> None:
    model.eval()
    first, second = split_loss(induction.per_token_loss(model(sample.tokens).logits, sample.tokens), sample)
    model.train()
    for key, value in (("step", step), ("first", round(first, 4)), ("second", round(second, 4))):
        curves[key].append(value)


def write_folder(folder: Path, weights: Path) -> None:
    """An ordinary `transformers` folder: config, half-precision weights, tokenizer."""
    cards.empty(folder)
    made = config()
    made.architectures, made.dtype = ["GPT2LMHeadModel"], torch.float16
    made.save_pretrained(folder)
    (folder / "model.safetensors").write_bytes(weights.read_bytes())
    tokenizer = cards.word_tokenizer(repeats.VOCABULARY[:D_VOCAB])
    bos = repeats.VOCABULARY[repeats.BOS_TOKEN]
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=bos, unk_token=bos)
    wrapped.save_pretrained(folder)


def load_run(seed: int) -> GPT2LMHeadModel:
    """The final weights of a run as they would be shipped (float16)."""
    model = GPT2LMHeadModel(config())
    weights = {k: v.float() for k, v in load_file(OUT / f"{NAME}-seed{seed}" / "model.safetensors").items()}
    model.load_state_dict(weights, strict=False)
    model.tie_weights()
    return model.eval()
