"""What chapter 06 finds: dictionaries on planted features, and in Pico.

Everything is seeded. Planted worlds are drawn here (`mi_lib.worlds.features`); a feature counts as found if its latent,
matched one to one, has a cosine of at least .9 with it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib import saes
from mi_lib.course.findings import claim
from mi_lib.worlds.features import Draw, PlantedFeatures, planted

# --- planted features -------------------------------------------------------------------------------------------------

D, FEATURES, LATENTS, STEPS = 24, 40, 64, 2000
SEED = 2
VARIANTS: dict[str, Callable[[int], saes.Dictionary]] = {
    "relu": lambda seed: saes.ReLU(D, LATENTS, l1=0.3, seed=seed),
    "topk": lambda seed: saes.TopK(D, LATENTS, k=3, seed=seed),
    "batch_topk": lambda seed: saes.BatchTopK(D, LATENTS, k=2, seed=seed),
    "jumprelu": lambda seed: saes.JumpReLU(D, LATENTS, l0=0.03, seed=seed),
    "gated": lambda seed: saes.Gated(D, LATENTS, l1=0.6, seed=seed),
    "matryoshka": lambda seed: saes.Matryoshka(D, LATENTS, k=2, prefixes=[16, 32, LATENTS], seed=seed),
}


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@functools.cache
def world(seed: int = SEED) -> PlantedFeatures:
    """Forty features in 24 dimensions, each present in one input of twenty."""
    return planted(FEATURES, D, frequency=0.05, seed=seed)


@functools.cache
def inputs(seed: int = SEED) -> tuple[Float[Tensor, "n d"], Draw]:
    """What is trained on, and what is held out."""
    return world(seed).draw(50_000, generator(1)).x, world(seed).draw(10_000, generator(2))


@functools.cache
def dictionary(name: str, steps: int = STEPS, seed: int = SEED) -> saes.Dictionary:
    return saes.train(VARIANTS[name](seed), inputs(seed)[0], steps, dead_after=5000)


def found(directions: Float[Tensor, "feature d"], sae: saes.Dictionary) -> float:
    return saes.match_directions(directions, sae.W_dec).found()


def judged(name: str, steps: int = STEPS, seed: int = SEED) -> dict[str, float]:
    """One variant on held-out inputs. size: Σ a f / Σ a² where feature and latent are both active."""
    sae, held = dictionary(name, steps, seed), inputs(seed)[1]
    f = sae.encode(held.x)
    matching = saes.match_directions(world(seed).directions, sae.W_dec)
    matched = f[:, matching.latent]
    both = (held.activations > 0) & (matched > 0)
    a, said = held.activations[both], matched[both]
    return {
        "found": matching.found(),
        "cosine": matching.mean,
        "correlation": saes.match_activations(held.activations, f).mean,
        "size": ((a * said).sum() / a.pow(2).sum()).item(),
        "fve": saes.fve(held.x, sae.decode(f)),
        "l0": saes.l0(f),
    }


@claim(slow=True)
def variants() -> dict[str, Any]:
    """Six ways to be sparse, on forty features in 24 dimensions: "All six find at least". Controls: the dictionaries
    before they are trained, the coordinates of x, and one trained on inputs whose coordinates were shuffled: the
    features are then gone."""
    train = inputs()[0]
    shuffled = torch.stack([c[torch.randperm(len(c), generator=generator(i))] for i, c in enumerate(train.T)], 1)
    gone = saes.train(VARIANTS["batch_topk"](SEED), shuffled, STEPS, dead_after=5000)
    rows = {name: judged(name) for name in VARIANTS}
    sizes = [row["size"] for name, row in rows.items() if name != "relu"]
    return {
        "features": FEATURES,
        "d": D,
        "latents": LATENTS,
        "l0": world().mean_l0,
        "each": rows,
        "least_found": min(row["found"] for row in rows.values()),
        "least_cosine": min(row["cosine"] for row in rows.values()),
        "untrained": max(found(world().directions, make(SEED)) for make in VARIANTS.values()),
        "shuffled": found(world().directions, gone),
        "other_size": [min(sizes), max(sizes)],
        "coordinates": saes.match_directions(world().directions, torch.eye(D)).found(),
    }


L1S = (0.1, 0.3, 0.6, 1.0)


@claim(slow=True)
def shrinkage() -> dict[str, Any]:
    """ReLU + L1 at four penalties: "they say so much of the strength of their features". Beside each the size that one
    feature alone would have, Σ a f / Σ a² with f = a − λ/2 in units of x. Control: TopK, which presses nothing."""
    train, held = inputs()
    scale = saes.input_scale(train)
    a = held.activations[held.activations > 0]
    measured, alone, share = [], [], []
    for l1 in L1S:
        sae = saes.train(saes.ReLU(D, LATENTS, l1=l1, seed=SEED), train, 1000, dead_after=5000)
        matching = saes.match_directions(world().directions, sae.W_dec)
        share.append(matching.found())
        f = sae.encode(held.x)[:, matching.latent]
        both = (held.activations > 0) & (f > 0)
        p, q = held.activations[both], f[both]
        measured.append(((p * q).sum() / p.pow(2).sum()).item())
        best = (a - l1 / 2 / scale).relu()
        there = best > 0
        alone.append(((a * best)[there].sum() / a[there].pow(2).sum()).item())
    return {"l1": list(L1S), "measured": measured, "alone": alone, "found": share, "topk": judged("topk")["size"]}


@claim(slow=True)
def threshold() -> dict[str, Any]:
    """BatchTopK judged in the wrong mode: "another L0 for every batch". The same inputs in batches of one, and of many;
    with the threshold L0 is the same for both."""
    sae, x = dictionary("batch_topk"), inputs()[1].x[:2000]
    with torch.no_grad():
        whole, alone = saes.l0(sae.encode(x)), saes.l0(torch.cat([sae.encode(row[None]) for row in x[:500]]))
        sae.train()
        batch = sae.encode(x)
        single = torch.cat([sae.encode(row[None]) for row in x[:500]])
        sae.eval()
    changed = ((batch[:500] > 0) != (single > 0)).any(-1).float().mean().item()
    return {"l0": whole, "l0_alone": alone, "l0_batch_mode": saes.l0(batch), "l0_single_mode": saes.l0(single),
            "inputs_that_differ": changed}  # fmt: skip


@claim(slow=True)
def dead() -> dict[str, Any]:
    """ "Dead latents stay dead": 64 latents of which most start at directions that no input has, trained with AuxK and
    without it, and a ReLU dictionary with resampling and without. The share that is silent on held-out inputs."""
    train, held = inputs()

    def silent(sae: saes.Dictionary, **how: Any) -> float:
        with torch.no_grad():
            sae.b_enc[16:] = -3.0  # far below 0, as after a bad start
        saes.train(sae, train, 1500, **how)
        return saes.dead_share(saes.density(sae.encode(held.x)))

    never = 10**9
    return {
        "start": 0.75,
        "auxk": silent(VARIANTS["topk"](SEED), dead_after=2000),
        "no_auxk": silent(VARIANTS["topk"](SEED), dead_after=never),
        "resampled": silent(VARIANTS["relu"](SEED), dead_after=2000, resample_every=200),
        "not_resampled": silent(VARIANTS["relu"](SEED), dead_after=never),
    }


@claim
def mean_alone() -> dict[str, float]:
    """Whoever says the mean of activations with mean 3: "it explains nothing, and by the wrong formula nearly all"."""
    x = 3 + torch.randn(20_000, 16, generator=generator(0))
    out = x.mean(0).expand_as(x)
    wrong = 1 - (x - out).pow(2).sum() / x.pow(2).sum()
    return {"right": saes.fve(x, out), "wrong": wrong.item()}


@claim
def greedy() -> dict[str, float]:
    """Twenty random rows for forty features: "one latent answers for many". The share of features whose best cosine is
    at least .5, if each takes its best latent, and one to one."""
    rows = torch.nn.functional.normalize(world().directions[::2] + world().directions[1::2], dim=1)
    cosines = world().directions @ rows.T
    return {
        "free": (cosines.max(1).values >= 0.5).float().mean().item(),
        "one_to_one": saes.match_directions(world().directions, rows).found(0.5),
    }
