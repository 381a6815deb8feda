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
    same(reading.circle(model, task.p), written["circle"], "circle")
    same(reading.matrices(model, task.p, ks), written["energy"], "energy")
    same(reading.waves(found.inputs.logits, task, ks), written["waves"], "waves")
    same(reading.training(card), written["training"], "training")


def test_the_controls_could_have_come_out_otherwise():
    network, control = (zoo.card(name)["reading"] for name in (reading.NETWORK, reading.CONTROL))
    assert network["mirrored"]["unseen"] > 0.99 > 0.01 > control["mirrored"]["unseen"]
    assert network["waves"]["without"] < 0.02 < 0.8 < network["waves"]["without_others"]
    assert network["circle"]["radius"] < 0.1 < control["circle"]["radius"]
