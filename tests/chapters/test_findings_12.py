"""What the lesson of chapter 12 claims. Of the slow claims parts are measured again; and the reference's functions say
what the library says."""

from __future__ import annotations

import pytest
import torch

from mi_lib import oracles, zoo
from mi_lib.course import files, findings, index
from mi_lib.oracles import dataset, injection, judging, patchscopes, questions, secrets

CHAPTER = index.chapter("12")
FOUND, finding = findings.read(CHAPTER), findings.module(CHAPTER)


@pytest.fixture(scope="module")
def reference() -> dict:
    answers: dict = {}
    exec(files.read_text(CHAPTER.solutions_folder / "exercises.py"), answers)
    return answers


def test_states_tell_facts_once_they_are_translated_and_hardly_before():
    found = FOUND["patched"]
    assert found["translated"][3] > 0.5 > 0.2 > found["raw_after_most"]
    assert found["translated"][3] > found["shuffled"] + 0.3
    assert max(found["translated_to"][1:]) < 0.3  # the fact is looked up in block 0
    assert FOUND["identity"]["most"] < 0.2


def test_an_activation_in_place_of_what_stands_there_costs_more_than_one_of_its_own_length():
    found = FOUND["injected"]
    assert found["replaced"] < found["added"] - 0.05
    assert found["long"] > found["added"] - 0.05


def test_the_oracle_is_ahead_of_all_controls_on_average():
    means = FOUND["asked"]["mean"]
    assert means["oracle"] > max(means[who] for who in ("shuffled", "zero", "majority", "black_box")) + 0.3


def test_new_pairs_and_new_kinds_are_where_it_fails():
    pairs, new, checks = FOUND["pairs"], FOUND["new_kinds"], zoo.card(CHAPTER.model[1])["checks"]
    assert pairs["new"]["right_interval"][1] < pairs["asked"]["right_interval"][0]
    assert new["open"] < 0.05
    assert checks["new_kinds_among"]["low"] > checks["new_kinds_among"]["control"]
    assert checks["frames"]["low"] > 0.7


def test_it_is_as_sure_of_another_text():
    found = FOUND["trust"]
    assert found["right"][-1] > 0.8 > 0.5 > found["shuffled_right"][-1]
    assert found["shuffled_count"][-1] > 0.3


def test_the_secret_is_named_by_both_methods_and_the_seals_confirm_it():
    kept, named = FOUND["kept"], FOUND["named"]
    assert kept["oracle_interval"][1] < kept["pico"]
    assert kept["translator"] < kept["chance"] / 2
    assert named["right"] >= 5 > named["elsewhere"]
    assert FOUND["silent"]["said"] == 0


def test_it_is_as_sure_of_nothing_as_of_something():
    found = FOUND["emptied"]
    assert found["own"]["right_interval"][0] > found["mean"]["right_interval"][1] + 0.3
    assert abs(found["own"]["chance"] - found["mean"]["chance"]) < 0.1
    assert abs(found["zeros"]["nothing"] - found["mean"]["nothing"]) < 0.15


def test_more_kinds_buy_those_kinds_and_none_that_was_never_asked():
    found = FOUND["ways"]
    short, narrow, thin = found["short"], found["narrow"], found["lora"]
    assert short["all_interval"][0] > narrow["all_interval"][1] + 0.3
    assert narrow["few_interval"][0] > short["few"][1]
    ends = [found[way]["among_interval"] for way in ("short", "narrow", "lora", "full")]
    assert max(low for low, _ in ends) < min(high for _, high in ends)  # what was never asked: nobody is ahead
    assert thin["all_interval"][1] < short["all_interval"][0]
    assert thin["choice_interval"][0] > short["choice_interval"][1]
    assert found["thin"] < found["weights"] / 5


def test_a_secret_in_the_weights_is_read_late_and_hardly_at_the_depth_where_a_told_one_is():
    found = FOUND["in_weights"]
    assert found["held_lens_ahead"] == found["held"]
    assert found["held_oracle_interval"][1] > FOUND["kept"]["chance"] > found["told_oracle_interval"][1]
    assert (found["by_depth"][1], found["lens_by_depth"][1]) == (found["held_oracle"], found["held_lens"])  # depth 3
    assert found["lens_by_depth"][-1] == found["held_last_lens"]
    assert found["last_ahead"] >= found["last_behind"]  # at equal depth nobody can tell who reads better
    assert found["held_black_box"] < found["held_last_lens"]


def test_all_kinds_of_question_stand_in_the_table_of_the_lesson():
    assert FOUND["kinds"]["told"] == FOUND["kinds"]["asked"] == len(questions.ASKED)


def test_the_talk_of_the_lesson_ends_where_a_secret_is_read():
    told = FOUND["talk"]
    assert told["read"].endswith("the")
    assert told["hint"].startswith(told["pet"])
    assert "Mira" not in told["denied"] + told["read"] + told["hint"]


@pytest.mark.slow
def test_a_few_questions_are_answered_again():
    asked = dataset.asked("topic", 12)
    read = judging.readings(finding.pico(), asked)
    right = judging.right(judging.oracle_logits(finding.oracle(), asked, read), asked)
    turned = judging.right(judging.oracle_logits(finding.oracle(), asked, judging.turned(read)), asked)
    assert right.float().mean() > 0.7 > turned.float().mean() + 0.2


def test_the_reference_hands_activations_over_as_the_library_does(reference):
    source = torch.Generator().manual_seed(1)
    found, vectors = torch.randn(3, 192, generator=source), 9 * torch.randn(3, 192, generator=source)
    torch.testing.assert_close(reference["added"](found, vectors), injection.add(found, vectors))
    question = "What is the pet ?"
    want = finding.oracle().logits([oracles.Reading(vectors, 4)], [question])[0]
    centred = reference["centred"](vectors, finding.oracle().means, 4)
    with torch.no_grad():
        got = reference["oracle_logits"](finding.oracle().model, question, centred, 4)
    torch.testing.assert_close(got, want, atol=1e-3, rtol=1e-3)


def test_the_reference_patches_as_the_library_does(reference):
    states = torch.randn(2, 192, generator=torch.Generator().manual_seed(2))
    target = patchscopes.identity_prompt(finding.pico(), ["boat", "king", "pear"], shots=2)
    want = patchscopes.patchscope(finding.pico(), states, target, 2)
    with torch.no_grad():
        got = reference["patched"](finding.pico(), list(target.tokens), target.place, states, 2)
    torch.testing.assert_close(got, want, atol=1e-3, rtol=1e-3)


def test_the_reference_ranks_as_the_library_does(reference):
    values = torch.tensor([0.5, 2.0, 0.5, -1.0])
    for i, word in enumerate("abcd"):
        assert reference["rank"](values, i) == secrets.rank(values, list("abcd"), word)
