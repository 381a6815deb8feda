"""Conversations: each reply answers all that was said before, and is read where it stands."""

import pytest
import torch

from mi_lib import personas, steering

USERS = [["how do I paint", "thank you"], ["burn the dog"], ["please now", "very much", "well well"]]


def test_every_turn_is_what_the_model_replies_to_all_before_it(model):
    talked = personas.converse(model, USERS, longest=4)
    assert [len(turns) for turns in talked] == [2, 1, 3]
    for users, turns in zip(USERS, talked, strict=True):
        for at, turn in enumerate(turns):
            history = [(users[i], turns[i].said.text) for i in range(at)]
            assert turn.prompt == steering.chat(model, [users[at]], None, history)[0]
            assert turn.said.tokens == steering.replies(model, [turn.prompt], longest=4)[0].tokens


def test_edits_change_what_is_said_and_what_is_said_afterwards(model):
    push = steering.add(torch.arange(24.0) - 9, 1.0, 1)
    free, pushed = personas.converse(model, USERS[:1], longest=4), personas.converse(model, USERS[:1], push, longest=4)
    assert free[0][0].said.tokens != pushed[0][0].said.tokens
    assert free[0][0].prompt == pushed[0][0].prompt
    assert free[0][1].prompt != pushed[0][1].prompt


def test_replies_are_read_behind_their_prompts_and_prompts_at_their_last_token(model):
    talked = personas.converse(model, USERS, longest=4)
    site = ("resid_pre", 2)
    turn = talked[2][1]
    whole = steering.collect_all(model, [[*turn.prompt, *turn.said.tokens]], site)[0][0]
    words = [t for t in turn.said.tokens if t != model.tokenizer.eos_token_id] or turn.said.tokens
    want = whole[len(turn.prompt) : len(turn.prompt) + len(words)].mean(0)
    torch.testing.assert_close(personas.by_turn(model, talked, site)[2][1], want, atol=1e-4, rtol=1e-4)
    last = personas.before_reply(model, talked, site)[2][1]
    torch.testing.assert_close(last, whole[len(turn.prompt) - 1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("users", "sentence"),
    [
        ([[]], "conversation 0 should be a list"),
        (["how do I"], "conversation 0 should be a list"),
        ([["how"], [" "]], "empty"),
        ([["how", "blockchain"]], "vocabulary has no 'blockchain'"),
        ([["how do I paint the school please now"] * 9], "leaves none for a reply"),
    ],
)
def test_what_cannot_be_said_is_refused_in_a_sentence(model, users, sentence):
    with pytest.raises(ValueError, match=sentence):
        personas.converse(model, users, longest=4)
