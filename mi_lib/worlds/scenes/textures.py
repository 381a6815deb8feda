"""Textures: fields of brightness [n h w] with mean 0 and variance 1, whatever their kind: none stands out by contrast.

    noise(blur)                        white noise seen out of focus: blurred by a Gaussian of so many pixels
    grating(frequency, orientation)    a wave; orientation is where it changes, anticlockwise from the right
    checks(frequency, orientation)     squares of two brightnesses: a sign of a wave times that of the wave across it

frequency is in cycles per pixel. Each scene of a batch has its own values.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

Field = Float[Tensor, "n h w"]
PerScene = Float[Tensor, " n"]


@lru_cache(maxsize=8)
def coordinates(size: int) -> tuple[Float[Tensor, "h w"], Float[Tensor, "h w"]]:
    """x to the right and y upwards, in pixels from the middle of the image."""
    steps = torch.arange(size) - (size - 1) / 2
    return steps[None, :].expand(size, size), -steps[:, None].expand(size, size)


def noise(blur: PerScene, generator: torch.Generator, size: int) -> Field:
    """White noise blurred by a Gaussian of standard deviation `blur` (pixels), brought back to variance 1.

    The blur is exact, in Fourier space: exp(−2 π² blur² f²). It wraps around at the borders.
    """
    white = torch.randn(len(blur), size, size, generator=generator)
    transfer = torch.exp(-2 * math.pi**2 * blur[:, None, None] ** 2 * _squared_frequency(size))
    blurred = torch.fft.irfft2(torch.fft.rfft2(white) * transfer, s=(size, size))
    return _standard(blurred)


def grating(frequency: PerScene, orientation: PerScene, phase: PerScene, size: int) -> Field:
    """√2 cos(2π f (x cos θ + y sin θ) + phase)."""
    return math.sqrt(2) * torch.cos(_along(frequency, orientation, size) + phase[:, None, None])


def checks(frequency: PerScene, orientation: PerScene, phase: PerScene, size: int) -> Field:
    """The signs of two gratings across one another, multiplied; softened over about a pixel."""
    one = _along(frequency, orientation, size) + phase[:, None, None]
    across = _along(frequency, orientation + math.pi / 2, size) + phase[:, None, None]
    steep = 1 / (2 * math.pi * frequency[:, None, None])
    return _standard((torch.cos(one) * steep).clamp(-1, 1) * (torch.cos(across) * steep).clamp(-1, 1))


def _standard(field: Field) -> Field:
    field = field - field.mean((1, 2), keepdim=True)
    return field / field.std((1, 2), keepdim=True)


def _along(frequency: PerScene, orientation: PerScene, size: int) -> Field:
    x, y = coordinates(size)
    f = 2 * math.pi * frequency
    return (f * torch.cos(orientation))[:, None, None] * x + (f * torch.sin(orientation))[:, None, None] * y


@lru_cache(maxsize=8)
def _squared_frequency(size: int) -> Float[Tensor, "h half"]:
    return torch.fft.fftfreq(size)[:, None] ** 2 + torch.fft.rfftfreq(size)[None, :] ** 2
