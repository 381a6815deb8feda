"""What the lesson of chapter 03 quotes from the networks' cards is measured again on the shipped files."""

import pytest

from mi_lib import grokking, load, zoo
from mi_lib.recipes import grokking_reading as reading
from mi_lib.zoo import grokking_checks as checks

NETWORKS = (reading.NETWORK, reading.CONTROL, reading.SECOND)


def same(measured, written, where):
    """Equal, numbers up to what other machines round otherwise."""
    if isinstance(measured, dict):
        assert measured.keys() == written.keys(), where
        for key in measured:
            same(measured[key], written[key], f"{where}.{key}")
    elif isinstance(measured, list):
        for i, (m, w) in enumerate(zip(measured, written, strict=True)):
            same(m, w, f"{where}.{i}")
    elif isinstance(measured, float):
        assert measured == pytest.approx(written, rel=2e-3, abs=2e-3), where
    else:
        assert measured == written, where


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_the_card_says_what_is_measured_of_the_network(name):
    card, task, model = zoo.card(name), checks.task_of(name), load(name)
    ks, written = card["measured_with"], card["reading"]
    found = grokking.analyse(model)
    same(reading.mirrored(model, task), written["mirrored"], "mirrored")
    same(reading.attention(model, task), written["attention"], "attention")
    same(reading.products(model, task, ks), written["products"], "products")
    same(reading.swapped(model, task), written["swapped"], "swapped")
    same(reading.circle(model, task.p, reading.strongest(name)), written["circle"], "circle")
    same(reading.matrices(model, task.p, ks), written["energy"], "energy")
    same(reading.waves(found.inputs.logits, task, ks), written["waves"], "waves")
    same(reading.leftover(found.inputs.logits, task, ks), written["leftover"], "leftover")
    same(reading.training(card), written["training"], "training")
    same(reading.at_step(name, task, ks, card["reading"]["training"]["peak_step"]), written["at_the_peak"], "the peak")


def test_the_controls_could_have_come_out_otherwise():
    network, control = (zoo.card(name)["reading"] for name in (reading.NETWORK, reading.CONTROL))
    assert network["mirrored"]["unseen"] > 0.99 > 0.01 > control["mirrored"]["unseen"]
    assert network["waves"]["without"] < 0.02 < 0.8 < network["waves"]["without_others"]
    assert network["circle"]["frequency"] == control["circle"]["frequency"]
    assert network["circle"]["radius"] < 0.1 < control["circle"]["radius"]
    assert network["swapped"] < 0.001 < 0.1 < min(network["swapped_when_memorised"], control["swapped"])


def test_the_order_of_a_and_b_is_seen_on_the_logits_not_on_the_answers():
    network, control = load(reading.NETWORK), load(reading.CONTROL)
    task = checks.task_of(reading.NETWORK)
    assert reading.swapped(network, task) < 0.001 < 0.1 < reading.swapped(control, task)


def test_what_the_waves_leave_behind_is_worse_than_a_guess_because_it_is_not_flat():
    card = zoo.card(reading.NETWORK)
    left = card["reading"]["leftover"]
    assert left["loss_of_any_answer"] > card["guessing"] + 1
    assert left["spread_whole"] > 3 * left["spread"] > 3


def test_at_the_peak_of_the_test_loss_the_waves_know_more_of_the_unseen_pairs_than_other_waves_and_the_rest():
    peak, of_card = (zoo.card(reading.NETWORK)["reading"][key] for key in ("at_the_peak", "training"))
    assert peak["step"] == of_card["peak_step"] < of_card["first_team"]
    assert peak["alone"] > 4 * max(peak["others_alone"], peak["rest"])
    assert peak["rest_of_training"] > 0.99
    assert peak["rest_sure"] > 0.5
