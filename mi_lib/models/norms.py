"""What a norm is made of."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class NormParts(NamedTuple):
    """A norm's own numbers: x ↦ (x − mean) / √(mean square + epsilon) · weight + bias. RMSNorm keeps the mean."""

    weight: Float[Tensor, " d_model"]
    bias: Float[Tensor, " d_model"]  # zero where the architecture has none
    epsilon: float
    centred: bool  # whether the mean is subtracted
