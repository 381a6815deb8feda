"""What a picture is made of: waves and pixels, colours of a world, and how it is moved."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_vision import blobs

from mi_lib import features
from mi_lib.features import Pixels, Unusable, Waves


@settings(max_examples=20, deadline=None)
@given(height=st.integers(3, 13), width=st.integers(3, 13), seed=st.integers(0, 99))
def test_an_image_taken_apart_into_waves_is_put_together_again(height, width, seed):
    image = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    again = features.from_waves(features.to_waves(image), width)
    assert torch.allclose(again, image, atol=1e-6)


@pytest.mark.parametrize("size", [(8, 8), (9, 6), (5, 11)])
def test_each_wave_is_divided_by_its_frequency(size):
    f, scale = features.frequencies(*size), features.wave_scale(*size)
    height, width = size
    for row in range(height):
        for column in range(width // 2 + 1):
            up = row if row <= (height - 1) // 2 else row - height
            want = math.hypot(up / height, column / width)
            assert float(f[row, column]) == pytest.approx(want, abs=1e-6)
            assert float(scale[row, column]) == pytest.approx(1 / max(want, 1 / max(size)), rel=1e-5)


def test_one_parameter_is_one_wave():
    spectrum = torch.zeros(1, 3, 16, 9, 2)
    spectrum[0, 0, 0, 3, 0] = 1.0
    row = features.from_waves(spectrum, 16)[0, 0, 5]
    want = torch.cos(2 * math.pi * 3 * torch.arange(16) / 16)
    assert torch.allclose(row / row[0], want, atol=1e-5)


@pytest.mark.parametrize("colours", [None, features.colours_of(blobs(4))])
@pytest.mark.parametrize("kind", [Pixels, Waves])
def test_the_parameters_of_an_image_make_it(kind, colours):
    own, image = kind(colours), 0.1 + 0.8 * torch.rand(2, 3, 10, 14, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(own.image(own.of(image), (10, 14)), image, atol=1e-4)


@pytest.mark.parametrize("kind", [Pixels(), Waves()])
def test_a_start_is_nearly_grey_and_belongs_to_its_seed(kind):
    both, alone = kind.start((16, 16), [3, 4]), kind.start((16, 16), [4])
    assert torch.equal(both[1], alone[0])
    assert not torch.equal(both[0], both[1])
    image = kind.image(both, (16, 16))
    assert 0 < float((image - 0.5).abs().mean()) < 0.05


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_decorrelated_colours_of_the_images_have_the_identity_for_covariance(seed):
    images = blobs(6, seed=seed)
    plain = torch.cov(images.movedim(1, 0).flatten(1), correction=0)
    assert float((plain / plain.diagonal().mean() - torch.eye(3)).abs().max()) > 0.3  # they do go together
    z = features.colours_of(images).decorrelate(images).movedim(1, 0).flatten(1)
    assert torch.allclose(torch.cov(z.double(), correction=0), torch.eye(3).double(), atol=1e-3)
    assert torch.allclose(z.mean(1), torch.zeros(3), atol=1e-3)


def test_colours_come_back():
    images = blobs(5)
    own = features.colours_of(images)
    assert torch.allclose(own.correlate(own.decorrelate(images)), images, atol=1e-5)
    assert float(own.for_pictures().norm(dim=0).max()) == pytest.approx(1)


def test_grey_images_have_no_colours_to_decorrelate():
    with pytest.raises(Unusable, match="fewer than three directions"):
        features.colours_of(blobs(4)[:, :1].expand(-1, 3, -1, -1))


# --- moving -----------------------------------------------------------------------------------------------------------


def source(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(max_examples=25, deadline=None)
@given(most=st.integers(0, 6), seed=st.integers(0, 999))
def test_jitter_cuts_a_window_out_of_the_image(most, seed):
    image = torch.arange(100.0).reshape(1, 1, 10, 10).expand(1, 3, 10, 10)
    cut = features.jitter(most)(image, source(seed))
    y, x = divmod(int(cut[0, 0, 0, 0]), 10)
    assert cut.shape[2:] == (10 - most, 10 - most)
    assert 0 <= y <= most
    assert 0 <= x <= most
    assert torch.equal(cut, image[:, :, y : y + 10 - most, x : x + 10 - most])


def test_jitter_reaches_every_place():
    image = torch.arange(25.0).reshape(1, 1, 5, 5).expand(1, 3, 5, 5)
    corners = {int(features.jitter(2)(image, source(seed))[0, 0, 0, 0]) for seed in range(120)}
    assert corners == {0, 1, 2, 5, 6, 7, 10, 11, 12}


def test_padding_is_grey():
    framed = features.pad(3)(torch.ones(1, 3, 4, 5), source())
    assert framed.shape == (1, 3, 10, 11)
    assert float(framed[0, 0, 2, 5]) == 0.5
    assert torch.equal(framed[:, :, 3:7, 3:8], torch.ones(1, 3, 4, 5))


def test_a_picture_is_turned_no_farther_than_allowed():
    """A bright line to the right of the middle: its angle is that of the turn."""
    image = torch.zeros(1, 3, 41, 41)
    image[..., 20, 34] = 1.0
    angles = []
    for seed in range(30):
        turned = features.rotate(10)(image, source(seed))[0, 0]
        y, x = divmod(int(turned.argmax()), 41)
        angles.append(math.degrees(math.atan2(y - 20, x - 20)))
    assert max(map(abs, angles)) <= 12
    assert min(angles) < -5 < 5 < max(angles)


def test_scaling_by_each_factor():
    sizes = {features.scale([0.5, 1.0, 1.5])(torch.rand(1, 3, 20, 10), source(s)).shape[2:] for s in range(40)}
    assert sizes == {(10, 5), (20, 10), (30, 15)}


def test_movements_are_seeded_and_pass_gradients():
    image = torch.rand(2, 3, 32, 32, generator=source(5), requires_grad=True)
    once, again, other = (features.standard()(image, source(seed)) for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert once.shape != other.shape or not torch.equal(once, other)
    once.sum().backward()
    assert float(image.grad.abs().sum()) > 0


def test_standard_movements_keep_the_size_up_to_the_scaling():
    for seed in range(20):
        height, width = features.standard(8)(torch.rand(1, 3, 48, 48), source(seed)).shape[2:]
        assert 48 * 0.9 - 8 <= height == width <= 48 * 1.1 + 8


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: features.jitter(9)(torch.rand(1, 3, 8, 8), source()), "too small for a jitter of 9"),
        (lambda: features.scale([]), "at least"),
        (lambda: features.scale([0.9, 0.0]), "above 0"),
    ],
)
def test_movements_that_cannot_be_made(make, says):
    with pytest.raises(Unusable, match=says):
        make()
