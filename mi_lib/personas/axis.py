"""The assistant axis: mean(default) − mean(roles) (Lu et al. 2026, arXiv 2601.10387, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.steering.directions import first_component


class Axis(NamedTuple):
    """What the assistant is and the roles are not. means: of the roles, then of the assistant, at every depth."""

    roles: Float[Tensor, "role depth d_model"]
    assistant: Float[Tensor, "depth d_model"]

    def at(self, depth: int) -> Float[Tensor, " d_model"]:
        """mean(default) − mean(roles)."""
        return self.assistant[depth] - self.roles[:, depth].mean(0)

    def of(self, members: Sequence[int]) -> Axis:
        """The axis that these roles alone would give; a role may be named twice (a bootstrap)."""
        return Axis(self.roles[list(members)], self.assistant)

    def component(self, depth: int) -> Float[Tensor, " d_model"]:
        """The unit direction along which the roles vary most."""
        return first_component(self.roles[:, depth])

    def alignment(self, depth: int) -> float:
        """|cos| of the axis with the first principal component of the role means (above .71 in the paper)."""
        return abs(torch.cosine_similarity(self.at(depth), self.component(depth), dim=0).item())
