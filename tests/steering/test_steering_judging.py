"""Shares with their intervals, and judges proved by shuffled words."""

from __future__ import annotations

from collections import Counter

import pytest

from mi_lib import steering

SAID = [["No", "I", "can", "not", "<end>"], ["Yes", "you", "can", "<end>"], ["No", "you", "can", "not", "<end>"]] * 10


def test_a_share_has_an_interval_around_it():
    found = steering.share([True] * 30 + [False] * 10)
    assert (found.value, found.n) == (0.75, 40)
    assert found.low < 0.75 < found.high
    assert 0.2 < found.high - found.low < 0.32, "about 2 · 1.96 · √(.75 · .25 / 40)"
    with pytest.raises(ValueError, match="empty set"):
        steering.share([])


def test_shuffling_keeps_the_words_and_the_end():
    mixed = steering.shuffle_words(SAID)
    assert mixed != SAID
    assert [Counter(words) for words in mixed] == [Counter(words) for words in SAID]
    assert all(words[-1] == "<end>" for words in mixed)
    assert steering.shuffle_words([[], ["one"]]) == [[], ["one"]]


def test_a_judge_of_what_is_said_falls_with_shuffled_words_and_one_that_counts_words_does_not():
    told = steering.prove(lambda words: "can not" in " ".join(words), SAID)
    assert told.of_replies == pytest.approx(2 / 3)
    assert told.of_shuffled < 0.4
    counted = steering.prove(lambda words: "not" in words, SAID)
    assert counted.of_replies == counted.of_shuffled == pytest.approx(2 / 3)


def test_the_largest_change_is_that_of_one_control_and_counts_both_ways():
    value, low, high = steering.largest_change([0, 1, 1, 1], [[1, 1, 1, 1], [0, 0, 0, 1], [1, 0, 1, 0]])
    assert value == 0.5
    assert 0 <= low <= value <= high <= 1
