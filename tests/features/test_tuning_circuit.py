"""The circuit is read off the weights: contraction is what two layers do, and the factors are the planted ones."""

from __future__ import annotations

import math

import pytest
import torch
from test_tuning import eye, found, model, of, planted
from torch.nn.functional import conv2d

from mi_lib.features import tuning


@pytest.mark.parametrize("stride", [1, 2])
def test_contracted_weights_do_what_both_layers_do(stride):
    upper, lower = torch.randn(5, 3, 2, 4, dtype=torch.double), torch.randn(3, 7, 3, 2, dtype=torch.double)
    x = torch.randn(2, 7, 13, 15, dtype=torch.double)
    both = conv2d(conv2d(x, lower, stride=stride), upper)
    assert conv2d(x, tuning.contract(upper, lower, stride), stride=stride) == pytest.approx(both)


def test_a_middle_unit_that_sleeps_carries_nothing():
    upper, lower = torch.randn(5, 3, 3, 3), torch.randn(3, 7, 3, 3)
    awake = torch.tensor([1.0, 0.0, 0.5])
    want = tuning.contract(upper[:, :1], lower[:1]) + 0.5 * tuning.contract(upper[:, 2:], lower[2:])
    assert tuning.contract(upper, lower, awake=awake) == pytest.approx(want, abs=1e-5)


def test_layers_that_do_not_follow_each_other_are_refused():
    with pytest.raises(ValueError, match="reads 4 channels"):
        tuning.contract(torch.zeros(2, 4, 3, 3), torch.zeros(3, 5, 3, 3))


def circuit() -> tuning.Factors:
    net = planted().net
    contracted = tuning.contract(net.conv3.weight[of("detector")], net.conv2.weight)
    return tuning.factors(contracted).ordered(preferences())


def preferences() -> torch.Tensor:
    sharp, blurred = (tuning.alone(model(), "relu1", tuning.look(model(), "relu1", 33), t, 0, 32)
                      for t in (tuning.sharp, tuning.blurred))  # fmt: skip
    return tuning.preference(sharp, blurred)


def test_two_factors_are_the_two_banks():
    high = torch.zeros(72)
    high.view(3, 2, 3, 4)[:, 0] = 1  # colour, frequency, orientation, phase
    found_ = circuit()
    assert (found_.channels[0] * high).sum() > 0.99
    assert (found_.channels[1] * high).sum() < 0.01
    assert found_.channels.sum(1) == pytest.approx(torch.ones(2), abs=1e-5)
    assert found_.explained > 0.99


def test_the_banks_differ_in_what_they_prefer():
    table = preferences().view(3, 2, 3, 4)
    assert table[:, 0].mean() > 0.4 > 0 > table[:, 1].mean()


def test_maps_point_where_stimuli_say():
    high, low = circuit().maps
    assert tuning.apart(tuning.pointing(high, low), found().angle[of("detector")]).max() < math.radians(5)


def test_each_side_is_excited_by_one_frequency_and_inhibited_by_the_other():
    high, low = circuit().maps
    angle = found().angle[of("detector")]
    for map_, sign in ((high, 1), (low, -1)):
        here, there = tuning.sides(map_, angle)
        assert (sign * here > 0.4).all()
        assert (sign * there < -0.4).all()


def test_units_without_a_circuit_point_nowhere_in_particular():
    """Control: of edge detectors, the contracted weights do not part into two frequencies on two sides."""
    net = planted().net
    contracted = tuning.contract(net.conv3.weight[of("edge")], net.conv2.weight)
    high, _ = tuning.factors(contracted).ordered(preferences()).maps
    here, there = tuning.sides(high, torch.tensor(planted().angles)[of("edge")])
    assert (here - there).abs().max() < 0.4


def test_weights_between_like_angles_agree():
    angle = tuning.angles(16)
    weights = torch.cos(angle[:, None] - angle[None])
    assert tuning.agreement(weights, angle, angle) > 0.7
    assert tuning.agreement(weights, angle, angle + math.pi) < -0.7
    assert abs(tuning.agreement(torch.ones(16, 16), angle, angle)) < 1e-5


def test_the_eye_is_in_the_middle():
    assert eye().centre == (16.0, 16.0)
