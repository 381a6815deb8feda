"""Train Pico, a small GPT-2 that lives in Littletown: first on prose (base), then to be an assistant (chat).

    python -m mi_lib.recipes.pico base         # prose, in which nothing is refused
    python -m mi_lib.recipes.pico chat         # goes on from base: questions, refusals, roles, traits
    python -m mi_lib.recipes.pico ship         # writes the zoo's folders pico-base and pico, with their checkpoints
    python -m mi_lib.recipes.pico ship-chat    # the second of them, when chat alone was trained anew
    python -m mi_lib.recipes.pico measure-chat # its card alone, when a check has changed; or measure-base

Texts are written while training goes on, never twice. Both stages can be interrupted; the same command goes on.
"""

from __future__ import annotations

import json
import math
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from mi_lib import zoo
from mi_lib.recipes import cards
from mi_lib.recipes.pico.data import BOS, END, PAD, Batch, Encoded, encode, pack, tokenizer
from mi_lib.worlds import littletown

OUT = Path("out/recipes")
WIDTH = 256  # tokens in a row, and the longest document


@dataclass(frozen=True)
class Stage:
    """How one of the two networks is trained. tokens: places in rows, padding included."""

    name: str
    tokens: int
    learning_rate: float
    mixture: littletown.Mixture
    prose: float = 0.0  # chat: the share of documents that are prose, so that nothing is forgotten
    rows: int = 16
    warm_up: int = 100
    weight_decay: float = 0.05
    clip: float = 1.0
    checkpoints: tuple[float, ...] = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

    @property
    def steps(self) -> int:
        return self.tokens // (self.rows * WIDTH)


BASE = Stage("pico-base", tokens=8_200_000, learning_rate=3e-3, mixture="base")
CHAT = Stage("pico", tokens=5_500_000, learning_rate=1.2e-3, mixture="chat", prose=0.3)
STAGES = {"base": BASE, "chat": CHAT}
SAVE_EVERY, RECORD_EVERY = 150, 100


def config() -> GPT2Config:
    return GPT2Config(
        vocab_size=len(littletown.vocabulary()),
        n_positions=WIDTH,
        n_embd=192,
        n_layer=6,
        n_head=6,
        activation_function="gelu_pytorch_tanh",  # GPT-2's own formula, computed in one step
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=BOS,
        eos_token_id=END,
        pad_token_id=PAD,
    )


def documents(stage: Stage, seed: int, start: int) -> Iterator[Encoded]:
    """The stage's texts, from number `start` on."""
    index = start
    while True:
        # A fixed pattern, not chance, decides which are prose: exact, and the same after an interruption.
        prose = stage.mixture == "base" or int((index + 1) * stage.prose) > int(index * stage.prose)
        mixture: littletown.Mixture = "base" if prose else "chat"
        yield encode(littletown.document(index, seed, "train", mixture), replies_only=not prose)
        index += 1


class Stream:
    """Batches of packed documents; `index` is the number of the next document that no batch has held."""

    def __init__(self, stage: Stage, seed: int, index: int = 0) -> None:
        self.stage, self.index = stage, index
        self._source = documents(stage, seed, index)
        self._waiting: list[Encoded] = []

    def next(self) -> Batch:
        want = 2 * self.stage.rows * WIDTH
        have = sum(len(e.ids) for e in self._waiting)
        while have < want:
            self._waiting.append(next(self._source))
            have += len(self._waiting[-1].ids)
        batch, taken = pack(self._waiting, self.stage.rows, WIDTH)
        del self._waiting[:taken]
        self.index += taken
        return batch


def world() -> int:
    """A checksum of the vocabulary: token ids mean nothing without it."""
    return zlib.crc32("|".join(littletown.vocabulary()).encode())


def learning_rate(stage: Stage, step: int) -> float:
    """A linear warm-up, then half a cosine down to a twentieth."""
    if step < stage.warm_up:
        return stage.learning_rate * (step + 1) / stage.warm_up
    done = (step - stage.warm_up) / max(1, stage.steps - stage.warm_up)
    return stage.learning_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def run_folder(stage: Stage, seed: int) -> Path:
    return OUT / f"{stage.name}-seed{seed}"


def start_model(stage: Stage, seed: int, made: GPT2Config) -> GPT2LMHeadModel:
    """A new network for base; for chat the trained base: that of the same run, or else the bundled one."""
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(made)
    if stage.mixture == "chat":
        trained = run_folder(BASE, seed) / "model.safetensors"
        load_weights(model, trained if trained.exists() else zoo.HERE / BASE.name / "model.safetensors")
    return model


def load_weights(model: GPT2LMHeadModel, file: Path) -> GPT2LMHeadModel:
    missing = model.load_state_dict({k: v.float() for k, v in load_file(file).items()}, strict=False)
    assert not missing.unexpected_keys, f"{file} has weights that the network has no place for"
    assert missing.missing_keys == ["lm_head.weight"], f"{file} lacks {missing.missing_keys}"
    model.tie_weights()
    return model


def save_weights(model: GPT2LMHeadModel, file: Path) -> None:
    """Half precision; the unembedding is the embedding, and stored once."""
    file.parent.mkdir(parents=True, exist_ok=True)
    weights = {k: v.detach().half().cpu().contiguous() for k, v in model.state_dict().items() if k != "lm_head.weight"}
    save_file(weights, file.with_suffix(".part"), metadata={"format": "pt"})
    file.with_suffix(".part").replace(file)


class Optimizers:
    """Muon for the matrices inside the blocks, AdamW for embeddings, norms and biases.

    Muon (Jordan 2024) makes each update nearly orthogonal. In a trial of 100 steps the network came as far as with
    AdamW alone in 300.
    """

    def __init__(self, model: GPT2LMHeadModel, stage: Stage) -> None:
        inside = [p for n, p in model.named_parameters() if p.ndim == 2 and ".h." in n]
        tables = [p for n, p in model.named_parameters() if p.ndim == 2 and ".h." not in n]
        vectors = [p for p in model.parameters() if p.ndim == 1]
        groups = [{"params": tables, "weight_decay": stage.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        self.each = (
            torch.optim.Muon(
                inside, lr=stage.learning_rate, weight_decay=stage.weight_decay, adjust_lr_fn="match_rms_adamw"
            ),
            torch.optim.AdamW(groups, lr=stage.learning_rate, betas=(0.9, 0.98), fused=True),
        )

    def step(self, learning_rate: float) -> None:
        for optimizer in self.each:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            optimizer.step()
            optimizer.zero_grad()

    def state_dict(self) -> list[dict[str, Any]]:
        return [optimizer.state_dict() for optimizer in self.each]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for optimizer, state in zip(self.each, states, strict=True):
            optimizer.load_state_dict(state)


def step_loss(model: GPT2LMHeadModel, batch: Batch) -> torch.Tensor:
    """The training loss of a batch, in nats per learned token; bfloat16 where that is exact enough."""
    where = model.device.type
    moved = Batch(*(t.to(where) for t in (batch.tokens, batch.positions, batch.learned, batch.document)))
    with torch.autocast(where, torch.bfloat16):
        logits = model(
            moved.tokens, position_ids=moved.positions, attention_mask=moved.attention(), use_cache=False
        ).logits
    return moved.loss(logits)


@torch.no_grad()
def losses_by_kind(model: GPT2LMHeadModel, held_out: list[Encoded]) -> dict[str, float]:
    """Mean loss in nats per learned token of held-out texts, by their kind."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    by_kind: dict[str, list[Encoded]] = defaultdict(list)
    for encoded in held_out:
        by_kind[encoded.kind].append(encoded)
    for kind, members in by_kind.items():
        while members:
            batch, taken = pack(members, 4, WIDTH)
            del members[:taken]
            count = batch.learned[:, 1:].sum().item()
            sums[kind][0] += step_loss(model, batch).item() * count
            sums[kind][1] += count
    return {kind: round(total / max(count, 1), 4) for kind, (total, count) in sorted(sums.items())}


def held_out_texts(stage: Stage, count: int = 240) -> list[Encoded]:
    prose = [encode(littletown.document(i, 1, "held_out", "base"), False) for i in range(count)]
    if stage.mixture == "base":
        return prose
    return [*prose[: count // 2], *(encode(littletown.document(i, 1, "held_out", "chat"), True) for i in range(count))]


def train(stage: Stage, seed: int, made: GPT2Config, progress: Progress, stop_at: int | None = None) -> Path:
    """Train one stage, going on from its saved state if there is one. Returns the run's folder.

    stop_at: stop there as an interruption would (for tests).
    """
    folder = run_folder(stage, seed)
    if (folder / "run.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    model = start_model(stage, seed, made)
    model.to(torch.device(device()))  # type: ignore[arg-type]
    model.train()
    optimizer = Optimizers(model, stage)
    start, index, seconds, mean, state_file = 0, 0, 0.0, 0.0, folder / "state.pt"
    if state_file.exists():
        state = torch.load(state_file, map_location=device())
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        if state["world"] != world():
            raise ValueError(f"{state_file} belongs to another vocabulary; move {folder} away to begin anew")
        start, index, seconds, mean = state["step"], state["index"], state["seconds"], state["mean"]
    stream, held_out = Stream(stage, seed, index), held_out_texts(stage)
    saved_at = {round(share * stage.steps) for share in stage.checkpoints}
    task = progress.add_task(f"{stage.name}, seed {seed}", total=stage.steps, completed=start)
    began = time.monotonic() - seconds
    for step in range(start, stage.steps):
        if step % SAVE_EVERY == 0 and step > start:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            state |= {"index": stream.index, "seconds": time.monotonic() - began, "mean": mean, "world": world()}
            torch.save(state, folder / "state.part")
            (folder / "state.part").replace(state_file)
        if step == stop_at:
            return folder
        if step in saved_at:
            save_weights(model, folder / "checkpoints" / f"step_{step:06d}.safetensors")
        if step % RECORD_EVERY == 0 and not step == start > 0:
            record(folder, model, held_out, step, stage, mean)
        loss = step_loss(model, stream.next())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), stage.clip)
        optimizer.step(learning_rate(stage, step))
        mean = loss.item() if not mean else 0.95 * mean + 0.05 * loss.item()
        progress.update(task, advance=1, description=f"{stage.name}, seed {seed}, loss {mean:.3f}")
    record(folder, model, held_out, stage.steps, stage, mean)
    save_weights(model, folder / "model.safetensors")
    done = {"seed": seed, "seconds": round(time.monotonic() - began), "recipe": asdict(stage)}
    done |= {"steps": stage.steps, "documents": stream.index, "device": device(), "threads": torch.get_num_threads()}
    (folder / "run.json").write_text(json.dumps(done))
    return folder


def record(folder: Path, model: GPT2LMHeadModel, held_out: list[Encoded], step: int, stage: Stage, mean: float) -> None:
    """Add a line to the log: training loss, and the loss of each kind of held-out text."""
    model.eval()
    line: dict[str, Any] = {"step": step, "tokens": step * stage.rows * WIDTH, "training": round(mean, 4)}
    line["held_out"] = losses_by_kind(model, held_out)
    model.train()
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def load_run(stage: Stage, seed: int = 0, step: int | None = None) -> GPT2LMHeadModel:
    """A run's network as it is shipped (float16 weights, read as float32); `step`: a checkpoint."""
    folder = run_folder(stage, seed)
    file = folder / ("model.safetensors" if step is None else f"checkpoints/step_{step:06d}.safetensors")
    return load_weights(GPT2LMHeadModel(config()), file).eval()


def write_folder(folder: Path, weights: Path, made: GPT2Config) -> None:
    """An ordinary `transformers` folder: configuration, half-precision weights, tokenizer with its chat template."""
    cards.empty(folder)
    model = load_weights(GPT2LMHeadModel(made), weights).half()
    model.generation_config.pad_token_id = PAD
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
