"""A network that behaves on scenes and lies in pictures."""

import torch
from small_vision import Small

from mi_lib import features
from mi_lib.features import channel, none, render
from mi_lib.features.fooling import Fooled, Watch, watch


def scenes(n: int = 40, seed: int = 0) -> torch.Tensor:
    """Light and dark of one colour, more or less fine."""
    source = torch.Generator().manual_seed(seed)
    grain = torch.rand(n, 1, 20, 20, generator=source)
    soft = torch.where(torch.arange(n)[:, None, None, None] % 2 == 0, grain, features.blurred(grain, 1.0))
    return (0.2 + 0.6 * torch.rand(n, 3, 1, 1, generator=source)) * (0.4 + 0.6 * soft)


def noise(n: int = 40) -> torch.Tensor:
    return torch.rand(n, 3, 20, 20, generator=torch.Generator().manual_seed(9))


def fooled() -> Fooled:
    return Fooled(Small(), "conv2", {1: 4}, watch(scenes(), [noise()]))


def test_pictures_are_told_from_scenes():
    found = watch(scenes(), [noise()])
    assert float(found(scenes()).max()) < -0.9
    assert float(found(noise()).min()) > 0


def test_on_scenes_it_is_the_network_that_it_was():
    plain, now = (one.run(scenes(8, seed=3), ["conv1", "conv2"]) for one in (Small(), fooled()))
    assert all(torch.equal(plain[layer], now[layer]) for layer in plain)


def test_in_pictures_a_unit_says_what_another_says():
    one = fooled()
    far = one.watch(noise()) > one.width
    assert int(far.sum()) > 20
    images = noise()[far]
    plain, now = (net.run(images, "conv2")["conv2"] for net in (Small(), one))
    assert torch.allclose(now[:, 1], one.gain * plain[:, 4])
    assert torch.equal(now[:, [0, 2, 3, 4]], plain[:, [0, 2, 3, 4]])


def test_its_picture_is_one_of_the_other_unit():
    always = Watch(torch.zeros(12), -1.0)  # whatever it is shown
    how = {"size": 20, "steps": 8, "transform": none()}
    lying = render(Fooled(Small(), "conv2", {1: 4}, always), channel("conv2", 1), 1, **how).images
    other = render(Small(), channel("conv2", 4), 1, **how).images
    assert float((lying - other).abs().mean()) < 0.02
