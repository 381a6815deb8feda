"""Texts up to a word at which something is known of them."""

from __future__ import annotations

import random

import pytest

from mi_lib.probing import refuse_leaks
from mi_lib.worlds.littletown import properties, prose


@pytest.mark.parametrize("name", ["sentiment", "truth", "topic"])
def test_fitted_and_held_out_examples_share_no_combination(name):
    """(A deed is held out by its pair, or by who does what: of the second kind some have a pair that was fitted.)"""
    fitted, read = (properties.examples(name, split, 60, 5) for split in ("train", "held_out"))
    refuse_leaks([e.combination for e in fitted], [e.combination for e in read])
    assert {e.label for e in read} <= {e.label for e in properties.examples(name, "train", 600, 6)}


def test_the_subject_is_due_where_the_text_ends():
    for name, asked in (("subject", "Who did it ? The"), ("object", "To whom ? To the")):
        for example in properties.examples(name, "train", 20, 3):
            assert " ".join(example.words).endswith(asked)
            assert example.label in example.words
            assert example.label in example.combination.split()


def test_the_label_is_not_said_yet_where_it_must_be_inferred():
    for example in properties.examples("topic", "train", 20, 3):
        assert example.label not in example.words
    for example in properties.examples("truth", "train", 20, 3):
        assert example.words[-1] not in ("Yes", "No", "True", "False")


def test_examples_come_from_the_seed_and_a_generator_goes_on():
    one, other = (properties.examples("topic", "train", 5, seed) for seed in (1, 2))
    assert one == properties.examples("topic", "train", 5, 1) != other
    rng = random.Random(9)
    assert properties.examples("topic", "train", 5, rng) != properties.examples("topic", "train", 5, rng)
    with pytest.raises(KeyError, match="there is no property 'weather'; there are sentiment"):
        properties.examples("weather", "train", 5, 1)


def test_a_verb_agrees_with_its_noun_and_its_sentence_is_known():
    many = set(prose.NOUNS.values())
    found = properties.verbs("train", 200, 4)
    for verb in found:
        noun, nearer = verb.nouns
        assert (noun in many, nearer in many) == (verb.many, verb.nearer_many)
        assert verb.words.index(noun) < len(verb.words) - 1 - verb.words[::-1].index(nearer)
        assert properties.FORMS[verb.verb][verb.many] == verb.verb
        before = verb.words[verb.words.index(noun) - 1].lower()
        assert verb.template == (
            "seen"
            if "that" in verb.words
            else "owner"
            if "of" in verb.words[-2:]
            else "plain"
            if before == "the"
            else "size"
        )
    assert {verb.template for verb in found} == {"plain", "size", "seen", "owner"}
    assert len({(verb.many, verb.nearer_many) for verb in found}) == 4


def test_pairs_of_nouns_are_held_out():
    fitted, read = (properties.verbs(split, 300, 4) for split in ("train", "held_out"))
    refuse_leaks([verb.nouns for verb in fitted], [verb.nouns for verb in read])
