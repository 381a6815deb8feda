"""A step of the training with few active latents, computed from those few. The loss and the gradients are the same.

Of the six matrix products of a dense step (latents, x̂, and four gradients) one is left: a latent must be computed
before it is known to be silent. For all that follows the activations are a list of entries (row, latent, value), and
each product with it is a sum of few vectors (`embedding_bag`):

    x̂[row]           = Σ value · W_dec[latent]            over the entries of a row
    ∂L/∂value        = W_dec[latent] · ∂L/∂x̂[row]         for each entry
    ∂L/∂W_dec[latent] = Σ value · ∂L/∂x̂[row]              over the entries of a latent
    ∂L/∂W_enc[latent] = Σ ∂L/∂value · (x − b_dec)[row]    the same

The gradient of what is centred needs no product either: ∂L/∂b_dec = −W_enc ∂L/∂b_enc.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from mi_lib.saes.base import Seen

SPARSE = 8  # at least so many latents for each that is active, or dense products are as quick
STRIDE = 127  # every so manieth value of a batch is looked at to guess a threshold; a prime, so as to meet all latents
MARGIN = 1.3  # the guess lets through so many times as many as are asked for


class Entries:
    """Which latents are active: entry i is latent `latents[i]` in row `rows[i]`, ordered by row."""

    def __init__(
        self, rows: Int[Tensor, " entry"], latents: Int[Tensor, " entry"], n_rows: int, n_latents: int
    ) -> None:
        self.rows, self.latents, self.n_rows, self.n_latents = rows, latents, n_rows, n_latents

    @cached_property
    def row_starts(self) -> Int[Tensor, " row"]:
        return _starts(self.rows, self.n_rows)

    @cached_property
    def by_latent(self) -> tuple[Int[Tensor, " entry"], Int[Tensor, " entry"], Int[Tensor, " latent"]]:
        """The order of the entries by latent, their rows in this order, and where each latent begins."""
        order = self.latents.argsort(stable=True)
        return order, self.rows[order], _starts(self.latents, self.n_latents)

    def sums_of_rows(self, values: Float[Tensor, " entry"], of: Float[Tensor, "row d"]) -> Float[Tensor, "latent d"]:
        """For each latent Σ value · of[row]."""
        order, rows, starts = self.by_latent
        return F.embedding_bag(rows, of, starts, mode="sum", per_sample_weights=values[order])

    def part(self, start: int, end: int) -> tuple[Entries, Tensor]:
        """The entries of the latents from `start` to `end`, counted from `start`; and which they are."""
        chosen = ((self.latents >= start) & (self.latents < end)).nonzero()[:, 0]
        return Entries(self.rows[chosen], self.latents[chosen] - start, self.n_rows, end - start), chosen


def _starts(numbers: Int[Tensor, " entry"], n: int) -> Int[Tensor, " n"]:
    counts = torch.bincount(numbers, minlength=n)
    return counts.cumsum(0) - counts


Choose = Callable[[Float[Tensor, "row latent"]], tuple[Float[Tensor, " entry"], Entries]]


class _Encode(torch.autograd.Function):
    """Values of the entries that are chosen of (x − b_dec) W_enc + b_enc, and the entries. No gradient goes to x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, W_enc: Tensor, b_enc: Tensor, b_dec: Tensor, choose: Choose) -> Any:
        centred = x - b_dec
        pre = centred @ W_enc if torch.is_autocast_enabled(x.device.type) else None  # then the bias in float32
        pre = torch.addmm(b_enc, centred, W_enc) if pre is None else pre.float().add_(b_enc)
        values, ctx.entries = choose(pre)
        ctx.save_for_backward(centred, W_enc, values)
        return values, ctx.entries

    @staticmethod
    def backward(ctx: Any, to_values: Tensor, _: Any) -> Any:  # type: ignore[override]
        centred, W_enc, values = ctx.saved_tensors
        to_values = to_values * (values > 0)  # what the ReLU has made 0 learns nothing
        to_W = ctx.entries.sums_of_rows(to_values, centred)
        to_b = ctx.entries.sums_of_rows(to_values, torch.ones_like(centred[:, :1]))[:, 0]
        return None, to_W.T, to_b, -(W_enc @ to_b), None


class _Decode(torch.autograd.Function):
    """Σ value · W_dec[latent] for each row."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, W_dec: Tensor, entries: Entries) -> Tensor:
        ctx.save_for_backward(values, W_dec)
        ctx.entries = entries
        return F.embedding_bag(entries.latents, W_dec, entries.row_starts, mode="sum", per_sample_weights=values)

    @staticmethod
    def backward(ctx: Any, to_out: Tensor) -> Any:  # type: ignore[override]
        values, W_dec = ctx.saved_tensors
        entries, to_out = ctx.entries, to_out.contiguous()
        with torch.enable_grad():
            weights = values.detach().requires_grad_()
            bags = F.embedding_bag(entries.latents, W_dec, entries.row_starts, mode="sum", per_sample_weights=weights)
            (to_values,) = torch.autograd.grad(bags, weights, to_out)
        return to_values, entries.sums_of_rows(values, to_out), None


def encode(sae: Any, x: Float[Tensor, "row d"], choose: Choose) -> tuple[Float[Tensor, " entry"], Entries]:
    values, entries = _Encode.apply(x, sae.W_enc, sae.b_enc, sae.b_dec, choose)
    return values, entries


def decode(
    values: Float[Tensor, " entry"], W_dec: Float[Tensor, "latent d"], entries: Entries
) -> Float[Tensor, "row d"]:
    """f W_dec, without b_dec."""
    out: Tensor = _Decode.apply(values, W_dec, entries)
    return out


def seen(values: Float[Tensor, " entry"], entries: Entries, out: Float[Tensor, "row d"]) -> Seen:
    active = values.detach() > 0
    latents = torch.zeros(entries.n_latents, dtype=torch.bool, device=values.device)
    latents[entries.latents[active]] = True
    return Seen(latents, lambda: active.sum() / entries.n_rows, lambda: out.detach())


def worthwhile(x: Tensor, k: int, n_latents: int) -> bool:
    return x.device.type in ("cpu", "cuda") and SPARSE * k <= n_latents


# --- which entries ----------------------------------------------------------------------------------------------------


def top_of_rows(k: int) -> Choose:
    """The k largest of each row, and 0 in place of those that are negative."""

    def choose(pre: Float[Tensor, "row latent"]) -> tuple[Tensor, Entries]:
        values, latents = pre.topk(k, dim=-1, sorted=False)
        rows = torch.arange(len(pre), device=pre.device).repeat_interleave(k)
        return values.flatten().relu_(), Entries(rows, latents.flatten(), *pre.shape)

    return choose


def top_of_batch(k: int) -> Choose:
    """The k · rows largest of all, as far as they are positive.

    To sort out so many of a million is slow. So a threshold is guessed from a sample, that lets through somewhat more;
    what passes is sorted out. Where the guess was too high, whatever is positive passes.
    """

    def choose(pre: Float[Tensor, "row latent"]) -> tuple[Tensor, Entries]:
        flat, wanted = pre.flatten(), k * len(pre)
        sample = flat[::STRIDE]
        guess_of = math.ceil(MARGIN * wanted / STRIDE) + 10
        least = (
            sample.kthvalue(len(sample) - guess_of).values.clamp(min=0)
            if guess_of < len(sample)
            else flat.new_zeros(())
        )
        places = (flat > least).nonzero()[:, 0]
        if len(places) < wanted:
            places = (flat > 0).nonzero()[:, 0]
        if len(places) > wanted:
            places = places[flat[places].topk(wanted, sorted=False).indices.sort().values]
        n = pre.shape[1]
        return flat[places], Entries(places // n, places % n, *pre.shape)

    return choose


def positive(pre: Float[Tensor, "row latent"]) -> tuple[Tensor, Entries]:
    """All that are positive."""
    rows, latents = (pre > 0).nonzero(as_tuple=True)
    return pre[rows, latents], Entries(rows, latents, *pre.shape)
