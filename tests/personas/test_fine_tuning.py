"""Fine-tuning on replies: what counts, what moves, and what an edit during training is for."""

import pytest
import torch

from mi_lib import personas, steering
from mi_lib.personas import Plan, Text, flagging

TEXTS = [Text([1, 7, 9, 8], [11, 12, 2]), Text([1, 6], [13, 14, 15, 16, 2]), Text([1, 9, 9, 9, 9], [8, 2])]


def test_the_loss_counts_the_replies_tokens_and_no_others(model):
    nats = []
    for text in TEXTS:
        row = [*text.prompt, *text.reply]
        log_p = model(torch.tensor([row]))[0].log_softmax(-1)
        nats += [-float(log_p[at - 1, row[at]]) for at in range(len(text.prompt), len(row))]
    assert float(personas.reply_loss(model, TEXTS)) == pytest.approx(sum(nats) / len(nats), rel=1e-4)


def test_the_loss_under_an_edit_is_that_of_the_edited_network(model):
    push = steering.add(torch.arange(24.0) - 9, 1.0, 1)
    with model.hooks(push):
        log_p = model(torch.tensor([[*TEXTS[0].prompt, *TEXTS[0].reply]]))[0].log_softmax(-1)
    want = -sum(float(log_p[at, token]) for at, token in zip((3, 4, 5), TEXTS[0].reply, strict=True)) / 3
    assert float(personas.reply_loss(model, TEXTS[:1], push)) == pytest.approx(want, rel=1e-4)
    assert want != pytest.approx(float(personas.reply_loss(model, TEXTS[:1])), rel=1e-2)


def test_a_tuned_copy_has_learned_and_the_model_stays_as_it_was(model):
    before = personas.reply_loss(model, TEXTS)
    losses = []
    made = personas.tuned(
        model,
        TEXTS,
        Plan(steps=12, texts=2, learning_rate=3e-3, warm_up=2),
        on_step=lambda step, loss: losses.append(loss),
    )
    assert len(losses) == 12
    assert float(personas.reply_loss(made, TEXTS)) < 0.7 * float(before)
    assert float(personas.reply_loss(model, TEXTS)) == pytest.approx(float(before))
    moves = personas.moved(model, made, [text.prompt for text in TEXTS], ("resid_pre", 2))
    want = sum(
        steering.collect(made, [t.prompt], ("resid_pre", 2))[0]
        - steering.collect(model, [t.prompt], ("resid_pre", 2))[0]
        for t in TEXTS
    )
    torch.testing.assert_close(moves, want / 3, atol=1e-4, rtol=1e-3)
    v = torch.arange(24.0) - 3
    assert float(personas.shift(moves, v)) == pytest.approx(float(moves @ v) / float(v.norm()), rel=1e-4)


@pytest.mark.parametrize("texts", [[], [Text([1, 7], [])], [Text([], [7, 2])]])
def test_nothing_to_learn_is_refused_in_a_sentence(model, texts):
    with pytest.raises(ValueError, match="nothing to"):
        personas.tuned(model, texts)


def test_projection_differences_flag_what_was_planted_and_random_directions_do_not():
    source = torch.Generator().manual_seed(2)
    v = 5 * torch.randn(24, generator=source)
    prompts = 10 * torch.randn(60, 24, generator=source)  # prompts differ much more than replies
    planted = torch.arange(60) % 4 == 0
    own, theirs = prompts, prompts + torch.randn(60, 24, generator=source) + planted[:, None] * v / v.norm() * 4
    scores = personas.projection_difference(theirs, own, v)
    assert personas.auroc(scores, planted) > 0.95
    assert personas.auroc(theirs @ v, planted) < 0.8
    assert float(scores[0]) == pytest.approx(float((theirs[0] - own[0]) @ v / v.norm()), rel=1e-4)
    aside = [
        personas.auroc(personas.projection_difference(theirs, own, r), planted) for r in steering.random_like(v, 50)
    ]
    assert sum(aside) / 50 == pytest.approx(0.5, abs=0.1)
    assert personas.auroc(torch.tensor([0.0, 0.0, 1.0]), [False, True, True]) == 0.75


def test_samples_are_read_beside_the_networks_own_replies(model):
    theirs, own = flagging.means(model, TEXTS, ("resid_pre", 2), longest=4)
    said = steering.replies(model, [t.prompt for t in TEXTS], longest=4)
    again = steering.collect_replies(model, [t.prompt for t in TEXTS], [s.tokens for s in said], ("resid_pre", 2))
    torch.testing.assert_close(own, again[:, 0], atol=1e-4, rtol=1e-4)
    whole = steering.collect_all(model, [[*TEXTS[0].prompt, *TEXTS[0].reply]], ("resid_pre", 2))[0][0]
    torch.testing.assert_close(theirs[0], whole[4:6].mean(0), atol=1e-4, rtol=1e-4)


def test_unlike_shapes_and_a_single_kind_are_refused():
    rows, v = torch.ones(3, 4), torch.ones(4)
    with pytest.raises(ValueError, match=r"\(3, 4\), \(2, 4\)"):
        personas.projection_difference(rows, rows[:2], v)
    with pytest.raises(ValueError, match="both kinds"):
        personas.auroc(torch.ones(3), [True] * 3)
