"""What the lesson of chapter 04 claims. Of the slow claims parts are measured again; lenses are not trained anew."""

import random

import pytest
import torch

from mi_lib import lens
from mi_lib.course import findings, index

CHAPTER = index.chapter("04")
FOUND, finding = findings.read(CHAPTER), findings.module(CHAPTER)
PLACE = 1 + finding.SENTENCES[1].split().index("{}")  # of the name, after <|bos|>


@pytest.fixture(scope="module")
def sample():
    """Some of the pairs that the findings were measured with, and what patching brings back in them."""
    some = random.Random(14).sample(finding.pairs(sentence=finding.SENTENCES[1]), 4)
    return finding.travel_of(finding.pico(), some)


def test_a_name_moves_in_block_0_and_nothing_comes_back_at_its_place_afterwards(sample):
    for seen in (sample["resid_pre"].mean(0), torch.tensor(FOUND["travel"]["resid_pre"])):
        assert seen[0, PLACE] > 0.95
        assert seen[2:, PLACE].abs().max() < 0.05
        assert seen[2:, -1].min() > 0.9


def test_the_shares_of_a_sample_of_pairs_are_near_those_of_all(sample):
    recall = FOUND["recall"]
    assert finding.carriers(sample["heads"].mean(0))[0] == recall["layer"]
    assert sample["heads"].mean(0)[recall["layer"], recall["head"]].item() == pytest.approx(
        recall["head_share"], abs=0.15
    )
    for site, share in (("attn_out", "attention_share"), ("mlp_out", "mlp_share")):
        measured = sample[site].mean(0)[recall["layer"], -1].item()
        assert measured == pytest.approx(recall[share], abs=0.1)


def test_the_block_that_brings_the_town_is_the_one_that_the_other_claims_ask_about():
    assert FOUND["recall"]["layer"] == finding.CARRIER
    assert {one["head"] for one in FOUND["by_sentence"]} == {f"{finding.CARRIER}.{FOUND['recall']['head']}"}


def test_the_head_of_a_sentence_drawn_by_lot_is_found_again():
    """A part of `by_sentence`: with a few of its pairs."""
    published = random.Random(14).choice(FOUND["by_sentence"])
    sentence = published["sentence"].replace("…", "{}")
    tables = finding.travel_of(finding.pico(), finding.pairs(3, sentence))["heads"]
    layer, order = finding.carriers(tables.mean(0))
    assert f"{layer}.{order[0]}" == published["head"]


def test_one_head_says_whose_town_it_is_and_another_block_does_not():
    recall = FOUND["recall"]
    measured = finding.swapped(finding.pico(), recall["layer"], [recall["head"]]).mean().item()
    low, high = recall["swapped_by_one_interval"]
    assert low - 1e-6 <= measured <= high + 1e-6
    assert recall["swapped_by_three"] > 0.9 > 0.1 > recall["swapped_elsewhere"]


def test_the_tuned_lens_reads_towns_earlier_than_the_logit_lens_does():
    shares = FOUND["answer_by_depth"]
    assert shares["logit"]["depth_3"] < shares["tuned"]["depth_3"] - 0.3
    assert shares["logit"]["depth_6"] == shares["tuned"]["depth_6"] > 0.95


def test_a_bias_alone_brings_less_than_half_of_what_the_tuned_lens_gains():
    bias, prose = FOUND["bias"], FOUND["prose"]
    for logit, alone, tuned in (
        (bias["at_1"]["logit"], bias["at_1"]["bias"], bias["at_1"]["tuned"]),
        (bias["in_the_middle"]["logit"], bias["in_the_middle"]["bias"], bias["in_the_middle"]["tuned"]),
        (prose["kl"]["depth_3"], bias["kl"]["depth_3"], prose["kl_tuned"]["depth_3"]),
    ):
        assert tuned < alone < logit
        assert logit - alone < 0.5 * (logit - tuned)


def test_a_lens_reads_the_towns_of_residents_it_has_never_met():
    held_out, anew = FOUND["held_out"], FOUND["on_towns"]["words"]["tuned"]["shuffled_most"]
    assert held_out["residents"] == {"unmet": len(finding.unmet()), "met": 60 - len(finding.unmet())}
    assert all(held_out["unmet"][f"depth_{depth}"] > 2 * anew[f"depth_{depth}"] for depth in (2, 3))
    words = finding.texts_without(finding.unmet(), 30)[0].unique().tolist()
    assert not {finding.token(name) for name in finding.unmet()} & set(words)


def test_the_cost_of_norming_twice_is_that_of_norming_what_transformers_returns():
    model, tokens = finding.pico(), finding.prose_texts(words=8, texts=12)
    last = model.hf(input_ids=tokens, output_hidden_states=True).hidden_states[-1]
    right, wrong = model(tokens), lens.read_out(model, last)
    cost, changed = finding.normed_twice(model, tokens)
    assert torch.allclose(cost, lens.kl_divergence(right, wrong), atol=1e-4)
    assert torch.equal(changed.bool(), right.argmax(-1) != wrong.argmax(-1))
    assert cost.mean() > 0.01


def test_held_out_prose_is_the_same_width_and_starts_texts():
    tokens = finding.prose_texts(words=8, texts=12)
    assert tokens.shape[1] == 9
    assert len(tokens) > 5
    assert tokens[:, 0].unique().numel() == 1, "<|bos|> in front"
