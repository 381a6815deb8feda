"""A circuit before it is compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mi_lib.models.graph import Edge
from mi_lib.worlds.planted.circuit import Circuit, Pairs
from mi_lib.worlds.planted.compiler import Description, build, decoys


@dataclass(frozen=True)
class Plan:
    """A description, and the truth that follows from it. The fields are those of `Circuit`.

    draw: n pairs from a generator. prompts: prompts of the whole task, where clean prompts have all the same answer.
    """

    name: str
    task: str
    description: Description
    edges: frozenset[Edge]
    constant_edges: frozenset[Edge]
    roles: Mapping[str, str]
    draw: Callable[[int, torch.Generator], Pairs]
    prompts: Callable[[int, torch.Generator], tuple[Tensor, Tensor]] | None = None
    together: tuple[frozenset[Edge], ...] = ()
    dormant: frozenset[Edge] = frozenset()

    def compiled(self, generator: torch.Generator, *, norm: bool, leak: float) -> Circuit:
        return Circuit(
            name=self.name,
            task=self.task,
            model=build(self.description, generator, norm=norm, leak=leak),
            edges=self.edges,
            constant_edges=self.constant_edges,
            together=self.together,
            roles=self.roles,
            decoys=decoys(self.description),
            space=self.description.space,
            norm=norm,
            _draw=self.draw,
            _prompts=self.prompts,
            dormant=self.dormant,
        )
