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
    small = {
        "CHANNELS": (4, 5),
        "KERNELS": (3, 3),
        "STRIDES": (4, 2),
        "BATCH": 2,
        "AT_ONCE": 2,
        "STEPS": 6,
        "WATCHED": 1,
    }
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
    curves["loss"].append(net.conv1.weight.abs().sum().item())


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
    assert list(found) == ["accuracy", *scenes.KINDS[:-1]]
    assert (found["sharp"].value, found["soft"].value, found["front"].value) == (0, 1, 1)
    share = (drawn.kind != sharp).float().mean().item()
    assert found["accuracy"].value == pytest.approx(share)
    assert found["accuracy"].low < share < found["accuracy"].high
    assert not found["sharp"].passed
    assert all(check.control < check.bound for check in found.values()), "the network before training fails"


def test_a_learner_computes_what_its_network_does_and_what_is_folded_out_of_it():
    drawn, net = scenes.sample(24, seed=1), train.new_net(3)
    learner = train.learner(net)
    with torch.no_grad():
        assert torch.allclose(train.logits(learner.eval(), drawn.images), train.logits(net, drawn.images), atol=1e-3)
    optimizer = torch.optim.SGD(learner.train().parameters(), lr=0.1)
    for _ in range(3):  # norms that are no longer those of the beginning
        torch.nn.functional.cross_entropy(train.logits(learner, drawn.images), drawn.labels()).backward()
        optimizer.step()
    with torch.no_grad():
        folded = train.folded(learner.eval())
        learnt = train.logits(learner, drawn.images)
        assert torch.allclose(train.logits(folded, drawn.images), learnt, atol=1e-4)
        assert not torch.allclose(learnt, train.logits(net, drawn.images), atol=0.1)
    assert not any("norm" in name for name, _ in folded.named_modules())


def test_the_shipped_networks_are_those_of_the_recipe():
    names = [*map(train.shipped_name, train.SEEDS), train.UNTRAINED]
    assert zoo.vision("sight") == sorted(names)
    assert zoo.card("sight")["networks"] == names
    for name in names:
        model = load_vision(name)
        assert model.module.config == train.config()
        assert sum(p.numel() for p in model.module.parameters()) == zoo.card("sight")["parameters"] < 400_000
    blank = load_vision(train.UNTRAINED).module.state_dict()
    for name, weight in train.new_net(train.SEEDS[0]).state_dict().items():
        assert torch.equal(blank[name], weight.half().float()), name


def test_every_seed_has_detectors_in_each_layer_but_the_first_and_the_untrained_network_none_where_it_is_claimed():
    found = zoo.card("sight")["detectors"]
    for name in map(train.shipped_name, train.SEEDS):
        for layer in ("relu2", "relu3", "relu4"):
            # By chance a unit or two of any network pass: in the untrained one, in its last layer.
            assert len(found[name][layer]["units"]) > 2 * len(found[train.UNTRAINED][layer]["units"]), (name, layer)
    assert found[train.UNTRAINED][checks.LAYER]["units"] == []
