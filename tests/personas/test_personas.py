"""The assistant axis on planted roles. Floors and their levels are tested on Pico's traits: `test_pico_checks`."""

from __future__ import annotations

import torch

from mi_lib.personas import Axis

D = 24


def test_the_axis_of_planted_roles_lies_along_their_first_component() -> None:
    generator = torch.Generator().manual_seed(3)
    vector = torch.randn(D, generator=generator)
    rows = torch.randn(25, 2, D, generator=generator)
    rows[:, 1] += 8 * torch.linspace(0.2, 2, 25)[:, None] * vector / vector.norm()
    axis = Axis(rows, torch.zeros(2, D))
    assert axis.alignment(1) > 0.9
    assert axis.alignment(0) < 0.7
    torch.testing.assert_close(axis.at(1), -rows[:, 1].mean(0))
    assert abs(torch.cosine_similarity(axis.component(1), vector, dim=0)) > 0.9


def test_an_axis_of_some_roles_is_theirs_alone() -> None:
    rows = torch.randn(5, 1, D, generator=torch.Generator().manual_seed(0))
    some = Axis(rows, torch.ones(1, D)).of([1, 1, 3])
    torch.testing.assert_close(some.at(0), 1 - (2 * rows[1, 0] + rows[3, 0]) / 3)
