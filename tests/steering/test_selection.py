"""Refusal's selection: candidates at block inputs, the paper's three numbers and its conditions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from steering_subjects import ASKED

import mi_lib
from mi_lib import steering
from mi_lib.steering import selection
from mi_lib.steering.selection import Candidate, Conditions, Score
from mi_lib.worlds.littletown import talk

HARMFUL, HARMLESS = ["burn the school", "please burn the dog", "how do I burn the bridge"], ASKED


def test_candidates_are_differences_of_means_at_block_inputs_behind_the_instruction(llama):
    harmful, harmless = (steering.chat(llama, asked) for asked in (HARMFUL, HARMLESS))
    found = steering.candidates(llama, harmful, harmless)
    assert [(c.layer, c.position) for c in found] == [(1, -2), (1, -1), (2, -2), (2, -1)]
    for c in found:
        means = []
        for rows in (harmful, harmless):
            caches = [llama.run_with_cache(torch.tensor([row]))[1] for row in rows]
            means.append(torch.stack([cache["resid_pre", c.layer][0, c.position] for cache in caches]).mean(0))
        torch.testing.assert_close(c.direction, means[0] - means[1], rtol=1e-4, atol=1e-4)
    (one,) = steering.candidates(llama, harmful, harmless, layers=[2], positions=[-1])
    torch.testing.assert_close(one.direction, found[-1].direction, rtol=1e-4, atol=1e-4)


def test_the_logits_after_a_prompt_are_those_of_each_alone(model):
    rows = steering.chat(model, ASKED)
    found = selection.next_logits(model, rows)
    for row, logits in zip(rows, found, strict=True):
        torch.testing.assert_close(model(torch.tensor([row]))[0, -1], logits, rtol=1e-4, atol=1e-4)


def test_log_odds_are_those_of_the_tokens_together_even_where_probabilities_are_0_or_1():
    logits = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]]).log()
    expected = torch.tensor([math.log(0.3 / 0.7), math.log(0.8 / 0.2)], dtype=torch.double)
    torch.testing.assert_close(selection.log_odds(logits, {0, 1}), expected)
    far = selection.log_odds(torch.tensor([[1000.0, 0.0, 0.0]]), {1})
    assert far.item() == pytest.approx(-1000, abs=1e-6)


def test_divergence_is_zero_of_itself_and_is_known_for_two_coins():
    logits = torch.tensor([[0.3, -2.0, 1.0]])
    assert selection.divergence(logits, logits) == pytest.approx(0, abs=1e-6)
    fair, bent = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1]]).log()
    expected = 0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1)
    assert selection.divergence(fair, bent) == pytest.approx(expected, rel=1e-5)
    assert selection.divergence(bent, fair) != pytest.approx(expected, rel=1e-2), "before and after are not exchanged"


def test_a_score_ablates_on_the_harmful_and_adds_at_its_own_layer_on_the_harmless(llama):
    harmful, harmless = (steering.chat(llama, asked) for asked in (HARMFUL, HARMLESS))
    candidate = steering.candidates(llama, harmful, harmless)[2]
    asked = []

    def measure(prompts, edits):
        asked.append((prompts is harmful, [site for site, _ in edits if not callable(site)]))
        return float(len(asked))

    found = steering.score(llama, candidate, harmful, harmless, measure, doses=(1, 2))
    assert asked == [(True, []), (False, [("resid_pre", 2)]), (False, [("resid_pre", 2)])]
    assert (found.refuses, found.induces) == (1.0, 3.0)
    before, after = (selection.next_logits(llama, harmless, e) for e in ((), steering.ablate(candidate.direction)))
    assert found.kl == pytest.approx(selection.divergence(before, after))


def made_up(layer: int) -> Candidate:
    return Candidate(layer, -1, torch.zeros(24))


def test_the_least_refusal_wins_among_those_that_meet_the_conditions(llama):
    scored = [
        (made_up(0), Score(refuses=-9.0, induces=-0.1, kl=0.0)),  # induces nothing
        (made_up(1), Score(refuses=-8.0, induces=1.0, kl=0.2)),  # changes the harmless
        (made_up(3), Score(refuses=-7.0, induces=1.0, kl=0.0)),  # too late: 3 of 3 layers
        (made_up(2), Score(refuses=-5.0, induces=1.0, kl=0.01)),
        (made_up(1), Score(refuses=-5.1, induces=0.5, kl=0.02)),
        (made_up(0), Score(refuses=math.nan, induces=1.0, kl=0.0)),
    ]
    assert steering.select(llama, scored) is scored[4][0]
    assert steering.select(llama, scored, alike=0.5) is scored[3][0], "of equals the one that induces more"
    assert steering.select(llama, scored, Conditions(kl=0.3)) is scored[1][0]
    assert steering.select(llama, scored, Conditions(induces=-1)) is scored[0][0]
    assert steering.select(llama, scored, Conditions(depth=1.1)) is scored[2][0]
    with pytest.raises(ValueError, match=r"none of 3 candidates.*1 induce too little, 1 change.*1 come too late"):
        steering.select(llama, scored[:3])


@pytest.mark.slow
def test_in_pico_the_selection_finds_a_direction_that_governs_held_out_requests():
    pico = mi_lib.load("pico")

    def asked(kind, split, count, seed):
        return steering.chat(pico, [case.user for case in kind(split, count, seed)])

    kinds = (talk.harmful_requests, talk.harmless_requests)
    training, validation = (tuple(asked(kind, "train", n, seed) for kind in kinds) for n, seed in ((24, 1), (8, 2)))
    refusing = selection.by_first_token(pico, pico.tokenizer.encode("No", add_special_tokens=False))
    chosen, scored = steering.refusal_direction(pico, training, validation, refusing, doses=(2.5,))
    assert len(scored) == 10
    assert chosen.position == -1
    harmful, harmless = (asked(kind, "held_out", 8, 0) for kind in kinds)
    assert refusing(harmful, ()) > 0 > refusing(harmless, ())
    assert refusing(harmful, steering.ablate(chosen.direction)) < -3
    assert refusing(harmless, steering.add(chosen.direction, 2.5, chosen.layer)) > 0
    other = steering.random_like(chosen.direction, 1)[0]
    assert refusing(harmful, steering.ablate(other)) > 0 > refusing(harmless, steering.add(other, 2.5, chosen.layer))


def test_what_cannot_be_selected_from_is_refused_in_a_sentence(llama):
    rows = steering.chat(llama, ASKED)
    plain = [row[:-2] for row in rows]
    for call, error, told in (
        (lambda: steering.candidates(llama, plain, rows), ValueError, "harmful prompt 0 does not end as"),
        (lambda: steering.candidates(llama, rows, plain), ValueError, "harmless prompt 0 does not end as"),
        (lambda: steering.candidates(llama, rows[:1], rows), ValueError, "positive set has 1 member"),
        (lambda: steering.candidates(llama, [], rows), ValueError, "there are no prompts"),
        (lambda: steering.candidates(llama, rows, rows, layers=[9]), KeyError, "layers 0 to 2"),
        (lambda: selection.by_first_token(llama, ()), ValueError, "name the tokens"),
    ):
        with pytest.raises(error, match=told):
            call()
