"""The assistant axis on planted roles. Floors and their levels are tested on Pico's traits: `test_pico_checks`."""

from __future__ import annotations

import pytest
import torch

from mi_lib.personas import Axis, space

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


def test_the_interval_of_the_cosine_is_over_roles_drawn_anew_and_holds_it() -> None:
    generator = torch.Generator().manual_seed(5)
    rows = torch.randn(24, 1, D, generator=generator)
    rows[:, 0, 0] += torch.linspace(4, 20, 24)
    axis = Axis(rows, torch.zeros(1, D))
    low, high = axis.alignment_interval(0, 100)
    assert 0 < low < axis.alignment(0) < 1
    assert high > low + 0.001
    few = Axis(rows[::6], torch.zeros(1, D)).alignment_interval(0, 100)
    assert few[1] - few[0] > high - low  # fewer roles say less


def test_the_assistant_stands_at_1_and_the_roles_at_0_on_average() -> None:
    rows = torch.randn(5, 2, D, generator=torch.Generator().manual_seed(1))
    axis = Axis(rows, torch.ones(2, D))
    assert float(axis.place(axis.assistant[1], 1)) == pytest.approx(1, abs=1e-5)
    assert float(axis.place(rows[:, 1], 1).mean()) == pytest.approx(0, abs=1e-5)
    half = (axis.assistant[1] + rows[:, 1].mean(0)) / 2
    assert float(axis.place(half, 1)) == pytest.approx(0.5, abs=1e-5)


def test_along_an_axis_without_a_direction_that_direction_moves_nothing_and_the_ends_stay() -> None:
    generator = torch.Generator().manual_seed(1)
    rows, later = torch.randn(5, 1, D, generator=generator), torch.randn(D, generator=generator)
    axis = Axis(rows, torch.ones(1, D))
    assert float(axis.at(0, later) @ later) == pytest.approx(0, abs=1e-4)
    state = torch.randn(D, generator=generator)
    moved = axis.place(state + 3 * later, 0, later)
    assert float(moved) == pytest.approx(float(axis.place(state, 0, later)), abs=1e-4)
    assert float(axis.place(state + 3 * later, 0)) != pytest.approx(float(axis.place(state, 0)), abs=1e-2)
    assert float(axis.place(axis.assistant[0], 0, later)) == pytest.approx(1, abs=1e-4)
    assert float(axis.place(rows[:, 0].mean(0), 0, later)) == pytest.approx(0, abs=1e-4)


def test_the_space_of_roles_is_centred_and_its_shares_are_those_of_the_variance() -> None:
    generator = torch.Generator().manual_seed(2)
    rows = torch.randn(9, D, generator=generator) + 50  # a mean far from zero is no variance
    rows[:, 3] += 10 * torch.linspace(-1, 1, 9)
    found = space(rows)
    assert float(found.shares.sum()) == pytest.approx(1, abs=1e-5)
    assert abs(float(found.components[0, 3])) > 0.9
    placed = found.map(rows, 2)
    assert float(placed[:, 0].var() / rows.var(0).sum()) == pytest.approx(float(found.shares[0]), rel=1e-4)
    with pytest.raises(ValueError, match="at least three"):
        space(rows[:2])
