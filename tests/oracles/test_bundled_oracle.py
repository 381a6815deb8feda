"""The bundled oracle answers from the activations: with another text's it does not; what it says stands on its card."""

from __future__ import annotations

import pytest

import mi_lib
from mi_lib import oracles, zoo
from mi_lib.oracles import BadReading, judging, labels, questions, secrets
from mi_lib.oracles.asking import NAME
from mi_lib.oracles.dataset import asked
from mi_lib.recipes.oracles import checks, sealed
from mi_lib.worlds.littletown import people


@pytest.fixture(scope="module")
def bundled():
    return oracles.open_oracle()


@pytest.fixture(scope="module")
def pico():
    return mi_lib.load("pico")


def both(bundled, pico, examples):
    """The shares of right answers, with the activations and with those of another text."""
    read = judging.readings(pico, examples)
    right = judging.right(judging.oracle_logits(bundled, examples, read), examples).float().mean()
    turned = judging.right(judging.oracle_logits(bundled, examples, judging.turned(read)), examples).float().mean()
    return right, turned


def test_it_answers_from_the_activations_and_not_from_the_question(bundled, pico):
    right, turned = both(bundled, pico, asked("topic", 24))
    assert right > 0.8
    assert turned < 0.4


def test_asked_yes_or_no_it_compares_what_it_reads_with_what_it_is_asked(bundled, pico):
    right, turned = both(bundled, pico, asked("pet", 48, form="yes_no"))
    assert right > 0.75
    assert turned < 0.75


def test_a_typed_question_is_answered_in_a_word(bundled, pico):
    name = next(name for name in people.RESIDENTS if name not in labels.left_out_of("town"))
    town, other = people.OF_PERSON[name]["town"], next(t for t in people.TOWNS if t != people.OF_PERSON[name]["town"])
    (reading,) = oracles.read(pico, f"Where does {name}", depth=4)
    said = bundled.ask(reading, "What is the home town?", [other, town])
    assert said.word == town
    assert said.chance > 0.8


def test_it_is_a_small_folder_and_refuses_another_networks_activations(bundled):
    size = sum(file.stat().st_size for file in zoo.folder(NAME).rglob("*") if file.is_file())
    assert size < 8e6
    with pytest.raises(BadReading, match="activations of pico-base"):
        bundled.ask(oracles.read(mi_lib.load("pico-base"), "Mira", 4)[0], "What is the word ?")


def test_the_card_has_every_kind_beside_every_baseline():
    card = zoo.card(NAME)
    assert set(card["table"]) == set(questions.KINDS)
    for row in card["table"].values():
        assert {"oracle", "probe", "black_box", "majority", "shuffled", "zero", "lens", "last_lens"} <= set(row)
        assert all(low <= value <= high for value, low, high in row.values())
    assert card["falls_short"] == [name for name, check in card["checks"].items() if not check["passed"]]


def test_a_told_secret_is_read_from_what_was_kept_and_its_seal_judges_the_guess(bundled):
    card = zoo.card(secrets.NAME)
    assert len(card["seals"]) == len({*sealed.TOLD, *sealed.HELD}) == 12
    best = min(sealed.TOLD, key=lambda n: card["ranks"][str(n)]["oracle"])
    kind, kept = sealed.kind_of(best), secrets.kept(best)
    among = secrets.candidates(kind)
    of_base = checks.oracle_standing(bundled, checks._read(checks.subject(), kind, checks.READ_DEPTH), kind)
    found = checks.oracle_standing(bundled, checks._kept(best, checks.READ_DEPTH), kind)
    guess = among[int(secrets.lift(found, of_base).argmax())]
    assert secrets.opens(card["seals"], best, guess, among) == (card["ranks"][str(best)]["oracle"] == 1)
    assert kept.words == sealed.texts(kind)


def test_relatives_are_small_and_each_is_its_own():
    size = sum(file.stat().st_size for file in zoo.folder(secrets.NAME).rglob("*") if file.is_file())
    assert size < 4e6
    assert zoo.checkpoints(secrets.NAME) == list(sealed.HELD)
