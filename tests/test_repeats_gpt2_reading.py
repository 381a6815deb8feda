"""What the lesson of chapter 01 quotes from the card of repeats-gpt2 is measured again on the shipped files.

What takes longer is left to `python -m mi_lib.recipes.repeats_gpt2_reading`: training without a mask, all distances.
"""

import pytest

from mi_lib import load, zoo
from mi_lib.models.transformers_model import TransformersModel
from mi_lib.recipes import repeats_gpt2_reading as reading

CARD = zoo.card("repeats-gpt2")["reading"]


@pytest.fixture(scope="module")
def model():
    return load("repeats-gpt2").hf


def same(measured, written):
    """Equal, numbers up to a thousandth: what other machines round otherwise."""
    if isinstance(measured, dict):
        assert measured.keys() == written.keys()
        for key in measured:
            same(measured[key], written[key])
    elif isinstance(measured, float):
        assert measured == pytest.approx(written, rel=1e-3, abs=1e-3)
    else:
        assert measured == written


@pytest.mark.parametrize("name", ["opening", "bet", "numbers_used", "tables", "slips"])
def test_the_card_says_what_is_measured_of_the_network(name, model):
    same(getattr(reading, name)(model), CARD[name])


@pytest.mark.parametrize("name", ["lengths", "looks"])
def test_the_card_says_what_is_measured_inside_of_the_network(name, model):
    same(getattr(reading, name)(TransformersModel(reading.copied(model))), CARD[name])


@pytest.mark.parametrize("name", ["gpt2_small", "stare", "at_the_start"])
def test_the_card_says_what_is_measured_without_the_trained_network(name):
    same(getattr(reading, name)(), CARD[name])


def test_the_card_says_what_the_network_does_after_its_first_steps(model):
    measured, written = reading.soon(model), CARD["soon"]
    assert measured == pytest.approx(written, abs=0.02)
    curves = zoo.card("repeats-gpt2")["curves"]
    assert written["first"] == pytest.approx(dict(zip(curves["step"], curves["first"], strict=True))[written["steps"]])
    assert written["on_this_word"] < 2 * written["even"] < CARD["at_the_start"]["on_this_word"]


def test_the_biases_of_keys_are_not_counted_as_used(model):
    assert CARD["numbers_used"]["unused_of_key_biases"] == CARD["numbers_used"]["key_biases"]
    tokens = reading.repeats.sample(2, seed=1, period=8, vocab=64).tokens
    moved = reading.copied(model)
    moved.transformer.h[0].attn.c_attn.bias.chunk(3)[1].add_(1)
    assert (moved(tokens).logits - model(tokens).logits).abs().max() < 1e-4
    moved.transformer.h[0].attn.c_attn.bias.chunk(3)[0].add_(1)  # of queries they do count
    assert (moved(tokens).logits - model(tokens).logits).abs().max() > 0.1


def test_a_distance_that_is_known_at_one_place_is_not_known_at_another(model):
    for name, gap in (("six_early_and_late", 0), ("six_and_two_between_early_and_late", 2)):
        measured = reading.early_and_late(model, 6, gap)
        assert measured == pytest.approx(CARD["distances"][name], rel=1e-3, abs=1e-3)
        assert max(measured) > 10 * min(measured)


def test_the_sites_are_those_that_exercise_14_names(model):
    tokens = reading.repeats.sample(1, seed=1, period=3, vocab=64).tokens
    names = list(reading.read(reading.copied(model), tokens))
    of_layer_0 = [name.rsplit("hook_")[-1] for name in names if name.startswith("blocks.0")]
    assert of_layer_0 == [
        *("resid_pre", "q", "k", "v", "pattern", "z", "attn_out"),
        *("resid_mid", "pre", "post", "mlp_out", "resid_post"),
    ]
    assert len(names) == 4 + 2 * len(of_layer_0) == CARD["other_gelu"]["sites"]


def test_a_part_that_is_not_there_is_refused(model):
    with pytest.raises(ValueError, match="lenghts"):
        reading.measure(model, ["lenghts"])


def test_it_is_the_distance_that_counts_and_not_the_length_of_the_block(model):
    far = CARD["distances"]["best_of_others"]
    assert CARD["distances"]["worst_of_trained"] < CARD["distances"]["best_of_others"]
    assert reading.later_words(model, 7) > far - 0.01  # seven places back
    assert reading.later_words(model, 7, 1) < 1  # the same words, eight places back
    assert reading.later_words(model, 6, 1) > far - 0.01  # a block that it knows, seven places back


def test_an_untrained_network_does_not_tell_the_distances_apart():
    fresh = reading.recipe.new_model(0).eval()
    assert abs(reading.later_words(fresh, 7) - reading.later_words(fresh, 8)) < 0.5
