"""What the lesson of chapter 09 claims, held against the planted truth, which the findings were measured without."""

from __future__ import annotations

import pytest
import torch

from mi_lib import zoo
from mi_lib.course import findings, index, modules
from mi_lib.course.grading.expectations import Wrong
from mi_lib.models.graph import head_of
from mi_lib.worlds.planted import ioi

CHAPTER = index.chapter("09")
FOUND, finding = findings.read(CHAPTER), findings.module(CHAPTER)


def written_as(*kinds: str) -> list[str]:
    """Heads of these classes as the lesson writes them."""
    return sorted(finding.number(name) for kind in kinds for name in ioi.CLASSES[kind])


def test_what_is_found_by_effects_is_what_was_planted():
    assert sorted(FOUND["direct"]["for"]) == written_as("name mover")
    assert FOUND["direct"]["against"] == written_as("negative mover")
    assert sorted(FOUND["paths"]["movers_q"]["heads"]) == written_as("s-inhibition")
    assert sorted(FOUND["paths"]["inhibitors_k"]["heads"]) == written_as("duplicate token", "induction")
    assert FOUND["paths"]["inhibitors_v"]["heads"] == written_as("duplicate token")
    assert FOUND["paths"]["induction_k"]["heads"] == written_as("previous token")
    assert FOUND["paths"]["inhibitors_q"]["heads"] == FOUND["paths"]["movers_v"]["heads"] == []


def test_the_answer_moves_in_layer_2_from_s2_to_end():
    flipped = FOUND["words"]["flipped"]
    assert flipped["s2"]["layer_2"] > 0.99 > 0.01 > abs(flipped["end"]["layer_2"])
    assert flipped["end"]["layer_3"] > 1 > 0 > flipped["s2"]["layer_3"]
    assert all(abs(value) < 0.01 for word in ("io", "s1") for value in flipped[word].values())


def test_five_heads_write_nothing_and_matter_and_two_of_them_are_not_seen_by_flipped_prompts():
    quiet = ("previous", "duplicate", "induction", "by_token", "by_place")
    effects = FOUND["effects"]
    assert all(abs(effects["direct"][kind]) < 0.001 < 1 < abs(effects["whole"][kind]) for kind in quiet)
    assert [kind for kind in quiet if abs(effects["flipped"][kind]) < 0.001] == ["previous", "induction"]
    assert effects["idle"] < 0.01
    assert sum(effects["whole"][kind] < -FOUND["task"]["clean"] for kind in quiet[:3]) == 3


def test_a_sample_of_whole_effects_is_measured_again():
    model, data = finding.patient().model, finding.stories(seed=5, n=16)
    table = finding.total(model, data)
    for kind, name in {**finding.EARLY, **finding.INHIBITORS}.items():
        assert abs(finding.at(table, name) - FOUND["effects"]["whole"][kind]) < 0.05
    assert finding.largest(table, finding.members()) < 0.01


def test_means_over_clean_prompts_hide_the_induction_head_and_no_other_one():
    abc, clean, whole = (FOUND["knocked_out"][key] for key in ("per_template", "clean", "whole"))
    assert abc["induction"] < 0 < 0.99 * whole < clean["induction"]
    assert all(clean[kind] < 0.8 * whole for kind in abc if kind not in ("induction", "movers"))


def test_the_smaller_circuit_is_faithful_and_not_complete():
    alone, whole = FOUND["alone"], FOUND["whole_and_small"]
    assert alone["smaller_share"] > 0.99
    assert alone["random_faithful"] == 0
    assert whole["movers_gap"] > 5 > 0.1 > abs(whole["circuit_without_movers"] - whole["model_without_movers"])
    assert whole["worst_gap_smaller"] < whole["movers_gap"], "the greedy search misses the worst K"
    assert whole["backup_alone"] < 0.01 < 0.5 < whole["backup_without_movers"]


def test_backups_wake_when_both_movers_are_silent_and_not_when_one_is():
    backup = FOUND["backup"]
    assert backup["heads"] == written_as("backup mover")
    assert max(backup["before"], backup["one_silent"]) < 0.001
    assert backup["both_silent"] > backup["mover"]
    assert backup["difference_one"] < backup["difference"] < backup["difference_both"]
    model, data = finding.patient().model, finding.stories(seed=6, n=16)
    table, _ = finding.silenced(model, data, finding.MOVERS)
    for name in finding.BACKUPS:
        assert abs(finding.at(table, name) - backup["both_silent"]) < 0.1


def test_what_the_machine_misses_are_the_edges_into_the_backups():
    machine = FOUND["machine"]
    assert machine["precision"] == 1
    assert machine["missed"] == machine["true"] - machine["found"] > 0
    into = {edge.split("->")[1].rpartition(".")[0] for edge in machine["missing"]}
    assert into == set(ioi.CLASSES["backup mover"])
    assert abs(machine["share"] - machine["true_share"]) < 0.01


def test_the_path_to_the_logits_of_some_heads_is_what_they_write():
    model, data = finding.patient().model, finding.stories(seed=7, n=8)
    path = finding.by_path(model, data)
    by_writing = finding.written(model, data) - finding.written(model, data, data.corrupted["ABC"])
    assert torch.allclose(path, -by_writing, atol=1e-3)
    assert [head_of(name) for name in finding.MOVERS] == [(3, 0), (3, 2)], "which the lesson's example names"


def test_in_pico_layer_0_tells_the_mlps_who_gives_and_no_head_has_a_role():
    found = FOUND["same_task"]
    assert found["with_roles"] == 0
    assert found["mlps_write"] > 5 > 1 > abs(found["heads_write"])
    assert found["tells"]["layer_0"] > 0.9 > 0.1 > max(found["tells"][f"layer_{layer}"] for layer in range(1, 6))
    assert found["heads_held"] > 0.9 > 0.1 > abs(found["mlps_held"])
    model, data = finding.pico()
    assert abs(finding.share_told(model, data.rows(slice(0, 12)), ["a0.h0", "a0.h3"]) - 0.8) < 0.25


def test_the_patients_inhibitors_speak_to_the_movers_and_not_to_the_logits():
    told = FOUND["patient_told"]
    assert told["free"] > 1 > 0.01 > abs(told["held"])


def test_s2_alone_draws_attention_and_does_its_harm_through_the_heads_that_speak():
    alone = FOUND["s2_alone"]
    assert alone["looks_after"] > 0.4 > 0.2 > alone["looks_before"]
    assert abs(alone["held"]) < 0.001 < -FOUND["words"]["flipped"]["s2"]["layer_3"]


def test_without_an_early_head_the_wrong_name_leads_and_never_otherwise():
    assert FOUND["exchanged"] == {"says_s": 1.0, "says_s_clean": 0.0}


def test_up_to_s2_two_heads_say_the_same_of_a_flipped_prompt():
    said = FOUND["said_in_both"]
    assert max(said["previous"], said["induction"]) < 0.01 < 1 < min(said["previous_behind"], said["duplicate"])


def test_one_inhibitor_says_which_name_and_the_other_which_place():
    told = FOUND["inhibitors"]
    assert told["places"]["by_place"] < -1 < -0.01 < told["places"]["by_token"] < 0.01
    assert told["names"]["by_token"] < -1 < -0.01 < told["names"]["by_place"] < 0.01
    assert FOUND["paths"]["by_place_v"]["heads"] == written_as("duplicate token")
    assert FOUND["paths"]["by_token_v"]["heads"] == FOUND["paths"]["induction_v"]["heads"] == []
    assert FOUND["paths"]["induction_q"]["heads"] == []


def test_a_look_is_gone_in_abc_prompts_and_an_idle_head_has_it_too():
    seen = FOUND["role_controls"]
    assert max(seen["abc_duplicate"], seen["abc_induction"], seen["abc_inhibitors"]) < 0.001
    assert min(seen["idle_duplicate"], seen["backups_at_first"]) > 0.9
    assert seen["negative_looks"] > 0.8
    assert seen["against_others"] < 0.5 < FOUND["roles"]["negative_against"]


def test_the_queries_of_the_backups_are_enough_to_wake_them_and_needed():
    waking, backup = FOUND["waking"], FOUND["backup"]
    assert waking["only_queries"] > backup["difference"] + 1.9 * backup["both_silent"]
    assert abs(waking["queries_as_before"] - backup["negative"]) < 0.1


def test_of_a_backups_two_movers_one_is_enough_to_keep_it_asleep():
    edges = FOUND["edges_into_backups"]
    assert max(abs(edges["one_mover"]), abs(edges["written"])) < 0.01
    assert edges["both_movers"] > 1 > -1 > max(edges["avoid"], edges["names"])


def test_the_slope_on_the_way_sees_what_the_slope_at_the_clean_prompt_does_not():
    slopes = FOUND["by_gradients"]
    assert slopes["eap_into_backups"] < slopes["largest_false"] < slopes["into_backups"]


def test_no_set_shows_more_than_the_movers():
    every = FOUND["all_sets"]
    assert every["sets"] == 2 ** FOUND["alone"]["smaller"]
    assert every["above_movers"] < 0.01
    assert max(finding.gaps_of_all_sets(8, size=1))[0] < every["worst_gap"]


def test_the_tests_of_roles_find_every_planted_head():
    assert FOUND["patient_roles"] == {"right": len(ioi.CLASSES), "with_roles": FOUND["network"]["members"]}


def test_pico_says_the_other_name_if_layer_0_brings_it_and_the_mlps_hear_it():
    turned, base = FOUND["turned_by_layer_0"], FOUND["same_task"]["difference"]
    assert turned["heads_held"] < -base / 2 < base / 2 < turned["mlps_held"]
    assert (turned["heads_held_says_s"], turned["mlps_held_says_s"]) == (1, 0)
    model, data = finding.pico()
    some = data.rows(slice(0, 8))
    end = finding.by_layer_0(model, some, ("hook_z",))
    assert (end.argmax(-1) == some.s_tokens).all()


def test_the_trained_network_subtracts_the_giver_by_heads_that_speak_for_themselves():
    found = FOUND["trained"]
    assert found["head"] in found["givers"]
    assert found["writes"] > found["difference"] / 2
    assert found["givers_rise"] > 0.9 * found["whole_rise"] > 0.1 * found["whole_rise"] > abs(found["rest_rise"])
    model, data = finding.wild()
    few = data.rows(slice(0, 24))
    other, _ = finding.with_another_giver(few)
    assert bool((other != few.clean).sum(1).eq(1).all()), "one word is exchanged"
    share = finding.share_told(model, few, [f"a{name.replace('.', '.h')}" for name in found["givers"]], ("hook_z",))
    assert abs(share - found["givers_rise"] / found["whole_rise"]) < 0.1


def test_the_finding_takes_the_cards_circuit_and_none_of_it_with_a_head_less():
    grader = modules.load(index.chapter("09").folder / "test_exercises.py")
    stories, circuit = grader.wild_subject("held_out", 432, 31), zoo.card("ioi-3l")["circuit"]["heads"]
    heads = [head_of(name) for name in circuit]
    grader.judge_circuit(stories, heads)
    for missing in heads:
        with pytest.raises(Wrong, match=r"Not faithful|Not complete"):
            grader.judge_circuit(stories, [head for head in heads if head != missing])
