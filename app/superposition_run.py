"""The toy models of the superposition explorer, and a training of them that can be stopped and gone on with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from app import common
from mi_lib import superposition as sp
from mi_lib.superposition import Moment, Toy

NETWORKS, STEPS, BATCH = 8, 1500, 128
# The steps after which a picture is drawn: most of them early, when most happens.
PICTURES = (1, 20, 40, 60, 80, 100, 130, 160, 200, 250, 300, 370, 450, 550, 700, 900, 1200, STEPS)


class Settings(NamedTuple):
    """What is trained. decay: how much each feature counts, against the one before it."""

    features: int = 5
    dimensions: int = 2
    sparsity: float = 0.95
    decay: float = 1.0
    relu: bool = True
    seed: int = 0

    @property
    def importance(self) -> Float[Tensor, " feature"]:
        """decay to the power of i; the largest is 1."""
        counts = self.decay ** torch.arange(self.features, dtype=torch.float64)
        return (counts / counts.max()).float()


class Frame(NamedTuple):
    """All networks at one moment. losses: the mean since the frame before."""

    step: int
    W: Float[Tensor, "network hidden feature"]
    losses: Float[Tensor, " network"]


@dataclass
class Run:
    """A training that can be stopped and gone on with."""

    settings: Settings
    moments: Iterator[Moment]
    frames: list[Frame] = field(default_factory=list)
    going: bool = True
    losses: Float[Tensor, " network"] | None = None  # on fresh inputs, once it has finished
    shapes: list[str] = field(default_factory=list)  # what each network has found, once it has finished

    @property
    def finished(self) -> bool:
        return self.losses is not None


def begun(settings: Settings) -> Run:
    """A training that has not made a step."""
    sparsity = torch.full((NETWORKS,), settings.sparsity)
    moments = sp.training(
        sparsity,
        settings.features,
        settings.dimensions,
        settings.importance,
        relu=settings.relu,
        steps=STEPS,
        batch=BATCH,
        seed=settings.seed,
    )
    return Run(settings, moments)


@common.one_thread()
def go_on(run: Run) -> None:
    """Train up to the next picture."""
    total, steps = torch.zeros(NETWORKS), 0
    for moment in run.moments:
        total, steps = total + moment.losses, steps + 1
        made = moment.step + 1
        if made in PICTURES:
            W, b = (each.detach() for each in moment.toy)
            run.frames.append(Frame(made, W.clone(), total / steps))
            if made == STEPS:
                run.losses = _measured(run.settings, Toy(W, b))
                run.shapes = [shape(each) for each in W]
                run.going = False
            return


def _measured(settings: Settings, toy: Toy) -> Float[Tensor, " network"]:
    """The loss of each network on the same fresh inputs."""
    sparsity = torch.full((1,), settings.sparsity)
    x = sp.features(sparsity, settings.features, 20_000, torch.Generator().manual_seed(1))
    return sp.loss(x, sp.reconstruct(toy, x.expand(NETWORKS, -1, -1), settings.relu), settings.importance)


def shape(W: Float[Tensor, "hidden feature"]) -> str:
    """What the features make: "2 × antipodal pair + own axis"; "nothing stored"."""
    found = Counter(_name(each, W) for each in sp.shapes(W))
    return " + ".join(f"{n} × {name}" if n > 1 else name for name, n in found.items()) or "nothing stored"


def _name(each: sp.Shape, W: Float[Tensor, "hidden feature"]) -> str:
    if len(each.features) == 2 and each.rank == 1 and float(W[:, each.features[0]] @ W[:, each.features[1]]) > 0:
        return "two in one direction"
    n = len(each.features)
    name = each.name if not each.name[0].isdigit() else f"{n} features in {each.rank} dimensions"
    return name.replace(" (irregular)", "") + " (uneven)" * ("irregular" in each.name)
