"""Train the networks of chapters 13 and 14: small convolutional classifiers of `mi_lib.worlds.scenes`.

    python -m mi_lib.recipes.sight                 # all seeds, the zoo folder and its card
    python -m mi_lib.recipes.sight --seed 1 --only-train
    python -m mi_lib.recipes.sight --measure       # train nothing: measure the shipped files, and write the card

What a network is asked: which shape a figure has, and by what it is told from the ground, or that there is none (the
task "figure"). It is told by focus, colour, waves, or by standing in front: so focus must be seen, and a network that
sees it needs something like a detector of where it changes.

The networks are plain, so that their weights can be read: convolutions with a stride and a bias, a ReLU after each, a
linear readout of the means of the last layer (`mi_lib.models.vision.ConvNet`). While they learn, what a convolution
puts out is normalised over the batch, which makes it quick; at the end the norms are folded into weights and biases,
and the network computes the same without them. Every scene is seen once. Also shipped: the first seed's network before
its first step, as a control.

It can be interrupted and run again: it goes on from the last saved state in `out/recipes`.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.progress import Progress
from safetensors.torch import load_file
from torch import Tensor, nn

from mi_lib import zoo
from mi_lib.models.vision import ConvNet, ConvNetConfig
from mi_lib.models.vision.loading import save_vision
from mi_lib.recipes import cards
from mi_lib.worlds import scenes

NAME = "sight"
CHANNELS, KERNELS, STRIDES = (16, 32, 64, 64), (5, 3, 3, 3), (2, 2, 1, 2)
MEAN, STD = (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)  # of the pixels, about
STEPS = 4000
BATCH = 64
AT_ONCE = 16  # batches that are drawn at once
LEARNING_RATE = 5e-3
WARM_UP = 100
COOL_DOWN_FROM = 1600  # then the rate falls linearly to 2 %
WEIGHT_DECAY = 1e-3
RECORD_EVERY, SAVE_EVERY = 100, 200
SEEDS = (0, 1, 2)  # the first is the one that chapters read, chosen before any result was seen
WATCHED, HELD_OUT_SEED = 512, 71_001  # of the scenes by which training is watched; training draws from other seeds
OUT = Path("out/recipes")
COMMAND = "python -m mi_lib.recipes.sight"


def config() -> ConvNetConfig:
    return ConvNetConfig(CHANNELS, KERNELS, STRIDES, scenes.CLASSES, scenes.SIZE, MEAN, STD)


def new_net(seed: int) -> ConvNet:
    """Untrained."""
    return ConvNet(config()).init_weights(seed)


def learner(net: ConvNet) -> nn.Sequential:
    """The same modules, with a batch norm after each convolution. In `eval` it first computes what `net` does."""
    named = OrderedDict[str, nn.Module]()
    for name, module in net.named_children():
        named[name] = module
        if isinstance(module, nn.Conv2d):
            named[name.replace("conv", "norm")] = nn.BatchNorm2d(module.out_channels)
    return nn.Sequential(named)


def folded(learnt: nn.Sequential) -> ConvNet:
    """The network without norms that computes what a learner computes in `eval`: w · γ/σ, and (b − μ) · γ/σ + β."""
    modules, net = dict(learnt.named_children()), ConvNet(config())
    with torch.no_grad():
        for name, module in net.named_children():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.load_state_dict(modules[name].state_dict())
            if isinstance(module, nn.Conv2d):
                norm = modules[name.replace("conv", "norm")]
                assert isinstance(norm, nn.BatchNorm2d)
                assert norm.running_mean is not None
                assert norm.running_var is not None
                assert module.bias is not None
                gain = norm.weight / (norm.running_var + norm.eps).sqrt()
                module.weight.mul_(gain[:, None, None, None])
                module.bias.sub_(norm.running_mean).mul_(gain).add_(norm.bias)
    return net


def training_scenes(seed: int, step: int) -> scenes.Scenes:
    """The scenes of the AT_ONCE steps of which this one is one."""
    return scenes.sample(BATCH * AT_ONCE, seed=1_000_003 * (seed + 1) + step // AT_ONCE)


def learning_rate(step: int) -> float:
    warm = min(1.0, (step + 1) / WARM_UP)
    cool = 1 - 0.98 * max(0.0, (step - COOL_DOWN_FROM) / (STEPS - COOL_DOWN_FROM))
    return LEARNING_RATE * warm * cool


def logits(net: nn.Module, images: Tensor) -> Tensor:
    """Of images from 0 to 1, with gradients to the weights (a `VisionModel` would freeze them)."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return net((images - mean) / std)


def train(seed: int, folder: Path, progress: Progress) -> dict[str, Any]:
    """Train one network; write it and its curves to `folder`. Goes on from a saved state if there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    net = learner(new_net(seed))
    optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    curves: dict[str, list] = {"step": [], "loss": [], "accuracy": []}
    start, seconds = 0, 0.0
    state_file = folder / "state.pt"
    if state_file.exists():
        state = torch.load(state_file)
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        curves, start, seconds = state["curves"], state["step"], state["seconds"]
    watched = scenes.sample(WATCHED, seed=HELD_OUT_SEED)
    drawn, number = training_scenes(seed, start), start // AT_ONCE
    task = progress.add_task(f"seed {seed}", total=STEPS, completed=start)
    began = time.monotonic() - seconds
    for step in range(start, STEPS):
        if step % SAVE_EVERY == 0 and step > start:
            spent = {"step": step, "seconds": time.monotonic() - began}
            save_whole(
                {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "curves": curves, **spent}, state_file
            )
        if step % RECORD_EVERY == 0:
            record(net, watched, step, curves)
        if step // AT_ONCE != number:
            drawn, number = training_scenes(seed, step), step // AT_ONCE
        rows = slice(step % AT_ONCE * BATCH, (step % AT_ONCE + 1) * BATCH)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        loss = F.cross_entropy(logits(net, drawn.images[rows]), drawn.labels()[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.update(task, advance=1, description=f"seed {seed}, loss {curves['loss'][-1]:.2f}")
    record(net, watched, STEPS, curves)
    seconds = time.monotonic() - began
    save_vision(folded(net), folder, "model")
    state_file.unlink(missing_ok=True)
    result = {"seed": seed, "seconds": seconds, "curves": curves}
    (folder / "run.json").write_text(json.dumps(result))
    return result


def record(net: nn.Module, watched: scenes.Scenes, step: int, curves: dict[str, list]) -> None:
    """Loss and accuracy on held-out scenes."""
    net.eval()
    with torch.no_grad():
        said, labels = logits(net, watched.images), watched.labels()
    net.train()
    curves["step"].append(step)
    curves["loss"].append(round(F.cross_entropy(said, labels).item(), 4))
    curves["accuracy"].append(round((said.argmax(1) == labels).float().mean().item(), 4))


def save_whole(state: dict[str, Any], path: Path) -> None:
    """An interrupted write leaves the older state in place."""
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def shipped_name(seed: int) -> str:
    return NAME if seed == SEEDS[0] else f"{NAME}-seed{seed}"


UNTRAINED = f"{NAME}-untrained"


def ship(runs: list[dict[str, Any]]) -> Path:
    """Write the zoo folder, without a card: a file for each seed, and the network before training."""
    folder = zoo.HERE / NAME
    cards.empty(folder)
    for run in runs:
        net = ConvNet(config())
        net.load_state_dict(load_file(folder_of(run["seed"]) / "model.safetensors"))
        save_vision(net, folder, shipped_name(run["seed"]))
    save_vision(new_net(SEEDS[0]), folder, UNTRAINED)
    return folder


def folder_of(seed: int) -> Path:
    return OUT / f"{NAME}-seed{seed}"
