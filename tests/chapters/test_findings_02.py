"""What the lesson of chapter 02 claims. Of the slow claims parts are measured again."""

import random

import pytest

from mi_lib import zoo
from mi_lib.course import findings, index
from mi_lib.recipes.induction import checks

CHAPTER = index.chapter("02")
FOUND, finding = findings.read(CHAPTER), findings.module(CHAPTER)


@pytest.mark.parametrize(("when", "checkpoint"), [("finished", None), ("early", finding.EARLY)])
def test_the_worth_of_a_head_drawn_by_lot_is_measured_again(when, checkpoint):
    heads = [(layer, head) for layer in range(2) for head in range(4)]
    layer, head = random.Random(f"14 {when}").choice(heads)
    model = finding.network(finding.TWO, checkpoint)
    measured = checks.loss_brought_back(model, checks.known_sample(), [(layer, head)])
    assert findings.differences(measured, FOUND["worth"][when][layer][head], f"{layer}.{head}") == []


def test_the_heads_are_those_of_the_card_and_the_worths_those_of_the_heads():
    card, heads, worth = zoo.card(finding.TWO)["circuit"], FOUND["heads"], FOUND["worth"]
    for kind in ("induction", "previous"):
        assert heads[kind] == [f"{layer}.{head}" for layer, head in card[kind]]
        layer, head = card[kind][0]
        assert worth[kind] == worth["finished"][layer][head] > 0.9
    assert heads["others"] == len(card["others"]) == heads["all"] - 2
    assert heads["look_alikes"] > heads["members"] == 1


def test_the_others_are_worth_nothing_at_the_end_and_were_worth_something_early():
    others, whole = FOUND["without"]["others"], FOUND["losses"]["two"]
    assert others["zero"] == pytest.approx(whole["second"], abs=0.02)
    assert FOUND["worth"]["others_early"] > 0.2
    assert FOUND["without"]["induction"]["first_copies"] == pytest.approx(whole["first"], abs=0.1)


def test_the_notes_are_read_by_the_keys_alone():
    cut = FOUND["cut"]
    assert cut["k"] > 10 * max(cut["q"], cut["v"])


def test_the_look_alikes_lose_their_score_with_the_previous_token_head_and_early_not_with_the_others():
    early = FOUND["alikes"]["early"]
    assert early["previous"]["highest"] < early["others"]["lowest"] < early["nothing"]["lowest"]
    assert FOUND["alikes"]["finished"]["previous"]["highest"] < 0.1 < 0.5 < FOUND["heads"]["prefix_matching"][1]


def test_the_score_of_a_look_alike_without_the_previous_token_head_is_measured_again():
    """A part of `alikes`: the best head of layer 1, whose score must lie between the published ones."""
    scores = finding._scores_without(finding.network(), finding.found().previous, finding.found().induction)
    low, high = (FOUND["alikes"]["finished"]["previous"][end] for end in ("lowest", "highest"))
    assert all(low - 1e-3 <= score <= high + 1e-3 for score in scores)


def test_layer_0_is_one_measurement_ahead_at_one_of_the_two_marks():
    """The lesson says so, and the step between two measurements comes from the recipe."""
    card = zoo.card(finding.TWO)
    born, step = card["births"]["seed_0"], card["recipe"]["save_every"]
    ahead = [born[f"induction_{mark}"] - born[f"previous_{mark}"] for mark in ("quarter", "half")]
    assert sorted(ahead) == [0, step]
