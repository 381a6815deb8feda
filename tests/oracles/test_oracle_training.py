"""Training learns to answer from the activations, goes on after an interruption as if there had been none, and thin
matrices begin as nothing."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from mi_lib.oracles import lora, training
from mi_lib.oracles.training import Plan, rate

SMALL = Plan(steps=6, texts=2, each=3, warm_up=2)


def test_the_activations_reach_the_loss_and_their_mean_is_taken_away(subject):
    examples = training.examples_of(SMALL, 0, 0)
    means = torch.randn(7, 24, generator=torch.Generator().manual_seed(0))
    raw, centred = training.activations(subject, examples, None), training.activations(subject, examples, means)
    for one, a, b in zip(examples, raw, centred, strict=True):
        torch.testing.assert_close(a - means[one.depth], b)
    plain = float(training.loss(subject, subject, examples, None, SMALL))
    assert abs(plain - float(training.loss(subject, subject, examples, 100 * means, SMALL))) > 1e-3


def test_the_loss_is_the_mean_surprise_at_the_answers_and_at_the_word_said_before_a_verdict(subject):
    examples = training.examples_of(Plan(texts=2, each=8), 1, 0)
    vectors = training.activations(subject, examples, None)
    surprise, verdicts = 0.0, 0
    for one, v in zip(examples, vectors, strict=True):
        said = one.question.said
        verdicts += bool(said)
        for begun, word in [("", said), (said, one.question.answer)] if said else [("", one.question.answer)]:
            row = training.logits(subject, [one.question.words], [one.depth], [v], said=[begun])[0].log_softmax(-1)
            surprise -= float(row[training.ids()[word]])
    assert 0 < verdicts < len(examples)
    found = float(training.loss(subject, subject, examples, None, SMALL))
    assert found == pytest.approx(surprise / len(examples), rel=1e-3)


def test_the_same_step_asks_the_same_and_another_does_not():
    one, again, other = (training.examples_of(SMALL, step, 0) for step in (3, 3, 4))
    assert [e.question for e in one] == [e.question for e in again] != [e.question for e in other]
    plan = Plan(texts=2, each=8)
    outright = training.examples_of(dataclasses.replace(plan, outright=True), 3, 0)
    assert [e.question.words for e in outright] == [e.question.words for e in training.examples_of(plan, 3, 0)]
    assert not any(e.question.said for e in outright)
    assert [e.question for e in training.examples_of(SMALL, 3, 1)] != [e.question for e in one]


def test_the_rate_rises_stays_and_falls():
    plan = Plan(steps=100, warm_up=10, cool_down=0.5, learning_rate=2.0)
    found = [rate(plan, step) for step in range(100)]
    assert found[0] == pytest.approx(0.2)
    assert found[20] == found[49] == 2.0
    assert found[75] == pytest.approx(1.0)
    assert min(found[60:]) == pytest.approx(0.1)


@pytest.mark.parametrize("thin", [False, True])
def test_a_few_steps_lower_the_loss(subject, thin):
    oracle = copy.deepcopy(subject)
    oracle = lora.with_thin(oracle, 4) if thin else oracle.requires_grad_(True)
    optimizers = training.Optimizers(oracle.named_parameters(), SMALL, muon=not thin)
    plan = Plan(steps=1000, texts=2, each=3, warm_up=1, learning_rate=0.02)
    before = float(training.loss(oracle, subject, training.examples_of(plan, 0, 0), None, plan).detach())
    for _ in range(6):  # the same questions again and again
        optimizers.step(0.0)
        training.train_step(oracle, subject, optimizers, None, plan, 0, 0)
    after = float(training.loss(oracle, subject, training.examples_of(plan, 0, 0), None, plan).detach())
    assert after < before - 0.5
    assert not any(p.requires_grad for p in subject.parameters()), "the subject is never trained"


def test_thin_matrices_begin_as_nothing_and_are_multiplied_out(subject):
    model = copy.deepcopy(subject)
    tokens = torch.tensor([[2, 50, 60, 70]])
    before, names = subject(tokens), set(subject.hf.state_dict())
    lora.with_thin(model, 2)
    torch.testing.assert_close(model(tokens), before)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(trained) == 2 * 4 * 6
    assert all("parametrizations" in name for name in trained)
    with torch.no_grad():
        for _, p in model.named_parameters():
            if p.requires_grad:
                p.add_(0.1)
    changed = model(tokens)
    lora.merged(model)
    assert set(model.hf.state_dict()) == names
    torch.testing.assert_close(model(tokens), changed, rtol=1e-4, atol=1e-4)
    assert (changed - before).abs().max() > 1e-2
    with pytest.raises(ValueError, match="at least one column"):
        lora.with_thin(copy.deepcopy(subject), 0)
