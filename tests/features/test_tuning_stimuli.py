"""Stimuli are what they are said to be: which side is which, how strong, how fine."""

from __future__ import annotations

import math

import pytest
import torch

from mi_lib.features import tuning
from mi_lib.features.tuning import stimuli


def test_angle_0_is_right_and_a_quarter_turn_is_up():
    first, second = torch.ones(9, 9), torch.zeros(9, 9)
    right, up = (tuning.across(first, second, a) for a in (0.0, math.pi / 2))
    assert right[:, 5:].eq(1).all()
    assert right[:, :4].eq(0).all()
    assert up[:4].eq(1).all()
    assert up[5:].eq(0).all()


def test_a_boundary_runs_through_the_centre_that_is_given():
    image = tuning.across(torch.ones(20, 20), torch.zeros(20, 20), 0.0, centre=(3.0, 12.5))
    assert image[:, 13:].eq(1).all()
    assert image[:, :13].eq(0).all()


def test_both_textures_have_the_same_contrast_and_different_frequencies():
    for blur in (0.6, 2.6):
        pattern = tuning.noise(5, 40, blur, seed=3)
        assert pattern.mean((1, 2)).abs().max() < 1e-5
        assert pattern.square().mean((1, 2)).sqrt() == pytest.approx(torch.ones(5), abs=1e-4)
    fine, coarse = (tuning.noise(20, 40, b, 1).diff(dim=-1).square().mean() for b in (0.6, 2.6))
    assert fine > 5 * coarse


@pytest.mark.parametrize("frequency", [0.05, 0.11, 0.25])
def test_a_grating_has_the_frequency_and_runs_where_it_is_said_to(frequency):
    wave = tuning.grating(64, frequency, math.pi / 2, 0.7)
    assert (wave - wave[:, :1]).abs().max() < 1e-5  # the same along each row: it runs upwards
    spectrum = torch.fft.rfft(wave[:, 0] - wave[:, 0].mean()).abs()
    assert abs(int(spectrum.argmax()) / 64 - frequency) <= 1 / 64


def test_no_grating_is_finer_than_pixels():
    with pytest.raises(ValueError, match=r"0\.5 cycles per pixel"):
        tuning.grating(8, 0.6, 0, 0)


def test_a_negative_contrast_is_the_negative_image():
    pattern = tuning.noise(3, 12, 0.6, seed=0)
    one, other = (tuning.paint(pattern, c) for c in (0.1, -0.1))
    assert one + other == pytest.approx(torch.ones_like(one))


def test_colours_are_as_strong_as_white_and_images_stay_between_0_and_1():
    pattern = tuning.noise(50, 24, 0.6, seed=0)
    for colour in stimuli.COLOURS.values():
        assert math.dist(colour, (0, 0, 0)) == pytest.approx(math.sqrt(3))
        image = tuning.paint(pattern, colour=colour)
        assert image.shape == (50, 3, 24, 24)
        assert image.min() >= 0
        assert image.max() <= 1
        assert image[:, 1].std() == pytest.approx(stimuli.CONTRAST * abs(colour[1]), rel=0.1, abs=1e-6)


def test_half_of_the_signs_are_negative():
    for count in (8, 9):
        assert abs(float(tuning.signs(count, 4).sum())) <= 1
    assert not torch.equal(tuning.signs(16, 0), tuning.signs(16, 1))


def test_every_angle_has_its_opposite():
    turn = tuning.angles(8)
    assert tuning.apart(turn, turn.roll(-4)) == pytest.approx(torch.full((8,), math.pi), abs=1e-5)
    with pytest.raises(ValueError, match="even"):
        tuning.angles(7)
