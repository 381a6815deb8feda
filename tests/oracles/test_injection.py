"""Activations are added at the placeholders, as long as what they find there, and nowhere else."""

from __future__ import annotations

import pytest
import torch

from mi_lib.oracles import add, at_norm, inject, replace


def test_a_vector_is_made_as_long_as_what_stands_there_whatever_its_own_length():
    found, v = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 1.0]])
    for scale in (0.01, 1.0, 70.0):
        torch.testing.assert_close(at_norm(scale * v, found), torch.tensor([[0.0, 5.0]]))
    torch.testing.assert_close(add(found, v), torch.tensor([[3.0, 9.0]]))
    torch.testing.assert_close(replace(found, v), torch.tensor([[0.0, 5.0]]))


def test_a_vector_of_zeros_adds_nothing():
    found = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(add(found, torch.zeros_like(found)), found)


@pytest.mark.parametrize("way", ["add", "replace"])
def test_only_the_real_places_of_each_row_change(way):
    generator = torch.Generator().manual_seed(1)
    value, vectors = torch.randn(2, 7, 5, generator=generator), torch.randn(2, 3, 5, generator=generator)
    places, real = torch.tensor([[1, 2, 3], [4, 4, 4]]), torch.tensor([[True, True, True], [True, False, False]])
    before = value.clone()
    after = inject(vectors, places, real, way)(value)
    changed = (after != before).any(-1)
    assert changed.nonzero().tolist() == [[0, 1], [0, 2], [0, 3], [1, 4]]
    assert torch.equal(value, before), "what was handed in stays"
    norm = before[1, 4].norm() * vectors[1, 0] / vectors[1, 0].norm()
    torch.testing.assert_close(after[1, 4], norm + (before[1, 4] if way == "add" else 0))


def test_gradients_come_through_to_what_stood_there():
    value = torch.randn(1, 4, 5, generator=torch.Generator().manual_seed(2)).requires_grad_()
    inject(torch.ones(1, 1, 5), torch.tensor([[2]]))(value).sum().backward()
    assert (value.grad[0, 2] - 1).abs().max() > 1e-3, "the norm depends on it"


def test_another_way_and_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="no way 'mix' to inject; there are add, replace"):
        inject(torch.ones(1, 1, 5), torch.tensor([[2]]), way="mix")
    with pytest.raises(ValueError, match="do not fit"):
        inject(torch.ones(1, 2, 5), torch.tensor([[2]]))
