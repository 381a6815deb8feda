"""What all six variants share: x ≈ f W_dec + b_dec with few entries of f ≥ 0 that are not 0.

    pre = (x − b_dec) W_enc + b_enc        the centring matters: latents need not spend themselves on the mean
    f   = encode(x)                        what the variants differ in
    x̂   = f W_dec + b_dec                  the rows of W_dec have length 1, so that f is in units of x

Rows are kept at length 1 by projection: what of a gradient points along its row is taken out before a step, and the
rows are normalised after it. The first alone is not enough: a step along a tangent leaves the sphere, and Adam does not
even step along the gradient. With the second alone, Adam's moments fill with what is thrown away again.
Source: Bricken et al. 2023, Towards Monosemanticity, "Sparse Autoencoder Training Details".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

Dead = Bool[Tensor, " latent"]


class Loss(NamedTuple):
    """The terms of a loss, each a number."""

    error: Tensor  # E‖x − x̂‖²
    penalty: Tensor  # for being dense; 0 where a variant has none
    auxiliary: Tensor  # whatever else a variant asks for; 0 where nothing

    @property
    def total(self) -> Tensor:
        return self.error + self.penalty + self.auxiliary


class Seen(NamedTuple):
    """What a step of the training must know of the activations."""

    latents: Bool[Tensor, " latent"]  # which were active in any input of the batch
    l0: Callable[[], Tensor]  # a number, and x̂, for whoever asks
    out: Callable[[], Float[Tensor, "batch d"]]


class Dictionary(nn.Module, ABC):
    """A sparse autoencoder. W_enc starts as the transpose of W_dec, whose rows are random directions.

    d: width of the inputs. n_latents: how many latents. seed: of the start. ValueError for sizes below 1.
    """

    kind: ClassVar[str]
    revives: ClassVar[bool] = False  # whether the loss itself brings dead latents back
    # All that is in units of x: what is multiplied when the inputs are.
    in_units_of_x: ClassVar[tuple[str, ...]] = ("b_enc", "b_dec")

    def __init__(self, d: int, n_latents: int, *, seed: int = 0, **settings: Any) -> None:
        super().__init__()
        if d < 1 or n_latents < 1:
            raise ValueError(f"a dictionary needs a width and a number of latents of at least 1, not {d}, {n_latents}")
        self.settings = settings  # what its kind needs to be built again, but for d and n_latents
        self.history: list[Any] = []  # reports of its last training, see `training`
        start = F.normalize(torch.randn(n_latents, d, generator=torch.Generator().manual_seed(seed)), dim=1)
        self.W_dec = nn.Parameter(start)
        self.W_enc = nn.Parameter(start.T.clone())
        self.b_enc = nn.Parameter(torch.zeros(n_latents))
        self.b_dec = nn.Parameter(torch.zeros(d))

    @property
    def d(self) -> int:
        return self.W_dec.shape[1]

    @property
    def n_latents(self) -> int:
        return self.W_dec.shape[0]

    def pre(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... latent"]:
        """(x − b_dec) W_enc + b_enc. ValueError where x has another width."""
        if x.shape[-1] != self.d:
            raise ValueError(f"this dictionary reads activations of width {self.d}, not {x.shape[-1]}")
        return (x - self.b_dec) @ self.W_enc + self.b_enc

    @abstractmethod
    def encode(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... latent"]:
        """The activations f of the latents, at least 0."""

    def decode(self, f: Float[Tensor, "... latent"]) -> Float[Tensor, "... d"]:
        """x̂ = f W_dec + b_dec."""
        return f @ self.W_dec + self.b_dec

    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        return self.decode(self.encode(x))

    @abstractmethod
    def losses(self, x: Float[Tensor, "batch d"], dead: Dead, pressure: float = 1.0) -> tuple[Loss, Tensor]:
        """The loss of a batch, and the activations [batch latent] behind it.

        dead: latents that have not been active for long. pressure: from 0 to 1, the penalty's share while it warms up.
        """

    def step_losses(self, x: Float[Tensor, "batch d"], dead: Dead, pressure: float = 1.0) -> tuple[Loss, Seen]:
        """What `losses` gives, for a step of the training; a variant may compute the same more quickly."""
        loss, f = self.losses(x, dead, pressure)
        f = f.detach()
        active = f > 0
        return loss, Seen(active.any(0), lambda: active.sum(-1).float().mean(), lambda: self.decode(f).detach())

    @torch.no_grad()
    def project_gradient(self) -> None:
        """Take out of the decoder's gradient what would only change the lengths of its rows."""
        if self.W_dec.grad is not None:
            along = torch.einsum("ld,ld->l", self.W_dec.grad, self.W_dec)
            self.W_dec.grad.addcmul_(along[:, None], self.W_dec, value=-1)

    @torch.no_grad()
    def project_weight(self) -> None:
        """Give every row of the decoder length 1 again."""
        self.W_dec.div_(torch.linalg.vector_norm(self.W_dec, dim=1, keepdim=True).clamp(min=1e-12))

    @torch.no_grad()
    def restart(self, dead: Dead) -> None:
        """Give what these latents have besides their two rows its first value again (see `reviving`)."""
        self.b_enc[dead] = 0

    @torch.no_grad()
    def rescale(self, factor: float) -> None:
        """Make of a dictionary for x the one for `factor` · x: its f and x̂ are `factor` times those before.

        Only what is in units of x changes, since every encoder here commutes with positive factors. So a dictionary
        that was trained on normalised inputs reads plain ones after `rescale(1 / scale)`, its rows still of length 1.
        """
        for name in self.in_units_of_x:
            getattr(self, name).mul_(factor)


def squared_error(x: Float[Tensor, "batch d"], out: Float[Tensor, "batch d"]) -> Tensor:
    """E‖x − x̂‖²: summed over coordinates, averaged over the batch. Averaged over both, every λ would mean another."""
    return (x - out).pow(2).sum(-1).mean()


def zero(x: Tensor) -> Tensor:
    return x.new_zeros(())
