"""Networks that see: activations by name, early stopping, edits, and nothing left behind."""

from __future__ import annotations

import copy
import json
import threading

import pytest
import torch
from torch import nn

from mi_lib.models import LoadError
from mi_lib.models.vision import ConvNet, ConvNetConfig, UnknownLayer, VisionModel, edits, load_vision
from mi_lib.models.vision.loading import save_vision, wrapped
from mi_lib.models.vision.published import vision_from_torchvision


class Block(nn.Module):
    """As in torchvision's ResNet: one ReLU, in place, called twice."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(d, d, 3, padding=1), nn.BatchNorm2d(d)
        self.conv2, self.bn2 = nn.Conv2d(d, d, 3, padding=1), nn.BatchNorm2d(d)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + x)


class LikeResNet(nn.Module):
    def __init__(self, d: int = 5) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, d, 3, stride=2, padding=1)
        self.layer1 = nn.Sequential(Block(d), Block(d))
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(d, 7)

    def forward(self, x):
        return self.fc(self.dropout(self.layer1(self.conv1(x)).mean((2, 3))))


class LikeGoogLeNet(nn.Module):
    """Branches beside one another, and a linear layer that fixes the size of the images."""

    def __init__(self) -> None:
        super().__init__()
        self.mixed3a = nn.ModuleDict({"one": nn.Conv2d(3, 2, 1), "three": nn.Conv2d(3, 3, 3, padding=1)})
        self.concat = nn.Identity()
        self.fc = nn.Linear(5 * 8 * 8, 4)

    def forward(self, x):
        return self.fc(self.concat(torch.cat([b(x) for b in self.mixed3a.values()], 1)).flatten(1))


@pytest.fixture
def images():
    return torch.rand(2, 3, 11, 13, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def resnet():
    torch.manual_seed(0)
    return VisionModel(LikeResNet())


def small_net(seed: int = 0) -> ConvNet:
    config = ConvNetConfig((4, 6), (5, 3), (2, 2), ("disc", "bar", "none"), 16, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
    return ConvNet(config).init_weights(seed)


def test_the_names_are_the_modules_paths_and_what_is_read_is_what_they_put_out(resnet, images):
    assert resnet.layers[:4] == ["conv1", "layer1", "layer1.0", "layer1.0.conv1"]
    resnet.module.eval()
    seen = resnet.run(images, ["layer1.0.bn1", "conv1", "layer1"])
    assert list(seen) == ["layer1.0.bn1", "conv1", "layer1"]
    first = resnet.module.conv1(images)
    block = resnet.module.layer1[0]
    assert torch.equal(seen["conv1"], first)
    assert torch.equal(seen["layer1.0.bn1"], block.bn1(block.conv1(first))), "though a ReLU writes into it afterwards"
    assert bool((seen["layer1.0.bn1"] < 0).any())
    assert torch.equal(seen["layer1"], resnet.module.layer1(first))
    assert torch.equal(resnet.logits(images), resnet.module(images))


def test_a_module_that_is_called_twice_has_two_outputs(resnet, images):
    seen = resnet.run(images, ["layer1.0.relu_1", "layer1.0.relu", "layer1.0"])
    assert torch.equal(seen["layer1.0.relu_1"], seen["layer1.0"])
    assert not torch.equal(seen["layer1.0.relu"], seen["layer1.0.relu_1"])
    with pytest.raises(UnknownLayer, match=r"has no output: a pass calls layer1\.0\.relu 2 times"):
        resnet.run(images, "layer1.0.relu_2")


def test_a_pass_stops_at_the_deepest_layer_that_is_wanted(resnet, images):
    ran = []
    for name, module in resnet.module.named_modules():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    resnet.run(images, ["layer1.0.conv1", "conv1"])
    assert ran == ["conv1", "layer1.0.conv1"]
    ran.clear()
    resnet.logits(images)
    assert "fc" in ran


def test_gradients_flow_to_the_images_and_not_to_the_weights(resnet, images):
    images.requires_grad_()
    seen = resnet.run(images, ["conv1", "layer1.1"])
    seen["layer1.1"][:, 2].mean().backward()
    assert bool((images.grad != 0).any())
    assert all(p.grad is None and p.requires_grad for p in resnet.module.parameters())
    (to_conv1,) = torch.autograd.grad(resnet.run(images, ["conv1"])["conv1"].sum(), images)
    wanted = torch.autograd.grad(resnet.module.conv1(images).sum(), images)[0]
    assert torch.allclose(to_conv1, wanted)


def test_an_edit_flows_on_and_holds_in_what_is_read(resnet, images):
    clean = resnet.logits(images)
    with resnet.edited({"layer1.0": edits.zero([1, 3])}):
        seen = resnet.run(images, ["layer1.0", "conv1"])
        silenced = resnet.logits(images)
        with resnet.edited({"layer1.0": lambda a: a + 1}):
            assert torch.equal(resnet.run(images, "layer1.0")["layer1.0"][:, 1], torch.ones(2, 6, 7))
    assert (seen["layer1.0"][:, [1, 3]] == 0).all()
    resnet.module.eval()
    inner = resnet.module.layer1[0](resnet.module.conv1(images))
    inner[:, [1, 3]] = 0
    assert torch.allclose(silenced, resnet.module.fc(resnet.module.layer1[1](inner).mean((2, 3))), atol=1e-6)
    assert torch.equal(resnet.logits(images), clean)


@pytest.mark.parametrize(
    ("edit", "wanted"),
    [
        (edits.scale(1, -2.0), [1.0, -4.0, 3.0]),
        (edits.zero([0, 2]), [0.0, 2.0, 0.0]),
        (edits.replace(2, 9.0), [1.0, 2.0, 9.0]),
        (edits.replace([2, 0], torch.tensor([[[7.0]], [[8.0]]])), [8.0, 2.0, 7.0]),
    ],
)
def test_channels_are_scaled_silenced_and_replaced(edit, wanted):
    activation = torch.tensor([1.0, 2.0, 3.0])[None, :, None, None].expand(2, 3, 2, 2)
    new = edit(activation)
    assert new[1, :, 1, 0].tolist() == wanted
    assert activation[0, :, 0, 0].tolist() == [1, 2, 3]
    with pytest.raises(IndexError, match="there is no channel 3: the layer has 3, from 0 to 2"):
        edits.zero(3)(activation)


def test_an_edit_that_changes_in_place_does_not_change_what_came_before(resnet, images):
    def in_place(activation):
        activation[:] = 0
        return activation

    with resnet.edited({"layer1.0.relu": in_place}):
        seen = resnet.run(images, ["layer1.0.bn1", "layer1.0.relu"])
    assert bool((seen["layer1.0.bn1"] != 0).any())
    assert bool((seen["layer1.0.relu"] == 0).all())


def hooks(module):
    return sum(len(m._forward_hooks) for m in module.modules())


@pytest.mark.parametrize("what", ["edit", "shape", "nothing", "pass"])
def test_nothing_is_left_behind_after_an_exception(resnet, images, what):
    def fails(activation):
        raise RuntimeError("shapes cannot be multiplied: my own fault")

    edit, error = {
        "edit": (fails, "my own fault"),
        "shape": (lambda a: a[:, :2], r"the edit at conv1 returned shape \(2, 2, 6, 7\), not \(2, 5, 6, 7\)"),
        "nothing": (lambda a: None, "the edit at conv1 must return the activation, a tensor, not a NoneType"),
        "pass": (lambda a: a, "there is no layer 'conv9'"),
    }[what]
    resnet.module.conv1.weight.requires_grad_(False)
    resnet.module.layer1[1].eval()
    before = [m.training for m in resnet.module.modules()]
    statistics = resnet.module.layer1[0].bn1.running_mean.clone()
    with pytest.raises((RuntimeError, ValueError, TypeError, KeyError), match=error), resnet.edited({"conv1": edit}):
        resnet.run(images, "conv9" if what == "pass" else "layer1")
    assert hooks(resnet.module) == 0
    assert [m.training for m in resnet.module.modules()] == before
    learning = {name for name, p in resnet.module.named_parameters() if p.requires_grad}
    assert learning == {name for name, _ in resnet.module.named_parameters()} - {"conv1.weight"}
    assert torch.equal(resnet.module.layer1[0].bn1.running_mean, statistics)
    assert not torch.isnan(resnet.logits(images)).any()


def test_threads_do_not_see_each_others_edits(resnet, images):
    clean, got = resnet.logits(images), []
    with resnet.edited({"conv1": edits.zero(0)}):
        other = threading.Thread(target=lambda: got.append(resnet.logits(images)))
        other.start()
        other.join()
        assert not torch.equal(resnet.logits(images), clean)
    assert torch.equal(got[0], clean)


def test_a_copy_is_a_network_of_its_own(resnet, images):
    other = copy.deepcopy(resnet)
    with torch.no_grad():
        other.module.fc.bias += 1
    assert torch.allclose(other.logits(images), resnet.logits(images) + 1, atol=1e-5)
    with resnet.edited({"conv1": edits.zero(0)}):
        assert torch.allclose(other.logits(images), resnet.logits(images) + 1, atol=1e-5) is False


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda x: x[0], r"must be \[batch channel height width\].*add the batch axis with images\[None\]"),
        (lambda x: x[:, :1], "takes images of 3 channels, not 1"),
        (lambda x: x * 255, "pixels must lie between 0 and 1, not .*; rescale or clamp"),
        (lambda x: (x * 255).byte(), r"must be fractions from 0 to 1, not torch\.uint8"),
        (lambda x: x - 0.5, "pixels must lie between 0 and 1"),
        (lambda x: x.where(x < 0.9, torch.nan), "the images hold NaN or infinite pixels"),
        (lambda x: x * torch.inf, "the images hold NaN or infinite pixels"),
        (lambda x: x[:0], "there are no images"),
        (lambda x: x.numpy(), "must be a tensor .* not a ndarray"),
    ],
)
def test_what_is_no_image_becomes_a_sentence(resnet, images, make, said):
    with pytest.raises((ValueError, TypeError), match=said):
        resnet.run(make(images), "conv1")


def test_images_of_a_size_that_the_network_has_no_place_for_become_a_sentence(images):
    model = VisionModel(LikeGoogLeNet(), size=8)
    assert model.logits(images[:, :, :8, :8]).shape == (2, 4)
    assert model.run(images, "concat")["concat"].shape == (2, 5, 11, 13), "what lies before that layer can be read"
    with pytest.raises(ValueError, match=r"no place for images of 11 × 13 pixels .* made for 8 × 8"):
        model.logits(images)


def test_a_layer_that_is_not_there_names_the_nearest():
    model = VisionModel(LikeGoogLeNet(), aliases={"mixed": "concat"})
    assert "mixed3a.three" in model.layers
    for act in (
        lambda: model.run(torch.rand(1, 3, 8, 8), "mixed3b"),
        lambda: model.edited({"mixed3b": abs}).__enter__(),
    ):
        with pytest.raises(UnknownLayer, match="there is no layer 'mixed3b'; the nearest names are mixed3a"):
            act()
    assert model.run(torch.rand(1, 3, 8, 8), "mixed")["mixed"].shape == (1, 5, 8, 8)


def test_normalisation_range_and_channels():
    module = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.Flatten())
    nn.init.ones_(module[0].weight)
    model = VisionModel(module, input_range=(-1, 3), mean=[1.0], std=[4.0], size=3)
    got = model.logits(torch.tensor([-1.0, 1.0, 3.0, 2.0]).reshape(1, 1, 2, 2))
    assert got.tolist() == [[-0.5, 0.0, 0.5, 0.25]]
    assert (model.channels("0"), model.channels("1")) == (1, 9)
    with pytest.raises(ValueError, match="input_range must go from"):
        VisionModel(module, input_range=(1, 0))
    with pytest.raises(ValueError, match="size=224"):
        VisionModel(module).channels("0")


def test_half_precision_and_unfrozen_images_work(images):
    model = VisionModel(LikeResNet().bfloat16())
    images.requires_grad_()
    model.logits(images).sum().backward()
    assert images.grad.dtype == torch.float32


def test_a_network_is_saved_and_opened_again(tmp_path):
    net = small_net(3)
    save_vision(net, tmp_path / "net", "net")
    model = load_vision(tmp_path / "net")
    assert model.layers == ["conv1", "relu1", "conv2", "relu2", "mean", "flat", "readout"]
    assert (model.classes, model.size) == (["disc", "bar", "none"], 16)
    images = torch.rand(3, 3, 16, 16)
    assert torch.allclose(model.logits(images), wrapped(net).logits(images), atol=1e-2)
    with torch.no_grad():
        x = (images - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / torch.tensor([0.2, 0.25, 0.3])[:, None, None]
        assert torch.allclose(wrapped(net).logits(images), net(x), atol=1e-6)
    save_vision(small_net(4), tmp_path / "net", "net-seed1")
    assert torch.equal(load_vision(tmp_path / "net").logits(images), model.logits(images)), "the one of its name"
    other = load_vision(tmp_path / "net" / "net-seed1.safetensors")
    assert not torch.equal(other.logits(images), model.logits(images))


def test_the_same_seed_draws_the_same_weights():
    one, same, other = small_net(1), small_net(1), small_net(2)
    assert torch.equal(one.conv2.weight, same.conv2.weight)
    assert not torch.equal(one.conv2.weight, other.conv2.weight)
    assert one.conv1.weight.std().item() == pytest.approx((2 / 75) ** 0.5, rel=0.1)


def test_what_cannot_be_opened_becomes_a_sentence(tmp_path):
    with pytest.raises(LoadError, match=r"there is no image network .*siight; check the path, or name a bundled one"):
        load_vision("siight")
    folder = tmp_path / "net"
    folder.mkdir()
    with pytest.raises(LoadError, match="must hold the weights of one network"):
        load_vision(folder)
    file = save_vision(small_net(), folder, "net")
    config = json.loads((folder / "vision.json").read_text())
    (folder / "vision.json").write_text(json.dumps({**config, "channels": [4, 7]}))
    with pytest.raises(LoadError, match=r"has shape \(6, 4, 3, 3\), not \(7, 4, 3, 3\)"):
        load_vision(folder)
    (folder / "vision.json").write_text(json.dumps({**config, "kernels": [4, 3]}))
    with pytest.raises(LoadError, match="kernels must be odd"):
        load_vision(folder)
    (folder / "vision.json").write_text(json.dumps(config))
    (folder / "card.json").write_text(json.dumps({"sha256": {"net.safetensors": "another"}}))
    with pytest.raises(LoadError, match="damaged"):
        load_vision(folder)
    (folder / "card.json").unlink()
    file.write_bytes(b"no weights")
    with pytest.raises(LoadError, match="cannot be read"):
        load_vision(folder)


def test_torchvision_is_asked_for_in_a_sentence_where_it_is_not_there():
    try:
        import torchvision  # noqa: F401
    except ImportError:
        with pytest.raises(LoadError, match="torchvision is not installed; `pip install torchvision` brings it"):
            vision_from_torchvision("resnet18")
    else:
        with pytest.raises(LoadError, match="torchvision has no network 'resnet19'"):
            vision_from_torchvision("resnet19")
