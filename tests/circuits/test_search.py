"""A circuit found by trying every set of heads is the smallest that answers the three questions."""

from __future__ import annotations

import pytest
import torch

from mi_lib.circuits import Alone, completeness, faithfulness, powerset, smallest_circuit


def model(value, parts):
    """A model of named parts, and what each set of them is worth."""
    return Alone(frozenset(parts), lambda chosen: torch.full((1, 1, 1), float(value(chosen))), lambda x: x[:, 0, 0])


def additive(**worth):
    return model(lambda chosen: sum(worth[p] for p in chosen), worth)


def test_the_powerset_has_every_subset_once():
    found = powerset("abc")
    assert len(found) == len(set(found)) == 8
    assert found[0] == frozenset()
    assert found[-1] == frozenset("abc")


def test_the_fewest_parts_that_keep_enough_are_taken():
    F = additive(a=5.0, b=3.0, c=1.0, d=1.0)
    assert smallest_circuit(F, share=0.79, gap=0.21) == {"a", "b"}
    assert smallest_circuit(F, share=0.89, gap=0.11) in ({"a", "b", "c"}, {"a", "b", "d"})


def test_too_much_of_the_answer_is_as_wrong_as_too_little():
    F = additive(a=7.0, b=6.5, against=-3.5)
    assert faithfulness(F, {"a", "b"}).share == pytest.approx(1.35)
    assert smallest_circuit(F, share=0.64, gap=0.36) == {"a"}
    with pytest.raises(ValueError, match="but the whole"):  # 1.35 is farther from 1 than .7, and both are too far
        smallest_circuit(F, share=0.75, gap=2.0)


def test_a_sleeping_spare_part_belongs_to_it_as_the_model_uses_it_once_the_other_is_gone():
    def value(chosen):
        return 4.0 if chosen & {"first", "spare"} else 0.0

    F = model(value, ("first", "spare", "idle"))
    assert faithfulness(F, {"first"}).gap == 0
    assert completeness(F, {"first"}, {"first"}) == 4
    assert smallest_circuit(F) == {"first", "spare"}


def test_of_equally_small_ones_the_most_complete_is_taken():
    F = additive(a=4.0, b=5.0, c=1.0)  # one of them keeps 4 and lacks 6, the other keeps 5 and lacks 5
    assert smallest_circuit(F, share=0.4, gap=0.6) == {"b"}


def test_where_there_is_nothing_to_find_a_sentence_says_so():
    with pytest.raises(ValueError, match="nothing to find"):
        smallest_circuit(additive(a=-1.0, b=0.5))
    with pytest.raises(ValueError, match="but the whole"):
        smallest_circuit(additive(a=1.0, b=1.0, c=1.0))
    with pytest.raises(ValueError, match="too many"):
        powerset(range(17))
