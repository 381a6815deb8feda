"""Train the dictionaries of Pico.

    python -m mi_lib.recipes.dictionaries                 # all of them, the zoo folder and its card
    python -m mi_lib.recipes.dictionaries --only-train
    python -m mi_lib.recipes.dictionaries --measure       # train nothing: measure the shipped files, and write the card

Three that are to be good, each at L0 ≤ 32:

    pico-flat         BatchTopK, 1,536 latents, at the middle of the residual stream (block 3's input)
    pico-matryoshka   the same, nested: its first 24, 96 and 384 latents are dictionaries too
    pico-mlp          BatchTopK, 1,536 latents, at what the last MLP writes

and to compare: the flat one again with another seed (`pico-flat-seed1`), and narrower (`pico-flat-24`, `-96`, `-384`).
They see 320,000 words of Littletown's training texts, half prose and half chat, and <|bos|>.

It can be interrupted and run again: what is finished stays in `out/recipes`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from mi_lib import saes

MODEL = "pico"
NAME = "pico-dictionaries"
COMMAND = "python -m mi_lib.recipes.dictionaries"
OUT = Path("out/recipes") / NAME

EMBEDDINGS, EARLY, MIDDLE = "blocks.0.hook_resid_pre", "blocks.2.hook_resid_pre", "blocks.3.hook_resid_pre"
MLP = "blocks.5.hook_mlp_out"
WIDTHS = (24, 96, 384, 1536)
K = {24: 4, 96: 8, 384: 16, 1536: 30}  # active latents by width: wider dictionaries describe a word by more
BATCH, LEARNING_RATE = 512, 3e-3


class Made(NamedTuple):
    """One dictionary: where it reads, what it is, and how long it learns."""

    name: str
    site: str
    kind: str  # "batch_topk" or "matryoshka"
    n_latents: int
    steps: int
    seed: int = 0

    def new(self, d: int) -> saes.Dictionary:
        k = K[self.n_latents]
        if self.kind == "matryoshka":
            return saes.Matryoshka(d, self.n_latents, k=k, prefixes=WIDTHS, seed=self.seed)
        return saes.BatchTopK(d, self.n_latents, k=k, seed=self.seed)


STEPS = {24: 800, 96: 800, 384: 1200, 1536: 2000}
FLAT = Made("pico-flat", MIDDLE, "batch_topk", 1536, 2000)
MATRYOSHKA = Made("pico-matryoshka", MIDDLE, "matryoshka", 1536, 2500)
OF_MLP = Made("pico-mlp", MLP, "batch_topk", 1536, 2000)
GOOD = (FLAT, MATRYOSHKA, OF_MLP)  # of which the card makes claims
SECOND = FLAT._replace(name="pico-flat-seed1", seed=1)
NARROW = tuple(FLAT._replace(name=f"pico-flat-{width}", n_latents=width, steps=STEPS[width]) for width in WIDTHS[:-1])
SHIPPED = (*GOOD, SECOND, *NARROW)


def train(made: Made, x: Float[Tensor, "n d"]) -> saes.Dictionary:
    """One dictionary of these activations. The seed decides where it starts, and in which order it sees them."""
    return saes.train(made.new(x.shape[1]), x, made.steps, batch=BATCH, lr=LEARNING_RATE, seed=made.seed)
