"""BatchTopK: the k · B largest of a batch of B inputs stay, so that an input may have more latents than another.

At inference an input must not depend on its neighbours. So a threshold takes their place: the running mean, over
batches of the training, of the smallest activation that stayed. In `train()` mode the batch decides, in `eval()` mode
the threshold; one that is evaluated in the wrong mode has another L0 for every batch size.
Source: Bussmann et al. 2024, arXiv 2412.06410, section 3.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.saes import sparse
from mi_lib.saes.base import Dead, Dictionary, Loss, Seen, squared_error, zero
from mi_lib.saes.topk import auxk, auxk_of_dead, check_k, largest

KEEP = 0.99  # of the running mean, at each step


class BatchTopK(Dictionary):
    """k: how many latents are active in an input on average. ValueError unless 1 ≤ k ≤ n_latents."""

    kind = "batch_topk"
    revives = True
    in_units_of_x = ("b_enc", "b_dec", "threshold")
    threshold: Tensor

    def __init__(self, d: int, n_latents: int, *, k: int, seed: int = 0) -> None:
        check_k(k, n_latents)
        super().__init__(d, n_latents, seed=seed, k=k)
        self.register_buffer("threshold", torch.zeros(()))

    def encode(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... latent"]:
        return self.chosen(self.pre(x).relu())

    def chosen(self, pre: Float[Tensor, "... latent"]) -> Float[Tensor, "... latent"]:
        """What stays of ReLU(pre)."""
        if not self.training:
            return pre * (pre > self.threshold)
        inputs = pre.numel() // pre.shape[-1]
        return largest(pre.flatten(), self.settings["k"] * inputs).view(pre.shape)

    @torch.no_grad()
    def note_threshold(self, f: Float[Tensor, "..."]) -> None:
        """The smallest activation that stayed enters the running mean, which starts at the first one."""
        if bool((f > 0).any()):
            least = f[f > 0].min()
            self.threshold.copy_(least if self.threshold == 0 else KEEP * self.threshold + (1 - KEEP) * least)

    def losses(self, x: Float[Tensor, "batch d"], dead: Dead, pressure: float = 1.0) -> tuple[Loss, Tensor]:
        pre = self.pre(x)
        f = self.chosen(pre.relu())
        if self.training:
            self.note_threshold(f)
        error, residual = self.errors(x, f)
        return Loss(error, zero(x), auxk(self, residual, pre, dead)), f

    def errors(self, x: Float[Tensor, "batch d"], f: Float[Tensor, "batch latent"]) -> tuple[Tensor, Tensor]:
        """E‖x − x̂‖², and x − x̂ [batch d]."""
        out = self.decode(f)
        return squared_error(x, out), x - out

    def step_losses(self, x: Float[Tensor, "batch d"], dead: Dead, pressure: float = 1.0) -> tuple[Loss, Seen]:
        """The same from the k · B active latents alone (see `sparse`)."""
        if not sparse.worthwhile(x, self.settings["k"], self.n_latents):
            return super().step_losses(x, dead, pressure)
        values, entries = sparse.encode(self, x, sparse.top_of_batch(self.settings["k"]))
        self.note_threshold(values.detach())
        error, out = self.error_of_entries(x, values, entries)
        return Loss(error, zero(x), auxk_of_dead(self, x, x - out, dead)), sparse.seen(values, entries, out)

    def error_of_entries(
        self, x: Float[Tensor, "batch d"], values: Float[Tensor, " entry"], entries: sparse.Entries
    ) -> tuple[Tensor, Float[Tensor, "batch d"]]:
        """E‖x − x̂‖², and x̂."""
        out = sparse.decode(values, self.W_dec, entries) + self.b_dec
        return squared_error(x, out), out
