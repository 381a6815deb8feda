"""The grader of chapter 06. It runs beside the learner's process, never in it: see mi_lib/course/grading.

Oracles are loops in double precision and cases that can be worked out by hand. A dictionary that a learner has trained
is judged by the planted features that it has found: in worlds that are drawn here, with seeds of their own.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mi_lib.course import findings, index
from mi_lib.course.grading import Wrong, expect, expect_close, expect_equal, expect_gradients, grades
from mi_lib.course.grading.expectations import MISTAKE, SHAPE
from mi_lib.course.grading.gradients import gradients
from mi_lib.course.grading.material import activation, generator, randn, random_tokens, random_transformer
from mi_lib.worlds.features import PlantedFeatures, planted

# inputs, d, latents, seed: all of them different
SIZES = ((5, 3, 7, 0), (2, 11, 13, 1), (7, 5, 3, 2))


def uniform(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=generator(seed))


def sparse(*shape: int, presence: float, seed: int) -> Tensor:
    """Activations of latents: mostly 0, otherwise positive."""
    return (0.2 + uniform(*shape, seed=seed)) * (uniform(*shape, seed=seed + 1) < presence)


@functools.cache
def weights(d: int, n: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """W_enc, b_enc, W_dec and b_dec; no two rows are of one length, and W_enc is no transpose of W_dec."""
    lengths = 0.5 + 1.5 * uniform(n, 1, seed=seed + 3)
    return (
        randn(d, n, seed=seed),
        0.5 * randn(n, seed=seed + 1),
        lengths * normalize(randn(n, d, seed=seed + 2), dim=1),
        1 + 0.7 * randn(d, seed=seed + 4),
    )


MEDIAN = "This is the median over the batch. On average means: the mean."  # torch's: of two the smaller one


# --- 06.1 -------------------------------------------------------------------------------------------------------------


def encoded(x: Tensor, W_enc: Tensor, b_enc: Tensor, b_dec: Tensor) -> Tensor:
    """One input and one latent after the other, in double precision."""
    rows = []
    for row in (x.double() - b_dec.double()).tolist():
        latents = zip(W_enc.double().T.tolist(), b_enc.tolist(), strict=True)
        rows.append([max(0.0, sum(a * w for a, w in zip(row, column, strict=True)) + b) for column, b in latents])
    return torch.tensor(rows, dtype=torch.float64)


def decoded(f: Tensor, W_dec: Tensor, b_dec: Tensor) -> Tensor:
    rows = []
    for row in f.double().tolist():
        out = b_dec.double().clone()
        for size, direction in zip(row, W_dec.double(), strict=True):
            out = out + size * direction
        rows.append(out)
    return torch.stack(rows)


@grades("06.1", weight=2)
def test_the_encoder(answer):
    """Random weights of several sizes, one latent after the other."""
    for n, d, latents, seed in SIZES:
        x = 1 + randn(n, d, seed=seed + 10)
        W_enc, b_enc, _, b_dec = weights(d, latents, seed)
        linear = (x - b_dec) @ W_enc + b_enc
        expect_close(
            answer.encode(x, W_enc, b_enc, b_dec),
            encoded(x, W_enc, b_enc, b_dec),
            "f",
            axes="batch latent",
            mistakes={
                "b_dec must be taken away from x before the encoder: what the decoder adds need not be encoded.": (
                    (x @ W_enc + b_enc).relu()
                ),
                "You add b_dec to x. Take it away: the decoder adds it at the end.": (
                    ((x + b_dec) @ W_enc + b_enc).relu()
                ),
                "The ReLU is missing: a latent is active or 0, and never negative.": linear,
                "b_enc is missing.": ((x - b_dec) @ W_enc).relu(),
                "b_enc stands outside of the ReLU. It is added before.": ((x - b_dec) @ W_enc).relu() + b_enc,
                "These are absolute values. The ReLU makes negative numbers 0.": linear.abs(),
            },
        )


@grades("06.1")
def test_the_decoder(answer):
    """Random activations, added up one latent after the other; and nothing active at all."""
    for n, d, latents, seed in SIZES:
        f = sparse(n, latents, presence=0.6, seed=seed + 20)
        _, _, W_dec, b_dec = weights(d, latents, seed)
        unit = W_dec / W_dec.norm(dim=1, keepdim=True)
        expect_close(
            answer.decode(f, W_dec, b_dec),
            decoded(f, W_dec, b_dec),
            "x̂",
            axes="batch d",
            mistakes={
                "b_dec is missing: add it at the end.": f @ W_dec,
                "You take b_dec away. The decoder adds it.": f @ W_dec - b_dec,
                "There is no ReLU in the decoder: x̂ may be negative.": (f @ W_dec + b_dec).relu(),
                "You give the rows of W_dec length 1. Take them as they are.": f @ unit + b_dec,
            },
        )
    _, _, W_dec, b_dec = weights(3, 7, 0)
    expect_close(answer.decode(torch.zeros(2, 7), W_dec, b_dec), b_dec.expand(2, 3), "x̂ where no latent is active")


@grades("06.1")
def test_both_can_be_trained(answer):
    """The gradients with respect to weights and activations."""
    n, d, latents, seed = SIZES[0]
    W_enc, b_enc, W_dec, b_dec = weights(d, latents, seed)
    x, f = 1 + randn(n, d, seed=31), sparse(n, latents, presence=0.6, seed=32)
    expect_gradients(
        answer,
        "encode",
        {"x": x, "W_enc": W_enc, "b_enc": b_enc, "b_dec": b_dec},
        lambda x, W, b, c: (x @ W - c @ W + b).clamp(min=0),
        "f",
        wrt=("W_enc", "b_enc", "b_dec"),
    )
    expect_gradients(answer, "decode", {"f": f, "W_dec": W_dec, "b_dec": b_dec}, lambda f, W, b: (W.T @ f.T).T + b, "x̂")


# --- 06.2 -------------------------------------------------------------------------------------------------------------


@grades("06.2", weight=2)
def test_the_loss(answer):
    """Random inputs and activations, compared with sums over inputs, coordinates and latents."""
    for n, d, latents, seed in SIZES:
        x, out = randn(n, d, seed=seed + 40), randn(n, d, seed=seed + 41)
        f, W_dec, l1 = sparse(n, latents, presence=0.6, seed=seed + 42), weights(d, latents, seed)[2], 0.37 + seed
        lengths = [math.sqrt(sum(v * v for v in row)) for row in W_dec.double().tolist()]
        error = sum((a - b) ** 2 for a, b in zip(x.flatten().tolist(), out.flatten().tolist(), strict=True)) / n
        penalty = sum(sum(v * w for v, w in zip(row, lengths, strict=True)) for row in f.double().tolist()) / n
        plain = f.double().sum().item() / n
        each = (x - out).double().pow(2).sum(-1) + l1 * f.double() @ W_dec.double().norm(dim=1)
        expect_close(
            answer.sae_loss(x, out, f, W_dec, l1),
            error + l1 * penalty,
            "the loss",
            mistakes={
                "You average the error over coordinates as well. Sum over them: else λ means another thing for every "
                "width.": error / d + l1 * penalty,
                "You average both over coordinates and latents. Sum over these, and average over the batch alone.": (
                    error / d + l1 * penalty / latents
                ),
                "You average the penalty over latents. Sum over them: λ Σ_i f_i ‖d_i‖.": error + l1 * penalty / latents,
                "‖d_i‖ is missing from the penalty. Without it a dictionary makes f small and its rows long, and pays "
                "nothing.": error + l1 * plain,
                "You sum over the batch. Average over it.": n * (error + l1 * penalty),
                "You sum the penalty over the batch. Average over it.": error + l1 * penalty * n,
                "You sum the error over the batch. Average over it.": error * n + l1 * penalty,
                "The penalty is missing.": error,
                "λ is missing.": error + penalty,
                "These are absolute errors. Square them.": (x - out).abs().sum().item() / n + l1 * penalty,
                "This is the length of the error, not its square.": (
                    (x - out).norm(dim=-1).mean().item() + l1 * penalty
                ),
                "‖d_i‖ is the length of a ROW of W_dec, and not its square.": (
                    error + l1 * (f @ W_dec.pow(2).sum(1)).mean().item()
                ),
                "You square the activations. This penalty is Σ f_i ‖d_i‖, and not a sum of squares.": (
                    error + l1 * (f.pow(2) @ W_dec.norm(dim=1)).mean().item()
                ),
                MEDIAN: each.median(),
            },
        )


@grades("06.2")
def test_the_loss_can_be_trained(answer):
    """Its gradients with respect to reconstruction, activations and decoder."""
    n, d, latents, seed = SIZES[0]
    expect_gradients(
        answer,
        "sae_loss",
        {
            "x": randn(n, d, seed=50),
            "out": randn(n, d, seed=51),
            "f": sparse(n, latents, presence=0.6, seed=52),
            "W_dec": weights(d, latents, seed)[2],
            "l1": 1.3,
        },
        lambda x, out, f, W, l1: ((x - out) ** 2).sum() / n + l1 * (f * (W**2).sum(1).sqrt()).sum() / n,
        "the loss",
        wrt=("out", "f", "W_dec"),
    )


@grades("06.2")
def test_the_scale(answer):
    """Inputs of several sizes and widths, with a mean that is not 0."""
    for n, d, factor, seed in ((7, 3, 0.02, 0), (5, 11, 30.0, 1), (13, 2, 1.0, 2)):
        x = factor * (1 + randn(n, d, seed=seed + 60))
        norms = [sum(v * v for v in row) for row in x.double().tolist()]
        mean = sum(norms) / n
        expect_close(
            answer.input_scale(x),
            1 / math.sqrt(mean),
            "the scale",
            mistakes={
                "This is the square of it: multiplied by s, ‖x‖² becomes s² times as large.": 1 / mean,
                "This is what x must be DIVIDED by.": math.sqrt(mean),
                "This makes each COORDINATE 1 in mean square. ‖x‖² is the sum over coordinates.": math.sqrt(d / mean),
                "This makes ‖x‖ 1 on average. The mean of squares is not the square of the mean.": (
                    n / sum(math.sqrt(v) for v in norms)
                ),
                "You have taken the mean of x away first. ‖x‖² is to be 1 as x is.": (
                    1 / (x - x.mean(0)).pow(2).sum(-1).mean().sqrt().item()
                ),
                "This makes the sum over the batch 1. Average over it.": 1 / math.sqrt(n * mean),
                "This makes the MEDIAN of ‖s x‖² 1. On average means: the mean.": 1 / math.sqrt(sorted(norms)[n // 2]),
            },
        )


@grades("06.2", weight=2)
def test_the_scale_is_folded_in(answer):
    """What the new dictionary makes of x, against what the old one makes of scale · x."""
    for n, d, latents, seed in SIZES:
        old, scale = weights(d, latents, seed), (0.07, 3.5, 19.0)[seed]
        x = (1 + randn(n, d, seed=seed + 70)) / scale
        f_old = encoded(scale * x, old[0], old[1], old[3])
        out_old = decoded(f_old, old[2], old[3])
        W_enc, b_enc, W_dec, b_dec = answer.fold_in(*old, scale)
        same_length = torch.allclose(W_dec.norm(dim=1), old[2].norm(dim=1), atol=1e-4)
        f = encoded(x, W_enc, b_enc, b_dec)
        out = decoded(f, W_dec, b_dec)
        if not same_length and torch.allclose(out, out_old / scale, atol=1e-3):
            raise Wrong(
                "Your rows of W_dec have another length now, so that f is no longer in units of x. Only what is in "
                "units of x changes: the two biases.",
                MISTAKE,
            )
        if torch.allclose(out / scale, out_old / scale, atol=1e-3) and scale != 1:
            raise Wrong("The new dictionary gives x̂ in units of scale · x. Bring it back to units of x.", MISTAKE)
        if torch.equal(b_dec, old[3]):
            raise Wrong("b_dec is in units of scale · x, and must be brought to units of x too.", MISTAKE)
        if torch.equal(b_enc, old[1]):
            raise Wrong("b_enc is in units of scale · x, and must be brought to units of x too.", MISTAKE)
        if torch.allclose(b_dec, old[3] * scale) and torch.allclose(b_enc, old[1] * scale):
            raise Wrong("You multiply the biases by scale. To come back from scale · x to x, divide.", MISTAKE)
        expect(same_length, "The rows of W_dec should keep their length.")
        told: dict[str, Any] = {"axes": "batch latent", "atol": 1e-4, "rtol": 1e-3}
        expect_close(f, f_old / scale, "what the new dictionary makes of x, its f,", **told)
        expect_close(out, out_old / scale, "what the new dictionary makes of x, its x̂,", **{**told, "axes": "batch d"})


# --- 06.3 -------------------------------------------------------------------------------------------------------------


@grades("06.3", weight=2)
def test_the_best_activation(answer):
    """Compared with the best of 40,001 activations that are tried."""
    tried = torch.linspace(0, 4, 40_001, dtype=torch.float64)
    for l1, seed in ((0.3, 0), (1.0, 1), (0.06, 2), (2.6, 3)):
        a = torch.cat([2.5 * uniform(7, seed=seed + 80), torch.tensor([0.0, 0.01, l1 / 2, l1])])
        loss = (a[:, None].double() - tried) ** 2 + l1 * tried
        expect_close(
            answer.best_activation(a, l1),
            tried[loss.argmin(1)],
            "the best activation",
            atol=2e-4,
            mistakes={
                "The derivative of (a − f)² is −2 (a − f). So λ is halved: a − λ/2.": (a - l1).relu(),
                "An activation is not negative: below λ/2 it is 0.": a - l1 / 2,
                "What is above the threshold is not left whole: an L1 penalty pulls at every activation alike.": (
                    a * (a > l1 / 2)
                ),
                "What is above the threshold is not left whole: an L1 penalty pulls at every activation alike. ": (
                    a * (a > l1)
                ),
                "This is for a penalty on f². That of L1 is λ f, whose slope is the same for every f.": a / (1 + l1),
                "The penalty makes activations SMALLER.": a + l1 / 2,
                "A factor that is the same for all a is not what L1 does: it takes away the same from all.": (
                    a * (1 - l1 / 2)
                ),
            },
        )


@grades("06.3")
def test_the_relative_size(answer):
    """Latents that say a share of their feature, that miss it, that fire without it, and that never do; small ones."""
    for n, k, seed, unit in ((31, 5, 0, 1.0), (17, 3, 1, 0.1)):
        a = sparse(n, k, presence=0.5, seed=seed + 90)
        f = (0.4 + 0.5 * uniform(n, k, seed=seed + 92)) * a + sparse(n, k, presence=0.3, seed=seed + 94)
        f = f * (uniform(n, k, seed=seed + 96) < 0.8)
        a[:, -1], f[:, 0] = 0.0, f[:, 0].clone()
        a, f = unit * a, unit * f
        want, every, means, turned, ratio = [], [], [], [], []
        for i in range(k):
            rows = [(p, q) for p, q in zip(a[:, i].tolist(), f[:, i].tolist(), strict=True) if p > 0 and q > 0]
            whole = list(zip(a[:, i].tolist(), f[:, i].tolist(), strict=True))
            want.append(sum(p * q for p, q in rows) / sum(p * p for p, _ in rows) if rows else 0.0)
            there = sum(p * p for p, _ in whole)
            every.append(sum(p * q for p, q in whole) / there if there else 0.0)
            means.append(sum(q / p for p, q in rows) / len(rows) if rows else 0.0)
            turned.append(sum(p * q for p, q in rows) / sum(q * q for _, q in rows) if rows else 0.0)
            ratio.append(sum(q for _, q in rows) / sum(p for p, _ in rows) if rows else 0.0)
        both = (a > 0) & (f > 0)
        floored = (a * f * both).sum(0) / (a * a * both).sum(0).clamp(min=1)
        got = answer.relative_size(a, f)
        expect(not bool(got.isnan().any()), "A feature and a latent that never meet give NaN (0/0). It should be 0.")
        expect_close(
            got,
            torch.tensor(want),
            "the relative size",
            axes="feature",
            mistakes={
                "The sum of a² goes over all inputs with the feature. Take those alone at which the latent is active "
                "too.": torch.tensor(every),
                "This is the mean of the ratios f/a. It is Σ a f / Σ a².": torch.tensor(means),
                "It is the wrong way round: this is Σ a f / Σ f².": torch.tensor(turned),
                "This is Σ f / Σ a. It is Σ a f / Σ a².": torch.tensor(ratio),
                "You divide by 1 at least. A sum of squares may be smaller, if activations are. Only at 0 there is "
                "nothing to divide by.": floored,
            },
        )


# --- 06.4 -------------------------------------------------------------------------------------------------------------


def distinct(*shape: int, seed: int) -> Tensor:
    """Numbers of both signs, no two of one size."""
    n = math.prod(shape)
    order = torch.randperm(n, generator=generator(seed)).double()
    return ((order - 0.45 * n + 0.3) / n).float().view(shape)


def kept(pre: Tensor, k: int, how: str = "right") -> Tensor:
    """With sorting and lists."""
    rows = []
    for row in pre.tolist():
        by = [abs(v) for v in row] if how == "abs" else row
        order = sorted(range(len(row)), key=lambda i: by[i], reverse=how != "smallest")
        stay = set(order[:k])
        rows.append([v if i in stay and (v > 0 or how in ("abs", "signed")) else 0.0 for i, v in enumerate(row)])
    return torch.tensor(rows)


@grades("06.4", weight=2)
def test_top_k(answer):
    """Several sizes; inputs with fewer than k positive numbers among them."""
    for n, d, k, seed in ((5, 7, 2, 0), (3, 11, 1, 1), (2, 13, 11, 2), (7, 3, 3, 3)):
        pre = distinct(n, d, seed=seed + 100)
        pre[0] = pre[0] - pre[0].sort(descending=True).values[1]  # one positive number alone
        want = kept(pre, k)
        bound = pre.relu().topk(k, dim=-1).values[:, -1:]
        expect_close(
            answer.top_k(pre, k),
            want,
            "what stays",
            axes="batch latent",
            mistakes={
                "Negative numbers stay. An activation is not negative: it is the largest of ReLU(pre) that stay.": (
                    kept(pre, k, "signed")
                ),
                "You take the largest absolute values.": kept(pre, k, "abs"),
                "You take the largest absolute values. ": kept(pre, k, "abs").relu(),
                "This says WHICH stay. They keep their size.": (want > 0).float(),
                "You have taken the k-th largest away from all. What stays keeps its size.": (
                    (pre.relu() - bound).relu()
                ),
                "One too few stays: the k-th largest too.": pre.relu() * (pre.relu() > bound),
                "These are the k largest over the inputs, for each latent. Take them over the latents, for each "
                "input.": kept(pre.T, min(k, n)).T,
                "This is what BatchTopK does: the largest of the whole batch.": (
                    kept(pre.flatten()[None], k * n).view(n, d)
                ),
            },
        )


@grades("06.4")
def test_latents_that_are_alike(answer):
    """More activations of one size than may stay: two dead latents that start again at the same input are twins."""
    for n, d, k, seed in ((5, 7, 2, 0), (3, 11, 4, 1), (2, 13, 5, 2)):
        pre = distinct(n, d, seed=seed + 105)
        pre[:, : k + 2] = 1.5  # above all others
        for name, rows, room in (("top_k", n, k), ("batch_top_k", 1, k * n)):
            got = getattr(answer, name)(pre, k)
            expect_close(got, 1.5 * (got > 0), "what stays of latents that are alike", axes="batch latent")
            counted = (got > 0).reshape(rows, -1).sum(1).max().item() if got.numel() else 0
            if counted > room:
                raise Wrong(
                    f"Where several are equally large, {counted} stay in the place of {room}: comparing with the "
                    "smallest that may stay lets in all that are as large. Which of them stay is up to you.",
                    MISTAKE,
                )
            expect((got > 0).sum() == k * n, f"Where several are equally large only {counted} stay, and not {room}.")


@grades("06.4")
def test_top_k_can_be_trained(answer):
    """The gradient comes to what stays, and to nothing else."""
    for n, d, k in ((5, 7, 2), (2, 11, 5)):
        pre = distinct(n, d, seed=110)
        mask = (kept(pre, k) > 0).float()
        expect_gradients(answer, "top_k", {"pre": pre, "k": k}, lambda p, k, m=mask: p * m, "what stays")


@grades("06.4", weight=2)
def test_batch_top_k(answer):
    """The largest of a batch, however unevenly its inputs share them; a batch of one."""
    for n, d, k, seed in ((5, 7, 2, 0), (3, 11, 1, 1), (1, 13, 3, 2), (2, 17, 13, 3)):
        pre = distinct(n, d, seed=seed + 120)
        pre = pre + torch.linspace(-0.3, 0.3, n)[:, None]
        want = kept(pre.flatten()[None], k * n).view(n, d)
        expect_close(
            answer.batch_top_k(pre, k),
            want,
            "what stays of the batch",
            axes="batch latent",
            mistakes={
                "These are the k largest of each input. Take the k · batch largest of all.": kept(pre, k),
                "These are the k largest of the whole batch. k is the number for an input on average: k · batch.": (
                    kept(pre.flatten()[None], k).view(n, d)
                ),
                "Negative numbers stay. An activation is not negative.": (
                    kept(pre.flatten()[None], k * n, "signed").view(n, d)
                ),
            },
        )


def threshold_after(threshold: float, f: Tensor, keep: float) -> float:
    positive = [v for v in f.flatten().tolist() if v > 0]
    if not positive:
        return threshold
    return min(positive) if threshold == 0 else keep * threshold + (1 - keep) * min(positive)


@grades("06.4")
def test_the_threshold(answer):
    """The first batch, later ones, one in which nothing is active, and a row of many."""
    f, keep = sparse(5, 7, presence=0.4, seed=130), 0.9
    least = f[f > 0].min().item()
    expect_close(
        answer.next_threshold(0.0, f, keep),
        least,
        "the threshold after the first batch",
        mistakes={
            "The first batch gives its smallest activation itself, not a share of it: a running mean that starts at 0 "
            "needs hundreds of batches to come away from there.": (1 - keep) * least,
            "The smallest number is 0, of all that did not stay. Take the smallest that is not 0.": 0.0,
        },
    )
    for threshold, keep, seed, size in ((0.7, 0.9, 0, 1.0), (0.11, 0.99, 1, 0.3), (1.3, 0.25, 2, 5.0)):
        f = size * sparse(5, 7, presence=0.4, seed=seed + 132)
        positive = f[f > 0]
        want = threshold_after(threshold, f, keep)
        per_row = torch.stack([row[row > 0].min() for row in f if bool((row > 0).any())]).mean().item()
        expect_close(
            answer.next_threshold(threshold, f, keep),
            want,
            "the threshold after a later batch",
            mistakes={
                "The weights are exchanged: keep · threshold + (1 − keep) · smallest.": (
                    (1 - keep) * threshold + keep * positive.min().item()
                ),
                "This forgets the batches before: keep · threshold + (1 − keep) · smallest.": positive.min().item(),
                "The smallest number is 0, of all that did not stay. Take the smallest that is not 0.": keep
                * threshold,
                "This takes the mean activation. Take the smallest that is not 0.": (
                    keep * threshold + (1 - keep) * positive.mean().item()
                ),
                "This takes the LARGEST activation. Take the smallest that is not 0.": (
                    keep * threshold + (1 - keep) * positive.max().item()
                ),
                "This takes the smallest of each input, and their mean. Take the smallest of the batch.": (
                    keep * threshold + (1 - keep) * per_row
                ),
            },
        )
    for threshold in (0.0, 0.4):
        got = answer.next_threshold(threshold, torch.zeros(2, 3), 0.9)
        expect_close(got, threshold, "the threshold after a batch in which nothing is active")


@grades("06.4")
def test_above_the_threshold(answer):
    """Each input alone gives what it gives in a batch, and what stays keeps its size."""
    for n, d, threshold, seed in ((5, 7, 0.25, 0), (3, 11, 0.0, 1), (2, 13, 0.125, 2)):
        pre = randn(n, d, seed=seed + 140)
        pre[0, 0] = threshold
        expect_close(
            answer.above_threshold(pre, threshold),
            torch.tensor([[v if v > threshold else 0.0 for v in row] for row in pre.tolist()]),
            "what stays",
            axes="batch latent",
            mistakes={
                "You take the threshold away from what stays. It stays whole.": (pre - threshold).relu(),
                "This says WHICH stay. They keep their size.": (pre > threshold).float(),
                "What is BELOW the threshold stays with you.": pre * (pre < threshold),
                "What is exactly at the threshold does not stay: ABOVE it.": pre * (pre >= threshold),
                "Large negative numbers stay with you. Compare the number itself, not its absolute value.": (
                    pre * (pre.abs() > threshold)
                ),
            },
        )


# --- 06.5 -------------------------------------------------------------------------------------------------------------

JUMPS = ((5, 7, 0.3, 0), (3, 11, 0.08, 1), (13, 2, 1.1, 2))  # inputs, latents, width, seed


@functools.cache
def jump_case(n: int, latents: int, width: float, seed: int) -> tuple[Tensor, Tensor]:
    """z and θ: above, below, within half of the width on both sides, and within the whole of it."""
    theta = 0.6 + 0.5 * uniform(latents, seed=seed + 150)
    z = theta + width * 1.3 * (2 * uniform(n, latents, seed=seed + 151) - 1)
    far = uniform(n, latents, seed=seed + 152) < 0.25
    z = torch.where(far, randn(n, latents, seed=seed + 153), z)
    z[-1, -1] = theta[-1]  # exactly at the threshold, which is not above it
    return z, theta


@grades("06.5")
def test_what_jumps(answer):
    """What is above its latent's threshold stays whole, and is counted."""
    for n, latents, width, seed in JUMPS:
        z, theta = jump_case(n, latents, width, seed)
        t = theta.tolist()
        above = torch.tensor([[v > s for v, s in zip(row, t, strict=True)] for row in z.tolist()])
        expect_close(
            answer.jumprelu(z, theta, width),
            torch.where(above, z, 0.0),
            "f",
            axes="batch latent",
            mistakes={
                "You take θ away from what is above it. It stays whole: that is the jump.": (z - theta).relu(),
                "This says which are above θ. They keep their size.": above.float(),
                "One threshold for all: each latent has its own.": z * (z > theta.mean()),
                "What is exactly at θ is not above it: z > θ, and not z ≥ θ.": z * (z >= theta),
                "Inside of the window this is a ramp. It is a jump: only the GRADIENT knows of the window.": (
                    z * ((z - theta) / width + 0.5).clamp(0, 1)
                ),
            },
        )
        expect_close(
            answer.count_active(z, theta, width),
            above.float().sum() / n,
            "L0",
            mistakes={
                "This is the share of latents. Count them: sum over latents, average over inputs.": (
                    above.float().mean()
                ),
                "This is the number in the whole batch. Average over it.": above.float().sum(),
                "This adds up activations. Count those that are above θ.": torch.where(above, z, 0.0).sum() / n,
                "This counts what is above 0. Count what is above θ.": (z > 0).float().sum() / n,
                "What is exactly at θ is not active: z > θ, and not z ≥ θ.": (z >= theta).float().sum() / n,
                MEDIAN: above.sum(-1).float().median(),
            },
        )


def slopes(z: Tensor, theta: Tensor, width: float, out: Tensor, counted: bool, how: str = "right") -> Tensor:
    """The gradient to θ, one number after the other. out [batch latent]: the gradient that arrives."""
    found = [0.0] * len(theta)
    half = width if how == "wide" else width / 2
    for row, arriving in zip(z.tolist(), out.tolist(), strict=True):
        for i, (v, g, t) in enumerate(zip(row, arriving, theta.tolist(), strict=True)):
            if how == "everywhere" or (abs(v - t) < half and not (how == "one side" and v <= t)):
                size = (1 if counted else t) / (1 if how == "no width" else width)
                found[i] -= g * (v / width if how == "z" else size)
    return torch.tensor(found)


SLOPE_ERRORS = {
    "wide": "Your window is twice as wide as it should be: K(u) is 1 for |u| < 1/2, so up to ε/2 on either side of θ.",
    "everywhere": "Your gradient comes from all inputs. Only those within ε/2 of the threshold may move it.",
    "one side": "Your window is open on one side only. It holds what is a little below θ as well as a little above.",
    "no width": "You do not divide by ε: the window has the area 1, so it is 1/ε high.",
}


@grades("06.5", weight=3)
def test_the_gradient_of_the_threshold(answer):
    """The gradients to θ, against the formula, with inputs on both sides and at several distances."""
    for n, latents, width, seed in JUMPS:
        z, theta = jump_case(n, latents, width, seed)
        weight = randn(n, latents, seed=seed + 160)
        got = gradients(answer, "jumprelu", {"z": z, "theta": theta, "width": width}, weight, lost=LOST)
        want = slopes(z, theta, width, weight, counted=False)
        told = {words: slopes(z, theta, width, weight, False, how) for how, words in SLOPE_ERRORS.items()}
        expect_close(
            got["theta"],
            want,
            "∂f/∂θ, weighted and summed over inputs,",
            axes="latent",
            atol=1e-3,
            rtol=1e-3,
            mistakes={
                "No gradient comes to θ. The true one is 0: put −(θ/ε) K((z − θ)/ε) in its place.": torch.zeros(
                    latents
                ),
                "The sign is wrong: a higher threshold lets LESS through.": -want,
                "Of f the gradient is −(θ/ε) K, since θ itself is lost in the jump. This is −(1/ε) K.": want / theta,
                "The factor is θ, the height of the jump, and not z.": slopes(z, theta, width, weight, False, "z"),
                **told,
            },
        )
        above = (z > theta).float()
        expect_close(
            got["z"],
            weight * above,
            "∂f/∂z, weighted,",
            axes="batch latent",
            atol=1e-4,
            mistakes={
                "No gradient comes to z. For z the true one is right: 1 above θ, 0 below.": torch.zeros_like(z),
                "z gets a gradient from the window too. That one is for θ alone.": (
                    weight * (above + theta / width * ((z - theta).abs() < width / 2))
                ),
                "z gets its gradient below θ, too. There f is 0.": weight,
            },
        )


LOST = "No gradient comes through your function. Compute with torch from beginning to end, without .item() and no_grad."


@grades("06.5", weight=2)
def test_the_gradient_of_the_count(answer):
    """L0 has a gradient to θ by the same window, and none to z."""
    for n, latents, width, seed in JUMPS:
        z, theta = jump_case(n, latents, width, seed)
        weight = torch.tensor(1.7)
        got = gradients(answer, "count_active", {"z": z, "theta": theta, "width": width}, weight, lost=LOST)
        each = torch.full_like(z, 1.7 / n)
        want = slopes(z, theta, width, each, counted=True)
        expect_close(
            got["theta"],
            want,
            "∂L0/∂θ",
            axes="latent",
            atol=1e-3,
            rtol=1e-3,
            mistakes={
                "No gradient comes to θ. The true one is 0: put −(1/ε) K((z − θ)/ε) in its place.": torch.zeros(
                    latents
                ),
                "The sign is wrong: with a higher threshold FEWER are active.": -want,
                "Of the count the gradient is −(1/ε) K. The factor θ belongs to f.": want * theta,
                **{words: slopes(z, theta, width, each, True, how) for how, words in SLOPE_ERRORS.items()},
            },
        )
        if bool((got["z"] != 0).any()):
            raise Wrong("L0 gives z a gradient in your code. It has none: only thresholds are moved by it.", MISTAKE)


# --- 06.6 -------------------------------------------------------------------------------------------------------------


@functools.cache
def gate_case(n: int, d: int, latents: int, seed: int) -> tuple[Tensor, ...]:
    """x, π, b_enc, r, b_mag, W_dec, b_dec, in which the gate and the size disagree now and then."""
    _, b_enc, W_dec, b_dec = weights(d, latents, seed)
    gate = randn(n, latents, seed=seed + 171)
    return (
        1 + randn(n, d, seed=seed + 170),
        gate,
        b_enc,
        0.5 * randn(latents, seed=seed + 172),
        0.6 * randn(latents, seed=seed + 173),
        W_dec,
        b_dec,
    )


def gated_by_hand(gate: Tensor, b_enc: Tensor, r: Tensor, b_mag: Tensor) -> Tensor:
    rows = []
    for row in gate.double().tolist():
        parts = zip(row, b_enc.tolist(), r.tolist(), b_mag.tolist(), strict=True)
        rows.append([max(0.0, math.exp(s) * (p - b) + m) if p > 0 else 0.0 for p, b, s, m in parts])
    return torch.tensor(rows, dtype=torch.float64)


@grades("06.6", weight=2)
def test_the_gate(answer):
    """Random gates and sizes, one latent after the other."""
    for n, d, latents, seed in SIZES:
        _, gate, b_enc, r, b_mag, _, _ = gate_case(n, d, latents, seed)
        gate = gate.clone()
        gate[0, b_enc.argmin()] = 0  # shut, whatever the size says
        size = r.exp() * (gate - b_enc) + b_mag
        open_ = (gate > 0).float()
        expect_close(
            answer.gated(gate, b_enc, r, b_mag),
            gated_by_hand(gate, b_enc, r, b_mag),
            "f",
            axes="batch latent",
            mistakes={
                "The gate does not close: f must be 0 where π is not above 0.": size.relu(),
                "Some of your activations are negative: the size goes through a ReLU.": open_ * size,
                "A gate that is exactly 0 is shut: π > 0, and not π ≥ 0.": (gate >= 0) * size.relu(),
                "b_enc belongs to the gate alone. For the size, take it away from π first.": (
                    open_ * (r.exp() * gate + b_mag).relu()
                ),
                "The scale is e^r, and not r.": open_ * (r * (gate - b_enc) + b_mag).relu(),
                "b_mag is missing.": open_ * (r.exp() * (gate - b_enc)).relu(),
                "The scale e^r is missing.": open_ * (gate - b_enc + b_mag).relu(),
                "The gate says whether, and not how much: it is 0 or 1, and you multiply by π itself.": (
                    gate.relu() * size.relu()
                ),
                "b_mag is added to what is scaled. It comes after the scale.": (
                    open_ * (r.exp() * (gate - b_enc + b_mag)).relu()
                ),
            },
        )


@grades("06.6")
def test_the_size_can_be_trained(answer):
    """The gradients of f; none comes from the step."""
    n, d, latents, seed = SIZES[0]
    _, gate, b_enc, r, b_mag, _, _ = gate_case(n, d, latents, seed)
    mask = ((gate > 0) & (r.exp() * (gate - b_enc) + b_mag > 0)).float()
    expect_gradients(
        answer,
        "gated",
        {"gate": gate, "b_enc": b_enc, "r": r, "b_mag": b_mag},
        lambda g, b, r, m: mask * (torch.exp(r) * (g - b) + m),
        "f",
    )


def gated_loss_by_hand(x, gate, f, W_dec, b_dec, l1, frozen=True):
    """With einsum; the frozen decoder as numbers."""
    W, b = (W_dec.detach().clone(), b_dec.detach().clone()) if frozen else (W_dec, b_dec)
    pi = gate.clamp(min=0)
    error = ((x - torch.einsum("bl,ld->bd", f, W_dec) - b_dec) ** 2).sum()
    again = ((x - torch.einsum("bl,ld->bd", pi, W) - b) ** 2).sum()
    return (error + l1 * (pi * (W_dec**2).sum(1).sqrt()).sum() + again) / len(x)


@grades("06.6", weight=2)
def test_the_loss_of_the_gate(answer):
    """Its three terms, on random numbers."""
    for n, d, latents, seed in SIZES:
        x, gate, b_enc, r, b_mag, W_dec, b_dec = gate_case(n, d, latents, seed)
        f, l1 = gated_by_hand(gate, b_enc, r, b_mag).float(), 0.7 + seed
        want = gated_loss_by_hand(x, gate, f, W_dec, b_dec, l1)
        lengths = W_dec.norm(dim=1)
        error = (x - f @ W_dec - b_dec).pow(2).sum(-1).mean()
        penalty = (gate.relu() @ lengths).mean()
        again = want - error - l1 * penalty
        each = (x - f @ W_dec - b_dec).pow(2).sum(-1) + (x - gate.relu() @ W_dec - b_dec).pow(2).sum(-1)
        expect_close(
            answer.gated_loss(x, gate, f, W_dec, b_dec, l1),
            want,
            "the loss",
            mistakes={
                "The penalty is on the gate, ReLU(π), and not on f: on f it would shrink what f says.": (
                    error + l1 * (f @ lengths).mean() + again
                ),
                "The last term is missing: without it nothing teaches the gate what x needs.": error + l1 * penalty,
                "The penalty is missing.": error + again,
                "‖d_i‖ is missing from the penalty.": error + l1 * gate.relu().sum(-1).mean() + again,
                "The penalty takes π where it is negative, too. It is on ReLU(π).": (
                    error + l1 * (gate @ lengths).mean() + again
                ),
                "The penalty takes the absolute value of π. It is on ReLU(π).": (
                    error + l1 * (gate.abs() @ lengths).mean() + again
                ),
                "x̃ is decoded from π where it is negative, too. Decode ReLU(π).": (
                    error + l1 * penalty + (x - gate @ W_dec - b_dec).pow(2).sum(-1).mean()
                ),
                "You average over coordinates. Sum over them, and average over the batch alone.": (
                    (error + again) / d + l1 * penalty
                ),
                "b_dec is missing where x̃ is decoded.": (
                    error + l1 * penalty + (x - gate.relu() @ W_dec).pow(2).sum(-1).mean()
                ),
                "You sum over the batch. Average over it.": want * n,
                MEDIAN: (each + l1 * gate.relu() @ lengths).median(),
            },
        )


@grades("06.6", weight=2)
def test_what_is_frozen(answer):
    """The gradients to gate, activations and decoder: none from the last term to the decoder."""
    n, d, latents, seed = SIZES[0]
    x, gate, b_enc, r, b_mag, W_dec, b_dec = gate_case(n, d, latents, seed)
    gate = torch.where(gate == 0, -0.3, gate)  # at 0 a ReLU has no one gradient: relu and clamp differ there
    f = gated_by_hand(gate, b_enc, r, b_mag).float()
    args = {"x": x, "gate": gate, "f": f, "W_dec": W_dec, "b_dec": b_dec, "l1": 0.7}
    wrt = ("gate", "f", "W_dec", "b_dec")
    got = gradients(answer, "gated_loss", args, torch.tensor(1.0), wrt=wrt)

    def of(frozen: bool) -> dict[str, Tensor]:
        leaves = {name: args[name].clone().requires_grad_() for name in wrt}
        loss = gated_loss_by_hand(**{**args, **leaves}, frozen=frozen)
        return dict(zip(wrt, torch.autograd.grad(loss, list(leaves.values())), strict=True))

    want, loose = of(True), of(False)
    for name in ("W_dec", "b_dec"):
        expect_close(
            got[name],
            want[name],
            f"the gradient to {name}",
            atol=1e-3,
            rtol=1e-3,
            mistakes={
                "In the last term the decoder is frozen: it would learn to decode the shrunken ReLU(π). Detach W_dec "
                "and b_dec there.": loose[name],
                "No gradient comes to the decoder. It is frozen in the LAST term alone.": torch.zeros_like(want[name]),
            },
        )
    for name in ("gate", "f"):
        expect_close(
            got[name],
            want[name],
            f"the gradient to {'π' if name == 'gate' else 'f'}",
            atol=1e-3,
            rtol=1e-3,
            mistakes={
                "No gradient comes to it. In the last term the DECODER is frozen, and not the gate.": torch.zeros_like(
                    want[name]
                )
            },
        )


# --- 06.7 -------------------------------------------------------------------------------------------------------------


def nested(x, f, W_dec, b_dec, prefixes, how="right"):
    """One latent after the other, and a look at every prefix."""
    out = (torch.zeros_like(x) if how == "no bias" else b_dec.expand_as(x)).double()
    errors, start = [], 0
    for m in prefixes:
        block = sum(f[:, i, None].double() * W_dec[i].double() for i in range(start, m))
        out = (out + block) if how != "blocks" else b_dec.double() + block
        each = (x.double() - out).pow(2).sum(-1)
        errors.append(each.median() if how == "median" else each.mean())
        start = m
    return torch.stack(errors)


@grades("06.7", weight=2)
def test_the_nested_loss(answer):
    """Prefixes of several sizes, latent by latent."""
    cases = (([2, 3, 7], 0), ([5, 13], 1), ([1, 2, 3], 2), ([13], 1))
    for prefixes, which in cases:
        n, d, latents, seed = SIZES[which]
        x, f = randn(n, d, seed=seed + 180), sparse(n, latents, presence=0.7, seed=seed + 181)
        _, _, W_dec, b_dec = weights(d, latents, seed)
        errors = nested(x, f, W_dec, b_dec, prefixes)
        expect_close(
            answer.nested_loss(x, f, W_dec, b_dec, prefixes),
            errors.mean(),
            "the loss",
            mistakes={
                "This is the sum over prefixes. Take the mean.": errors.sum(),
                "This is the median over the prefixes. Take the mean.": errors.median(),
                "This is the loss of the whole dictionary. Every prefix must reconstruct x without the others.": (
                    errors[-1]
                ),
                "You decode what lies BETWEEN two prefixes. A prefix has all latents from the first one on.": (
                    nested(x, f, W_dec, b_dec, prefixes, "blocks").mean()
                ),
                "b_dec is missing in the prefixes.": nested(x, f, W_dec, b_dec, prefixes, "no bias").mean(),
                "You average over coordinates. Sum over them, and average over the batch alone.": errors.mean() / d,
                "You sum over the batch. Average over it.": errors.mean() * n,
                MEDIAN: nested(x, f, W_dec, b_dec, prefixes, "median").mean(),
                "You take the LAST m latents. A prefix has the first m.": nested(
                    x, f.flip(1), W_dec.flip(0), b_dec, prefixes
                ).mean(),
            },
        )


@grades("06.7")
def test_the_nested_loss_can_be_trained(answer):
    """The gradients: the first latents get one from every prefix."""
    n, d, latents, seed = SIZES[0]
    _, _, W_dec, b_dec = weights(d, latents, seed)
    args = {"x": randn(n, d, seed=190), "f": sparse(n, latents, presence=0.7, seed=191), "W_dec": W_dec, "b_dec": b_dec}

    def oracle(x, f, W, b, prefixes):
        keep = torch.stack([(torch.arange(latents) < m).float() for m in prefixes])
        return ((x - (f * keep[:, None]) @ W - b) ** 2).sum() / n / len(prefixes)

    wrt = ("f", "W_dec", "b_dec")
    expect_gradients(answer, "nested_loss", {**args, "prefixes": [2, 3, 7]}, oracle, "the loss", wrt=wrt)


# --- 06.8 -------------------------------------------------------------------------------------------------------------


@grades("06.8")
def test_who_is_drawn(answer):
    """Inputs whose errors differ by much."""
    for n, d, _, seed in SIZES:
        x = randn(n, d, seed=seed + 200)
        spread = (1.0, 0.01, 30.0)[seed] * torch.logspace(-1, 1, n)[:, None]
        out = x + spread * randn(n, d, seed=seed + 201)
        squared = torch.tensor([sum((a - b) ** 2 for a, b in zip(p, q, strict=True)) for p, q in
                                zip(x.double().tolist(), out.double().tolist(), strict=True)])  # fmt: skip
        expect_close(
            answer.draw_weights(x, out),
            squared / squared.sum(),
            "the probabilities",
            axes="batch",
            mistakes={
                "You draw in proportion to the error. In proportion to its SQUARE: else inputs that are explained well "
                "already come too often.": squared.sqrt() / squared.sqrt().sum(),
                "Probabilities add up to 1: divide by the sum over the batch.": squared,
                "You have the fourth power of the error. Its square is what counts.": (squared**2 / (squared**2).sum()),
                "This is a softmax. Divide by the sum.": squared.softmax(0),
                "You take the size of x. What counts is what is left of it, x − x̂.": (
                    x.pow(2).sum(-1) / x.pow(2).sum()
                ),
            },
        )
    x = randn(7, 3, seed=210)
    got = answer.draw_weights(x, x.clone())
    expect(not bool(got.isnan().any()), "Where all errors are 0 you give NaN (0/0). Then all inputs are as likely.")
    expect_close(got, torch.full((7,), 1 / 7), "the probabilities where all errors are 0")


DEATHS = ((3, 7, (1, 4, 6), 0), (11, 13, (0,), 1), (5, 2, (1,), 2))  # d, latents, dead, seed


@grades("06.8", weight=3)
def test_the_new_rows(answer):
    """Dead and living latents, with residuals of very different lengths."""
    for d, latents, numbers, seed in DEATHS:
        W_enc, b_enc, W_dec, _ = weights(d, latents, seed)
        dead = torch.zeros(latents, dtype=torch.bool)
        dead[list(numbers)] = True
        residual = torch.logspace(-1, 1, len(numbers) + 1)[1:, None] * randn(len(numbers), d, seed=seed + 220)
        got = answer.restart(W_enc, b_enc, W_dec, dead, residual)
        for name, new, old in zip(("W_enc", "b_enc", "W_dec"), got, (W_enc.T, b_enc, W_dec), strict=True):
            new = new.mT if name == "W_enc" and new.ndim == 2 else new
            if new.shape != old.shape:
                raise Wrong(f"{name} should have the shape that it had.", SHAPE)
            expect(torch.equal(new[~dead], old[~dead]), f"{name} of a LIVING latent has changed. Leave it as it is.")
        unit = torch.stack([row / math.sqrt(sum(v * v for v in row.tolist())) for row in residual])
        expect_close(
            got[2][dead],
            unit,
            "the new rows of W_dec",
            axes="dead d",
            mistakes={
                "The new rows of W_dec are as long as the residuals. They should have length 1.": residual,
                "The sign is wrong: the row points along the residual.": -unit,
                "This divides all residuals by one number. Each of them becomes 1 long.": residual / residual.norm(),
            },
        )
        lengths = W_enc.norm(dim=0)
        living = lengths[~dead].mean()
        expect_close(
            got[0].T[dead],
            0.2 * living * unit,
            "the new columns of W_enc",
            axes="dead d",
            mistakes={
                "The new columns of W_enc are as long as the residuals: one outlier would drown all other latents. "
                "Their length is 0.2 times the mean length of the living columns.": residual,
                "The new columns of W_enc have 0.2 times the residual's own length. Take its direction alone, times "
                "0.2 times the mean length of the living columns.": 0.2 * residual,
                "The new columns of W_enc have length 1. Give them 0.2 times the mean length of the living columns.": (
                    unit
                ),
                "The new columns have the mean length of the living ones. Take 0.2 times that: a new latent should not "
                "drown the others.": living * unit,
                "The factor 0.2 alone is not the length: multiply by the mean length of the living columns.": 0.2
                * unit,
                "The mean length is that of the LIVING columns: the dead ones do not count.": (
                    0.2 * lengths.mean() * unit
                ),
                "You take the median of the living columns' lengths. It is their mean.": (
                    0.2 * lengths[~dead].median() * unit
                ),
                "You take the mean length of ROWS of W_enc. A latent is a column.": (
                    0.2 * W_enc[:, ~dead].norm(dim=1).mean() * unit
                ),
            },
        )
        expect(bool((got[1][dead] == 0).all()), "The bias of a dead latent becomes 0: with its old one it stays dead.")


# --- 06.9 -------------------------------------------------------------------------------------------------------------


@grades("06.9")
def test_l0(answer):
    """Random activations, counted."""
    for n, _, latents, seed in SIZES:
        f = sparse(n, latents, presence=0.4, seed=seed + 230)
        active = sum(v > 0 for row in f.tolist() for v in row)
        expect_close(
            answer.mean_l0(f),
            active / n,
            "L0",
            mistakes={
                "This is the share of latents that are active. L0 is their number.": active / n / latents,
                "This adds up activations. L0 counts those that are not 0.": f.sum().item() / n,
                "This counts over the whole batch. Average over it.": float(active),
                "This counts the latents that are active in ANY input.": float((f > 0).any(0).sum()),
                "You average over latents. Average over inputs.": active / latents,
                MEDIAN: (f > 0).sum(-1).float().median(),
            },
        )


@grades("06.9", weight=2)
def test_explained_variance(answer):
    """Activations with a mean far from 0; whoever says the mean alone explains nothing."""
    for n, d, seed in ((31, 3, 0), (17, 11, 1), (101, 5, 2)):
        scales = torch.logspace(-0.5, 0.5, d)
        x = (3 + randn(n, d, seed=seed + 240)) * scales
        out = x + 0.5 * randn(n, d, seed=seed + 241) + 0.4
        var_x, var_e = x.double().var(0, correction=0), (x - out).double().var(0, correction=0)
        raw = 1 - (x - out).double().pow(2).sum() / x.double().pow(2).sum()
        centred = 1 - (x - out).double().pow(2).sum() / (n * var_x.sum())
        expect_close(
            answer.variance_explained(x, out),
            1 - var_e.sum() / var_x.sum(),
            "the variance explained",
            mistakes={
                "You divide by the mean square of x. The mean of these activations is far from 0, and saying the mean "
                "would explain nearly everything. A VARIANCE is about the mean.": raw,
                "Below stands a variance, and above a mean square. Take the variance of x − x̂ as well.": centred,
                "You average over coordinates the shares that are explained. Add up the variances first.": (
                    1 - (var_e / var_x).mean()
                ),
                "This is the share that is NOT explained.": var_e.sum() / var_x.sum(),
                "This is the variance of x̂ against that of x: nobody asks whether it is the right variance.": (
                    out.double().var(0, correction=0).sum() / var_x.sum()
                ),
                "This is one variance over all numbers, as if all coordinates had one mean. Take each coordinate's "
                "own.": 1 - (x - out).double().var(correction=0) / x.double().var(correction=0),
                "You take the variance over coordinates. Take it over the batch.": (
                    1 - (x - out).double().var(1).sum() / x.double().var(1).sum()
                ),
                "These are standard deviations. Variances add up, and they do not.": (
                    1 - var_e.sqrt().sum() / var_x.sqrt().sum()
                ),
            },
        )
        alone = x.mean(0).expand(n, d)
        expect_close(answer.variance_explained(x, alone), 0.0, "the variance explained by the mean alone", atol=1e-4)
        expect_close(answer.variance_explained(x, x.clone()), 1.0, "the variance explained by x itself", atol=1e-4)


@grades("06.9")
def test_the_loss_that_is_recovered(answer):
    """Losses by the number: nothing lost, all lost, in between, and worse than ablation."""
    for clean, spliced, ablated in (
        (1.3, 1.5, 4.1),
        (0.7, 0.7, 3.0),
        (2.0, 5.0, 5.0),
        (1.1, 4.7, 3.1),
        (2.0, 1.9, 7.0),
    ):
        expect_close(
            answer.loss_recovered(clean, spliced, ablated),
            1 - (spliced - clean) / (ablated - clean),
            "the loss recovered",
            mistakes={
                "This is the share that is LOST. 1 stands for nothing lost.": (spliced - clean) / (ablated - clean),
                "This compares losses themselves. Compare what is saved with what could be lost, ablated − clean.": (
                    1 - (spliced - clean) / ablated
                ),
                "This compares losses themselves. Compare what is saved with what could be lost, ablated − clean. ": (
                    clean / spliced
                ),
                "You cut off what is below 0 or above 1. A dictionary may be worse than ablation.": (
                    min(1.0, max(0.0, (ablated - spliced) / (ablated - clean)))
                ),
                "Only the sign is wrong: (ablated − spliced) / (ablated − clean).": (
                    (spliced - ablated) / (ablated - clean)
                ),
            },
        )


def best_matching(score: Tensor) -> tuple[list[int], float]:
    """All one-to-one matchings are tried."""
    rows = score.double().tolist()
    best: tuple[list[int], float] = ([], -math.inf)
    for order in itertools.permutations(range(score.shape[1]), len(rows)):
        total = sum(rows[i][j] for i, j in enumerate(order))
        if total > best[1]:
            best = (list(order), total)
    return best


def taken_in_turn(score: Tensor) -> list[int]:
    """Each feature takes the best latent that is left."""
    left, found = set(range(score.shape[1])), []
    for row in score.tolist():
        found.append(max(left, key=lambda j: row[j]))
        left.remove(found[-1])
    return found


def taken_by_size(score: Tensor) -> list[int]:
    """The largest cosine of all is given away first, then the largest of what is left."""
    left, found = score.clone(), [0] * len(score)
    for _ in range(len(score)):
        i, j = divmod(int(left.argmax()), left.shape[1])
        found[i] = j
        left[i], left[:, j] = -math.inf, -math.inf
    return found


def as_good(latent: Tensor, score: Tensor) -> bool:
    """Whether no matching has more of this score. (In two dimensions correlations are 1 or −1: many are as good.)"""
    if latent.shape != score.shape[:1] or not all(0 <= j < score.shape[1] for j in latent.tolist()):
        return False
    total = sum(score[i, j].item() for i, j in enumerate(latent.tolist()))
    return len(set(latent.tolist())) == len(latent) and total > best_matching(score)[1] - 1e-6


def matchings() -> list[tuple[Tensor, Tensor]]:
    """Directions and rows: among them a latent that is the best of two features, and one that points the other way."""
    cases = []
    for n, latents, d, seed in ((3, 5, 2, 0), (5, 7, 3, 1), (4, 6, 11, 2)):
        directions = (0.5 + uniform(n, 1, seed=seed + 250)) * randn(n, d, seed=seed + 251)
        rows = randn(latents, d, seed=seed + 252)
        rows[:2] = directions[:1] + 0.3 * randn(2, d, seed=seed + 253)
        directions[1] = directions[0] + 0.4 * randn(d, seed=seed + 254)
        rows[3] = -4 * directions[-1]
        cases.append((directions, rows * torch.logspace(-0.7, 0.7, latents)[:, None]))
    return cases


@grades("06.9", weight=3)
def test_one_to_one(answer):
    """Every matching is tried. Some features would like the same latent, and one latent points the wrong way."""
    for directions, rows in matchings():
        unit = [normalize(part.double(), dim=1) for part in (directions, rows)]
        score = unit[0] @ unit[1].T
        about = [normalize(part - part.mean(1, keepdim=True), dim=1) for part in unit]
        correlation = about[0] @ about[1].T
        order, _ = best_matching(score)
        latent, cosine = answer.match_features(directions, rows)
        latent = latent.long()
        free, size, opposite = score.argmax(1), best_matching(directions @ rows.T)[0], best_matching(score.abs())[0]
        expect_equal(
            latent.tolist(),
            order,
            "the latent of each feature",
            mistakes={
                "One latent belongs to several features: each took its best. One to one means that every latent is "
                "given away once.": free.tolist(),
                "Each feature takes the best latent that is left, so that the order of the features decides. Look for "
                "the matching whose cosines add up to most.": taken_in_turn(score),
                "The largest cosine of all is given away first, then the next. The last ones may be left with nothing: "
                "look for the matching whose cosines ADD UP to most.": taken_by_size(score),
                "A latent that points the opposite way has found nothing: no absolute values.": opposite,
                "These are dot products, in which long rows win. Compare directions: divide by both lengths.": size,
                "You have the matching whose cosines add up to LEAST: linear_sum_assignment(…, maximize=True).": (
                    best_matching(-score)[0]
                ),
                "These are correlations: the mean of each vector is taken away first. The cosine of two directions is "
                "their dot product by their lengths.": latent.tolist() if as_good(latent, correlation) else None,
            },
        )
        want = torch.tensor([score[i, j] for i, j in enumerate(order)])
        expect_close(
            cosine,
            want,
            "the cosine of each feature with its latent",
            axes="feature",
            mistakes={
                "These are dot products. Divide by both lengths.": torch.stack(
                    [directions[i] @ rows[j] for i, j in enumerate(order)]
                ),
                "These are the best cosines of each feature. Give those of the matching.": score.max(1).values,
                "These are correlations: the mean of each vector is taken away first. The cosine of two directions is "
                "their dot product by their lengths.": torch.stack([correlation[i, j] for i, j in enumerate(order)]),
                "No absolute values: a latent that points the opposite way has found nothing.": want.abs(),
            },
        )


# --- 06.10 ------------------------------------------------------------------------------------------------------------


@functools.cache
def feature_world(n: int, d: int, seed: int) -> PlantedFeatures:
    return planted(n, d, frequency=0.09, seed=seed)


def trained(answer: Any, x: Tensor, n: int, k: int, seed: int, steps: int = 400) -> tuple[Tensor, ...]:
    """The learner's dictionary, looked at."""
    W_enc, b_enc, W_dec, b_dec = found = answer.train_dictionary(x, n, k, steps, seed)
    d = x.shape[1]
    for name, part, shape in (("W_enc", W_enc, (d, n)), ("b_enc", b_enc, (n,)), ("W_dec", W_dec, (n, d)),
                              ("b_dec", b_dec, (d,))):  # fmt: skip
        expect(tuple(part.shape) == shape, f"{name} should have shape {shape}, but yours has {tuple(part.shape)}.")
        expect(bool(part.isfinite().all()), f"{name} holds numbers that are none (NaN or ∞).")
    return tuple(part.float() for part in found)


def reads(dictionary: tuple[Tensor, ...], x: Tensor, k: int) -> Tensor:
    """x̂, with the k largest activations of each input."""
    W_enc, b_enc, W_dec, b_dec = dictionary
    values, places = ((x - b_dec) @ W_enc + b_enc).relu().topk(k, dim=-1)
    return torch.zeros(len(x), len(W_dec)).scatter(-1, places, values) @ W_dec + b_dec


def fve(x: Tensor, out: Tensor) -> float:
    return (1 - (x - out).var(0).sum() / x.var(0).sum()).item()


def found_by(W_dec: Tensor, world: PlantedFeatures) -> Tensor:
    from mi_lib import saes

    return saes.match_directions(world.directions, W_dec).score


WORLDS = ((20, 12, 30, 2, 41, 1.0), (22, 16, 37, 2, 42, 30.0), (20, 12, 31, 2, 43, 0.02))  # …, latents, k, seed, size


@grades("06.10", weight=3)
def test_planted_features_are_found(answer):
    """Three worlds, inputs of very different sizes, one of them with a mean far from 0."""
    for n, d, latents, k, seed, size in WORLDS:
        world = feature_world(n, d, seed)
        x, held = (size * world.draw(count, generator(seed + i)).x for i, count in enumerate((20_000, 3000)))
        shift = size * 2 * normalize(randn(d, seed=seed), dim=0) if size > 1 else torch.zeros(d)
        dictionary = trained(answer, x + shift, latents, k, seed)
        cosines = found_by(dictionary[2], world)
        share = (cosines >= 0.9).float().mean().item()
        explained = fve(held, reads(dictionary, held + shift, k))
        told = (
            f"In a world with {n} features (inputs with a mean ‖x‖² of {x.pow(2).sum(-1).mean():.3g}) your dictionary "
            f"finds {share:.0%} of them with a cosine of at least .9, and the mean cosine is {cosines.mean():.2f}."
        )
        if share >= 0.95 and explained < 0.6:
            raise Wrong(
                f"The directions are right, but what is decoded from plain x explains {explained:.0%} of its variance. "
                "Is the scale folded in at the end, into both biases?",
                MISTAKE,
            )
        if size != 1 and share < 0.95:
            raise Wrong(f"{told} Does it learn as well from large and from small inputs? Scale them first.", MISTAKE)
        expect(
            share >= 0.95 and cosines.mean() >= 0.95,
            f"{told} At least 95 % should be found. Look at the loss, at the k largest, and at the rows of W_dec.",
        )
        lengths = dictionary[2].norm(dim=1)
        expect(
            bool((lengths - 1).abs().max() < 1e-3),
            f"The rows of W_dec should have length 1, and yours have between {lengths.min():.2f} and "
            f"{lengths.max():.2f}. Give them length 1 again AFTER each step.",
        )


@grades("06.10")
def test_the_seed_decides(answer):
    """The same seed twice, another seed, and what comes back."""
    world = feature_world(20, 12, 45)
    x = world.draw(2000, generator(5)).x
    one, again = (trained(answer, x, 30, 2, 7, steps=30) for _ in range(2))
    expect(
        all(torch.equal(a, b) for a, b in zip(one, again, strict=True)),
        "The same seed gave another dictionary. Everything random comes from the seed: give torch.randn and "
        "torch.randint a generator made of it.",
    )
    other = trained(answer, x, 30, 2, 8, steps=30)
    expect(
        not torch.allclose(one[2], other[2]), "Another seed gave the same dictionary. The start comes from the seed."
    )
    more = trained(answer, x, 30, 2, 7, steps=60)
    expect(not torch.allclose(one[2], more[2]), "Twice as many steps gave the same dictionary. Is `steps` used?")


@grades("06.10")
def test_one_latent_too_many_for_nobody(answer):
    """Exactly as many latents as features: each of them is needed."""
    world = feature_world(20, 12, 44)
    x = world.draw(20_000, generator(6)).x
    best = max((found_by(trained(answer, x, 20, 2, seed)[2], world) >= 0.9).float().mean().item() for seed in (1, 2))
    expect(
        best >= 0.7,
        f"With 20 latents for 20 features the better of your two dictionaries has found {best:.0%}. Most should be "
        "found even without a latent to spare.",
    )


# --- 06.11 ------------------------------------------------------------------------------------------------------------


def follows(n: int, latents: int, concepts: int, seed: int) -> tuple[Tensor, Tensor]:
    """Activations that follow concepts more or less, silent at most words; and where the concepts hold."""
    holds = uniform(n, concepts, seed=seed) < torch.linspace(0.05, 0.4, concepts)
    follow = 2 * uniform(concepts, latents, seed=seed + 1) * (uniform(concepts, latents, seed=seed + 2) < 0.4)
    f = (holds.float() @ follow + 0.8 * randn(n, latents, seed=seed + 3) - 0.7).relu()
    return f * torch.logspace(-0.5, 0.5, latents), holds


def f1_of(said: list[bool], true: list[bool]) -> float:
    right = sum(a and b for a, b in zip(said, true, strict=True))
    return 2 * right / (sum(said) + sum(true)) if any(said) or any(true) else 0.0


def table_of(active: Tensor, holds: Tensor, rule: Any = f1_of) -> Tensor:
    """One pair after the other."""
    return torch.tensor([[rule(a.tolist(), h.tolist()) for h in holds.T] for a in active.T], dtype=torch.float64)


def precision(said: list[bool], true: list[bool]) -> float:
    return sum(a and b for a, b in zip(said, true, strict=True)) / max(1, sum(said))


def told_right(said: list[bool], true: list[bool]) -> float:
    return sum(a == b for a, b in zip(said, true, strict=True)) / len(said)


FOLLOWS = ((101, 7, 3, 300), (53, 5, 11, 310), (67, 13, 2, 320))


@grades("06.11")
def test_the_table_of_f1(answer):
    """Latents that follow concepts more or less, counted word by word; and pairs in which neither is ever there."""
    for n, latents, concepts, seed in FOLLOWS:
        f, holds = follows(n, latents, concepts, seed)
        active = f > 0
        active[:, 0], holds[:, 0] = False, False
        p, r = table_of(active, holds, precision), table_of(holds, active, precision).T
        got = answer.f1_table(active, holds)
        expect(not bool(got.isnan().any()), "Where neither is ever there you give NaN (0/0). It should be 0.")
        expect_close(
            got,
            table_of(active, holds),
            "F1",
            axes="latent concept",
            mistakes=lambda a=active, h=holds, p=p, r=r: {
                "This is precision: which share of the latent's words belong to the concept. F1 asks for both.": p,
                "This is recall: which share of the concept's words the latent has. F1 asks for both.": r,
                "This is the share of words that are told right. Where both are rare, never being active gets nearly "
                "all: count only where one of them is there.": table_of(a, h, told_right),
                "The factor 2 is missing.": table_of(a, h) / 2,
                "This is the mean of precision and recall. F1 is 2 · both / (active + holds).": (p + r) / 2,
                "This is what both share, divided by what either has.": table_of(a, h) / (2 - table_of(a, h)),
            },
        )


def best_pair(f: Tensor, holds: Tensor, levels: int = 10) -> tuple[int, float, float]:
    """(latent, threshold, F1), all pairs tried."""
    pairs = []
    for latent in range(f.shape[1]):
        for level in range(levels):
            threshold = level / 10 * f[:, latent].max().item()
            pairs.append((f1_of((f[:, latent] > threshold + 1e-7).tolist(), holds.tolist()), latent, threshold))
    score, latent, threshold = max(pairs)
    return latent, threshold, score


@grades("06.11", weight=2)
def test_the_choice(answer):
    """All latents at all thresholds, for concepts of which some need a threshold."""
    rows = []
    for n, latents, concepts, seed in FOLLOWS:
        f, holds = follows(n, latents, concepts, seed)
        for column in holds.T:
            got, above = answer.choose_latent(f, column)
            expect(0 <= int(got) < latents, f"Your latent, {got}, is none of the {latents} that there are.")
            expect(math.isfinite(above), "Your threshold is no number.")
            rows.append((f, column, int(got), above))
    ramp = torch.linspace(0.02, 1, 50)  # only the highest of ten thresholds tells the concept
    f = torch.stack([uniform(50, seed=330), ramp[torch.randperm(50, generator=generator(331))]], 1)
    got, above = answer.choose_latent(f, f[:, 1] > 0.93)
    rows.append((f, f[:, 1] > 0.93, int(got) % 2, above))
    assert sum(best_pair(f, column)[1] > 0 for f, column, _, _ in rows) > 3
    worst = 0.0
    for f, column, got, above in rows:
        latent, threshold, score = best_pair(f, column)
        worth = f1_of((f[:, got] > above).tolist(), column.tolist())
        if worth < score - max(worst, 1e-6):
            worst = score - worth
            told = (
                f"Latent {latent} above {threshold:.3g} has an F1 of {score:.3f}, and your choice, {got} above "
                f"{above:.3g}, has {worth:.3f}. Look for the largest over latents AND thresholds."
            )
    if not worst:
        return
    if all(abs(above) < 1e-6 for _, _, _, above in rows):
        raise Wrong("You try the threshold 0 alone. Try ten: shares of the latent's largest value.", MISTAKE)
    steps = [above / f.max().item() * 10 for f, _, _, above in rows]
    if all(abs(step - round(step)) < 1e-3 for step in steps):
        raise Wrong("Thresholds are shares of EACH latent's own largest value, not of the largest of all.", MISTAKE)
    raise Wrong(told)


@grades("06.11")
def test_the_verdict(answer):
    """Any latent above any threshold; a latent that is never above it."""
    for n, latents, concepts, seed in FOLLOWS:
        f, holds = follows(n, latents, concepts, seed + 5)
        for latent, share in ((0, 0.0), (latents - 1, 0.35), (1, 0.8)):
            threshold = share * f[:, latent].max().item()
            expect_close(
                answer.judge_latent(f, holds[:, 1], latent, threshold),
                f1_of((f[:, latent] > threshold).tolist(), holds[:, 1].tolist()),
                "F1 of this latent above this threshold",
                mistakes=lambda f=f, h=holds, i=latent, t=threshold: {
                    "You count every word at which the latent is not 0. It is active above the threshold.": f1_of(
                        (f[:, i] > 0).tolist(), h[:, 1].tolist()
                    ),
                    "What is exactly at the threshold is not above it. At the threshold 0 every word would count.": (
                        f1_of((f[:, i] >= t).tolist(), h[:, 1].tolist())
                    ),
                },
            )
        high = f.max().item() + 1
        expect_close(answer.judge_latent(f, holds[:, 1], 0, high), 0.0, "F1 of a latent that is never above it")


@functools.cache
def measured() -> Any:
    """What the chapter has measured, and how."""
    return findings.module(index.chapter("06"))


@grades("06.11", weight=2)
def test_a_concept_of_pico(answer):
    """Latents of Pico's dictionary and neurons beside them: chosen on training texts, judged on others."""
    old, new, holds, holds_anew, neurons, neurons_anew = measured().sample_for("a town")
    latent, threshold = answer.choose_latent(old, holds)
    got = answer.judge_latent(new, holds_anew, int(latent), threshold)
    best = best_pair(old, holds)
    want = f1_of((new[:, best[0]] > best[1]).tolist(), holds_anew.tolist())
    expect_close(got, want, "the F1 of the latent for “a town”, on held-out texts", atol=0.02)
    unit, bar = answer.choose_latent(neurons, holds)
    other = answer.judge_latent(neurons_anew, holds_anew, int(unit), bar)
    expect(
        other < got - 0.2, f"The best neuron should be far behind the latent, and you find {other:.2f} and {got:.2f}."
    )


# --- 06.12 ------------------------------------------------------------------------------------------------------------


@functools.cache
def hole_case(n: int, d: int, latents: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, f, W_dec and a direction. The main latent (1) is silent at some words, and others say more or less."""
    direction = 3 * randn(d, seed=seed + 400)
    unit = direction / direction.norm()
    W_dec = weights(d, latents, seed)[2].clone()
    W_dec[:3] = 1.7 * (unit + 0.5 * randn(3, d, seed=seed + 401) / math.sqrt(d))
    f = sparse(n, latents, presence=0.5, seed=seed + 402)
    f[:, 1] *= uniform(n, seed=seed + 404) < 0.4
    x = 0.9 * f @ normalize(W_dec, dim=1) + 0.6 * randn(n, d, seed=seed + 405)
    return x, f, W_dec, direction


HOLES = ((61, 5, 7, 0), (43, 11, 13, 1), (37, 3, 5, 2))


def said_by_hand(f: Tensor, W_dec: Tensor, direction: Tensor, how: str = "right") -> Tensor:
    table = []
    size = math.sqrt(sum(v * v for v in direction.tolist()))
    for row in W_dec.double().tolist():
        dot = sum(a * b for a, b in zip(row, direction.tolist(), strict=True))
        own = math.sqrt(sum(v * v for v in row))
        table.append(dot / ((1 if how == "rows" else own) * (1 if how == "direction" else size)))
    return f.double() * torch.tensor(table, dtype=torch.float64)


@grades("06.12")
def test_what_each_latent_says(answer):
    """Rows and directions of any length."""
    for case in HOLES:
        _, f, W_dec, direction = hole_case(*case)
        right = said_by_hand(f, W_dec, direction)
        expect_close(
            answer.share_said(f, W_dec, direction),
            right,
            "what each latent says",
            axes="word latent",
            mistakes=lambda f=f, W=W_dec, d=direction, r=right: {
                "The rows of W_dec may have any length: divide by it.": said_by_hand(f, W, d, "rows"),
                "The direction may have any length: divide by it.": said_by_hand(f, W, d, "direction"),
                "This is the cosine alone. A latent says it as strongly as it is active: multiply by f.": torch.where(
                    f > 0, r / f.clamp(min=1e-9), 0.0
                ),
                "No absolute values: a latent that points away from the direction takes from it.": r.abs(),
                "Neither the rows nor the direction have length 1: divide by both lengths.": f.double()
                * (W.double() @ d.double()),
            },
        )


def holes(x: Tensor, f: Tensor, W_dec: Tensor, direction: Tensor, main: int, how: str = "right") -> list[bool]:
    said = said_by_hand(f, W_dec, direction)
    size = 1 if how == "long" else direction.double().norm()
    there = (x.double() @ direction.double() / size).tolist()
    found = []
    for i, row in enumerate(said.tolist()):
        silent = f[i, main].item() == 0 or how == "main"
        most = sum(row) if how == "sum" else row[0] if how == "first" else max(row)
        enough = most >= (1.0 if how == "all" else 0.0 if how == "any" else 0.4) * there[i]
        found.append(bool(silent and enough and (there[i] > 0 or how == "negative")))
    return found


HOLE_ERRORS = {
    "main": "You count words at which the main latent is active. A hole is where it is SILENT.",
    "any": "A latent that says next to nothing has not taken over. It must say 0.4 of what there is to say.",
    "all": "The latent need not say all of it: 0.4 of what there is to say is enough.",
    "sum": "You add up all latents. ONE latent must say 0.4 of it.",
    "negative": "Where the component of x along the direction is not above 0 there is nothing to absorb.",
    "long": "What there is to say is the component along the direction: divide the direction by its length.",
}


@grades("06.12", weight=2)
def test_where_the_holes_are(answer):
    """Words at which the main latent is silent or not, and others say enough or not."""
    tables: dict[str, list[bool]] = {how: [] for how in HOLE_ERRORS}
    mine: list[bool] = []
    want: list[bool] = []
    for case in HOLES:
        one = hole_case(*case)
        got, latent = answer.absorbed(*one, 1)
        expect(tuple(got.shape) == (case[0],), f"There should be one verdict for each of {case[0]} words.")
        expect_equal(
            latent.long(),
            said_by_hand(*one[1:]).argmax(1),
            "the latent that says most",
            mistakes={
                "This is the latent that is most ACTIVE. The one that says most along the direction counts.": one[
                    1
                ].argmax(1)
            },
        )
        mine += got.bool().tolist()
        want += holes(*one, 1)
        for how, table in tables.items():
            table += holes(*one, 1, how)
    assert 10 < sum(want) < len(want) - 10
    if mine == want:
        return
    for how, table in tables.items():
        if mine == table:
            raise Wrong(HOLE_ERRORS[how], MISTAKE)
    off = sum(a != b for a, b in zip(mine, want, strict=True))
    raise Wrong(
        f"{off} of {len(want)} words have the wrong verdict: silent, AND one latent says at least 0.4 of x · d̂."
    )


@grades("06.12")
def test_a_parent_and_its_child(answer):
    """A planted parent whose child has taken over: the hole is where the child is, and nowhere else."""
    parent, child = torch.eye(5)[0], torch.eye(5)[1]
    W_dec = torch.stack([parent, normalize(parent + child, dim=0), torch.eye(5)[3]])
    a = 0.5 + uniform(40, seed=450)
    is_child = torch.arange(40) % 4 == 0
    x = a[:, None] * (parent + is_child[:, None] * child)
    f = torch.zeros(40, 3)
    f[:, 0] = a * ~is_child
    f[:, 1] = math.sqrt(2) * a * is_child
    got, latent = answer.absorbed(x, f, W_dec, 7 * parent, 0)
    expect(
        torch.equal(got.bool(), is_child),
        "Where the child is, the parent's latent is silent, and the child's says all of the parent: absorbed. "
        "Elsewhere the parent's latent says it itself.",
    )
    expect_equal(latent[is_child].tolist(), [1] * 10, "the latent that has taken over")


# --- 06.13 ------------------------------------------------------------------------------------------------------------


def detected(said: list[bool], active: list[bool]) -> tuple[float, float]:
    """P(said | active) and P(said | silent)."""
    of = {kind: [s for s, a in zip(said, active, strict=True) if a is kind] for kind in (True, False)}
    return tuple(sum(rows) / len(rows) for rows in (of[True], of[False]))  # type: ignore[return-value]


@grades("06.13")
def test_detection(answer):
    """Names that are nearly right, that say always, and that say never, of rare latents and common ones."""
    for n, share, seed in ((101, 0.29, 0), (53, 0.06, 1), (211, 0.7, 2)):
        active = uniform(n, seed=seed + 500) < share
        active[0], active[1] = True, False
        said = (active & (uniform(n, seed=seed + 501) < 0.8)) | (uniform(n, seed=seed + 502) < 0.15)
        hit, slip = detected(said.tolist(), active.tolist())
        right, all_, true = (said == active).double().mean().item(), said.sum().item(), (said & active).sum().item()
        expect_close(
            answer.detection(said, active),
            hit - slip,
            "detection",
            mistakes={
                "This is the share of words that are told right. A name that says NEVER would get "
                f"{1 - active.double().mean().item():.0%} of it.": right,
                "This is recall alone. A name that says ALWAYS would get all of it.": hit,
                "This is precision. Ask at the words where the latent is active, and at those where it is silent.": (
                    true / max(1, all_)
                ),
                "This is F1. Here it is P(said | active) − P(said | silent).": (
                    2 * true / (all_ + active.sum().item())
                ),
                "This is the mean of what is told right at active and at silent words: with it, always and never get "
                "½. Take the difference of the two shares.": (hit + 1 - slip) / 2,
                "Only the sign is wrong.": slip - hit,
                "You ask at which of the words with the NAME the latent is active. Ask the other way round.": (
                    detected(active.tolist(), said.tolist())[0] - detected(active.tolist(), said.tolist())[1]
                ),
            },
        )
        for name in (torch.ones(n), torch.zeros(n)):
            expect_close(answer.detection(name.bool(), active), 0.0, "what a name gets that says always, or never")


def as_said(answer: Any, latent: int, words: list[str]) -> list[bool]:
    said = answer.named(latent, words)
    expect(
        len(said) == len(words) and all(v in (True, False) for v in said),
        f"named should return one True or False for each of the {len(words)} words of the text.",
    )
    return [bool(v) for v in said]


@grades("06.13", weight=4)
def test_your_names(answer):
    """Each of three latents, on texts that were kept out: by detection, and by what the name names."""
    for latent, texts in measured().texts_to_name().items():
        said = [v for words, _ in texts for v in as_said(answer, latent, words)]
        active = [v for _, row in texts for v in row]
        if not any(said):
            told = f"Your name for latent {latent} says never. It is active at {sum(active)} of these words."
            raise Wrong(told, MISTAKE)
        if all(said):
            raise Wrong(f"Your name for latent {latent} says always, and so nothing.", MISTAKE)
        hit, slip = detected(said, active)
        right = sum(a and b for a, b in zip(said, active, strict=True)) / sum(said)
        if hit - slip >= measured().NAMED and right >= 0.5:
            continue
        told = (
            f"Your name for latent {latent} holds at {hit:.0%} of the words where it is active, and at {slip:.0%} of "
            f"the others: {hit - slip:.2f}, where {measured().NAMED} is asked for. "
        )
        if hit < measured().NAMED:
            told += "It is too narrow: it misses too many of the words at which the latent is active."
        else:
            told += f"It is too wide: at only {right:.0%} of the words that it names the latent is active."
        raise Wrong(told, MISTAKE)


@grades("06.13")
def test_a_name_for_any_text(answer):
    """Texts of one word, of none, and of words that are nowhere in Littletown."""
    for latent in measured().texts_to_name():
        for words in ([], ["zzz"], ["a", "b", "c"]):
            as_said(answer, latent, words)


# --- 06.14 ------------------------------------------------------------------------------------------------------------

CLAMPS = ((2, 3, 5, 7, 0), (3, 2, 11, 13, 1), (1, 5, 3, 2, 2))  # batch, pos, d, latents, seed


@grades("06.14", weight=2)
def test_one_latent_is_held(answer):
    """Random activations: x moves along one row, also where the latent is silent, and is not decoded anew."""
    for batch, pos, d, latents, seed in CLAMPS:
        x = randn(batch, pos, d, seed=seed + 600)
        f = sparse(batch, pos, latents, presence=0.5, seed=seed + 601)
        W_dec, b_dec = weights(d, latents, seed)[2:]
        for latent, value in ((0, 2.3), (latents - 1, 0.0)):
            want = torch.stack(
                [torch.stack([p + (value - q[latent].item()) * W_dec[latent] for p, q in zip(a, b, strict=True)])
                 for a, b in zip(x, f, strict=True)]
            )  # fmt: skip
            held = f.clone()
            held[..., latent] = value
            expect_close(
                answer.clamp(x, f, W_dec, latent, value),
                want,
                "x with the latent held",
                axes="batch pos d",
                mistakes={
                    "You ADD the value. Hold the latent at it: what it already says is taken away first.": (
                        x + value * W_dec[latent]
                    ),
                    "You give back what the dictionary decodes, so that all is lost that it does not explain. Move x "
                    "instead.": held @ W_dec,
                    "You give back what the dictionary decodes, b_dec included. Move x instead.": held @ W_dec + b_dec,
                    "This is the change alone. Add it to x.": want - x,
                    "The sign is wrong: (value − f) d.": 2 * x - want,
                    "A direction of the decoder is a ROW of W_dec as it is. You give it length 1.": (
                        x + (value - f[..., latent])[..., None] * normalize(W_dec, dim=1)[latent]
                    ),
                    "You move x only where the latent is active. It is held everywhere.": torch.where(
                        f[..., latent, None] > 0, want, x
                    ),
                },
            )


@grades("06.14")
def test_the_random_push(answer):
    """Its lengths, its directions, and the seed."""
    change = randn(40, 5, 7, seed=620) * torch.logspace(-1, 1, 40)[:, None, None]
    change[3, 2] = 0
    got = answer.random_push(change, 3).float()
    lengths = change.norm(dim=-1)
    if not torch.allclose(got.norm(dim=-1), lengths, rtol=1e-3, atol=1e-6):
        if torch.allclose(got.norm(), change.norm(), rtol=1e-3):
            raise Wrong(
                "All pushes together are as long as the change. Each must be as long as the change AT ITS PLACE."
            )
        raise Wrong(
            "Each push should be as long as the change at its place. A push that is shorter is no control: it would do "
            "less for being short.",
            MISTAKE,
        )
    unit = normalize(got[lengths > 0], dim=-1)
    along = (unit * normalize(change[lengths > 0], dim=-1)).sum(-1)
    if bool((along.abs() > 0.999).all()):
        raise Wrong("Your push points along the change itself, or against it. Its direction should be random.", MISTAKE)
    if bool((unit - unit[:1]).abs().max() < 1e-4):
        raise Wrong("All places are pushed in the same direction. Draw one for each place.", MISTAKE)
    expect(along.mean().abs() < 0.12, "Your directions are not random: they lean towards the change.")
    if bool(unit.mean(0).norm() > 0.25):
        raise Wrong(
            "Your directions lean to one side: torch.rand has no negative numbers. torch.randn points everywhere.",
            MISTAKE,
        )
    spread = unit.T @ unit / len(unit)
    expect(
        bool((spread - torch.eye(7) / 7).abs().max() < 0.06), "Some directions are likelier than others: torch.randn."
    )
    many = normalize(answer.random_push(randn(60, 70, 7, seed=621), 5), dim=-1)
    corners = many.pow(4).sum(-1).mean().item()  # of a sphere in 7 dimensions 3 / 9
    if abs(corners - 1 / 3) > 0.03:
        raise Wrong(
            "Some directions are likelier than others: numbers that are drawn evenly from −1 to 1 fill a cube, and a "
            "cube has corners. torch.randn points everywhere alike.",
            MISTAKE,
        )
    expect(torch.equal(answer.random_push(change, 3).float(), got), "The same seed gave another push.")
    expect(not torch.allclose(answer.random_push(change, 4).float(), got), "Another seed gave the same push.")


@functools.cache
def speaking() -> tuple[Any, ...]:
    """Small models, tokens, what is put in, and words."""
    cases = []
    for batch, pos, layers, seed in ((3, 5, 2, 0), (2, 7, 3, 1)):
        model = random_transformer(
            seed, scale=0.4, n_layers=layers, d_model=13, n_heads=2, d_head=5, d_vocab=17, n_ctx=16, d_mlp=11,
            norm="layernorm", unembed_bias=True,
        )  # fmt: skip
        tokens = random_tokens(batch, pos, 17, seed)
        site = f"blocks.{layers - 1}.hook_resid_pre"
        cases.append((model, tokens, site, 2 * randn(batch, 13, seed=seed + 640), torch.tensor([2, 11, 5])))
    return tuple(cases)


def next_by_hand(model: Any, tokens: Tensor, site: str, x: Tensor, words: Tensor, how: str = "right") -> Tensor:
    """The run goes on from the layer, with what the stream holds there."""
    layer = int(site.split(".")[1])
    stream = activation(model, tokens, site).clone()
    if how == "added":
        stream[:, -1] += x
    elif how == "first":
        stream[:, 0] = x
    elif how == "everywhere":
        stream[:] = x[:, None]
    elif how != "nothing":
        stream[:, -1] = x
    logits = model(tokens, start_at_layer=layer, residual=stream)
    at = logits[:, 0 if how == "first read" else -1].double()
    if how == "among":
        return at[:, words].softmax(-1).sum(-1)
    if how == "logits":
        return at[:, words].sum(-1)
    return at.softmax(-1)[:, words].mean(-1) if how == "mean" else at.softmax(-1)[:, words].sum(-1)


NEXT_ERRORS = {
    "added": "You add x to what is there. It takes its place.",
    "everywhere": "You put x at every position. It stands at the LAST one alone.",
    "first": "You put x at the first position. It stands at the last one.",
    "nothing": "Your edit changes nothing: an edit must return the new value (and not the old one).",
    "mean": "This is the mean over the words. Add their probabilities up.",
    "logits": "These are logits. Take the softmax over the whole vocabulary first.",
    "first read": "You read at the first position. The next word is told at the last one.",
    "among": "You take the softmax over these words alone, so that they add up to 1 whatever happens.",
}


@grades("06.14", weight=2)
def test_what_comes_next(answer):
    """Small random models: the run goes on with what was put in."""
    for case in speaking():
        expect_close(
            answer.says_next(*case),
            next_by_hand(*case),
            "the probability of these words",
            axes="batch",
            atol=1e-4,
            mistakes=lambda case=case: {words: next_by_hand(*case, how=how) for how, words in NEXT_ERRORS.items()},
        )


@grades("06.14", weight=2)
def test_pico_says_something_else(answer):
    """The latent of the lesson, clamped in Pico, beside random pushes of the same length."""
    one = measured().lever_case()  # Pico runs here, on what your functions give: loading it over there takes long
    held = answer.clamp(one.x, one.f, one.W_dec, one.latent, one.value).float()
    push = answer.random_push((held - one.x)[:, -1:], 5)[:, 0].float()

    def said(change: Tensor) -> float:
        moved = measured().with_last(one.x, change)
        return measured().next_words(one.tokens, moved)[:, one.words].sum(-1).mean().item()

    base, clamped, pushed = (said(c) for c in (torch.zeros_like(push), (held - one.x)[:, -1], push))
    expect(
        clamped > base + 0.3 and pushed < base + 0.1,
        f"Untouched, Pico goes on with one of these words with a probability of {base:.2f}. Clamped by you it is "
        f"{clamped:.2f}, pushed at random {pushed:.2f}. Clamping should raise it by far, and the push should not.",
    )


# --- 06.15 ------------------------------------------------------------------------------------------------------------


@functools.cache
def crowd(groups: int, each: int, d: int, seed: int) -> tuple[Tensor, Tensor]:
    """Words in groups, and groups in pairs of groups: three levels that are far apart."""
    pair = 8 * randn((groups + 1) // 2, d, seed=seed + 700).repeat_interleave(2, 0)[:groups]
    middle = pair + 2 * randn(groups, d, seed=seed + 701)
    words = middle.repeat_interleave(each, 0) + 0.15 * randn(groups * each, d, seed=seed + 702)
    order = torch.randperm(groups * each, generator=generator(seed))
    return words[order], torch.arange(groups).repeat_interleave(each)[order]


CROWDS = ((6, 5, 11, 0), (8, 3, 7, 1), (4, 13, 5, 2))


def same_groups(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a[:, None] == a, b[:, None] == b)


@grades("06.15", weight=2)
def test_groups(answer):
    """Words in groups that are plain to see, and groups in pairs."""
    for groups, each, d, seed in CROWDS:
        words, of = crowd(groups, each, d, seed)
        for n, want in ((groups, of), (groups // 2, of // 2), (1, torch.zeros_like(of))):
            got = answer.group_words(words, n).long()
            expect(tuple(got.shape) == tuple(of.shape), f"There should be a number for each of {len(of)} words.")
            counted = sorted(set(got.tolist()))
            if counted == list(range(1, n + 1)):
                raise Wrong("Your groups are counted from 1. Count from 0: fcluster begins with 1.", MISTAKE)
            expect(
                counted == list(range(n)),
                f"There should be {n} groups, 0 to {n - 1}, and yours are {', '.join(map(str, counted[:9]))}.",
            )
            expect(
                same_groups(got, want), f"These words fall into {n} groups that are plain to see, and not into yours."
            )


@grades("06.15", weight=2)
def test_the_prediction_for_planted_groups(answer):
    """Concepts that are one group at one width, a half of one at another, and no group at all."""
    for groups, each, d, seed in CROWDS:
        words, of = crowd(groups, each, d, seed)
        mixed = torch.arange(len(of)) % 3 == 0
        holds = torch.stack([of == 1, of // 2 == 0, mixed], 1)
        widths = [groups // 2, groups]
        labels = [of // 2, of]
        want = [[max(f1_of((g == i).tolist(), h.tolist()) for i in range(n)) for h in holds.T]
                for g, n in zip(labels, widths, strict=True)]  # fmt: skip
        mine = [answer.group_words(words, n) for n in widths]
        first = [[f1_of((g == 0).tolist(), h.tolist()) for h in holds.T] for g in mine]
        expect_close(
            answer.predict(words, holds, widths),
            torch.tensor(want),
            "the prediction",
            axes="width concept",
            mistakes={
                "This is the F1 of the FIRST group. Take the best one for each concept.": torch.tensor(first),
                "You take the mean over groups. ONE latent has to stand for the concept: take the best.": torch.tensor(
                    [
                        [sum(f1_of((g == i).tolist(), h.tolist()) for i in range(n)) / n for h in holds.T]
                        for g, n in zip(labels, widths, strict=True)
                    ]
                ),
            },
        )


@grades("06.15", weight=3)
def test_the_prediction_for_pico(answer):
    """Pico's word embeddings and its concepts: your table against dictionaries that were trained."""
    one = measured().width_case()
    got = answer.predict(one.vectors, one.holds, one.widths)
    told = f"The prediction should have a row for each of {len(one.widths)} widths and a column for each concept."
    expect(tuple(got.shape) == tuple(one.trained.shape), told)
    expect(float(got.std()) > 1e-6, "Your prediction is the same for all concepts and widths.")
    agree = torch.corrcoef(torch.stack([got.flatten().double(), one.trained.flatten().double()]))[0, 1].item()
    expect(
        agree >= measured().PREDICTED,
        f"Over all widths and concepts your predictions agree with what dictionaries have found by {agree:.2f} (a "
        f"correlation). {measured().PREDICTED} can be reached: sort the words' vectors as they are, by Ward's method.",
    )


@grades("06.15")
def test_from_where_to_where(answer):
    """Scores by the number: never, at one width, at several, at all, exactly at the bar."""
    widths = [3, 8, 20, 47]
    columns = [
        ([0.1, 0.2, 0.79, 0.3], (0, 0)), ([0.1, 0.9, 0.7, 0.2], (8, 8)), ([0.2, 0.81, 0.95, 0.5], (8, 20)),
        ([0.85, 0.9, 0.99, 0.83], (3, 47)), ([0.3, 0.8, 0.1, 0.1], (8, 8)), ([0.2, 0.9, 0.6, 0.88], (8, 47)),
        ([0.1, 0.1, 0.2, 1.0], (47, 47)),
    ]  # fmt: skip
    scores = torch.tensor([row for row, _ in columns], dtype=torch.float64).T
    got = [tuple(int(v) for v in pair) for pair in answer.one_latent(scores, widths)]
    want = [pair for _, pair in columns]

    def ends(good: list[list[int]], first: int = 0, last: int = -1) -> list[tuple[int, int]]:
        return [(row[first], row[last]) if row else (0, 0) for row in good]

    good = [[w for w, score in zip(widths, row, strict=True) if score >= 0.8] for row, _ in columns]
    above = [[w for w, score in zip(widths, row, strict=True) if score > 0.8] for row, _ in columns]
    for told, wrong in (
        ("These are places in the list. Give the widths themselves.",
         [tuple(widths.index(w) if w else 0 for w in pair) for pair in want]),
        ("A concept with an F1 of exactly 0.8 counts too: at least 0.8.", ends(above)),
        ("You give the last width twice. The smallest comes first.", ends(good, first=-1)),
        ("You give the first width twice. The largest comes last.", ends(good, last=0)),
        ("The largest comes first with you. It is the smallest, then the largest.", ends(good, -1, 0)),
    ):  # fmt: skip
        if got == wrong:
            raise Wrong(told, MISTAKE)
    for i, (row, pair) in enumerate(columns):
        expect(
            i < len(got) and got[i] == pair,
            f"With the scores {row} at the widths {widths} it should be {pair}, and you say "
            f"{got[i] if i < len(got) else 'nothing'}.",
        )
