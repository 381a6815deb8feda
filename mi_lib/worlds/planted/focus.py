"""A planted network that sees focus: of every unit it is written down what it answers to.

    eye = focus.network()
    eye.model            # a ConvNet: conv1 (a bank of Gabor filters), conv2 (how much of each frequency), conv3 (units)
    eye.kinds, eye.angles                # what each unit of relu3 was made to be, and which way it was turned

Of the units of relu3 some are high-low frequency detectors. The others are what such a detector might be mistaken for:

    detector   high frequency on the side of its angle, low on the other: excited there, inhibited here, and the reverse
    leaning    the same, and in addition it likes high frequency anywhere: all sharp is nearly as good as the boundary
    half       excited by high frequency on the side of its angle, and by nothing else
    edge       an edge of brightness, brighter on the side of its angle
    sharp      high frequency anywhere
    blurred    low frequency anywhere
    nothing    any mixture of channels, the same on all sides
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.models.vision import ConvNet, ConvNetConfig

HIGH, LOW = 0.25, 0.07  # cycles per pixel
PHASES = 4
ORIENTATIONS = 3  # of a half turn
WIDTH = 9  # px, of a filter
SIZE = 33  # px, of an image
KINDS = ("detector", "leaning", "half", "edge", "sharp", "blurred", "nothing")
REACH = 7  # places of relu2 that a unit of conv3 reads, in either direction


def gabor(
    frequency: float, orientation: float, phase: float, size: int = WIDTH, spread: float | None = None
) -> Float[Tensor, "row column"]:
    """A wave under a Gaussian, of mean 0 and length 1: cos(2π · frequency · distance + phase) · exp(−r² / 2 spread²).

    orientation: the direction in which the wave runs, counter-clockwise from "right". frequency: cycles per pixel.
    """
    at = torch.arange(size) - (size - 1) / 2
    x, y = at[None, :], -at[:, None]
    window = torch.exp(-(x**2 + y**2) / (2 * (spread or size / 4) ** 2))
    run = x * math.cos(orientation) + y * math.sin(orientation)
    wave = window * torch.cos(2 * math.pi * frequency * run + phase)
    wave = wave - window * wave.sum() / window.sum()
    return wave / wave.norm()


def bank(
    frequency: float, orientations: int = ORIENTATIONS, phases: int = PHASES, size: int = WIDTH
) -> Float[Tensor, "orientation phase row column"]:
    """Gabor filters of one frequency: orientations of a half turn, phases of a whole one. After a ReLU, the sum over
    phases hardly depends on where the wave stands, nor on its sign."""
    return torch.stack(
        [
            torch.stack(
                [gabor(frequency, math.pi * o / orientations, 2 * math.pi * p / phases, size) for p in range(phases)]
            )
            for o in range(orientations)
        ]
    )


@dataclass(frozen=True)
class Planted:
    """A network, what the units of its last layer are, and which channels of relu2 tell how much of a frequency."""

    net: ConvNet
    kinds: tuple[str, ...]
    angles: tuple[float, ...]  # radians; NaN for what has none
    high: tuple[int, ...]  # channels of relu2
    low: tuple[int, ...]


DEFAULT = (
    *(("detector", i * math.pi / 4) for i in range(8)),
    *(("leaning", 0.5), ("leaning", 3.6), ("half", 1.0), ("half", 4.5)),
    *(("edge", i * math.pi / 2 + 0.3) for i in range(4)),
    *(("sharp", math.nan), ("blurred", math.nan), ("nothing", math.nan), ("nothing", math.nan)),
)


def network(units: tuple[tuple[str, float], ...] = DEFAULT, seed: int = 0) -> Planted:
    """The network with these units, (kind, angle), in an order that the seed decides. ValueError: an unknown kind."""
    source = torch.Generator().manual_seed(seed)
    units = tuple(units[i] for i in torch.randperm(len(units), generator=source).tolist())
    banks = torch.stack([bank(HIGH), bank(LOW)])  # [frequency orientation phase row column]
    first = torch.stack([_on_colour(banks, c) for c in range(3)]).flatten(0, 3)
    labels = [
        (f, o, p) for _ in range(3) for f in range(2) for o in range(ORIENTATIONS) for p in range(PHASES)
    ]  # of the channels of conv1, in this order
    energy = [(f, o) for f in range(2) for o in range(ORIENTATIONS)]
    edges = [(o, p) for o in range(ORIENTATIONS) for p in (1, 3)]
    second = torch.zeros(len(energy) + len(edges), len(labels), 1, 1)
    for channel, (f, o, p) in enumerate(labels):
        second[energy.index((f, o)), channel] = 1.0
        if f == 1 and p in (1, 3):
            second[len(energy) + edges.index((o, p)), channel] = 1.0
    third, bias = torch.zeros(len(units), len(second), REACH, REACH), torch.zeros(len(units))
    for i, (kind, angle) in enumerate(units):
        third[i], bias[i] = _unit(kind, angle, len(energy), edges, source)
    config = ConvNetConfig(
        channels=(len(first), len(second), len(units)), kernels=(WIDTH, 1, REACH), strides=(2, 1, 1),
        classes=("focus", "edge"), size=SIZE, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2),
    )  # fmt: skip
    net = ConvNet(config)
    readout = torch.tensor([[float(kind == k) for kind, _ in units] for k in ("detector", "edge")])
    weights = {"conv1": first, "conv2": second, "conv3": third, "readout": readout}
    biases = {"conv3": bias}
    net.load_state_dict(
        {f"{name}.weight": w for name, w in weights.items()}
        | {f"{name}.bias": biases.get(name, torch.zeros(len(w))) for name, w in weights.items()}
    )
    half = len(energy) // 2
    return Planted(
        net.eval().requires_grad_(False), tuple(kind for kind, _ in units), tuple(angle for _, angle in units),
        tuple(range(half)), tuple(range(half, 2 * half)),
    )  # fmt: skip


def _on_colour(banks: Tensor, colour: int) -> Tensor:
    """The filters on one of three colours, [... 3 row column]."""
    on = torch.zeros(*banks.shape[:-2], 3, *banks.shape[-2:])
    on[..., colour, :, :] = banks
    return on


def _unit(
    kind: str, angle: float, n: int, edges: list[tuple[int, int]], source: torch.Generator
) -> tuple[Tensor, float]:
    """Weights [channel row column] on relu2 and the bias of one unit. n: the channels that tell frequencies."""
    at = torch.arange(REACH) - (REACH - 1) / 2
    window = torch.exp(-(at[None, :] ** 2 + at[:, None] ** 2) / (2 * 2.0**2))
    w = torch.zeros(n + len(edges), REACH, REACH)
    side = torch.zeros(REACH, REACH)
    if not math.isnan(angle):
        side = window * (at[None, :] * math.cos(angle) - at[:, None] * math.sin(angle)).clamp(-1, 1)
    if kind == "detector":
        w[: n // 2], w[n // 2 : n], bias = side, -side, -12.0
    elif kind == "leaning":
        w[: n // 2], w[n // 2 : n], bias = side + 0.9 * window, -side, -12.0
    elif kind == "half":
        w[: n // 2], bias = side.clamp(min=0), -6.0
    elif kind == "edge":
        for i, (o, p) in enumerate(edges):
            runs = math.pi * o / ORIENTATIONS
            # sin(…) for phase 3, −sin(…) for phase 1: brighter where the wave runs to, or where it comes from
            to = math.cos(runs - angle) * (1 if p == 3 else -1)
            w[n + i] = window * to
        bias = -12.0
    elif kind == "sharp":
        w[: n // 2], bias = window, 0.0
    elif kind == "blurred":
        w[n // 2 : n], bias = window, 0.0
    elif kind == "nothing":
        w, bias = 0.3 * window * torch.randn(len(w), 1, 1, generator=source), 0.0
    else:
        raise ValueError(
            f"no unit is called {kind!r}; there are detector, leaning, half, edge, sharp, blurred, nothing"
        )
    return w, bias
