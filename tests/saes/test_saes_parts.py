"""The parts of a dictionary against formulas, small cases worked out by hand, and gradients that are known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mi_lib import saes
from mi_lib.saes import reviving
from mi_lib.saes.jumprelu import _Jump, _Step
from mi_lib.saes.topk import auxk
from mi_lib.saes.training import rate

NOBODY = torch.zeros(6, dtype=torch.bool)
MAKE = {
    "relu": lambda: saes.ReLU(4, 6, l1=0.2),
    "gated": lambda: saes.Gated(4, 6, l1=0.2),
    "topk": lambda: saes.TopK(4, 6, k=2),
    "batch_topk": lambda: saes.BatchTopK(4, 6, k=2),
    "jumprelu": lambda: saes.JumpReLU(4, 6, l0=0.03),
    "matryoshka": lambda: saes.Matryoshka(4, 6, k=2, prefixes=[2, 6]),
}


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shaken(name):
    """A dictionary in which every parameter counts."""
    sae = MAKE[name]()
    with torch.no_grad():
        for i, parameter in enumerate(sae.parameters()):
            parameter += 0.1 * numbers(*parameter.shape, seed=i)
        sae.project_weight()
    return sae


# --- variants ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAKE)
def test_a_reconstruction_is_the_sum_of_the_rows_that_are_active_and_b_dec(name):
    sae, x = shaken(name), numbers(5, 4)
    with torch.no_grad():
        f = sae.encode(x)
        assert f.min() >= 0
        assert torch.allclose(sae(x), sum(f[:, i, None] * sae.W_dec[i] for i in range(6)) + sae.b_dec, atol=1e-6)


@pytest.mark.parametrize("name", MAKE)
def test_the_input_is_centred_by_b_dec_before_it_is_encoded(name):
    sae, x = shaken(name), numbers(5, 4)
    f = sae.encode(x)
    with torch.no_grad():
        sae.b_dec += 3
    assert torch.allclose(sae.encode(x + 3), f, atol=1e-5)


def test_the_loss_of_l1_by_its_formula_also_where_rows_are_long():
    sae, x = shaken("relu"), numbers(5, 4)
    sae.W_dec.data *= 2
    loss, f = sae.losses(x, NOBODY, pressure=0.5)
    by_hand = 0.5 * 0.2 * sum(f[n, i] * 2 for n in range(5) for i in range(6)) / 5
    assert loss.penalty.item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert loss.error.item() == pytest.approx(((x - sae(x)) ** 2).sum(1).mean().item(), rel=1e-5)


def test_the_gate_learns_from_penalty_and_auxiliary_loss_and_the_decoder_not_from_the_latter():
    sae, x = shaken("gated"), numbers(5, 4)
    loss, _ = sae.losses(x, NOBODY)
    of_error = torch.autograd.grad(loss.error, sae.b_enc, retain_graph=True, allow_unused=True)[0]
    assert of_error is None or not of_error.any()
    assert torch.autograd.grad(loss.penalty, sae.b_enc, retain_graph=True)[0].any()
    auxiliary = torch.autograd.grad(loss.auxiliary, [sae.b_enc, sae.W_dec, sae.r], allow_unused=True)
    assert auxiliary[0].any()
    assert auxiliary[1] is None
    assert auxiliary[2] is None


def test_a_gated_latent_has_the_size_of_its_own_bias_where_the_gate_is_open():
    sae, x = shaken("gated"), numbers(5, 4)
    raw = (x - sae.b_dec) @ sae.W_enc
    expected = torch.where(raw + sae.b_enc > 0, (sae.r.exp() * raw + sae.b_mag).relu(), 0.0)
    assert torch.allclose(sae.encode(x), expected, atol=1e-6)


def test_topk_keeps_the_largest_of_each_input_and_none_that_is_negative():
    sae, x = shaken("topk"), numbers(50, 4)
    pre, f = sae.pre(x), sae.encode(x)
    for row, kept in zip(pre, f, strict=True):
        best = sorted(row.tolist(), reverse=True)[:2]
        assert sorted(kept[kept > 0].tolist(), reverse=True) == pytest.approx([value for value in best if value > 0])
    assert ((f > 0).sum(1) < 2).any(), "some input has fewer positive ones, else nothing was tested"


def test_batch_topk_keeps_the_largest_of_the_batch_so_that_inputs_differ():
    sae, x = shaken("batch_topk"), numbers(50, 4)
    f = sae.train().encode(x)
    assert (f > 0).sum() == 100
    assert f[f > 0].min() >= sae.pre(x)[f == 0].max()
    assert len((f > 0).sum(1).unique()) > 2


def test_the_threshold_is_a_running_mean_of_the_smallest_that_stayed_and_evaluation_does_not_move_it():
    sae = shaken("batch_topk").train()
    least = []
    for seed in range(3):
        _, f = sae.losses(numbers(50, 4, seed=seed), NOBODY)
        least.append(f[f > 0].min().item())
    expected = 0.99 * (0.99 * least[0] + 0.01 * least[1]) + 0.01 * least[2]
    assert sae.threshold.item() == pytest.approx(expected, rel=1e-5)
    sae.eval().losses(numbers(50, 4, seed=9), NOBODY)
    assert sae.threshold.item() == pytest.approx(expected, rel=1e-5)
    f = sae.encode(numbers(50, 4))
    assert f[f > 0].min() > expected


def test_matryoshka_averages_the_errors_of_its_prefixes():
    sae, x = shaken("matryoshka"), numbers(5, 4)
    loss, f = sae.losses(x, NOBODY)
    errors = [((x - f[:, :m] @ sae.W_dec[:m] - sae.b_dec) ** 2).sum(1).mean() for m in (2, 6)]
    assert loss.error.item() == pytest.approx(sum(errors).item() / 2, rel=1e-5)


def test_the_jumps_have_the_gradients_of_the_paper():
    z, width = torch.tensor([[0.0, 0.46, 0.53, 0.56, 2.0]]).requires_grad_(), 0.1
    theta = torch.full((5,), 0.5).requires_grad_()
    up = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]])
    to_z, to_theta = torch.autograd.grad((_Jump.apply(z, theta, width) * up).sum(), [z, theta])
    assert to_z.tolist() == [[0, 0, 3, 4, 5]]
    assert torch.allclose(to_theta, -(0.5 / 0.1) * torch.tensor([0.0, 2.0, 3.0, 0.0, 0.0]))
    (to_theta,) = torch.autograd.grad((_Step.apply(z, theta, width) * up).sum(), [theta])
    assert torch.allclose(to_theta, -(1 / 0.1) * torch.tensor([0.0, 2.0, 3.0, 0.0, 0.0]))


def test_auxk_lets_the_dead_alone_explain_what_is_left():
    sae, x = shaken("topk"), numbers(50, 4)
    dead = torch.tensor([True, False, False, True, False, False])
    pre = sae.pre(x)
    error = x - sae(x)
    loss = auxk(sae, error, pre, dead)
    explained = pre[:, [0, 3]] @ sae.W_dec[[0, 3]]
    assert loss.item() == pytest.approx(((error - explained) ** 2).sum(1).mean().item() / 32, rel=1e-5)
    gradient = torch.autograd.grad(loss, sae.W_dec)[0]
    assert gradient[dead].any(1).all()
    assert not gradient[~dead].any()
    assert auxk(sae, error, pre, NOBODY).item() == 0


def test_a_step_keeps_rows_at_length_1_and_its_gradient_along_the_sphere():
    sae = shaken("relu")
    loss, _ = sae.losses(numbers(5, 4), NOBODY)
    loss.total.backward()
    before = (sae.W_dec.grad * sae.W_dec).sum(1)
    sae.project_gradient()
    assert before.abs().max() > 0.01
    assert (sae.W_dec.grad * sae.W_dec).sum(1).abs().max() < 1e-6
    with torch.no_grad():
        sae.W_dec += sae.W_dec.grad
    assert (sae.W_dec.norm(dim=1) - 1).abs().max() > 1e-3, "a tangent leaves the sphere"
    sae.project_weight()
    assert torch.allclose(sae.W_dec.norm(dim=1), torch.ones(6), atol=1e-6)


# --- metrics ----------------------------------------------------------------------------------------------------------


def test_l0_density_and_dead_share_of_a_table():
    f = torch.tensor([[0.0, 2.0, 0.0, 1.0], [0.0, 0.0, 0.0, 3.0]])
    assert saes.l0(f) == 1.5
    assert saes.density(f).tolist() == [0, 0.5, 0, 1]
    assert saes.dead_share(saes.density(f)) == 0.5


def test_variance_explained_is_about_the_mean():
    """Activations of mean 3: with averaged squares the same reconstruction seems to be nearly perfect."""
    x = 3 + numbers(20_000, 10)
    out = x + 0.3 * numbers(20_000, 10, seed=1)
    assert saes.fve(x, out) == pytest.approx(1 - 0.3**2, abs=0.002)
    uncentred = 1 - ((x - out) ** 2).mean() / (x**2).mean()
    assert uncentred.item() == pytest.approx(0.991, abs=0.001)
    assert saes.fve(x, x.mean(0).expand_as(x)) == pytest.approx(0, abs=1e-6)
    assert saes.fve(x, x) == 1


def test_variance_is_summed_over_coordinates_before_it_is_divided():
    x = numbers(20_000, 2) * torch.tensor([3.0, 1.0])
    out = x * torch.tensor([1.0, 0.0])  # all of the large coordinate, nothing of the small
    assert saes.fve(x, out) == pytest.approx(0.9, abs=0.005)


def test_a_density_histogram_counts_every_living_latent_once():
    density = torch.tensor([0.0, 0.0, 1e-9, 1e-3, 2e-3, 0.5, 1.0])
    counts, edges = saes.density_histogram(density, bins=6)
    assert edges.tolist() == pytest.approx([-6, -5, -4, -3, -2, -1, 0])
    assert counts.sum() == 5
    assert counts[0] == 1
    assert counts[5] == 2


@pytest.mark.parametrize(("x", "said"), [(torch.ones(5, 3), "do not vary"), (torch.ones(5), "must both be")])
def test_what_has_no_variance_is_refused(x, said):
    with pytest.raises(ValueError, match=said):
        saes.fve(x, x)


# --- matching ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 5), (5, 3)])
def test_the_matching_is_the_best_of_all(shape):
    scores = torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))
    table = scores if shape[0] <= shape[1] else scores.T
    matching = saes.match(scores)
    rows = range(table.shape[0])
    best = max(
        sum(table[i, c[i]].item() for i in rows) for c in itertools.permutations(range(table.shape[1]), len(rows))
    )
    taken = matching.latent[matching.latent >= 0]
    assert len(taken) == len(set(taken.tolist())) == len(rows)
    assert matching.score.sum().item() == pytest.approx(best, abs=1e-5)


def test_one_latent_answers_for_one_feature_only():
    both, third = [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]
    matching = saes.match_directions(torch.eye(3), torch.tensor([both, third, third]))
    assert sorted(matching.latent.tolist()) == [0, 1, 2]
    assert sorted(matching.score.tolist()) == pytest.approx([0, math.sqrt(1 / 2), 1])
    assert matching.found(0.7) == pytest.approx(2 / 3)


def test_a_latent_that_points_the_other_way_has_found_nothing():
    assert saes.match_directions(torch.eye(2), -torch.eye(2)).mean == 0  # each takes the one at a right angle
    assert saes.match_directions(torch.eye(1), -torch.eye(1)).mean == -1


def test_fewer_latents_than_features_leave_some_without_one():
    matching = saes.match_directions(torch.eye(3), torch.eye(3)[[2, 0]])
    assert matching.latent.tolist() == [1, -1, 0]
    assert matching.score.tolist() == [1, 0, 1]


def test_correlation_is_pearsons_and_0_for_what_is_constant():
    a, f = numbers(50, 3), numbers(50, 4, seed=1)
    f[:, 2] = 0.1
    r = saes.correlations(a, f)
    expected = np.corrcoef(a.T.numpy(), f[:, [0, 1, 3]].T.numpy())[:3, 3:]
    assert np.allclose(r[:, [0, 1, 3]], expected, atol=1e-5)
    assert not r[:, 2].any()


def test_a_latent_that_is_silent_where_its_feature_is_there_shows_in_activations_alone():
    a = numbers(1000, 2).relu()
    f = a.clone()
    f[a[:, 1] > 0, 0] = 0  # absorbed: silent wherever the other is there
    assert saes.match_activations(a, f).score[0] < 0.8
    assert saes.match_activations(a, a).mean == pytest.approx(1, abs=1e-5)


# --- training ---------------------------------------------------------------------------------------------------------


def test_dead_latents_start_again_at_inputs_drawn_by_squared_error():
    residual = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    drawn = reviving.draw_by_squared_error(residual, 20_000, torch.Generator().manual_seed(0))
    assert (drawn == 1).float().mean().item() == pytest.approx(0.9, abs=0.01)  # by the error itself: 0.75


@pytest.mark.parametrize("name", MAKE)
def test_a_resampled_latent_points_at_a_residual_with_a_short_encoder_row_and_adam_forgets_it(name):
    sae, x = shaken(name), numbers(20, 4)
    optimizer = torch.optim.Adam(sae.parameters(), lr=1e-2)
    sae.losses(x, NOBODY)[0].total.backward()
    optimizer.step()
    dead = torch.tensor([True, False, False, True, False, False])
    residual = F.normalize((x - sae(x)).detach(), dim=1)
    kept = sae.W_dec[~dead].clone()
    reviving.resample(sae, x, dead, optimizer, torch.Generator().manual_seed(0))
    alive = sae.W_enc[:, ~dead].norm(dim=0).mean()
    assert torch.allclose((sae.W_dec[dead] @ residual.T).max(1).values, torch.ones(2), atol=1e-5)
    assert torch.allclose(sae.W_enc[:, dead].norm(dim=0), 0.2 * alive.expand(2), atol=1e-5)
    assert torch.equal(sae.W_dec[~dead], kept)
    for parameter, rows in ((sae.W_enc, lambda m: m.T), (sae.W_dec, lambda m: m), (sae.b_enc, lambda m: m)):
        moment = rows(optimizer.state[parameter]["exp_avg_sq"])
        assert not moment[dead].any()
        assert moment[~dead].any() or parameter is sae.b_enc


@pytest.mark.parametrize("kind", ["topk", "batch_topk"])
def test_auxk_brings_back_latents_that_are_negative_everywhere(kind):
    x = numbers(2000, 4)
    for after, some in ((300, False), (10**9, True)):  # the control: without AuxK they stay dead
        sae = MAKE[kind]()
        with torch.no_grad():
            sae.b_enc[:3] = -2
            assert not (sae.pre(x / x.norm(dim=1).square().mean().sqrt())[:, :3] > 0).any()
        saes.train(sae, x, 300, batch=64, lr=1e-2, dead_after=after)
        assert (saes.dead_share(saes.density(sae.encode(x))) > 0) == some


@pytest.mark.parametrize("kind", ["relu", "jumprelu", "gated"])
def test_latents_that_have_died_are_alive_again_after_training(kind):
    x = numbers(2000, 4)
    for every, some in ((10, False), (10_000, True)):  # the control: without resampling they stay dead
        sae = MAKE[kind]()
        with torch.no_grad():
            sae.b_enc[:3] = -50
        saes.train(sae, x, 200, batch=64, dead_after=300, resample_every=every)
        assert (saes.dead_share(saes.density(sae.encode(x))) >= 0.5) == some


def test_the_rate_warms_up_and_falls_to_nothing_at_the_end():
    rates = [rate(step, 100, 10) for step in range(100)]
    assert rates[0] == 0.1
    assert rates[9:80] == [1.0] * 71
    assert rates[-1] == pytest.approx(0.05)


def test_a_stream_of_batches_gives_what_a_tensor_in_that_order_gives():
    x = numbers(640, 4)
    order = torch.randperm(640, generator=torch.Generator().manual_seed(0))
    a = saes.train(MAKE["relu"](), x, 10, batch=64)
    b = saes.train(MAKE["relu"](), iter(x[order].split(64)), 10)
    assert F.cosine_similarity(a.W_dec, b.W_dec).min() > 0.999  # the scale is taken from the first batch alone


def test_training_can_be_stopped_and_what_is_left_reads_plain_activations():
    def stop(report):
        if report.step == 30:
            raise KeyboardInterrupt

    x = 50 * numbers(640, 4) + 20
    sae = MAKE["relu"]()
    with pytest.raises(KeyboardInterrupt):
        saes.train(sae, x, 100, on_step=stop)
    assert torch.allclose(sae.b_dec, x.mean(0), rtol=0.3)
    before = saes.fve(x, sae(x))
    saes.train(sae, x, 200)
    assert saes.fve(x, sae(x)) > before, "it goes on from there"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (iter([]), "ended after 0 of 5 steps"),
        (iter([numbers(8, 4)] * 3), "ended after 3 of 5 steps"),
        (iter([numbers(8, 4), numbers(8, 4) / 0]), "step 1 hold NaN"),
        (numbers(8, 5), r"\[batch 4\], not \[8, 5\]"),
        (torch.zeros(8, 4), "all these activations are 0"),
        (torch.empty(0, 4), "ended after 0"),
    ],
)
def test_activations_that_cannot_be_learnt_from_are_told_and_leave_the_dictionary_finite(data, said):
    sae = MAKE["topk"]()
    with pytest.raises(ValueError, match=said):
        saes.train(sae, data, 5)
    assert all(bool(p.isfinite().all()) for p in sae.parameters())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: saes.TopK(4, 6, k=7), "k = 7"),
        (lambda: saes.BatchTopK(4, 6, k=0), "k = 0"),
        (lambda: saes.Matryoshka(4, 6, k=2, prefixes=[2, 5]), "prefixes must rise"),
        (lambda: saes.JumpReLU(4, 6, width=0), "positive"),
        (lambda: saes.ReLU(0, 6), "at least 1"),
        (lambda: saes.ReLU(4, 6).encode(numbers(2, 5)), "width 4, not 5"),
    ],
)
def test_a_dictionary_that_cannot_be_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
