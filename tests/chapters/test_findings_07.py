"""What the lesson of chapter 07 claims. Of what is slow, parts are measured again; and the reference's functions run on
a random model in the format of GPT-2 from a folder, as the lesson says of a real one."""

from __future__ import annotations

import random

import pytest
import torch
import transformers

import mi_lib
from mi_lib import probing
from mi_lib.course import files, findings, index

CHAPTER = index.chapter("07")
FOUND, finding = findings.read(CHAPTER), findings.module(CHAPTER)


@pytest.mark.parametrize("name", ["own", "nearer"])
def test_flips_at_one_depth_are_measured_again(name):
    depth = random.Random(7).choice(FOUND["flips"]["depths"])
    again = finding.share(finding.turned(depth, finding.flip_of(name, depth)))
    assert again == pytest.approx(FOUND["flips"][name][depth - 1], abs=0.01)


def test_both_can_be_read_and_one_is_used():
    for name in ("own", "nearer"):
        assert FOUND["depths"][f"{name}_here"] >= 0.95
        assert FOUND["flips"][f"{name}_read_otherwise"] >= 0.95
    assert FOUND["depths"]["own_here"] == FOUND["depths"]["nearer_here"]  # the lesson says one number of both
    assert FOUND["flips"]["own_read_otherwise"] == 1.0  # the least of three probes: the lesson says it of two of them
    assert FOUND["flips"]["own_here"] >= 0.95
    assert FOUND["flips"]["nearer_here"] <= 0.05
    assert FOUND["flips"]["own_random_most"] <= 0.05
    assert FOUND["flips"]["nearer_as_far"] <= 0.05
    assert FOUND["flips"]["own"][0] <= 0.05 < 0.8 <= FOUND["flips"]["own_read_otherwise_at_1"]


def test_along_the_normal_one_probe_is_deceived_and_another_is_not():
    normals = FOUND["normals"]
    assert normals["normal_turned"] < 0.25 < 0.95 < normals["means_turned"]
    assert normals["normal_fitted"] == 1.0
    assert normals["normal_logistic"] < 0.5 < 0.95 < normals["normal_ridge"]
    assert normals["normal_turned"] < normals["means_as_far"] < normals["means_turned"]  # as far as the other goes
    assert normals["normal_turned"] < normals["normal_as_far"] < normals["means_turned"]


def test_a_probe_of_the_nearer_noun_reads_the_last_word():
    transfers = FOUND["transfers"]
    assert transfers["owner_said_many"] < 0.5 * transfers["owner_many"]


def test_a_label_that_means_nothing_is_read_by_row_and_not_by_combination():
    cuts = FOUND["cuts"]
    assert cuts["own_by_row"] == cuts["own_by_combination"]  # the lesson says one number of both
    assert cuts["nothing_by_row_interval"][0] > 0.6 > 0.55 > cuts["nothing_by_combination_interval"][1]


def test_an_untrained_network_reads_the_nearer_noun_by_heart():
    one = FOUND["selective"]["nearer_untrained"]
    assert one["accuracy"] > 0.8
    assert one["value_interval"][0] < 0.05
    assert FOUND["selective"]["nearer"]["value_interval"][0] > 0.05


def test_the_erasers_take_out_one_number_and_leave_the_other():
    erased = FOUND["erased"]
    assert max(erased["own_own_read"], erased["nearer_nearer_read"]) < 0.6
    assert min(erased["own_nearer_read"], erased["nearer_own_read"], erased["drawn_own_read"]) > 0.95
    assert erased["own_left_interval"][1] < 0.5 * erased["whole"]
    assert erased["nearer_left_interval"][0] > 0.9 * erased["whole"]


def test_a_concept_is_significant_with_one_random_set_and_not_with_fifty():
    each = {row["name"]: row for row in FOUND["concepts"]["each"]}
    used, unused = each["the noun is many"], each["the nearer noun is many"]
    assert used["p"] < 0.05
    assert unused["first_p"] < 1e-6
    assert unused["p"] > 0.05
    assert all(row["first_p"] < 0.05 for row in each.values())
    assert FOUND["nonsense"]["false_interval"][0] > 0.3
    assert FOUND["nonsense"]["used_rank"] < 0.05 < FOUND["nonsense"]["others_rank"]


@pytest.mark.parametrize("name", ["the noun is many", "the nearer noun is many"])
def test_the_score_with_the_first_random_set_is_measured_again(name):
    row = next(row for row in FOUND["concepts"]["each"] if row["name"] == name)
    again = finding.sensitivities(finding.examples(name), finding.random_sets()[:1])[0]
    assert float((again > 0).double().mean()) == pytest.approx(row["first"], abs=0.02)


def test_the_grader_tells_apart_what_is_used_at_depth_2():
    case = finding.number_case()
    site = ("resid_pre", finding.DEPTH)
    x = probing.collect(case.model, case.fitted.rows, [site])[0, 0]
    shares = []
    for y in case.fitted.labels:
        probe, means = finding.gaussian(x, y, 2), probing.class_means(x, y, 2)
        change = probing.flip(probe.direction(), float(probe.bias[1] - probe.bias[0]), means[1] - means[0])
        part = case.read
        turns = probing.turned(case.model, part.rows[:40], site, change, part.one[:40], part.other[:40])
        shares.append(float(turns.double().mean()))
    assert shares[case.used] >= 0.9
    assert max(share for i, share in enumerate(shares) if i != case.used) <= 0.05


def test_the_answers_run_on_a_model_in_the_format_of_gpt2(tmp_path):
    """A random one from a folder: reading, flipping and gradients, as "On a real model" says."""
    config = transformers.GPT2Config(
        vocab_size=60, n_positions=16, n_embd=24, n_layer=2, n_head=3, initializer_range=0.3
    )
    torch.manual_seed(0)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    model = mi_lib.load(str(tmp_path))
    own: dict = {}
    exec(compile(files.read_text(CHAPTER.solutions_folder / "exercises.py"), "reference", "exec"), own)
    source = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, 60, (6, 7), generator=source)
    mask = torch.arange(7) < torch.tensor([[7], [5], [6], [7], [4], [3]])
    x = own["collect"](model, tokens, mask)
    assert x.shape == (3, 6, 24)
    one, other = torch.full((6,), 3), torch.full((6,), 9)
    direction = torch.randn(24, generator=source)
    own["turned"](model, tokens, mask, 1, direction, 0.0, direction, one, other)
    slopes = own["gradients"](model, tokens, mask, 1, one, other)
    assert slopes.shape == (6, 24)
    assert slopes.abs().max() > 0
    assert own["pushed"](model, tokens, mask, 1, 9 * torch.randn(4, 24, generator=source), one, other).shape == (4,)
