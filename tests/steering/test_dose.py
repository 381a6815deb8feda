"""Dose–response with its controls, and what an edit costs."""

from __future__ import annotations

import math

import pytest
import torch
from steering_subjects import ASKED, direction

from mi_lib import steering
from mi_lib.steering.dose import token_losses

JUDGES = {"long": lambda words: len(words) > 3, "dog": lambda words: "dog" in words}


def way(vector, dose):
    return steering.add(vector, dose, 1)


def test_every_dose_is_judged_as_its_replies_are_and_so_is_every_control(llama):
    prompts, vector = steering.chat(llama, ASKED), direction(llama)
    controls = steering.random_like(vector, 2)
    found = steering.dose_response(llama, prompts, vector, way, (0, 1.5), JUDGES, controls, longest=6)
    for dose, *shares in zip(found.doses, found.shares["long"], found.shares["dog"], strict=True):
        said = steering.replies(llama, prompts, way(vector, dose) if dose else (), longest=6)
        assert [one.value for one in shares] == [
            sum(judge(reply.words) for reply in said) / len(said) for judge in JUDGES.values()
        ]
    for name, judge in JUDGES.items():
        for control, row in zip(controls, found.controls[name], strict=True):
            said = steering.replies(llama, prompts, way(control, 1.5), longest=6)
            assert row[1] == sum(judge(reply.words) for reply in said) / len(said)
            assert row[0] == found.shares[name][0].value, "a dose of 0 does nothing, whatever the direction"


def test_replies_under_a_large_dose_surprise_the_model_without_it(llama):
    prompts = steering.chat(llama, ASKED)
    found = steering.dose_response(llama, prompts, direction(llama), way, (0, 5), JUDGES, longest=6)
    assert found.surprise[1] > found.surprise[0] + 1
    said = [reply.tokens for reply in steering.replies(llama, prompts, longest=6)]
    by_hand = []
    for prompt, reply in zip(prompts, said, strict=True):
        log_p = llama(torch.tensor([[*prompt, *reply]]))[0].log_softmax(-1)
        by_hand += [-log_p[len(prompt) + i - 1, token].item() for i, token in enumerate(reply)]
    assert found.surprise[0] == pytest.approx(sum(by_hand) / len(by_hand), rel=1e-4)


def test_the_least_dose_is_the_first_that_is_enough_or_else_the_best():
    shares = {"refuses": [steering.share([1] * n + [0] * (10 - n)) for n in (1, 8, 9, 7)]}
    response = steering.Response([1, 2, 3, 4], shares, [0.0] * 4, {})
    assert steering.least_dose(response, "refuses", 0.8) == 2
    assert steering.least_dose(response, "refuses", 0.95) == 3


def test_perplexity_is_that_of_each_text_alone_and_edits_of_replies_act_on_plain_text_too(model, vector):
    texts = steering.chat(model, ASKED)
    losses = []
    for row in texts:
        log_p = model(torch.tensor([row]))[0].log_softmax(-1)
        losses += [-log_p[i, token].item() for i, token in enumerate(row[1:])]
    assert steering.perplexity(model, texts) == pytest.approx(math.exp(sum(losses) / len(losses)), rel=1e-4)
    for where in ("both", "reply", "last"):
        edited = token_losses(model, texts, steering.add(vector, 1, 1, where=where))
        assert all((one - two).abs().max() > 1e-3 for one, two in zip(edited, token_losses(model, texts), strict=True))


def test_side_effects_are_measured_without_and_with_the_edits(llama):
    requests = steering.chat(llama, ASKED)
    facts = [(row, int(llama(torch.tensor([row]))[0, -1].argmax())) for row in requests]
    nothing = steering.side_effects(llama, [], requests, facts, requests, JUDGES["long"], longest=6)
    assert all(one == two for one, two in nothing)
    assert nothing.facts[0].value == 1
    edits = way(direction(llama), 4)
    found = steering.side_effects(llama, edits, requests, facts, requests, [JUDGES["long"]] * 4, longest=6)
    assert found.perplexity == (steering.perplexity(llama, requests), steering.perplexity(llama, requests, edits))
    assert [found.facts[1].value] == [sum(steering.knows(llama, facts, edits)) / 4]
    assert found.facts[1].value < 1
    assert found.surprise[1] > found.surprise[0]


def test_what_cannot_be_measured_is_refused_in_a_sentence(llama, gpt2):
    prompts, vector = steering.chat(llama, ASKED), direction(llama)
    for call, told in (
        (lambda: steering.dose_response(llama, prompts, vector, way, (), JUDGES), "at least one dose"),
        (lambda: steering.dose_response(llama, prompts, vector, way, (1,), {}), "one judge"),
        (lambda: steering.dose_response(llama, [], vector, way, (1,), JUDGES), "no prompts"),
        (lambda: steering.dose_response(llama, prompts, vector, way, (math.nan,), JUDGES), "finite number"),
        (lambda: steering.dose_response(gpt2, prompts, vector, way, (1e37,), JUDGES), "smaller dose"),
        (lambda: steering.perplexity(llama, [[1]]), "single token"),
        (lambda: steering.knows(llama, []), "no facts"),
    ):
        with pytest.raises(ValueError, match=told):
            call()
