"""Matryoshka: nested dictionaries. The first m₁ latents must reconstruct x alone, the first m₂ > m₁ too, and so on.

    L = mean over m of E‖x − x̂_m‖² + AuxK,    x̂_m = Σ_{i < m} f_i d_i + b_dec

A parent in a small prefix cannot leave its work to children that are not in it, which makes absorption rarer (not in
every run); the whole reconstructs a little worse than a flat dictionary. Which latents stay is decided as in BatchTopK,
over all of them.
Source: Bussmann et al. 2025, arXiv 2503.17547, section 3. (They add the losses; the mean keeps AuxK's weight the same.)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.saes import sparse
from mi_lib.saes.base import squared_error
from mi_lib.saes.batch_topk import BatchTopK


class Matryoshka(BatchTopK):
    """prefixes: rising sizes, the last of which is n_latents. ValueErrors for others, and for k as in BatchTopK."""

    kind = "matryoshka"

    def __init__(self, d: int, n_latents: int, *, k: int, prefixes: Sequence[int], seed: int = 0) -> None:
        sizes = list(prefixes)
        if not sizes or sizes[0] < 1 or sizes != sorted(set(sizes)) or sizes[-1] != n_latents:
            raise ValueError(f"prefixes must rise from at least 1 to the {n_latents} latents, not {sizes}")
        super().__init__(d, n_latents, k=k, seed=seed)
        self.settings["prefixes"] = sizes

    def errors(self, x: Float[Tensor, "batch d"], f: Float[Tensor, "batch latent"]) -> tuple[Tensor, Tensor]:
        """The mean of E‖x − x̂_m‖² over prefixes, and x − x̂ of the whole."""
        out: Tensor = self.b_dec
        start, errors = 0, []
        for end in self.settings["prefixes"]:  # each adds to what the smaller ones said
            out = out + f[:, start:end] @ self.W_dec[start:end]
            errors.append(squared_error(x, out))
            start = end
        return torch.stack(errors).mean(), x - out

    def error_of_entries(
        self, x: Float[Tensor, "batch d"], values: Float[Tensor, " entry"], entries: sparse.Entries
    ) -> tuple[Tensor, Float[Tensor, "batch d"]]:
        out: Tensor = self.b_dec
        start, errors = 0, []
        for end in self.settings["prefixes"]:
            part, chosen = entries.part(start, end)
            out = out + sparse.decode(values[chosen], self.W_dec[start:end], part)
            errors.append(squared_error(x, out))
            start = end
        return torch.stack(errors).mean(), out
