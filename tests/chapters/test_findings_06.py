"""What the lesson of chapter 06 claims. Most of it trains dictionaries, so that parts are measured again."""

import random

import pytest
import torch

from mi_lib import saes
from mi_lib.course import findings, index

CHAPTER = index.chapter("06")
FOUND, finding = findings.read(CHAPTER), findings.module(CHAPTER)


def test_all_six_find_what_was_planted_and_the_controls_do_not():
    found = FOUND["variants"]
    assert found["least_found"] >= 0.95
    assert found["least_cosine"] >= 0.95
    assert max(found[control] for control in ("untrained", "shuffled", "coordinates")) < 0.1


def test_one_kind_drawn_by_lot_finds_them_again_in_another_world():
    name = random.Random(6).choice(sorted(set(finding.VARIANTS) - {"gated", "relu"}))
    again = finding.judged(name, steps=600, seed=3)
    assert again["found"] >= 0.9
    assert again["size"] == pytest.approx(FOUND["variants"]["each"][name]["size"], abs=0.06)


def test_l1_shrinks_more_the_more_it_weighs_and_more_than_a_feature_alone_would():
    found = FOUND["shrinkage"]
    pressed = found["measured"][1:]
    assert pressed == sorted(pressed, reverse=True)
    assert all(a < b for a, b in zip(pressed, found["alone"][1:], strict=True))
    assert pressed[0] < found["topk"] - 0.15


def test_too_weak_a_penalty_lets_latents_share_a_feature():
    found = FOUND["shrinkage"]
    assert found["found"][0] < 0.8 < found["found"][1]


def test_a_batch_decides_otherwise_than_a_threshold():
    found = FOUND["threshold"]
    assert found["inputs_that_differ"] > 0.5
    assert found["l0"] == pytest.approx(found["l0_alone"], abs=0.1)


def test_dead_latents_come_back_only_where_something_brings_them_back():
    found = FOUND["dead"]
    assert found["no_auxk"] == found["not_resampled"] == found["start"]
    assert max(found["auxk"], found["resampled"]) < 0.1


def test_a_bad_start_is_made_again_and_stays_without_help():
    sae = finding.VARIANTS["topk"](5)
    with torch.no_grad():
        sae.b_enc[16:] = -3.0
    train, held = finding.inputs()
    saes.train(sae, train, 100, dead_after=10**9)
    assert saes.dead_share(saes.density(sae.encode(held.x))) == FOUND["dead"]["start"]
