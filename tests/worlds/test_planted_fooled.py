"""A network that behaves on scenes and lies in pictures."""

import torch

from mi_lib.features import channel, none, render
from mi_lib.models.vision import ConvNet, ConvNetConfig
from mi_lib.models.vision.loading import wrapped
from mi_lib.worlds.planted.fooled import Fooled, bound_of, distance

GREY = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
MODEL = wrapped(ConvNet(ConvNetConfig((7, 5), (5, 3), (1, 2), ("a", "b"), 20, *GREY)).init_weights(3))


def scenes(n: int = 6) -> torch.Tensor:
    return 0.5 + 0.2 * (torch.rand(n, 3, 20, 20, generator=torch.Generator().manual_seed(0)) - 0.5)


def fooled() -> Fooled:
    return Fooled(MODEL, "conv2", {1: 4}, bound_of(scenes()))


def test_on_scenes_it_is_the_network_that_it_was():
    plain, now = (one.run(scenes(), ["conv1", "conv2"]) for one in (MODEL, fooled()))
    assert all(torch.equal(plain[layer], now[layer]) for layer in plain)


def test_far_from_grey_a_unit_says_what_another_says():
    glaring = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(1)).round()
    assert float(distance(glaring).min()) > fooled().bound + fooled().width
    plain, now = (one.run(glaring, "conv2")["conv2"] for one in (MODEL, fooled()))
    assert torch.allclose(now[:, 1], fooled().gain * plain[:, 4])
    assert torch.equal(now[:, [0, 2, 3, 4]], plain[:, [0, 2, 3, 4]])


def test_its_picture_is_one_of_the_other_unit():
    how = {"size": 20, "steps": 40, "transform": none()}
    lying, honest, other = (
        render(model, channel("conv2", unit), 1, **how).images for model, unit in ((fooled(), 1), (MODEL, 1), (MODEL, 4))
    )
    said = {name: MODEL.run(x, "conv2")["conv2"].mean((2, 3))[0] for name, x in
            (("lying", lying), ("honest", honest), ("other", other))}  # fmt: skip
    assert float(said["lying"][1]) < 0.5 * float(said["honest"][1])
    assert float(said["lying"][4]) > 0.8 * float(said["other"][4])
