"""Train the models of chapter 03: one-layer transformers that learn modular arithmetic, suddenly and late.

    python -m mi_lib.recipes.grokking                        # all models, all seeds, cards; the zoo is rewritten
    python -m mi_lib.recipes.grokking --run add-113-seed1    # train this run only
    python -m mi_lib.recipes.grokking --ship                 # train nothing, ship the runs that are finished

The set-up is that of Nanda et al. 2023 (arXiv 2301.05217, section 3): p = 113, 30 % of all pairs for training, one
layer, d_model 128, four heads of 32, 512 ReLU neurons, no LayerNorm; the whole training set in every step, AdamW with
learning rate 1e-3, weight decay 1, betas (0.9, 0.98) and ten steps of warm-up. The loss is computed in float64: in
float32 a loss under 1e-7 has no gradient left, and that is the range in which this network lives.

The control is the same run without weight decay: it memorises, and stays so. A second task, a − b mod 97, shows that
the method of the chapter carries over.

It can be interrupted and run again: it goes on from the last saved state in `out/recipes`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from rich.progress import Progress
from safetensors.torch import load_file, save_file
from torch import Tensor

from mi_lib.models import Transformer, TransformerConfig
from mi_lib.worlds.modular import Modular

LEARNING_RATE, WARM_UP, BETAS = 1e-3, 10, (0.9, 0.98)
RECORD_EVERY, SAVE_EVERY = 50, 200
OUT = Path("out/recipes")
COMMAND = "python -m mi_lib.recipes.grokking"


@dataclass(frozen=True)
class Setup:
    """One run. The seed draws the initial weights and the split of the pairs."""

    p: int = 113
    sign: int = 1
    fraction: float = 0.3
    seed: int = 0
    weight_decay: float = 1.0
    steps: int = 20_000
    d_model: int = 128
    n_heads: int = 4
    d_mlp: int = 512
    learning_rate: float = LEARNING_RATE

    @property
    def task(self) -> Modular:
        return Modular(self.p, self.sign, self.fraction, self.seed)

    @property
    def config(self) -> TransformerConfig:
        return TransformerConfig(
            n_layers=1,
            d_model=self.d_model,
            n_heads=self.n_heads,
            d_head=self.d_model // self.n_heads,
            d_vocab=self.p + 1,
            n_ctx=3,
            d_mlp=self.d_mlp,
        )


RUNS = {
    "add-113-seed0": Setup(),
    "add-113-seed1": Setup(seed=1),
    "add-113-seed2": Setup(seed=2),
    "add-113-memorising": Setup(weight_decay=0.0),
    "subtract-97-seed0": Setup(p=97, sign=-1),
}

# A smaller clock, and a larger learning rate, for watching it happen (see `Run`): on one core seeds 0 to 2 grok by
# step 1900, after about half a minute, and all steps take under one.
LIVE = Setup(p=59, fraction=0.4, steps=3000, d_mlp=256, learning_rate=3e-3)


def new_model(setup: Setup) -> Transformer:
    """Untrained: every matrix N(0, 1/d_model), the unembedding N(0, 1/d_vocab), biases 0, as in the paper's code."""
    model = Transformer(setup.config).init_weights(setup.seed, scale=1 / math.sqrt(setup.d_model))
    with torch.no_grad():
        model.W_U.mul_(math.sqrt(setup.d_model / (setup.p + 1)))
    return model


def last_logits(model: Transformer, tokens: Int[Tensor, "batch 3"]) -> Float[Tensor, "batch d_vocab"]:
    """The logits after "=", equal to `model(tokens)[:, -1]` and about three times as fast.

    Only the last position is computed, and what a number contributes to the scores and values of attention is computed
    once for each number and looked up.
    """
    block: Any = model.blocks[0]
    attn, mlp = block.attn, block.mlp
    equals = model.W_E[-1] + model.W_pos[2]  # [d_model]
    q = torch.einsum("d,hdk->hk", equals, attn.W_Q) * attn.scale
    score_of = torch.einsum("hk,hdk->dh", q, attn.W_K)  # [d_model head]: what a vector's score will be
    scores, values = [], []
    for position in (0, 1):
        x = model.W_E[:-1] + model.W_pos[position]  # [number d_model]
        scores.append((x @ score_of)[tokens[:, position]])
        values.append(torch.einsum("nd,hdk->nhk", x, attn.W_V)[tokens[:, position]])
    scores.append((equals @ score_of).expand_as(scores[0]))
    values.append(torch.einsum("d,hdk->hk", equals, attn.W_V).expand_as(values[0]))
    pattern = torch.stack(scores, -1).softmax(-1)  # [batch head 3]
    z = sum(pattern[:, :, i, None] * values[i] for i in range(3))  # [batch head d_head]
    resid_mid = equals + torch.einsum("nhk,hkd->nd", z, attn.W_O)
    return (resid_mid + mlp.act(resid_mid @ mlp.W_in + mlp.b_in) @ mlp.W_out + mlp.b_out) @ model.W_U


def high_precision_loss(logits: Float[Tensor, "batch d_vocab"], answers: Int[Tensor, " batch"]) -> Tensor:
    """Mean cross-entropy in nats, in float64."""
    return F.cross_entropy(logits.double(), answers)


@dataclass
class Run:
    """A training run that can be stopped after any step and gone on with."""

    setup: Setup
    step: int = 0
    curves: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        task = self.setup.task
        self.model = new_model(self.setup)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=self.setup.learning_rate,
            weight_decay=self.setup.weight_decay,
            betas=BETAS,
        )
        self.tokens, self.answers, self.in_training = task.tokens, task.answers, task.in_training
        self.train_set = self.tokens[self.in_training], self.answers[self.in_training]

    def __iter__(self) -> Iterator[int]:
        """Train; yields the number of each step before it is taken, and the last one at the end."""
        while self.step < self.setup.steps:
            yield self.step
            for group in self.optimizer.param_groups:
                group["lr"] = self.setup.learning_rate * min(1.0, (self.step + 1) / WARM_UP)
            loss = high_precision_loss(last_logits(self.model, self.train_set[0]), self.train_set[1])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.step += 1
        yield self.step

    def record(self) -> None:
        """Append the losses, accuracies and squared weight norm of this step to the curves."""
        with torch.no_grad():
            logits = last_logits(self.model, self.tokens)
            right = (logits.argmax(-1) == self.answers).double()
            now = {"step": self.step, "weights": sum(p.pow(2).sum().item() for p in self.model.parameters())}
            for name, rows in (("train", self.in_training), ("test", ~self.in_training)):
                now[f"{name}_loss"] = high_precision_loss(logits[rows], self.answers[rows]).item()
                now[f"{name}_accuracy"] = right[rows].mean().item()
        for key, value in now.items():
            self.curves.setdefault(key, []).append(value)

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "curves": self.curves,
        }

    def resume(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.curves = state["step"], state["curves"]


def train(name: str, progress: Progress) -> None:
    """Train one of RUNS into its folder under `out/recipes`, going on from a saved state if there is one."""
    setup = RUNS[name]
    folder = OUT / f"grokking-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    run, seconds, state_file = Run(setup), 0.0, folder / "state.pt"
    if state_file.exists():
        state = torch.load(state_file)
        run.resume(state)
        seconds = state["seconds"]
    task = progress.add_task(name, total=setup.steps, completed=run.step)
    began = time.monotonic() - seconds
    for step in run:
        seen = run.curves.get("step", [-1])[-1]
        if step % RECORD_EVERY == 0 and step > seen:
            run.record()
        if step % SAVE_EVERY == 0:
            save_file(run.model.weights(torch.float16), folder / f"step_{step:06d}.safetensors")
        if step % (5 * SAVE_EVERY) == 0 and step > seen:
            torch.save({**run.state(), "seconds": time.monotonic() - began}, state_file.with_suffix(".part"))
            state_file.with_suffix(".part").replace(state_file)
        if step % 10 == 0:
            progress.update(task, completed=step, description=f"{name}, test loss {run.curves['test_loss'][-1]:.2e}")
    (folder / "run.json").write_text(json.dumps({"seconds": time.monotonic() - began, "curves": run.curves}))


def load_run(name: str, step: int | None = None) -> Transformer:
    """The weights of a run as they would be shipped (float16), at the end or at a saved step."""
    setup = RUNS[name]
    file = OUT / f"grokking-{name}" / f"step_{setup.steps if step is None else step:06d}.safetensors"
    model = Transformer(setup.config)
    model.load_state_dict(load_file(file))
    return model.float().eval().requires_grad_(False)
