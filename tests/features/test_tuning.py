"""Detectors are found where they were planted, and what looks like one is not mistaken for one."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from torch import Tensor, nn

from mi_lib.features import tuning
from mi_lib.models.vision import ConvNet, VisionModel
from mi_lib.worlds.planted import focus

LAYER = "relu3"


@functools.cache
def planted() -> focus.Planted:
    return focus.network()


@functools.cache
def model(trained: bool = True) -> VisionModel:
    net = planted().net if trained else ConvNet(planted().net.config).init_weights(0).requires_grad_(False)
    return VisionModel(net, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2), size=focus.SIZE)


@functools.cache
def eye() -> tuning.Eye:
    return tuning.look(model(), LAYER, focus.SIZE)


@functools.cache
def found(trained: bool = True) -> tuning.Profile:
    return tuning.profile(model(trained), LAYER, eye(), draws=12)


def of(*kinds: str) -> Tensor:
    return torch.tensor([kind in kinds for kind in planted().kinds])


def test_the_middle_and_what_it_sees():
    net = nn.Sequential(nn.Conv2d(3, 2, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(2, 4, 5, padding=2))
    for weights in net.parameters():
        nn.init.constant_(weights, 0.1)
    seen = tuning.look(VisionModel(net), "2", 20)
    assert (seen.row, seen.column) == (5, 5)
    assert (seen.top, seen.bottom, seen.left, seen.right) == (5, 16, 5, 16)  # 3 + (5 − 1) · 2 = 11 px around 10
    assert seen.centre == (10.0, 10.0)


def test_a_silent_layer_is_refused():
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU()).requires_grad_(False)
    net[0].bias.fill_(-100)
    with pytest.raises(ValueError, match="no unit of 1 answers"):
        tuning.look(VisionModel(net), "1", 12)


def test_the_planted_detectors_are_found_and_nothing_else():
    assert torch.equal(tuning.detectors(found()), of("detector"))


def test_a_detector_is_found_to_be_turned_as_it_was_planted():
    planted_at = torch.tensor(planted().angles)[of("detector")]
    assert tuning.apart(found().angle[of("detector")], planted_at).max() < 1e-3


def test_edge_detectors_are_no_detectors_and_the_other_way_round():
    edges = tuning.edge_detectors(found())
    assert edges[of("edge")].all()
    assert not edges[of("detector", "leaning", "half", "sharp", "blurred")].any()


@pytest.mark.parametrize(("kind", "demand"), [("leaning", "alone"), ("half", "alone"), ("sharp", "opposite")])
def test_each_demand_keeps_something_out(kind, demand):
    """Without it, units of this kind would count."""
    assert not tuning.detectors(found())[of(kind)].any()
    free = tuning.Rule(**{"alone": 1.5, "opposite": 2.0, demand: 0.0})
    if kind == "sharp":
        free = tuning.Rule(alone=0.0, opposite=2.0)
        assert not tuning.detectors(found(), free)[of(kind)].any()  # it does not mind the side
    else:
        assert tuning.detectors(found(), free)[of(kind)].all()


def test_a_unit_that_likes_an_edge_of_colour_as_well_is_none_where_colour_counts():
    best, zero = torch.zeros(2, 16), torch.zeros(2)
    best[:, 3] = 1.0
    both = tuning.Profile(best, best, zero, zero, torch.zeros(2, 16), torch.tensor([0.9, 0.1]))
    assert tuning.detectors(both).tolist() == [True, True]
    assert tuning.detectors(both, tuning.COLOUR_TOO).tolist() == [False, True]


def test_no_detector_among_random_weights():
    assert not tuning.detectors(found(trained=False)).any()


def test_a_unit_that_never_answers_is_none():
    zero = torch.zeros(3)
    silent = tuning.Profile(torch.zeros(3, 16), torch.zeros(3, 16), zero, zero, torch.zeros(3, 16), zero)
    assert not tuning.detectors(silent).any()


def test_detectors_do_not_mind_polarity_and_edges_do():
    kept = tuning.invariance(model(), LAYER, eye(), found().angle, draws=8)
    assert kept.polarity[of("detector")].min() > 0.9
    assert kept.holds[of("detector")].all()
    by_edge = tuning.to_edges(model(), LAYER, eye())[of("edge")]
    assert (by_edge.amax(1) > 5 * by_edge.roll(8, 1).gather(1, by_edge.argmax(1, keepdim=True))[:, 0]).all()


def test_a_unit_that_sees_one_polarity_is_not_invariant():
    """A unit that answers to bright spots, made of one filter."""
    net = nn.Sequential(nn.Conv2d(3, 1, 5, padding=2), nn.ReLU()).requires_grad_(False)
    net[0].weight.copy_(torch.full((1, 3, 5, 5), 1.0))
    net[0].bias.fill_(-37.5 - 1.5)
    bright = VisionModel(net)
    seen = tuning.look(bright, "1", 21)
    kept = tuning.invariance(bright, "1", seen, torch.zeros(1), draws=32)
    assert float(kept.polarity) < 0.2


def test_tuning_grows_with_the_ratio_of_frequencies():
    curves = tuning.by_ratio(model(), LAYER, eye(), (1.0, 1.5, 3.5), seed=0, draws=12)[of("detector")]
    best = curves.amax(2).mean(0)
    assert (best[:-1] < best[1:]).all()
    assert best[0] < 0.2 * best[-1]
    assert tuning.normalised(curves).flatten(1).amax(1) == pytest.approx(torch.ones(8))


def test_the_family_covers_all_eight_angles_and_stands_in_mirrored_pairs():
    angles = found().angle[tuning.detectors(found())]
    assert tuning.covered(angles, 8).tolist() == [1] * 8
    pairs = tuning.mirrored(angles)
    assert len(pairs) == 4
    assert len({u for pair in pairs for u in pair}) == 8
    assert all(float(tuning.apart(angles[i], angles[j])) == pytest.approx(math.pi, abs=1e-3) for i, j in pairs)


def test_three_units_make_one_pair():
    assert len(tuning.mirrored(torch.tensor([0.0, 0.1, math.pi]))) == 1
    assert tuning.mirrored(torch.tensor([0.0, 1.0])) == []
    assert tuning.mirrored(torch.tensor([])) == []


def test_350_degrees_and_10_are_20_apart():
    a, b = (torch.tensor(math.radians(d)) for d in (350.0, 10.0))
    assert math.degrees(float(tuning.apart(a, b))) == pytest.approx(20.0, abs=1e-3)


def test_without_its_detectors_the_network_does_not_see_focus_and_still_sees_edges():
    """Planted: the logit of "focus" is the detectors' mean, that of "edge" the edge units'."""
    sharp, blurred = tuning.sharp(16, focus.SIZE, 5), tuning.blurred(16, focus.SIZE, 6)
    images = torch.cat(
        [
            tuning.paint(tuning.across(sharp, blurred, 1.0)),
            tuning.paint(tuning.step(focus.SIZE, 0.3)[None].expand(4, -1, -1)),
        ]
    )
    whole = model().logits(images)
    for kind, lost in (("detector", 0), ("edge", 1)):
        with model().edited({LAYER: tuning.silenced(of(kind).nonzero()[:, 0])}):
            now = model().logits(images)
        assert now[:, lost].abs().max() < 1e-6
        assert now[:, 1 - lost] == pytest.approx(whole[:, 1 - lost])


def test_means_can_be_put_in_the_place_of_units():
    edit = tuning.silenced([2, 0], torch.tensor([5.0, 6.0, 7.0]))
    before = torch.randn(2, 3, 4, 4)
    after = edit(before.clone())
    assert after[:, 2].eq(7).all()
    assert after[:, 0].eq(5).all()
    assert torch.equal(after[:, 1], before[:, 1])


def test_controls_are_as_many_as_active_and_outside_of_the_family():
    activity = torch.arange(20.0)
    family = torch.zeros(20, dtype=torch.bool)
    family[[3, 9, 15]] = True
    sets = tuning.matched(activity, family, draws=10, seed=0)
    assert all(len(set(s.tolist())) == 3 and not family[s].any() for s in sets)
    assert len({tuple(s.tolist()) for s in sets}) > 3
    assert all(abs(float(activity[s].mean()) - 9) < 2 for s in sets)
    with pytest.raises(ValueError, match="no control of that size"):
        tuning.matched(activity[:4], torch.tensor([True, True, True, False]), 1, 0)
