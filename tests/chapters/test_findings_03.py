"""What the lesson of chapter 03 claims. Of the slow claims parts are measured again."""

import torch

from mi_lib import zoo
from mi_lib.course import findings, index

CHAPTER = index.chapter("03")
FOUND, finding = findings.read(CHAPTER), findings.module(CHAPTER)


def test_the_control_keeps_what_it_knows_of_its_list_when_its_attention_is_frozen():
    network, control, subtract = (FOUND["attention"][which] for which in ("network", "control", "subtract"))
    assert network["frozen"] < 0.6 < 0.99 < subtract["frozen"]
    assert max(network["values_frozen"], subtract["values_frozen"]) < 2 / 113
    assert abs(control["frozen"] - zoo.card(finding.CONTROL)["accuracy"]) < 0.1


def test_what_a_head_looks_at_is_measured_again():
    one = finding.subject(finding.SECOND)
    with torch.no_grad():
        _, cache = one.model.run_with_cache(one.task.tokens, ["blocks.0.attn.hook_pattern"])
    looks = cache["pattern", 0][:, :, -1].mean(0)
    published = FOUND["attention"]["subtract"]
    assert findings.differences(looks[:, 0].tolist(), published["to_a"]) == []
    assert findings.differences(looks[:, 2].max().item(), published["to_equals_at_most"]) == []


def test_the_checkpoint_under_the_list_is_the_first_whose_waves_know_the_rule():
    published, steps = FOUND["under_the_list"], zoo.checkpoints(finding.NETWORK)
    before = steps[steps.index(published["step"]) - 1]
    assert finding.knows_the_rule(before) is None
    assert findings.differences(finding.knows_the_rule(published["step"]), published) == []


def test_the_checkpoint_of_the_last_list_still_knows_it_without_waves_and_the_next_does_not():
    published, steps = FOUND["last_list"], zoo.checkpoints(finding.NETWORK)
    assert findings.differences(finding.knows_the_list(published["step"]), published) == []
    assert finding.knows_the_list(steps[steps.index(published["step"]) + 1]) is None


def test_the_controls_could_have_come_out_otherwise():
    assert FOUND["mirrored"]["network"]["unseen"] > 0.99 > 0.01 > FOUND["mirrored"]["control"]["unseen"]
    assert FOUND["waves"]["network"]["without"] < 0.02 < 0.8 < FOUND["waves"]["network"]["without_others"]
    assert FOUND["circle"]["network"]["radius"] < 0.1 < FOUND["circle"]["control"]["radius"]
    swapped = FOUND["swapped"]
    assert swapped["network"] < 0.001 < 0.1 < min(swapped["when_memorised"], swapped["control"])


def test_what_the_waves_leave_behind_is_worse_than_a_guess_because_it_is_not_flat():
    left = FOUND["leftover"]
    assert left["loss_of_any_answer"] > zoo.card(finding.NETWORK)["guessing"] + 1
    assert left["spread_whole"] > 3 * left["spread"] > 3


def test_at_the_peak_of_the_test_loss_the_waves_know_more_of_the_unseen_pairs_than_other_waves_and_the_rest():
    peak, film = FOUND["at_the_peak"], FOUND["training"]["network"]
    assert film["peak_step"] < film["first_team"]
    assert peak["alone"] > 4 * max(peak["others_alone"], peak["rest"])
    assert peak["rest_of_training"] > 0.99
    assert peak["rest_sure"] > 0.5


def test_early_in_training_both_networks_know_their_list_and_nothing_else():
    early = FOUND["early"]
    guessing = zoo.card(finding.NETWORK)["guessing"]
    assert all(early[which]["train_loss"] < 0.001 for which in ("network", "control"))
    assert all(early[which]["test_loss"] > 2 * guessing for which in ("network", "control"))


def test_three_seeds_have_three_sets_of_frequencies():
    assert FOUND["seeds"]["runs"] == FOUND["seeds"]["sets"] == len(zoo.card(finding.NETWORK)["seeds"])
