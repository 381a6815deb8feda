"""What the lesson of chapter 14 claims. Of what is slow, parts are measured again; and the reference's functions run on
a random network of another shape, as the lesson says of a real one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mi_lib.course import files, findings, index
from mi_lib.features import tuning
from mi_lib.models.vision import VisionModel

CHAPTER = index.chapter("14")
FOUND, finding = findings.read(CHAPTER), findings.module(CHAPTER)


def test_a_family_is_measured_again():
    name = finding.SEEDS[2]
    here = FOUND["families"]["seed2"]
    assert int(finding.family(name).sum()) == here["here"]
    angles = finding.profile(name).angle[finding.family(name)]
    assert int((tuning.covered(angles) > 0).sum()) == here["covered"]


def test_every_seed_has_a_family_and_the_untrained_network_has_none():
    for seed in ("seed0", "seed1", "seed2"):
        assert FOUND["families"][seed]["here"] >= 10
        assert FOUND["families"][seed]["covered"] >= 8
        assert FOUND["families"][seed]["pairs"] >= 4
    for blank in ("untrained", "untrained1", "untrained2"):
        assert FOUND["families"][blank]["layers"] == [0, 0, 0, 0]
        assert FOUND["families"][blank]["edges"] > 10  # the demands can be met there, by other units


def test_weights_point_where_stimuli_say_in_every_seed():
    for seed in ("seed0", "seed1", "seed2"):
        here = FOUND["circuits"][seed]
        assert here["off"] < 22.5 < 60 < here["shuffled"]
        assert here["high_here"] > 0 > here["high_there"]
        assert here["low_here"] < 0 < here["low_there"]


def test_angles_from_weights_are_measured_again():
    again = float(finding.error(finding.SEEDS[1]).median())
    assert again == pytest.approx(FOUND["circuits"]["seed1"]["off"], abs=1.0)


def test_scenes_told_by_focus_need_the_family_and_those_told_by_colour_do_not():
    for seed in ("seed0", "seed1", "seed2"):
        lost = FOUND["lost"][seed]
        for kind in ("sharp", "soft", "texture"):
            assert lost[kind]["without"] < lost[kind]["beside_least"]
            assert lost[kind]["needs"] > 0.25
        for kind in ("colour", "absent"):
            assert lost[kind]["needs"] < 0.1


def test_the_mean_is_no_silence_for_units_that_are_nearly_always_silent():
    lost = FOUND["lost"]["seed0"]
    assert lost["silent"] > 0.8
    assert lost["colour"]["at_means"] < lost["colour"]["without"]


def test_polarity_must_be_compared_image_by_image():
    kept = FOUND["kept"]
    assert kept["edges_of_means"] > 0.5 > 0.1 > kept["edges_polarity"]
    assert kept["polarity"] > 0.5
    assert kept["by_colour"]["red"] < 1 / 3 < kept["weaker_white"]


def test_the_definition_finds_what_was_planted_and_no_decoy():
    assert FOUND["by_hand"]["found"] == FOUND["by_hand"]["planted"]
    assert FOUND["by_hand"]["mistaken"] == 0


def test_the_functions_of_the_chapter_run_on_any_network():
    """As on a real model: a `VisionModel` around modules of another kind, with another layer's name."""
    torch.manual_seed(0)
    block = nn.Sequential(nn.Conv2d(3, 8, 7, stride=2, padding=3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    model = VisionModel(nn.ModuleDict({"stem": block})["stem"], mean=(0.5,) * 3, std=(0.2,) * 3, size=33)
    namespace: dict = {"__name__": "answers"}
    exec(files.read_text(CHAPTER.solutions_folder / "exercises.py"), namespace)
    contrast = 0.125 * tuning.signs(4, 0)
    textures = tuning.sharp(4, 33, 0), tuning.blurred(4, 33, 1)
    curves = [namespace["by_angle"](model, "3", *textures, contrast, 8) for _ in range(2)]
    rival = namespace["rivals"](model, "3", *textures, contrast, 8, namespace["COLOURS"])
    assert curves[0].shape == (8, 8)
    assert not namespace["is_detector"](*curves, rival).all()


def test_mirrored_pairs_and_the_split_of_channels_are_no_more_than_others_have():
    for seed in ("seed0", "seed1", "seed2"):
        assert FOUND["mirrors"][seed]["p"] > 0.05
        others = FOUND["factors_of_others"][seed]["others"]
        assert others["high"] - others["low"] > 0.4


def test_inhibition_suffices_and_is_not_the_only_way():
    hand = FOUND["uninhibited"]
    assert hand["inhibited"]["detector"]
    assert not hand["excited"]["detector"]
    assert hand["low_bias"]["detector"]
    assert hand["high_alone"]["detector"]
    assert hand["low_bias"]["best"] < hand["inhibited"]["best"]


def test_turned_waves_need_the_family_as_longer_ones_do():
    for seed in ("seed0", "seed1", "seed2"):
        for sort in ("longer", "turned"):
            here = FOUND["waves"][seed][sort]
            assert here["without"] < 0.05 < 0.3 < here["beside"]
        assert FOUND["waves"][seed]["absent"] > 0.8


def test_what_scenes_need_is_the_same_whether_the_lower_layers_run_once_or_each_time():
    name, drawn = finding.SEEDS[2], finding.some_scenes(5, 60)
    mask = finding.family(name)
    units = mask.nonzero()[:, 0]
    got = finding.needs(name, units, mask, drawn)
    model, labels = finding.network(name), drawn.labels()
    activity = model.run(drawn.images, [finding.LAYER])[finding.LAYER].mean((0, 2, 3))
    right = []
    for chosen in [units, *tuning.matched(activity, mask, 4, seed=9)]:
        with model.edited({finding.LAYER: tuning.silenced(chosen)}):
            right.append(model.logits(drawn.images).argmax(1) == labels)
    for kind, value in enumerate(got):
        shares = [float(hits[drawn.kind == kind].double().mean()) for hits in right]
        assert value == pytest.approx(sum(shares[1:]) / 4 - shares[0])
