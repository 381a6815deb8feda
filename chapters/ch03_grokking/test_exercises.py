"""The grader of chapter 03. It runs beside the learner's process, never in it: see mi_lib/course/grading.

Oracles are written differently from the reference answers: sums over pairs written out, numpy's FFT, closed forms,
networks whose formula is planted.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import mi_lib
from mi_lib.course.grading import AnswerError, Wrong, expect, expect_close, expect_equal, grades
from mi_lib.course.grading.expectations import MISTAKE, NUMBERS
from mi_lib.course.grading.gradients import gradients
from mi_lib.course.grading.material import generator, randn, random_transformer, with_weights
from mi_lib.models import Transformer, TransformerConfig

NAME, CONTROL, OTHER = "grokking-113", "grokking-113-memorising", "grokking-97-subtract"


def all_pairs(p: int) -> list[tuple[int, int]]:
    return [(a, b) for a in range(p) for b in range(p)]


@functools.cache
def sums(p: int, sign: int = 1) -> Tensor:
    return torch.tensor([(a + sign * b) % p for a, b in all_pairs(p)])


@functools.cache
def inputs(p: int) -> Tensor:
    return torch.tensor([(a, b, p) for a, b in all_pairs(p)])


@functools.cache
def wave(p: int, k: int, sign: int = 1, shift: float = 0.0, around: int = 0) -> np.ndarray:
    """cos(w_k (a + sign·b) − shift) over all pairs, not scaled. around: so many steps to a turn, p unless given."""
    return np.array([math.cos(2 * math.pi * k * (a + sign * b) / (around or p) - shift) for a, b in all_pairs(p)])


def half_turn(p: int, k: int) -> np.ndarray:
    """The waves of a sum with π for 2π, each of length 1."""
    angle = np.array([math.pi * k * (a + b) / p for a, b in all_pairs(p)])
    waves = np.stack([np.cos(angle), np.sin(angle)])
    return waves / np.sqrt((waves**2).sum(1, keepdims=True))


def one_number(p: int, k: int, which: str) -> np.ndarray:
    """The waves of a alone or of b alone over all pairs, each of length 1."""
    angle = np.array([2 * math.pi * k * (a if which == "a" else b) / p for a, b in all_pairs(p)])
    waves = np.stack([np.cos(angle), np.sin(angle)])
    return waves / np.sqrt((waves**2).sum(1, keepdims=True))


# --- 03.1 -------------------------------------------------------------------------------------------------------------


def input_mistakes(p: int) -> dict[str, Tensor]:
    tokens = inputs(p)
    two = tokens[:, :2]

    def third(number: int) -> Tensor:
        return torch.cat([two, torch.full((p * p, 1), number)], 1)

    return {
        "The order is wrong: b runs fastest. Row a·p + b is the pair (a, b).": tokens[:, [1, 0, 2]],
        'The third token is "=", and its number is p. Yours is missing.': two,
        'The third token is "=" and has number p, not p − 1 (which is one of the numbers).': third(p - 1),
        'The third token is "=" and has number p, not p + 1: "=" comes right after p − 1.': third(p + 1),
        'The third token is "=" and has number p, not 0 (which is one of the numbers).': third(0),
        'The order in a row is a, b, "=": the sign comes last.': tokens[:, [0, 2, 1]],
        "One row per pair: yours is transposed, [3, pairs].": tokens.T,
        "A pair and its mirror image are two inputs: (1, 2) and (2, 1) must both be there.": torch.tensor(
            [(a, b, p) for a, b in all_pairs(p) if a <= b]
        ),
        "The numbers are 0 … p − 1; yours are 1 … p.": tokens + torch.tensor([1, 1, 0]),
        "0 is a number too: yours begin with 1.": torch.tensor([(a, b, p) for a, b in all_pairs(p) if a and b]),
    }


def sum_mistakes(p: int) -> dict[str, Tensor]:
    a, b, _ = inputs(p).T
    return {
        "The sum is not reduced: the answer is the remainder of a + b after division by p.": a + b,
        "A whole turn is always subtracted, and small sums become negative. Take (a + b) % p.": a + b - p,
        "Where a + b is exactly p, the clock shows 0, not p.": torch.where(a + b > p, a + b - p, a + b),
        "This is a − b. The chapter is about sums.": (a - b) % p,
        "This is the product. The chapter is about sums.": a * b % p,
        "Divide by p, not by p + 1: the remainder lies in 0 … p − 1.": (a + b) % (p + 1),
        "Divide by p, not by p − 1: there are p numbers on the clock.": (a + b) % (p - 1),
        "This is how often p goes into the sum. The answer is what remains.": (a + b) // p,
        "The answers are a flat list of p² numbers, not a table.": ((a + b) % p).view(p, p),
    }


@grades("03.1", weight=2)
def test_every_sum_is_there_in_order(answer):
    """All pairs and their sums for four clocks."""
    for p in (7, 3, 5, 11):
        tokens, answers = answer.dataset(p)
        expect_equal(tokens, inputs(p), f"the inputs mod {p}", mistakes=input_mistakes(p))
        expect_equal(answers, sums(p), f"the answers mod {p}", mistakes=sum_mistakes(p))


@grades("03.1")
def test_the_clock_of_the_chapter(answer):
    """All 12 769 sums mod 113, as int64, the type that can index a table."""
    tokens, answers = answer.dataset(113)
    expect_equal(tokens, inputs(113), "the inputs mod 113", mistakes=input_mistakes(113))
    expect_equal(answers, sums(113), "the answers mod 113", mistakes=sum_mistakes(113))
    for what, got in (("inputs", tokens), ("answers", answers)):
        expect(
            got.dtype == torch.int64,
            f"The {what} are {str(got.dtype).removeprefix('torch.')}. They will look up rows of a table and name the "
            "right answers of a loss, and torch wants int64 for that (its own for whole numbers).",
        )


# --- 03.2 -------------------------------------------------------------------------------------------------------------


def confident(gap: float, batch: int, d: int, seed: int) -> tuple[Tensor, Tensor]:
    """float32 logits whose right answer leads by about `gap`."""
    logits = randn(batch, d, seed=seed)
    answers = torch.randint(0, d, (batch,), generator=generator(seed + 1))
    logits[torch.arange(batch), answers] += gap
    return logits, answers


def loss_by_hand(logits: Tensor, answers: Tensor) -> float:
    """log Σ exp(x_j − x_right), written so that nothing is lost: log1p of the sum over the others."""
    x = logits.double().numpy()
    total = 0.0
    for row, right in zip(x, answers.tolist(), strict=True):
        others = np.delete(row, right) - row[right]
        top = max(0.0, others.max())
        total += (
            math.log1p(np.exp(others).sum())
            if top == 0
            else top + math.log(math.exp(-top) + np.exp(others - top).sum())
        )
    return total / len(x)


def loss_mistakes(logits: Tensor, answers: Tensor) -> dict[str, float]:
    by_row = [loss_by_hand(logits[i : i + 1], answers[i : i + 1]) for i in range(len(logits))]
    rows, x = torch.arange(len(logits)), logits.double()
    return {
        "The softmax runs over the batch. It belongs over the vocabulary, dim=-1.": -x.log_softmax(0)[rows, answers]
        .mean()
        .item(),
        "The loss is counted over the whole vocabulary too: take the mean over the batch only.": sum(by_row)
        / logits.numel(),
        "This is the logarithm of the mean probability. Take the logarithm first, then the mean.": -x.softmax(-1)[
            rows, answers
        ]
        .mean()
        .log()
        .item(),
        "These are bits (log2). Nats come from the natural logarithm.": sum(by_row) / len(by_row) / math.log(2),
        "This is e to the loss, the perplexity.": math.exp(min(700.0, sum(by_row) / len(by_row))),
        "This is the loss of the last input only. Take the mean over the batch.": by_row[-1],
        "Take the mean over the batch, not the sum.": sum(by_row),
        "Only the sign is wrong: a loss is minus the log of a probability.": -sum(by_row) / len(by_row),
        "This is the loss of the first input only. Take the mean over the batch.": by_row[0],
        "These logits were taken for log probabilities: the log-softmax is missing.": -logits[
            torch.arange(len(logits)), answers
        ]
        .double()
        .mean()
        .item(),
    }


@grades("03.2")
def test_ordinary_losses(answer):
    """The mean cross-entropy of random logits, several shapes."""
    for batch, d, seed in ((5, 7, 0), (11, 3, 5), (1, 13, 8)):
        logits, answers = confident(0.5, batch, d, seed)
        expect_close(
            answer.precise_loss(logits, answers),
            loss_by_hand(logits, answers),
            "the loss",
            mistakes=loss_mistakes(logits, answers) if batch > 1 else None,
        )


@grades("03.2", weight=2)
def test_losses_far_below_the_rounding_of_float32(answer):
    """Logits whose right answer leads by 18 to 24: losses around 1e-8 to 1e-10."""
    for gap, seed in ((18.0, 1), (21.0, 2), (24.0, 3)):
        logits, answers = confident(gap, 19, 11, seed)
        want = loss_by_hand(logits, answers)
        rounded = F.cross_entropy(logits, answers).item()
        got = answer.precise_loss(logits, answers)
        expect_close(
            got,
            want,
            f"a loss of about {want:.0e}",
            atol=0.0,
            rtol=1e-3,
            mistakes={
                f"A loss of {want:.2e} came out as {rounded:.2e}: it was computed in float32, which cannot tell "
                "1 − 1e-8 from 1. Turn the LOGITS into float64, before the softmax.": rounded,
                **loss_mistakes(logits, answers),
            },
        )


@grades("03.2")
def test_huge_logits(answer):
    """Logits of a thousand: no overflow."""
    logits, answers = torch.tensor([[1000.0, 0.0, -1000.0], [0.0, 3.0, 1000.0]]), torch.tensor([1, 1])
    got = answer.precise_loss(logits, answers)
    if not bool(got.isfinite().all()):
        sure = answer.precise_loss(logits[:1], answers[:1] * 0)  # the loss is 0 here, unless exp(1000) is computed
        why = (
            "a softmax gives e^−1000 or less, which is 0 even in float64, and the logarithm of 0 is −∞"
            if bool(sure.isfinite().all())
            else "exp(1000) is infinite, even in float64"
        )
        raise Wrong(f"With logits of 1000 the loss is not finite: {why}. Take log_softmax at once, or cross_entropy.")
    expect_close(got, 998.5, "the loss of huge logits", mistakes=loss_mistakes(logits, answers))


LOST = "No gradient comes back to the logits: leave out .item(), .detach(), float(), numpy and no_grad."


@grades("03.2")
def test_gradients_flow_back_to_the_logits(answer):
    """The gradient is (probability − right answer)/batch, also where the network is nearly certain."""
    for gap, seed in ((0.5, 4), (21.0, 6)):
        logits, answers = confident(gap, 5, 7, seed)
        want = (logits.double().softmax(-1) - F.one_hot(answers, 7)) / 5
        rows = torch.arange(5)
        want[rows, answers] = 0.0
        want[rows, answers] = -want.sum(1)  # so that nothing is rounded: a row of the gradient adds up to 0
        narrow = ((logits.softmax(-1) - F.one_hot(answers, 7)) / 5).double()
        answer.precise_loss(logits, answers)  # of the right kind, before anything is asked of it
        args, one = {"logits": logits, "answers": answers}, torch.ones(())
        got = gradients(answer, "precise_loss", args, one, lost=LOST)["logits"]
        rounded = "The gradient of the right answer is rounded away: widen the LOGITS to float64, before the softmax."
        mistakes = {LOST: torch.zeros(5, 7), rounded: narrow} if gap > 1 else {LOST: torch.zeros(5, 7)}
        expect_close(got, want, "the gradient of the logits", atol=0.0, rtol=2e-3, mistakes=mistakes)


# --- 03.3 -------------------------------------------------------------------------------------------------------------


def small_model(p: int, seed: int) -> Transformer:
    sizes = {"n_layers": 1, "d_model": 8, "n_heads": 2, "d_head": 4, "d_vocab": p + 1, "n_ctx": 3, "d_mlp": 16}
    return random_transformer(seed, scale=0.35, **sizes).requires_grad_(True)


def trained_by_us(
    model: Transformer, tokens: Tensor, answers: Tensor, steps: int, decay: float, how: str = "right"
) -> tuple[list[float], dict[str, Tensor]]:
    """Training as asked for, or with one known error."""
    model = copy.deepcopy(model)
    kind = torch.optim.Adam if how == "adam" else torch.optim.AdamW
    betas = (0.9, 0.999) if how == "betas" else (0.9, 0.98)
    chosen = [model.W_U] if how == "only W_U" else list(model.parameters())
    decay = {"no decay": 0.0, "default decay": 0.01, "decay of the network": 1.0}.get(how, decay)
    rate = {"rate 1e-2": 1e-2, "rate 1e-4": 1e-4}.get(how, 1e-3)
    optimizer = kind(chosen, lr=rate, betas=betas, weight_decay=decay)
    losses = []
    for i in range(steps + (how == "one more")):
        if how == "warm-up":
            optimizer.param_groups[0]["lr"] = 1e-3 * min(1.0, (i + 1) / 10)
        logits = model(tokens)
        if how == "all positions":
            loss = F.cross_entropy(logits.double().flatten(0, 1), answers.repeat_interleave(3))
        elif how == "first position":
            loss = F.cross_entropy(logits[:, 0].double(), answers)
        elif how == "one pair":
            j = i % len(tokens)
            loss = F.cross_entropy(logits[j : j + 1, -1].double(), answers[j : j + 1])
        elif how == "float32":
            loss = F.cross_entropy(logits[:, -1], answers)
        elif how == "sum":
            loss = F.cross_entropy(logits[:, -1].double(), answers, reduction="sum")
        else:
            loss = F.cross_entropy(logits[:, -1].double(), answers)
        losses.append(loss.item())
        if how != "accumulate":
            optimizer.zero_grad()
        (-loss if how == "uphill" else loss).backward()
        optimizer.step()
        if how == "fresh optimizer":
            optimizer = kind(chosen, lr=1e-3, betas=betas, weight_decay=decay)
        if how == "after":
            losses[-1] = F.cross_entropy(model(tokens)[:, -1].double(), answers).item()
    return losses, {name: value.detach() for name, value in model.state_dict().items()}


TRAINING_ERRORS = {
    "all positions": 'The loss is over all three positions. Only the logits after "=", the last position, are judged.',
    "first position": 'These are the logits of the first position. The answer comes after "=", the last one.',
    "accumulate": "Gradients pile up from step to step: call optimizer.zero_grad() in each.",
    "uphill": "The loss goes up, as if every step went the wrong way. Call backward() on the loss, not on minus it.",
    "only W_U": "Only some of the weights are trained. Give the optimizer model.parameters(), all of them.",
    "no decay": "The weight decay is missing from the optimizer: give it weight_decay=weight_decay. (Its own is 0.01.)",
    "default decay": "The weight decay is missing from the optimizer, which takes its own, 0.01, instead.",
    "adam": "This is Adam, which adds the decay to the gradient. AdamW shrinks the weights themselves.",
    "betas": "The betas of the optimizer are (0.9, 0.98), not the default ones.",
    "one pair": "Each step looks at one input. Use all of them in every step.",
    "fresh optimizer": "The optimizer is made anew in every step, and forgets its averages. Make it before the loop.",
    "after": "losses[i] is the loss BEFORE step i. Yours is the one after it.",
    "sum": "This is the sum of the losses. `precise_loss` is their mean.",
    "decay of the network": "The given weight decay is not used: yours is 1.0, whatever is asked for.",
    "rate 1e-2": "The learning rate is 1e-3. Yours is 1e-2.",
    "rate 1e-4": "The learning rate is 1e-3. Yours is 1e-4.",
    "warm-up": "The learning rate rises over the first steps (a warm-up). Here it is 1e-3 from the first step on.",
    "one more": "There are `steps` losses, each from before its step. Yours has one more.",
    "float32": "The losses are rounded: they were computed in float32. Use your `precise_loss`.",
}


class Case(NamedTuple):
    """One training: a network, what it is trained on, and how."""

    model: Transformer
    tokens: Tensor
    answers: Tensor
    steps: int
    decay: float


@functools.cache
def training_cases() -> dict[str, Case]:
    def part(p: int, rows: slice) -> tuple[Tensor, Tensor]:
        return inputs(p)[rows], sums(p)[rows]

    certain, tokens = small_model(7, 2), inputs(7)
    with torch.no_grad():
        top = certain(tokens)[:, -1].topk(2)
        leads = top.values[:, 0] - top.values[:, 1]
        chosen = leads.topk(13).indices
        certain.W_U.mul_(20.0 / leads[chosen].min())
    return {
        "small": Case(small_model(5, 0), *part(5, slice(0, 17)), 7, 1.5),
        "without decay": Case(small_model(7, 3), *part(7, slice(10, 47)), 11, 0.0),
        "one step": Case(small_model(3, 5), *part(3, slice(0, 5)), 1, 0.5),
        "much decay": Case(small_model(5, 1), *part(5, slice(0, 23)), 29, 20.0),
        # Its favourite answers are the ones to be learned, so it has nothing left to learn but certainty.
        "nearly certain": Case(certain, tokens[chosen], top.indices[chosen, 0], 2, 0.0),
    }


@functools.cache
def trained(case: str, how: str = "right") -> tuple[list[float], dict[str, Tensor]]:
    return trained_by_us(*training_cases()[case], how)


def check_training(answer, case: str, errors: list[str], **near) -> None:
    start = training_cases()[case].model.state_dict()
    made, losses = answer.train(*training_cases()[case])
    want, weights = trained(case)

    def wrong() -> dict[str, list[float]]:
        return {TRAINING_ERRORS[how]: trained(case, how)[0] for how in errors}

    expect_close(losses, want, "the list of losses", mistakes=wrong, **{"rtol": 2e-5, "atol": 1e-6, **near})
    expect(isinstance(made, Transformer), "The first thing that you return should be the trained model.")
    for name, value in made.state_dict().items():
        expect(
            not bool((value == start[name]).all()) or bool((start[name] == weights[name]).all()),
            f"The weights {name} of the model that you return are still those from before training.",
        )
        expect_close(value.detach(), weights[name], f"the trained weights {name}", atol=5e-4, rtol=0.01)


@grades("03.3", weight=2)
def test_the_first_steps(answer):
    """The losses and weights of a few steps, on small networks."""
    errors = [e for e in TRAINING_ERRORS if e not in ("adam", "no decay", "float32")]
    check_training(answer, "small", errors)
    check_training(answer, "without decay", errors)
    check_training(answer, "one step", ["one more", "all positions"])


@grades("03.3")
def test_weight_decay_shrinks_the_weights(answer):
    """With a large weight decay: AdamW, not Adam."""
    errors = ["no decay", "default decay", "decay of the network", "adam", "betas", "accumulate", "fresh optimizer"]
    check_training(answer, "much decay", errors)


@grades("03.3")
def test_losses_of_a_network_that_is_nearly_certain(answer):
    """A network whose answers lead by 20 and more: losses that float32 would round away."""
    check_training(answer, "nearly certain", ["float32", "after"], atol=0.0, rtol=5e-3)


# --- 03.4 -------------------------------------------------------------------------------------------------------------


def basis_by_hand(p: int, scale: bool = True, turn: float = 2 * math.pi, steps: int = 0) -> np.ndarray:
    rows = [[1.0] * p]
    for k in range(1, (p - 1) // 2 + 1):
        rows.append([math.cos(turn * k * a / (steps or p)) for a in range(p)])
        rows.append([math.sin(turn * k * a / (steps or p)) for a in range(p)])
    x = np.array(rows)
    return x / np.sqrt((x**2).sum(1, keepdims=True)) if scale else x


@grades("03.4", weight=2)
def test_the_basis_row_by_row(answer):
    """The basis for p = 3, 5, 7, 13 and 31."""
    for p in (5, 3, 7, 13, 31):
        want = basis_by_hand(p)
        swapped = want.copy()
        swapped[1::2], swapped[2::2] = want[2::2], want[1::2]
        grouped = np.concatenate([want[:1], want[1::2], want[2::2]])
        even = want * 1.0
        even[0] *= math.sqrt(2)
        half = np.array(want)
        half[1:] = basis_by_hand(p, scale=False)[1:] * math.sqrt(1 / p)
        got = answer.fourier_basis(p)
        if tuple(got.shape) == (p - 2, p):
            raise Wrong(
                f"Two rows are missing: for p = {p} there are {(p - 1) // 2} frequencies, the last one "
                f"k = {(p - 1) // 2} included. `range(1, p // 2)` stops one short of it.",
                MISTAKE,
            )
        expect(
            tuple(got.shape) != (p - 1, p),
            f"The basis should have p = {p} rows, but yours has {p - 1}: one is missing. Row 0 is the constant.",
        )
        expect(
            got.shape[-1] != p or len(got) <= p,
            f"The basis should have p = {p} rows, but yours has {len(got)}: the last frequency is (p − 1)/2, and a "
            "higher one is the same wave again.",
        )
        expect_close(
            got,
            want,
            f"the basis for p = {p}",
            axes="component number",
            mistakes={
                "The rows are not scaled to length 1.": basis_by_hand(p, scale=False),
                "Row 2k − 1 is the cosine and row 2k the sine; yours are exchanged.": swapped,
                "Cosine and sine of one frequency follow each other: cos 1, sin 1, cos 2, sin 2, …": grouped,
                "The constant row should be 1/√p: it has its own length.": even,
                "Waves have length √(p/2) before scaling, so divide by that; 1/√p is for the constant only.": half,
                "Every number a is off by one: the numbers are 0 … p − 1.": np.roll(want, -1, axis=1),
                "Rows and columns are exchanged: a row is a wave, a column is a number.": want.T,
                "The factor 2 of 2π is missing.": basis_by_hand(p, turn=math.pi),
                "Divide the angle by p: a wave of frequency k goes up and down k times in p steps, not in p − 1.": (
                    basis_by_hand(p, steps=p - 1)
                ),
                "The sign of the sines is turned: they rise from a = 0 to a = 1 (for small k).": np.where(
                    np.arange(p)[:, None] % 2 == 0, -want, want
                )
                * np.where(np.arange(p)[:, None] == 0, -1, 1),
                "Divide each row by its own length: you divided by its square.": basis_by_hand(p, scale=False)
                / (basis_by_hand(p, scale=False) ** 2).sum(1, keepdims=True),
            },
        )


@grades("03.4")
def test_the_basis_is_orthonormal_and_complete(answer):
    """basis · basisᵀ and basisᵀ · basis are the identity, for p = 113, within 1e-10."""
    got = answer.fourier_basis(113)
    expect_close(got, basis_by_hand(113), "the basis for p = 113", atol=1e-3)
    gap = (got.double() @ got.double().T - torch.eye(113)).abs().max().item()
    expect(gap < 1e-3, f"Two rows that should be perpendicular are not: their product is off by {gap:.2g}.")
    expect(
        gap < 1e-10,
        f"The rows are perpendicular only to within {gap:.0e}: that is the precision of float32. Use "
        "dtype=torch.float64 from the start, for the numbers too.",
    )
    expect(got.dtype == torch.float64, f"The basis should be float64; yours is {_name(got.dtype)}.")
    expect_close(got, basis_by_hand(113), "the basis for p = 113", atol=1e-9)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


# --- 03.5 -------------------------------------------------------------------------------------------------------------


def spectrum_by_fft(x: Tensor, power: float = 2.0) -> np.ndarray:
    energy = (np.abs(np.fft.rfft(x.double().numpy(), axis=0)) ** power).sum(1)
    return energy[1:]


def paired(cosines: np.ndarray, sines: np.ndarray) -> np.ndarray:
    """The shares, if these were the energies of the cosines and of the sines."""
    return (cosines + sines) / (cosines + sines).sum()


def spectrum_mistakes(x: Tensor) -> dict[str, np.ndarray]:
    full = np.abs(np.fft.rfft(x.double().numpy(), axis=0)) ** 2
    e = full.sum(1)
    parts = (basis_by_hand(len(x)) @ x.double().numpy()) ** 2
    separate = parts.sum(1)[1:]
    roots = np.sqrt(parts.sum(1))
    by_root = roots[1::2] + roots[2::2]
    components = basis_by_hand(len(x)) @ x.double().numpy()
    absolute, signed, rows = np.abs(components).sum(1), components.sum(1), parts.sum(1)
    signed = signed[1::2] + signed[2::2]
    apart = rows[1::2] - rows[2::2]
    return {
        "Divide by the sum, so that the shares add up to 1.": e[1:] / len(x) * 2,
        "The constant counts too in your total: leave it out before you divide.": 2 * e[1:] / (2 * e[1:].sum() + e[0]),
        "These are lengths. Energy is the sum of SQUARES.": by_root / by_root.sum(),
        "A root too many: the energy of a frequency is the sum of its squares itself, and no square root comes after "
        "it.": np.sqrt(e[1:]) / np.sqrt(e[1:]).sum(),
        "A root too many: divide the energies by their sum, and leave the shares as they are.": np.sqrt(
            e[1:] / e[1:].sum()
        ),
        "Squared once too often: the energy of a frequency is a sum of squares already.": e[1:] ** 2
        / (e[1:] ** 2).sum(),
        "The numbers are not squared: these are sums of absolute values. Energy is the sum of SQUARES.": (
            absolute[1::2] + absolute[2::2]
        )
        / absolute[1:].sum(),
        "You divide by the length of the list, √(Σ energy²). The entries should sum to 1: divide by their sum.": e[1:]
        / np.sqrt((e[1:] ** 2).sum()),
        "Add the energy of the cosine and of the sine of each frequency.": separate / separate.sum(),
        "Your total is that of the lengths, not of the energies: divide by the sum of the shares' own squares.": e[1:]
        / np.sqrt(e[1:]).sum(),
        "The numbers are not squared: you add them up with their signs, so that they cancel. Energy is the sum of "
        "SQUARES.": signed / signed.sum(),
        "You subtract the energy of the sine from that of the cosine. Add them: together they are the frequency's.": (
            apart / apart.sum()
        ),
        "Your pairs begin at row 0, which is the constant. Rows 1 and 2 are the cosine and the sine of frequency 1.": (
            paired(rows[:-1:2], rows[1::2])
        ),
        "You pair the sine of each frequency with the cosine of the one before it. Row 0 is the constant: the cosines "
        "begin at row 1.": paired(rows[:-1:2], rows[2::2]),
        "You divide by the mean of the energies. The entries should sum to 1: divide by their sum.": (
            e[1:] / e[1:].mean()
        ),
        "You multiply by the sum. The entries should sum to 1: divide by it.": e[1:] * e[1:].sum() * 4 / len(x) ** 2,
        "The entries should sum to 1: divide each by the sum of all. You divide the sum by each.": (
            e[1:].sum() / e[1:]
        ),
        "The last frequency should be (p − 1)/2, but yours is one less.": e[1:-1] / e[1:-1].sum(),
        "You divide by the largest entry. The entries should sum to 1: divide by their sum.": e[1:] / e[1:].max(),
        "Sum the squares over d_model, not their signed values: waves of opposite sign would cancel.": (
            lambda q: (q[1::2] + q[2::2]) / (q[1::2] + q[2::2]).sum()
        )((basis_by_hand(len(x)) @ x.double().numpy()).sum(1) ** 2),
        "The cosines are missing from your energy.": parts.sum(1)[2::2] / parts.sum(1)[2::2].sum(),
        "The sines are missing from your energy.": parts.sum(1)[1::2] / parts.sum(1)[1::2].sum(),
        "The constant should be left out: entry 0 is frequency 1.": np.concatenate([[e[0] / 2], e[1:]])
        / (e[0] / 2 + e[1:].sum()),
    }


@grades("03.5", weight=2)
def test_spectra_of_random_embeddings(answer):
    """Random vectors for several p: compared with numpy's FFT."""
    for p, d, seed in ((5, 3, 0), (7, 11, 1), (13, 13, 2), (31, 5, 3)):
        x = randn(p, d, seed=seed) + 0.7
        want = spectrum_by_fft(x)
        mistakes = spectrum_mistakes(x)
        if p == d:
            turned = spectrum_by_fft(x.T)
            mistakes["You transform along d_model. The numbers are axis 0."] = turned / turned.sum()
        what = f"the spectrum for p = {p}"
        expect_close(answer.spectrum(x), want / want.sum(), what, axes="entry 0 is frequency 1", mistakes=mistakes)


@grades("03.5")
def test_a_pure_wave_has_one_frequency(answer):
    """An embedding on a circle of frequency k: all its energy is there, the last frequency included."""
    p = 11
    for k in (1, 3, 5):
        a = torch.arange(p) * 2 * math.pi * k / p
        x = torch.stack([a.cos(), a.sin(), a.cos() * 0.5 + 2.0], dim=1)
        want = [1.0 if j == k else 0.0 for j in range(1, 6)]
        expect_close(
            answer.spectrum(x),
            want,
            f"the spectrum of a wave of frequency {k}",
            axes="entry 0 is frequency 1",
            mistakes=spectrum_mistakes(x),
        )


@grades("03.5")
def test_the_trained_embedding(answer):
    """The embedding of the grokked network."""
    x = mi_lib.load(NAME).W_E[:113]
    want = spectrum_by_fft(x)
    expect_close(
        answer.spectrum(x),
        want / want.sum(),
        "the spectrum of the trained embedding",
        axes="entry 0 is frequency 1",
        mistakes=spectrum_mistakes(x),
    )


# --- 03.6 -------------------------------------------------------------------------------------------------------------


def transform_by_hand(x: Tensor) -> np.ndarray:
    """One component after the other, as the definition says."""
    values, basis = x.double().numpy(), basis_by_hand(x.shape[0])
    p = len(basis)
    return np.array([[np.tensordot(np.outer(basis[i], basis[j]), values, 2) for j in range(p)] for i in range(p)])


@grades("03.6", weight=2)
def test_the_transform_of_random_functions(answer):
    """Random functions of two numbers: p = 3, 5 and 7."""
    for p, n, seed in ((5, 2, 0), (3, 7, 1), (7, 11, 2)):
        x = randn(p, p, n, seed=seed)
        want, basis = transform_by_hand(x), torch.tensor(basis_by_hand(p))
        one = torch.einsum("ia,abn->ibn", basis, x.double())
        expect_close(
            answer.fourier_2d(x),
            want,
            f"the transform for p = {p}",
            axes="component_a component_b neuron",
            mistakes={
                "Only a is transformed. Transform over b as well.": one,
                "Only b is transformed. Transform over a as well.": torch.einsum("jb,abn->ajn", basis, x.double()),
                "a is transformed twice, and b not at all.": torch.einsum("ja,abn->jbn", basis, one),
                "The two axes are exchanged: component_a comes first.": want.transpose(1, 0, 2),
                "The transform goes the wrong way: the rows of the basis are components, its columns numbers.": (
                    torch.einsum("ai,bj,abn->ijn", basis, basis, x.double())
                ),
                "The basis is transposed in a: its rows are components, its columns numbers. Take basis[i, a].": (
                    torch.einsum("ai,jb,abn->ijn", basis, basis, x.double())
                ),
                "The basis is transposed in b: its rows are components, its columns numbers. Take basis[j, b].": (
                    torch.einsum("ia,bj,abn->ijn", basis, basis, x.double())
                ),
                "These are energies. The transform keeps the sign: do not square it.": want**2,
                "The basis is not of length 1: your numbers are those of the bare cosines and sines.": torch.einsum(
                    "ia,jb,abn->ijn",
                    *[torch.tensor(basis_by_hand(p, scale=False))] * 2,
                    x.double(),
                ),
                "All neurons are added up. Each keeps its own transform, along the last axis.": want.sum(2),
            },
        )


@grades("03.6")
def test_one_wave_is_one_component(answer):
    """cos 2 in a times sin 1 in b has one component only, in row 3 and column 2."""
    p = 7
    basis = basis_by_hand(p)
    x = (torch.tensor(np.outer(basis[3], basis[2]))[:, :, None] * torch.tensor([1.0, -2.0])).float()
    want = np.zeros((p, p, 2))
    want[3, 2] = [1.0, -2.0]
    expect_close(
        answer.fourier_2d(x),
        want,
        "the transform of one wave",
        atol=1e-5,
        mistakes={"The two axes are exchanged: component_a comes first.": want.transpose(1, 0, 2)},
    )


# --- 03.7 -------------------------------------------------------------------------------------------------------------


def shares_by_projection(x: Tensor) -> np.ndarray:
    """[frequency, neuron]: variance explained by least squares on the nine functions of each frequency."""
    p, n = x.shape[0], x.shape[2]
    values = x.double().numpy().reshape(p * p, n)
    centred = values - values.mean(0)
    a = np.repeat(np.arange(p), p)
    b = np.tile(np.arange(p), p)
    shares = []
    for k in range(1, (p - 1) // 2 + 1):
        w = 2 * math.pi * k / p
        in_a = [np.ones(p * p), np.cos(w * a), np.sin(w * a)]
        in_b = [np.ones(p * p), np.cos(w * b), np.sin(w * b)]
        design = np.stack([f * g for f in in_a for g in in_b], axis=1)
        fit = design @ np.linalg.lstsq(design, centred, rcond=None)[0]
        shares.append((fit**2).sum(0) / (centred**2).sum(0))
    return np.array(shares)


def neuron_mistakes(x: Tensor) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    energy = transform_by_hand(x) ** 2
    p = x.shape[0]
    ks = range(1, (p - 1) // 2 + 1)
    mean = energy[0, 0].copy()

    def best(parts: list[np.ndarray], total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        stacked = np.array(parts)
        return stacked.argmax(0) + 1, stacked.max(0) / total

    total = energy.sum((0, 1))
    with_mean = [energy[np.ix_([0, 2 * k - 1, 2 * k], [0, 2 * k - 1, 2 * k])].sum((0, 1)) for k in ks]
    right = [part - mean for part in with_mean]
    products = [energy[np.ix_([2 * k - 1, 2 * k], [2 * k - 1, 2 * k])].sum((0, 1)) for k in ks]
    alone = [r - q for r, q in zip(right, products, strict=True)]
    frequency, explained = best(right, total - mean)
    cosines = [energy[np.ix_([0, 2 * k - 1], [0, 2 * k - 1])].sum((0, 1)) - mean for k in ks]
    in_a = [energy[np.ix_([2 * k - 1, 2 * k], [0])].sum((0, 1)) for k in ks]
    in_b = [energy[np.ix_([0], [2 * k - 1, 2 * k])].sum((0, 1)) for k in ks]
    without_b = [r - q for r, q in zip(right, in_b, strict=True)]
    without_a = [r - q for r, q in zip(right, in_a, strict=True)]
    # What is left of each neuron's mean, if that of all neurons is subtracted from all.
    rest = p * p * (x.double().mean((0, 1)) - x.double().mean()).numpy() ** 2
    every = np.broadcast_to((total - mean).sum(), mean.shape)
    return {
        "You take away the mean over a for each b, and with it the waves in b alone. Only the mean over all pairs "
        "goes: set energy[0, 0] to 0, one entry for each neuron.": best(without_b, total - energy[0].sum(0)),
        "You take away the mean over b for each a, and with it the waves in a alone. Only the mean over all pairs "
        "goes: set energy[0, 0] to 0, one entry for each neuron.": best(without_a, total - energy[:, 0].sum(0)),
        "You take away the mean over a and the mean over b, and with them the waves in one number alone. Only the mean "
        "over all pairs (a, b) goes: set energy[0, 0] to 0.": best(
            products, total - energy[0].sum(0) - energy[:, 0].sum(0) + mean
        ),
        "You take away one mean for all neurons. Each neuron has its own: set energy[0, 0] to 0.": best(
            [part + rest for part in right], total - mean + rest
        ),
        "Only the waves in a are looked at. A neuron listens to b too, and to both at once.": best(in_a, total - mean),
        "Only the waves in b are looked at. A neuron listens to a too, and to both at once.": best(in_b, total - mean),
        "The last frequency, (p − 1)/2, is never tried.": best(right[:-1], total - mean),
        "Each neuron has its own total: you divide by that of all neurons together.": best(right, every),
        "These are energies. Divide by the energy of all components without the mean.": best(right, np.ones_like(mean)),
        "You divide by what all frequencies' own blocks explain together. The total is over all p² components.": best(
            right, sum(right)
        ),
        "The mean counts as explained here. Take it out of both sums: set energy[0, 0] to 0.": best(with_mean, total),
        "The mean is still in the total. Take it out: set energy[0, 0] to 0 before you add up.": best(right, total),
        "Frequencies count from 1: the first entry of your list is frequency 1, not 0.": (frequency - 1, explained),
        "The parts that depend on a alone and on b alone (cos k · 1, 1 · sin k, …) are missing.": best(
            products, total - mean
        ),
        "The products of a wave in a and a wave in b are missing.": best(alone, total - mean),
        "The sines are missing.": best(cosines, total - mean),
        "Shares are of squares: your explained part looks like its square root.": (frequency, np.sqrt(explained)),
    }


@grades("03.7", weight=2)
def test_neurons_with_planted_frequencies(answer):
    """Neurons made of one frequency, some noise and a mean."""
    for p, n, seed in ((7, 5, 0), (11, 13, 1), (13, 3, 2)):
        g = generator(seed)
        ks = torch.randint(1, (p - 1) // 2 + 1, (n,), generator=g)
        phase = 6.28 * torch.rand(2, n, generator=g)
        size = torch.rand(3, n, generator=g) + 0.3
        a, b = torch.arange(p)[:, None, None], torch.arange(p)[None, :, None]
        w = 2 * math.pi * ks / p
        wave_a, wave_b = torch.cos(w * a + phase[0]), torch.cos(w * b + phase[1])
        x = size[0] * wave_a + size[1] * wave_b + size[2] * wave_a * wave_b
        x = x + 0.4 * torch.randn(p, p, n, generator=g) + 2.0
        compare_neurons(answer, x)


@grades("03.7")
def test_relu_neurons(answer):
    """Neurons as the network has them: the ReLU of two waves."""
    p = 11
    a, b = torch.arange(p)[:, None, None], torch.arange(p)[None, :, None]
    ks, shift = torch.tensor([1, 2, 5, 4]), torch.tensor([0.0, 1.0, 2.0, 5.0])
    w = 2 * math.pi * ks / p
    x = torch.relu(torch.cos(w * a + shift) + torch.cos(w * b + shift) + torch.tensor([0.0, 0.5, -0.3, 1.0]))
    compare_neurons(answer, x.float())


def compare_neurons(answer, x: Tensor) -> None:
    shares = shares_by_projection(x)
    want = shares.argmax(0) + 1, shares.max(0)
    got = answer.neuron_frequencies(x)
    for sentence, wrong in neuron_mistakes(x).items():
        if all(_close(part, other) for part, other in zip(got, wrong, strict=True)) and not (
            _close(wrong[0], want[0]) and _close(wrong[1], want[1])
        ):
            raise Wrong(sentence, MISTAKE)
    expect_equal(
        got[0],
        torch.tensor(want[0]),
        "the frequency of each neuron",
        mistakes={
            "Frequencies count from 1: the first entry of your list is frequency 1, not 0.": torch.tensor(want[0] - 1)
        },
    )
    expect_close(got[1], want[1], "the explained share", atol=1e-5)


def _close(x, y) -> bool:
    x, y = torch.as_tensor(x).double(), torch.as_tensor(y).double()
    return x.shape == y.shape and torch.allclose(x, y, atol=1e-5)


# --- 03.8 -------------------------------------------------------------------------------------------------------------


def crowd(p: int, members: dict[int, int], noisy: int, dead: int, seed: int, noise: float = 0.1) -> Tensor:
    """Activations with so many clear neurons of each frequency, so many of noise, and so many that hardly vary."""
    g = generator(seed)
    a, b = torch.arange(p)[:, None], torch.arange(p)[None, :]
    neurons = []
    for k, count in members.items():
        for _ in range(count):
            shift = 6.28 * torch.rand(2, generator=g)
            w = 2 * math.pi * k / p
            neurons.append(torch.relu(torch.cos(w * a + shift[0]) + torch.cos(w * b + shift[1])))
    neurons = [x + noise * torch.randn(p, p, generator=g) for x in neurons]
    neurons += [torch.randn(p, p, generator=g) for _ in range(noisy)]
    clear = next(iter(members), 1)
    # Dead neurons have a clear frequency too, but tiny: only their size tells. Some never vary at all.
    neurons += [1e-3 * torch.cos(2 * math.pi * clear * (a + 0 * b) / p) for _ in range(dead)]
    neurons += [torch.zeros(p, p) for _ in range(2)]
    x = torch.stack(neurons, dim=2)
    return x[:, :, torch.randperm(x.shape[2], generator=g)]


def neurons_with(p: int, rows: list[tuple[int, int, float, float]], seed: int) -> Tensor:
    """Neurons by recipe: (how many, frequency, share that it explains, variance), all of these exact."""
    g = generator(seed)
    a = torch.arange(p, dtype=torch.float64)
    neurons = []
    for count, k, share, variance in rows:
        for _ in range(count):
            shift = 6.28 * torch.rand(1, generator=g).item()
            clear = torch.cos(2 * math.pi * k * a / p + shift)[:, None].expand(p, p)
            # What else there is: products of waves of two frequencies, which no single one explains.
            other, second = [j for j in range(1, (p + 1) // 2) if j != k][:2]
            rest = torch.cos(2 * math.pi * other * a / p)[:, None] * torch.cos(2 * math.pi * second * a / p + shift)
            x = clear / clear.std() * math.sqrt(share) + rest / rest.std() * math.sqrt(1 - share)
            neurons.append((x * math.sqrt(variance) + 0.3).float())
    return torch.stack(neurons, dim=2)[:, :, torch.randperm(len(neurons), generator=g)]


def keys_by(x: Tensor, live: str = "rule", explained: float = 0.5, share: float = 0.02, of: str = "live") -> list[int]:
    """The key frequencies by the rule, or by another one. From numpy's FFT."""
    shares = shares_by_fft(x)
    variance = x.double().reshape(-1, x.shape[2]).var(0).numpy()
    bound = {
        "rule": variance.max() / 1000,
        "std": variance.max() / 1e6,
        "hundredth": variance.max() / 100,
        "absolute": 1e-3,
        "mean": variance.mean() / 1000,
        "varies": 1e-12,
        "square": x.double().pow(2).mean((0, 1)).max().item() / 1000,
    }[live]
    size = x.double().pow(2).mean((0, 1)).numpy() if live == "square" else variance
    alive = size >= bound
    counts = np.bincount(shares.argmax(0)[(shares.max(0) >= explained) & alive] + 1, minlength=len(shares) + 1)
    whole = {"live": alive.sum(), "all": len(alive), "clear": counts.sum()}[of]
    return [k for k in range(1, len(counts)) if counts[k] and counts[k] >= share * whole]


OTHER_RULES: dict[str, dict] = {
    "A neuron is live by its VARIANCE, and you compare standard deviations: a thousandth of these is a millionth of "
    "the variance.": {"live": "std"},
    "A neuron is live from 1/1000 of the largest variance on; your bound is higher.": {"live": "hundredth"},
    "The bound for a live neuron is 1/1000 of the LARGEST variance, not the number 0.001.": {"live": "absolute"},
    "The bound for a live neuron is 1/1000 of the LARGEST variance, not of the mean one.": {"live": "mean"},
    "Some neurons hardly vary: they are not live, whatever frequency they have. Leave them out before you count.": {
        "live": "varies"
    },
    "A neuron is live by its variance. You take the mean square, which a neuron that never varies has too.": {
        "live": "square"
    },
    "A neuron belongs to its frequency if that explains at least HALF of it; your bound is higher.": {"explained": 0.6},
    "A neuron belongs to its frequency if that explains at least HALF of it; your bound is much higher.": {
        "explained": 0.85
    },
    "A neuron belongs to its frequency if that explains at least HALF of it; your bound is lower.": {"explained": 0.4},
    "Every neuron has a best frequency, but of some it explains little: count those it explains at least half.": {
        "explained": 0.0
    },
    "At least 2 % of the live neurons must belong to a key frequency; your bound is lower.": {"share": 0.01},
    "At least 2 % of the live neurons must belong to a key frequency; one neuron alone is no crowd.": {"share": 0.0},
    "2 % of the live neurons are enough; your bound is higher.": {"share": 0.025},
    "2 % of the LIVE neurons: with the dead ones in the count, small crowds are overlooked.": {"of": "all"},
    "2 % of all live neurons, not of those that belong to a frequency.": {"of": "clear"},
}


def compare_keys(answer, cases: dict[str, tuple[Tensor, list[int]]], tell_rules: bool) -> None:
    """tell_rules: another rule is named, if it explains what the learner's code said of every one of the cases."""
    got = {what: [int(k) for k in answer.key_frequencies(x)] for what, (x, _) in cases.items()}
    right = {what: want for what, (_, want) in cases.items()}
    if got == right:
        return
    said = {what: sorted(ks) for what, ks in got.items()}
    for sentence, rule in OTHER_RULES.items() if tell_rules else ():
        if said != right and all(said[what] == keys_by(x, **rule) for what, (x, _) in cases.items()):
            raise Wrong(sentence, MISTAKE)
    if all(said[what] == [k - 1 for k in want] for what, want in right.items()):
        raise Wrong("Every frequency is one too small: they count from 1.", MISTAKE)
    for what, want in right.items():
        expect(
            sorted(set(said[what])) != want or len(said[what]) == len(want),
            "A key frequency should stand in the list once, not once per neuron: yours has one twice or more.",
        )
        expect(
            said[what] != want or got[what] == want,
            f"The frequencies are right, but they should ascend: {want}.",
        )
        if said[what] != want:
            raise Wrong(f"The key frequencies of {what} should be {want}, but your code found {said[what]}.", NUMBERS)


@functools.cache
def cases_of_the_rule() -> dict[str, tuple[Tensor, list[int]]]:
    """Neurons just on either side of each bound, and their key frequencies."""
    cases = {
        "a crowd of which some neurons vary a little more than 1/1000 of the largest, and some a little less": (
            [(3, 6, 0.9, 1.0), (11, 2, 0.9, 1.0005e-3), (7, 4, 0.9, 0.9995e-3), (5, 1, 0.3, 0.5), (13, 3, 0.9, 3e-8)],
            [2, 6],
        ),
        "a crowd with large numbers": ([(3, 5, 0.9, 4e6), (7, 2, 0.9, 2e3), (5, 3, 0.9, 8e2)], [5]),
        "a crowd with tiny numbers": ([(3, 5, 0.9, 4e-6), (7, 2, 0.9, 9e-9), (5, 3, 0.9, 1e-9)], [2, 5]),
        "a crowd explained to a little more than half, and to a little less": (
            [(5, 4, 0.54, 1.0), (7, 3, 0.46, 1.0), (3, 6, 0.7, 0.2), (11, 2, 0.9, 0.9)],
            [2, 4, 6],
        ),
        "a crowd of 50, of which one neuron is 2 %": ([(49, 2, 0.9, 1.0), (1, 5, 0.8, 0.4)], [2, 5]),
        "a crowd of 50 live neurons and 41 dead ones": (
            [(49, 2, 0.9, 1.0), (1, 5, 0.8, 0.4), (41, 3, 0.9, 1e-5)],
            [2, 5],
        ),
        "a crowd of 51, of which one neuron is less than 2 %": ([(50, 2, 0.9, 1.0), (1, 5, 0.8, 0.4)], [2]),
        "a crowd of 151, of which one neuron is far less than 2 %": ([(150, 2, 0.9, 1.0), (1, 5, 0.8, 0.4)], [2]),
        "a crowd of 150, of which 3 neurons are 2 %": (
            [(80, 1, 0.9, 1.0), (67, 4, 0.2, 0.7), (3, 6, 0.8, 0.4)],
            [1, 6],
        ),
        "a crowd of 160 live neurons with 3 of one frequency, which is less than 2 %": (
            [(20, 1, 0.9, 1.0), (137, 4, 0.2, 0.7), (3, 6, 0.8, 0.4), (13, 3, 0.9, 1e-5)],
            [1],
        ),
        "a crowd of which the largest varies far more than the mean": (
            [(1, 5, 0.9, 1000.0), (41, 2, 0.9, 0.5), (7, 3, 0.9, 1.2)],
            [3, 5],
        ),
    }
    made = {}
    for seed, (what, (rows, want)) in enumerate(cases.items()):
        made[what] = neurons_with(13, rows, seed), want
        assert keys_by(made[what][0]) == want, what
    return made


@grades("03.8", weight=2)
def test_each_bound_of_the_rule(answer):
    """Neurons just on either side of each bound: live or not, half explained or not, 2 % or not."""
    compare_keys(answer, cases_of_the_rule(), tell_rules=True)


@functools.cache
def crowds() -> dict[str, tuple[Tensor, list[int]]]:
    """Crowds of neurons as networks have them, and their key frequencies."""
    return {
        "a crowd with 8, 4 and 1 clear neurons among 150": (
            crowd(13, {2: 8, 5: 4, 3: 1}, noisy=137, dead=0, seed=0),
            [2, 5],
        ),
        "a crowd of which most neurons are dead": (crowd(11, {4: 8, 1: 3}, noisy=40, dead=250, seed=1), [1, 4]),
        "a crowd whose neurons are rather noisy": (crowd(11, {3: 5}, noisy=30, dead=0, seed=5, noise=0.55), [3]),
        "a crowd of noise, and of dead neurons with a clear frequency": (
            crowd(13, {}, noisy=60, dead=30, seed=2),
            [],
        ),
    }


@grades("03.8", weight=2)
def test_key_frequencies_of_made_up_crowds(answer):
    """Crowds of neurons with a known number of members for each frequency; noise, and dead neurons."""
    compare_keys(answer, crowds(), tell_rules=False)


@grades("03.8")
def test_key_frequencies_of_the_trained_networks(answer):
    """The grokked network and the control."""
    for name in (NAME, CONTROL):
        x = neurons_of(name)
        want = trained_keys(name)
        got = answer.key_frequencies(x)
        expect(
            [int(k) for k in got] == want, f"The key frequencies of {name} should be {want}, but your code found {got}."
        )


@functools.cache
def trained_keys(name: str) -> list[int]:
    return keys_by(neurons_of(name))


@functools.cache
def neurons_of(name: str) -> Tensor:
    model = mi_lib.load(name)
    p = model.cfg.d_vocab - 1
    _, cache = model.run_with_cache(inputs(p), ("post", 0))
    return cache["post", 0][:, -1].reshape(p, p, -1).contiguous()


def shares_by_fft(x: Tensor) -> np.ndarray:
    """As `shares_by_projection`, for large p: energies from numpy's complex FFT."""
    spectrum = np.abs(np.fft.fft2(x.double().numpy(), axes=(0, 1))) ** 2
    spectrum[0, 0] = 0.0
    p = x.shape[0]
    total = np.maximum(spectrum.sum((0, 1)), 1e-12)
    rows = [[0, k, p - k] for k in range(1, (p - 1) // 2 + 1)]
    return np.array([spectrum[np.ix_(r, r)].sum((0, 1)) / total for r in rows])


# --- 03.9 -------------------------------------------------------------------------------------------------------------


@grades("03.9", weight=2)
def test_the_waves_of_a_sum(answer):
    """cos w(a + b) and sin w(a + b), for several p and k."""
    for p, k in ((5, 1), (7, 3), (13, 6), (13, 2)):
        cos, sin = wave(p, k), wave(p, k, shift=math.pi / 2)
        want = np.stack([cos, sin])
        length = np.sqrt((want**2).sum(1, keepdims=True))
        minus = np.stack([wave(p, k, -1), wave(p, k, -1, math.pi / 2)])
        products = np.stack(
            [
                np.array(
                    [math.cos(2 * math.pi * k * a / p) * math.cos(2 * math.pi * k * b / p) for a, b in all_pairs(p)]
                ),
                np.array(
                    [math.sin(2 * math.pi * k * a / p) * math.sin(2 * math.pi * k * b / p) for a, b in all_pairs(p)]
                ),
            ]
        )
        product_length = np.sqrt((products**2).sum(1, keepdims=True))
        got = answer.sum_waves(p, k)
        expect_close(
            got,
            want / length,
            f"the waves for p = {p} and k = {k}",
            axes="wave pairs",
            atol=1e-6,
            mistakes={
                "There are p numbers on the clock, not p + 1: the wave comes back after p steps.": np.stack(
                    [wave(p, k, 1, 0.0, p + 1), wave(p, k, 1, math.pi / 2, p + 1)]
                )
                / length,
                "The factor 2 of 2π is missing.": half_turn(p, k),
                "These are the waves of a alone: b is missing.": one_number(p, k, "a"),
                "These are the waves of b alone: a is missing.": one_number(p, k, "b"),
                "The length is √(p²/2) = p/√2 over all p² pairs; you divided as if there were p.": want
                / math.sqrt(p / 2),
                "The frequency k is not used: this is frequency 1.": np.stack(
                    [wave(p, 1), wave(p, 1, shift=math.pi / 2)]
                )
                / length,
                "The pairs are axis 1: your result is transposed.": (want / length).T,
                "Each row should have length 1: divide by its norm.": want,
                "These are the waves of a − b. Look at the sign.": minus / length,
                "cos w(a + b) is not cos(wa) · cos(wb). It is cos(wa) cos(wb) − sin(wa) sin(wb).": products
                / product_length,
                "The cosine comes first, then the sine.": (want / length)[::-1].copy(),
                "Divide each row by its own length, not both by the length of the whole.": want
                / np.sqrt((want**2).sum()),
            },
        )


@grades("03.9")
def test_waves_of_different_frequencies_are_perpendicular(answer):
    """All waves of p = 31 together: orthonormal."""
    rows = []
    for k in range(1, 16):
        got = answer.sum_waves(31, k)
        expect_close(got, answer_waves(31, k), f"the waves for p = 31 and k = {k}", axes="wave pairs", atol=1e-4)
        expect(got.dtype == torch.float64, f"The waves should be float64; yours are {_name(got.dtype)}.")
        rows.append(got)
    gap = (torch.cat(rows) @ torch.cat(rows).T - torch.eye(30)).abs().max().item()
    expect(
        gap < 1e-10,
        f"The waves are perpendicular only to within {gap:.0e}: that is the precision of float32. Use "
        "dtype=torch.float64 from the start, for the numbers too.",
    )


@functools.cache
def answer_waves(p: int, k: int) -> np.ndarray:
    want = np.stack([wave(p, k), wave(p, k, shift=math.pi / 2)])
    return want / np.sqrt((want**2).sum(1, keepdims=True))


# --- 03.10 and 03.11 --------------------------------------------------------------------------------------------------


def network_like_logits(p: int, keys: list[int], seed: int) -> Tensor:
    """Waves of the sum at the key frequencies, a bias for each answer, and rubbish of every other kind."""
    g = generator(seed)
    c = np.arange(p)
    logits = np.zeros((p * p, p))
    for k in keys:
        angle = np.array([2 * math.pi * k * (a + b) / p for a, b in all_pairs(p)])
        logits += 3.0 * np.cos(angle[:, None] - 2 * math.pi * k * c / p)
        other = np.array([2 * math.pi * k * (a - b) / p for a, b in all_pairs(p)])
        logits += 2.0 * np.cos(other[:, None] - 2 * math.pi * k * c / p)  # of the same frequency, but not of the sum
    logits += 1.5 * torch.randn(1, p, generator=g).numpy() + torch.randn(p * p, p, generator=g).numpy()
    return torch.tensor(logits).float()


def project(logits: Tensor, keys: list[int], sign: int = 1) -> np.ndarray:
    """The projection of the logits on the waves of a ± b of these frequencies."""
    p = logits.shape[1]
    design = np.stack([wave(p, k, sign, s) for k in keys for s in (0.0, math.pi / 2)], axis=1)
    design = design / np.sqrt((design**2).sum(0))
    return design @ (design.T @ logits.double().numpy())


def parts(logits: Tensor, keys: list[int]) -> dict[str, np.ndarray]:
    """The projection on the waves, and the projections that people take for it."""
    p = logits.shape[1]
    x = logits.double().numpy()

    def onto(columns: list[np.ndarray]) -> np.ndarray:
        design = np.linalg.qr(np.stack(columns, axis=1))[0]
        return design @ (design.T @ x)

    basis = basis_by_hand(p)
    rows = [0, *(i for k in keys for i in (2 * k - 1, 2 * k))]
    blocks = {(i, j) for k in keys for i in (0, 2 * k - 1, 2 * k) for j in (0, 2 * k - 1, 2 * k)}  # each pair once
    return {
        "waves": onto([wave(p, k, 1, s) for k in keys for s in (0.0, math.pi / 2)]),
        "minus": onto([wave(p, k, -1, s) for k in keys for s in (0.0, math.pi / 2)]),
        "cosines": onto([wave(p, k) for k in keys]),
        "sines": onto([wave(p, k, 1, math.pi / 2) for k in keys]),
        "outer": onto([np.outer(basis[i], basis[j]).ravel() for i in rows for j in rows]),
        "block": onto([np.outer(basis[i], basis[j]).ravel() for i, j in sorted(blocks)]),
        "mean": np.broadcast_to(x.mean(0), x.shape),
    }


def ce(logits: np.ndarray, answers: Tensor) -> float:
    x = logits - logits.max(1, keepdims=True)
    log_p = x - np.log(np.exp(x).sum(1, keepdims=True))
    return float(-log_p[np.arange(len(x)), answers.numpy()].mean())


def restricted_cases() -> list[tuple[Tensor, Tensor, list[int]]]:
    """Two frequencies first: with one alone, its block and the outer product are the same."""
    return [(network_like_logits(p, keys, seed), sums(p), keys) for p, keys, seed in ((11, [1, 5], 1), (7, [2], 0))]


@grades("03.10", weight=2)
def test_restricted_loss_of_made_up_logits(answer):
    """Logits with known waves, and other things besides."""
    for logits, answers, keys in restricted_cases():
        expect_close(
            answer.restricted_loss(logits, answers, keys),
            ce(project(logits, keys) + logits.double().numpy().mean(0), answers),
            f"the restricted loss for the frequencies {keys}",
            mistakes=functools.partial(restricted_mistakes, logits, answers, keys),
        )


def restricted_mistakes(logits: Tensor, answers: Tensor, keys: list[int]) -> dict[str, float]:
    x, only = logits.double().numpy(), parts(logits, keys)
    return {
        "This is the loss of the whole logits: nothing was taken away.": ce(x, answers),
        "The mean over all pairs is missing, or it is over the answers, where no softmax sees it: take dim=0.": ce(
            only["waves"], answers
        ),
        "You keep all products of the key components (an outer-product mask): (2K + 1)² of them. Keep the two "
        "waves of a + b for each frequency; the others hold waves of a − b and of two frequencies.": ce(
            only["outer"], answers
        ),
        "You keep the whole block of each frequency, waves of a − b included. Keep the two waves of a + b.": ce(
            only["block"], answers
        ),
        "The same block, and the mean of the rest: keep the two waves of a + b for each frequency only.": ce(
            only["block"] + only["mean"], answers
        ),
        "These are the waves of a − b.": ce(only["minus"] + only["mean"], answers),
        "Only the cosines are kept. The sine of each frequency belongs to it.": ce(
            only["cosines"] + only["mean"], answers
        ),
        "This is the opposite: the loss WITHOUT the waves.": ce(x - only["waves"], answers),
        "You subtract the mean instead of keeping it.": ce(only["waves"] - only["mean"], answers),
        "Only the sines are kept. The cosine of each frequency belongs to it.": ce(
            only["sines"] + only["mean"], answers
        ),
        "Only the first of the frequencies is kept. Keep the waves of all of them.": ce(
            parts(logits, keys[:1])["waves"] + only["mean"], answers
        )
        if len(keys) > 1
        else math.inf,
        "Only the last of the frequencies is kept. Keep the waves of all of them.": ce(
            parts(logits, keys[-1:])["waves"] + only["mean"], answers
        )
        if len(keys) > 1
        else math.inf,
        "The waves have length 1 already: do not multiply by their length as well.": ce(
            only["waves"] * len(x) / 2 + only["mean"], answers
        ),
    }


@grades("03.10")
def test_restricted_loss_of_the_network(answer):
    """The grokked network: the waves alone answer better than all of it, and no small loss is rounded."""
    logits, keys = network_logits(NAME)
    answers, kept = sums(113), parts_of_network(NAME, tuple(keys)) + logits.double().numpy().mean(0)
    expect_close(
        answer.restricted_loss(logits, answers, keys),
        loss_of_network(NAME),
        "the restricted loss of the grokked network",
        mistakes=lambda: {
            "The loss was rounded in float32. Keep the logits in float64 all the way.": F.cross_entropy(
                torch.tensor(kept).float(), answers
            ).item(),
            "This is the loss of the whole logits: nothing was taken away.": ce64(logits.double().numpy(), answers),
        },
        atol=0.0,
        rtol=1e-3,
    )


@functools.cache
def loss_of_network(name: str) -> float:
    logits, keys = network_logits(name)
    return ce64(parts_of_network(name, tuple(keys)) + logits.double().numpy().mean(0), sums(113))


def ce64(logits: np.ndarray, answers: Tensor) -> float:
    return loss_by_hand(torch.tensor(logits), answers)


@functools.cache
def network_logits(name: str) -> tuple[Tensor, list[int]]:
    model = mi_lib.load(name)
    p = model.cfg.d_vocab - 1
    return model(inputs(p))[:, -1, :p].contiguous(), list(mi_lib.zoo.card(name)["frequencies"])


PROJECT_FIRST = (
    "Project over ALL pairs first, and pick the training pairs afterwards: on part of the pairs the waves have another "
    "length and are not perpendicular any more."
)


@grades("03.11", weight=2)
def test_excluded_loss_of_made_up_logits(answer):
    """Logits with known waves, and a training set of a third of the pairs."""
    for seed, (logits, answers, keys) in enumerate(restricted_cases()):
        training = torch.rand(len(answers), generator=generator(seed + 50)) < 0.35
        x, only = logits.double().numpy(), parts(logits, keys)
        rows = training.numpy()

        def on(values: np.ndarray, chosen: np.ndarray = rows, answers: Tensor = answers) -> float:
            return ce(values[chosen], answers[torch.tensor(chosen)])

        waves = np.stack([wave(logits.shape[1], k, 1, s) for k in keys for s in (0.0, math.pi / 2)], axis=1)
        waves = waves / np.sqrt((waves**2).sum(0))
        part = waves[rows]
        unit = part / np.sqrt((part**2).sum(0))  # each of length 1 again, but not perpendicular
        inside = np.linalg.qr(part)[0]
        expect_close(
            answer.excluded_loss(logits, answers, keys, training),
            on(x - only["waves"]),
            f"the excluded loss for the frequencies {keys}",
            mistakes={
                "This is the loss over all pairs. Measure it on the training pairs.": ce(x - only["waves"], answers),
                "This is the loss on the test pairs. Measure it on those where in_training is True.": on(
                    x - only["waves"], ~rows
                ),
                "Nothing was taken away: this is the loss of the whole logits.": on(x),
                "This is the opposite: the loss with the waves ALONE.": on(only["waves"] + only["mean"]),
                "The mean was taken away too. Take the waves away, and nothing else.": on(
                    x - only["waves"] - only["mean"]
                ),
                "You take away all products of the key components (an outer-product mask). Take the two waves of a + b "
                "for each frequency.": on(x - only["outer"]),
                "You take away the whole block of each frequency, waves of a − b too. Take the two waves of a + b.": on(
                    x - only["block"]
                ),
                "These are the waves of a − b that you take away.": on(x - only["minus"]),
                "Only the cosines were taken away. The sine of each frequency belongs to it.": on(x - only["cosines"]),
                "Only the sines were taken away. The cosine of each frequency belongs to it.": on(x - only["sines"]),
                "Only the first of the frequencies is taken away.": on(x - parts(logits, keys[:1])["waves"])
                if len(keys) > 1
                else math.inf,
                "Only the last of the frequencies is taken away.": on(x - parts(logits, keys[-1:])["waves"])
                if len(keys) > 1
                else math.inf,
                "The waves are added once more. Subtract them.": on(x + only["waves"]),
                "The logits of the test pairs were emptied, but the loss counts all pairs.": ce(
                    np.where(rows[:, None], x - only["waves"], 0.0), answers
                ),
                PROJECT_FIRST: ce(x[rows] - inside @ (inside.T @ x[rows]), answers[training]),
                f"{PROJECT_FIRST} ": ce(x[rows] - part @ (part.T @ x[rows]), answers[training]),
                f"{PROJECT_FIRST}  ": ce(x[rows] - unit @ (unit.T @ x[rows]), answers[training]),
                "You take how much of the waves there is from the training pairs alone, and measure the loss on all "
                "pairs. Project over ALL pairs, and measure on the training pairs.": ce(
                    x - waves @ (part.T @ x[rows]), answers
                ),
                "The waves are taken away on the training pairs alone, and the loss counts all pairs. Measure it on "
                "the training pairs.": ce(np.where(rows[:, None], x - only["waves"], x), answers),
            },
        )


@grades("03.11")
def test_excluded_loss_of_the_networks(answer):
    """The grokked network cannot answer its training set without its waves; the control can, and no loss is rounded."""
    keys, answers = network_logits(NAME)[1], sums(113)
    for name in (NAME, CONTROL):
        logits, training = network_logits(name)[0], training_pairs(name)
        rest = (logits.double().numpy() - parts_of_network(name, tuple(keys)))[training.numpy()]
        narrow = F.cross_entropy(torch.tensor(rest).float(), answers[training]).item()
        rounded = "The loss was rounded in float32. Keep the logits in float64 all the way, and use `precise_loss`."
        expect_close(
            answer.excluded_loss(logits, answers, keys, training),
            excluded_loss_of_network(name, tuple(keys)),
            f"the excluded loss of {name}",
            atol=0.0,
            rtol=1e-3,
            mistakes={rounded: narrow} if name == CONTROL else None,
        )


@functools.cache
def excluded_loss_of_network(name: str, keys: tuple[int, ...]) -> float:
    training = training_pairs(name)
    rest = network_logits(name)[0].double().numpy() - parts_of_network(name, keys)
    return ce64(rest[training.numpy()], sums(113)[training])


@functools.cache
def parts_of_network(name: str, keys: tuple[int, ...]) -> np.ndarray:
    """The projection of a bundled network's logits on the waves of these frequencies."""
    return project(network_logits(name)[0], list(keys))


# --- 03.12 ------------------------------------------------------------------------------------------------------------


def gini_by_differences(x: np.ndarray) -> float:
    """Half the mean absolute difference of two of the numbers, over their mean."""
    return float(np.abs(x[:, None] - x[None, :]).mean() / 2 / x.mean())


@grades("03.12", weight=2)
def test_gini_of_random_numbers(answer):
    """Compared with the mean difference between all pairs of numbers."""
    for n, seed in ((5, 1), (13, 2), (41, 3), (3, 0), (2, 4)):
        x = torch.rand(n, generator=generator(seed)) ** 3
        values = x.double().numpy()
        ranked, unsorted, i = np.sort(values), values, np.arange(1, n + 1)
        expect_close(
            answer.gini(x),
            gini_by_differences(values),
            "the Gini coefficient",
            mistakes={
                "The numbers are not sorted.": ((2 * i - n - 1) * unsorted).sum() / (n * values.sum()),
                "The numbers are sorted in DESCENDING order; the formula wants ascending.": (
                    (2 * i - n - 1) * ranked[::-1]
                ).sum()
                / (n * values.sum()),
                "i runs from 1 to n in the formula; yours runs from 0.": ((2 * (i - 1) - n - 1) * ranked).sum()
                / (n * values.sum()),
                "The division by n is missing.": ((2 * i - n - 1) * ranked).sum() / values.sum(),
                "The division by the sum of the numbers is missing.": ((2 * i - n - 1) * ranked).sum() / n,
                "Only the sign is wrong: sort in ASCENDING order.": -gini_by_differences(values),
                "The 1 is missing: the weights are 2 i − n − 1.": ((2 * i - n) * ranked).sum() / (n * values.sum()),
                "The sign of the 1 is wrong: the weights are 2 i − n − 1.": ((2 * i - n + 1) * ranked).sum()
                / (n * values.sum()),
                "The factor 2 is missing: the weights are 2 i − n − 1.": ((i - n - 1) * ranked).sum()
                / (n * values.sum()),
                "This is one minus the coefficient.": 1 - gini_by_differences(values),
                "Divide by n, not by n − 1: it is (n − 1)/n if one number is alone, not 1.": gini_by_differences(values)
                * n
                / (n - 1),
                "Divide by the sum of the numbers, not by their mean.": gini_by_differences(values) * n,
                "This is twice the coefficient.": 2 * gini_by_differences(values),
            }
            if n > 2
            else None,
        )


@grades("03.12")
def test_gini_of_equal_and_of_lonely_numbers(answer):
    """All equal: 0. One alone: (n − 1)/n. The order and the scale do not matter."""
    expect_close(answer.gini(torch.full((6,), 2.5)), 0.0, "the Gini coefficient of equal numbers", atol=1e-6)
    expect_close(answer.gini(torch.tensor([3.0])), 0.0, "the Gini coefficient of one number", atol=1e-6)
    for n, place in ((5, 0), (7, 3), (2, 0), (2, 1)):
        x = torch.zeros(n)
        x[place] = 3.0
        expect_close(
            answer.gini(x),
            (n - 1) / n,
            "the Gini coefficient if one number is alone",
            mistakes={
                "The numbers are not sorted.": ((2 * (place + 1) - n - 1) * 3.0) / (n * 3.0),
                "Only the sign is wrong: sort in ASCENDING order.": -(n - 1) / n,
                "It is (n − 1)/n if only one number is not 0, and not 1: divide by n, not by n − 1.": 1.0,
            },
        )


# --- 03.13 ------------------------------------------------------------------------------------------------------------


Film = tuple[tuple[int, Transformer], ...]  # (step, model) in the order of training


@functools.cache
def film(name: str, steps: tuple[int, ...]) -> Film:
    return tuple((step, mi_lib.load(name, checkpoint=step)) for step in steps)


def training_pairs(name: str) -> Tensor:
    """The split of the run, from its card."""
    from mi_lib.worlds.modular import Modular

    made = mi_lib.zoo.card(name)["recipe"]
    return Modular(made["p"], made["sign"], made["fraction"], mi_lib.zoo.card(name)["seed"]).in_training


# What is measured at each checkpoint. The others are what some take for one of train, test and excluded.
Row = dict[str, float]


def measure(film: Film, keys: list[int], training: Tensor) -> list[Row]:
    """The accuracies and losses of each checkpoint."""
    rows = []
    for step, model in film:
        p = model.cfg.d_vocab - 1
        answers, train = sums(p), training.numpy()
        with torch.no_grad():
            every = model(inputs(p))[:, -1].double()
        logits = every[:, :p].numpy()
        right = (every[:, :p].argmax(-1) == answers).double()
        with_equals = (every.argmax(-1) == answers).double()
        waves = project(every[:, :p], keys)
        rows.append(
            {
                "step": step,
                "train": right[training].mean().item(),
                "test": right[~training].mean().item(),
                "excluded": ce((logits - waves)[train], answers[training]),
                "all": right.mean().item(),
                "train, with =": with_equals[training].mean().item(),
                "test, with =": with_equals[~training].mean().item(),
                "excluded, test": ce((logits - waves)[~train], answers[~training]),
                "excluded, all": ce(logits - waves, answers),
                "restricted": ce((waves + logits.mean(0))[train], answers[training]),
                "whole": ce(logits[train], answers[training]),
            }
        )
    return rows


@functools.cache
def measured(name: str, steps: tuple[int, ...], keys: tuple[int, ...]) -> list[Row]:
    return measure(film(name, steps), list(keys), training_pairs(name))


def phases_by(
    rows: list[Row],
    train: str = "train",
    test: str = "test",
    loss: str = "excluded",
    bound: float = 0.999,
    nats: float = 1.0,
    rule: str = "",
) -> tuple[int | None, int | None, int | None]:
    """The three steps by the rule of the docstring, or by another one."""
    reached = {"memorised": [], "circuit": [], "cleaned": []}
    rules = rule.split()
    for row in rows:
        enough = row[loss] < nats if "below" in rules else row[loss] >= nats
        knows = row[train] >= bound
        once = "since" in rules and bool(reached["memorised"])
        now = {
            "memorised": knows,
            "circuit": enough and (knows or once or "untrained" in rules),
            "cleaned": row[test] >= bound and ("ordered" not in rules or bool(reached["circuit"])),
        }
        for name, yes in now.items():
            fresh = yes and not reached[name]
            if yes:
                reached[name].append(int(row["step"]))
            if fresh and "elif" in rules:
                break  # at one checkpoint one thing only
    which = -1 if "last" in rules else 0
    return tuple(steps[which] if steps else None for steps in reached.values())  # type: ignore[return-value]


ONE_AFTER_ANOTHER = (
    "You let one come after the other. At one checkpoint two of them may come true, and `cleaned` does not wait for "
    "`circuit`: use three ifs, each with its own condition alone."
)
FORGETS = (
    "A network can forget again. For `circuit`, ask for 99.9 % of the training pairs at the SAME checkpoint: that they "
    "were once answered rightly is not enough."
)

OTHER_PHASES: dict[str, dict] = {
    "Each is the FIRST step at which it is so, not the last.": {"rule": "last"},
    "Nothing is memorised there yet, and an untrained network has a high excluded loss because it knows nothing. For "
    "`circuit` ask for 99.9 % of the training pairs as well.": {"rule": "untrained"},
    "At one checkpoint two of them may come true. An elif, or a break, looks at the first only: use three ifs.": {
        "rule": "elif"
    },
    "`cleaned` does not wait for `circuit`: it is the first step with 99.9 % of the other pairs.": {"rule": "ordered"},
    ONE_AFTER_ANOTHER: {"rule": "elif ordered"},
    f"{ONE_AFTER_ANOTHER} {FORGETS}": {"rule": "elif ordered since"},
    FORGETS: {"rule": "since"},
    "For `circuit` you measure the loss with the waves ALONE. It is about the excluded loss: without them.": {
        "loss": "restricted"
    },
    "For `circuit` you measure the loss of the whole logits. It is about the excluded loss: without the waves.": {
        "loss": "whole"
    },
    "The excluded loss of `circuit` is measured on the TRAINING pairs; yours is on the others.": {
        "loss": "excluded, test"
    },
    "The excluded loss of `circuit` is measured on the TRAINING pairs; yours is on all pairs.": {
        "loss": "excluded, all"
    },
    "`circuit` wants an excluded loss of AT LEAST 1 nat: without the waves the network does badly.": {"rule": "below"},
    "`memorised` is about the accuracy on the TRAINING pairs; yours is on all pairs.": {"train": "all"},
    "`cleaned` is about the accuracy on the pairs that are NOT in training, and on no others.": {"test": "all"},
    "The training pairs and the others are exchanged.": {"train": "test", "test": "train", "loss": "excluded, test"},
    'Some of your answers are "=". Drop its logit: the answer is the largest of the p others.': {
        "train": "train, with =",
        "test": "test, with =",
    },
    "The bound of the accuracy is 99.9 %; yours is lower.": {"bound": 0.995},
    "The bound of the accuracy is 99.9 %, not all of them.": {"bound": 1.0},
    "The bound of the excluded loss is 1 nat; yours is lower.": {"nats": 0.5},
    "The bound of the excluded loss is 1 nat; yours is higher.": {"nats": 1.5},
}


@contextmanager
def another_clock(model: Transformer) -> Iterator[None]:
    """What breaks on another clock over 113 numbers has that number typed in."""
    try:
        yield
    except AnswerError as error:
        if model.cfg.d_vocab != 114 and any(n in str(error) for n in ("113", "114", "12769")):
            raise Wrong(
                f"113 is typed in somewhere: on a clock of {model.cfg.d_vocab - 1} numbers your code broke ({error}). "
                "Read p off the network: model.cfg.d_vocab − 1.",
                MISTAKE,
            ) from None
        raise


def asked_for_phases(answer, checkpoints: Film, training: Tensor, keys: list[int]) -> tuple[int | None, ...]:
    with another_clock(checkpoints[0][1]):
        return tuple(answer.phases(list(checkpoints), training, list(keys)))


def compare_phases(got: tuple[int | None, ...], rows: list[Row], which: str) -> None:
    want = phases_by(rows)
    if got == want:
        return
    steps = [int(row["step"]) for row in rows]
    for name, mine, right in zip(("memorised", "circuit", "cleaned"), got, want, strict=True):
        if mine == right:
            continue
        about = {
            "memorised": "It is about the accuracy on the training pairs alone.",
            "circuit": "It is about the excluded loss on the training pairs, at least 1 nat, and the accuracy.",
            "cleaned": "It is about the accuracy on the pairs that are NOT in training.",
        }[name]
        expect(right is not None, f"In {which}, `{name}` never happens, so it is None; your code says {mine}. {about}")
        expect(
            right != 0,
            f"In {which}, `{name}` is step 0, but your code says {mine}. 0 counts as False: to see whether a step was "
            f"found before, ask `if {name} is None`, not `if not {name}` or `{name} or step`.",
        )
        expect(mine is not None, f"In {which}, `{name}` happens at step {right}; your code says None. {about}")
        number = steps.index(right)
        expect(mine != number, f"`{name}` is a training step ({right}), not the number of a checkpoint ({mine}).")
        raise Wrong(f"In {which}, `{name}` is step {right}, but your code says {mine}. {about}", NUMBERS)


@grades("03.13", weight=2)
def test_the_phases_of_the_training(answer):
    """Checkpoints of the network, on its own training set."""
    steps = mi_lib.zoo.checkpoints(NAME)
    over = [steps.index(step) for step in mi_lib.zoo.card(NAME)["phases"].values()]
    chosen = {0, *over, over[1] - 1}  # where each phase is over, and just before the circuit is there
    compare_bundled(answer, NAME, tuple(steps[i] for i in sorted(chosen)), "the training of the network")


@grades("03.13")
def test_the_control_never_gets_beyond_memory(answer):
    """The control: memorised, and then nothing."""
    steps = mi_lib.zoo.checkpoints(CONTROL)
    compare_bundled(answer, CONTROL, (steps[0], steps[1], steps[-1]), "the control")


def compare_bundled(answer, name: str, steps: tuple[int, ...], which: str) -> None:
    keys = tuple(mi_lib.zoo.card(NAME)["frequencies"])
    rows = measured(name, steps, keys)
    compare_phases(asked_for_phases(answer, film(name, steps), training_pairs(name), list(keys)), rows, which)


def network_of_sums(table: Tensor) -> Transformer:
    """A network whose logits after "=" are table[a + b], for any table [2p − 1, p + 1]; the last is that for "=".

    Attention adds the two numbers up, and three ReLUs for each sum s are a hat over s.
    """
    p = table.shape[1] - 1
    n = 2 * p + 1  # ReLUs, at s = −1 … 2p − 1
    config = TransformerConfig(
        n_layers=1, d_model=p + 3, n_heads=1, d_head=1, d_vocab=p + 1, n_ctx=3, d_mlp=n, mlp_bias=True
    )
    model = Transformer(config).requires_grad_(False)  # of zeros
    weights = model.state_dict()
    weights["W_E"][:p, 0] = torch.arange(p).float()
    weights["blocks.0.attn.W_V"][0, 0, 0] = 3.0  # a third of the attention for each of a, b and "="
    weights["blocks.0.attn.W_O"][0, 0, 1] = 1.0
    weights["blocks.0.mlp.W_in"][1, :] = 1.0
    weights["blocks.0.mlp.b_in"][:] = 1.0 - torch.arange(n).float()
    for s in range(2 * p - 1):
        for j, height in ((s, 1.0), (s + 1, -2.0), (s + 2, 1.0)):
            weights["blocks.0.mlp.W_out"][j, 2:] += height * table[s]
    weights["W_U"][2:] = torch.eye(p + 1)
    return model.eval()


CLOCK, KEYS = 47, (3, 11)  # a made-up training: another clock, and its own key frequencies


def table_of(by_heart: float, waves: float, broken: tuple[int, ...] = ()) -> Tensor:
    """A logit by heart for the right answer, waves of the key frequencies; at the broken sums a wrong answer wins."""
    p = CLOCK
    s, c = torch.arange(2 * p - 1)[:, None], torch.arange(p)
    right = (s - c) % p == 0
    table = by_heart * right.double() + waves * sum(torch.cos(2 * math.pi * k * (s - c).double() / p) for k in KEYS)
    for one in broken:
        table[one] = 12.0 * ((one + 5 - c) % p == 0)
    return torch.cat([table, torch.full((2 * p - 1, 1), 40.0).double()], 1).float()  # "=" would always win


def by_heart_for(nats: float) -> float:
    """How high the logits by heart must be for this excluded loss."""
    d = np.arange(CLOCK)
    rest = (d == 0) - 2 / CLOCK * sum(np.cos(2 * math.pi * k * d / CLOCK) for k in KEYS)  # of 1 by heart
    low, high = 0.0, 50.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if math.log(np.exp(middle * (rest - rest[0])).sum()) > nats else (low, middle)
    return low


@functools.cache
def made_up_training() -> Tensor:
    """Half of the pairs. The sums that some checkpoints get wrong, 0, 1 and 2p − 2, 2p − 3, have 1, 2, 1 and 2 pairs:
    the low ones are in training, the high ones are not."""
    p = CLOCK
    training = torch.rand(p * p, generator=generator(3)) < 0.5
    pairs = inputs(p)
    total = pairs[:, 0] + pairs[:, 1]
    training[total <= 1] = True
    training[total >= 2 * p - 3] = False
    return training


@functools.cache
def made_up_films() -> dict[str, Film]:
    p = CLOCK
    much, little = by_heart_for(0.8), by_heart_for(1.25)  # by heart: an excluded loss below 1 nat, and above
    one, two, three = (0,), (1,), (0, 1)  # wrong training pairs: 1, 2, 3
    one_test, two_test = (2 * p - 2,), (2 * p - 3,)
    middle = tuple(range(2, p))  # many sums wrong, in training and outside
    at = {
        "nothing": table_of(0.0, 0.0, tuple(range(2 * p - 1))),
        "rule, 2 and 2 wrong": table_of(little, 6.0, (*two, *two_test)),
        "rule, 3 and 1 wrong": table_of(little, 6.0, (*three, *one_test)),
        "list, 1 wrong": table_of(20.0, 6.0, (*one, *one_test)),
        "too much list": table_of(much, 6.0, two_test),
        "enough rule": table_of(little, 6.0, two_test),
        "mostly rule": table_of(little, 6.0),
        "rule alone, 2 wrong of the others": table_of(0.0, 9.0, two_test),
        "half right": table_of(20.0, 0.0, middle),
        "a list": table_of(20.0, 0.0, two_test),
        "everything": table_of(0.0, 9.0),
    }
    films = {
        "a made-up training mod 47": (
            (3, "nothing"), (10, "rule, 2 and 2 wrong"), (30, "rule, 3 and 1 wrong"), (70, "list, 1 wrong"),
            (110, "too much list"), (130, "enough rule"), (170, "everything"),
        ),
        "a training in which everything comes at once": ((5, "nothing"), (19, "half right"), (23, "everything")),
        "a training that is cleaned last": (
            (2, "half right"), (11, "a list"), (13, "rule alone, 2 wrong of the others"), (31, "mostly rule"),
        ),
        "a training of one checkpoint": ((9, "everything"),),
        "a training that goes on from a list": ((0, "a list"), (4, "too much list"), (8, "mostly rule")),
        "a training that begins at its end": ((0, "everything"), (6, "everything")),
        "a training that forgets for a while": ((2, "a list"), (5, "nothing"), (8, "a list"), (12, "everything")),
        "a training that never memorises": ((7, "nothing"), (17, "rule, 3 and 1 wrong"), (29, "rule, 2 and 2 wrong")),
    }  # fmt: skip
    return {which: tuple((step, network_of_sums(at[name])) for step, name in steps) for which, steps in films.items()}


@functools.cache
def made_up_rows(which: str) -> list[Row]:
    return measure(made_up_films()[which], list(KEYS), made_up_training())


@grades("03.13", weight=2)
def test_trainings_on_another_clock(answer):
    """Made-up networks mod 47, each just on one side of a bound."""
    training, rows = made_up_training(), {which: made_up_rows(which) for which in made_up_films()}
    got = {which: asked_for_phases(answer, film, training, list(KEYS)) for which, film in made_up_films().items()}
    right = {which: phases_by(rows[which]) for which in rows}
    for sentence, rule in OTHER_PHASES.items():  # another rule is named if it explains every one of the trainings
        if got != right and got == {which: phases_by(rows[which], **rule) for which in rows}:
            which = next(w for w in rows if got[w] != right[w])
            raise Wrong(f"{sentence} In {which} right is {right[which]}, and your code says {got[which]}.", MISTAKE)
    for which in rows:
        compare_phases(got[which], rows[which], which)


# --- 03.14 ------------------------------------------------------------------------------------------------------------


@grades("03.14")
def test_the_formula_itself(answer):
    """Σ A cos w(a ± b − c), for small p."""
    for p, sign, amplitudes in ((5, 1, {1: 1.0}), (7, -1, {2: 0.5, 3: -2.0}), (11, 1, {1: 3.0, 4: 1.0, 5: 0.7})):
        pairs = np.array(all_pairs(p))
        c = np.arange(p)

        def waves(difference: np.ndarray, p: int = p, amplitudes: dict = amplitudes) -> np.ndarray:
            return sum(A * np.cos(2 * math.pi * k / p * difference) for k, A in amplitudes.items())

        a, b = pairs[:, :1], pairs[:, 1:]
        expect_close(
            answer.formula(p, sign, amplitudes),
            waves(a + sign * b - c),
            f"the formula for p = {p} and sign {sign}",
            axes="pairs answer",
            mistakes={
                "The sign is not used: this is a + b − c in either case." if sign < 0 else "This is a − b − c.": waves(
                    a - sign * b - c
                ),
                "It is a ± b MINUS c: the wave is highest where c is the answer.": waves(a + sign * b + c),
                "The frequency is not in the angle: w_k = 2πk/p.": sum(
                    A * np.cos(2 * math.pi / p * (a + sign * b - c)) for A in amplitudes.values()
                ),
                "The sign belongs to b, not to a.": waves(sign * a + b - c),
                "The sign belongs to b alone: this is sign·(a + b) − c.": waves(sign * (a + b) - c),
                "The sign belongs to b, not to the amplitude.": sign * waves(a + b - c),
                "These are sines. The formula is a sum of cosines.": sum(
                    A * np.sin(2 * math.pi * k / p * (a + sign * b - c)) for k, A in amplitudes.items()
                ),
                "Only the last wave is there: add them all up.": list(amplitudes.values())[-1]
                * np.cos(2 * math.pi * list(amplitudes)[-1] / p * (a + sign * b - c)),
                "The factor 2 of 2π is missing: w_k = 2πk/p.": sum(
                    A * np.cos(math.pi * k / p * (a + sign * b - c)) for k, A in amplitudes.items()
                ),
                "The order of the pairs is wrong: b runs fastest.": waves(b + sign * a - c),
                "The amplitudes are missing.": sum(
                    np.cos(2 * math.pi * k / p * (a + sign * b - c)) for k in amplitudes
                ),
            },
        )


def formula_of(
    logits: Tensor, keys: list[int], sign: int, of: Callable = np.cos, both: bool = False
) -> dict[int, float]:
    """⟨L, D⟩/⟨D, D⟩ by adding up logits with the same a ± b − c; with `both`, the same ±(a + b) − c."""
    p = logits.shape[1]
    x = logits.double().numpy().reshape(p, p, p)
    a, b, c = np.meshgrid(np.arange(p), np.arange(p), np.arange(p), indexing="ij")
    total = sign * (a + b) if both else a + sign * b
    sums_of = np.bincount(((total - c) % p).ravel(), weights=x.ravel(), minlength=p)
    return {k: float((sums_of * of(2 * math.pi * k * np.arange(p) / p)).sum() / (p**3 / 2)) for k in keys}


@functools.cache
def bundled(name: str) -> Transformer:
    return mi_lib.load(name)  # type: ignore[return-value]


@functools.cache
def renumbered(factor: int) -> Transformer:
    """The network with every number a called factor·a mod p: it still adds, at frequencies k / factor."""
    model = bundled(NAME)
    p = model.cfg.d_vocab - 1
    order = [(a * pow(factor, -1, p)) % p for a in range(p)]
    columns = [*order, *range(p, model.W_U.shape[1])]
    return with_weights(model, {"W_E": model.W_E[[*order, p]], "W_U": model.W_U[:, columns]})


@functools.cache
def found_by_hand(model: Transformer) -> tuple[dict[str, list[int]], dict[int, dict[int, float]]]:
    """The key frequencies at each position, and the amplitudes of both signs."""
    p = model.cfg.d_vocab - 1
    with torch.no_grad():
        logits, cache = model.run_with_cache(inputs(p), ("post", 0))
    keys = {
        place: keys_by(cache["post", 0][:, i].reshape(p, p, -1))
        for place, i in (("last", 2), ("first", 0), ("second", 1))
        if place == "last" or p < 50  # the others of the large ones take long, and nobody is told by them
    }
    return keys, {sign: formula_of(logits[:, -1, :p], keys["last"], sign) for sign in (1, -1)}


def compare_formula(answer, model: Transformer, which: str) -> None:
    p = model.cfg.d_vocab - 1
    places, both = found_by_hand(model)
    keys = places["last"]
    with another_clock(model):
        mine_sign, mine = answer.find_formula(model)
    mine_sign, mine = int(mine_sign), {int(k): float(A) for k, A in mine.items()}
    if not keys:
        expect(
            not mine,
            f"{which} has not grokked: its formula should be (1, {{}}), but your code gave frequencies {sorted(mine)}.",
        )
        expect(mine_sign == 1, f"{which} has no key frequencies: return (1, {{}}), and not ({mine_sign}, {{}}).")
        return
    sign = max(both, key=lambda s: sum(A * A for A in both[s].values()))
    for place in ("first", "second"):
        if place in places and sorted(mine) == places[place] != keys:
            raise Wrong(
                f"These are the frequencies of the neurons at the {place} position of {which}. Read them at the last "
                'one, after "=".',
                MISTAKE,
            )
    if sorted(mine) != keys:
        raise Wrong(f"The key frequencies of {which} should be {keys}, but your formula has {sorted(mine)}.")
    tell_other_waves(model, mine_sign, mine, both)
    task = {1: "a + b", -1: "a − b"}
    expect(
        mine_sign == sign,
        f"{which} was trained on {task[sign]}, so the sign is {sign}, not {mine_sign}. Compare Σ A² of both.",
    )
    want = both[sign]
    expect_close(
        [mine[k] for k in keys],
        [want[k] for k in keys],
        f"the amplitudes of {which}",
        rtol=1e-3,
        atol=1e-4,
        mistakes={
            "Divide by ⟨D, D⟩, the sum of D² over all pairs and answers.": [want[k] * p**3 / 2 for k in keys],
            "Divide by ⟨D, D⟩ = p³/2, not by the number of entries p³.": [want[k] / 2 for k in keys],
            "Divide by ⟨D, D⟩, not by its root.": [want[k] * math.sqrt(p**3 / 2) for k in keys],
            "These are the amplitudes of the other sign.": [both[-sign][k] for k in keys],
            "An amplitude may be negative: leave out the abs.": [abs(want[k]) for k in keys],
            "These are the squares of the amplitudes.": [want[k] ** 2 for k in keys],
            "These are shares of the sum of the amplitudes. Return the amplitudes themselves.": [
                want[k] / sum(want.values()) for k in keys
            ],
        },
    )
    if max(sum(A * math.cos(2 * math.pi * k * d / p) for k, A in want.items()) for d in range(1, p)) > sum(
        want.values()
    ):
        return  # a made-up network whose formula is not meant to answer
    logits_of = answer.formula(p, mine_sign, {k: mine[k] for k in keys})
    right = (logits_of.argmax(-1) == sums(p, sign)).double().mean().item()
    expect(right >= 0.999, f"Your formula answers only {right:.1%} of all pairs of {which} rightly.")


OTHER_WAVES: dict[str, dict[str, Any]] = {
    "You project on sines. The wave D_k is a cosine.": {"of": np.sin},
    "Your waves with sign −1 are of −(a + b) − c. The sign belongs to b alone: a + sign·b − c.": {"both": True},
}


def tell_other_waves(model: Transformer, sign: int, mine: dict[int, float], both: dict[int, dict[int, float]]) -> None:
    """If these are the amplitudes of other waves, say of which."""

    def are(amplitudes: dict[int, float]) -> bool:
        return all(math.isclose(mine[k], A, rel_tol=1e-3, abs_tol=1e-4) for k, A in amplitudes.items())

    if sign not in both or are(both[sign]):
        return
    p = model.cfg.d_vocab - 1
    with torch.no_grad():
        logits = model(inputs(p))[:, -1, :p]
    for sentence, how in OTHER_WAVES.items():
        if are(formula_of(logits, list(mine), sign, **how)):
            raise Wrong(sentence, MISTAKE)


def planted(p: int, keys: dict[int, int], early: int, seed: int, equals: bool) -> Transformer:
    """A network with so many neurons of each key frequency after "=", all of frequency `early` at the first two
    positions, and any logits. equals: whether it has a logit for "="."""
    g, n = generator(seed), sum(keys.values())
    config = TransformerConfig(
        n_layers=1,
        d_model=2 * len(keys) * 2 + 2 + p + 1,
        n_heads=1,
        d_head=2 * len(keys),
        d_vocab=p + 1,
        n_ctx=3,
        d_mlp=n,
        d_vocab_out=None if equals else p,
    )
    model = Transformer(config).requires_grad_(False)  # of zeros
    weights = model.state_dict()
    a = torch.arange(p).float()
    for i, k in enumerate([*keys, early]):
        at = 2 * i if i < len(keys) else 4 * len(keys)
        weights["W_E"][:p, at] = torch.cos(2 * math.pi * k * a / p)
        weights["W_E"][:p, at + 1] = torch.sin(2 * math.pi * k * a / p)
    width = 2 * len(keys)
    weights["blocks.0.attn.W_V"][0, :width] = 3.0 * torch.eye(width)
    weights["blocks.0.attn.W_O"][0, :, width : 2 * width] = torch.eye(width)
    team = torch.tensor([i for i, count in enumerate(keys.values()) for _ in range(count)])
    turn = 6.28 * torch.rand(n, generator=g)
    rows = torch.arange(n)
    weights["blocks.0.mlp.W_in"][width + 2 * team, rows] = turn.cos()
    weights["blocks.0.mlp.W_in"][width + 2 * team + 1, rows] = turn.sin()
    weights["blocks.0.mlp.W_in"][2 * width] = 40.0 * turn.cos()  # not there after "=": its embedding is 0
    weights["blocks.0.mlp.W_in"][2 * width + 1] = 40.0 * turn.sin()
    weights["blocks.0.mlp.W_out"][:, 2 * width + 2 :] = torch.randn(n, p + 1, generator=g)
    weights["W_U"][2 * width + 2 :] = torch.eye(p + 1)[:, : weights["W_U"].shape[1]]
    return model.eval()


@functools.cache
def planted_networks() -> dict[str, Transformer]:
    return {
        "a made-up network mod 13": planted(13, {2: 5, 5: 7}, early=4, seed=0, equals=True),
        "a made-up network mod 11": planted(11, {1: 3, 4: 7, 3: 5}, early=2, seed=6, equals=False),
        "a made-up network mod 7": planted(7, {3: 11}, early=1, seed=5, equals=True),
        "a made-up network mod 17": planted(17, {8: 3, 6: 5}, early=3, seed=9, equals=True),
    }


@grades("03.14")
def test_networks_with_planted_frequencies(answer):
    """Made-up networks on small clocks; before "=" their neurons have other frequencies.

    Mod 11 and mod 17 the sign would be another one by the sum of |A|, by the largest |A| or by one frequency alone.
    """
    for which, model in planted_networks().items():
        compare_formula(answer, model, which)


@grades("03.14", weight=2)
def test_the_formula_of_the_network(answer):
    """The network of this chapter, and the same network with its numbers renamed."""
    compare_formula(answer, bundled(NAME), "the network")
    compare_formula(answer, renumbered(5), "the network with its numbers renamed")


@grades("03.14", weight=2)
def test_another_prime_and_another_operation(answer):
    """A network trained on a − b mod 97: the method carries over, the numbers do not."""
    compare_formula(answer, bundled(OTHER), "the network that subtracts")


@grades("03.14")
def test_the_control_has_no_formula(answer):
    """The control, which has only memorised."""
    compare_formula(answer, bundled(CONTROL), "the control")
