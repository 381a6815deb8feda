"""TopK: the k largest of ReLU(pre) stay, so L0 is at most k by construction and needs no penalty.

What dies is brought back by AuxK: the dead latents, d/2 of them at most, explain what is left of x,

    L = E‖x − x̂‖² + 1/32 · E‖e − ê‖²      e = x − x̂ (frozen), ê = the largest dead latents, decoded without b_dec

Traps: without freezing e the living are pulled as well; without dead latents the term must be 0, not NaN; made of
activations after the ReLU, ê would have no gradient to a latent that is negative everywhere, and it would stay dead.
Source: Gao et al. 2024, arXiv 2406.04093, sections 2.3 and A.2.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from mi_lib.saes import sparse
from mi_lib.saes.base import Dead, Dictionary, Loss, Seen, squared_error, zero

AUX_WEIGHT = 1 / 32


class TopK(Dictionary):
    """k: how many latents may be active in one input. ValueError unless 1 ≤ k ≤ n_latents."""

    kind = "topk"
    revives = True

    def __init__(self, d: int, n_latents: int, *, k: int, seed: int = 0) -> None:
        check_k(k, n_latents)
        super().__init__(d, n_latents, seed=seed, k=k)

    def encode(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... latent"]:
        return largest(self.pre(x).relu(), self.settings["k"])

    def losses(self, x: Float[Tensor, "batch d"], dead: Dead, pressure: float = 1.0) -> tuple[Loss, Tensor]:
        pre = self.pre(x)
        f = largest(pre.relu(), self.settings["k"])
        out = self.decode(f)
        return Loss(squared_error(x, out), zero(x), auxk(self, x - out, pre, dead)), f

    def step_losses(self, x: Float[Tensor, "batch d"], dead: Dead, pressure: float = 1.0) -> tuple[Loss, Seen]:
        """The same from the k active latents of each input alone (see `sparse`)."""
        if not sparse.worthwhile(x, self.settings["k"], self.n_latents):
            return super().step_losses(x, dead, pressure)
        values, entries = sparse.encode(self, x, sparse.top_of_rows(self.settings["k"]))
        out = sparse.decode(values, self.W_dec, entries) + self.b_dec
        return Loss(squared_error(x, out), zero(x), auxk_of_dead(self, x, x - out, dead)), sparse.seen(
            values, entries, out
        )


def check_k(k: int, n_latents: int) -> None:
    if not 1 <= k <= n_latents:
        raise ValueError(f"k = {k} latents cannot be active among {n_latents}")


def largest(f: Float[Tensor, "... latent"], k: int) -> Float[Tensor, "... latent"]:
    """The k largest entries of each row; 0 elsewhere."""
    values, places = f.topk(k, dim=-1)
    return f.new_zeros(f.shape).scatter(-1, places, values)


def auxk(
    sae: Dictionary, error: Float[Tensor, "batch d"], pre: Float[Tensor, "batch latent"], dead: Dead
) -> Float[Tensor, ""]:
    """1/32 · E‖e − ê‖². pre: before the ReLU, of all latents."""
    if not bool(dead.any()):
        return zero(error)
    return _auxk(error, pre[:, dead], sae.W_dec[dead])


def auxk_of_dead(
    sae: Dictionary, x: Float[Tensor, "batch d"], error: Float[Tensor, "batch d"], dead: Dead
) -> Float[Tensor, ""]:
    """The same, where `pre` is computed for the dead latents alone."""
    if not bool(dead.any()):
        return zero(error)
    return _auxk(error, (x - sae.b_dec) @ sae.W_enc[:, dead] + sae.b_enc[dead], sae.W_dec[dead])


def _auxk(error: Float[Tensor, "batch d"], pre: Float[Tensor, "batch dead"], rows: Float[Tensor, "dead d"]) -> Tensor:
    k = min(rows.shape[1] // 2, len(rows))
    return AUX_WEIGHT * squared_error(error.detach(), largest(pre, k) @ rows)
