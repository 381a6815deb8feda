"""The world of repeats: what it says about its sequences must be true of them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_lib.worlds import repeats


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    period=st.integers(1, 12),
    copies=st.integers(2, 4),
    offset=st.integers(0, 5),
    distractors=st.integers(0, 4),
)
def test_every_label_is_true_of_the_tokens(seed, period, copies, offset, distractors):
    sample = repeats.sample(
        2, seed=seed, period=period, copies=copies, offset=offset, distractors=distractors, vocab=60, n_ctx=50
    )
    assert sample.tokens.shape == (2, 50)
    for row in range(2):
        tokens = sample.tokens[row].tolist()
        assert tokens[0] == repeats.BOS_TOKEN
        for t, token in enumerate(tokens):
            earlier = [p for p in range(t) if tokens[p] == token]
            assert sample.previous[row, t] == (earlier[-1] if earlier else -1)
            target = sample.induction_target[row, t]
            assert target == (-1 if not earlier or earlier[-1] + 1 >= t else earlier[-1] + 1)
            assert not (sample.first[row, t] and sample.second[row, t])
            if sample.second[row, t]:
                assert earlier, "a word of a later copy has been there before"
            if sample.predictable[row, t]:
                assert tokens[t + 1] == tokens[earlier[-1] + 1]


def test_one_block_lies_where_its_description_says():
    sample = repeats.sample(3, seed=1, period=5, copies=2, offset=2, distractors=3)
    assert sample.tokens.shape[1] == 1 + 2 + 5 + 3 + 5
    assert torch.equal(sample.tokens[:, 3:8], sample.tokens[:, 11:16])
    assert sample.first[:, 3:8].all()
    assert sample.first.sum() == 15
    assert sample.second[:, 11:16].all()
    assert sample.second.sum() == 15
    assert sample.period.tolist() == [5, 5, 5]
    assert sample.offset.tolist() == [2, 2, 2]


def test_the_same_seed_gives_the_same_sequences_and_another_does_not():
    a, b, c = (repeats.sample(4, seed=s).tokens for s in (3, 3, 4))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_the_sequences_of_a_seed_never_change():
    """Cards and lessons quote figures that were measured on them."""
    words = [repeats.VOCABULARY[i] for i in repeats.sample(1, seed=0, period=3, offset=0).tokens[0].tolist()]
    assert words == ["<bos>", "seed", "school", "coin", "seed", "school", "coin"]


def test_words_are_distinct_inside_a_block():
    sample = repeats.sample(20, seed=5, period=20, offset=0)
    assert all(len(set(row[1:21].tolist())) == 20 for row in sample.tokens)


def test_held_out_words_and_periods_stay_out_of_training():
    sample = repeats.sample(200, seed=0, period=repeats.TRAIN_PERIODS, copies=(2, 5), n_ctx=72)
    assert not set(sample.tokens.flatten().tolist()) & set(repeats.HELD_OUT_TOKENS)
    assert not set(sample.period.tolist()) & set(repeats.HELD_OUT_PERIODS)
    held_out = repeats.sample(20, seed=0, period=11, vocab="held_out").tokens[:, 1:]
    assert set(held_out.flatten().tolist()) <= set(repeats.HELD_OUT_TOKENS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"period": 10, "n_ctx": 8}, "do not fit"),
        ({"period": 30, "vocab": 20}, "needs more than 19 words"),
        ({"period": 3, "copies": 1}, "two copies"),
        ({"period": (9, 4)}, "empty range"),
        ({"vocab": "some"}, "vocab must be"),
    ],
)
def test_impossible_requests_say_why(options, message):
    with pytest.raises(ValueError, match=message):
        repeats.sample(1, seed=0, **options)
