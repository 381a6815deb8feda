"""Superposition: the toy models against formulas, integrals and shapes that are known."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_lib import superposition as sp


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def polygon(corners):
    """The corners of a regular polygon around 0, [2 corners]."""
    angles = 2 * math.pi * torch.arange(corners) / corners
    return torch.stack([angles.cos(), angles.sin()])


TETRAHEDRON = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / 3**0.5


def antiprism():
    """Eight points on a sphere, [3 8]: two squares, one turned by 45°, at heights that make the frame tight."""
    angles = 2 * math.pi * torch.arange(4) / 4
    squares = [torch.stack([a.cos(), a.sin()]) * (2 / 3) ** 0.5 for a in (angles, angles + math.pi / 4)]
    heights = [torch.full((1, 4), sign * (1 / 3) ** 0.5) for sign in (1, -1)]
    return torch.cat([torch.cat(pair) for pair in zip(squares, heights, strict=True)], dim=1)


# --- features ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["independent", "correlated", "anticorrelated"])
def test_each_feature_is_absent_with_the_probability_of_its_instance(kind):
    sparsity = torch.tensor([0.6, 0.9])
    x = sp.features(sparsity, 4, 20_000, generator(), kind)
    assert x.shape == (2, 20_000, 4)
    assert torch.allclose((x == 0).float().mean(1), sparsity[:, None].expand(2, 4), atol=0.015)
    there = x[x > 0]
    assert there.mean().item() == pytest.approx(1 / 2, abs=0.01)
    assert there.var().item() == pytest.approx(1 / 12, abs=0.005)
    assert there.max() <= 1


@pytest.mark.parametrize(("kind", "together"), [("independent", 0.3**2), ("correlated", 0.3), ("anticorrelated", 0.0)])
def test_how_often_the_two_of_a_pair_are_present_together(kind, together):
    x = sp.features(torch.tensor([0.7]), 4, 20_000, generator(), kind)[0] > 0
    assert (x[:, 0] & x[:, 1]).float().mean().item() == pytest.approx(together, abs=0.01)
    assert (x[:, 1] & x[:, 2]).float().mean().item() == pytest.approx(0.3**2, abs=0.01), "pairs know nothing of others"


def test_values_of_correlated_features_are_their_own():
    x = sp.features(torch.tensor([0.0]), 2, 20_000, generator(), "correlated")[0]
    assert torch.corrcoef(x.T)[0, 1].abs() < 0.03


def test_signed_features_lie_between_minus_one_and_one():
    x = sp.features(torch.tensor([0.5]), 3, 20_000, generator(), signed=True)
    assert x.min() < -0.99 < 0.99 < x.max()
    assert x.mean().abs() < 0.01


@pytest.mark.parametrize(
    ("sparsity", "n", "kind", "says"),
    [
        ([1.2], 4, "independent", "probabilities"),
        ([float("nan")], 4, "independent", "probabilities"),
        ([0.9], 3, "correlated", "pairs"),
        ([0.4], 4, "anticorrelated", "more than half"),
        ([0.9], 4, "related", "no kind of features"),
    ],
)
def test_features_that_cannot_be_are_refused_in_a_sentence(sparsity, n, kind, says):
    with pytest.raises(ValueError, match=says):
        sp.features(torch.tensor(sparsity), n, 5, generator(), kind)


@pytest.mark.parametrize("sparsity", [0.0, 0.4, 0.95])
def test_the_variance_of_a_feature_is_that_of_a_sample(sparsity):
    x = sp.features(torch.tensor([sparsity]), 5, 40_000, generator())
    assert sp.variance(torch.tensor(sparsity)).item() == pytest.approx(x.var(1).mean().item(), rel=0.02)


# --- the model --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("relu", [True, False])
def test_the_model_is_its_formula_for_every_input(relu):
    W, b = torch.randn(3, 2, 5, generator=generator()), torch.randn(3, 5, generator=generator(1))
    x = torch.rand(3, 7, 5, generator=generator(2))
    got = sp.reconstruct(sp.Toy(W, b), x, relu)
    for k in range(3):
        for j in range(7):
            want = W[k].T @ (W[k] @ x[k, j]) + b[k]
            assert torch.allclose(got[k, j], want.clamp(min=0) if relu else want, atol=1e-5)


def test_the_loss_weighs_squared_errors_and_sums_over_features():
    x, out = torch.rand(2, 3, 4, generator=generator()), torch.rand(2, 3, 4, generator=generator(1))
    importance = torch.tensor([4.0, 3, 2, 1])
    want = [sum((importance * (x[k, j] - out[k, j]) ** 2).sum() for j in range(3)) / 3 for k in range(2)]
    assert torch.allclose(sp.loss(x, out, importance), torch.stack(want))


def test_inputs_of_another_width_are_refused_in_a_sentence():
    toy = sp.Toy(torch.zeros(2, 3, 5), torch.zeros(2, 5))
    for shape in ((2, 7, 4), (3, 7, 5), (7, 5)):
        with pytest.raises(ValueError, match="2 instances and 5 features"):
            sp.reconstruct(toy, torch.zeros(shape))
    with pytest.raises(ValueError, match="importance"):
        sp.train(torch.tensor([0.5]), 4, 2, torch.ones(3), steps=1)


def test_instances_that_are_trained_together_are_trained_alone():
    """With the same draws the second instance has the same weights, whatever the first one is."""
    one = sp.train(torch.tensor([0.0, 0.9]), 4, 2, torch.tensor([1.0, 0.9, 0.8, 0.7]), steps=12, batch=16)
    two = sp.train(torch.tensor([0.7, 0.9]), 4, 2, torch.tensor([1.0, 0.9, 0.8, 0.7]), steps=12, batch=16)
    assert torch.equal(one.W[1], two.W[1])
    assert not torch.equal(one.W[0], two.W[0])


def test_a_training_that_is_watched_is_the_same_and_stops_where_nobody_asks_on():
    S = torch.tensor([0.5, 0.9])
    steps = [
        (moment.step, moment.toy.W.detach().clone()) for moment in sp.training(S, 4, 2, steps=30, batch=32, seed=3)
    ]
    assert [step for step, _ in steps] == list(range(30))
    torch.testing.assert_close(steps[-1][1], sp.train(S, 4, 2, steps=30, batch=32, seed=3).W)
    watched = sp.training(S, 4, 2, steps=30, batch=32, seed=3)
    for moment in watched:
        if moment.step == 7:
            break
    torch.testing.assert_close(moment.toy.W.detach(), steps[7][1])
    with pytest.raises(ValueError, match="importance must be"):  # at once, and not at the first step
        sp.training(S, 4, 2, torch.ones(3))


def test_training_that_ends_in_no_numbers_says_so():
    with pytest.raises(FloatingPointError, match="learning rate"):
        sp.train(torch.tensor([0.0]), 4, 2, steps=5, batch=16, lr=1e30)


# --- what a linear model can do ---------------------------------------------------------------------------------------


def test_a_linear_model_keeps_the_most_important_features_and_never_more():
    importance = 0.7 ** torch.arange(6)
    sparsity = torch.tensor([0.0, 0.9, 0.97])
    toy = sp.train(sparsity, 6, 2, importance, relu=False, steps=700, batch=128)
    norms = toy.W.norm(dim=1)
    assert (norms[:, :2] > 0.9).all()
    assert (norms[:, 2:] < 0.2).all()
    floor = sp.linear_floor(sparsity, importance, 2)
    got = sp.measured_loss(toy, sparsity, importance, relu=False)
    assert torch.allclose(got, floor, rtol=0.06)


def test_a_relu_model_goes_below_the_linear_floor_only_where_features_are_sparse():
    importance = 0.7 ** torch.arange(6)
    sparsity = torch.tensor([0.0, 0.97])
    toy = sp.train(sparsity, 6, 2, importance, steps=700, batch=128)
    dense, sparse = (sp.measured_loss(toy, sparsity, importance) / sp.linear_floor(sparsity, importance, 2)).tolist()
    assert dense > 0.97
    assert sparse < 0.5
    assert sp.represented(toy.W).tolist()[0] == 2
    assert sp.represented(toy.W).tolist()[1] > 3


# --- geometry ---------------------------------------------------------------------------------------------------------

SHAPES = [
    (torch.eye(3), 1, ["own axis"] * 3),
    (torch.tensor([[1.0, -1]]), 1 / 2, ["antipodal pair"]),
    (polygon(3), 2 / 3, ["triangle"]),
    (TETRAHEDRON, 3 / 4, ["tetrahedron"]),
    (polygon(5), 2 / 5, ["pentagon"]),
    (antiprism(), 3 / 8, ["square antiprism"]),
    (polygon(4), 1 / 2, ["antipodal pair"] * 2),
    (polygon(7), 2 / 7, ["7 in 2"]),
]


@pytest.mark.parametrize(("W", "share", "names"), SHAPES, ids=[names[0] for _, _, names in SHAPES])
def test_the_shapes_have_their_dimensionality_and_their_name(W, share, names):
    assert torch.allclose(sp.dimensionality(W), torch.full((W.shape[1],), float(share)), atol=1e-5)
    assert sp.names(W) == names
    turn = torch.linalg.qr(torch.randn(len(W), len(W), generator=generator())).Q
    assert sp.names(turn @ W) == names, "however it is turned"
    assert sp.dimensionality(W).sum().item() == pytest.approx(len(W), abs=1e-4)


def test_shapes_beside_each_other_are_told_apart():
    W = torch.block_diag(polygon(3), torch.tensor([[1.0, -1]]), torch.ones(1, 1), torch.full((1, 1), 0.1))
    found = sp.shapes(W[:, [5, 0, 3, 1, 4, 2, 6]])
    assert [shape.name for shape in found] == ["triangle", "antipodal pair", "own axis"]
    assert found[0].features == (1, 3, 5)


def test_a_chain_of_features_is_one_shape_and_not_a_regular_one():
    W = torch.tensor([[1.0, 0.7, 0.0], [0.0, 0.7, 1.0]])
    assert sp.names(W) == ["triangle (irregular)"]


def test_a_feature_that_is_not_stored_has_dimensionality_0():
    assert sp.dimensionality(torch.tensor([[1.0, 0.0], [0.0, 0.0]])).tolist() == [1.0, 0.0]
    assert sp.shapes(torch.zeros(2, 3)) == []


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 10_000))
def test_dimensionalities_never_sum_to_more_than_there_is_room(m, n, seed):
    W = torch.randn(m, n, generator=generator(seed), dtype=torch.float64)
    D = sp.dimensionality(W)
    assert D.sum() <= min(m, n) + 1e-6
    assert (D <= 1 + 1e-6).all()


def test_only_one_instance_has_shapes():
    with pytest.raises(ValueError, match="one instance"):
        sp.shapes(torch.zeros(2, 2, 3))


@pytest.mark.parametrize(
    ("n", "m", "sparsity", "name"),
    [(5, 2, 0.95, ["pentagon"]), (8, 3, 0.95, ["square antiprism"]), (3, 2, 0.9, ["antipodal pair", "own axis"])],
)
def test_what_training_finds(n, m, sparsity, name):
    S = torch.full((4,), sparsity)
    toy = sp.train(S, n, m, steps=1000, batch=128)
    best = int(sp.measured_loss(toy, S).argmin())
    assert sp.names(toy.W[best]) == name


def test_features_that_exclude_each_other_share_a_line():
    S = torch.full((6,), 0.8)
    toy = sp.train(S, 4, 2, kind="anticorrelated", steps=700, batch=128)
    best = toy.W[sp.measured_loss(toy, S, kind="anticorrelated").argmin()]
    assert sp.cosines(best)[0, 1] < -0.98
    assert sp.cosines(best)[2, 3] < -0.98


def test_features_that_come_together_keep_apart():
    S = torch.full((6,), 0.9)
    toy = sp.train(S, 4, 2, kind="correlated", steps=700, batch=128)
    best = toy.W[sp.measured_loss(toy, S, kind="correlated").argmin()]
    assert sp.cosines(best)[0, 1].abs() < 0.15
    assert sp.cosines(best)[0, 2:].min() < -0.95, "its line is shared with a feature of the other pair"


# --- phases -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sparsity", "ratio"), [(0.0, 0.5), (0.6, 2.0), (0.9, 1.0)])
def test_the_loss_of_each_phase_is_that_of_a_sample(sparsity, ratio):
    S, importance = torch.tensor([sparsity]), torch.tensor([1.0, ratio])
    p = 1 - sparsity
    models = [
        sp.Toy(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[0.0, p / 2]])),
        sp.Toy(torch.tensor([[[0.0, 1.0]]]), torch.tensor([[p / 2, 0.0]])),
        sp.Toy(torch.tensor([[[1.0, -1.0]]]), torch.zeros(1, 2)),
    ]
    measured = torch.cat([sp.measured_loss(toy, S, importance, batch=100_000) for toy in models])
    assert torch.allclose(measured, sp.phase_losses(S[0], importance[1]), rtol=0.04)


def test_trained_models_are_in_the_phase_that_was_worked_out():
    """Away from the borders: of several seeds the best."""
    cases, seeds = ((0.0, 0.3, 0), (0.0, 3.0, 1), (0.9, 1.0, 2), (0.95, 0.5, 2)), 6
    S = torch.tensor([s for s, _, _ in cases]).repeat_interleave(seeds)
    importance = torch.tensor([[1.0, r] for _, r, _ in cases]).repeat_interleave(seeds, 0)
    toy = sp.train(S, 2, 1, importance, steps=700, batch=128)
    best = sp.measured_loss(toy, S, importance, batch=4000).view(-1, seeds).argmin(1)
    found = sp.phase_of(toy.W).view(-1, seeds)[torch.arange(len(cases)), best]
    assert found.tolist() == [want for _, _, want in cases]
    assert sp.phase(S, importance[:, 1]).view(-1, seeds)[:, 0].tolist() == found.tolist()


def test_a_phase_is_that_of_two_features():
    with pytest.raises(ValueError, match="second of two"):
        sp.phase_of(torch.zeros(1, 1, 3))


# --- computing, neurons -----------------------------------------------------------------------------------------------


def test_two_neurons_for_each_feature_compute_the_absolute_value_exactly():
    W_in = torch.cat([torch.eye(3), -torch.eye(3)])[None]
    toy = sp.AbsToy(W_in, W_in.abs().mT, torch.zeros(1, 3))
    x = sp.features(torch.tensor([0.2]), 3, 50, generator(), signed=True)
    assert torch.allclose(sp.absolute(toy, x), x.abs())
    assert sp.monosemanticity(W_in).tolist() == [[1.0] * 6]
    assert sp.features_per_neuron(W_in).tolist() == [[1.0] * 6]


def test_neurons_become_polysemantic_when_features_become_sparse():
    importance = 0.8 ** torch.arange(12)
    toy = sp.train_absolute(torch.tensor([0.0, 0.97]), 12, 6, importance, steps=700, batch=128)
    dense, sparse = sp.monosemanticity(toy.W_in).mean(1).tolist()
    assert dense > sparse + 0.4


def test_the_hidden_space_of_the_model_may_be_turned_and_that_of_relu_neurons_may_not():
    toy = sp.train(torch.tensor([0.9]), 6, 3, steps=100, batch=64)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator())).Q
    x = sp.features(torch.tensor([0.9]), 6, 50, generator())
    assert torch.allclose(sp.reconstruct(sp.Toy(turn @ toy.W, toy.b), x), sp.reconstruct(toy, x), atol=1e-5)
    wired = sp.AbsToy(toy.W, toy.W.mT, toy.b)
    turned = sp.AbsToy(turn @ toy.W, (turn @ toy.W).mT, toy.b)
    assert not torch.allclose(sp.absolute(turned, x), sp.absolute(wired, x), atol=1e-2)


def test_neurons_without_weights_are_neither_one_nor_the_other():
    assert sp.monosemanticity(torch.zeros(1, 3)).tolist() == [0.0]
    assert sp.features_per_neuron(torch.zeros(1, 3)).tolist() == [0.0]


# --- nudges -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 5])
def test_a_nudge_moves_an_output_by_its_sensitivity_and_no_other_nudge_by_more(n):
    W = polygon(n)[None] * 0.9
    toy, x = sp.Toy(W, torch.full((1, n), 0.5)), torch.full((1, 1, n), 0.4)
    x[0, 0, 0] = 1.0
    best = sp.nudge(W[0], 0, 0.01)
    assert best.norm().item() == pytest.approx(0.01)
    moved = (sp.reconstruct(toy, x + best) - sp.reconstruct(toy, x))[0, 0, 0].item()
    assert moved == pytest.approx(0.01 * sp.sensitivity(W[0])[0].item(), rel=1e-3)
    others = torch.randn(1, 500, n, generator=generator())
    others = 0.01 * others / others.norm(dim=-1, keepdim=True)
    assert (sp.reconstruct(toy, x + others) - sp.reconstruct(toy, x))[..., 0].max() <= moved + 1e-6


def test_superposition_makes_a_model_easier_to_attack():
    apart = sp.Toy(torch.eye(6)[None], torch.zeros(1, 6))
    packed = sp.Toy(torch.block_diag(polygon(3), polygon(3))[None], torch.zeros(1, 6))
    x = sp.features(torch.tensor([0.9]), 6, 200, generator())
    plain, mixed = (sp.movement(toy, x, 0.1).item() for toy in (apart, packed))
    assert plain == pytest.approx(1, abs=0.02), "a nudge that only comes through"
    assert mixed > 1.3


# --- neurons of a real network ----------------------------------------------------------------------------------------


def test_a_neuron_that_answers_to_two_things_is_told_from_one_that_answers_to_one():
    n = 1000
    holds = torch.zeros(n, 3, dtype=torch.bool)
    holds[:20, 0], holds[20:40, 1], holds[10:30, 2] = True, True, True
    noise = 0.01 * torch.rand(n, 3, generator=generator())
    values = noise + torch.stack([holds[:, 0], holds[:, 0] | holds[:, 1], torch.zeros(n)], dim=1)
    answers = sp.answers_to(values, holds, top=0.05)
    assert answers[0].tolist() == [True, False, True], "half of concept 2 is in concept 0"
    assert answers[1].tolist() == [True, True, True]
    assert answers[2].tolist() == [False, False, False]
    apart = sp.unrelated(holds)
    assert apart.tolist() == [[False, True, False], [True, False, False], [False, False, False]]
    assert sp.polysemantic(answers, apart).tolist() == [False, True, False]


def test_words_and_labels_must_be_as_many_and_numbers():
    with pytest.raises(ValueError, match="3 words with activations and 4 with labels"):
        sp.answers_to(torch.zeros(3, 2), torch.zeros(4, 1, dtype=torch.bool))
    with pytest.raises(ValueError, match="not numbers"):
        sp.answers_to(torch.full((3, 2), torch.nan), torch.zeros(3, 1, dtype=torch.bool))


def test_the_share_of_active_words_is_the_one_asked_for():
    values = torch.randn(200, 5, generator=generator())
    assert sp.active(values, 0.05).sum(0).tolist() == [10] * 5
    assert sp.active(torch.zeros(200, 1), 0.05).sum() == 0, "a neuron that is always the same is never active"


def test_random_directions_are_as_many_as_asked_for_and_differ_by_seed():
    values = torch.randn(50, 6, generator=generator())
    first, again, other = (sp.random_directions(values, 3, seed) for seed in (0, 0, 1))
    assert first.shape == (50, 3)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
