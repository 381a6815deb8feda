"""The networks that see scenes: training goes on where it was interrupted, and the checks would notice another."""

from __future__ import annotations

import pytest
import torch
from rich.progress import Progress

from mi_lib import zoo
from mi_lib.models.vision import VisionModel, load_vision
from mi_lib.models.vision.loading import wrapped
from mi_lib.recipes.sight import checks, train
from mi_lib.worlds import scenes


def test_each_step_has_scenes_of_its_own_and_none_is_seen_twice(monkeypatch):
    monkeypatch.setattr(train, "BATCH", 2)
    one, same, next_, other = (train.training_scenes(*at) for at in [(0, 5), (0, 9), (0, 16), (1, 5)])
    assert torch.equal(one.images, same.images), "steps 0 to 15 share what is drawn at once"
    assert not torch.equal(one.images, next_.images)
    assert not torch.equal(one.images, other.images)
    assert len(one) == 2 * train.AT_ONCE


def test_training_sees_what_a_vision_model_sees():
    net, images = train.new_net(0), scenes.sample(3, seed=0).images
    assert torch.allclose(train.logits(net, images), wrapped(train.new_net(0)).logits(images), atol=1e-5)
    assert train.logits(net, images).requires_grad


def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(tmp_path, monkeypatch):
    small = {"CHANNELS": (4, 5), "KERNELS": (3, 3), "STRIDES": (4, 2), "BATCH": 2, "AT_ONCE": 2, "STEPS": 6}
    for name, value in {**small, "COOL_DOWN_FROM": 4, "SAVE_EVERY": 2, "RECORD_EVERY": 2}.items():
        monkeypatch.setattr(train, name, value)
    monkeypatch.setattr(train, "record", lambda net, _, step, curves: _noted(net, step, curves))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    with Progress(disable=True) as progress:
        first = train.train(7, whole, progress)
        rate = train.learning_rate

        def power_cut(step):
            if step == 5:
                raise KeyboardInterrupt
            return rate(step)

        monkeypatch.setattr(train, "learning_rate", power_cut)
        with pytest.raises(KeyboardInterrupt):
            train.train(7, broken, progress)
        monkeypatch.setattr(train, "learning_rate", rate)
        second = train.train(7, broken, progress)
    assert first["curves"] == second["curves"]
    assert first["curves"]["step"] == [0, 2, 4, 6]
    assert (whole / "model.safetensors").read_bytes() == (broken / "model.safetensors").read_bytes()
    assert not (broken / "state.pt").exists()


def _noted(net, step, curves):
    curves["step"].append(step)
    curves["loss"].append(float(net.conv1.weight.abs().sum()))


def test_accuracy_is_the_share_of_right_classes_by_kind(monkeypatch):
    drawn = scenes.sample(60, seed=3)
    monkeypatch.setattr(checks, "held_out", lambda: drawn)
    images = {image.sum().item(): label for image, label in zip(drawn.images, drawn.labels(), strict=True)}
    sharp = scenes.KINDS.index("sharp")

    class Knows(torch.nn.Module):
        """Everything but sharp figures, which it calls absent."""

        def forward(self, x):
            labels = torch.stack([images[image.sum().item()] for image in x])
            labels = torch.where(labels // len(scenes.SHAPES) == sharp, len(scenes.CLASSES) - 1, labels)
            return torch.nn.functional.one_hot(labels, len(scenes.CLASSES)).float()

    found = {check.name: check for check in checks.seeing(VisionModel(Knows()))}
    assert list(found) == ["accuracy", *scenes.KINDS]
    assert (found["sharp"].value, found["soft"].value, found["absent"].value) == (0, 1, 1)
    share = (drawn.kind != sharp).float().mean().item()
    assert found["accuracy"].value == pytest.approx(share)
    assert found["accuracy"].low < share < found["accuracy"].high
    assert not found["sharp"].passed
    assert all(check.control < check.bound for check in found.values()), "the network before training fails"


def test_the_shipped_networks_are_those_of_the_recipe():
    names = [*map(train.shipped_name, train.SEEDS), train.UNTRAINED]
    assert zoo.vision("sight") == sorted(names)
    assert zoo.card("sight")["networks"] == names
    for name in names:
        model = load_vision(name)
        assert model.module.config == train.config()
        assert sum(p.numel() for p in model.module.parameters()) == zoo.card("sight")["parameters"] < 400_000
    blank = load_vision(train.UNTRAINED).module
    for name, weight in train.new_net(train.SEEDS[0]).state_dict().items():
        assert torch.equal(blank.state_dict()[name], weight.half().float()), name


def test_the_untrained_network_has_no_detectors_in_any_layer_and_two_seeds_or_more_have():
    found = zoo.card("sight")["detectors"]
    assert all(not layer["units"] for layer in found[train.UNTRAINED].values())
    having = [name for name in map(train.shipped_name, train.SEEDS) if found[name][checks.LAYER]["units"]]
    assert len(having) >= 2
