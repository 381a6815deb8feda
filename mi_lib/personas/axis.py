"""The assistant axis: mean(default) − mean(roles) (Lu et al. 2026, arXiv 2601.10387, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.steering.directions import first_component


class Axis(NamedTuple):
    """What the assistant is and the roles are not. means: of the roles, then of the assistant, at every depth."""

    roles: Float[Tensor, "role depth d_model"]
    assistant: Float[Tensor, "depth d_model"]

    def at(self, depth: int, without: Float[Tensor, " d_model"] | None = None) -> Float[Tensor, " d_model"]:
        """mean(default) − mean(roles).

        without: a direction that is taken out of it. Roles talk longer than the assistant does, so that the axis has
        some of "later in the text" in it, and every conversation falls along it.
        """
        along = self.assistant[depth] - self.roles[:, depth].mean(0)
        return along if without is None else along - (along @ without) / (without @ without) * without

    def of(self, members: Sequence[int]) -> Axis:
        """The axis that these roles alone would give; a role may be named twice (a bootstrap)."""
        return Axis(self.roles[list(members)], self.assistant)

    def component(self, depth: int) -> Float[Tensor, " d_model"]:
        """The unit direction along which the roles vary most."""
        return first_component(self.roles[:, depth])

    def alignment(self, depth: int) -> float:
        """|cos| of the axis with the first principal component of the role means (above .71 in the paper)."""
        return abs(torch.cosine_similarity(self.at(depth), self.component(depth), dim=0).item())

    def alignment_interval(self, depth: int, draws: int = 200, seed: int = 0) -> tuple[float, float]:
        """Its 95 % interval over roles drawn anew, with replacement: another list of roles could have been written."""
        n = len(self.roles)
        drawn = [self.of(m).alignment(depth) for m in np.random.default_rng(seed).integers(0, n, (draws, n))]
        low, high = np.quantile(drawn, [0.025, 0.975])
        return float(low), float(high)

    def place(
        self, states: Float[Tensor, "*rest d_model"], depth: int, without: Float[Tensor, " d_model"] | None = None
    ) -> Float[Tensor, "*rest"]:
        """How far along the axis: 0 where the roles stand on average, 1 where the assistant does."""
        along = self.at(depth, without)
        return (states - self.roles[:, depth].mean(0)) @ along / along.square().sum()


class Space(NamedTuple):
    """Principal components of role means. components: unit rows, their signs mean nothing. shares: of the variance."""

    components: Float[Tensor, "component d_model"]
    shares: Float[Tensor, " component"]
    mean: Float[Tensor, " d_model"]

    def map(self, states: Float[Tensor, "*rest d_model"], n: int = 2) -> Float[Tensor, "*rest n"]:
        """Coordinates in the first n components."""
        return (states - self.mean) @ self.components[:n].T


def space(roles: Float[Tensor, "role d_model"]) -> Space:
    """Their principal components, greatest share first. ValueError for fewer than three roles."""
    if len(roles) < 3:
        raise ValueError(f"{len(roles)} roles span no space to look at: give at least three")
    mean = roles.mean(0)
    _, s, components = torch.linalg.svd(roles - mean, full_matrices=False)
    return Space(components, s.square() / s.square().sum(), mean)
