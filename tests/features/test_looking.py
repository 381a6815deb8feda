"""Dataset examples and receptive fields, units matched between networks, and what a picture promises."""

import math

import pytest
import scipy.stats
import torch
from small_vision import Small, blobs

from mi_lib import features
from mi_lib.features import Field, Unusable


def test_top_examples_are_sorted_and_each_image_counts_once():
    maps = torch.rand(9, 4, 5, generator=torch.Generator().manual_seed(0))
    maps[6, 1, 2], maps[6, 3, 3], maps[2, 3, 4] = 7.0, 6.0, 5.0
    found = features.top(maps, 3)
    assert found.image[:2].tolist() == [6, 2]
    assert (found.row[0], found.column[0], found.row[1], found.column[1]) == (1, 2, 3, 4)
    assert found.value.tolist() == sorted((float(m.max()) for m in maps), reverse=True)[:3]


def test_random_examples_do_not_look_at_the_unit():
    maps = torch.rand(50, 3, 3, generator=torch.Generator().manual_seed(1))
    one, other = features.random(maps, 20, seed=4), features.random(maps * maps.flip(0), 20, seed=4)
    assert torch.equal(one.image, other.image)
    assert len(set(one.image.tolist())) == 20
    assert torch.equal(one.value, maps[one.image].flatten(1).amax(1))
    assert not torch.equal(one.image, features.random(maps, 20, seed=5).image)


def test_receptive_fields_of_a_network_worked_out_by_hand():
    assert features.field(Small(), "conv1", 24) == Field(5, 1, -2)
    assert features.field(Small(), "pool1", 24) == Field(6, 2, -2)
    assert features.field(Small(), "conv2", 24) == Field(10, 2, -2)  # no padding: place 0 sees places 0 to 2 of pool1


def test_a_patch_is_what_the_unit_sees():
    """Everything outside of it may change, and the activation stays."""
    model, images = Small(), blobs(6)
    maps = features.activations(model, "conv2", images)[:, 8]
    found, seen = features.top(maps, 2), features.field(model, "conv2", 24)
    for i, patch in enumerate(features.patches(images, found, seen)):
        y, x = (seen.start + seen.stride * int(at[i]) for at in (found.row, found.column))
        other = torch.rand(1, 3, 24, 24)
        inside = [slice(max(0, a), a + seen.size) for a in (y, x)]
        other[0, :, inside[0], inside[1]] = images[found.image[i]][:, inside[0], inside[1]]
        again = model.run(other, ["conv2"])["conv2"][0, 8, found.row[i], found.column[i]].detach()
        assert float(again) == pytest.approx(float(found.value[i]), rel=1e-4)
        whole = torch.nn.functional.pad(images[found.image[i]], (20,) * 4, value=0.5)
        assert torch.equal(patch, whole[:, 20 + y : 20 + y + seen.size, 20 + x : 20 + x + seen.size])


def test_units_that_were_shuffled_are_found_again():
    a = torch.randn(40, 6, generator=torch.Generator().manual_seed(2)).double()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    b = 2 - 3 * -a[:, order] + 0.1 * torch.randn(40, 6, generator=torch.Generator().manual_seed(3))
    r = features.correlations(a, b)
    for one_to_one in (False, True):
        assert torch.equal(order[features.matched(r, one_to_one)], torch.arange(6))
    want = [[scipy.stats.pearsonr(x, y)[0] for y in b.T.numpy()] for x in a.T.numpy()]
    assert torch.allclose(r, torch.tensor(want), atol=1e-6)
    assert bool((features.unmatched(r) != features.matched(r)).all())


def test_one_to_one_shares_nobody():
    r = torch.tensor([[0.9, 0.8, 0.0], [0.85, 0.1, 0.0], [0.2, 0.3, 0.1]])
    assert features.matched(r).tolist() == [0, 0, 1]
    assert features.matched(r, one_to_one=True).tolist() == [1, 0, 2]


def test_a_unit_that_never_varies_correlates_with_nothing():
    r = features.correlations(torch.ones(5, 1), torch.randn(5, 3))
    assert torch.equal(r, torch.zeros(1, 3).double())


def grating(frequency: float, angle: float, colour=(1.0, 1.0, 1.0), phase=0.0, size=32) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    wave = torch.cos(2 * math.pi * frequency * (x * math.cos(angle) + y * math.sin(angle)) + phase)
    return 0.5 + 0.4 * torch.tensor(colour)[:, None, None] * wave


def test_a_grating_promises_gratings_of_its_own_angle_frequency_and_colour():
    angles = [math.pi * k / 6 for k in range(6)]
    pictures = torch.stack([grating(0.2, a) for a in angles])
    moved = torch.stack([grating(0.2, a, phase=2.0) for a in angles])
    assert features.by_waves(pictures, moved).argmax(1).tolist() == list(range(6))
    by = torch.stack([grating(f, 0.3, phase=1.0) for f in (0.08, 0.16, 0.32)])
    assert features.by_waves(by, by).argmax(1).tolist() == [0, 1, 2]
    colours = torch.stack([grating(0.2, 0.3, c) for c in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))])
    assert features.by_waves(colours, colours).argmax(1).tolist() == [0, 1, 2]


def test_by_place_finds_a_shape_wherever_it_lies():
    image = torch.full((3, 3, 16, 16), 0.5)
    image[0, :, 2:6, 2:4], image[1, :, 2:4, 2:6], image[2, :, 2:6, 2:4] = 0.9, 0.9, 0.1  # tall, wide, and dark
    moved = image.roll((5, 3), (2, 3))
    table = features.by_place(image, moved)
    assert table.argmax(1).tolist() == [0, 1, 2]
    a, b = (x - x.mean((1, 2), keepdim=True) for x in (image[0], moved[1]))
    brute = max(float((a.roll((y, x), (1, 2)) * b).sum()) for y in range(16) for x in range(16))
    assert float(table[0, 1]) == pytest.approx(brute / float(a.norm()), rel=1e-4)


def test_bands_tell_fine_from_wide_and_light_from_colour():
    def strongest(colour, frequency):
        return divmod(int(features.bands(grating(frequency, 0.4, colour, size=48)[None])[0].argmax()), 3)

    assert [strongest((1.0, 1.0, 1.0), f)[0] for f in (0.4, 0.2, 0.1, 0.05)] == [0, 1, 2, 3]
    assert [strongest(c, 0.14)[1] for c in ((1.0, 1.0, 1.0), (1.0, -1.0, 0.0), (0.5, 0.5, -1.0))] == [0, 1, 2]


def test_a_picture_promises_what_is_special_about_it():
    """All pictures are coarse; one is a little finer, and promises fine images."""
    pictures = torch.stack([grating(f, 0.2) for f in (0.03, 0.06, 0.04)])
    images = torch.stack([grating(f, 1.0, phase=1.0) for f in (0.03, 0.2, 0.05)])
    promised = features.by_bands(pictures, images)
    assert int(promised[1].argmax()) == 1
    assert int(promised[0].argmax()) != 1
    assert torch.allclose(promised.sum(0), torch.zeros(3), atol=1e-4)


def test_a_template_is_laid_on_every_place():
    pictures, images = torch.rand(2, 3, 3, 3), torch.rand(4, 3, 8, 7)
    for step in (1, 2):
        told = [
            [
                sum(
                    max(0.0, float(((x[:, r : r + 3, c : c + 3] - 0.5) * (p - 0.5)).sum())) ** 2
                    for r in range(0, 6, step)
                    for c in range(0, 5, step)
                )
                / (len(range(0, 6, step)) * len(range(0, 5, step)))
                for x in images
            ]
            for p in pictures
        ]
        assert torch.allclose(features.by_template(pictures, images, step), torch.tensor(told), atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_rank_correlation_is_spearmans(seed):
    source = torch.Generator().manual_seed(seed)
    a, b = torch.randint(0, 5, (2, 3, 17), generator=source).double()
    want = [scipy.stats.spearmanr(x, y)[0] for x, y in zip(a.numpy(), b.numpy(), strict=True)]
    assert features.rank_correlation(a, b).tolist() == pytest.approx(want)
    assert float(features.rank_correlation(torch.ones(9), torch.arange(9.0))) == 0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: features.top(torch.rand(3, 2, 2), 4), "4 examples are asked for, and there are 3"),
        (lambda: features.random(torch.rand(3, 2, 2), 0), "0 examples"),
        (lambda: features.field(Small(), "fc", 24), "they see all of it"),
        (lambda: features.correlations(torch.rand(3, 2), torch.rand(4, 2)), "the same images"),
        (lambda: features.matched(torch.rand(3, 2), one_to_one=True), "for itself"),
        (lambda: features.by_waves(torch.rand(1, 3, 8, 8), torch.rand(2, 3, 9, 9)), "render the pictures at the size"),
        (lambda: features.by_place(torch.rand(1, 3, 8, 8), torch.rand(2, 3, 9, 9)), "render the pictures at the size"),
        (lambda: features.by_bands(torch.rand(1, 3, 8, 8), torch.rand(2, 3, 8, 8)), "two or more of both"),
        (lambda: features.by_template(torch.rand(1, 3, 9, 9), torch.rand(2, 3, 8, 8)), "cut them to the receptive"),
        (lambda: features.by_waves(torch.rand(1, 3, 8, 8) * 3, torch.rand(2, 3, 8, 8)), "the range from 0 to 1"),
        (lambda: features.rank_correlation(torch.rand(4), torch.rand(5)), "two rows of the same length"),
        (lambda: features.activations(Small(), "conv1", torch.rand(2, 1, 8, 8)), "batch 3 height width"),
    ],
)
def test_what_cannot_be_looked_at(make, says):
    with pytest.raises(Unusable, match=says):
        make()
