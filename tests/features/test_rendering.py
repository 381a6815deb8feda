"""Gradient ascent: it climbs, it leaves the network alone, it renders many units as it would render each."""

import pytest
import torch
from small_vision import Small, blobs

from mi_lib import features
from mi_lib.features import Pixels, Unusable, channel, none, render
from mi_lib.models.vision import UnknownLayer, VisionModel

SIZE, STEPS = 20, 6


def test_pictures_please_their_units_more_and_more():
    model, objective = Small(), channel("conv2", [0, 5, 9])
    found = render(model, objective, 3, size=SIZE, steps=STEPS, transform=none())
    assert bool((found.values[-1] > found.values[0]).all())
    before = features.judged(model, objective, torch.full((3, 3, SIZE, SIZE), 0.5))
    assert bool((features.judged(model, objective, found.images) > before).all())
    assert 0 <= float(found.images.min()) <= float(found.images.max()) <= 1
    assert found.values.shape == (STEPS, 3)


def test_the_network_is_left_as_it_was_and_runs_no_farther_than_asked():
    model = Small()
    before = [p.clone() for p in model.module.parameters()]
    render(model, channel("conv2", 3), 2, size=SIZE, steps=STEPS)
    assert all(torch.equal(a, b) for a, b in zip(before, model.module.parameters(), strict=True))
    assert all(p.grad is None and p.requires_grad for p in model.module.parameters())
    assert model.ran == ["conv1", "relu1", "pool1", "conv2"]


def test_a_batch_of_units_is_as_good_as_each_alone():
    together = render(Small(), channel("conv2", [1, 4]), 2, size=SIZE, steps=STEPS, seeds=[7, 9]).images
    for i, (unit, seed) in enumerate([(1, 7), (4, 9)]):
        alone = render(Small(), channel("conv2", unit), 1, size=SIZE, steps=STEPS, seeds=[seed]).images[0]
        assert torch.allclose(together[i], alone, atol=1e-4)


def test_seeds_decide():
    one, same, other = (
        render(Small(), channel("conv2", 2), 1, size=SIZE, steps=STEPS, seeds=s).images for s in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.allclose(one, other, atol=1e-3)


def test_diversity_is_subtracted():
    model, likes = Small(), channel("conv2", 6)
    alike = features.diversity("conv2")
    how = {"size": SIZE, "steps": 12, "transform": none(), "seeds": 3}
    plain, apart, together = (render(model, likes + w * alike, 3, **how).images for w in (0.0, -20.0, 20.0))
    cost = [float(features.judged(model, alike, images).mean()) for images in (apart, plain, together)]
    assert cost[0] < cost[1] <= cost[2] + 1e-3


def test_a_start_from_images_and_any_size():
    images = blobs(2, size=18)[..., :14]
    found = render(Small(), channel("conv1", 0), 2, start=images, steps=1, rate=1e-4, parameterisation=Pixels())
    assert torch.allclose(found.images, images.clamp(0.01, 0.99), atol=1e-3)
    assert render(Small(), channel("conv1", 0), 1, size=(12, 17), steps=2).images.shape == (1, 3, 12, 17)


def test_a_picture_can_be_watched():
    steps = list(features.rendering(Small(), channel("conv1", 0), 1, size=SIZE, steps=4))
    assert [len(step.values) for step in steps] == [1, 2, 3, 4]
    assert torch.equal(steps[-1].images, render(Small(), channel("conv1", 0), 1, size=SIZE, steps=4).images)


def test_a_cost_alone_makes_a_picture_flat():
    found = render(Small(), -features.total_variation(), 1, start=blobs(1), steps=30, parameterisation=Pixels())
    assert float(found.values[-1]) > 0.5 * float(found.values[0]) > float(found.values[0])


def dead() -> Small:
    model = Small()
    with torch.no_grad():
        model.module.conv2.bias[4] = -1e6
    return model


def with_nan() -> Small:
    model = Small()
    with torch.no_grad():
        model.module.conv1.weight[2] = float("nan")
    return model


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: render(dead(), channel("relu2", [3, 4]), 2, size=SIZE),
            "for picture 1: its ReLU is 0 .* dataset example",
        ),
        (lambda: render(with_nan(), channel("conv2", 0), 1, size=SIZE), "NaN or infinite at step 0"),
        (lambda: render(Small(), features.number(3.0), 1, size=SIZE), "does not depend on the picture"),
        (lambda: render(Small(), channel("conv2", 0), 2, size=SIZE, seeds=[1]), "2 pictures need 2 seeds"),
        (lambda: render(Small(), channel("conv2", 0), 0, size=SIZE), "one picture and one step"),
        (lambda: render(Small(), channel("conv2", 0), 1, steps=0), "one picture and one step"),
        (
            lambda: render(Small(), channel("conv2", 0), 1, start=torch.full((1, 3, 9, 9), 127.0)),
            "the range from 0 to 1",
        ),
        (lambda: render(Small(), channel("conv2", 0), 1, start=torch.zeros(1, 9, 9, 3)), "batch 3 height width"),
        (lambda: render(Small(), channel("conv2", 0), 2, start=blobs(3)), "3 images to start from for 2 pictures"),
        (lambda: features.judged(Small(), channel("conv2", 0), blobs(1) * float("nan")), "hold NaN"),
        (lambda: features.judged(Small(), channel("conv2", 0), torch.zeros(1, 3, 9, 9).int()), "divide by 255"),
    ],
)
def test_what_cannot_be_rendered(make, says):
    with pytest.raises(Unusable, match=says):
        make()


def test_a_network_of_the_library_and_a_layer_that_it_lacks():
    model = VisionModel(Small().module, size=SIZE)
    found = render(model, channel("conv2", 3), 1, size=SIZE, steps=3).images
    assert torch.allclose(found, render(Small(), channel("conv2", 3), 1, size=SIZE, steps=3).images, atol=1e-5)
    assert all(p.grad is None for p in model.module.parameters())
    with pytest.raises(UnknownLayer, match="the nearest names are conv2"):
        render(model, channel("conv3", 3), 1, size=SIZE)


def test_a_caricature_does_more_of_the_same():
    """Of what its own image does beyond a grey one, and less of what another does."""
    model, images = Small(), blobs(2, size=16)
    images[1] = 1 - images[0]
    found = features.caricature(model, "relu2", images[0], steps=15)
    with torch.no_grad():
        both, made, flat = (
            model.run(x, ["relu2"])["relu2"].flatten(1) for x in (images, found[None], torch.full((1, 3, 16, 16), 0.5))
        )
    assert float(both[0] @ made[0]) > 1.2 * float(both[0] @ both[0])
    own, other = torch.cosine_similarity(both - flat, made - flat).tolist()
    assert own > max(other, 0.3)


def test_a_grid_has_a_picture_for_each_place():
    found = features.grid(Small(), "conv2", blobs(1, size=16)[0], every=3, size=12, steps=3)
    assert found.shape == (2, 2, 3, 12, 12)
    with pytest.raises(Unusable, match="have no places"):
        features.grid(Small(), "fc", blobs(1)[0])
