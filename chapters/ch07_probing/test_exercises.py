"""The grader of chapter 07. It runs beside the learner's process, never in it: see mi_lib/course/grading.

Oracles are written differently from the reference answers: one text or one example after another, scikit-learn where it
has the thing, properties of the result where many results are right. Random models have biases and norm weights; texts
are padded on either side, so that a column that is not a text's own end shows. All sizes of a case are different.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import mi_lib
from mi_lib import probing
from mi_lib.course import findings, index
from mi_lib.course.grading import Wrong, expect, expect_close, grades
from mi_lib.course.grading.expectations import MISTAKE
from mi_lib.course.grading.material import generator, randn, random_transformer
from mi_lib.models import HookedModel
from mi_lib.probing.mdl import chances_after

D_VOCAB = 19
oracle_cache = functools.lru_cache(256)


class Texts(NamedTuple):
    """A network and padded texts, with two tokens to choose from after each."""

    model: HookedModel
    tokens: Tensor
    mask: Tensor
    one: Tensor
    other: Tensor

    def alone(self, i: int) -> Tensor:
        """Text i without padding, [1 pos]."""
        return self.tokens[i][self.mask[i]][None]

    def __hash__(self) -> int:
        return id(self.model)

    def __eq__(self, other: object) -> bool:
        return self is other


@functools.cache
def texts(layers: int, n: int, width: int, seed: int) -> Texts:
    """Texts of different lengths, some padded at the left and some at the right, and one that is not padded."""
    model = random_transformer(
        seed,
        scale=0.4,
        n_layers=layers,
        d_model=13,
        n_heads=3,
        d_head=5,
        d_vocab=D_VOCAB,
        n_ctx=16,
        d_mlp=17,
        act="gelu",
        norm="layernorm",
        attn_bias=True,
        unembed_bias=True,
    )
    source = generator(seed)
    tokens = torch.randint(0, D_VOCAB, (n, width), generator=source)
    mask = torch.zeros(n, width, dtype=torch.bool)
    for i in range(n):
        length = width if i == 1 else int(torch.randint(2, width, (1,), generator=source))
        mask[i, slice(0, length) if i % 3 else slice(width - length, width)] = True
    likely = torch.stack([model(tokens[i][mask[i]][None])[0, -1] for i in range(n)]).topk(2).indices
    swap = torch.arange(n) % 2 == 0  # either of the two may be the likelier one
    one, other = torch.where(swap, likely[:, 0], likely[:, 1]), torch.where(swap, likely[:, 1], likely[:, 0])
    return Texts(model, tokens, mask, one, other)


def cases() -> tuple[Texts, ...]:
    return texts(3, 7, 9, 1), texts(2, 11, 6, 2)


def more_cases() -> tuple[Texts, ...]:
    """With more texts, so that answers that turn over in another way show."""
    return texts(3, 29, 8, 3), texts(2, 23, 6, 4)


def blobs(n: int, d: int, classes: int, seed: int, apart: float = 1.5, uneven: bool = True) -> tuple[Tensor, Tensor]:
    """Classes of unequal sizes around random centres far from 0, with a spread that differs by direction."""
    source = generator(seed)
    y = torch.randint(0, classes, (n,), generator=source)
    if uneven:
        y = torch.where(torch.rand(n, generator=source) < 0.4, 0, y)
    y[: 2 * classes] = torch.arange(2 * classes) % classes
    turn = randn(d, d, seed=500 + seed) / math.sqrt(d) + torch.eye(d)
    spread = torch.linspace(0.3, 2.0, d)
    return (apart * randn(classes, d, seed=700 + seed)[y] + spread * randn(n, d, seed=900 + seed)) @ turn + 4.0, y


# --- 07.1 -------------------------------------------------------------------------------------------------------------


@oracle_cache
def stream(case: Texts, pick: str = "end") -> Tensor:
    """[depth text d]: one text after another, without padding. pick: another place, for known mistakes."""
    last = case.model.cfg.n_layers
    sites = [*(("resid_pre", depth) for depth in range(last)), ("resid_post", last - 1)]
    rows = []
    for i in range(len(case.tokens)):
        _, cache = case.model.run_with_cache(case.alone(i), sites)
        values = torch.stack([cache[site][0] for site in sites])
        rows.append(values.mean(1) if pick == "mean" else values[:, {"end": -1, "start": 0, "before": -2}[pick]])
    return torch.stack(rows, 1)


def padded_stream(case: Texts, column: str, masked: bool = True) -> Tensor:
    """[depth text d] of a run of the padded batch, at a column that may be wrong."""
    last, width = case.model.cfg.n_layers, case.tokens.shape[1]
    sites = [*(("resid_pre", depth) for depth in range(last)), ("resid_post", last - 1)]
    _, cache = case.model.run_with_cache(case.tokens, sites, attention_mask=case.mask if masked else None)
    own = torch.stack([row.nonzero()[-1, 0] for row in case.mask])
    where = {"last": torch.full_like(own, width - 1), "count": case.mask.sum(1) - 1, "own": own}[column]
    return torch.stack([cache[site][torch.arange(len(own)), where] for site in sites])


@grades("07.1", weight=2)
def test_each_texts_own_end_at_every_depth(answer):
    """Two random models, texts padded on either side, compared with a run of each text alone."""
    for case in cases():
        want = stream(case)
        after = torch.stack([*want[1:], want[-1]])
        expect_close(
            answer.collect(case.model, case.tokens, case.mask),
            want,
            "the activations",
            axes="depth text d_model",
            atol=1e-4,
            rtol=1e-3,
            mistakes=lambda case=case, want=want, after=after: {
                "You read the last column. In a text that is padded at the right there is padding: read at "
                "text_positions(tokens, mask).": padded_stream(case, "last"),
                "You count the real tokens and read at that column. Padding may also stand at the left: read at "
                "text_positions(tokens, mask).": padded_stream(case, "count"),
                "The model was not told which tokens are padding, and attended to it. Give it attention_mask=mask.": (
                    padded_stream(case, "own", masked=False)
                ),
                "The last depth is missing: what leaves the last block.": want[:-1],
                "The last depth is what ENTERS the last block once more. Take resid_post there: what leaves it.": (
                    torch.stack([*want[:-1], want[-2]])
                ),
                "You read what LEAVES each block. Depth k is what enters block k.": after[:-1],
                "You read what LEAVES each block. Depth k is what enters block k. ": after,
                "You average over positions. Read each text's last token.": stream(case, "mean"),
                "This is the first token of each text. Read the last one.": stream(case, "start"),
                "This is the token before the last one.": stream(case, "before"),
            },
        )


@grades("07.1")
def test_a_trained_model(answer):
    """A bundled model, and texts of its words."""
    model = mi_lib.load("induction-2l", check=False)
    rows = [torch.randint(1, 60, (length,), generator=generator(length)).tolist() for length in (3, 8, 5)]
    tokens, mask = torch.zeros(3, 8, dtype=torch.long), torch.zeros(3, 8, dtype=torch.bool)
    for i, row in enumerate(rows):
        where = slice(0, len(row)) if i == 2 else slice(8 - len(row), 8)
        tokens[i, where], mask[i, where] = torch.tensor(row), True
    want = probing.collect(model, rows, [("resid_pre", 0), ("resid_pre", 1), ("resid_post", 1)])[:, 0]
    got = answer.collect(model, tokens, mask)
    expect_close(got, want, "the activations", axes="depth text d_model", atol=1e-3, rtol=1e-3)


# --- 07.2 and 07.3 ----------------------------------------------------------------------------------------------------

TWO = ((43, 5, 2, 1), (67, 3, 2, 2), (29, 11, 2, 3))  # examples, width, classes, seed


def probe_slips(x: Tensor, y: Tensor, direction: Tensor) -> dict[str, float]:
    """Biases that put the border elsewhere, by the sentence."""
    x, direction = x.double(), direction.double()
    means = torch.stack([x[y == k].mean(0) for k in (0, 1)])
    return {
        "The bias is 0. Activations do not lie around 0: the border must go through the middle between the means.": 0.0,
        "You centre at the mean of ALL examples. Where one class has more of them, that is not the middle between "
        "the two means.": -float(x.mean(0) @ direction),
        "The sign of the bias is wrong: at the middle, x · direction + bias must be 0.": float(
            means.mean(0) @ direction
        ),
        "You subtract μ₀ + μ₁ instead of half of it.": -2 * float(means.mean(0) @ direction),
        "The bias is that of a direction of length 1, and yours is longer. Use the direction that you return.": -float(
            means.mean(0) @ direction / direction.norm()
        ),
        "The border goes through the mean of class 0. It belongs in the middle.": -float(means[0] @ direction),
        "The border goes through the mean of class 1. It belongs in the middle.": -float(means[1] @ direction),
    }


@grades("07.2")
def test_the_direction_leads_from_mean_to_mean(answer):
    """Classes of unequal sizes, far from 0."""
    for size in TWO:
        x, y = blobs(*size)
        direction, _ = answer.mass_mean(x, y)
        zero, one = (torch.stack([row for row, label in zip(x, y, strict=True) if label == k]).mean(0) for k in (0, 1))
        expect_close(
            direction,
            one - zero,
            "the direction",
            axes="d",
            mistakes={
                "The direction is reversed: it leads to class 1.": zero - one,
                "You have divided by its length. It is the difference itself.": (one - zero) / (one - zero).norm(),
                "This is the mean of class 1 alone. Subtract that of class 0.": one,
                "These are sums. Take means.": x[y == 1].sum(0) - x[y == 0].sum(0),
            },
        )


@grades("07.2", weight=2)
def test_the_border_is_in_the_middle(answer):
    """Also where one class has many more examples than the other."""
    for size in TWO:
        x, y = blobs(*size)
        direction, bias = answer.mass_mean(x, y)
        middle = (x[y == 0].double().mean(0) + x[y == 1].double().mean(0)) / 2
        want = -float(middle @ direction.double())
        expect_close(bias, want, "the bias", atol=1e-2, rtol=1e-3, mistakes=probe_slips(x, y, direction))


@oracle_cache
def spread_within(size: tuple[int, ...], shrink: float, slip: str = "") -> Tensor:
    """Σ, summed over examples one by one. slip: a known mistake."""
    x, y = blobs(*size)
    x = x.double()
    centre = {int(k): x[y == k].mean(0) for k in (0, 1)}
    sigma = torch.zeros(x.shape[1], x.shape[1], dtype=torch.double)
    for row, label in zip(x, y.tolist(), strict=True):
        away = row - (x.mean(0) if slip == "total" else 0 if slip == "raw" else centre[label])
        sigma += torch.outer(away, away)
    sigma /= {"n": len(x), "n-1": len(x) - 1}.get(slip, len(x) - 2)
    if slip == "mean of each":
        sigma = sum(torch.cov(x[y == k].T) for k in (0, 1)) / 2  # type: ignore[assignment]
    scale = {"plain identity": 1.0, "trace": float(sigma.trace())}.get(slip, float(sigma.diagonal().mean()))
    if slip == "no shrink":
        return sigma
    if slip == "sum":
        return sigma + shrink * scale * torch.eye(len(sigma), dtype=torch.double)
    if slip == "exchanged":
        return shrink * sigma + (1 - shrink) * scale * torch.eye(len(sigma), dtype=torch.double)
    if slip == "own diagonal":
        return (1 - shrink) * sigma + shrink * torch.diag(sigma.diagonal())
    return (1 - shrink) * sigma + shrink * scale * torch.eye(len(sigma), dtype=torch.double)


SPREAD_SLIPS = {
    "total": "Σ is the covariance WITHIN classes: subtract from each row the mean of its own class, not that of all.",
    "raw": "You have not centred. Subtract from each row the mean of its own class.",
    "n": "You divide by n. Two means were fitted: divide by n − 2.",
    "n-1": "You divide by n − 1. Two means were fitted: divide by n − 2.",
    "mean of each": "You average the two classes' covariances. Pool the rows: the larger class counts for more.",
    "plain identity": "The identity must be multiplied by the mean of the diagonal of Σ.",
    "trace": "The identity is multiplied by the SUM of the diagonal of Σ. Take its mean.",
    "own diagonal": "You mix Σ with its own diagonal. Mix it with the identity: every direction gets the same amount.",
    "no shrink": "Σ was inverted as it is. Mix it with the identity first.",
    "sum": "You add to Σ. Mix: (1 − shrink) Σ + ….",
    "exchanged": "shrink and 1 − shrink are exchanged.",
}


@grades("07.3", weight=2)
def test_the_direction_is_corrected(answer):
    """Several mixtures, compared with sums over examples."""
    for size, shrink in itertools.product(TWO, (0.0, 0.15, 0.6)):
        x, y = blobs(*size)
        direction, _ = answer.corrected(x, y, shrink)
        away = (x[y == 1].double().mean(0) - x[y == 0].double().mean(0)).double()
        sigma = spread_within(size, shrink)
        values, vectors = torch.linalg.eigh(sigma)
        expect_close(
            direction,
            torch.linalg.inv(sigma) @ away,
            "Σ⁻¹ (μ₁ − μ₀)",
            axes="d",
            atol=1e-3,
            rtol=2e-3,
            mistakes=lambda away=away, sigma=sigma, values=values, vectors=vectors, size=size, shrink=shrink: {
                **{
                    sentence: torch.linalg.inv(spread_within(size, shrink, slip)) @ away
                    for slip, sentence in SPREAD_SLIPS.items()
                },
                "You multiply by Σ. Multiply by its inverse.": sigma @ away,
                "You multiply by Σ^(−1/2). Multiply by Σ⁻¹.": vectors @ torch.diag(values**-0.5) @ vectors.T @ away,
                "The direction is reversed: it leads to class 1.": -torch.linalg.inv(sigma) @ away,
                "This is the difference of the means, not corrected.": away,
                "You divide each number by its own variance. Use the whole matrix.": away / sigma.diagonal(),
                "You have divided by its length. It is Σ⁻¹ (μ₁ − μ₀) as it comes.": torch.nn.functional.normalize(
                    torch.linalg.inv(sigma) @ away, dim=0
                ),
            },
        )


@grades("07.3")
def test_the_corrected_border_is_in_the_middle(answer):
    """Also where one class has many more examples than the other."""
    for size in TWO:
        x, y = blobs(*size)
        direction, bias = answer.corrected(x, y, 0.2)
        middle = (x[y == 0].double().mean(0) + x[y == 1].double().mean(0)) / 2
        want = -float(middle @ direction.double())
        slips = {**probe_slips(x, y, direction), **uncorrected(x, y)}
        expect_close(bias, want, "the bias", atol=1e-2, rtol=2e-3, mistakes=slips)


def uncorrected(x: Tensor, y: Tensor) -> dict[str, float]:
    bias = -float(x[y == 1].mean(0).square().sum() - x[y == 0].mean(0).square().sum()) / 2
    return {"This is the bias of the probe that is not corrected. Use the new direction.": bias}


# --- 07.4 -------------------------------------------------------------------------------------------------------------

MANY = ((53, 7, 3, 4), (71, 5, 2, 5), (89, 4, 6, 6))


@oracle_cache
def ridge_of(size: tuple[int, ...], penalty: float, slip: str = "") -> tuple[Tensor, Tensor]:
    """(W, b), by the normal equations with a column of ones that is not penalised. slip: a known mistake."""
    x, y = blobs(*size)
    return ridge_on(x, y, size[2], penalty, slip)


def ridge_on(x: Tensor, y: Tensor, classes: int, penalty: float, slip: str = "") -> tuple[Tensor, Tensor]:
    x = x.double()
    away = x - x.mean(0)
    size = float((away**2).sum(0).mean())
    weight = {
        "absolute": penalty,
        "raw": penalty * float((x**2).sum(0).mean()),
        "per example": penalty * size / len(x),
        "trace": penalty * size * x.shape[1],
    }
    amount = weight.get(slip, penalty * size)
    target = torch.zeros(len(x), classes, dtype=torch.double)
    target[torch.arange(len(x)), y] = 1
    if slip == "through zero":
        amount = penalty * float((x**2).sum(0).mean())
        W = torch.linalg.solve(x.T @ x + amount * torch.eye(x.shape[1], dtype=x.dtype), x.T @ target).T
        return W, torch.zeros(classes, dtype=x.dtype)
    design = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
    damp = amount * torch.eye(design.shape[1], dtype=x.dtype)
    if slip != "bias too":
        damp[-1, -1] = 0
    W = torch.linalg.solve(design.T @ design + damp, design.T @ target).T
    if slip == "no penalty":
        W = torch.linalg.lstsq(design, target).solution.T
    return W[:, :-1], W[:, -1]


RIDGE_SLIPS = {
    "absolute": "λ is `penalty` alone. Multiply it by the mean of the diagonal of x̃ᵀ x̃.",
    "raw": "λ is taken from x as it is. Centre first: the diagonal is that of x̃ᵀ x̃.",
    "per example": "λ is divided by the number of examples. x̃ᵀ x̃ is a sum, and so is its diagonal.",
    "trace": "λ is taken from the SUM of the diagonal of x̃ᵀ x̃. Take its mean.",
    "through zero": "Nothing was centred, and there is no bias: the probe's border must go through 0.",
    "bias too": "The bias is penalised like a weight. Centre x and the labels, and it is not.",
    "no penalty": "There is no penalty.",
}


def as_one(W: Tensor, b: Tensor) -> Tensor:
    return torch.cat([W.double(), b.double()[:, None]], 1)


@grades("07.4", weight=2)
def test_ridge_for_many_classes(answer):
    """Two to six classes of unequal sizes, several penalties, compared with normal equations with a column of ones."""
    for size, penalty in itertools.product(MANY, (0.003, 0.4)):
        x, y = blobs(*size)
        W, b = answer.ridge(x, y, size[2], penalty)
        want = ridge_of(size, penalty)
        expect_close(torch.zeros(W.shape), torch.zeros(want[0].shape), "W", axes="class d")
        expect_close(torch.zeros(b.shape), torch.zeros(want[1].shape), "b", axes="class")
        shares = torch.bincount(y, minlength=size[2]) / len(y)
        expect_close(
            as_one(W, b),
            as_one(*want),
            "W and b",
            axes="class d+1",
            atol=2e-4,
            rtol=2e-3,
            mistakes=lambda size=size, penalty=penalty, want=want, shares=shares: {
                **{sentence: as_one(*ridge_of(size, penalty, slip)) for slip, sentence in RIDGE_SLIPS.items()},
                "W is right, and b is the shares of the classes. That would be the score of an x of 0: subtract "
                "W @ mean.": as_one(want[0], shares),
                "W is right, and b lacks the shares of the classes.": as_one(want[0], want[1] - shares),
                "W is right, and b is 0.": as_one(want[0], 0 * want[1]),
                "W is right, and b adds W @ mean. Subtract it: at the mean the scores are the shares.": as_one(
                    want[0], 2 * shares - want[1]
                ),
                "You fit the scores to −1 and 1. One-hot labels are 0 and 1.": as_one(2 * want[0], 2 * want[1] - 1),
            },
        )


@functools.cache
def layered() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Three depths, of which the middle one tells the classes apart best, and held-out examples of other sizes."""
    y = torch.randint(0, 3, (61,), generator=generator(9))
    held_y = torch.randint(0, 3, (47,), generator=generator(10))
    centres = randn(3, 6, seed=11)
    x, held = randn(4, 61, 6, seed=12), randn(4, 47, 6, seed=13)
    for depth, strength in enumerate((0.0, 0.6, 1.6, 0.9)):
        x[depth] += strength * centres[y] + depth
        held[depth] += strength * centres[held_y] + depth
    return x, y, held, held_y


@grades("07.4")
def test_accuracy_at_each_depth(answer):
    """Four depths, read on examples that were not fitted."""
    x, y, held, held_y = layered()

    def shares(fit_on: Tensor, labels: Tensor, read: Tensor, asked: Tensor) -> Tensor:
        found = []
        for a, b in zip(fit_on, read, strict=True):
            W, bias = ridge_on(a, labels, 3, 0.05)
            scores = [W @ row.double() + bias for row in b]
            found.append(np.mean([int(s.argmax()) == int(k) for s, k in zip(scores, asked, strict=True)]))
        return torch.tensor(found)

    expect_close(
        answer.accuracies(x, y, held, held_y, 3, 0.05),
        shares(x, y, held, held_y),
        "the accuracies",
        axes="depth",
        atol=1e-4,
        mistakes=lambda: {
            "You read the examples that were fitted. Read held_x.": shares(x, y, x, y),
            "You fit on the held-out examples. Fit on x, and read held_x.": shares(held, held_y, held, held_y),
            "Fitted and held-out examples are exchanged.": shares(held, held_y, x, y),
            "These are shares of errors. Return the share that is right.": 1 - shares(x, y, held, held_y),
            "You centre the held-out examples at their own mean. A probe keeps the mean of what it was fitted on.": (
                shares(x, y, held - held.mean(1, keepdim=True) + x.mean(1, keepdim=True), held_y)
            ),
            "The probe of the first depth is read at all depths. Fit one at each.": shares(
                x[:1].expand(4, -1, -1), y, held, held_y
            ),
        },
    )


# --- 07.5 -------------------------------------------------------------------------------------------------------------

NOUNS, OTHERS = ["key", "lamp", "dog", "boat", "cup", "wall", "bell"], ["tree", "door", "horse", "stone", "key"]


@functools.cache
def combinations(seed: int, each: int = 3) -> tuple[tuple[str, str], ...]:
    """Pairs that occur more or less often, in any order; some words stand in one pair alone."""
    source = np.random.default_rng(seed)
    pairs = [(a, b) for a in NOUNS for b in OTHERS if a != b]
    rows = [pair for i, pair in enumerate(pairs) for _ in range(1 + (i * 7 + seed) % each)]
    rows += [("rare", "tree"), ("key", "seldom"), ("rare", "tree")]
    rows += [("tree", "lamp"), ("door", "dog"), ("stone", "boat")]  # words known from the other place alone
    source.shuffle(rows)
    return tuple(map(tuple, rows))


def ring(each: int) -> tuple[tuple[str, str], ...]:
    """Every word stands in few combinations, so that soon one more would be one too many."""
    return tuple((f"a{i}", f"b{(i + k) % 10}") for i in range(10) for k in range(each) for _ in range(2))


def leaked(rows: list[tuple[str, str]], held: list[bool], slip: str = "") -> float:
    read = [pair for pair, out in zip(rows, held, strict=True) if out]
    fitted = [pair for pair, out in zip(rows, held, strict=True) if not out]
    if slip == "different":
        read = list(dict.fromkeys(read))
    if slip == "of fitted":
        read, fitted = fitted, read
    if slip == "any order":
        return sum(pair in fitted or pair[::-1] in fitted for pair in read) / len(read)
    if slip == "words":
        known = {word for pair in fitted for word in pair}
        return sum(any(word in known for word in pair) for pair in read) / len(read)
    if slip == "of all":
        return sum(pair in fitted for pair in read) / len(rows)
    return sum(pair in fitted for pair in read) / len(read)


@grades("07.5")
def test_how_much_leaks(answer):
    """Cuts that leak much, little, and not at all."""
    rows = list(combinations(1))
    some = torch.arange(len(rows)) % 4 == 0
    by_word = torch.tensor([pair[0] in ("lamp", "dog") for pair in rows])
    few = by_word.clone()
    few[[i for i, pair in enumerate(rows) if pair[0] == "dog"][:3]] = False
    ends = [("a", "x"), ("a", "x"), ("b", "y"), ("c", "z"), ("b", "x"), ("b", "y")]  # who leaks is first, or last
    for rows, held in (
        *((list(combinations(1)), held) for held in (some, ~some, by_word, few)),
        (ends, torch.tensor([False, True, True, False, True, False])),
        (ends, torch.tensor([True, False, False, False, True, True])),
    ):
        expect_close(
            answer.leaks(rows, held),
            leaked(rows, held.tolist()),
            "the share that leaks",
            atol=1e-6,
            mistakes={
                "You count each combination once. Count the examples that are held out.": leaked(
                    rows, held.tolist(), "different"
                ),
                "You look at the fitted examples. Of those that are HELD OUT, which share has a combination that is "
                "fitted?": leaked(rows, held.tolist(), "of fitted"),
                "You divide by all examples. Divide by those that are held out.": leaked(rows, held.tolist(), "of all"),
                "A single word that is known is no leak. Compare whole combinations.": leaked(
                    rows, held.tolist(), "words"
                ),
                "You take (a, b) and (b, a) for the same. Who stands first matters: compare pairs in their order.": (
                    leaked(rows, held.tolist(), "any order")
                ),
                "This is the share that does not leak.": 1 - leaked(rows, held.tolist()),
            },
        )


@grades("07.5", weight=3)
def test_a_cut_by_combination(answer):
    """Several sets of pairs, shares and seeds: no leak, every word fitted, the right number, the seed decides."""
    scarce = [(ring(2), 0.25, seed) for seed in range(6)] + [(ring(3), 0.5, seed) for seed in range(6)]
    common = [(combinations(material), share, 4 + material) for material, share in ((2, 0.35), (3, 0.1), (1, 0.2))]
    for material, share, seed in (*common, *scarce):
        rows = list(material)
        held = answer.split(rows, share, seed)
        expect(
            held.shape == (len(rows),),
            f"There must be one entry for each of {len(rows)} examples, but yours has {list(held.shape)}.",
        )
        out = held.bool().tolist()
        expect(any(out), "Nothing is held out.")
        expect(not all(out), "Nothing is left to fit.")
        if leaked(rows, out):
            pair = next(p for p, o in zip(rows, out, strict=True) if o and (p, False) in zip(rows, out, strict=True))
            raise Wrong(
                f"Examples of {pair} are on both sides. Draw among the different combinations, not among examples.",
                MISTAKE,
            )
        distinct, gone = set(rows), {pair for pair, o in zip(rows, out, strict=True) if o}
        known = {(place, pair[place]) for pair in distinct - gone for place in (0, 1)}
        lost = sorted(pair for pair in gone if not all((place, pair[place]) in known for place in (0, 1)))
        if lost:
            raise Wrong(
                f"{lost[0]} is held out, and one of its words is fitted nowhere at this place. Every word must be "
                "known from another combination.",
                MISTAKE,
            )
        wanted, examples = round(share * len(distinct)), round(share * len(rows))
        if len(gone) != wanted:
            counted = f"You hold out {len(gone)} of {len(distinct)} different combinations; with share {share} it is "
            why = " Count different combinations, not examples." if abs(sum(out) - examples) <= 2 else ""
            raise Wrong(f"{counted}{wanted}.{why}", MISTAKE if why else 1)
        again, other = answer.split(rows, share, seed), answer.split(rows, share, seed + 50)
        expect(torch.equal(held.bool(), again.bool()), "The same seed gave another cut. All chance must come from it.")
        expect(not torch.equal(held.bool(), other.bool()), "Another seed gave the same cut. Let the seed decide.")
    many = list(combinations(3))
    often: Counter[tuple[str, str]] = Counter()
    for seed in range(24):
        gone = {pair for pair, o in zip(many, answer.split(many, 0.1, seed).tolist(), strict=True) if o}
        lost = sorted(gone & {("tree", "lamp"), ("door", "dog"), ("stone", "boat"), ("rare", "tree")})
        if lost:
            raise Wrong(
                f"{lost[0]} is held out, and one of its words is fitted nowhere at this place: elsewhere it stands at "
                "the OTHER place of a pair, or not at all.",
                MISTAKE,
            )
        often.update(gone)
    expect(len(often) > 10, "Over many seeds the same few combinations are held out. Let the seed draw among all.")


@grades("07.5")
def test_the_order_of_the_examples_does_not_matter(answer):
    """Many pairs, in two orders, with the same seed."""
    # The order of a set depends on what went into it first only where two hashes collide: with so many pairs some do.
    rows = [(f"a{i}", f"b{j}") for i in range(13) for j in range(17)]
    for seed in (1, 2):
        order = torch.randperm(len(rows), generator=generator(seed)).tolist()
        held, again = answer.split(rows, 0.3, seed), answer.split(rows, 0.3, seed)
        expect(torch.equal(held.bool(), again.bool()), "The same seed gave another cut. All chance must come from it.")
        moved = answer.split([rows[i] for i in order], 0.3, seed)
        if not torch.equal(held.bool()[order], moved.bool()):
            raise Wrong(
                "The same examples in another order, and the same seed holds out other combinations. In another run of "
                "Python a set has another order, too: sort the combinations before you draw.",
                MISTAKE,
            )


# --- 07.6 -------------------------------------------------------------------------------------------------------------

WORDS = [
    f"{start}{end}" for start in ("ba", "ke", "lo", "mi", "nu", "so", "ti") for end in ("rk", "mp", "ne", "d", "ll")
]


@grades("07.6", weight=3)
def test_a_label_for_each_type(answer):
    """Words that occur once and often, in several calls, with few classes and many."""
    rows = [WORDS[(i * i + i // 3) % len(WORDS)] for i in range(180)]
    for classes, seed in ((2, 3), (7, 4)):
        labels = answer.control_labels(rows, classes, seed)
        expect(
            labels.shape == (len(rows),),
            f"There must be one label for each of {len(rows)} examples, but yours has {list(labels.shape)}.",
        )
        got = labels.tolist()
        low, high = min(got), max(got)
        expect(low >= 0 and high < classes, f"Labels must be 0 … {classes - 1}, but yours go from {low} to {high}.")
        by_word: dict[str, set[int]] = {}
        for word, label in zip(rows, got, strict=True):
            by_word.setdefault(word, set()).add(label)
        if any(len(labels) > 1 for labels in by_word.values()):
            raise Wrong(
                "A word has different labels at different examples. Such labels nobody can learn: draw one for each "
                "TYPE.",
                MISTAKE,
            )
        own = {word: labels.copy().pop() for word, labels in by_word.items()}
        some = [*reversed(WORDS[3:20:2]), "never", "met"]
        later = answer.control_labels(some, classes, seed).tolist()
        if any(own.get(word, label) != label for word, label in zip(some, later, strict=True)):
            raise Wrong(
                "In another call, with other words around it, a word has another label. Fitted and held-out texts "
                "would have different tasks: let the word and the seed alone decide.",
                MISTAKE,
            )
        expect(
            answer.control_labels(rows, classes, seed).tolist() == got,
            "The same call gave other labels. All chance must come from the seed.",
        )
        expect(
            answer.control_labels(rows, classes, seed + 100).tolist() != got,
            "Another seed gave the same labels. Let it decide.",
        )


@grades("07.6")
def test_every_class_is_as_likely(answer):
    """Nine hundred words: how often each class comes, and whether the seeds and the words know of each other."""
    many = [f"{word}{i}" for i in range(30) for word in WORDS[:30]]
    for classes in (3, 2):
        first, second = (answer.control_labels(many, classes, seed) for seed in (11, 12))
        share = torch.bincount(first.long(), minlength=classes) / len(many)
        expect(
            float((share - 1 / classes).abs().max()) < 0.07,
            f"Each of {classes} classes should be as likely, and of {len(many)} words yours get the shares "
            f"{', '.join(f'{s:.2f}' for s in share.tolist())}.",
        )
        same = float((first == second).float().mean())
        expect(abs(same - 1 / classes) < 0.09, f"With two seeds {same:.0%} of the labels are the same: draw them anew.")
    plural = answer.control_labels([f"{word}s" for word in many], 2, 11)  # first, second: of two classes
    same = float((first == plural).float().mean())
    if abs(same - 0.5) >= 0.09:
        raise Wrong(
            f"A word and its plural have the same label in {same:.0%} of the cases: lamp and lamps are two types. The "
            "label of one must tell nothing about that of the other.",
            MISTAKE,
        )
    by_length = answer.control_labels([f"w{'o' * (i % 7)}{i}" for i in range(700)], 2, 5).float()
    table = torch.stack([by_length[i::7].mean() for i in range(7)])
    expect(float((table - 0.5).abs().max()) < 0.2, "How long a word is tells its label. It must tell nothing.")


@grades("07.6")
def test_selectivity_of_a_probe(answer):
    """Labels that are easy, controls that are learnt and controls that are not."""
    x, y, held, held_y = layered()
    for depth, seed in ((2, 1), (1, 2)):
        control = torch.randint(0, 3, (len(y),), generator=generator(40 + seed))
        held_control = torch.where(held_y == 1, 1, torch.randint(0, 3, (len(held_y),), generator=generator(60 + seed)))

        def share(labels: Tensor, asked: Tensor, read: Tensor = held, depth: int = depth) -> float:
            W, b = ridge_on(x[depth], labels, 3, 0.01)
            return float(((read[depth].double() @ W.T + b).argmax(1) == asked).double().mean())

        own, other = share(y, held_y), share(control, held_control)
        expect_close(
            answer.selectivity(x[depth], y, control, held[depth], held_y, held_control, 3),
            own - other,
            "the selectivity",
            atol=1e-5,
            mistakes={
                "The sign is wrong: accuracy on the labels minus accuracy on the control.": other - own,
                "This is the accuracy on the labels. Subtract that on the control.": own,
                "The second probe must be FITTED on the control too. Yours was fitted on the labels.": own
                - share(y, held_control),
                "Both probes are read on the examples that were fitted. Read held_x.": share(y, y, x)
                - share(control, control, x),
                "You subtract chance. Subtract the accuracy on the control.": own - 1 / 3,
                "This is a quotient. Selectivity is a difference.": own / other,
            },
        )


@grades("07.6")
def test_the_penalty_of_both_probes(answer):
    """Few examples in many dimensions, where a penalty counts."""
    x, held = randn(17, 13, seed=21), randn(3000, 13, seed=22)
    way = randn(13, seed=23)
    y, control = ((x @ w > 0).long() for w in (way, randn(13, seed=24)))
    held_y, held_control = ((held @ w > 0.3).long() for w in (way, randn(13, seed=25)))

    def share(labels: Tensor, asked: Tensor, penalty: float) -> float:
        W, b = ridge_on(x, labels, 2, penalty)
        return float(((held.double() @ W.T + b).argmax(1) == asked).double().mean())

    def both(first: float, second: float) -> float:
        return share(y, held_y, first) - share(control, held_control, second)

    expect_close(
        answer.selectivity(x, y, control, held, held_y, held_control, 2),
        both(0.01, 0.01),
        "the selectivity",
        atol=2e-4,
        mistakes={"The penalty of both probes is 0.01.": both(0.0, 0.0)},
    )


# --- 07.7 -------------------------------------------------------------------------------------------------------------


def fit(a: Tensor, b: Tensor, k: int) -> Any:
    return probing.mass_mean(a, b, k, covariance=True, shrink=0.1)


@oracle_cache
def bits(size: tuple[int, ...], ends: tuple[int, ...], slip: str = "") -> float:
    """The code's length, label by label. slip: a known mistake."""
    x, y = blobs(*size, apart=0.7)
    classes, total = size[2], 0.0
    for i, label in enumerate(y.tolist()):
        seen = max((end for end in ends if end <= i), default=0)
        before = max((end for end in ends if end < seen), default=0)
        if i < ends[0]:
            total += 0 if slip == "free" else (1.0 if slip == "one bit" else math.log2(classes))
            continue
        start = before if slip == "last block" else 0
        stop = min(end for end in ends if end > i) if slip == "own block" else len(x) if slip == "all" else seen
        if slip == "first alone":
            stop = ends[0]
        said = one_chance(size, start, stop, i)
        p = said.max() if slip == "likeliest" else said[label]
        total -= math.log(float(p)) if slip == "nats" else math.log2(float(p))
    return total / (len(x) if slip == "mean" else 1)


@oracle_cache
def all_chances(size: tuple[int, ...], start: int, stop: int) -> Tensor:
    x, y = blobs(*size, apart=0.7)
    return chances_after(fit, x[start:stop], y[start:stop], x, size[2])


def one_chance(size: tuple[int, ...], start: int, stop: int, i: int) -> Tensor:
    return all_chances(size, start, stop)[i]


BITS_SLIPS = {
    "free": "The first block costs nothing in yours. Nobody knows its labels yet: log2 of n_classes bits for each.",
    "one bit": "A label of the first block costs log2 of n_classes bits, not one.",
    "last block": "You fit on the block before alone. Fit on ALL blocks before.",
    "own block": "You fit on the block that is to be sent, too. The one who decodes does not have its labels yet.",
    "first alone": "You fit once, on the first block. Fit anew after every block, on ALL blocks before.",
    "likeliest": "You take the probability of the likeliest class. Take that of the TRUE one: who is wrong pays.",
    "all": "You fit on all examples. The one who decodes does not have the labels yet.",
    "nats": "These are nats (natural logarithm), but for the first block. Use log2.",
    "mean": "This is the length for one label. Return the length of all.",
}


@grades("07.7")
def test_the_length_of_a_code(answer):
    """Two to five classes, blocks of several sizes, compared label by label."""
    for size, ends in (((83, 5, 2, 21), (7, 30, 83)), ((97, 4, 5, 22), (11, 23, 50, 97)), ((59, 3, 3, 23), (20, 59))):
        x, y = blobs(*size, apart=0.7)
        counted = bits(size, ends)
        expect_close(
            answer.online_bits(x, y, size[2], list(ends)),
            counted,
            "the length of the code",
            atol=1e-2,
            rtol=1e-4,
            mistakes=lambda size=size, ends=ends, counted=counted: {
                **{sentence: bits(size, ends, slip) for slip, sentence in BITS_SLIPS.items()},
                "These are nats (natural logarithm), all of them. Use log2.": counted * math.log(2),
                "The sign is wrong: −log2 p is positive.": 2 * ends[0] * math.log2(size[2]) - counted,
                "This is how many bits are SAVED. Return the length of the code.": size[0] * math.log2(size[2])
                - counted,
                "This is the compression. Return the length of the code.": size[0] * math.log2(size[2]) / counted,
            },
        )


@grades("07.7")
def test_one_block_is_sent_as_it_is(answer):
    """One block alone: nothing is fitted."""
    x, y = blobs(31, 4, 6, 24)
    expect_close(answer.online_bits(x, y, 6, [31]), 31 * math.log2(6), "the length of one block", atol=1e-3)


# --- 07.8 -------------------------------------------------------------------------------------------------------------


@functools.cache
def two_ways() -> tuple[Tensor, ...]:
    """Two templates that say it in opposite ways, so that each probe is mostly wrong about the other's texts."""
    templates, held_templates = torch.arange(37) % 2, (torch.arange(938) % 5 == 0).long()
    y, held_y = (torch.randint(0, 2, (n,), generator=generator(20 + n)) for n in (37, 938))
    way = 0.5 * randn(13, seed=57)

    def said_so(y: Tensor, templates: Tensor, seed: int) -> Tensor:
        return ((2 * y - 1) * (1 - 2 * templates)).float()[:, None] * way + 0.8 * randn(len(y), 13, seed=seed) - 1

    return said_so(y, templates, 58), y, templates, said_so(held_y, held_templates, 59), held_y, held_templates


@functools.cache
def said_in_ways() -> tuple[Tensor, ...]:
    """Three templates that say a label in ways that overlap in part; another number of texts of each."""
    templates = torch.tensor([0] * 37 + [1] * 29 + [2] * 43)[torch.randperm(109, generator=generator(5))]
    held_templates = torch.tensor([0] * 19 + [1] * 31 + [2] * 23)[torch.randperm(73, generator=generator(6))]
    y = torch.randint(0, 3, (109,), generator=generator(7))
    held_y = torch.randint(0, 3, (73,), generator=generator(8))
    ways = randn(3, 3, 8, seed=50)
    ways[1] = 0.7 * ways[0] + 0.5 * ways[1]
    x = 1.3 * ways[templates, y] + randn(109, 8, seed=51) + 2
    held = 1.3 * ways[held_templates, held_y] + randn(73, 8, seed=52) + 2
    return x, y, templates, held, held_y, held_templates


@oracle_cache
def transfer_table(slip: str = "", two: bool = False) -> Tensor:
    x, y, templates, held, held_y, held_templates = two_ways() if two else said_in_ways()
    n = 2 if two else 3
    if slip == "fitted":
        held, held_y, held_templates = x, y, templates
    table = torch.zeros(n, n, dtype=torch.double)
    for i, j in itertools.product(range(n), range(n)):
        rows = {"all": templates >= 0, "without": templates != i}.get(slip, templates == i)
        W, b = ridge_on(x[rows], y[rows], n, 0.01)
        asked = [(row, label) for row, label, t in zip(held, held_y, held_templates, strict=True) if t == j]
        if slip == "every column":
            asked = list(zip(held, held_y, strict=True))
        right = [int((W @ row.double() + b).argmax()) == int(label) for row, label in asked]
        table[i, j] = sum(right) / (len(held) if slip == "of all" else len(right))
    return table


@grades("07.8")
def test_templates_that_say_the_opposite(answer):
    """Two templates, two classes: what the one says, the other says in the opposite way."""
    want = transfer_table(two=True)
    slips = {"Every probe is fitted on all templates. Fit it on one.": transfer_table("all", two=True)}
    expect_close(answer.transfer(*two_ways(), 2), want, "the table", axes="fitted read", atol=6e-4, mistakes=slips)


@grades("07.8", weight=2)
def test_from_template_to_template(answer):
    """Three templates with different numbers of texts, three classes."""
    expect_close(
        answer.transfer(*said_in_ways(), 3),
        transfer_table(),
        "the table",
        axes="fitted read",
        atol=1e-4,
        mistakes=lambda: {
            "Every probe is fitted on all templates. Fit it on one.": transfer_table("all"),
            "Row i is fitted on all templates BUT i. Fit it on template i alone.": transfer_table("without"),
            "You read the texts that were fitted. Read held_x.": transfer_table("fitted"),
            "You divide by the number of all held-out texts. Divide by those of template j.": transfer_table("of all"),
            "All columns of a row are the same: you read all held-out texts. In column j read those of template j.": (
                transfer_table("every column")
            ),
            "These are shares of errors.": 1 - transfer_table(),
        },
    )


# --- 07.9 -------------------------------------------------------------------------------------------------------------


def flipped(x: Tensor, reading: Tensor, bias: float, direction: Tensor, slip: str = "") -> Tensor:
    """One row after another. slip: a known mistake."""
    rows = []
    along = reading if slip == "reading" else direction
    for row in x:
        says = float(row.double() @ reading.double()) + (0.0 if slip == "no bias" else bias)
        slope = float(reading.double() @ along.double())
        if slip == "own square":
            slope = float(direction.double() @ direction.double())
        if slip == "reading's square":
            slope = float(reading.double() @ reading.double())
        steps = says / (1.0 if slip == "length" else slope)
        rows.append(row + {"half": -1, "sign": 2}.get(slip, -2) * steps * along)
    return x + direction if slip == "added" else torch.stack(rows)


FLIP_SLIPS = {
    "no bias": "You leave the bias out of what the probe says.",
    "half": "You go until the probe says 0. Go as far again, to the other side.",
    "sign": "You move the wrong way: what the probe says becomes larger. Subtract.",
    "length": "One step along the direction changes what the probe says by reading · direction. Divide by it.",
    "own square": "You divide by direction · direction. One step changes what the probe says by reading · direction.",
    "reading's square": "You divide by reading · reading. One step along `direction` changes what the probe says by "
    "reading · direction.",
    "reading": "You move along `reading`. Move along `direction`.",
    "added": "You add the direction. How far each x goes depends on what the probe says of it.",
}


@grades("07.9")
def test_a_flip(answer):
    """Directions of several lengths, some of them against the probe."""
    for n, d, seed in ((7, 5, 1), (11, 3, 2)):
        x, reading, bias = 3 * randn(n, d, seed=seed) + 2, randn(d, seed=seed + 10), 1.7 - seed
        direction = (0.3 if seed == 1 else 2.5) * randn(d, seed=seed + 20) + 0.4 * reading
        expect_close(
            answer.flip(x, reading, bias, direction),
            flipped(x, reading, bias, direction),
            "the moved rows",
            axes="n d",
            atol=2e-3,
            rtol=2e-3,
            mistakes={sentence: flipped(x, reading, bias, direction, slip) for slip, sentence in FLIP_SLIPS.items()},
        )


def said(case: Texts, i: int, change: Any = None, depth: int = 0, where: str = "own") -> bool:
    """Whether one[i] is likelier than other[i] after text i, read alone. change: of what stands at its end."""

    def edit(value: Tensor, hook: Any) -> Tensor:
        value = value.clone()
        place = {"own": slice(-1, None), "all": slice(None), "first": slice(0, 1)}[where]
        value[0, place] = change(value[0, place])
        return value

    edits = [] if change is None else [(("resid_pre", depth), edit)]
    row = case.model.run_with_hooks(case.alone(i), edits)[0, -1]
    return bool(row[case.one[i]] > row[case.other[i]])


def top(case: Texts, i: int, change: Any = None, depth: int = 0) -> int:
    """The likeliest of all tokens after text i, read alone."""

    def edit(value: Tensor, hook: Any) -> Tensor:
        return torch.cat([value[:, :-1], change(value[0, -1:])[None]], 1)

    edits = [] if change is None else [(("resid_pre", depth), edit)]
    return int(case.model.run_with_hooks(case.alone(i), edits)[0, -1].argmax())


def flips(case: Texts, depth: int, change: Any, where: str = "own") -> Tensor:
    return torch.tensor([said(case, i) != said(case, i, change, depth, where) for i in range(len(case.tokens))])


# Seeds of flips that turn over some answers, and others if the flip is made elsewhere, or half.
FLIPS = (7, 29)


def flip_of(which: int) -> tuple[int, Tensor, float, Tensor]:
    """A depth and a flip: (depth, reading, bias, direction)."""
    return (1, 0)[which], *plane_of(which, FLIPS[which])


def plane_of(which: int, seed: int) -> tuple[Tensor, float, Tensor]:
    case, depth = more_cases()[which], (1, 0)[which]
    x, reading = stream(case)[depth], randn(13, seed=200 + seed)
    bias = (0.6, 3.0)[which] - float(x.mean(0) @ reading)
    return reading, bias, reading + (0.8, 2.5)[which] * randn(13, seed=300 + seed)


@grades("07.9", weight=2)
def test_answers_after_a_flip(answer):
    """Two random models, texts padded on either side, compared with an edited run of each text alone."""
    for which, case in enumerate(more_cases()):
        depth, *how = flip_of(which)

        def change(x: Tensor, slip: str = "", how: Any = how) -> Tensor:
            return flipped(x, *how, slip)

        want = flips(case, depth, change)
        after = torch.tensor([said(case, i, change, depth) for i in range(len(case.tokens))])
        told(
            answer.turned(case.model, case.tokens, case.mask, depth, *how, case.one, case.other),
            want,
            lambda case=case, depth=depth, change=change, want=want, after=after: {
                "You change every position. Change what stands at the text's own last token alone.": flips(
                    case, depth, change, "all"
                ),
                "You mark the answers that STAY.": ~want,
                "This is which token is likelier AFTER the flip. Compare with the answer without it.": after,
                "This is which token is likelier AFTER the flip. Compare with the answer without it. ": ~after,
                "You edit one depth too late.": flips(case, min(depth + 1, case.model.cfg.n_layers - 1), change),
                **({"You edit one depth too early.": flips(case, depth - 1, change)} if depth else {}),
                "You compare the likeliest of ALL tokens. The answer is which of the two, one[i] or other[i], is "
                "likelier.": torch.tensor([top(case, i) != top(case, i, change, depth) for i in range(len(want))]),
                "You go until the probe says 0 alone.": flips(case, depth, lambda x: change(x, "half")),
                **{sentence: padded_flips(case, depth, change, **slip) for sentence, slip in PADDED_SLIPS.items()},
            },
        )


def padded_flips(
    case: Texts, depth: int, change: Any, edited: str = "own", read: str = "own", masked: bool = True
) -> Tensor:
    """Whether answers turn over in a run of the padded batch, changed and read at columns that may be wrong."""
    own, rows = torch.stack([row.nonzero()[-1, 0] for row in case.mask]), torch.arange(len(case.mask))
    columns = {"own": own, "last": torch.full_like(own, case.mask.shape[1] - 1)}

    def edit(value: Tensor, hook: Any) -> Tensor:
        value = value.clone()
        value[rows, columns[edited]] = change(value[rows, columns[edited]])
        return value

    def first(edits: Any) -> Tensor:
        mask = case.mask if masked else None
        logits = case.model.run_with_hooks(case.tokens, edits, attention_mask=mask)[rows, columns[read]]
        return logits[rows, case.one] > logits[rows, case.other]

    return first([]) != first([(("resid_pre", depth), edit)])


PADDED_SLIPS: dict[str, dict[str, Any]] = {
    "You change the last column. In a text that is padded at the right there is padding: change what stands at "
    "text_positions(tokens, mask).": {"edited": "last"},
    "You look for the answer in the last column. In a text that is padded at the right there is padding: take the "
    "logits at text_positions(tokens, mask).": {"read": "last"},
    "You change the last column, and look for the answer there. In a text that is padded at the right there is "
    "padding: both belong at text_positions(tokens, mask).": {"edited": "last", "read": "last"},
    "The model was not told which tokens are padding, and attended to it. Give it attention_mask=mask.": {
        "masked": False
    },
}


def told(got: Tensor, want: Tensor, mistakes: Any) -> None:
    """Of True and False for each text."""
    expect(
        got.shape == want.shape,
        f"There must be True or False for each of {len(want)} texts, but yours has {list(got.shape)}.",
    )
    if torch.equal(got.bool(), want):
        return
    for sentence, value in mistakes().items():
        if torch.equal(got.bool(), value) and not torch.equal(value, want):
            raise Wrong(sentence.strip(), MISTAKE)
    i = int((got.bool() != want).nonzero()[0])
    raise Wrong(f"The answer after text {i} {'turns over' if want[i] else 'stays'}, and yours says otherwise.", 4)


# --- 07.10 ------------------------------------------------------------------------------------------------------------


@grades("07.10")
def test_directions_without_a_favourite(answer):
    """Lengths, directions and seeds of many random vectors."""
    for d, n, seed in ((7, 400, 1), (23, 300, 2)):
        like = (0.2 if seed == 1 else 30.0) * randn(d, seed=seed)
        drawn = answer.random_directions(like, n, seed)
        expect_close(torch.zeros(drawn.shape), torch.zeros(n, d), "the vectors", axes="n d")
        length = drawn.norm(dim=1) / like.norm()
        if abs(float(length.square().sum()) - 1) < 1e-3:
            raise Wrong("The whole table is as long as `like`. Each row should be.", MISTAKE)
        if float(length.std() / length.mean()) > 1e-3:
            raise Wrong(
                "Your vectors differ in length: each is as long as the draw made it. Divide each by its OWN length, "
                "and multiply by that of `like`.",
                MISTAKE,
            )
        expect_close(
            length,
            torch.ones(n),
            "each vector's length, against that of `like`",
            atol=1e-3,
            mistakes={"The vectors have length 1. Each should be as long as `like`.": torch.ones(n) / like.norm()},
        )
        unit = drawn / drawn.norm(dim=1, keepdim=True)
        middle = float(unit.mean(0).norm())
        if middle > 4 / math.sqrt(n):
            raise Wrong(
                "All your vectors lean to one side: numbers between 0 and 1 do. Draw from a normal distribution.",
                MISTAKE,
            )
        spread = torch.linalg.eigvalsh((unit.T @ unit / n).double()) * d
        expect(
            float(spread.max()) < 2.2 and float(spread.min()) > 0.35,
            "Some directions come more often than others. Draw from a normal distribution, and divide by the length.",
        )
        corners = (
            (unit.abs() * math.sqrt(d) > 2.05).float().mean()
        )  # a normal distribution passes it often, a cube never
        expect(
            float(corners) > 0.005,
            "Your vectors come from a cube: its corners are farther away than its sides. Draw from a normal "
            "distribution.",
        )
        expect(
            torch.equal(drawn, answer.random_directions(like, n, seed)),
            "The same seed gave other vectors. All chance must come from it.",
        )
        expect(
            not torch.allclose(drawn, answer.random_directions(like, n, seed + 7)),
            "Another seed gave the same vectors.",
        )


@functools.cache
def pushes(which: int) -> tuple[int, Tensor]:
    """A depth, and vectors that turn over different shares of a case's answers."""
    case, depth = more_cases()[which], (1, 0)[which]
    size = stream(case)[depth].norm(dim=1).mean()
    vectors = torch.stack([randn(13, seed=400 + i) * size * f for i, f in enumerate((0.6, 1.1, 2.0, 0.05, 1.5))])
    return depth, vectors[: 5 if which == 0 else 3]


@grades("07.10", weight=2)
def test_shares_turned_by_pushes(answer):
    """Two random models, several vectors, compared with an edited run of each text alone."""
    for which, case in enumerate(more_cases()):
        depth, vectors = pushes(which)

        def shares(where: str = "own", at: int = depth, f: float = 1.0, case: Texts = case) -> Tensor:
            vs = pushes(which)[1]  # noqa: B023
            return torch.stack([flips(case, at, lambda x, v=v: x + f * v, where).double().mean() for v in vs])

        def together(case: Texts = case, depth: int = depth, vectors: Tensor = vectors) -> Tensor:
            sums = vectors.cumsum(0)
            return torch.stack([flips(case, depth, lambda x, v=v: x + v).double().mean() for v in sums])

        def one_way(was: bool, case: Texts = case, depth: int = depth, vectors: Tensor = vectors) -> Tensor:
            before = torch.tensor([said(case, i) for i in range(len(case.tokens))])
            turns = [flips(case, depth, lambda x, v=v: x + v) & (before == was) for v in vectors]
            return torch.stack(turns).double().mean(1)

        def pads(slip: Any, case: Texts = case, depth: int = depth, vectors: Tensor = vectors) -> Tensor:
            turns = [padded_flips(case, depth, lambda x, v=v: x + v, **slip) for v in vectors]
            return torch.stack(turns).double().mean(1)

        want = shares()
        expect_close(
            answer.pushed(case.model, case.tokens, case.mask, depth, vectors, case.one, case.other),
            want,
            "the shares",
            axes="vector",
            atol=1e-4,
            mistakes=lambda shares=shares, added=together, way=one_way, pads=pads, want=want, case=case, depth=depth: {
                "You add the vector at every position. Add it at the text's own last token alone.": shares("all"),
                "You subtract the vector. Add it.": shares(f=-1.0),
                "Each vector is added on top of the ones before. Begin anew for each.": added(),
                "Every run has the last vector: a function that is made in a loop sees the loop's last value. Give "
                "it `vector=vector`.": want[-1].expand(len(want)),
                "These are shares of answers that stay.": 1 - want,
                "You count the answers that turn from one[i] to other[i]. Count those that turn the other way too.": (
                    way(True)
                ),
                "You count the answers that turn from other[i] to one[i]. Count those that turn the other way too.": (
                    way(False)
                ),
                "These are numbers of texts. Return shares.": want * len(case.tokens),
                **{sentence: pads(slip) for sentence, slip in PADDED_SLIPS.items()},
                "You edit one depth too late.": shares(at=min(depth + 1, case.model.cfg.n_layers - 1)),
                **({"You edit one depth too early.": shares(at=depth - 1)} if depth else {}),
            },
        )


# --- 07.11 ------------------------------------------------------------------------------------------------------------

ERASED = ((61, 5, 2, 31), (97, 7, 3, 32), (83, 6, 4, 33))


def eraser(x: Tensor, y: Tensor, classes: int, slip: str = "") -> Tensor:
    """M by another way: the oblique projection M = Σ_XZ (Σ_XZᵀ Σ_XX⁻¹ Σ_XZ)⁺ Σ_XZᵀ Σ_XX⁻¹. slip: a known mistake."""
    x = x.double()
    z = torch.zeros(len(x), classes, dtype=torch.double)
    z[torch.arange(len(x)), y] = 1
    away = x if slip == "uncentred" else x - x.mean(0)
    sigma = away.T @ away / len(x)
    cross = away.T @ (z if slip == "uncentred" else z - z.mean(0)) / len(x)
    if slip == "one class":
        cross = cross[:, 1:2]
    if slip == "orthogonal":
        return cross @ torch.linalg.pinv(cross, rtol=1e-9)
    values, vectors = torch.linalg.eigh(sigma)
    W, root = (vectors @ torch.diag(values**power) @ vectors.T for power in (-0.5, 0.5))
    A = (root if slip == "colour" else W) @ cross
    P = A @ torch.linalg.pinv(A, rtol=1e-9)
    if slip == "one vector":
        u = torch.linalg.svd(A, full_matrices=False).U[:, :1]
        P = u @ u.T
    if slip == "projector":
        return P
    if slip == "exchanged":
        return W @ P @ root
    inverse = torch.linalg.inv(sigma)
    if slip:
        return root @ P @ W
    return cross @ torch.linalg.pinv(cross.T @ inverse @ cross, rtol=1e-9) @ cross.T @ inverse


ERASE_SLIPS = {
    "orthogonal": "You project Σ_XZ out as it is, without whitening. That erases too, and moves x too far.",
    "projector": "This is P, in white coordinates. Lead in by W, and back by W⁺: M = W⁺ P W.",
    "exchanged": "M is transposed: r(x) = x − M (x − μ), with M = W⁺ P W and not W P W⁺.",
    "colour": "P projects on the columns of W Σ_XZ; yours on those of W⁺ Σ_XZ.",
    "uncentred": "The covariances are taken without centring. Subtract the means first.",
    "one class": "One column of Σ_XZ alone is not enough for more than two classes.",
    "one vector": "P projects on ONE left singular vector. Take all whose singular value is not 0: with more than two "
    "classes there are several.",
}


@grades("07.11", weight=2)
def test_the_eraser_is_leace(answer):
    """Two to four classes, compared with an oblique projection."""
    for size in ERASED:
        x, y = blobs(*size)
        M, mean = answer.leace(x, y, size[2])
        want = eraser(x, y, size[2])
        expect_close(mean, x.double().mean(0), "μ", axes="d", atol=1e-3)
        expect_close(
            M,
            want,
            "M",
            axes="d d",
            atol=2e-4,
            rtol=2e-3,
            mistakes=lambda x=x, y=y, size=size, want=want: {
                **{sentence: eraser(x, y, size[2], slip) for slip, sentence in ERASE_SLIPS.items()},
                "This is 1 − M. r(x) = x − M (x − μ).": torch.eye(len(want), dtype=torch.double) - want,
            },
        )


@grades("07.11")
def test_nothing_is_left_to_read(answer):
    """After your eraser the means of all classes coincide, and it has the rank of the classes less 1."""
    for size in ERASED:
        x, y = blobs(*size, apart=2.5)
        M, mean = (part.double() for part in answer.leace(x, y, size[2]))
        erased = x.double() - (x.double() - mean) @ M.T
        means = torch.stack([erased[y == k].mean(0) for k in range(size[2])])
        before = torch.stack([x.double()[y == k].mean(0) for k in range(size[2])])
        apart, was = float((means - means[0]).norm()), float((before - before[0]).norm())
        expect(apart < 1e-3 * was, f"The means of the classes still lie {apart:.3f} apart (before: {was:.2f}).")
        rank = int((torch.linalg.svdvals(M) > 1e-4).sum())
        fault = (
            "A singular value that is 0 must not be divided by."
            if rank >= size[2]
            else "Take every left singular vector whose singular value is not 0."
        )
        expect(rank == size[2] - 1, f"You take out {rank} directions; {size[2]} classes have {size[2] - 1}. {fault}")


# --- 07.12 ------------------------------------------------------------------------------------------------------------


@grades("07.12")
def test_the_direction_of_a_concept(answer):
    """Sets of different sizes, far from 0."""
    for n, m, d, seed in ((7, 11, 5, 1), (13, 6, 3, 2)):
        concept, others = randn(n, d, seed=seed) + 1.5, 2 * randn(m, d, seed=seed + 5) + 1
        away = concept.mean(0) - others.mean(0)
        expect_close(
            answer.cav(concept, others),
            away / away.norm(),
            "the CAV",
            axes="d",
            mistakes={
                "It points away from the concept.": -away / away.norm(),
                "Its length must be 1.": away,
                "This is the concept's mean alone. Subtract that of the others.": concept.mean(0)
                / concept.mean(0).norm(),
                "You subtract the mean of all, the concept's among them.": sides(concept, others),
            },
        )


def sides(concept: Tensor, others: Tensor) -> Tensor | None:
    return None  # the same direction: shows nothing


@oracle_cache
def slopes(case: Texts, depth: int, slip: str = "") -> Tensor:
    """[text d]: text by text; the stream is a leaf that the run goes on from."""
    rows = []
    for i in range(len(case.tokens)):
        value = stream_at(case, i, depth).clone().requires_grad_()
        with torch.enable_grad():
            logits = case.model(case.alone(i), start_at_layer=depth, residual=value)[0, 0 if slip == "first" else -1]
            one, other = logits[case.one[i]], logits[case.other[i]]
            m = one if slip == "one" else other - one if slip == "sign" else one - other
            if slip == "chance":
                m = logits.softmax(-1)[case.one[i]] - logits.softmax(-1)[case.other[i]]
            (slope,) = torch.autograd.grad(m, value)
        slope = slope[0]
        rows.append(slope.sum(0) if slip == "sum" else slope[0] if slip == "start" else slope[-1])
    return torch.stack(rows) / (len(rows) if slip == "mean" else 1)


def padded_slopes(case: Texts, depth: int, read: str, masked: bool = True) -> Tensor:
    """Of a run of the padded batch, with the answer read at a column that may be wrong."""
    own, rows = torch.stack([row.nonzero()[-1, 0] for row in case.mask]), torch.arange(len(case.mask))
    where = own if read == "own" else torch.full_like(own, case.mask.shape[1] - 1)
    site = ("resid_pre", depth)
    logits, cache = case.model.run_with_cache(
        case.tokens, site, attention_mask=case.mask if masked else None, grad=True
    )
    answer = logits[rows, where, case.one] - logits[rows, where, case.other]
    return torch.autograd.grad(answer.sum(), cache[site])[0][rows, own]


def stream_at(case: Texts, i: int, depth: int) -> Tensor:
    return case.model.run_with_cache(case.alone(i), ("resid_pre", depth))[1]["resid_pre", depth]


SLOPE_SLIPS = {
    "one": "This is the gradient of logit[one] alone. Subtract logit[other].",
    "sign": "The sign is wrong: logit[one] − logit[other].",
    "chance": "This is the gradient of probabilities. Take the logits.",
    "sum": "You sum over positions. Pick the gradient at the text's own last token.",
    "start": "This is the gradient at the first token. Pick the last one.",
    "mean": "You average over texts before the gradient: each is divided by their number. Take the sum.",
}


@grades("07.12", weight=2)
def test_gradients_at_the_end(answer):
    """Two random models, texts padded on either side, compared with the gradient of each text alone."""
    for case, depth in ((cases()[0], 1), (cases()[1], 0), (cases()[0], 2)):
        expect_close(
            answer.gradients(case.model, case.tokens, case.mask, depth, case.one, case.other),
            slopes(case, depth),
            "the gradients",
            axes="text d_model",
            atol=2e-4,
            rtol=2e-3,
            mistakes=lambda case=case, depth=depth: {
                **{sentence: slopes(case, depth, slip) for slip, sentence in SLOPE_SLIPS.items()},
                "You take the gradient one depth too late.": slopes(case, min(depth + 1, case.model.cfg.n_layers - 1)),
                "You look for the answer in the last column. In a text that is padded at the right there is padding: "
                "take the logits at text_positions(tokens, mask).": padded_slopes(case, depth, "last"),
                "The model was not told which tokens are padding, and attended to it. Give it attention_mask=mask.": (
                    padded_slopes(case, depth, "own", masked=False)
                ),
            },
        )


@grades("07.12")
def test_the_share_that_grows(answer):
    """Gradients of every kind, some at right angles to the concept."""
    table = randn(37, 5, seed=9)
    vector = randn(5, seed=10)
    table[:6] = 0  # nothing grows where the gradient is 0
    along = [float(row.double() @ vector.double()) for row in table]
    want = sum(v > 0 for v in along) / len(along)
    expect_close(
        answer.score(table, vector),
        want,
        "the score",
        atol=1e-6,
        mistakes={
            "A text whose answer does not move does not grow: > 0, not ≥ 0.": sum(v >= 0 for v in along) / len(along),
            "This is the share that falls.": sum(v < 0 for v in along) / len(along),
            "You count every answer that moves. Count those that GROW.": sum(v != 0 for v in along) / len(along),
            "This is the mean of the products. Count those above 0.": float(np.mean(along)),
            "This is the number of texts. Return a share.": float(sum(v > 0 for v in along)),
        },
    )


# --- 07.13 ------------------------------------------------------------------------------------------------------------


@functools.cache
def sets(seed: int = 0, d: int = 6, n: int = 13, count: int = 9) -> tuple[Tensor, Tensor]:
    """Gradients that lean one way, and random sets."""
    lean = 1.1 * randn(1, d, seed=seed + 70) + randn(31, d, seed=seed + 71)
    return lean, randn(count, n, d, seed=seed + 72) + 0.5


def score_of(table: Tensor, one: Tensor, other: Tensor) -> float:
    away = one.double().mean(0) - other.double().mean(0)
    return float(np.mean([float(row.double() @ away) > 0 for row in table]))


@grades("07.13")
def test_scores_with_every_random_set(answer):
    """Concepts of another size than the random sets."""
    for seed in (0, 1):
        table, others = sets(seed)
        concept = randn(8, 6, seed=seed + 80) + 0.7
        want = torch.tensor([score_of(table, concept, one) for one in others])
        pooled = score_of(table, concept, others.flatten(0, 1))
        expect_close(
            answer.scores(table, concept, others),
            want,
            "the scores",
            axes="set",
            atol=1e-6,
            mistakes={
                "Every set has the score of all sets together. Make a CAV for each.": torch.full(
                    (len(others),), pooled
                ),
                "The CAVs point away from the concept.": torch.tensor(
                    [score_of(table, one, concept) for one in others]
                ),
            },
        )


@grades("07.13")
def test_scores_of_concepts_that_are_none(answer):
    """Each random set against the next one, the last against the first."""
    for seed in (2, 3):
        table, others = sets(seed)
        n = len(others)

        def with_(step: int, table: Tensor = table, others: Tensor = others, n: int = n) -> Tensor:
            return torch.tensor([score_of(table, others[i], others[(i + step) % n]) for i in range(n)])

        def rest(table: Tensor = table, others: Tensor = others, n: int = n) -> Tensor:
            keep = [torch.cat([others[j] for j in range(n) if j != i]) for i in range(n)]
            return torch.tensor([score_of(table, others[i], keep[i]) for i in range(n)])

        expect_close(
            answer.null_scores(table, others),
            with_(1),
            "the scores of random concepts",
            axes="set",
            atol=1e-6,
            mistakes={
                "Each set is compared with the one BEFORE it. Compare with the next.": with_(-1),
                "Concept and random set are exchanged.": 1 - with_(1),
                "The last set is compared with none. Compare it with the first.": with_(1)[:-1],
                "Each set is compared with all others together. Compare with the next one.": rest(),
            },
        )


def corrected_p(p: list[float], slip: str = "") -> Tensor:
    """Holm, by its definition: the largest factor · p among all that are not larger."""
    n = len(p)
    rank = {i: sum(q < p[i] for q in p) for i in range(n)}
    if slip == "bonferroni":
        return torch.tensor([min(1.0, n * q) for q in p])
    if slip == "hochberg":
        return torch.tensor([min(1.0, n * p[i] / (rank[i] + 1)) for i in range(n)])
    one = {i: (n - rank[i]) * p[i] for i in range(n)}
    if slip == "step up":
        return torch.tensor([min(1.0, min(one[j] for j in range(n) if p[j] >= p[i])) for i in range(n)])
    if slip == "not raised":
        return torch.tensor([min(1.0, one[i]) for i in range(n)])
    found = [max(one[j] for j in range(n) if p[j] <= p[i]) for i in range(n)]
    if slip == "sorted":
        return torch.tensor(sorted(min(1.0, f) for f in found))
    return torch.tensor([f if slip == "above 1" else min(1.0, f) for f in found])


HOLM_SLIPS = {
    "bonferroni": "This is Bonferroni: all are multiplied by n. Holm multiplies the smallest by n, the next by n − 1.",
    "hochberg": "You divide by the rank. Multiply the smallest by n, the next by n − 1, ….",
    "not raised": "One came out smaller than one that was smaller before. Raise it: take the running maximum.",
    "step up": "You LOWER to the smallest that comes after (that is Hochberg's method). Raise to the largest before.",
    "sorted": "The result is sorted. Put the values back into the order of p.",
    "above 1": "A p-value is never above 1.",
}


@grades("07.13", weight=2)
def test_holm_corrects_for_many_questions(answer):
    """p-values in any order, some that must be raised, some cut off at 1."""
    for p in ([0.013, 0.04, 0.02, 0.001, 0.011], [0.3, 0.02, 0.9, 0.31], [0.004], [0.2, 0.021, 0.02], [0.6, 0.5, 0.7]):
        expect_close(
            answer.holm(torch.tensor(p)),
            corrected_p(p),
            "the corrected p-values",
            axes="n",
            atol=1e-6,
            mistakes={
                **{sentence: corrected_p(p, slip) for slip, sentence in HOLM_SLIPS.items()},
                "These are the p-values as they were.": torch.tensor(p),
            },
        )


@grades("07.13", weight=2)
def test_concepts_against_random_concepts(answer):
    """Three concepts: one along which the answer grows, one across, one that is nothing."""
    table, others = sets(4, count=11)
    concepts = randn(3, 12, 6, seed=90) + 0.5
    concepts[0] += 1.2 * table.mean(0) / table.mean(0).norm()
    concepts[2] -= 0.5 * table.mean(0) / table.mean(0).norm()
    null = torch.tensor([score_of(table, others[i], others[(i + 1) % len(others)]) for i in range(len(others))])
    rows = [torch.tensor([score_of(table, c, o) for o in others]) for c in concepts]
    raw = [welch(row, null) for row in rows]
    half = [welch(row, torch.full((len(row),), 0.5)) for row in rows]
    expect_close(
        answer.tcav(table, concepts, others),
        corrected_p(raw),
        "the p-values",
        axes="concept",
        atol=1e-5,
        rtol=2e-3,
        mistakes={
            "The p-values are not corrected for the number of concepts.": torch.tensor(raw),
            "You compare with one half. Compare with the scores of concepts that are none.": corrected_p(half),
            "This is Bonferroni: all are multiplied by n. Use holm.": corrected_p(raw, "bonferroni"),
        },
    )


def welch(a: Tensor, b: Tensor) -> float:
    """Two-sided, by its formula."""
    from scipy.special import stdtr

    a, b = a.double(), b.double()
    va, vb = float(a.var()) / len(a), float(b.var()) / len(b)
    if va + vb == 0:
        return float(a.mean() == b.mean())
    t = float(a.mean() - b.mean()) / math.sqrt(va + vb)
    df = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    return 2 * float(stdtr(df, -abs(t)))


# --- 07.14 ------------------------------------------------------------------------------------------------------------

KINDS = (functools.partial(probing.mass_mean, covariance=True, shrink=0.1), probing.ridge)  # other people's probes


@functools.cache
def case_of(name: str) -> Any:
    found = findings.module(index.chapter("07"))
    return {"number": found.number_case, "tense": found.tense_case}[name]()


def turned_over(case: Any, depth: int, changes: list[Any]) -> list[float]:
    """For each change at a depth, the share of held-out texts whose answer it turns over."""
    edits = [(("resid_pre", depth), change) for change in (lambda x: x, *changes)]
    logits = probing.end_logits_of_each(case.model, case.read.rows, edits)
    before, *after = (probing.preference(each, case.read.one, case.read.other) > 0 for each in logits)
    return [float((each != before).double().mean()) for each in after]


@functools.cache
def at_depth(depth: int) -> list[Tensor]:
    """What stands there in the texts that are fitted, and in those that are held out. Both cases have the same."""
    case = case_of("number")
    return [probing.collect(case.model, part.rows, [("resid_pre", depth)])[0, 0] for part in (case.fitted, case.read)]


@functools.cache
def readers(name: str, depth: int) -> list[list[probing.Probe]]:
    """For each property probes that were fitted at this depth."""
    return [[fit(at_depth(depth)[0], y, 2) for fit in KINDS] for y in case_of(name).fitted.labels]


@grades("07.14")
def test_one_or_many(answer):
    """Is, or are? The noun's number and the nearer noun's, in Pico."""
    judge_finding(answer, "number")


@grades("07.14")
def test_now_or_then(answer):
    """Is, or was? The tense, the noun's number and the nearer noun's, in Pico."""
    judge_finding(answer, "tense")


def judge_finding(answer: Any, name: str) -> None:
    """What the learner's edits do, on held-out texts."""
    case = case_of(name)
    model, fitted, read = case.model, case.fitted, case.read
    used, depth, readings, biases, directions = answer.find_used(
        model, fitted.tokens, fitted.mask, fitted.labels, fitted.one, fitted.other
    )
    n, last = len(fitted.labels), case.model.cfg.n_layers - 1
    expect(0 <= used < n, f"There are properties 0 … {n - 1}, and you say {used}.")
    expect(1 <= depth <= last, f"The depth must lie between 1 and {last}, not be {depth}.")
    for what, part in (("reading", readings), ("direction", directions)):
        expect(
            tuple(part.shape) == (n, model.cfg.d_model),
            f"There must be one {what} for each property, a table {[n, model.cfg.d_model]}, but yours has the shape "
            f"{list(part.shape)}.",
        )
    expect(
        tuple(biases.shape) == (n,),
        f"There must be one bias for each of {n} properties, but yours has {list(biases.shape)}.",
    )
    whole = torch.cat([readings.double(), directions.double(), biases.double()[:, None]], 1)
    expect(torch.isfinite(whole).all(), "Your flips hold NaN or infinite numbers.")
    slope = (readings.double() * directions.double()).sum(1)
    lengths = readings.double().norm(dim=1) * directions.double().norm(dim=1)
    expect((slope.abs() > 1e-8 * lengths).all(), "A probe does not read its own direction: reading · direction is 0.")
    held, probes = at_depth(depth)[1], readers(name, depth)
    changes = [probing.flip(readings[i], float(biases[i]), directions[i]) for i in range(n)]
    for i, change in enumerate(changes):
        for probe in probes[i]:
            reads = float((probe(held) == read.labels[i]).double().mean())
            expect(
                reads >= 0.95,
                f"At depth {depth} a probe reads property {i} in {reads:.0%} of the texts alone. Choose another depth.",
            )
            share = float((probe(change(held)) != read.labels[i]).double().mean())
            expect(
                share >= 0.9,
                f"After your flip of property {i}, other people's probes read the other class in {share:.0%} of the "
                "texts alone. So whatever the answers do says nothing of this property: fit the probe better, or move "
                "along another direction.",
            )
    turns = turned_over(case, depth, changes)
    most = max(range(n), key=lambda i: turns[i])
    if turns[used] < 0.9:
        why = (
            f"That of property {most} turns over {turns[most]:.0%}. Used is what the answers follow, and not what is "
            "read best."
            if turns[most] > 0.5
            else "If it is the right one, move along the way that leads from mean to mean."
        )
        raise Wrong(
            f"You say that property {used} is used, and your flip at depth {depth} turns over {turns[used]:.0%} of the "
            f"answers. {why}",
            MISTAKE,
        )
    for i in range(n):
        expect(
            i == used or turns[i] <= 0.05,
            f"You say that property {i} is not used, and your flip turns over {turns[i]:.0%} of the answers.",
        )
