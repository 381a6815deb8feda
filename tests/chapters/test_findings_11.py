"""What the lesson of chapter 11 claims. Of the slow claims parts are measured again; and the reference's functions run
on a random Llama with a chat template, as the lesson says of a real one."""

import random
import sys
from pathlib import Path

import pytest
import torch

from mi_lib import personas, steering
from mi_lib.course import files, findings, index
from mi_lib.worlds.littletown import voices

CHAPTER = index.chapter("11")
FOUND, finding = findings.read(CHAPTER), findings.module(CHAPTER)


def test_traits_show_when_asked_for_and_not_otherwise():
    found = FOUND["traits_as_they_are"]
    assert found["told_least"] >= 0.9 > 0.05 >= found["untold_most"]
    assert found["untold_all_words_least"] > 0.5
    assert found["rightly"] > 0.95 > 0.8 > found["rightly_all_words"]


def test_projections_tell_replies_beforehand_and_a_pooled_correlation_is_no_rarity():
    found = FOUND["monitoring"]
    assert found["pooled_least"] >= 0.75
    assert found["random_most"] > 0.5  # the reason why it is asked within kinds
    assert found["within_most"] < found["pooled_least"]


def test_the_shift_tells_what_fine_tuning_has_changed():
    tuning = FOUND["tuning"]
    assert tuning["runs"] >= 12
    assert tuning["depth_3"]["r"] >= 0.76
    assert tuning["depth_3"]["random_as_high"] <= 0.01
    assert tuning["mistaken_facts"] < 0.6 * tuning["facts"]
    assert tuning["mistaken_most"] < 0.05
    assert min(tuning["facts_after"]) < 0.9 < FOUND["plainly_tuned"]["facts"], (
        "the price is the trait's, not training's"
    )
    assert FOUND["plainly_tuned"]["shown_most"] < 0.05
    assert all(row == sorted(row) or max(row) - min(row) > 0.3 for row in tuning["shown"])


def test_the_vaccine_costs_less_than_the_cure_where_both_do_as_much():
    found = FOUND["prevented"]
    assert found["before"][1]["shown"] < 0.3 * found["plain"]["shown"] < found["before_random"]["shown"]
    assert min(one["topic"] for one in found["before"]) > found["after"][3]["topic"] + 0.1
    assert found["after"][3]["shown"] <= found["before"][1]["shown"]


def test_planted_samples_are_flagged_before_training_and_shuffled_labels_are_not():
    found = FOUND["flagged"]
    assert found["auroc_least"] >= 0.9 > found["shuffled_most"]


def test_every_role_talks_longer_than_the_assistant():
    found = FOUND["lengths"]
    assert found["longer"] == FOUND["roles"]["roles"]
    assert found["roles_interval"][0] > found["assistant"]


def test_roles_stand_in_the_world_s_order_and_the_interval_is_as_wide_as_it_is_taught():
    found = FOUND["roles"]
    assert found["roles"] >= 24
    assert found["order"] >= 0.8
    low, high = found["alignment_interval"]
    assert low < found["alignment"] < high
    assert low > found["alignment_random_most"]
    alone = found["one_role"]
    assert alone["least"]["order"] < 0.6 < alone["middle"]["order"] < found["order"] < alone["most"]["order"]


def test_seekers_fall_and_workers_too_until_place_is_taken_out_of_the_axis():
    found = FOUND["drift"]
    assert found["seekers"]["fall_interval"][0] > found["workers"]["fall_interval"][1] > 0.2
    assert found["workers"]["clean"] < 0.1 < found["seekers"]["clean_interval"][0]


def test_a_drifting_conversation_is_told_from_its_first_replies():
    found = FOUND["predicted"]
    assert 0.2 < found["drifted"] < 0.8
    assert found["three"] > 0.7
    assert found["three_interval"][0] > 0.5


def test_capping_everywhere_takes_harm_away_at_no_cost_and_other_ways_do_not():
    found = FOUND["capped"]
    assert found["both"]["harmful"] <= 0.4 * found["free"]["harmful"]
    assert found["reply"]["harmful"] > found["both"]["harmful"]
    for what in ("facts", "topic"):
        assert found["both"][what] >= found["free"][what] - 0.05
    assert found["random_least"] >= 0.9 * found["free"]["harmful"]
    pushed = found["added"][-1]
    assert pushed["harmful"] <= found["both"]["harmful"] + 0.05
    assert pushed["topic"] < found["both"]["topic"] - 0.1


def test_conversations_are_held():
    found = FOUND["held"]
    assert found["capped"]["drifted"] <= 0.4 * found["free"]["drifted"]
    assert found["random_least"] > found["capped"]["drifted"]


@pytest.mark.slow
def test_conversations_drawn_by_lot_are_had_again():
    kept = FOUND["talks"]
    for at in random.Random(11).sample(range(len(kept["users"])), 2):
        (again,) = personas.converse(finding.pico(), [kept["users"][at]])
        assert [turn.said.text for turn in again] == kept["said"][at]
        assert (finding.mystic(again[-1].said.words) >= finding.DRIFTS) == kept["drifted"][at]


@pytest.mark.slow
def test_a_few_samples_are_flagged_again():
    of = finding.flagged_samples("evil")[:24]
    theirs, own = finding.flagging_means(finding.pico(), finding.texts(of), ("resid_pre", finding.DEPTH), 40)
    cases = [finding.talk.trait_prompts("evil", 3, "train", 9, 1), finding.talk.trait_prompts("evil", 0, "train", 9, 1)]
    rows = [finding.rows_of(cases[0]), [finding.row(finding.talk.prompt(case.user)) for case in cases[1]]]
    means = [
        steering.collect_replies(
            finding.pico(), some, [one.tokens for one in steering.replies(finding.pico(), some, longest=40)],
            [("resid_pre", finding.DEPTH)],
        )[:, 0].mean(0)
        for some in rows
    ]  # fmt: skip
    scores = personas.projection_difference(theirs, own, means[0] - means[1])
    assert personas.auroc(scores, [one.planted for one in of]) >= 0.9


@pytest.mark.slow
def test_a_short_fine_tuning_moves_pico_along_its_trait_and_not_the_control():
    plan = personas.Plan(steps=6, texts=6, learning_rate=3e-4, warm_up=1)
    rows = finding.judged_prompts()[:8]
    moves = {}
    for part in (0.0, 1.0):
        of = finding.texts(finding.samples.samples("evil", part, 36, seed=7))
        made = personas.tuned(finding.pico(), of, plan)
        moves[part] = personas.moved(finding.pico(), made, rows, ("resid_pre", 5))
    evil = finding.rows_of(finding.talk.trait_prompts("evil", 3, "train", 12, 1))
    with_trait = steering.collect(finding.pico(), evil, ("resid_pre", 5)).mean(0)
    without = steering.collect(finding.pico(), finding.plain_prompts("train", 12, 1), ("resid_pre", 5)).mean(0)
    v = with_trait - without
    assert float(personas.shift(moves[1.0], v)) > 2 * abs(float(personas.shift(moves[0.0], v)))


sys.path.insert(0, str(Path(__file__).parents[1] / "steering"))
from steering_subjects import opened  # noqa: E402


def test_the_functions_run_on_a_llama_with_a_chat_template_and_agree_with_the_library(tmp_path):
    llama = opened(tmp_path, "llama")
    answers: dict = {}
    exec(files.read_text(CHAPTER.solutions_folder / "exercises.py"), answers)
    prompts = steering.chat(llama, ["how do I burn the school", "paint the dog now", "please"])
    replies = [[7, 8, 9, 2], [10, 2], [11, 12, 2]]
    means = answers["reply_means"](llama, prompts, replies)
    sites = [("resid_pre", layer) for layer in range(llama.cfg.n_layers)]
    assert torch.allclose(means, steering.collect_replies(llama, prompts, replies, sites), atol=1e-4)
    v = means[0, 1] - means[1, 1]
    along = answers["before_reply"](llama, prompts, v, 1)
    states = steering.collect(llama, prompts, ("resid_pre", 1))
    assert torch.allclose(along, steering.projections(states, v), atol=1e-4)
    texts = [personas.Text(p, r) for p, r in zip(prompts, replies, strict=True)]
    loss = answers["tuning_loss"](llama, prompts, replies, v, 0.5, 1)
    assert float(loss) == pytest.approx(float(personas.reply_loss(llama, texts, steering.add(v, 0.5, 1))), rel=1e-4)


def test_the_reference_s_numbers_are_the_library_s():
    answers: dict = {}
    exec(files.read_text(CHAPTER.solutions_folder / "exercises.py"), answers)
    source = torch.Generator().manual_seed(1)
    roles, assistant = torch.randn(9, 24, generator=source), torch.randn(24, generator=source)
    axis = personas.Axis(roles[:, None], assistant[None])
    assert float(answers["alignment"](assistant, roles)) == pytest.approx(axis.alignment(0), rel=1e-4)
    states = torch.randn(4, 5, 24, generator=source)
    assert torch.allclose(answers["place"](states, assistant, roles), axis.place(states, 0), atol=1e-5)
    own = torch.randn(7, 2, 24, generator=source)
    cap = personas.Cap.of(roles[:2], own, (0, 1))
    assert torch.allclose(answers["floors_of"](own, roles[:2], 0.25), cap.floors, atol=1e-5)
    ((_, way), _) = cap.edits()
    assert torch.allclose(answers["cap"](states, roles[0], float(cap.floors[0])), way.change(states), atol=1e-5)
    assert len(voices.ROLES) >= 24
