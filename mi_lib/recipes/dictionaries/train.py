"""Train the dictionaries of Pico.

    python -m mi_lib.recipes.dictionaries                 # all of them, the zoo folder and its card
    python -m mi_lib.recipes.dictionaries --only-train
    python -m mi_lib.recipes.dictionaries --without-widths    # the shipped ones alone
    python -m mi_lib.recipes.dictionaries --measure       # train nothing: measure the shipped files, and write the card

Three that are to be good, each at L0 ≤ 32:

    pico-flat         BatchTopK, 1,536 latents, at the middle of the residual stream (block 3's input)
    pico-matryoshka   the same, nested: its first 24, 96 and 384 latents are dictionaries too
    pico-mlp          BatchTopK, 1,536 latents, at what the first MLP writes

and to compare: the flat one narrower (`pico-flat-24`, `-96`, `-384`), and each width with another seed (`-seed1`).
They see 320,000 words of Littletown's training texts, half prose and half chat, and <|bos|>. It is the first MLP
because Pico loses next to nothing with any other at its mean: a share of next to nothing says little.

Which width finds which concept is measured with more dictionaries, that are not shipped (`granularity`).
It can be interrupted and run again: what is finished stays in `out/recipes`, and what is not goes on from there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from rich.progress import Progress
from torch import Tensor

from mi_lib import load, saes
from mi_lib.models import HookedModel
from mi_lib.recipes import cards
from mi_lib.recipes.dictionaries import data
from mi_lib.recipes.pico.common import untrained

MODEL = "pico"
NAME = "pico-dictionaries"
COMMAND = "python -m mi_lib.recipes.dictionaries"
OUT = Path("out/recipes") / NAME

EMBEDDINGS, EARLY, MIDDLE = "blocks.0.hook_resid_pre", "blocks.2.hook_resid_pre", "blocks.3.hook_resid_pre"
MLP = "blocks.0.hook_mlp_out"
WIDTHS = (24, 96, 384, 1536)
K = {24: 4, 96: 8, 384: 16, 1536: 31}  # active latents by width: a wide dictionary describes a word by more of them
STEPS = {24: 800, 96: 800, 384: 1200, 1536: 1600}
BATCH, LEARNING_RATE = 256, 3e-3
Kind = Literal["flat", "matryoshka"]
Network = Literal["pico", "untrained"]


class Made(NamedTuple):
    """One dictionary: where it reads, what it is, how long it learns, and of which network."""

    name: str
    site: str
    kind: Kind
    n_latents: int
    steps: int
    seed: int = 0
    network: Network = "pico"
    lr: float = LEARNING_RATE

    def new(self, d: int) -> saes.Dictionary:
        k = K[self.n_latents]
        if self.kind == "matryoshka":
            return saes.Matryoshka(d, self.n_latents, k=k, prefixes=WIDTHS, seed=self.seed)
        return saes.BatchTopK(d, self.n_latents, k=k, seed=self.seed)


FLAT = Made("pico-flat", MIDDLE, "flat", 1536, 2400)
MATRYOSHKA = Made("pico-matryoshka", MIDDLE, "matryoshka", 1536, 5000, lr=1.5e-3)  # faster, and its last latents die
OF_MLP = Made("pico-mlp", MLP, "flat", 1536, 2400)
GOOD = (FLAT, MATRYOSHKA, OF_MLP)  # of which the card makes claims
NARROW = tuple(FLAT._replace(name=f"pico-flat-{w}", n_latents=w, steps=STEPS[w]) for w in WIDTHS[:-1])
SECONDS = tuple(one._replace(name=f"{one.name}-seed1", seed=1) for one in (*NARROW, FLAT))  # by width
SHIPPED = (*GOOD, *NARROW, *SECONDS)


def made(kind: Kind, site: str, width: int, network: Network = "pico") -> Made:
    """The dictionary of this kind, site and width: a shipped one where there is one, else one of the comparison."""
    for one in SHIPPED:
        if (one.kind, one.site, one.n_latents, one.network, one.seed) == (kind, site, width, network, 0):
            return one
    return Made(f"{network}-{kind}-{site}-{width}", site, kind, width, STEPS[width], network=network)


@lru_cache(maxsize=2)
def subject(network: Network) -> HookedModel:
    return load(MODEL) if network == "pico" else untrained()


def train(one: Made, x: Float[Tensor, "n d"], progress: Progress | bool = False) -> saes.Dictionary:
    """One dictionary of these activations, from `out/recipes` if it is there. Its seed decides where it starts, and in
    which order it sees them."""
    OUT.mkdir(parents=True, exist_ok=True)
    done = OUT / f"{one.name}.safetensors"
    if done.exists():
        return saes.load_dictionary(done, width=x.shape[1], site=one.site)
    part, began = OUT / f"{one.name}.part", time.process_time()
    sae = saes.train(
        one.new(x.shape[1]),
        x,
        one.steps,
        batch=BATCH,
        lr=one.lr,
        seed=one.seed,
        progress=progress,
        checkpoint=part,
        save_every=1000,
    )
    curve = [[r.step, round(r.fve, 4), round(r.l0, 2), r.dead] for r in sae.history[:: len(sae.history) // 40 + 1]]
    record = {"seconds": time.process_time() - began, "curve": curve}
    (OUT / f"{one.name}.json").write_text(json.dumps(record))
    saes.save_dictionary(sae, done, model=one.network, site=one.site)
    part.unlink(missing_ok=True)
    return sae


def train_all(wanted: Sequence[Made], progress: Progress | bool = False) -> None:
    """All of these that are not there yet, with the activations of one network at a time."""
    for network in ("pico", "untrained"):
        missing = [one for one in wanted if one.network == network and not (OUT / f"{one.name}.safetensors").exists()]
        if not missing:
            continue
        sites = sorted({one.site for one in missing})
        x = data.activations(subject(network), data.training_texts(), sites, with_bos=True)
        for one in missing:
            train(one, x[one.site], progress)


def ship(folder: Path, of: Sequence[Made] = SHIPPED) -> None:
    """Write the files of the zoo folder, in half precision, without a card."""
    cards.empty(folder)
    for one in of:
        sae = saes.load_dictionary(OUT / f"{one.name}.safetensors").to(torch.float16)
        saes.save_dictionary(sae, folder / f"{one.name}.safetensors", model=one.network, site=one.site)


def runs(of: Sequence[Made] = SHIPPED) -> Mapping[str, dict[str, Any]]:
    """What training wrote down of each: seconds, and a curve of step, FVE, L0 and dead latents."""
    return {one.name: json.loads((OUT / f"{one.name}.json").read_text()) for one in of}
