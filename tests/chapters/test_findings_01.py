"""What the lesson of chapter 01 claims. Of the slow claims parts are measured again; training is not."""

import random

import pytest

from mi_lib import zoo
from mi_lib.course import findings, index

CHAPTER = index.chapter("01")
FOUND, finding = findings.read(CHAPTER), findings.module(CHAPTER)


def test_the_losses_at_a_sample_of_all_distances_are_measured_again():
    published = FOUND["distances"]["by_distance"]
    cells = [(distance, gap) for distance in published for gap in range(len(published[distance]))]
    assert len(cells) > 60
    for distance, gap in random.Random(14).sample(cells, 3):
        measured = finding.later_words(finding.network(), int(distance) - gap, gap)
        assert findings.differences(measured, published[distance][gap], f"{distance} with {gap} between") == []


def test_it_is_the_distance_that_counts_and_not_the_length_of_the_block():
    table, seven = FOUND["distances"], FOUND["seven"]
    every = table["by_distance"]
    assert table["worst_of_trained"] == max(max(every[str(length)]) for length in seven["lengths"])
    assert table["best_of_others"] == min(min(every[str(distance)]) for distance in table["others"])
    assert table["worst_of_trained"] < 2 < 5 < table["best_of_others"]
    assert set(table["others"]) == {int(distance) for distance in every} - set(seven["lengths"])
    assert seven["seven"] == every["7"][0] > 5 > 1 > seven["seven_and_one_between"] == every["8"][1]


def test_an_untrained_network_does_not_tell_the_distances_apart():
    fresh = finding.recipe.new_model(0).eval()
    assert abs(finding.later_words(fresh, 7) - finding.later_words(fresh, 8)) < 0.5


def test_a_distance_that_is_known_at_one_place_is_not_known_at_another():
    for name in ("six_early_and_late", "six_and_two_between_early_and_late"):
        assert max(FOUND["seven"][name]) > 10 * min(FOUND["seven"][name])


def test_what_the_network_does_after_its_first_steps_fits_the_curves_of_its_training():
    written, curves = FOUND["soon"], zoo.card("repeats-gpt2")["curves"]
    at = curves["step"].index(written["steps"])
    assert written["first"] == pytest.approx(curves["first"][at])
    assert written["on_this_word"] < 2 * written["even"] < FOUND["at_the_start"]["on_this_word"]


def test_without_a_mask_the_network_sees_the_words_that_are_still_to_come():
    fresh = finding.recipe.new_model(0).eval()
    tokens = finding.repeats.sample(2, seed=1, period=8, vocab=64).tokens
    other = tokens.clone()
    other[:, -1] = tokens[:, -1].roll(1)
    changed = {
        "no mask": finding.seeing_all(fresh, other) - finding.seeing_all(fresh, tokens),
        "mask": fresh(other).logits - fresh(tokens).logits,
    }
    assert changed["no mask"][:, 0].abs().max() > 1e-3 > 1e-6 > changed["mask"][:, 0].abs().max()
    published = FOUND["without_a_mask"]
    assert published["in_training"] < 0.01 < 4 < published["with_a_mask"] < 8 < published["when_it_writes"]


def test_the_biases_of_keys_are_not_counted_as_used():
    assert FOUND["numbers_used"]["unused_of_key_biases"] == FOUND["numbers_used"]["key_biases"]
    model, tokens = finding.network(), finding.repeats.sample(2, seed=1, period=8, vocab=64).tokens
    moved = finding.copied(model)
    moved.transformer.h[0].attn.c_attn.bias.chunk(3)[1].add_(1)
    assert (moved(tokens).logits - model(tokens).logits).abs().max() < 1e-4
    moved.transformer.h[0].attn.c_attn.bias.chunk(3)[0].add_(1)  # of queries they do count
    assert (moved(tokens).logits - model(tokens).logits).abs().max() > 0.1


def test_the_sites_are_those_that_exercise_14_names():
    tokens = finding.repeats.sample(1, seed=1, period=3, vocab=64).tokens
    names = list(finding.read(finding.copied(finding.network()), tokens))
    of_layer_0 = [name.rsplit("hook_")[-1] for name in names if name.startswith("blocks.0")]
    assert of_layer_0 == [
        *("resid_pre", "q", "k", "v", "pattern", "z", "attn_out"),
        *("resid_mid", "pre", "post", "mlp_out", "resid_post"),
    ]
    assert len(names) == 4 + 2 * len(of_layer_0) == FOUND["other_gelu"]["sites"]
