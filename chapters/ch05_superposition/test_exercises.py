"""The grader of chapter 05. It runs beside the learner's process, never in it: see mi_lib/course/grading.

Oracles are loops in double precision, Monte Carlo samples, and shapes whose corners are known. What a learner has
trained or drawn is judged by what it looks like: by shares and means of large samples, and by its geometry.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from torch import Tensor

from mi_lib.course.grading import Wrong, expect, expect_close, expect_equal, expect_gradients, grades
from mi_lib.course.grading.expectations import MISTAKE, NUMBERS, SHAPE
from mi_lib.course.grading.material import generator, randn

SAMPLE = 20_000


def uniform(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=generator(seed))


def sparse(*shape: int, presence: float, seed: int) -> Tensor:
    """Sparse features that owe nothing to the learner's."""
    return uniform(*shape, seed=seed) * (uniform(*shape, seed=seed + 1) < presence)


def near(share: Any, want: Any, n: int, sigmas: float = 5) -> bool:
    """Whether shares of n independent draws can be those of probabilities."""
    share, want = torch.as_tensor(share), torch.as_tensor(want)
    return bool(((share - want).abs() <= sigmas * (want * (1 - want) / n).sqrt() + 1e-9).all())


# --- 05.1 -------------------------------------------------------------------------------------------------------------

SPARSITY = torch.tensor([0.0, 0.35, 0.8, 0.96])


def inputs(answer: Any, sparsity: Tensor, n_features: int, batch: int, seed: int) -> Tensor:
    """The learner's, of the right shape."""
    return shaped(answer.sparse_features(sparsity, n_features, batch, seed), len(sparsity), batch, n_features)


def shaped(x: Tensor, *shape: int) -> Tensor:
    if tuple(x.shape) != shape:
        told = f"The inputs should have shape {shape} [instance batch feature], but yours have shape {tuple(x.shape)}."
        raise Wrong(told, SHAPE)
    return x


@grades("05.1", weight=2)
def test_how_often_a_feature_is_there(answer):
    """The share of zeros, for each instance and feature, in 20,000 inputs."""
    x = inputs(answer, SPARSITY, 3, SAMPLE, 5)
    absent = (x == 0).float().mean(1)  # [instance feature]
    want = SPARSITY[:, None].expand(4, 3)
    if near(absent[1:], 1 - want[1:], SAMPLE):
        raise Wrong("S is the probability that a feature is ABSENT. You use it as that of being present.")
    if near(absent.mean(0), SPARSITY.mean(), SAMPLE) and not near(absent, want, SAMPLE):
        raise Wrong("Each instance has a sparsity of its own: give it the axes [instance 1 1].", MISTAKE)
    expect(bool((absent[0] == 0).all()), "With S = 0 every feature is always present, and some of yours are 0.")
    expect(
        near(absent, want, SAMPLE),
        f"With S = {SPARSITY[2]:.2g} that share of the values should be 0. Yours: {absent[2, 0]:.3f}.",
    )


@grades("05.1")
def test_what_a_present_feature_is(answer):
    """Values that are there are uniform between 0 and 1."""
    x = inputs(answer, SPARSITY, 5, SAMPLE, 6)
    for k in range(4):
        there = x[k][x[k] != 0].double()
        expect(len(there) > 100, f"With S = {SPARSITY[k]:.2g} hardly any of your features are present.")
        expect(there.min() >= 0, "Some values are below 0. They are uniform between 0 and 1: torch.rand.")
        expect(there.max() <= 1, "Some values are above 1. They are uniform between 0 and 1.")
        if bool((there == 1).all()):
            raise Wrong("Every feature that is present is exactly 1. Its value is uniform between 0 and 1.", MISTAKE)
        shares = torch.tensor([((there > i / 8) & (there <= (i + 1) / 8)).double().mean().item() for i in range(8)])
        expect(
            near(shares, torch.full((8,), 1 / 8), len(there)),
            "Values that are present should be uniform: each eighth of the way from 0 to 1 as often as any other. With "
            f"S = {SPARSITY[k]:.2g} the shares of yours are {', '.join(f'{s:.3f}' for s in shares.tolist())}. Draw "
            "one set of random numbers for the values, and ANOTHER for who is present.",
        )


@grades("05.1")
def test_every_feature_decides_for_itself(answer):
    """How often two features, two inputs and two instances are present together."""
    S = torch.tensor([0.7, 0.7, 0.8])
    there = (inputs(answer, S, 4, SAMPLE, 7) != 0).float()
    p = 0.3
    if bool((there[:, 1:] == there[:, :1]).all()):
        raise Wrong("All inputs of a batch have the same features. Draw for each input anew.", MISTAKE)
    both = (there[0, :, 0] * there[0, :, 1]).mean()
    if near(both, p, SAMPLE):
        raise Wrong(
            "All features of an input are present together. Draw for each feature, not once for an input.", MISTAKE
        )
    expect(near(both, p * p, SAMPLE), "Features of one input are not independent: they should not know of each other.")
    rows = there[0, 1:] * there[0, :-1]
    expect(near(rows.mean(0), torch.full((4,), p * p), SAMPLE), "Inputs that follow each other are not independent.")
    across = (there[0] * there[1]).mean(0)
    expect(
        near(across, torch.full((4,), p * p), SAMPLE),
        "Two instances with the same sparsity have the same features present. Each has random numbers of its own.",
    )
    values = inputs(answer, torch.zeros(2), 3, SAMPLE, 8).double()
    flat = values.movedim(1, -1).flatten(0, 1)
    expect(
        bool((torch.corrcoef(flat) - torch.eye(6)).abs().max() < 0.05),
        "The values of different features, or of different instances, are not independent.",
    )


@grades("05.1")
def test_the_seed_and_nothing_else(answer):
    """The same seed twice, and another one."""
    one, again = (inputs(answer, SPARSITY, 3, 50, 11) for _ in range(2))
    expect(torch.equal(one, again), "The same seed gave other inputs. Give torch.rand a generator made of the seed.")
    other = inputs(answer, SPARSITY, 3, 50, 12)
    expect(not torch.equal(one != 0, other != 0), "Another seed gave the same features. All randomness comes from it.")
    expect(not torch.equal(one[0], other[0]), "Another seed gave the same values. All randomness comes from it.")


# --- 05.2 -------------------------------------------------------------------------------------------------------------

MODELS = ((2, 3, 7, 5, 0), (1, 2, 5, 3, 1), (5, 7, 11, 13, 2))  # instances, hidden, features, batch, seed


@functools.cache
def models() -> tuple[tuple[Tensor, Tensor, Tensor], ...]:
    return tuple(
        (0.5 * randn(k, h, f, seed=seed), 0.4 * randn(k, f, seed=seed + 10), uniform(k, n, f, seed=seed + 20))
        for k, h, f, n, seed in MODELS
    )


def by_hand(W: Tensor, b: Tensor, x: Tensor, how: str = "right") -> Tensor:
    """The model, one input after the other, in double precision; or with one known mistake."""
    W, b, x = W.double(), b.double(), x.double()
    out = torch.zeros_like(x)
    for k in range(len(x)):
        w, c = (W[0], b[0]) if how == "first" else (W[k], b[k])
        for i in range(x.shape[1]):
            h = w @ (x[k, i] + c if how == "bias first" else x[k, i])
            h = h.relu() if how == "hidden relu" else h
            y = w.T @ h + (0 if how in ("no bias", "bias first") else c)
            out[k, i] = y if how == "linear" else w.T @ h.relu() + c if how == "hidden only" else y.relu()
            out[k, i] = (w.T @ h).relu() + c if how == "bias last" else out[k, i]
    return out


MODEL_ERRORS = {
    "linear": "The ReLU is missing: without it this is the linear model.",
    "no bias": "The bias b is missing.",
    "hidden relu": "There is no ReLU in the middle: h = W x, and only the output goes through a ReLU.",
    "bias first": "You add b to the input. It is added to the output, before the ReLU.",
    "bias last": "b is added BEFORE the ReLU: ReLU(Wᵀ W x + b).",
    "first": "Every instance has its own W and b. You use those of the first for all.",
}


@grades("05.2", weight=2)
def test_the_model_on_random_weights(answer):
    """Several sizes, compared with the formula for one input after the other."""
    for W, b, x in models():
        expect_close(
            answer.reconstruct(W, b, x),
            by_hand(W, b, x),
            "the output",
            axes="instance batch feature",
            mistakes=lambda W=W, b=b, x=x: {words: by_hand(W, b, x, how) for how, words in MODEL_ERRORS.items()},
        )


@grades("05.2")
def test_the_model_can_be_trained(answer):
    """The gradients with respect to W and b."""
    W, b, x = models()[0]
    expect_gradients(
        answer, "reconstruct", {"W": W, "b": b, "x": x}, model_with_gradients, "the output", wrt=("W", "b")
    )


def model_with_gradients(W: Tensor, b: Tensor, x: Tensor) -> Tensor:
    return torch.stack([(x[k] @ (W[k].T @ W[k]) + b[k]).relu() for k in range(len(x))])


def loss_by_hand(x: Tensor, out: Tensor, importance: Tensor) -> Tensor:
    losses = []
    for a, b in zip(x.double(), out.double(), strict=True):
        each = [
            sum(w * (p - q) ** 2 for w, p, q in zip(importance.tolist(), s, t, strict=True))
            for s, t in zip(a.tolist(), b.tolist(), strict=True)
        ]
        losses.append(sum(each) / len(each))
    return torch.tensor(losses, dtype=torch.float64)


@grades("05.2")
def test_the_loss(answer):
    """Random inputs and outputs, with importances that differ."""
    for k, n, f, seed in ((2, 3, 5, 0), (3, 7, 2, 1), (1, 5, 11, 2)):
        x, out = uniform(k, n, f, seed=seed + 40), uniform(k, n, f, seed=seed + 50)
        importance = 0.5 + 2 * uniform(f, seed=seed + 60)
        want = loss_by_hand(x, out, importance)
        error = (x - out).double()
        expect_close(
            answer.weighted_loss(x, out, importance),
            want,
            "the loss",
            axes="instance",
            mistakes={
                "This is the mean over features. The loss is the SUM over features, and the mean over the batch.": want
                / f,
                "You sum over the batch. Average over it.": want * n,
                "You square the importance too: it stands in front of the square.": (
                    ((importance * error) ** 2).sum(-1).mean(-1)
                ),
                "You average over the batch before you square: errors of different signs then cancel.": (
                    (importance * error.mean(1) ** 2).sum(-1)
                ),
                "You average over all errors before you weigh them by importance, so that importance has no effect on "
                "which feature counts.": (error**2).mean((1, 2)) * importance.sum(),
                "The importance is missing.": (error**2).sum(-1).mean(-1),
                "These are absolute errors. Square them.": (importance * error.abs()).sum(-1).mean(-1),
                "This is one number for all instances. Keep the instance axis.": want.mean(),
                "This is the sum over all instances. Keep the instance axis.": want.sum(),
                "This is the loss of every input. Average over the batch.": (importance * error**2).sum(-1),
            },
        )


@grades("05.2")
def test_the_loss_can_be_trained(answer):
    """Its gradients with respect to the outputs."""
    x, out, importance = uniform(2, 3, 5, seed=71), uniform(2, 3, 5, seed=72), 0.5 + uniform(5, seed=73)
    expect_gradients(
        answer,
        "weighted_loss",
        {"x": x, "out": out, "importance": importance},
        lambda x, out, importance: (importance * (x - out) ** 2).sum(-1).mean(-1),
        "the loss",
        wrt=("out",),
    )


# --- geometry, for graders --------------------------------------------------------------------------------------------


def polygon(corners: int) -> Tensor:
    angles = 2 * math.pi * torch.arange(corners) / corners
    return torch.stack([angles.cos(), angles.sin()])


def tetrahedron() -> Tensor:
    return torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / math.sqrt(3)


def antiprism() -> Tensor:
    """Eight points on a sphere: two squares, one turned by 45°, at the heights ±1/√3."""
    angles = math.pi / 2 * torch.arange(4)
    rings = [
        torch.cat([math.sqrt(2 / 3) * torch.stack([a.cos(), a.sin()]), torch.full((1, 4), height / math.sqrt(3))])
        for a, height in ((angles, 1.0), (angles + math.pi / 4, -1.0))
    ]
    return torch.cat(rings, dim=1)


PAIR, ONE = torch.tensor([[1.0, -1.0]]), torch.ones(1, 1)


def beside(*shapes: Tensor, n_features: int | None = None) -> Tensor:
    """Shapes in dimensions of their own; up to n_features, columns of 0."""
    W = torch.block_diag(*shapes)
    return torch.cat([W, torch.zeros(len(W), (n_features or W.shape[1]) - W.shape[1])], dim=1)


def turned(W: Tensor, seed: int) -> Tensor:
    """In another orientation, its features in another order."""
    rotation = torch.linalg.qr(randn(len(W), len(W), seed=seed)).Q
    return (rotation @ W)[:, torch.randperm(W.shape[1], generator=generator(seed))]


def room(W: Tensor) -> Tensor:
    """D [feature] of one instance, with loops."""
    columns = W.double().mT.tolist()
    found = []
    for a in columns:
        length = math.sqrt(sum(v * v for v in a))
        overlaps = [sum(u * v for u, v in zip(a, c, strict=True)) ** 2 for c in columns]
        found.append(length**4 / sum(overlaps) if length else 0.0)
    return torch.tensor(found, dtype=torch.float64)


# --- 05.3 -------------------------------------------------------------------------------------------------------------


def loss_of(W: Tensor, b: Tensor, x: Tensor, importance: Tensor) -> Tensor:
    """[instance], in double precision."""
    out = (x.double() @ (W.mT @ W).double() + b[:, None].double()).relu()
    return (importance.double() * (x - out) ** 2).mean(1).sum(-1)


def check_trained(W: Tensor, b: Tensor) -> None:
    expect(bool(W.isfinite().all() & b.isfinite().all()), "Your training ends in numbers that are none (NaN or ∞).")
    expect(not bool((b == 0).all()), "b is still 0: give the optimizer W and b, both.")


@grades("05.3", weight=2)
def test_dense_features(answer):
    """S = 0: the most important features are stored at right angles, the others not at all."""
    importance = torch.tensor([0.3, 1.0, 0.2, 0.8, 0.4, 0.1])
    for seed in (0,):
        W, b = answer.train(torch.zeros(3), 6, 2, importance, 700, 128, 0.01, seed)
        check_trained(W, b)
        lengths = W.norm(dim=1)
        best = torch.zeros(6, dtype=torch.bool)
        best[[1, 3]] = True
        if bool((lengths[:, best].min(1).values < lengths[:, ~best].max(1).values).any()):
            raise Wrong(
                "With features that are always present, the most important ones should be stored, and in your models "
                "others are. Is the loss weighed by importance, feature by feature?",
                MISTAKE,
            )
        expect(
            bool((lengths[:, best] > 0.85).all() & (lengths[:, ~best] < 0.45).all()),
            "With features that are always present, 2 dimensions should store the 2 most important ones, with columns "
            f"about 1 long. The lengths in your first model: {', '.join(f'{v:.2f}' for v in lengths[0].tolist())}. "
            "Does every step draw new inputs, and do W and b learn?",
        )
        expect(
            bool((b[:, ~best] - 0.5).abs().max() < 0.25),
            "For a feature that is not stored b should become its mean, 1/2, and yours does not. Is b trained?",
        )


@grades("05.3", weight=2)
def test_a_pentagon(answer):
    """S = .95, 5 features in 2 dimensions: nearly every model forms a regular pentagon, on several seeds."""
    regular = 0
    for seed in (2, 3):
        W, b = answer.train(torch.full((6,), 0.95), 5, 2, torch.ones(5), 900, 128, 0.01, seed)
        check_trained(W, b)
        D = torch.stack([room(w) for w in W])
        regular += int(((D - 2 / 5).abs() < 0.06).all(1).sum())
        if bool((W - W[:1]).abs().max() < 1e-3):
            raise Wrong("All your models end with the same weights. Each starts at random, on its own.", MISTAKE)
    expect(
        regular >= 9,
        f"Of 12 models, {regular} form a pentagon, in which each feature has 2/5 of a dimension. With such sparse "
        "features nearly all should. Do the inputs have the sparsity asked for, and are they new in each step?",
    )


@grades("05.3", weight=2)
def test_each_instance_has_its_own_sparsity(answer):
    """One call, three sparsities: the number of stored features grows with it, and losses come near the best."""
    sparsity, importance = torch.tensor([0.0, 0.0, 0.97, 0.97]), 0.8 ** torch.arange(7)
    W, b = answer.train(sparsity, 7, 3, importance, 800, 128, 0.01, 4)
    check_trained(W, b)
    stored = (W.norm(dim=1) > 0.6).sum(-1).tolist()
    expect(
        stored[0] == stored[1] == 3,
        f"With S = 0 a model with 3 dimensions stores 3 features, and yours store {stored[0]} and {stored[1]}. Does "
        "each instance get inputs of its own sparsity?",
    )
    expect(
        min(stored[2:]) >= 5,
        f"With S = .97 a model with 3 dimensions stores more features than it has dimensions, and yours store "
        f"{stored[2]} and {stored[3]}. Is the ReLU there, and do instances get inputs of their own sparsity?",
    )
    x = torch.stack([sparse(4000, 7, presence=1 - s, seed=i) for i, s in enumerate(sparsity.tolist())])
    got = loss_of(W, b, x, importance)
    p = 1 - sparsity
    linear = (p / 3 - p**2 / 4) * importance[3:].sum()
    expect(
        bool((got[:2] < 1.1 * linear[:2]).all() & (got[2:] < 0.45 * linear[2:]).all()),
        "The loss of your models on fresh inputs is larger than it should be after so many steps: "
        f"{', '.join(f'{v:.4f}' for v in got.tolist())}. Look at the loop: zero_grad, backward, step, in this order.",
    )


@grades("05.3")
def test_the_number_of_steps_and_the_rate(answer):
    """Before any step, after one, and with a rate that leaves everything where it was."""
    importance = torch.ones(4)
    args = (torch.tensor([0.5, 0.9]), 4, 3, importance)
    start, b = answer.train(*args, 0, 16, 0.02, 8)
    expect(bool((b == 0).all()), "b starts as 0: after no step at all it should still be 0.")
    many, _ = answer.train(torch.full((50,), 0.5), 7, 5, torch.ones(7), 0, 16, 0.02, 9)
    if torch.equal(many, many[:1].expand_as(many)):
        raise Wrong(
            "All your models start from the same weights. Each starts at random, on its own: otherwise several of them "
            "are no better than one that gets stuck.",
            MISTAKE,
        )
    spread, mean = many.std().item(), many.mean().item()
    expect(
        0.25 < spread < 0.7 and abs(mean) < 0.05,
        f"W should start as random normal numbers around 0 with a standard deviation of about 0.3 to 0.6. Yours has "
        f"mean {mean:.2f} and {spread:.2f}.",
    )
    again, _ = answer.train(*args, 0, 16, 0.02, 8)
    expect(torch.equal(start, again), "The same seed gave another start. Everything random comes from the seed.")
    other, _ = answer.train(*args, 0, 16, 0.02, 10)
    expect(not torch.equal(start, other), "Another seed gave the same start. Everything random comes from the seed.")
    moved = (answer.train(*args, 1, 16, 0.02, 8)[0] - start).abs().max().item()
    expect(
        abs(moved - 0.02) < 1e-4,
        f"The first step of Adam moves a weight by the learning rate, here .02. Yours moved by {moved:.4f} at most.",
    )
    far = (answer.train(*args, 3, 16, 0.001, 8)[0] - start).abs().max().item()
    expect(far < 0.004, "With a learning rate of .001, three steps cannot move a weight so far. Is lr used as it is?")


# --- 05.4 -------------------------------------------------------------------------------------------------------------

FLOORS = ((5, 2, 0), (7, 3, 1), (3, 3, 2), (11, 1, 3))  # features, hidden, seed


@grades("05.4", weight=2)
def test_the_floor_is_the_loss_of_a_model_that_drops_the_rest(answer):
    """Compared with the measured loss of such a model on 200,000 inputs."""
    sparsity = torch.tensor([0.0, 0.3, 0.9])
    for n, m, seed in FLOORS:
        importance = 0.2 + uniform(n, seed=seed + 80)
        v = torch.tensor(
            [sparse(200_000, presence=1 - s, seed=90 + i).double().var().item() for i, s in enumerate((0, 0.3, 0.9))]
        )
        order = importance.sort(descending=True).values.double()
        p = 1 - sparsity.double()
        rest, first = order[m:].sum(), importance[m:].double().sum()
        exact = p / 3 - p**2 / 4
        expect_close(
            answer.linear_floor(sparsity, importance, m),
            v * rest,
            "the floor",
            axes="instance",
            rtol=0.015,
            mistakes={
                "You drop the LAST features. The least important ones are dropped, wherever they stand.": exact * first,
                "You drop the most important features.": exact * order[: n - m].sum(),
                "This is E[x²]. The bias gives back the mean, so that the variance E[x²] − E[x]² is left.": p
                / 3
                * rest,
                "This is the variance of a uniform number, times p. The mean of all values, zeros included, is p/2: "
                "v = p/3 − p²/4.": p / 12 * rest,
                "S is the probability that a feature is absent. Put p = 1 − S where you have S.": (
                    ((1 - p) / 3 - (1 - p) ** 2 / 4) * rest
                ),
                "You count the features that are kept. The loss comes from those that are dropped.": exact
                * order[:m].sum(),
                "This is the mean over the features that are dropped. Add them up.": exact * rest / max(1, n - m),
                "The importances are missing.": exact * (n - m),
                "The mean is that of ALL values, zeros included: E[x] = p/2, and not 1/2.": (p / 3 - 1 / 4) * rest,
                "This is the variance of being there or not, p (1 − p). A feature that is there has a strength between "
                "0 and 1: E[x²] = p/3.": p * (1 - p) * rest,
                "A feature is there with probability p, so that E[x²] = p/3. You have p² there.": p**2 / 12 * rest,
                "One dropped feature is missing: n_hidden are kept, and all others pay.": exact * order[m + 1 :].sum(),
                "The mean of a feature is p/2: where it is there, it is 1/2 in the mean. You take p for it.": (
                    (p / 3 - p**2) * rest
                ),
                "E[x²] is p/3: the mean of the square of a uniform number is 1/3. You have p/2 there.": (
                    (p / 2 - p**2 / 4) * rest
                ),
                "The variance is E[x²] MINUS E[x]². You add them.": (p / 3 + p**2 / 4) * rest,
                "This is the standard deviation. The loss is a square: take the variance.": exact.sqrt() * rest,
                "You square the importance too: it stands in front of the square.": exact * order[m:].pow(2).sum(),
                "You count all features. Those that are kept come back exactly, and cost nothing.": exact * order.sum(),
                "You use the sparsity of the first instance for all.": exact[:1].expand_as(exact) * rest,
            },
        )


@grades("05.4")
def test_no_linear_model_has_a_smaller_loss(answer):
    """Random linear models, and the best one that gradients find, on weighted variances."""
    importance = 0.3 + uniform(6, seed=5)
    floor = float(answer.linear_floor(torch.tensor([0.5]), importance, 2)[0])
    exact = 0.5 / 3 - 0.25 / 4
    W = (0.5 * randn(2, 6, seed=6)).double().requires_grad_()
    optimizer = torch.optim.Adam([W], lr=0.03)
    for _ in range(500):
        loss = exact * (importance[:, None] * (torch.eye(6) - W.T @ W) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if not abs(loss.item() - floor) < 0.01 * loss.item():
        found = f"The best linear model that gradient descent finds has a loss of {loss.item():.4f}."
        raise Wrong(f"{found} Your floor: {floor:.4f}.", NUMBERS)


@grades("05.4")
def test_how_many_features_are_stored(answer):
    """Columns of known length, just above 0.5 and just below."""
    for k, h, f, seed in ((3, 2, 7, 0), (2, 5, 3, 1)):
        W = randn(k, h, f, seed=seed + 30)
        lengths = torch.where(uniform(k, f, seed=seed + 33) < 0.5, 0.45, 0.55)
        lengths[0, 0], lengths[-1, -1] = 0.0, 1.3
        W = W / W.norm(dim=1, keepdim=True) * lengths[:, None]
        want = (lengths > 0.5).sum(-1)
        expect_close(
            answer.count_stored(W),
            want,
            "the number of stored features",
            axes="instance",
            mistakes={
                "You count the dimensions. The columns are the features: take the norm over the hidden axis.": (
                    (W.norm(dim=2) >= 0.5).sum(-1)
                ),
                "You square the length: it is the length itself that must reach 0.5.": (W.norm(dim=1) ** 2 >= 0.5).sum(
                    -1
                ),
                "You count the entries of W. A feature is a column.": (W.abs() >= 0.5).sum((1, 2)),
                "You ask for ONE entry of at least 0.5. It is the column that must be so long.": (
                    (W.abs() >= 0.5).any(1).sum(-1)
                ),
                "This is the sum of absolute values. The length of a column is the root of its sum of squares.": (
                    (W.abs().sum(1) >= 0.5).sum(-1)
                ),
                "You count the features that are NOT stored.": (lengths < 0.5).sum(-1),
                "You count every feature, however short its column is.": torch.full((k,), f),
                "This is the number over all instances. Keep the instance axis.": want.sum(),
            },
        )
    exactly = torch.tensor([[[0.5, 0.0, 0.49], [0.0, -0.5, 0.0]]])
    expect_close(answer.count_stored(exactly), torch.tensor([2]), "the number of columns that are at least 0.5 long")


# --- 05.5 -------------------------------------------------------------------------------------------------------------


def room_mistakes(W: Tensor) -> dict[str, Tensor]:
    W = W.double()
    gram, squared = W.mT @ W, W.pow(2).sum(1)
    rows = W / W.norm(dim=2, keepdim=True)
    both = W / W.norm(dim=1, keepdim=True)
    without = gram.pow(2).sum(-1) - squared**2
    D = squared**2 / gram.pow(2).sum(-1)
    return {
        "j = i is missing from the sum: the feature itself takes part.": squared**2 / without,
        "Ŵ is normalised over the wrong axis: a column, over the hidden dimensions, becomes 1 long.": (
            squared / (rows.mT @ W).pow(2).sum(-1)
        ),
        "Both factors are normalised: only W_i is, W_j keeps its length.": squared / (both.mT @ both).pow(2).sum(-1),
        "Nothing is normalised in the sum, where W_i has length 1; or ‖W_i‖² is missing above the line.": squared
        / gram.pow(2).sum(-1),
        "The overlaps are not squared.": squared / (both.mT @ W).sum(-1),
        "You take absolute values of the overlaps. Square them.": squared / (both.mT @ W).abs().sum(-1),
        "You add up the overlaps and square the sum, so that opposite ones cancel. Square each, then add.": (
            squared / (both.mT @ W).sum(-1) ** 2
        ),
        "The length in front is not squared: it is ‖W_i‖².": squared.sqrt() / (both.mT @ W).pow(2).sum(-1),
        "W_j is normalised instead of W_i.": squared / (both.mT @ W).pow(2).sum(-2),
        "This is 1/D: the sum stands below the line.": 1 / D,
        "This is the mean over j below the line. Add them up.": D * W.shape[-1],
        "Above the line stands ‖W_i‖², and you have 1 there.": D / squared,
        "This is ‖W_i‖² alone. Divide by what is heard in the direction of W_i.": squared,
        "This is √D: nothing is left to take the root of.": D.sqrt(),
    }


@grades("05.5", weight=2)
def test_the_room_of_random_features(answer):
    """Several instances with columns of different lengths, compared with loops."""
    for k, h, f, seed in ((3, 2, 5, 0), (2, 5, 3, 1), (1, 3, 7, 2)):
        W = randn(k, h, f, seed=seed) * (0.3 + uniform(k, 1, f, seed=seed + 5))
        expect_close(
            answer.dimensionality(W),
            torch.stack([room(w) for w in W]),
            "the dimensionality",
            axes="instance feature",
            mistakes=lambda W=W: room_mistakes(W),
        )


@grades("05.5")
def test_the_room_of_known_shapes(answer):
    """Antipodal pairs, triangle, tetrahedron, pentagon, square antiprism, and features on axes of their own."""
    for W, share, name in (
        (torch.eye(3), 1.0, "on axes of their own"),
        (PAIR, 1 / 2, "in an antipodal pair"),
        (polygon(3), 2 / 3, "in a triangle"),
        (tetrahedron(), 3 / 4, "in a tetrahedron"),
        (polygon(5), 2 / 5, "in a pentagon"),
        (antiprism(), 3 / 8, "in a square antiprism"),
    ):
        want = torch.full((1, W.shape[1]), share)
        expect_close(answer.dimensionality(1.2 * turned(W, 3)[None]), want, f"the dimensionality of features {name}")


@grades("05.5")
def test_a_feature_that_is_not_stored(answer):
    """A column of 0, and the others as if it were not there."""
    W = torch.tensor([[[0.9, 0.0, -0.9, 0.0], [0.0, 0.0, 0.0, 0.7]]])
    got = answer.dimensionality(W)
    expect(not bool(got.isnan().any()), "A column that is 0 gives NaN (0/0). Its dimensionality should be 0.")
    expect_close(got, torch.tensor([[0.5, 0.0, 0.5, 1.0]]), "the dimensionality beside a column that is 0")


# --- 05.6 -------------------------------------------------------------------------------------------------------------


def chain(*degrees: float) -> Tensor:
    """Columns in a plane at these angles."""
    angles = torch.tensor(degrees) * math.pi / 180
    return torch.stack([angles.cos(), angles.sin()])


def all_touching(W: Tensor) -> list[tuple[int, int]]:
    """What one finds who takes, of each feature, those alone that touch it."""
    left, found = list(range(W.shape[1])), []
    unit = W / W.norm(dim=0)
    while left:
        first = left[0]
        group = [i for i in left if abs(float(unit[:, first] @ unit[:, i])) > 0.15]
        left = [i for i in left if i not in group]
        found.append((len(group), int(torch.linalg.matrix_rank(W[:, group], rtol=0.15))))
    return sorted(found, reverse=True)


SHAPE_CASES = (
    (beside(polygon(5)), [(5, 2)]),
    (beside(polygon(3), PAIR, ONE), [(3, 2), (2, 1), (1, 1)]),
    (beside(antiprism(), PAIR), [(8, 3), (2, 1)]),
    (beside(tetrahedron(), tetrahedron()), [(4, 3), (4, 3)]),
    (beside(PAIR, PAIR, ONE, ONE), [(2, 1), (2, 1), (1, 1), (1, 1)]),
)


@grades("05.6", weight=2)
def test_known_shapes(answer):
    """Shapes beside each other, turned, their features shuffled."""
    for seed, (W, want) in enumerate(SHAPE_CASES):
        W = 0.95 * turned(W, seed + 1)
        got = found(answer, W)
        if got != want and sorted(got) == sorted(want):
            raise Wrong("These are the right shapes, in another order. The largest shape comes first.", MISTAKE)
        if got == [(1, 1)] * 8 and want == [(4, 3), (4, 3)]:
            raise Wrong(
                "Two features of a tetrahedron have a cosine of −1/3, which is below −0.15: they touch, and you say "
                "that they do not. Is it the cosine that you compare, and not its square?",
                MISTAKE,
            )
        expect_equal(
            got,
            want,
            "the shapes",
            mistakes={
                "These are (dimensions, features). The number of features comes first.": [(r, f) for f, r in want],
                "You count only features that are in each other's way with a positive cosine. A cosine below −0.15 "
                "counts too: abs().": positive_only(W),
                "You take all features for one shape.": [(W.shape[1], len(W))],
                "You find no two features that touch.": [(1, 1)] * W.shape[1],
                "You count singular values that are 0 but for rounding. Only those above 0.15 of the largest count.": (
                    sorted(((f, min(f, len(W))) for f, _ in want), reverse=True)
                ),
                "Your dimensions are 1 everywhere. Count the singular values, and not whether there is one.": (
                    [(f, 1) for f, _ in want]
                ),
            },
        )


def found(answer: Any, W: Tensor) -> list[tuple[int, int]]:
    got = answer.find_shapes(W)
    return [tuple(int(n) for n in shape) for shape in got]


def positive_only(W: Tensor) -> list[tuple[int, int]]:
    unit = W / W.norm(dim=0)
    touch = ((unit.T @ unit) > 0.15).float()
    reach = torch.matrix_power(touch, len(touch)) > 0
    groups = {tuple(row.nonzero()[:, 0].tolist()) for row in reach}
    return sorted(((len(g), int(torch.linalg.matrix_rank(W[:, list(g)], rtol=0.15))) for g in groups), reverse=True)


@grades("05.6")
def test_a_chain_hangs_together(answer):
    """Features of which neighbours touch, and the ends do not."""
    for order in ((0, 1, 2), (1, 0, 2), (2, 0, 1)):
        W = chain(0, 45, 90)[:, list(order)]
        expect_equal(
            found(answer, W),
            [(3, 2)],
            "the shapes of three features at 0°, 45° and 90°",
            mistakes={
                "The two ends of a chain belong to the same shape: a chain of touching features leads from one to the "
                "other. Go on until nobody new comes.": all_touching(W),
            },
        )
    W = torch.tensor([[0.0, 1.0, 0.7, 0.0], [0.0, 0.0, 0.7, 0.7], [1.0, 0.0, 0.0, 0.7]])
    expect_equal(found(answer, W), [(4, 3)], "the shapes of a chain of four features in three dimensions")


@grades("05.6")
def test_the_three_bounds(answer):
    """Lengths around 0.5, cosines around 0.15, singular values around 0.15 of the largest."""
    short = beside(polygon(3), PAIR) * torch.tensor([1.0, 1, 1, 1, 0.45])
    expect_equal(found(answer, short), [(3, 2), (1, 1)], "the shapes beside a feature that is 0.45 long", mistakes={
        "A feature whose column is shorter than 0.5 is left out.": [(3, 2), (2, 1)],
    })  # fmt: skip
    longer = beside(polygon(3), PAIR) * torch.tensor([1.0, 1, 1, 1, 0.55])
    expect_equal(found(answer, longer), [(3, 2), (2, 1)], "the shapes with a feature that is 0.55 long")
    for cosine, want in ((0.13, [(1, 1), (1, 1)]), (0.17, [(2, 2)]), (-0.13, [(1, 1), (1, 1)]), (-0.17, [(2, 2)])):
        for lengths in ((0.8, 0.7), (1.2, 1.3)):
            W = chain(0, math.degrees(math.acos(cosine))) * torch.tensor(lengths)
            expect_equal(
                found(answer, W),
                want,
                f"the shapes of two features whose cosine is {cosine}",
                mistakes={
                    "You compare the dot product with 0.15. It is the COSINE that counts: divide by both lengths.": (
                        [(2, 2)] if abs(cosine) * lengths[0] * lengths[1] > 0.15 else [(1, 1), (1, 1)]
                    ),
                },
            )
    # The second case has short columns: who compares with 0.15 itself is told apart there.
    for width, length, want in ((0.17, 1.1, [(2, 2)]), (0.17, 0.6, [(2, 2)]), (0.13, 1.1, [(2, 1)])):
        half = math.degrees(math.atan(width))  # singular values in this ratio
        fixed = "You compare singular values with 0.15 itself. It is 0.15 of the LARGEST one."
        expect_equal(
            found(answer, length * chain(-half, half)),
            want,
            f"the shapes of two columns whose second singular value is {width} of the first",
            mistakes={fixed: [(2, 1)]} if length < 1 else {},
        )
    none = torch.full((2, 3), 0.1)
    expect_equal(found(answer, none), [], "the shapes where nothing is stored")


# --- 05.7 -------------------------------------------------------------------------------------------------------------


@functools.cache
def phases_of_a_sample(sparsity: float, ratio: float) -> Tensor:
    """[phase], measured: for each of the four ways to be present or absent, weighed by how often it happens."""
    p, n = 1 - sparsity, 200_000
    values = uniform(n, 2, seed=17).double()
    importance = torch.tensor([1.0, ratio], dtype=torch.float64)
    total = torch.zeros(3, dtype=torch.float64)
    for there in ((0, 0), (0, 1), (1, 0), (1, 1)):
        x = values * torch.tensor(there)
        mean = torch.full((n,), p / 2, dtype=torch.float64)
        outs = (
            torch.stack([x[:, 0], mean], 1),
            torch.stack([mean, x[:, 1]], 1),
            torch.stack([(x[:, 0] - x[:, 1]).relu(), (x[:, 1] - x[:, 0]).relu()], 1),
        )
        weight = math.prod(p if yes else 1 - p for yes in there)
        total += weight * torch.stack([(importance * (x - out) ** 2).sum(1).mean() for out in outs])
    return total


@grades("05.7", weight=2)
def test_the_losses_of_the_three_phases(answer):
    """Compared with the measured losses of the three models on random inputs."""
    cases = ((0.0, 0.4), (0.3, 2.0), (0.6, 1.0), (0.9, 0.7), (0.97, 3.0))
    S, r = (torch.tensor(column) for column in zip(*cases, strict=True))
    want = torch.stack([phases_of_a_sample(*case) for case in cases], dim=1)
    p = 1 - S.double()
    v = p / 3 - p**2 / 4
    dropped, own, both = r * v, v, p**2 / 6 * (1 + r)
    q = 1 - p
    expect_close(
        answer.phase_losses(S, r),
        want,
        "the loss of each phase",
        axes="phase case",
        rtol=0.02,
        atol=1e-6,
        mistakes={
            "dropped and own axis are exchanged: where the SECOND feature is dropped, its importance is paid.": (
                torch.stack([own, dropped, both])
            ),
            "For the feature that is dropped, b is its mean. So its variance is paid, p/3 − p²/4, not E[x²].": (
                torch.stack([r * p / 3, p / 3, both])
            ),
            "Both features are present with probability p², not p.": torch.stack([dropped, own, p / 6 * (1 + r)]),
            "In the third model both outputs are off, each with its importance: 1 + r.": (
                torch.stack([dropped, own, p**2 / 6 * r])
            ),
            "In the third model both outputs are off, not the first alone: 1 + r.": (
                torch.stack([dropped, own, p**2 / 6])
            ),
            "S is the probability that a feature is absent. Use p = 1 − S.": torch.stack(
                [r * (q / 3 - q**2 / 4), q / 3 - q**2 / 4, q**2 / 6 * (1 + r)]
            ),
            "The third loss is twice what it should be: with both present, each output is off by the smaller value, "
            "whose mean square is 1/6.": torch.stack([dropped, own, p**2 / 3 * (1 + r)]),
            "The third loss is half of what it should be: with both present, each output is off by the smaller value, "
            "whose mean square is 1/6, and the loss is the SUM over both outputs.": torch.stack(
                [dropped, own, p**2 / 12 * (1 + r)]
            ),
            "For the feature that is dropped the zeros count too: p/3 − p²/4, not p/12.": torch.stack(
                [r * p / 12, p / 12, both]
            ),
            "In the second model the FIRST feature is dropped. Its importance is 1.": torch.stack(
                [dropped, dropped, both]
            ),
            "The order is dropped, own axis, superposed. Yours is another one.": torch.stack([dropped, both, own]),
            "Where the SECOND feature is dropped, its importance r is paid. You pay 1 in the first two models.": (
                torch.stack([own, own, both])
            ),
            "The mean of a feature is p/2, so that its square is p²/4. You take p for the mean.": torch.stack(
                [r * (p / 3 - p**2), p / 3 - p**2, both]
            ),
            "The variance is E[x²] MINUS E[x]². You add them.": torch.stack(
                [r * (p / 3 + p**2 / 4), p / 3 + p**2 / 4, both]
            ),
            "E[x²] is p/3: the mean of the square of a uniform number is 1/3. You have p/2 there.": torch.stack(
                [r * (p / 2 - p**2 / 4), p / 2 - p**2 / 4, both]
            ),
            "In the third model the mean of the square of the smaller value is missing: it is 1/6.": torch.stack(
                [dropped, own, p**2 * (1 + r)]
            ),
            "In the third model both outputs are off, and both are paid: 1 + r, and not 1 − r.": torch.stack(
                [dropped, own, p**2 / 6 * (1 - r)]
            ),
            "r stands in front of the square: it is not squared itself.": torch.stack(
                [r**2 * v, own, p**2 / 6 * (1 + r**2)]
            ),
            "In the third model an output is off only where BOTH are present: who is alone comes back exactly.": (
                torch.stack([dropped, own, (1 - (1 - p) ** 2) / 6 * (1 + r)])
            ),
        },
    )


@grades("05.7")
def test_which_phase_wins(answer):
    """Where features are dense the less important one is dropped; where they are sparse both share the line."""
    cases = ((0.0, 0.3, 0), (0.0, 3.0, 1), (0.95, 1.0, 2), (0.95, 0.3, 2), (0.4, 0.2, 0), (0.4, 8.0, 1))
    S, r = (torch.tensor([case[i] for case in cases]) for i in (0, 1))
    losses = answer.phase_losses(S, r)
    if tuple(losses.shape) != (3, len(cases)):
        told = f"The losses should have shape {(3, len(cases))} [phase case], but yours have {tuple(losses.shape)}."
        raise Wrong(told, SHAPE)
    won = losses.argmin(0).tolist()
    if won != [case[2] for case in cases]:  # which loss is wrong, and where, says more
        told = (
            f"With S = {[c[0] for c in cases]} and importances {[c[1] for c in cases]} the smallest losses should be "
        )
        raise Wrong(f"{told}those of the phases {[c[2] for c in cases]}. Yours: {won}.", NUMBERS)


# --- 05.8 -------------------------------------------------------------------------------------------------------------


def pairs_of(answer: Any, sparsity: Tensor, n: int, together: bool, seed: int) -> Tensor:
    return shaped(answer.paired_features(sparsity, n, SAMPLE, together, seed), len(sparsity), SAMPLE, n)


@grades("05.8")
def test_each_feature_of_a_pair_is_as_sparse_as_any(answer):
    """The share of zeros for every feature, with pairs of either kind."""
    for together, sparsity in ((True, torch.tensor([0.2, 0.9])), (False, torch.tensor([0.55, 0.5, 0.9]))):
        absent = (pairs_of(answer, sparsity, 6, together, 3) == 0).float().mean(1)
        p = 1 - sparsity
        if not together and near(absent, (1 - p / 2)[:, None].expand_as(absent), SAMPLE):
            raise Wrong(
                "Features that exclude each other are each present with p / 2 in your inputs. EACH should be present "
                "with p: a pair then has a feature in 2p of the inputs.",
                MISTAKE,
            )
        second = bool((absent[:, 1::2] - sparsity[:, None]).abs().max() > 0.03)
        if not together and second and near(absent[:, ::2] + absent[:, 1::2], torch.ones_like(absent[:, ::2]), SAMPLE):
            raise Wrong(
                "The second of a pair is present whenever the first is not. Never at the same input is less than that: "
                "with p below 1/2 there are inputs at which NEITHER is present.",
                MISTAKE,
            )
        if near(absent, p[:, None].expand_as(absent), SAMPLE) and not near(p, sparsity, SAMPLE):
            raise Wrong(
                "S is the probability that a feature is ABSENT, and you use it as that of being present.", MISTAKE
            )
        expect(
            near(absent, sparsity[:, None].expand_as(absent), SAMPLE),
            f"With together = {together} each feature should be absent with probability {sparsity[0]:.2g}. The shares "
            f"of your features: {', '.join(f'{a:.3f}' for a in absent[0].tolist())}.",
        )


@grades("05.8", weight=2)
def test_who_comes_together(answer):
    """How often two features are present at the same input: of a pair, and of different pairs."""
    sparsity, p = torch.tensor([0.7]), 0.3
    for together in (True, False):
        there = (pairs_of(answer, sparsity, 6, together, 4)[0] != 0).float()
        both = there.T @ there / SAMPLE
        inside, want = both[[0, 2, 4], [1, 3, 5]], p if together else 0.0
        strange = both[[0, 1, 0, 2], [2, 4, 5, 5]]
        if near(inside, torch.full((3,), p * p), SAMPLE):
            halves = both[[0, 1, 2], [3, 4, 5]]
            expect(
                not near(halves, torch.full((3,), want), SAMPLE),
                "Your pairs are (0, n/2), (1, n/2 + 1), … They should be neighbours: (0, 1), (2, 3), …",
            )
            raise Wrong(f"With together = {together} the two of a pair should know of each other, and yours do not.")
        if near(inside, torch.full((3,), 0.0 if together else p), SAMPLE):
            raise Wrong("together is the wrong way round: True means present at the same inputs.", MISTAKE)
        expect(
            near(inside, torch.full((3,), want), SAMPLE),
            f"With together = {together} the two of a pair should be present at the same input in {want:.2g} "
            f"of the inputs. In yours: {inside[0]:.3f}.",
        )
        expect(
            near(strange, torch.full((4,), p * p), SAMPLE),
            "Different pairs know nothing of each other: draw for each pair anew.",
        )


@grades("05.8")
def test_values_are_their_own(answer):
    """The values of the two of a pair are different random numbers, uniform between 0 and 1, and come from the seed."""
    for together in (True, False):
        x = pairs_of(answer, torch.tensor([0.5, 0.6]), 4, together, 5)
        there = x[x != 0].double()
        expect(len(there) > 100, "Hardly any of your features are present.")
        shares = torch.tensor([((there > i / 8) & (there <= (i + 1) / 8)).double().mean().item() for i in range(8)])
        expect(
            near(shares, torch.full((8,), 1 / 8), len(there)),
            "Values that are present should be uniform between 0 and 1, whoever is present.",
        )
        if together:
            first, second = x[0][x[0, :, 0] != 0][:, :2].double().T
            if torch.equal(first, second):
                raise Wrong("The two of a pair have the same value. Only their PRESENCE is shared.", MISTAKE)
            expect(
                bool(torch.corrcoef(torch.stack([first, second]))[0, 1].abs() < 0.06),
                "The values of the two of a pair know of each other. Only their presence is shared.",
            )
        again = pairs_of(answer, torch.tensor([0.5, 0.6]), 4, together, 5)
        expect(torch.equal(x, again), "The same seed gave other inputs. All randomness comes from the seed.")
        other = pairs_of(answer, torch.tensor([0.5, 0.6]), 4, together, 6)
        expect(not torch.equal(x != 0, other != 0), "Another seed gave the same features.")
        expect(not torch.equal(x[0] != 0, x[1] != 0), "Each instance draws its own random numbers.")
        same = pairs_of(answer, torch.tensor([0.6, 0.6]), 4, together, 6)
        expect(not torch.equal(same[0] != 0, same[1] != 0), "Each instance draws its own random numbers.")
        rows = (same[0, 1:] != 0).float() * (same[0, :-1] != 0)
        expect(
            near(rows.mean(0), torch.full((4,), 0.16), SAMPLE), "Each input of a batch draws its own random numbers."
        )


# --- 05.9 -------------------------------------------------------------------------------------------------------------

NETWORKS = ((2, 3, 5, 7, 0), (3, 7, 2, 5, 1), (1, 5, 11, 3, 2))  # instances, neurons, features, batch, seed


@functools.cache
def networks() -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], ...]:
    return tuple(
        (
            randn(k, n, f, seed=s),
            randn(k, f, n, seed=s + 10),
            0.5 * randn(k, f, seed=s + 20),
            randn(k, batch, f, seed=s + 30),
        )
        for k, n, f, batch, s in NETWORKS
    )


def network_by_hand(W_in: Tensor, W_out: Tensor, b: Tensor, x: Tensor, how: str = "right") -> Tensor:
    rows = []
    for k in range(len(x)):
        w_in, w_out = W_in[k], W_out[k]
        h = x[k] @ w_in.T
        h = h if how == "no inner" else h.abs() if how == "abs" else h.relu()
        y = h @ (w_in if how == "tied" else w_out.T) + (0 if how == "no bias" else b[k])
        rows.append(y if how == "no outer" else (y - b[k]).relu() + b[k] if how == "bias last" else y.relu())
    return torch.stack(rows)


@grades("05.9")
def test_the_network_with_neurons(answer):
    """Random weights, compared with the formula."""
    for case in networks():
        case = tuple(part.double().float() for part in case)
        expect_close(
            answer.absolute_values(*case),
            network_by_hand(*(part.double() for part in case)),
            "the output",
            axes="instance batch feature",
            mistakes=lambda case=case: {
                "The ReLU of the neurons is missing.": network_by_hand(*case, "no inner"),
                "The ReLU at the end is missing.": network_by_hand(*case, "no outer"),
                "The bias b is missing.": network_by_hand(*case, "no bias"),
                "You read out with W_in. This network has two matrices: W_out comes second.": network_by_hand(
                    *case, "tied"
                ),
                "Neurons are ReLUs: they cut off what is below 0. Yours take the absolute value.": (
                    network_by_hand(*case, "abs")
                ),
                "b is added before the last ReLU.": network_by_hand(*case, "bias last"),
                "b is ADDED before the last ReLU. You take it away.": network_by_hand(
                    case[0], case[1], -case[2], case[3]
                ),
                "Every instance has its own weights. You use those of the first for all.": network_by_hand(
                    *(part[:1].expand_as(part) for part in case[:3]), case[3]
                ),
            },
        )


@grades("05.9")
def test_the_network_can_be_trained(answer):
    """The gradients of all weights."""
    W_in, W_out, b, x = networks()[0]
    args = {"W_in": W_in, "W_out": W_out, "b": b, "x": x}
    expect_gradients(answer, "absolute_values", args, network_by_hand, "the output", wrt=("W_in", "W_out", "b"))


@grades("05.9", weight=2)
def test_how_much_a_neuron_listens_to_one_feature(answer):
    """Random weights of either sign, and neurons that listen to one, to all, to none."""
    for k, n, f, seed in ((2, 3, 5, 0), (3, 7, 2, 1), (1, 2, 11, 2)):
        W = randn(k, n, f, seed=seed + 60)
        size = W.abs().double()
        want = torch.tensor([[max(row) / sum(row) for row in part] for part in size.tolist()])
        expect_close(
            answer.monosemanticity(W),
            want,
            "the share of the strongest feature",
            axes="instance neuron",
            mistakes={
                "Weights may be negative: take their absolute values.": W.amax(-1) / W.sum(-1),
                "You look for the largest weight before you take absolute values: the strongest may be negative.": (
                    W.amax(-1) / size.sum(-1)
                ),
                "This is the share of a FEATURE's strongest neuron. A neuron is a row: use the last axis.": (
                    size.amax(1) / size.sum(1)
                ),
                "You leave out the negative weights. They count as much: take absolute values.": (
                    W.relu().amax(-1) / W.relu().sum(-1).clamp(min=1e-12)
                ),
                "These are squares. Take the absolute values themselves.": (size**2).amax(-1) / (size**2).sum(-1),
                "This is the mean instead of the sum below the line.": size.amax(-1) / size.mean(-1),
                "This is the strongest weight itself. Divide by the sum of the neuron's weights.": size.amax(-1),
                "This is 1 over the share: the sum stands below the line.": size.sum(-1) / size.amax(-1),
                "This is the share of the WEAKEST feature.": size.amin(-1) / size.sum(-1),
                "Weights may be negative: take absolute values below the line too.": size.amax(-1) / W.sum(-1),
                "This is the length of the neuron below the line. Divide by the sum of absolute values.": (
                    size.amax(-1) / size.norm(dim=-1)
                ),
            },
        )
    W = torch.tensor([[[0.0, -2.0, 0.0, 0.0], [1.0, -1.0, 1.0, -1.0], [0.0, 0.0, 0.0, 0.0]]])
    got = answer.monosemanticity(W)
    expect(not bool(got.isnan().any()), "A neuron whose weights are all 0 gives NaN (0/0). It should have 0.")
    expect_close(got, torch.tensor([[1.0, 0.25, 0.0]]), "the share for neurons that listen to one, to all, to none")


# --- 05.10 ------------------------------------------------------------------------------------------------------------


@grades("05.10", weight=2)
def test_the_nudge_raises_one_output_the_most(answer):
    """Random weights: the nudge has the length asked for, and moves the output by what the gradient says."""
    for h, f, i, size, seed in ((2, 5, 3, 0.1, 0), (3, 7, 0, 0.02, 1), (5, 3, 2, 1.7, 2)):
        W = randn(h, f, seed=seed + 3)
        x = torch.zeros(f, requires_grad=True)
        (gradient,) = torch.autograd.grad((W.T @ (W @ x))[i], x)
        want = size * gradient / gradient.norm()
        alone = torch.zeros(f)
        alone[i] = size
        row = (W.T @ W)[i].sign()
        others = gradient.clone()
        others[i] = 0
        expect_close(
            answer.worst_nudge(W, i, size),
            want,
            "the nudge",
            axes="feature",
            mistakes={
                "This nudge lowers the output. It should raise it.": -want,
                "The nudge has another length than was asked for: divide by its length, then multiply by size.": (
                    size * gradient
                ),
                "This is 1 long. Multiply by size.": want / size,
                "This only raises feature i itself. Other features that overlap with it raise the output too.": alone,
                "You nudge the OTHER features alone. Feature i raises its own output, and takes part.": (
                    size * others / others.norm()
                ),
                "You only raise features. Those whose direction is opposite to W_i help when they are LOWERED.": (
                    size * gradient.relu() / gradient.relu().norm()
                ),
                "You raise all features. Those whose direction is opposite to W_i must be LOWERED: keep the sign.": (
                    size * gradient.abs() / gradient.norm()
                ),
                "This changes every feature by as much, with the sign that helps. Under a given LENGTH those that "
                "overlap more should change more.": size * row / row.norm(),
                "You multiply by the length. Divide by it, then multiply by size.": size * gradient * gradient.norm(),
                "You divide by the length of W_i. It is the NUDGE that gets the length size.": size
                * gradient
                / W[:, i].norm(),
                "You divide by the square of the length. Divide by the length.": size * gradient / gradient.norm() ** 2,
                "This is as long as asked for in its sum of absolute values. Its length is the root of the sum of "
                "squares.": size * gradient / gradient.abs().sum(),
            },
        )


@grades("05.10")
def test_how_far_an_output_moves(answer):
    """Random weights, and shapes: in a shape where features have less room, outputs move further."""
    for h, f, seed in ((2, 5, 0), (3, 7, 1), (5, 3, 2)):
        W = randn(h, f, seed=seed + 23)
        M = W.double().T @ W.double()
        want = torch.tensor([math.sqrt(sum(v * v for v in column)) for column in M.T.tolist()])
        expect_close(
            answer.sensitivity(W),
            want,
            "the sensitivity",
            axes="feature",
            mistakes={
                "This is ‖W_i‖², what the feature itself does. Others that overlap with it count too.": M.diagonal(),
                "This is the square: take the root.": want**2,
                "This is 1/√D_i, which is right for columns of length 1 alone. Multiply by ‖W_i‖².": want
                / M.diagonal(),
                "This is the largest that ANY change can do to all outputs together. Ask for each output alone.": (
                    torch.linalg.matrix_norm(M, 2).expand(f)
                ),
                "This is the length of the column W_i. The input goes through W, and then through W_i.": (
                    W.double().norm(dim=0)
                ),
                "This is what the worst change of every feature by ±1 does. A nudge has LENGTH 1.": M.abs().sum(0),
                "This is what raising all features by 1 does. Take the worst nudge of length 1.": M.sum(0),
                "This is the root of the MEAN of the squares. Add them up.": want / math.sqrt(f),
                "This is one number for all outputs together. Ask for each output alone.": M.norm().expand(f),
            },
        )
    for W, share in ((torch.eye(3), 1.0), (PAIR, 1 / 2), (polygon(5), 2 / 5), (antiprism(), 3 / 8)):
        want = torch.full((W.shape[1],), 1 / math.sqrt(share))
        expect_close(answer.sensitivity(turned(W, 5)), want, "the sensitivity in a regular shape, which is 1/√D,")


# --- 05.11 ------------------------------------------------------------------------------------------------------------


@functools.cache
def words_and_concepts(n: int, neurons: int, concepts: int, seed: int) -> tuple[Tensor, Tensor]:
    """Neurons that follow concepts more or less, so that some answers are close to the bound."""
    holds = uniform(n, concepts, seed=seed) < torch.linspace(0.02, 0.25, concepts)
    holds[:, -1] = False
    follow = randn(concepts, neurons, seed=seed + 1) * (uniform(concepts, neurons, seed=seed + 2) < 0.5)
    follow[0, 0] = 9.0  # all words of the first concept are among the top ones of the first neuron, if it has so many
    return holds.float() @ (2 * follow) + 0.7 * randn(n, neurons, seed=seed + 3), holds


def answered(values: Tensor, holds: Tensor, n_top: int, how: str = "right") -> Tensor:
    """With sets."""
    found = []
    for v in values.T:
        order = v.abs().argsort(descending=True) if how == "abs" else v.argsort(descending=how != "smallest")
        top = set(order[:n_top].tolist())
        row = []
        for c in holds.T:
            members = set(c.nonzero()[:, 0].tolist())
            both = len(top & members)
            if how == "precision":
                row.append(both >= n_top / 2)
            elif how == "any":
                row.append(both > 0)
            elif how == "empty":
                row.append(2 * both >= len(members))
            elif how == "all":
                row.append(bool(members) and both == len(members))
            else:
                row.append(bool(members) and 2 * both >= len(members))
        found.append(row)
    return torch.tensor(found)


ANSWER_ERRORS = {
    "precision": "You ask how many of the TOP words belong to the concept. The question is how many of the concept's "
    "words are among the top.",
    "any": "One word of the concept among the top is not enough: it must be half of them.",
    "all": "You ask for all words of the concept. Half of them are enough.",
    "empty": "A concept that holds at no word is answered by no neuron, and yours answer to it.",
    "abs": "You take the largest absolute values. A neuron's top words are those at which its value is largest.",
    "smallest": "You take the words at which the value is SMALLEST.",
}


@grades("05.11", weight=2)
def test_which_neuron_answers_to_what(answer):
    """Neurons that follow concepts more or less, compared with sets of words."""
    for n, neurons, concepts, n_top, seed in ((211, 13, 7, 23, 0), (101, 5, 11, 31, 1), (53, 3, 2, 1, 2)):
        values, holds = words_and_concepts(n, neurons, concepts, seed)
        want = answered(values, holds, n_top)
        expect_equal(
            answer.answers_to(values, holds, n_top),
            want,
            "who answers to what",
            mistakes=lambda v=values, h=holds, n=n_top, w=want: {
                # These two first: other slips that end there are told no more than that.
                "In yours no neuron answers to any concept, and some do.": torch.zeros_like(w),
                "In yours every neuron answers to every concept, and most do not.": torch.ones_like(w),
                **{words: answered(v, h, n, how) for how, words in ANSWER_ERRORS.items()},
                "The axes are exchanged: the result is [neuron concept].": w.T,
            },
        )


@grades("05.11")
def test_exactly_half(answer):
    """Concepts of which exactly half of the words, or one word less, are among the top."""
    values = torch.arange(20.0)[:, None].flip(0) * torch.tensor([[1.0, -1.0]])
    holds = torch.zeros(20, 5, dtype=torch.bool)
    holds[4, 4] = True
    holds[[0, 1, 12, 13], 0] = True  # two of four among the top five
    holds[[0, 11, 12, 13], 1] = True
    holds[[0, 1, 2, 12, 13], 2] = True
    holds[[3, 4, 10, 11, 12], 3] = True
    got = answer.answers_to(values, holds, 5)
    want = [[True, False, True, False, True], [False] * 5]
    expect(
        got.tolist() == want,
        "Two of four words are half of them, and half is enough; two of five are not. Of the words 0 … 19 a neuron is "
        f"largest at 0, 1, 2, 3, 4, and it should answer {want[0]}. Yours: {got.tolist()[0]}.",
    )


def two_minds(answers: Tensor, holds: Tensor, how: str = "right") -> Tensor:
    everyone = [set(column.nonzero()[:, 0].tolist()) for column in holds.T]
    found = []
    for row in answers.tolist():
        sets = [everyone[c] for c, yes in enumerate(row) if yes]
        pairs = [(a, b) for i, a in enumerate(sets) for b in sets[i + 1 :]]
        unrelated = [not a & b for a, b in pairs]
        kinds = {
            "right": any(unrelated),
            "several": len(sets) > 1,
            "all": bool(pairs) and all(unrelated),
            "differ": any(a != b for a, b in pairs),
            "related": any(bool(a & b) for a, b in pairs),
            "any other": any(not a & b for a in sets for b in everyone if a is not b),
        }
        found.append(kinds[how])
    return torch.tensor(found)


@grades("05.11", weight=2)
def test_two_unrelated_concepts(answer):
    """Random answers, and concepts of which some share words."""
    for n, neurons, concepts, seed in ((31, 17, 5, 0), (97, 11, 7, 1), (13, 23, 3, 2)):
        holds = uniform(n, concepts, seed=seed + 20) < 0.18
        holds[: n // 2, 0], holds[n // 2 :, 1] = False, False
        holds[0, 1] = holds[-1, 0] = True
        answers = uniform(neurons, concepts, seed=seed + 21) < 0.4
        answers[0], answers[1] = False, False
        answers[1, 0] = True
        expect_equal(
            answer.is_polysemantic(answers, holds),
            two_minds(answers, holds),
            "which neurons answer to two unrelated concepts",
            mistakes=lambda a=answers, h=holds: {
                "In yours no neuron answers to two unrelated concepts, and some do.": torch.zeros(len(a)).bool(),
                "In yours every neuron answers to two unrelated concepts. Some answer to one, or to none.": (
                    torch.ones(len(a)).bool()
                ),
                "You look at concepts to which the neuron does not answer, too: BOTH of the two must be its own.": (
                    two_minds(a, h, "any other")
                ),
                "You count neurons with several concepts. Two of them must be unrelated: never at one word.": (
                    two_minds(a, h, "several")
                ),
                "You ask that ALL concepts of the neuron be unrelated. Two of them are enough.": two_minds(a, h, "all"),
                "You ask for concepts that are not the same. Unrelated ones share NO word.": two_minds(a, h, "differ"),
                "You have it the wrong way round: these neurons answer to concepts that do share words.": (
                    two_minds(a, h, "related")
                ),
            },
        )


@grades("05.11")
def test_one_concept_is_one(answer):
    """A concept that holds nowhere shares no word with itself, and is one concept all the same."""
    holds = torch.zeros(7, 3, dtype=torch.bool)
    holds[:3, 0], holds[3:5, 1] = True, True
    got = answer.is_polysemantic(torch.eye(3).bool(), holds)
    expect(
        got.tolist() == [False] * 3, "A neuron that answers to ONE concept is not polysemantic: compare two of them."
    )


# --- 05.12 ------------------------------------------------------------------------------------------------------------

CANDIDATES = {
    (2, 1): (beside(ONE, n_features=2), PAIR),
    (3, 2): (beside(ONE, ONE, n_features=3), beside(PAIR, ONE, n_features=3), polygon(3)),
    (4, 3): (beside(PAIR, ONE, ONE, n_features=4), beside(polygon(3), ONE, n_features=4), tetrahedron()),
    (5, 2): (
        polygon(5),
        beside(PAIR, PAIR, n_features=5),
        beside(PAIR, ONE, n_features=5),
        beside(polygon(3), n_features=5),
    ),
    (8, 3): (beside(PAIR, PAIR, PAIR, n_features=8), antiprism(), beside(polygon(5), PAIR, n_features=8)),
}
# (features, dimensions), sparsity, the candidate with the smallest loss: away from where two are as good
PREDICTIONS = (
    ((2, 1), 0.33, 1), ((3, 2), 0.1, 0), ((3, 2), 0.28, 2), ((3, 2), 0.4, 2), ((3, 2), 0.75, 1), ((4, 3), 0.3, 2),
    ((4, 3), 0.75, 0), ((5, 2), 0.6, 1), ((5, 2), 0.9, 0), ((8, 3), 0.93, 1),
)  # fmt: skip


@grades("05.12", weight=2)
def test_predictions(answer):
    """Which of several arrangements has the smallest loss, at several sparsities and seeds."""
    for seed, (size, sparsity, want) in enumerate(PREDICTIONS):
        candidates = [turned(W, seed) for W in CANDIDATES[size]]
        got = answer.predict_shape(candidates, sparsity, seed)
        expect(
            0 <= int(got) < len(candidates),
            f"Your prediction, {got}, is not the number of a candidate: there are {len(candidates)}, counted from 0.",
        )
        plain = at_fixed_size(candidates, sparsity)
        if got != want and got == plain:
            raise Wrong(
                f"With S = {sparsity} the candidate {want} has the smallest loss. Yours, {got}, is the best at "
                "length 1 and with b = 0. Each candidate may choose its length and its b: try all of them.",
                MISTAKE,
            )
        expect(
            got == want,
            f"For {size[0]} features in {size[1]} dimensions with S = {sparsity} the candidate {want} has the smallest "
            f"loss, and you say {got}. Take for each candidate its SMALLEST loss over all lengths and biases, and "
            "mind b of features that are not stored.",
        )


def at_fixed_size(candidates: list[Tensor], sparsity: float) -> int:
    n = candidates[0].shape[1]
    x, W = sparse(10_000, n, presence=1 - sparsity, seed=3), torch.stack(candidates)
    b = torch.where(W.norm(dim=1) > 0, 0.0, (1 - sparsity) / 2)
    return int(loss_of(W, b, x.expand(len(W), -1, -1), torch.ones(n)).argmin())


@grades("05.12", weight=3)
def test_what_training_finds(answer):
    """Your own training run, by its geometry, on several sizes and seeds."""
    for (n, m), sparsity, seed, want in (
        ((5, 2), 0.95, 21, [(5, 2)]),
        ((3, 2), 0.9, 22, [(2, 1), (1, 1)]),
        ((8, 3), 0.95, 23, [(8, 3)]),
        ((3, 2), 0.37, 24, [(3, 2)]),
        ((5, 2), 0.6, 0, [(2, 1), (2, 1)]),
    ):
        got = [tuple(int(v) for v in shape) for shape in answer.find_geometry(n, m, sparsity, seed)]
        expect(
            got == want,
            f"For {n} features in {m} dimensions with S = {sparsity} training finds the shapes {want}, and your "
            f"function says {got}. Train several models, and look at the one with the SMALLEST loss on fresh inputs.",
        )


@grades("05.12")
def test_the_best_of_several(answer):
    """Two features in one dimension, where many models get stuck with one of them, on several seeds."""
    for seed in (31, 32):
        got = [tuple(int(v) for v in shape) for shape in answer.find_geometry(2, 1, 0.9, seed)]
        expect(
            got == [(2, 1)],
            f"Two sparse features in one dimension end up opposite to each other, [(2, 1)], if training does not get "
            f"stuck. Your function says {got} with seed {seed}. Train eight at once and take the one with the smallest "
            "loss.",
        )
