"""What a picture promises: how strongly its unit will answer to images that it has never been shown.

A picture is read like a drawing of what the unit looks for. How alike an image is to it is measured without the
network: by which waves both are made of, by where they are alike, by how strong what is fine and what is wide is in
them. The unit is asked afterwards.

What all pictures of a network have in common says nothing about one unit. `by_bands` therefore counts what is special
about a picture among the others.
"""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from mi_lib.features import data
from mi_lib.features.colours import Colours
from mi_lib.features.data import Unusable
from mi_lib.features.regularising import blurred


def waves_of(images: Float[Tensor, "image 3 h w"], colours: Colours | None = None) -> Float[Tensor, "image wave"]:
    """How strong each wave is in each colour, wherever it lies: |Fourier coefficient|, windowed, without the mean.

    colours: measure in decorrelated colours, in which none drowns the others.
    """
    x = data.images(images)
    x = x - x.mean((2, 3), keepdim=True)
    if colours is not None:
        x = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(colours.root).to(x), x)
    window = torch.hann_window(x.shape[2])[:, None] * torch.hann_window(x.shape[3])
    return torch.fft.rfft2(x * window.to(x)).abs().flatten(1)


def by_waves(
    pictures: Float[Tensor, "unit 3 h w"], images: Float[Tensor, "image 3 h w"], colours: Colours | None = None
) -> Float[Tensor, "unit image"]:
    """How alike picture and image are in what waves they are made of: Σ |P| |I|, each picture's |P| of length 1."""
    _one_size(pictures, images)
    p, x = waves_of(pictures, colours), waves_of(images, colours)
    return F.normalize(p, dim=1) @ x.T


def by_place(
    pictures: Float[Tensor, "unit 3 h w"], images: Float[Tensor, "image 3 h w"]
) -> Float[Tensor, "unit image"]:
    """How alike picture and image are at their best shift: the largest circular correlation of their pixels.

    Both without their mean colour, the picture with length 1. It knows light from dark and left from right, as waves
    do not.
    """
    _one_size(pictures, images)
    p, x = (a - a.mean((2, 3), keepdim=True) for a in (data.images(pictures), data.images(images)))
    p = p / p.flatten(1).norm(dim=1).clamp(min=1e-9)[:, None, None, None]
    P, X = torch.fft.rfft2(p), torch.fft.rfft2(x)
    rows = [torch.fft.irfft2((one.conj() * X).sum(1), s=x.shape[2:]).flatten(1).amax(1) for one in P]
    return torch.stack(rows)


def by_template(
    pictures: Float[Tensor, "unit 3 k k"], images: Float[Tensor, "image 3 h w"], step: int = 1, grey: float = 0.5
) -> Float[Tensor, "unit image"]:
    """How often and how well the picture fits the image: laid on it at every `step`-th place, mean of ReLU(fit)².

    pictures: of a unit at one place, cut to its receptive field. Picture and image are counted from grey. The fit is
    the sum of the products of all pixels, as if the picture were the kernel of a unit of a first layer.
    """
    p, x = data.images(pictures, "the pictures"), data.images(images)
    if p.shape[2] > x.shape[2] or p.shape[3] > x.shape[3]:
        raise Unusable(f"pictures of {tuple(p.shape[2:])} do not fit into images of {tuple(x.shape[2:])}: cut them to "
                       "the receptive field")  # fmt: skip
    fit = F.conv2d(x - grey, p - grey, stride=step).relu().square()
    return fit.mean((2, 3)).T


BLURS = (0.7, 1.4, 2.8, 5.6)  # pixels
AXES = ((1 / 3, 1 / 3, 1 / 3), (0.5, -0.5, 0.0), (0.25, 0.25, -0.5))  # light, red against green, yellow against blue


def bands(images: Float[Tensor, "image 3 h w"]) -> Float[Tensor, "image band"]:
    """How strong what is fine and what is wide is in an image: of light, red against green, and yellow against blue.

    A band is what one blur takes away from the next (`BLURS`), its strength the root of its mean square. In the order
    of the blurs, the finest first, three colours each.
    """
    x = data.images(images)
    axes = torch.tensor(AXES).to(x)
    x = torch.einsum("ij,bjhw->bihw", axes, x - x.mean((2, 3), keepdim=True))
    softer = [x, *(blurred(x, sigma) for sigma in BLURS)]
    return torch.cat([(a - b).square().mean((2, 3)).sqrt() for a, b in itertools.pairwise(softer)], 1)


def by_bands(
    pictures: Float[Tensor, "unit 3 h w"], images: Float[Tensor, "image 3 h w"]
) -> Float[Tensor, "unit image"]:
    """Is an image strong, among images, in the bands in which this picture is strong among pictures? Σ of products.

    Each band is standardised, of pictures over all pictures and of images over all images.
    """
    p, x = bands(pictures), bands(images)
    if len(p) < 2 or len(x) < 2:
        raise Unusable("pictures are compared with each other, and images too: give two or more of both")
    p, x = ((a - a.mean(0)) / a.std(0).clamp(min=1e-9) for a in (p, x))
    return p @ x.T


def rank_correlation(a: Float[Tensor, "*unit n"], b: Float[Tensor, "*unit n"]) -> Float[Tensor, "*unit"]:
    """Spearman's ρ along the last axis: 1 if the one rises wherever the other does. Equal values share their ranks.

    0 where one of the two does not vary.
    """
    if a.shape != b.shape or a.shape[-1] < 2:
        raise Unusable(f"two rows of the same length have a rank correlation, and these have {tuple(a.shape)} and "
                       f"{tuple(b.shape)}")  # fmt: skip
    ra, rb = (ranks(x.double()) for x in (a, b))
    ra, rb = (x - x.mean(-1, keepdim=True) for x in (ra, rb))
    size = ra.norm(dim=-1) * rb.norm(dim=-1)
    return torch.where(size > 0, (ra * rb).sum(-1) / size.clamp(min=1e-12), 0.0)


def ranks(x: Float[Tensor, "*unit n"]) -> Float[Tensor, "*unit n"]:
    """The place of each number in its row, from 0, equal ones at the mean of their places."""
    below = (x[..., None, :] < x[..., :, None]).sum(-1)
    equal = (x[..., None, :] == x[..., :, None]).sum(-1)
    return below + (equal - 1) / 2


def _one_size(pictures: Tensor, images: Tensor) -> None:
    if pictures.shape[1:] != images.shape[1:]:
        raise Unusable(
            f"the pictures have {tuple(pictures.shape[1:])}, and the images {tuple(images.shape[1:])}: render the "
            "pictures at the size of the images"
        )
