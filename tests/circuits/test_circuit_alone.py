"""A circuit alone: the three questions by their formulas, and their answers about the planted circuit."""

from __future__ import annotations

import pytest
import torch
from circuits_subjects import data, ioi

from mi_lib.attribution import run_circuit
from mi_lib.circuits import (
    Alone,
    abc_means,
    all_heads,
    completeness,
    edges_alone,
    faithfulness,
    greedy_completeness,
    heads_alone,
    minimality,
    most_minimality,
    run_without,
    subsets,
    worst_completeness,
)
from mi_lib.models.graph import Edge, all_edges
from mi_lib.worlds.planted.ioi import CLASSES

HEADS = frozenset(head for heads in CLASSES.values() for head in heads)
MOVERS, BACKUPS = (frozenset(CLASSES[kind]) for kind in ("name mover", "backup mover"))
WORTH = {"a": 4.0, "b": 2.0, "c": 1.0, "spare": 3.0}


def toy():
    """A model of four parts; the spare one works only when a is gone."""

    def value(parts):
        own = sum((WORTH[p] for p in parts if p != "spare"), 0.0) + (
            WORTH["spare"] if "spare" in parts and "a" not in parts else 0
        )
        return torch.full((1, 1, 1), own)

    return Alone(frozenset(WORTH), value, lambda logits: logits[:, 0, 0])


@pytest.fixture(scope="module")
def heads():
    return heads_alone(ioi().model, data())


def test_the_three_numbers_are_those_of_the_formulas():
    F, C = toy(), {"a", "b"}
    assert F(F.everything) == 7
    assert (faithfulness(F, C).gap, faithfulness(F, C).share) == (1, pytest.approx(6 / 7))
    assert completeness(F, C) == 1
    assert completeness(F, C, {"a"}) == abs(2 - (2 + 1 + 3))  # without a the model has the spare part, C has not
    assert completeness(F, C, {"b"}) == abs(4 - 5)
    assert minimality(F, C, "b") == 2
    whole = {*C, "c", "spare"}
    assert minimality(F, whole, "spare") == 0
    assert minimality(F, whole, "spare", {"a"}) == 3
    assert minimality(F, whole, "spare", {"a", "b"}) == 3


def test_the_searches_find_the_k_that_shows_most():
    F, C = toy(), frozenset({"a", "b"})
    assert worst_completeness(F, C, [(), {"b"}, {"a"}]) == (frozenset("a"), 4)
    assert greedy_completeness(F, C) == (frozenset("a"), 4)
    assert most_minimality(F, F.everything, "spare", [(), {"b"}, {"a", "spare"}]) == (frozenset("a"), 3)
    some = subsets(C, 40, seed=0)
    assert {frozenset(), frozenset("a"), frozenset("b"), C} == set(some)
    assert some == subsets(C, 40, seed=0) != subsets(C, 40, seed=1)


def test_f_of_heads_is_the_run_in_which_all_others_are_knocked_out(heads):
    model, d = ioi().model, data()
    means = abc_means(model, d)
    others = [head for head in all_heads(model.cfg) if head not in HEADS]
    assert heads(HEADS) == pytest.approx(float(d.metric(run_without(model, d, others, means)).mean()))
    assert heads(heads.everything) == pytest.approx(float(d.metric(model(d.clean)).mean()))


def test_f_of_edges_is_the_run_in_which_all_others_are_corrupted():
    model, d = ioi().model, data(12, 1)
    F, kept = edges_alone(model, d), ioi().edges
    alone = run_circuit(model, d.clean, kept, d.corrupted["ABC"])
    assert F(kept) == pytest.approx(float(d.metric(alone).mean()))
    assert F(()) == pytest.approx(float(d.metric(model(d.corrupted["ABC"])).mean()), abs=1e-5)
    assert F(F.everything) == pytest.approx(float(d.metric(model(d.clean)).mean()))
    assert F.everything == set(all_edges(model.cfg))


def test_the_planted_circuit_is_faithful_complete_and_minimal(heads):
    whole = heads(heads.everything)
    assert faithfulness(heads, HEADS).share == pytest.approx(1, abs=0.03)
    sets = [*subsets(HEADS, 20, seed=0), MOVERS, BACKUPS, *(frozenset(c) for c in CLASSES.values())]
    assert worst_completeness(heads, HEADS, sets)[1] < 0.05 * whole
    for head in HEADS:
        assert most_minimality(heads, HEADS, head, [(), MOVERS, MOVERS | BACKUPS])[1] > 0.05 * whole, head


def test_without_its_backups_it_is_as_faithful_and_not_complete(heads):
    whole, C = heads(heads.everything), HEADS - BACKUPS
    assert faithfulness(heads, C).share == pytest.approx(1, abs=0.03)
    assert completeness(heads, C, MOVERS) > 0.3 * whole
    assert worst_completeness(heads, C, [(), MOVERS, *subsets(C, 10, seed=1)])[1] > 0.3 * whole
    # Either mover alone may go and nothing is missed, so that a search by single heads never comes to both.
    assert not greedy_completeness(heads, C)[0] >= MOVERS


def test_an_idle_head_in_the_circuit_is_not_needed_whatever_else_is_gone(heads):
    idle = next(head for head in all_heads(ioi().model.cfg) if head not in HEADS)
    Ks = [(), MOVERS, *subsets(HEADS, 6, seed=2)]
    assert most_minimality(heads, HEADS | {idle}, idle, Ks)[1] < 0.02 * heads(heads.everything)


def test_a_backup_is_minimal_only_beside_silenced_movers(heads):
    head, whole = sorted(BACKUPS)[0], heads(heads.everything)
    assert minimality(heads, HEADS, head) < 0.01 * whole
    assert minimality(heads, HEADS, head, MOVERS) > 0.05 * whole


def test_by_edges_the_planted_truth_keeps_the_answer_and_loses_it_without_one_kind():
    circuit, d = ioi(), data(12, 1)
    F = edges_alone(circuit.model, d)
    assert faithfulness(F, circuit.edges).share == pytest.approx(1, abs=0.05)
    assert F(circuit.edges - {Edge("a0.h1", "a1.h2.k")}) < 0.5 * F(F.everything)
