"""Probes against scikit-learn, against formulas, and on data whose boundary is known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge

from mi_lib import probing
from mi_lib.probing.curves import learning_curve
from mi_lib.probing.mdl import chances_after

FITS = {
    "ridge": probing.ridge,
    "logistic": probing.logistic,
    "mass_mean": probing.mass_mean,
    "covariance": lambda x, y, k=None: probing.mass_mean(x, y, k, covariance=True),
}


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def blobs(n=240, d=7, classes=3, apart=3.0, shift=20.0, seed=0):
    """Classes around random centres, all of them far from 0, with a spread that differs by direction."""
    centres = apart * numbers(classes, d, seed=99)
    y = torch.arange(n) % classes
    spread = torch.linspace(0.3, 2, d)
    return centres[y] + spread * numbers(n, d, seed=seed) + shift, y


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("classes", [2, 3])
def test_classes_that_lie_apart_are_told_apart_wherever_they_lie(name, classes):
    x, y = blobs(classes=classes)
    held, held_y = blobs(classes=classes, seed=1)
    assert probing.judge(FITS[name](x, y), held, held_y).share > 0.9


@pytest.mark.parametrize("classes", [2, 4])
def test_a_ridge_is_that_of_scikit_learn_on_one_hot_labels(classes):
    x, y = blobs(classes=classes)
    centred = (x - x.mean(0)).double()
    alpha = 0.01 * float((centred**2).sum(0).mean())
    want = Ridge(alpha=alpha).fit(x.double().numpy(), torch.nn.functional.one_hot(y).double().numpy())
    got = probing.ridge(x, y)
    np.testing.assert_allclose(got.weights.numpy(), want.coef_, atol=1e-5)
    np.testing.assert_allclose(got.scores(x).numpy(), want.predict(x.double().numpy()), atol=1e-4)


@pytest.mark.parametrize("classes", [2, 4])
def test_a_logistic_probe_gives_scikit_learns_probabilities(classes):
    x, y = blobs(classes=classes, apart=0.5)
    scaled = ((x - x.mean(0)) / (x - x.mean(0)).pow(2).mean().sqrt()).double().numpy()
    want = LogisticRegression(C=1.0, max_iter=2000).fit(scaled, y.numpy()).predict_proba(scaled)
    np.testing.assert_allclose(probing.logistic(x, y).chances(x).numpy(), want, atol=1e-4)


def test_a_logistic_probe_does_not_depend_on_where_0_is_or_on_the_unit():
    x, y = blobs(apart=0.5)
    one, other = probing.logistic(x, y), probing.logistic(1000 * x + 77, y)
    torch.testing.assert_close(one.chances(x), other.chances(1000 * x + 77), atol=1e-3, rtol=1e-3)


def test_mass_mean_cuts_in_the_middle_between_the_means():
    x, y = blobs(classes=2)
    probe, means = probing.mass_mean(x, y), probing.class_means(x.double(), y, 2)
    torch.testing.assert_close(probe.direction(), means[1] - means[0])
    middle = probe.scores(means.mean(0, keepdim=True))[0]
    assert float(middle[0]) == pytest.approx(float(middle[1]))


def test_with_the_covariance_it_is_linear_discriminant_analysis():
    x, y = blobs(apart=0.4)
    want = LinearDiscriminantAnalysis(priors=[1 / 3] * 3).fit(x.double().numpy(), y.numpy())
    got = probing.mass_mean(x, y, covariance=True, shrink=0.0)
    np.testing.assert_array_equal(got(x).numpy(), want.predict(x.double().numpy()))
    # scikit-learn divides by n, so that its probabilities are of a slightly other spread
    np.testing.assert_allclose(got.chances(x).numpy(), want.predict_proba(x.double().numpy()), atol=0.02)


def test_the_covariance_helps_where_much_variance_lies_across():
    """Two classes that differ along one axis, and vary ten times as much along another that leans towards it."""
    turn = torch.tensor([[1.0, 0.0], [6.0, 1.0]])
    y = torch.arange(2000) % 2
    x = (torch.stack([0.3 * numbers(2000) + y, 3 * numbers(2000, seed=1)], 1) @ turn).float()
    plain, corrected = (probing.judge(probing.mass_mean(x, y, covariance=c), x, y).share for c in (False, True))
    assert corrected > 0.93 > 0.8 > plain


def test_a_direction_without_a_bias_fails_where_the_mean_is_not_0():
    """Known mistake: bias-free probes thresholded at 0."""
    x, y = blobs(classes=2)
    direction = probing.mass_mean(x, y).direction()
    x = x + 30 * (direction / direction.norm()).float()
    assert ((x.double() @ direction > 0).long() == y).double().mean() == 0.5, "all on one side"
    assert (((x - x.mean(0)).double() @ direction > 0).long() == y).double().mean() > 0.9


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_activations_of_any_precision_can_be_probed(dtype):
    x, y = blobs()
    for fit in FITS.values():
        assert probing.judge(fit(x.to(dtype), y), x.to(dtype), y).share > 0.9


def test_a_probe_for_each_place_is_fitted_and_read_there():
    y, held_y = torch.arange(60) % 2, torch.arange(40) % 2
    x, held = numbers(3, 2, 60, 5, seed=1), numbers(3, 2, 40, 5, seed=2)
    x[2, 1, :, 0] += 9 * y
    held[2, 1, :, 0] += 9 * held_y
    share = probing.by_place(probing.ridge, x, y, held, held_y).double().mean(-1)
    assert share.shape == (3, 2)
    assert share[2, 1] == 1
    assert share.flatten()[:-1].max() < 0.8


def test_accuracy_has_a_bootstrap_interval_over_examples():
    right = torch.arange(400) % 4 != 0
    found = probing.judged(right)
    assert found.share == 0.75
    spread = math.sqrt(0.75 * 0.25 / 400)
    assert found.low == pytest.approx(0.75 - 1.96 * spread, abs=0.01)
    assert found.high == pytest.approx(0.75 + 1.96 * spread, abs=0.01)


# --- cuts -------------------------------------------------------------------------------------------------------------

PAIRS = [(a, b) for a in "abcdefgh" for b in "stuvwxyz" for _ in range(3)]


def test_every_combination_lies_on_one_side_and_every_part_is_fitted():
    cut = probing.by_combination(PAIRS, 0.25, seed=3)
    fitted, read = ([PAIRS[i] for i in rows] for rows in cut)
    probing.refuse_leaks(fitted, read)
    assert sorted([*cut.fitted.tolist(), *cut.read.tolist()]) == list(range(len(PAIRS)))
    assert len(set(read)) == 16
    for place in (0, 1):
        assert {pair[place] for pair in fitted} >= {pair[place] for pair in read}


def test_a_cut_depends_on_the_combinations_and_the_seed_and_not_on_their_order():
    cut = probing.by_combination(PAIRS, seed=3)
    turned = probing.by_combination(PAIRS[::-1], seed=3)
    assert {PAIRS[i] for i in cut.read} == {PAIRS[::-1][i] for i in turned.read}
    assert {PAIRS[i] for i in cut.read} != {PAIRS[i] for i in probing.by_combination(PAIRS, seed=4).read}


def test_no_part_is_left_unknown_even_if_fewer_combinations_are_read_then():
    cut = probing.by_combination([("a", "x"), ("a", "y"), ("b", "x"), ("c", "z")], 0.5)
    assert all(i != 3 for i in cut.read.tolist()), "c and z stand nowhere else"


def test_a_cut_by_row_is_refused_as_a_leak():
    with pytest.raises(probing.Leak, match=r"combinations are fitted and read.*cut by combination"):
        probing.refuse_leaks(PAIRS[::2], PAIRS[1::2])


def test_a_leak_shows_as_a_number():
    """Labels that follow from nothing but the combination: by row they are read, by combination they cannot be."""
    pairs = [(i % 30, i // 30 % 8) for i in range(1200)]
    table = numbers(30, 8, 200, seed=9)
    x = torch.stack([table[pair] for pair in pairs]) + 0.1 * numbers(1200, 200, seed=5)
    y = probing.control_labels(pairs, 2)
    by_row = torch.randperm(1200, generator=torch.Generator().manual_seed(0)).split([900, 300])
    for (fitted, read), low, high in ((by_row, 0.9, 1), (probing.by_combination(pairs), 0.35, 0.65)):
        assert low <= probing.judge(probing.ridge(x[fitted], y[fitted]), x[read], y[read]).share <= high


# --- controls ---------------------------------------------------------------------------------------------------------


def test_a_control_label_belongs_to_a_type_and_not_to_a_token():
    types = ["lamp", "key", "dog", "lamp", "key"] * 40
    labels = probing.control_labels(types, 5)
    assert all(
        len({int(label) for t, label in zip(types, labels, strict=True) if t == kind}) == 1 for kind in set(types)
    )
    many = probing.control_labels([f"word{i}" for i in range(3000)], 5)
    assert torch.bincount(many, minlength=5).float().div(3000).sub(0.2).abs().max() < 0.03
    assert not torch.equal(many, probing.control_labels([f"word{i}" for i in range(3000)], 5, seed=1))


def test_labels_of_two_seeds_know_nothing_of_each_other():
    """A checksum with another word in front would not do: of texts of one length its bits differ by the same."""
    words = [f"word{i}" for i in range(2000)]
    for one, other in ((None, 0), (0, 1), (1, 2)):
        same = (probing.control_labels(words, 2, seed=one) == probing.control_labels(words, 2, seed=other)).double()
        assert abs(same.mean() - 0.5) < 0.05


def test_a_control_can_have_the_frequencies_of_the_labels():
    like = torch.tensor([0] * 70 + [1] * 20 + [3] * 10)
    drawn = probing.control_labels([f"word{i}" for i in range(5000)], 4, like)
    share = torch.bincount(drawn, minlength=4).double() / 5000
    torch.testing.assert_close(share, torch.tensor([0.7, 0.2, 0.0, 0.1], dtype=torch.double), atol=0.02, rtol=0)


def test_types_that_are_seen_again_are_learnt_by_heart_and_labels_by_token_are_not():
    """Known mistake: a control label for each token. It makes any probe look selective."""
    words = [f"word{i % 40}" for i in range(800)]
    table = numbers(40, 64, seed=3)
    x = table[torch.arange(800) % 40] + 0.05 * numbers(800, 64, seed=4)
    by_type = probing.control_labels(words, 2)
    by_token = torch.randint(2, (800,), generator=torch.Generator().manual_seed(6))
    for labels, low, high in ((by_type, 0.99, 1), (by_token, 0.4, 0.62)):
        got = probing.judge(probing.logistic(x[:600], labels[:600]), x[600:], labels[600:]).share
        assert low <= got <= high


def test_selectivity_is_the_difference_with_an_interval_that_keeps_examples_together():
    right, control = torch.arange(200) % 10 != 0, torch.arange(200) % 2 == 0
    found = probing.selectivity(right, control)
    assert (found.accuracy, found.control) == (0.9, 0.5)
    assert found.value == pytest.approx(0.4)
    assert found.low < 0.4 < found.high
    same = probing.selectivity(right, right)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_probe_and_control_are_fitted_at_the_same_place():
    x, y = blobs(classes=2)
    types = [f"w{i}" for i in range(len(y))]
    found = probing.probe_and_control(probing.ridge, x, y, types, x, y, types)
    assert found.accuracy > 0.95 > 0.75 > found.control > 0.45, "few types would be learnt, these are 240 in 7 numbers"


# --- bits -------------------------------------------------------------------------------------------------------------


def test_the_code_of_labels_that_nothing_tells_is_about_as_long_as_without_a_probe():
    y = torch.randint(4, (600,), generator=torch.Generator().manual_seed(1))
    code = probing.online_code(numbers(600, 5), y)
    assert code.uniform == 1200
    assert 0.85 < code.compression < 1.05


def test_the_code_of_labels_that_are_easily_read_is_short_and_the_sum_of_its_blocks():
    x, y = blobs(600)
    code = probing.online_code(x, y, fractions=(0.1, 0.5, 1.0))
    assert code.bits == pytest.approx(sum(code.blocks))
    assert len(code.blocks) == 3
    assert code.blocks[0] == pytest.approx(60 * math.log2(3)), "the first block is sent as it is"
    assert code.blocks[2] < code.blocks[1] < 0.5 * 240 * math.log2(3)


def test_a_block_costs_what_a_probe_on_all_before_it_says_of_it():
    x, y = blobs(200, apart=0.6)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(7))
    code = probing.online_code(x, y, fractions=(0.3, 0.7, 1.0), seed=7)
    for block, (start, end) in zip(code.blocks[1:], itertools.pairwise((60, 140, 200)), strict=True):
        chances = probing.logistic(x[order[:start]], y[order[:start]]).chances(x[order[start:end]])
        mixed = chances * start / (start + 1) + 1 / 3 / (start + 1)
        assert block == pytest.approx(-sum(math.log2(mixed[i, int(y[j])]) for i, j in enumerate(order[start:end])))


def test_a_class_that_was_not_seen_yet_costs_many_bits_and_not_infinitely_many():
    x = numbers(40, 3)
    told = chances_after(probing.logistic, x, torch.arange(40) % 2, numbers(5, 3), 3)
    torch.testing.assert_close(told.sum(1), torch.ones(5, dtype=torch.double))
    torch.testing.assert_close(told[:, 2], torch.full((5,), 1 / 41 / 3, dtype=torch.double))
    even = chances_after(probing.logistic, x, torch.zeros(40).long(), numbers(5, 3), 3)
    assert (even == 1 / 3).all(), "one class alone: nothing can be fitted"


# --- curves -----------------------------------------------------------------------------------------------------------


def test_more_examples_make_a_better_probe():
    x, y = blobs(600, apart=0.7)
    held, held_y = blobs(300, apart=0.7, seed=1)
    curve = learning_curve(probing.ridge, x, y, held, held_y, [12, 60, 600], seeds=range(5))
    assert curve.shape == (3, 5)
    assert (curve.mean(1).diff() > 0).all()
    assert curve[2].std() < 1e-12, "all examples are all examples"


def test_a_probe_that_has_learnt_a_templates_way_of_saying_it_does_not_transfer():
    y = torch.arange(400) % 2
    templates = ["first" if i < 200 else "second" for i in range(400)]
    x = numbers(400, 6)
    x[:200, 0] += 8 * y[:200]
    x[200:, 1] += 8 * y[200:]
    names, table = probing.transfer(probing.logistic, x, y, templates, x, y, templates)
    assert names == ["first", "second"]
    assert table.diagonal().min() > 0.98
    assert 0.4 < table[0, 1] < 0.6
    assert 0.4 < table[1, 0] < 0.6


def test_who_is_as_sure_as_right_has_no_calibration_error():
    chances = torch.tensor([[0.75, 0.25]] * 400)
    y = torch.tensor(([0] * 3 + [1]) * 100)
    honest, boastful = probing.calibration(chances, y), probing.calibration(torch.tensor([[0.999, 0.001]] * 400), y)
    assert honest.error == pytest.approx(0, abs=1e-6)
    assert boastful.error == pytest.approx(0.249, abs=1e-3)
    assert honest.share[7] == 1
    assert honest.right[7] == pytest.approx(0.75)


# --- what is refused --------------------------------------------------------------------------------------------------

X, Y = blobs(20, classes=2)


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        (X, torch.zeros(20).long(), "all labels are the same"),
        (X[:0], Y[:0], "empty: there is no example"),
        (X.clone().index_fill(0, torch.tensor([3]), float("nan")), Y, "NaN or an infinite number, first in row 3"),
        (X, Y[:7], "one whole number for each of the 20 examples"),
        (X, Y.float(), "one whole number"),
        (X, Y - 1, "numbers from 0 on"),
        (X[0], Y, "must be a table"),
    ],
)
def test_what_no_probe_can_be_fitted_on_is_refused(name, x, y, says):
    with pytest.raises(probing.Unusable, match=says):
        FITS[name](x, y)


@pytest.mark.parametrize("name", ["logistic", "mass_mean", "covariance"])
def test_a_class_with_one_member_is_refused(name):
    with pytest.raises(probing.Unusable, match="class 1 has one example alone"):
        FITS[name](X, torch.tensor([0] * 19 + [1]))
    with pytest.raises(probing.Unusable, match="class 1 has no example"):
        FITS[name](X, torch.tensor([0] * 10 + [2] * 10))


def test_a_probe_refuses_activations_of_another_site():
    with pytest.raises(probing.Unusable, match="have 5 numbers in a row, and the probe reads 7"):
        probing.ridge(X, Y)(X[:, :5])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: probing.by_combination(["a"] * 5), "cannot be cut"),
        (lambda: probing.by_combination(PAIRS, 1.5), "between 0 and 1"),
        (lambda: probing.refuse_leaks([], ["a"]), "one side of the cut is empty"),
        (lambda: probing.control_labels(["a"], 1), "two classes"),
        (lambda: probing.selectivity(torch.zeros(0), torch.zeros(0)), "same examples, one or more"),
        (lambda: probing.selectivity(torch.zeros(3), torch.zeros(2)), "same examples, one or more"),
        (lambda: probing.online_code(X, Y, fractions=(0.5, 0.2, 1)), "ascend to 1"),
        (lambda: probing.online_code(X, Y, fractions=(0.5, 0.9)), "ascend to 1"),
        (lambda: learning_curve(probing.ridge, X, Y, X, Y, [30]), "between 2 and 20"),
        (lambda: probing.transfer(probing.ridge, X, Y, ["a"] * 20, X, Y, ["b"] * 20), "no template"),
        (lambda: probing.calibration(torch.rand(20, 2) + 1, Y), "add up to 1"),
        (lambda: probing.calibration(torch.rand(20, 2), Y[:3]), "a row of chances for each label"),
    ],
)
def test_each_refusal_is_a_sentence(call, says):
    with pytest.raises(probing.Unusable, match=says):
        call()


def test_labels_get_numbers_and_unknown_ones_are_never_right():
    y, names = probing.numbered(["one", "many", "one"])
    assert (y.tolist(), names) == ([1, 0, 1], ["many", "one"])
    assert probing.numbered(["many", "both"], names)[0].tolist() == [0, -1]
