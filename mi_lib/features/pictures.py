"""What a picture is made of while it is being improved: its pixels, or the waves that it is a sum of.

    parameters → (sum of waves) → (colours correlated) → sigmoid → image between 0 and 1

Gradient ascent takes steps of equal length in the parameters, so it matters what they are. In pixels, fine noise is as
easy to make as a large shape, and noise is what one gets. In waves, each divided by its frequency, large shapes are
easier. Any image can be made either way; only the way up the hill differs.

Source: Olah et al. 2017 (Distill), and the code of lucid: spectrum of standard deviation 0.01, scaled by
1 / max(f, 1 / max(w, h)).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.features.colours import Colours
from mi_lib.features.data import Unusable

SD = 0.01
MAGIC = 4.0  # lucid divides its images by it, so that steps of one size suit pixels and waves


def noise(shape: Sequence[int], seeds: Sequence[int], sd: float = SD) -> Float[Tensor, "picture ..."]:
    """A start for each seed, [picture *shape]: the same seed gives the same one, whatever stands beside it."""
    return torch.stack([sd * torch.randn(*shape, generator=torch.Generator().manual_seed(s)) for s in seeds])


def frequencies(height: int, width: int) -> Float[Tensor, "height half"]:
    """The frequency of each wave of a real spectrum, in cycles a pixel; half = width // 2 + 1."""
    return (torch.fft.fftfreq(height)[:, None] ** 2 + torch.fft.rfftfreq(width)[None] ** 2).sqrt()


def wave_scale(height: int, width: int) -> Float[Tensor, "height half"]:
    """1 / max(f, 1 / max(w, h)): large waves are loud. The largest of all, f = 0, counts as one cycle an image."""
    return _scale(height, width).clone()


@functools.lru_cache(16)
def _scale(height: int, width: int) -> Float[Tensor, "height half"]:
    """The same, kept: it is needed in every step. Not to be written into."""
    return 1 / frequencies(height, width).clamp(min=1 / max(height, width))


def from_waves(spectrum: Float[Tensor, "picture 3 h half 2"], width: int) -> Float[Tensor, "picture 3 h width"]:
    """The image that a scaled spectrum is a sum of, before colours and sigmoid. The last axis: real, imaginary."""
    height = spectrum.shape[2]
    waves = torch.view_as_complex(spectrum.contiguous()) * _scale(height, width).to(spectrum)
    return torch.fft.irfft2(waves, s=(height, width), norm="ortho") / MAGIC


def to_waves(image: Float[Tensor, "picture 3 h w"]) -> Float[Tensor, "picture 3 h half 2"]:
    """The spectrum of which `from_waves` makes this image."""
    height, width = image.shape[-2:]
    waves = torch.fft.rfft2(MAGIC * image, norm="ortho") / _scale(height, width).to(image)
    return torch.view_as_real(waves)


@dataclass(frozen=True)
class Pixels:
    """A picture as its pixels. colours: whose correlation it is given, None for none. sd: of the noise at the start."""

    colours: Colours | None = None
    sd: float = SD

    def start(self, size: tuple[int, int], seeds: Sequence[int]) -> Tensor:
        """The parameters of grey pictures with a little noise, one for each seed."""
        return noise((3, *size), seeds, self.sd)

    def image(self, parameters: Tensor, size: tuple[int, int]) -> Float[Tensor, "picture 3 h w"]:
        """The images that parameters make, between 0 and 1."""
        return _finished(parameters, self.colours)

    def of(self, image: Float[Tensor, "picture 3 h w"]) -> Tensor:
        """The parameters that make these images, for a start that is no noise."""
        return _unfinished(image, self.colours)


@dataclass(frozen=True)
class Waves:
    """A picture as a sum of waves, large ones easier (Fourier). colours and sd: as in `Pixels`."""

    colours: Colours | None = None
    sd: float = SD

    def start(self, size: tuple[int, int], seeds: Sequence[int]) -> Tensor:
        """The parameters of nearly grey pictures, one for each seed."""
        return noise((3, size[0], size[1] // 2 + 1, 2), seeds, self.sd)

    def image(self, parameters: Tensor, size: tuple[int, int]) -> Float[Tensor, "picture 3 h w"]:
        """The images that parameters make, between 0 and 1."""
        return _finished(from_waves(parameters, size[1]), self.colours)

    def of(self, image: Float[Tensor, "picture 3 h w"]) -> Tensor:
        """The parameters that make these images, for a start that is no noise."""
        return to_waves(_unfinished(image, self.colours))


Parameterisation = Pixels | Waves


def _finished(raw: Tensor, colours: Colours | None) -> Tensor:
    if colours is not None:
        raw = torch.einsum("ij,bjhw->bihw", colours.for_pictures().to(raw), raw)
    return raw.sigmoid()


def _unfinished(image: Tensor, colours: Colours | None) -> Tensor:
    raw = image.clamp(0.01, 0.99).logit()  # a sigmoid never reaches 0 or 1
    if not bool(torch.isfinite(raw).all()):
        raise Unusable("the images to start from hold NaN")
    if colours is not None:
        raw = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(colours.for_pictures()).to(raw), raw)
    return raw
