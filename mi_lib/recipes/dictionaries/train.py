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
from collections import Counter
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
SPARSE = 4  # active latents of those that are to be sparser than their width asks for
Kind = Literal["flat", "matryoshka", "sparse", "even"]
Network = Literal["pico", "untrained"]


class Made(NamedTuple):
    """One dictionary: where it reads, what it is, how long it learns, and of which network.

    kind: flat, or nested (matryoshka); flat and sparse, with 4 active latents whatever its width; or that and even,
    learning from all different words equally often, the rare ones as well.
    """

    name: str
    site: str
    kind: Kind
    n_latents: int
    steps: int
    seed: int = 0
    network: Network = "pico"
    lr: float = LEARNING_RATE

    @property
    def k(self) -> int:
        return K[self.n_latents] if self.kind in ("flat", "matryoshka") else SPARSE

    def new(self, d: int) -> saes.Dictionary:
        if self.kind == "matryoshka":
            return saes.Matryoshka(d, self.n_latents, k=self.k, prefixes=WIDTHS, seed=self.seed)
        return saes.BatchTopK(d, self.n_latents, k=self.k, seed=self.seed)


FLAT = Made("pico-flat", MIDDLE, "flat", 1536, 2400)
MATRYOSHKA = Made("pico-matryoshka", MIDDLE, "matryoshka", 1536, 5000, lr=1.5e-3)  # faster, and its last latents die
OF_MLP = Made("pico-mlp", MLP, "flat", 1536, 2400)
GOOD = (FLAT, MATRYOSHKA, OF_MLP)  # of which the card makes claims
NARROW = tuple(FLAT._replace(name=f"pico-flat-{w}", n_latents=w, steps=STEPS[w]) for w in WIDTHS[:-1])
SECONDS = tuple(one._replace(name=f"{one.name}-seed1", seed=1) for one in (*NARROW, FLAT))  # by width
SHIPPED = (*GOOD, *NARROW, *SECONDS)


def made(kind: Kind, site: str, width: int, network: Network = "pico") -> Made:
    """The dictionary of this kind, site and width: a shipped one where there is one, else one of the comparison."""
    if kind == "sparse" and K[width] == SPARSE:  # then the flat one is
        kind = "flat"
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
    done = _file(OUT, one)
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


def evenly(x: Float[Tensor, "n d"], one: Made) -> Float[Tensor, "m d"]:
    """As many rows as it learns from, drawn so that all different words of the training texts come equally often.

    Else full stops would crowd out the rivers (word2vec does alike, by half: Mikolov et al. 2013, section 2.3).
    """
    words = [word for text in data.training_texts() for word in ("<|bos|>", *text.words)]
    often = Counter(words)
    rarity = torch.tensor([1 / often[word] for word in words])
    generator = torch.Generator().manual_seed(one.seed)
    return x[torch.multinomial(rarity, one.steps * BATCH, replacement=True, generator=generator)]


def train_all(wanted: Sequence[Made], progress: Progress | bool = False) -> None:
    """All of these that are not there yet, with the activations of one network at a time."""
    for network in ("pico", "untrained"):
        missing = [one for one in wanted if one.network == network and not (_file(OUT, one)).exists()]
        if not missing:
            continue
        sites = sorted({one.site for one in missing})
        x = data.activations(subject(network), data.training_texts(), sites, with_bos=True)
        for one in missing:
            train(one, evenly(x[one.site], one) if one.kind == "even" else x[one.site], progress)


def ship(folder: Path, of: Sequence[Made] = SHIPPED) -> None:
    """Write the files of the zoo folder, in half precision, without a card.

    A file that holds the same weights already is left alone: those that are shipped were written when the order of a
    header was not fixed yet, so that written anew they would have other bytes, and the history keeps every version.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in set(folder.glob("*.safetensors")) - {_file(folder, one) for one in of}:
        old.unlink()
    for one in of:
        sae, file = saes.load_dictionary(_file(OUT, one)).to(torch.float16), _file(folder, one)
        if not (file.exists() and _same(sae, file)):
            saes.save_dictionary(sae, file, model=one.network, site=one.site)


def _file(folder: Path, one: Made) -> Path:
    return folder / f"{one.name}.safetensors"


def _same(sae: saes.Dictionary, file: Path) -> bool:
    shipped = saes.load_dictionary(file).to(torch.float16).state_dict()
    return all(name in shipped and torch.equal(shipped[name], tensor) for name, tensor in sae.state_dict().items())


def runs(of: Sequence[Made] = SHIPPED) -> Mapping[str, dict[str, Any]]:
    """What training wrote down of each: seconds, and a curve of step, FVE, L0 and dead latents."""
    return {one.name: json.loads((OUT / f"{one.name}.json").read_text()) for one in of}
