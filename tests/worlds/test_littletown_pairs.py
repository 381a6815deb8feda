"""Pairs of prompts about Littletown that differ in one name."""

from __future__ import annotations

import pytest

from mi_lib.worlds.littletown import pairs, people


def test_each_answer_is_the_town_of_the_one_resident_in_whom_two_prompts_differ():
    drawn = pairs.homes(50, seed=3)
    assert drawn == pairs.homes(50, seed=3)
    assert drawn != pairs.homes(50, seed=4)
    for pair in drawn:
        clean, corrupted = pair.clean.split(), pair.corrupted.split()
        ((who, other),) = [(a, b) for a, b in zip(clean, corrupted, strict=True) if a != b]
        assert people.OF_PERSON[who]["town"] == pair.answer
        assert people.OF_PERSON[other]["town"] == pair.corrupted_answer
        assert pair.answer != pair.corrupted_answer


def test_the_two_halves_share_no_resident_and_leave_none_out():
    half, rest = (
        {word for pair in pairs.homes(500, 0, others) for word in pair.clean.split()} for others in (False, True)
    )
    assert half & rest & set(people.RESIDENTS) == set()
    assert (half | rest) >= set(people.RESIDENTS)


def test_no_pair_is_none():
    with pytest.raises(ValueError, match="at least 1, not 0"):
        pairs.homes(0, seed=0)
