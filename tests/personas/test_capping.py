"""A floor, not a ceiling, and not a push."""

import pytest
import torch

from mi_lib import steering
from mi_lib.models.sites import UnknownSite
from mi_lib.personas import Cap

LAYERS = (1, 2)


@pytest.fixture
def drawn():
    source = torch.Generator().manual_seed(4)
    return torch.randn(2, 24, generator=source), torch.randn(9, 2, 24, generator=source)


def along(model, rows, cap, edits):
    with model.hooks(edits):
        states = steering.collect_all(model, rows, [("resid_pre", layer) for layer in LAYERS])
    return [torch.einsum("lpd,ld->lp", one, cap.units) for one in states]


def test_floors_are_the_quantile_of_the_assistants_own_projections(drawn):
    axis, replies = drawn
    cap = Cap.of(axis, replies, LAYERS)
    for at in range(2):
        own = [float(reply[at] @ axis[at] / axis[at].norm()) for reply in replies]
        assert sum(x < float(cap.floors[at]) - 1e-5 for x in own) == 2  # of nine, a quarter
    aside = cap.random(3)
    assert not torch.allclose(aside.units, cap.units)
    assert aside.floors.tolist() == pytest.approx(
        [float(torch.quantile(replies[:, at] @ aside.units[at], 0.25)) for at in range(2)], rel=1e-4
    )


def test_nothing_falls_below_the_floor_and_what_lies_above_stays(model, drawn):
    axis, replies = drawn
    cap, rows = Cap.of(axis, replies, LAYERS[:2]), [[1, 7, 9, 8, 5], [1, 11, 6]]
    first = Cap.of(axis[:1], replies[:, :1], LAYERS[:1])
    plain = [x[0] for x in along(model, rows, cap, [])]
    held = [x[0] for x in along(model, rows, cap, first.edits())]
    cut = [x[0] for x in along(model, rows, cap, first.ceiling())]
    floor = float(first.floors[0])
    assert any((x < floor).any() for x in plain)
    assert any((x > floor).any() for x in plain)
    for before, after, under in zip(plain, held, cut, strict=True):
        torch.testing.assert_close(after, before.clamp(min=floor), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(under, before.clamp(max=floor), atol=1e-4, rtol=1e-4)
    pushed = [x[0] for x in along(model, rows, cap, first.added(2.0))]
    torch.testing.assert_close(pushed[0], plain[0] + 2, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("layers", "count", "quantile", "sentence"),
    [((1,), 9, 0.25, "give an axis"), (LAYERS, 1, 0.25, "at least two"), (LAYERS, 9, 25, "between 0 and 1")],
)
def test_bad_floors_are_refused_in_a_sentence(drawn, layers, count, quantile, sentence):
    axis, replies = drawn
    with pytest.raises(ValueError, match=sentence):
        Cap.of(axis, replies[:count], layers, quantile)


def test_a_layer_that_is_not_there_and_another_width_are_refused(model, drawn):
    axis, replies = drawn
    with pytest.raises(UnknownSite, match="layers 0 to 2"), model.hooks(Cap.of(axis, replies, (1, 7)).edits()):
        model(torch.tensor([[1, 7, 9]]))
    narrow = Cap.of(axis[:, :20], replies[:, :, :20], LAYERS)
    with pytest.raises(ValueError, match="20 numbers"), model.hooks(narrow.edits()):
        model(torch.tensor([[1, 7, 9]]))
