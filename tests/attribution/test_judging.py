"""Judges of methods, on cases that can be counted by hand, and on planted circuits."""

from __future__ import annotations

import itertools

import pytest
import torch
from attribution_subjects import model_of, prompts
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_lib.attribution import (
    Curve,
    auroc,
    average_precision,
    cmd,
    cpr,
    eap,
    edge_effects,
    faithfulness,
    faithfulness_curve,
    logit_difference,
    patch_edges,
    randomised,
    rank_correlation,
    run_circuit,
    sanity_check,
    sender_outputs,
    strength,
)
from mi_lib.models.graph import Edge, all_edges
from mi_lib.worlds import planted

TRUTH = {"a": True, "b": True, "c": False, "d": False, "e": False}


def test_auroc_is_the_share_of_pairs_in_the_right_order():
    scores = {"a": -5.0, "b": 2.0, "c": 3.0, "d": 2.0, "e": 1.0, "unjudged": 9.0}
    # a beats all three, b loses to c, ties with d, beats e.
    assert auroc(scores, TRUTH) == pytest.approx((3 + 1.5) / 6)
    assert auroc({**scores, "b": 4.0}, TRUTH) == 1
    assert auroc(dict.fromkeys("abcde", 0.0), TRUTH) == 0.5


def test_average_precision_is_the_mean_precision_where_the_circuit_is_found():
    scores = {"a": 5.0, "b": 2.5, "c": 3.0, "d": 2.0, "e": 1.0}
    assert average_precision(scores, TRUTH) == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert average_precision({**scores, "d": 2.5}, TRUTH) == pytest.approx((1 / 1 + 2 / 4) / 2)  # a tie enters together
    assert average_precision(dict.fromkeys("abcde", 1.0), TRUTH) == pytest.approx(2 / 5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=12))
def test_auroc_counts_pairs_whatever_the_ties(found):
    scores = {i: float(score) for i, (score, _) in enumerate(found)}
    truth = {i: on for i, (_, on) in enumerate(found)}
    pairs = [(abs(scores[i]), abs(scores[j])) for i, j in itertools.product(truth, truth) if truth[i] and not truth[j]]
    if pairs:
        assert auroc(scores, truth) == pytest.approx(sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs))


def test_a_score_for_each_pair_counts_by_its_mean_size():
    assert strength({"a": torch.tensor([3.0, -5.0]), "b": -2}) == {"a": 4.0, "b": 2.0}


def test_rank_correlation_is_spearmans():
    up = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    assert rank_correlation(up, {key: value**3 for key, value in up.items()}) == pytest.approx(1)
    assert rank_correlation(up, {key: 1 / value for key, value in up.items()}) == pytest.approx(-1)
    # 1 − 6 Σ d² / (n (n² − 1)) without ties
    assert rank_correlation(up, {"a": 2.0, "b": 1.0, "c": 4.0, "d": 3.0}) == pytest.approx(1 - 6 * 4 / 60)
    # ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4
    assert rank_correlation(up, {"a": 1.0, "b": 2.0, "c": 2.0, "d": 3.0}) == pytest.approx(4.5 / (5 * 4.5) ** 0.5)
    assert rank_correlation(up, dict.fromkeys(up, 7.0)) == 0


@pytest.fixture(scope="module")
def induction():
    circuit = planted.circuit("induction")
    pairs = circuit.pairs(6, seed=4)
    return circuit, pairs, logit_difference(pairs.answers, pairs.corrupted_answers)


def test_a_circuit_alone_is_the_run_with_all_other_edges_corrupted(induction):
    circuit, pairs, metric = induction
    kept = circuit.edges | circuit.constant_edges
    alone = run_circuit(circuit.model, pairs.clean, kept, pairs.corrupted)
    others = [edge for edge in all_edges(circuit.model.cfg) if edge not in kept]
    assert torch.allclose(alone, patch_edges(circuit.model, pairs.clean, pairs.corrupted, others))
    assert faithfulness(circuit.model, pairs.clean, pairs.corrupted, metric, kept) == pytest.approx(1, abs=0.02)
    without = circuit.edges - {Edge("a0.h2", "a1.h1.k")}
    assert without < circuit.edges
    assert faithfulness(circuit.model, pairs.clean, pairs.corrupted, metric, without) < 0.5
    everything = run_circuit(circuit.model, pairs.clean, all_edges(circuit.model.cfg), pairs.corrupted)
    assert torch.equal(everything, circuit.model(pairs.clean))


def test_mean_ablation_gives_every_other_edge_the_mean_at_its_position():
    model, (tokens, reference) = model_of("native"), prompts(3, 5)
    kept = [edge for edge in all_edges(model.cfg) if edge != Edge("a0.h1", "m1")]
    got = run_circuit(model, tokens, kept, reference[:2], mean=True)
    said = sender_outputs(model, reference[:2], ["a0.h1"])["a0.h1"].mean(0)

    def put(value, hook):
        return value + said - own["a0.h1"]

    own = sender_outputs(model, tokens, ["a0.h1"])
    assert torch.allclose(got, model.run_with_hooks(tokens, [(("mlp_in", 1), put)]), atol=1e-9)


def test_cpr_and_cmd_have_rankings_of_their_own_on_a_linear_axis():
    curve = Curve((0.0, 0.1, 0.5, 1.0), (0.0, 1.2, 1.4, 1.0))
    assert curve.cpr == pytest.approx(0.1 * 0.6 + 0.4 * 1.3 + 0.5 * 1.2)
    assert curve.cmd == pytest.approx(0.1 * 0.6 + 0.4 * 0.3 + 0.5 * 0.2)
    circuit = planted.circuit("cancelling")
    pairs = circuit.pairs(6, seed=4)
    where = (circuit.model, pairs.clean, pairs.corrupted, logit_difference(pairs.answers, pairs.corrupted_answers))
    scores = edge_effects(*where)
    edges = all_edges(circuit.model.cfg)
    against = Edge("a0.h2", "m1")  # holds the answer down
    fractions = (4 / len(edges), 5 / len(edges), 0.1, 1.0)
    signed, absolute = (faithfulness_curve(*where, scores, signed=s, fractions=fractions) for s in (True, False))
    by_size = sorted(edges, key=lambda edge: -strength(scores)[edge])
    by_sign = sorted(edges, key=lambda edge: -float(scores[edge].mean()))
    assert against in by_size[:5]
    assert against == by_sign[-1] or against not in by_sign[: len(edges) // 2]
    assert signed.faithfulness[1] == pytest.approx(faithfulness(*where, by_sign[:5]))
    assert absolute.faithfulness[1] == pytest.approx(faithfulness(*where, by_size[:5]))
    assert signed.faithfulness[-1] == absolute.faithfulness[-1] == pytest.approx(1)
    assert max(signed.faithfulness) > 1.5  # without what holds the answer down
    assert cpr(*where, scores, fractions) == pytest.approx(signed.cpr)
    assert cmd(*where, scores, fractions) == pytest.approx(absolute.cmd)
    assert signed.cmd > absolute.cmd + 0.2  # by the other's ranking, another number


def test_as_many_edges_as_fit_into_the_share_and_none_at_all_is_nothing(induction):
    circuit, pairs, metric = induction
    where = (circuit.model, pairs.clean, pairs.corrupted, metric)
    scores = {edge: float(edge in circuit.edges) for edge in all_edges(circuit.model.cfg)}
    n = len(scores)
    curve = faithfulness_curve(*where, scores, signed=True, fractions=(0.001, len(circuit.edges) / n))
    assert curve.faithfulness == (0.0, pytest.approx(1, abs=0.02))


def test_a_method_that_looks_at_the_network_passes_and_one_that_looks_at_the_prompts_is_told(induction):
    circuit, pairs, metric = induction
    good = sanity_check(lambda m: eap(m, pairs.clean, pairs.corrupted, metric), circuit.model, range(3))
    assert not good.survives
    assert "depends on the weights" in str(good)
    noise = torch.rand(40, generator=torch.Generator().manual_seed(0))
    bad = sanity_check(lambda m: noise + 0.1 * m(pairs.clean)[0, -1, 0], circuit.model, range(3))
    assert bad.survives
    assert bad.mean == pytest.approx(1, abs=0.1)
    assert "survives without what the network has learned, so do not trust it" in str(bad)


@pytest.mark.parametrize("name", ["native", "gpt2"])
def test_random_weights_are_the_same_numbers_elsewhere(name):
    model = model_of(name)
    new, again, other = (randomised(model, seed) for seed in (1, 1, 2))
    for weight, moved, same, third in zip(*(m.parameters() for m in (model, new, again, other)), strict=True):
        assert torch.equal(weight.flatten().sort().values, moved.flatten().sort().values)
        assert torch.equal(moved, same)
        assert weight.numel() < 5 or not (torch.equal(weight, moved) or torch.equal(moved, third))


CIRCUIT = {Edge("embed", "logits"): 1.0}


def model_and_prompts():
    return model_of("native"), *prompts()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: auroc({"a": 1.0}, TRUTH), "4 have no score, such as b; score all"),
        (lambda: auroc(dict.fromkeys("abcde", 1.0), dict.fromkeys("abcde", True)), "nothing is off the circuit"),
        (lambda: average_precision({"a": 1.0}, {"a": False}), "nothing is on the circuit"),
        (lambda: auroc({**dict.fromkeys("abcde", 1.0), "a": float("nan")}, TRUTH), "the score of a is NaN"),
        (lambda: rank_correlation({"a": 1.0, "b": 2.0}, {"a": 1.0}), "only one of the two has a score for b"),
        (lambda: rank_correlation({"a": 1.0}, {"a": 1.0}), "at least two"),
        (lambda: run_circuit(*model_and_prompts()[:2], [], prompts()[1]), "the circuit has no edge"),
        (
            lambda: run_circuit(*model_and_prompts()[:2], [Edge("a1.h0", "a0.h0.q")], prompts()[1]),
            "runs backwards",
        ),
        (lambda: run_circuit(*model_and_prompts()[:2], CIRCUIT, prompts()[1][:, 1:]), "of the same length"),
        (lambda: run_circuit(*model_and_prompts()[:2], CIRCUIT, prompts()[1][:, 1:], mean=True), "of the same length"),
        (
            lambda: faithfulness(*model_and_prompts()[:2], prompts()[0], logit_difference(3, 4), CIRCUIT),
            "with another answer",
        ),
        (
            lambda: cpr(*model_and_prompts(), logit_difference(3, 4), CIRCUIT),
            "edges have no score, such as",
        ),
        (lambda: sanity_check(lambda m: torch.rand(4), model_of("native"), range(0)), "give at least one seed"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
