"""A step of the training computes what the formulas say, by another way: the same loss, gradients and latents."""

from __future__ import annotations

import pytest
import torch

from mi_lib import saes
from mi_lib.saes import sparse

D, N, K, ROWS = 7, 96, 5, 60
MAKE = {
    "relu, many active": lambda: shaken(saes.ReLU(D, N, l1=0.3)),
    "relu, few active": lambda: shaken(saes.ReLU(D, N, l1=0.3), bias=-5.0),
    "gated": lambda: shaken(saes.Gated(D, N, l1=0.3)),
    "topk": lambda: shaken(saes.TopK(D, N, k=K)),
    "topk, some negative": lambda: shaken(saes.TopK(D, N, k=K), bias=-5.0),
    "batch_topk": lambda: shaken(saes.BatchTopK(D, N, k=K)),
    "batch_topk, fewer positive": lambda: shaken(saes.BatchTopK(D, N, k=K), bias=-5.0),
    "batch_topk, dense": lambda: shaken(saes.BatchTopK(D, N, k=N // 2)),
    "jumprelu": lambda: shaken(saes.JumpReLU(D, N)),
    "matryoshka": lambda: shaken(saes.Matryoshka(D, N, k=K, prefixes=[16, 40, N])),
}


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shaken(sae, bias=0.0):
    """Every parameter counts, and rows are not of length 1."""
    with torch.no_grad():
        for i, parameter in enumerate(sae.parameters()):
            parameter += 0.1 * numbers(*parameter.shape, seed=i)
        sae.b_enc += bias
    return sae.train()


X = 2 * numbers(ROWS, D, seed=50)
DEAD = torch.arange(N) % 3 == 0


@pytest.mark.parametrize("dead", ["none", "some"])
@pytest.mark.parametrize("name", MAKE)
def test_a_step_has_the_loss_and_the_gradients_of_the_formulas(name, dead):
    dead = DEAD if dead == "some" else torch.zeros_like(DEAD)
    plain, quick = MAKE[name](), MAKE[name]()
    loss, f = plain.losses(X, dead, 0.7)
    again, seen = quick.step_losses(X, dead, 0.7)
    for one, other in zip(loss, again, strict=True):
        assert other.item() == pytest.approx(one.item(), rel=1e-5, abs=1e-7)
    loss.total.backward()
    again.total.backward()
    for (name_, one), other in zip(plain.named_parameters(), quick.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None), name_
        if one.grad is not None:
            assert torch.allclose(other.grad, one.grad, rtol=1e-4, atol=1e-5 * one.grad.abs().max()), name_
    assert torch.equal(seen.latents, (f > 0).any(0))
    assert seen.l0().item() == pytest.approx(saes.l0(f))
    assert torch.allclose(seen.out(), plain.decode(f), atol=1e-5)
    for one, other in zip(plain.buffers(), quick.buffers(), strict=True):
        assert torch.allclose(one, other)


@pytest.mark.parametrize("name", ["relu, many active", "relu, few active", "topk", "batch_topk", "matryoshka"])
def test_the_quick_way_is_the_one_that_is_taken(name, monkeypatch):
    sae = MAKE[name]()
    monkeypatch.setattr(sae, "losses", lambda *args: pytest.fail("the slow way"))
    sae.step_losses(X, DEAD)


def test_the_gradients_of_the_quick_way_are_those_of_small_differences():
    """Not only those of the formulas: in double precision, one number at a time."""
    sae = shaken(saes.TopK(3, 16, k=2)).double()
    x = numbers(6, 3, seed=1).double()
    nobody = torch.zeros(16, dtype=torch.bool)
    sae.step_losses(x, nobody)[0].total.backward()
    with torch.no_grad():
        for parameter in (sae.W_enc, sae.W_dec, sae.b_dec, sae.b_enc):
            for at in range(0, parameter.numel(), 5):
                flat, step = parameter.view(-1) if parameter.is_contiguous() else parameter.T.reshape(-1), 1e-6
                old = flat[at].item()
                flat = parameter.data.T.view(-1) if not parameter.is_contiguous() else parameter.data.view(-1)
                losses = []
                for new in (old + step, old - step):
                    flat[at] = new
                    losses.append(sae.losses(x, nobody)[0].total.item())
                flat[at] = old
                grad = parameter.grad if parameter.is_contiguous() else parameter.grad.T
                assert grad.reshape(-1)[at].item() == pytest.approx((losses[0] - losses[1]) / 2e-6, abs=1e-5)


@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0])
@pytest.mark.parametrize("k", [1, 4, 12])
def test_the_largest_of_a_batch_are_found_whatever_the_guess(k, spread):
    """Also where a sample says little about the rest: a few rows hold all that is large."""
    pre = numbers(300, N, seed=3)
    pre[:20] += spread
    values, entries = sparse.top_of_batch(k)(pre)
    found = torch.zeros_like(pre)
    found[entries.rows, entries.latents] = values
    assert torch.equal(found, saes.topk.largest(pre.relu().flatten(), 300 * k).view(pre.shape))
    assert torch.equal(entries.rows, entries.rows.sort().values)
    assert torch.equal(entries.row_starts, torch.searchsorted(entries.rows, torch.arange(300)))


def test_a_batch_in_which_nothing_is_active_has_a_loss_too():
    for sae in (saes.ReLU(D, N), saes.BatchTopK(D, N, k=K), saes.TopK(D, N, k=K)):
        with torch.no_grad():
            sae.b_enc -= 100
        loss, seen = sae.train().step_losses(X, ~DEAD & DEAD)
        loss.total.backward()
        assert loss.error.item() == pytest.approx(X.pow(2).sum(1).mean().item(), rel=1e-5)
        assert not seen.latents.any()
        assert not sae.W_dec.grad.any()
