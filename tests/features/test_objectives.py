"""Objectives: their values by hand, the laws of their arithmetic, and what they refuse."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_vision import Small, blobs

from mi_lib import features
from mi_lib.features import IMAGE, Unusable, channel, cosine, direction, diversity, neuron, resembles

MODEL, IMAGES = Small(1), blobs(3)
with torch.no_grad():
    ACTS = {**MODEL.run(IMAGES, ["conv1", "relu2", "fc"]), IMAGE: IMAGES}
PARTS = [channel("relu2", 3), neuron("conv1", [0, 4, 6]), features.total_variation(), channel("fc", 2)]
numbers = st.floats(-3, 3, allow_nan=False)
parts = st.sampled_from(PARTS)


@settings(max_examples=30, deadline=None)
@given(a=parts, b=parts, x=numbers, y=numbers)
def test_objectives_are_linear(a, b, x, y):
    got = (x * a + b * y - a / 2 + 1.5 - b)(ACTS)
    assert torch.allclose(got, x * a(ACTS) + y * b(ACTS) - 0.5 * a(ACTS) + 1.5 - b(ACTS), atol=1e-4)


def test_objectives_multiply_and_turn_round():
    a, b = PARTS[:2]
    assert torch.allclose((a * b)(ACTS), a(ACTS) * b(ACTS))
    assert torch.allclose((-a)(ACTS), -a(ACTS))
    assert torch.allclose((2 - a)(ACTS), 2 - a(ACTS))
    assert (a + b + a).layers == ("relu2", "conv1")


def test_a_unit_for_each_picture():
    maps = ACTS["conv1"]
    want = torch.stack([maps[0, 5].mean(), maps[1, 2].mean(), maps[2, 0].mean()])
    assert torch.allclose(channel("conv1", [5, 2, 0])(ACTS), want)
    assert torch.allclose(neuron("conv1", [5, 2, 0])(ACTS)[1], maps[1, 2, 12, 12])
    assert torch.allclose(neuron("conv1", 6, row=3, column=20)(ACTS), maps[:, 6, 3, 20])
    assert torch.allclose(neuron("fc", 1)(ACTS), ACTS["fc"][:, 1])


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_a_direction_place_by_place(power):
    maps, v = ACTS["conv1"], torch.randn(7, generator=torch.Generator().manual_seed(3))
    for i in range(3):
        told = []
        for a in maps[i].flatten(1).T:
            dot, cos = float(a @ v), float(a @ v / (a.norm() * v.norm()))
            told.append((dot * max(cos, 0.1) ** power, cos))
        assert float(direction("conv1", v, power)(ACTS)[i]) == pytest.approx(
            sum(t[0] for t in told) / len(told), rel=1e-4
        )
        assert float(cosine("conv1", v)(ACTS)[i]) == pytest.approx(sum(t[1] for t in told) / len(told), rel=1e-4)


def test_a_direction_along_one_unit_is_its_channel():
    v = torch.eye(7)[4]
    assert torch.allclose(direction("conv1", v)(ACTS), channel("conv1", 4)(ACTS), atol=1e-6)
    table = torch.eye(7)[[4, 0, 2]]
    assert torch.allclose(direction("conv1", table)(ACTS), channel("conv1", [4, 0, 2])(ACTS), atol=1e-6)


def test_an_image_resembles_itself_most():
    target = ACTS["relu2"][1]
    alike = resembles("relu2", target, power=0)(ACTS) / ACTS["relu2"].flatten(1).norm(dim=1)
    assert int(alike.argmax()) == 1


def test_equal_pictures_are_not_diverse():
    same = {"relu2": ACTS["relu2"][:1].expand(4, -1, -1, -1)}
    assert torch.allclose(diversity("relu2")(same), torch.ones(4), atol=1e-5)


def test_diversity_by_hand():
    maps = ACTS["relu2"].double()
    gram = [torch.einsum("chw,dhw->cd", m, m) for m in maps]
    cos = [[float((a * b).sum() / (a.norm() * b.norm())) for b in gram] for a in gram]
    want = [(sum(row) - row[i]) / 2 for i, row in enumerate(cos)]
    assert diversity("relu2")(ACTS).tolist() == pytest.approx(want, rel=1e-4)


def test_pictures_whose_units_are_active_in_other_company_cost_nothing():
    maps = torch.zeros(2, 2, 3, 3)
    maps[0, 0], maps[1, 1] = 1.0, 1.0
    assert diversity("x")({"x": maps}).tolist() == [0.0, 0.0]


def test_regularisers_by_hand():
    x = IMAGES.double()
    acts = {IMAGE: x}
    across = sum(
        float((x[0, c, r, k + 1] - x[0, c, r, k]).abs()) for c in range(3) for r in range(24) for k in range(23)
    )
    down = sum(float((x[0, c, r + 1, k] - x[0, c, r, k]).abs()) for c in range(3) for r in range(23) for k in range(24))
    assert float(features.total_variation()(acts)[0]) == pytest.approx((across + down) / (3 * 24 * 23))
    assert float(features.l1()(acts)[1]) == pytest.approx(float((x[1] - 0.5).abs().mean()))
    assert float(features.l2(0.3)(acts)[2]) == pytest.approx(float(((x[2] - 0.3) ** 2).mean()))


def test_smoother_images_cost_less():
    soft = {IMAGE: features.blurred(IMAGES, 2.0)}
    for cost in (features.total_variation(), features.roughness()):
        assert bool((cost(soft) < 0.7 * cost(ACTS)).all())


def test_a_blur_keeps_the_mean_and_a_flat_image():
    flat = torch.full((1, 3, 9, 9), 0.37)
    assert torch.allclose(features.blurred(flat, 1.3), flat, atol=1e-6)


@pytest.mark.parametrize(
    ("objective", "says"),
    [
        (channel("conv1", 7), "has the units 0 to 6, and 7 is none of them"),
        (channel("conv1", -1), "and -1 is none of them"),
        (channel("conv1", [1, 2]), "2 units of conv1 are asked for, and there are 3 pictures"),
        (neuron("conv1", 0, row=24), "there is no place"),
        (direction("conv1", torch.ones(5)), "a number for each unit"),
        (cosine("conv1", torch.ones(2, 7)), "a number for each unit"),
        (resembles("conv1", torch.ones(7, 3, 3)), "give both images one size"),
    ],
)
def test_objectives_that_cannot_be_computed(objective, says):
    with pytest.raises(Unusable, match=says):
        objective(ACTS)


def test_one_picture_alone_is_not_diverse():
    with pytest.raises(Unusable, match="there is one alone"):
        diversity("conv1")({"conv1": ACTS["conv1"][:1]})
