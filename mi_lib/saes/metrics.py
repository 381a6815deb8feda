"""How good a dictionary is at being sparse and true to its inputs. Every function takes plain tensors."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def l0(f: Float[Tensor, "n latent"]) -> float:
    """How many latents are active in an input, on average."""
    return (f > 0).sum(-1).float().mean().item()


def fve(x: Float[Tensor, "n d"], out: Float[Tensor, "n d"]) -> float:
    """The fraction of variance explained, 1 − Σ Var(x − x̂) / Σ Var(x), sums over coordinates.

    Variances are about the mean. With averaged squares in their place, whoever says the mean of activations that are
    far from 0 seems to explain nearly everything. What this cannot see is a constant error: add `‖mean(x − x̂)‖` where
    that matters. ValueError where x does not vary, and for other shapes than [n d].
    """
    if x.ndim != 2 or x.shape != out.shape:
        raise ValueError(f"x and its reconstruction must both be [n d], not {list(x.shape)} and {list(out.shape)}")
    whole = x.double().var(0, correction=0).sum()
    if not whole > 0:
        raise ValueError("these activations do not vary: there is no variance to explain")
    return (1 - (x - out).double().var(0, correction=0).sum() / whole).item()


def density(f: Float[Tensor, "n latent"]) -> Float[Tensor, " latent"]:
    """The share of inputs in which each latent is active."""
    return (f > 0).float().mean(0)


def dead_share(density: Float[Tensor, " latent"]) -> float:
    """The share of latents that were active in no input. It depends on how many inputs were looked at."""
    return (density == 0).float().mean().item()


def density_histogram(
    density: Float[Tensor, " latent"], bins: int = 20, lowest: float = 1e-6
) -> tuple[Int[Tensor, " bins"], Float[Tensor, " edge"]]:
    """How many living latents are in each bin of log₁₀ density, and the bins' edges, from log₁₀ `lowest` to 0.

    Dead latents have no logarithm and are in no bin (`dead_share` counts them); what is rarer than `lowest` is in the
    first.
    """
    edges = torch.linspace(torch.tensor(lowest).log10().item(), 0, bins + 1)
    logs = density[density > 0].clamp(min=lowest).log10()
    places = (torch.bucketize(logs, edges, right=True) - 1).clamp(0, bins - 1)
    return torch.bincount(places, minlength=bins), edges
