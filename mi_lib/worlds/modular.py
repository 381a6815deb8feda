"""Addition and subtraction modulo a prime: a world small enough to see all of.

An input is the three tokens (a, b, "="), with "=" the token number p, and the answer stands after "=":
c = a + b mod p, or a − b mod p. Set-up of Nanda et al. 2023, arXiv 2301.05217, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True)
class Modular:
    """One task: every pair (a, b), its answer, and which pairs are for training.

    p: the prime. sign: +1 for a + b, −1 for a − b. fraction: share of the p² pairs that training sees.
    seed: of the split into training and test pairs.
    """

    p: int
    sign: int = 1
    fraction: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.p < 3 or any(self.p % d == 0 for d in range(2, int(self.p**0.5) + 1)):
            raise ValueError(f"p must be an odd prime, not {self.p}")
        if self.sign not in (1, -1):
            raise ValueError(f"sign must be 1 (a + b) or -1 (a - b), not {self.sign}")
        if not 0 < self.fraction < 1:
            raise ValueError(f"fraction must lie between 0 and 1, not {self.fraction}")

    @property
    def tokens(self) -> Int[Tensor, "pairs 3"]:
        """Every input, row a·p + b being (a, b, p)."""
        a, b = torch.meshgrid(torch.arange(self.p), torch.arange(self.p), indexing="ij")
        return torch.stack([a.flatten(), b.flatten(), torch.full((self.p**2,), self.p)], dim=1)

    @property
    def answers(self) -> Int[Tensor, " pairs"]:
        """(a + sign·b) mod p, in the same order."""
        tokens = self.tokens
        return (tokens[:, 0] + self.sign * tokens[:, 1]) % self.p

    @property
    def in_training(self) -> Bool[Tensor, " pairs"]:
        """True for the pairs that training sees."""
        order = torch.randperm(self.p**2, generator=torch.Generator().manual_seed(self.seed))
        mask = torch.zeros(self.p**2, dtype=torch.bool)
        mask[order[: int(self.fraction * self.p**2)]] = True
        return mask
