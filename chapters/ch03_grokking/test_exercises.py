"""The grader of chapter 03. It runs beside the learner's process, never in it: see mi_lib/course/grading.

Oracles are written differently from the reference answers: sums over pairs written out, numpy's FFT, closed forms,
networks whose formula is planted.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import mi_lib
from mi_lib.course.grading import Wrong, expect, expect_close, expect_equal, grades
from mi_lib.models import Transformer, TransformerConfig

NAME, CONTROL, OTHER = "grokking-113", "grokking-113-memorising", "grokking-97-subtract"


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def all_pairs(p: int) -> list[tuple[int, int]]:
    return [(a, b) for a in range(p) for b in range(p)]


@functools.cache
def sums(p: int, sign: int = 1) -> Tensor:
    return torch.tensor([(a + sign * b) % p for a, b in all_pairs(p)])


@functools.cache
def inputs(p: int) -> Tensor:
    return torch.tensor([(a, b, p) for a, b in all_pairs(p)])


@functools.cache
def wave(p: int, k: int, sign: int = 1, shift: float = 0.0) -> np.ndarray:
    """cos(w_k (a + sign·b) − shift) over all pairs, not scaled."""
    return np.array([math.cos(2 * math.pi * k * (a + sign * b) / p - shift) for a, b in all_pairs(p)])


# --- 03.1 -------------------------------------------------------------------------------------------------------------


@grades("03.1")
def test_every_sum_is_there_in_order(answer):
    """All pairs and their sums for three primes."""
    for p in (3, 5, 11):
        got = answer.dataset(p)
        expect(isinstance(got, tuple | list) and len(got) == 2, "Return two tensors: the inputs and the answers.")
        tokens, answers = inputs(p), sums(p)
        two = tokens[:, :2]
        expect_equal(
            got[0],
            tokens,
            f"the inputs mod {p}",
            mistakes={
                "The order is wrong: b runs fastest. Row a·p + b is the pair (a, b).": tokens[:, [1, 0, 2]],
                'The third token is "=", and its number is p.': two,
                'The third token is "=" and has number p, not p − 1 (which is one of the numbers).': torch.cat(
                    [two, torch.full((p * p, 1), p - 1)], 1
                ),
                'The third token is "=" and has number p, not 0 (which is one of the numbers).': torch.cat(
                    [two, torch.zeros(p * p, 1, dtype=torch.long)], 1
                ),
                "A pair and its mirror image are two inputs: (1, 2) and (2, 1) must both be there.": torch.tensor(
                    [(a, b, p) for a, b in all_pairs(p) if a <= b]
                ),
            },
        )
        expect_equal(
            got[1],
            answers,
            f"the answers mod {p}",
            mistakes={
                "The sum is not reduced: the answer is the remainder of a + b after division by p.": tokens[:, 0]
                + tokens[:, 1],
                "This is the product. The chapter is about sums.": tokens[:, 0] * tokens[:, 1] % p,
                "Divide by p, not by p + 1: the remainder lies in 0 … p − 1.": (tokens[:, 0] + tokens[:, 1]) % (p + 1),
            },
        )


@grades("03.1")
def test_the_clock_of_the_chapter(answer):
    """All 12 769 sums mod 113: every pair once, every answer 113 times, whole numbers that can index a table."""
    got = answer.dataset(113)
    expect(isinstance(got, tuple | list) and len(got) == 2, "Return two tensors: the inputs and the answers.")
    tokens, answers = (torch.as_tensor(x) for x in got)
    expect(tuple(tokens.shape) == (12769, 3), f"For p = 113 the inputs should be 12769 × 3, not {tuple(tokens.shape)}.")
    expect(not tokens.is_floating_point() and not answers.is_floating_point(), "Tokens are whole numbers.")
    seen = {(int(a), int(b)) for a, b, _ in tokens}
    expect(seen == set(all_pairs(113)), "Every pair (a, b) from 0 to 112 should occur once.")
    counts = torch.bincount(answers.flatten().long(), minlength=113)
    expect(bool((counts == 113).all()), "Every answer from 0 to 112 is that of 113 pairs; in yours it is not so.")
    expect_equal(answers, sums(113), "the answers mod 113")


# --- 03.2 -------------------------------------------------------------------------------------------------------------


def confident(gap: float, batch: int, d: int, seed: int) -> tuple[Tensor, Tensor]:
    """float32 logits whose right answer leads by about `gap`."""
    logits = torch.randn(batch, d, generator=generator(seed))
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
    return {
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
    for batch, d, seed in ((4, 7, 0), (9, 3, 5), (1, 12, 8)):
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
        logits, answers = confident(gap, 20, 11, seed)
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
    logits, answers = torch.tensor([[1000.0, 0.0, -1000.0], [0.0, 3.0, 1000.0]]), torch.tensor([0, 1])
    got = answer.precise_loss(logits, answers)
    value = float(got) if isinstance(got, Tensor | float | int) and torch.as_tensor(got).numel() == 1 else math.nan
    expect(
        math.isfinite(value),
        "With logits of 1000 the loss is not finite: exp(1000) is infinite, and log(0) too. Take log_softmax at once, "
        "or cross_entropy.",
    )
    expect_close(got, 498.5, "the loss of huge logits", mistakes=loss_mistakes(logits, answers))


# --- 03.3 -------------------------------------------------------------------------------------------------------------


def small_model(p: int, seed: int) -> Transformer:
    config = TransformerConfig(n_layers=1, d_model=8, n_heads=2, d_head=4, d_vocab=p + 1, n_ctx=3, d_mlp=16)
    return Transformer(config).init_weights(seed, scale=0.35)


def trained_by_us(
    p: int, seed: int, rows: slice, steps: int, decay: float, how: str = "right"
) -> tuple[list[float], dict[str, Tensor]]:
    """Training as asked for, or with one known error."""
    model = small_model(p, seed)
    tokens, answers = inputs(p)[rows], sums(p)[rows]
    kind = torch.optim.Adam if how == "adam" else torch.optim.AdamW
    betas = (0.9, 0.999) if how == "betas" else (0.9, 0.98)
    chosen = [model.W_U] if how == "only W_U" else list(model.parameters())
    optimizer = kind(chosen, lr=1e-3, betas=betas, weight_decay=0.0 if how == "no decay" else decay)
    losses = []
    for i in range(steps):
        logits = model(tokens)
        if how == "all positions":
            loss = F.cross_entropy(logits.double().flatten(0, 1), answers.repeat_interleave(3))
        elif how == "first position":
            loss = F.cross_entropy(logits[:, 0].double(), answers)
        elif how == "one pair":
            j = i % len(tokens)
            loss = F.cross_entropy(logits[j : j + 1, -1].double(), answers[j : j + 1])
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
    "no decay": "The weight decay is missing from the optimizer.",
    "adam": "This is Adam, which adds the decay to the gradient. AdamW shrinks the weights themselves.",
    "betas": "The betas of the optimizer are (0.9, 0.98), not the default ones.",
    "one pair": "Each step looks at one input. Use all of them in every step.",
    "fresh optimizer": "The optimizer is made anew in every step, and forgets its averages. Make it before the loop.",
    "after": "losses[i] is the loss BEFORE step i. Yours is the one after it.",
}


def check_training(answer, p: int, seed: int, rows: slice, steps: int, decay: float, errors: list[str]) -> None:
    model = small_model(p, seed)
    tokens, answers = inputs(p)[rows], sums(p)[rows]
    got = answer.train(model, tokens, answers, steps, decay)
    expect(
        isinstance(got, tuple | list) and len(got) == 2, "Return two things: the trained model and the list of losses."
    )
    made, losses = got
    want, weights = trained_by_us(p, seed, rows, steps, decay)
    wrong = {TRAINING_ERRORS[how]: trained_by_us(p, seed, rows, steps, decay, how)[0] for how in errors}
    expect_close(losses, want, "the list of losses", rtol=2e-4, mistakes=wrong)
    expect(isinstance(made, Transformer), "The first thing that you return should be the trained model.")
    start = small_model(p, seed).state_dict()
    for name, value in made.state_dict().items():
        expect(
            not bool((value == start[name]).all()) or bool((start[name] == weights[name]).all()),
            f"The weights {name} of the model that you return are still those from before training.",
        )
        expect_close(value.detach(), weights[name], f"the trained weights {name}", atol=2e-3, rtol=0.02)


@grades("03.3", weight=2)
def test_the_first_steps(answer):
    """The losses and weights of a few steps, on small networks."""
    errors = [e for e in TRAINING_ERRORS if e not in ("adam", "no decay")]
    check_training(answer, 5, 0, slice(0, 15), 6, 1.0, errors)
    check_training(answer, 7, 3, slice(10, 49), 8, 0.0, errors)


@grades("03.3")
def test_weight_decay_shrinks_the_weights(answer):
    """With a large weight decay: AdamW, not Adam."""
    check_training(answer, 5, 1, slice(0, 25), 30, 20.0, ["no decay", "adam", "betas", "accumulate", "fresh optimizer"])


# --- 03.4 -------------------------------------------------------------------------------------------------------------


def basis_by_hand(p: int, scale: bool = True) -> np.ndarray:
    rows = [[1.0] * p]
    for k in range(1, (p - 1) // 2 + 1):
        rows.append([math.cos(2 * math.pi * k * a / p) for a in range(p)])
        rows.append([math.sin(2 * math.pi * k * a / p) for a in range(p)])
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
        if isinstance(got, Tensor) and tuple(got.shape) == (p - 2, p):
            raise Wrong(
                f"Two rows are missing: for p = {p} there are {(p - 1) // 2} frequencies, the last one "
                f"k = {(p - 1) // 2} included. `range(1, p // 2)` stops one short of it."
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
            },
        )


@grades("03.4")
def test_the_basis_is_orthonormal_and_complete(answer):
    """basis · basisᵀ and basisᵀ · basis are the identity, for p = 113, within 1e-10."""
    got = answer.fourier_basis(113)
    expect(isinstance(got, Tensor) and tuple(got.shape) == (113, 113), "For p = 113 the basis should be 113 × 113.")
    gap = (got.double() @ got.double().T - torch.eye(113)).abs().max().item()
    expect(gap < 1e-3, f"Two rows that should be perpendicular are not: their product is off by {gap:.2g}.")
    expect(
        gap < 1e-10,
        f"The rows are perpendicular only to within {gap:.0e}: that is the precision of float32. Use "
        "dtype=torch.float64 from the start, for the numbers too.",
    )
    expect_close(got, basis_by_hand(113), "the basis for p = 113", atol=1e-9)


# --- 03.5 -------------------------------------------------------------------------------------------------------------


def spectrum_by_fft(x: Tensor, power: float = 2.0) -> np.ndarray:
    energy = (np.abs(np.fft.rfft(x.double().numpy(), axis=0)) ** power).sum(1)
    return energy[1:]


def spectrum_mistakes(x: Tensor) -> dict[str, np.ndarray]:
    full = np.abs(np.fft.rfft(x.double().numpy(), axis=0)) ** 2
    e = full.sum(1)
    parts = (basis_by_hand(len(x)) @ x.double().numpy()) ** 2
    separate = parts.sum(1)[1:]
    roots = np.sqrt(parts.sum(1))
    by_root = roots[1::2] + roots[2::2]
    return {
        "Divide by the sum, so that the shares add up to 1.": e[1:] / len(x) * 2,
        "The constant counts too in your total: leave it out before you divide.": 2 * e[1:] / (2 * e[1:].sum() + e[0]),
        "These are lengths. Energy is the sum of SQUARES.": by_root / by_root.sum(),
        "Add the energy of the cosine and of the sine of each frequency.": separate / separate.sum(),
        "The sines are missing from your energy.": parts.sum(1)[1::2] / parts.sum(1)[1::2].sum(),
        "The constant should be left out: entry 0 is frequency 1.": np.concatenate([[e[0] / 2], e[1:]])
        / (e[0] / 2 + e[1:].sum()),
    }


@grades("03.5", weight=2)
def test_spectra_of_random_embeddings(answer):
    """Random vectors for several p: compared with numpy's FFT."""
    for p, d, seed in ((5, 3, 0), (7, 12, 1), (13, 13, 2), (31, 6, 3)):
        x = torch.randn(p, d, generator=generator(seed)) + 0.7
        want = spectrum_by_fft(x)
        mistakes = spectrum_mistakes(x)
        if p == d:
            turned = spectrum_by_fft(x.T)
            mistakes["You transform along d_model. The numbers are axis 0."] = turned / turned.sum()
        expect_close(answer.spectrum(x), want / want.sum(), f"the spectrum for p = {p}", mistakes=mistakes)


@grades("03.5")
def test_a_pure_wave_has_one_frequency(answer):
    """An embedding on a circle of frequency k: all its energy is there, the last frequency included."""
    p = 11
    for k in (1, 3, 5):
        a = torch.arange(p) * 2 * math.pi * k / p
        x = torch.stack([a.cos(), a.sin(), a.cos() * 0.5 + 2.0], dim=1)
        want = [1.0 if j == k else 0.0 for j in range(1, 6)]
        expect_close(
            answer.spectrum(x), want, f"the spectrum of a wave of frequency {k}", mistakes=spectrum_mistakes(x)
        )


@grades("03.5")
def test_the_trained_embedding(answer):
    """The embedding of the grokked network."""
    x = mi_lib.load(NAME).W_E[:113]
    want = spectrum_by_fft(x)
    expect_close(
        answer.spectrum(x), want / want.sum(), "the spectrum of the trained embedding", mistakes=spectrum_mistakes(x)
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
    for p, n, seed in ((5, 2, 0), (3, 4, 1), (7, 7, 2)):
        x = torch.randn(p, p, n, generator=generator(seed))
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
            },
        )


@grades("03.6")
def test_one_wave_is_one_component(answer):
    """cos 2 in a times sin 1 in b has one component only, in row 3 and column 2."""
    p = 7
    basis = basis_by_hand(p)
    x = torch.tensor(np.outer(basis[3], basis[2]))[:, :, None] * torch.tensor([1.0, -2.0])
    want = np.zeros((p, p, 2))
    want[3, 2] = [1.0, -2.0]
    expect_close(
        answer.fourier_2d(x),
        want,
        "the transform of one wave",
        atol=1e-8,
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
    return {
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
    for p, n, seed in ((7, 5, 0), (11, 8, 1), (13, 6, 2)):
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
    expect(
        isinstance(got, tuple | list) and len(got) == 2, "Return two tensors: the frequencies and the explained shares."
    )
    for sentence, wrong in neuron_mistakes(x).items():
        if all(_close(part, other) for part, other in zip(got, wrong, strict=True)) and not (
            _close(wrong[0], want[0]) and _close(wrong[1], want[1])
        ):
            raise Wrong(sentence)
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
    if not isinstance(x, Tensor | np.ndarray):
        return False
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


def compare_keys(answer, x: Tensor, want: list[int], what: str, mistakes: dict[str, list[int]]) -> None:
    got = answer.key_frequencies(x)
    if isinstance(got, Tensor | np.ndarray):
        got = torch.as_tensor(got).tolist()
    expect(isinstance(got, list | tuple | set), "Return a list of whole numbers.")
    got = [int(k) for k in got]
    for sentence, wrong in mistakes.items():
        if sorted(got) == sorted(wrong) and sorted(wrong) != sorted(want):
            raise Wrong(sentence)
    if sorted(got) == sorted(k - 1 for k in want) and want:
        raise Wrong("Every frequency is one too small: they count from 1.")
    expect(sorted(got) == want, f"The key frequencies of {what} are {want}, but your code found {sorted(got)}.")
    expect(got == want, f"The right frequencies, but in another order: ascending is {want}.")


@grades("03.8", weight=2)
def test_key_frequencies_of_made_up_crowds(answer):
    """Crowds of neurons with a known number of members for each frequency."""
    compare_keys(
        answer,
        crowd(13, {2: 8, 5: 4, 3: 1}, noisy=87, dead=0, seed=0),
        [2, 5],
        "a crowd with 8, 4 and 1 clear neurons among 100",
        {
            "One neuron in a hundred is no crowd: at least 2 % of the live neurons must belong to a key frequency.": [
                2,
                3,
                5,
            ],
            "Every frequency is in your list: noisy neurons have a best frequency too, but it explains little of them. "
            "Count those that are explained at least half.": [1, 2, 3, 4, 5, 6],
        },
    )
    compare_keys(
        answer,
        crowd(11, {4: 8, 1: 3}, noisy=40, dead=250, seed=1),
        [1, 4],
        "a crowd of which most neurons are dead",
        {
            "2 % of the LIVE neurons: with the dead ones in the count, small crowds are overlooked.": [4],
        },
    )
    compare_keys(
        answer,
        crowd(11, {3: 5}, noisy=30, dead=0, seed=5, noise=0.55),
        [3],
        "a crowd whose neurons are rather noisy",
        {"A neuron belongs to its frequency if that explains at least HALF of it; your bound is higher.": []},
    )


@grades("03.8")
def test_noise_has_no_key_frequencies(answer):
    """Neurons that are nothing but noise, and dead neurons with a clear frequency."""
    compare_keys(
        answer,
        crowd(13, {}, noisy=60, dead=30, seed=2),
        [],
        "a crowd of noise",
        {
            "Frequency 1 has only dead neurons here: they hardly vary. Leave them out before you count.": [1],
            "Every frequency is in your list: noisy neurons have a best frequency too, but it explains little of them. "
            "Count those that are explained at least half.": [1, 2, 3, 4, 5, 6],
        },
    )


@grades("03.8")
def test_key_frequencies_of_the_trained_networks(answer):
    """The grokked network and the control."""
    for name in (NAME, CONTROL):
        x = neurons_of(name)
        shares = shares_by_fft(x)
        variance = x.double().reshape(-1, x.shape[2]).var(0)
        live = (variance >= variance.max() / 1000).numpy()
        belongs = (shares.max(0) >= 0.5) & live
        counts = np.bincount(shares.argmax(0)[belongs] + 1, minlength=57)
        want = [k for k in range(1, 57) if counts[k] and counts[k] >= 0.02 * live.sum()]
        compare_keys(answer, x, want, "the grokked network" if name == NAME else "the control", {})


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
            mistakes={
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
        expect(isinstance(got, Tensor) and tuple(got.shape) == (2, 961), "The waves should have shape (2, p²).")
        rows.append(got.double())
    gap = (torch.cat(rows) @ torch.cat(rows).T - torch.eye(30)).abs().max().item()
    expect(gap < 1e-4, f"Two waves that should be perpendicular are not: their product is off by {gap:.2g}.")


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
        x, only = logits.double().numpy(), parts(logits, keys)
        expect_close(
            answer.restricted_loss(logits, answers, keys),
            ce(only["waves"] + only["mean"], answers),
            f"the restricted loss for the frequencies {keys}",
            mistakes={
                "This is the loss of the whole logits: nothing was taken away.": ce(x, answers),
                "The mean of the logits over all pairs is missing: keep it beside the waves.": ce(
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
            },
        )


@grades("03.10")
def test_restricted_loss_of_the_network(answer):
    """The grokked network: the waves alone answer better than all of it, and no small loss is rounded."""
    logits, keys = network_logits(NAME)
    only, answers = parts(logits, keys), sums(113)
    expect_close(
        answer.restricted_loss(logits, answers, keys),
        ce64(only["waves"] + only["mean"], answers),
        "the restricted loss of the grokked network",
        atol=0.0,
        rtol=1e-3,
        mistakes={
            "The loss was rounded in float32. Keep the logits in float64 all the way.": F.cross_entropy(
                torch.tensor(only["waves"] + only["mean"]).float(), answers
            ).item(),
            "This is the loss of the whole logits: nothing was taken away.": ce64(logits.double().numpy(), answers),
        },
    )


def ce64(logits: np.ndarray, answers: Tensor) -> float:
    return loss_by_hand(torch.tensor(logits), answers)


@functools.cache
def network_logits(name: str) -> tuple[Tensor, list[int]]:
    model = mi_lib.load(name)
    p = model.cfg.d_vocab - 1
    return model(inputs(p))[:, -1, :p].contiguous(), list(mi_lib.zoo.card(name)["frequencies"])


@grades("03.11", weight=2)
def test_excluded_loss_of_made_up_logits(answer):
    """Logits with known waves, and a training set of a third of the pairs."""
    for seed, (logits, answers, keys) in enumerate(restricted_cases()):
        training = torch.rand(len(answers), generator=generator(seed + 50)) < 0.35
        x, only = logits.double().numpy(), parts(logits, keys)
        rows = training.numpy()

        def on(values: np.ndarray, chosen: np.ndarray = rows, answers: Tensor = answers) -> float:
            return ce(values[chosen], answers[torch.tensor(chosen)])

        inside = np.linalg.qr(
            np.stack([wave(logits.shape[1], k, 1, s) for k in keys for s in (0.0, math.pi / 2)], axis=1)[rows]
        )[0]
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
                "Project over ALL pairs first, and pick the training pairs afterwards: on part of the pairs the waves "
                "are not perpendicular any more.": ce(x[rows] - inside @ (inside.T @ x[rows]), answers[training]),
            },
        )


@grades("03.11")
def test_excluded_loss_of_the_network(answer):
    """The grokked network cannot even answer its training set without its waves; the control can."""
    logits, keys = network_logits(NAME)
    answers = sums(113)
    training = torch.rand(113**2, generator=generator(9)) < 0.3
    for name in (NAME, CONTROL):
        logits, _ = network_logits(name)
        want = ce64((logits.double().numpy() - parts(logits, keys)["waves"])[training.numpy()], answers[training])
        expect_close(
            answer.excluded_loss(logits, answers, keys, training),
            want,
            f"the excluded loss of {name}",
            atol=0.0,
            rtol=1e-3,
        )


# --- 03.12 ------------------------------------------------------------------------------------------------------------


def gini_by_differences(x: np.ndarray) -> float:
    """Half the mean absolute difference of two of the numbers, over their mean."""
    return float(np.abs(x[:, None] - x[None, :]).mean() / 2 / x.mean())


@grades("03.12", weight=2)
def test_gini_of_random_numbers(answer):
    """Compared with the mean difference between all pairs of numbers."""
    for n, seed in ((2, 0), (5, 1), (12, 2), (40, 3)):
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
            },
        )


@grades("03.12")
def test_gini_of_equal_and_of_lonely_numbers(answer):
    """All equal: 0. One alone: (n − 1)/n. The order and the scale do not matter."""
    expect_close(answer.gini(torch.full((6,), 2.5)), 0.0, "the Gini coefficient of equal numbers", atol=1e-6)
    for n, place in ((4, 0), (9, 5)):
        x = torch.zeros(n)
        x[place] = 3.0
        expect_close(
            answer.gini(x),
            (n - 1) / n,
            "the Gini coefficient if one number is alone",
            mistakes={"The numbers are not sorted.": ((2 * (place + 1) - n - 1) * 3.0) / (n * 3.0)},
        )


# --- 03.13 ------------------------------------------------------------------------------------------------------------


@functools.cache
def film(name: str, steps: tuple[int, ...]) -> tuple[tuple[int, Transformer], ...]:
    return tuple((step, mi_lib.load(name, checkpoint=step)) for step in steps)


def training_pairs(name: str) -> Tensor:
    """The split of the run, from its card."""
    from mi_lib.worlds.modular import Modular

    made = mi_lib.zoo.card(name)["recipe"]
    return Modular(made["p"], made["sign"], made["fraction"], mi_lib.zoo.card(name)["seed"]).in_training


@functools.cache
def measured(name: str, steps: tuple[int, ...], keys: tuple[int, ...]) -> list[tuple[int, float, float, float]]:
    """(step, training accuracy, excluded loss, test accuracy) of each checkpoint."""
    rows, training = [], training_pairs(name)
    for step, model in film(name, steps):
        p = model.cfg.d_vocab - 1
        design = np.stack([wave(p, k, 1, s) for k in keys for s in (0.0, math.pi / 2)], axis=1)
        design /= np.sqrt((design**2).sum(0))
        logits, answers = model(inputs(p))[:, -1, :p].double(), sums(p)
        right = (logits.argmax(-1) == answers).double()
        rest = (logits.numpy() - design @ (design.T @ logits.numpy()))[training.numpy()]
        rows.append((step, right[training].mean().item(), ce(rest, answers[training]), right[~training].mean().item()))
    return rows


def compare_phases(answer, name: str, steps: tuple[int, ...], which: str) -> None:
    keys = tuple(mi_lib.zoo.card(NAME)["frequencies"])
    rows = measured(name, steps, keys)

    def first(column: int, bound: float, backwards: bool = False):
        reached = [r[0] for r in rows if r[column] >= bound and (column != 2 or r[1] >= 0.999)]
        return (reached[-1] if backwards else reached[0]) if reached else None

    want = (first(1, 0.999), first(2, 1.0), first(3, 0.999))
    got = answer.phases(list(film(name, steps)), training_pairs(name), list(keys))
    expect(isinstance(got, tuple | list) and len(got) == 3, "Return three steps: memorised, circuit, cleaned.")
    if tuple(got) == want:
        return
    last = (first(1, 0.999, True), first(2, 1.0, True), first(3, 0.999, True))
    steps = [r[0] for r in rows]
    numbers = tuple(steps.index(s) if s in steps else None for s in want)
    for name, mine, right, late, number in zip(
        ("memorised", "circuit", "cleaned"), got, want, last, numbers, strict=True
    ):
        if mine == right:
            continue
        if name == "circuit" and mine in steps and rows[steps.index(mine)][1] < 0.999:
            raise Wrong(
                f"`circuit` cannot be step {mine} in {which}: nothing is memorised there yet, and an untrained network "
                "has a high excluded loss because it knows nothing. Ask for 99.9 % of the training pairs as well."
            )
        expect(right is not None, f"In {which}, `{name}` never happens, so it is None; your code says {mine}.")
        expect(mine is not None, f"In {which}, `{name}` happens at step {right}; your code says None.")
        expect(mine != late, f"`{name}` is the FIRST step at which it is so, not the last: {right} in {which}.")
        expect(mine != number, f"`{name}` is a training step ({right}), not the number of a checkpoint ({mine}).")
        raise Wrong(
            f"In {which}, `{name}` is step {right}, but your code says {mine}. "
            + {
                "memorised": "It is about the accuracy on the training pairs alone.",
                "circuit": "It is about the excluded loss on the training pairs, at least 1 nat.",
                "cleaned": "It is about the accuracy on the pairs that are NOT in training.",
            }[name]
        )


@grades("03.13", weight=2)
def test_the_phases_of_the_training(answer):
    """Checkpoints of the network, on its own training set."""
    steps = mi_lib.zoo.checkpoints(NAME)
    over = [steps.index(step) for step in mi_lib.zoo.card(NAME)["phases"].values()]
    chosen = {0, len(steps) - 1, *over, *(i - 1 for i in over)}  # where each phase is over, and just before
    compare_phases(answer, NAME, tuple(steps[i] for i in sorted(chosen)), "the training of the network")


@grades("03.13")
def test_the_control_never_gets_beyond_memory(answer):
    """The control: memorised, and then nothing."""
    steps = mi_lib.zoo.checkpoints(CONTROL)
    compare_phases(answer, CONTROL, (steps[0], steps[1], steps[-1]), "the control")


# --- 03.14 ------------------------------------------------------------------------------------------------------------


@grades("03.14")
def test_the_formula_itself(answer):
    """Σ A cos w(a ± b − c), for small p."""
    for p, sign, amplitudes in ((5, 1, {1: 1.0}), (7, -1, {2: 0.5, 3: -2.0}), (11, 1, {1: 3.0, 4: 1.0, 5: 0.1})):
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
                "The amplitudes are missing.": sum(
                    np.cos(2 * math.pi * k / p * (a + sign * b - c)) for k in amplitudes
                ),
            },
        )


def formula_of(logits: Tensor, keys: list[int], sign: int) -> dict[int, float]:
    """⟨L, D⟩/⟨D, D⟩ by adding up logits with the same a ± b − c."""
    p = logits.shape[1]
    x = logits.double().numpy().reshape(p, p, p)
    a, b, c = np.meshgrid(np.arange(p), np.arange(p), np.arange(p), indexing="ij")
    sums_of = np.bincount(((a + sign * b - c) % p).ravel(), weights=x.ravel(), minlength=p)
    return {k: float((sums_of * np.cos(2 * math.pi * k * np.arange(p) / p)).sum() / (p**3 / 2)) for k in keys}


def renumbered(model: Transformer, factor: int) -> Transformer:
    """The same network with every number a called factor·a mod p: it still adds, at frequencies k / factor."""
    p = model.cfg.d_vocab - 1
    order = [(a * pow(factor, -1, p)) % p for a in range(p)]
    weights = dict(model.state_dict())
    weights["W_E"] = model.W_E[[*order, p]]
    columns = [*order, *range(p, model.W_U.shape[1])]
    weights["W_U"] = model.W_U[:, columns]
    copy = Transformer(model.config)
    copy.load_state_dict(weights)
    return copy.requires_grad_(False)


def compare_formula(answer, model: Transformer, which: str) -> None:
    p = model.cfg.d_vocab - 1
    logits, cache = model.run_with_cache(inputs(p), ("post", 0))
    logits = logits[:, -1, :p]
    x = cache["post", 0][:, -1].reshape(p, p, -1)
    shares = shares_by_fft(x)
    variance = x.double().reshape(p * p, -1).var(0)
    live = (variance >= variance.max() / 1000).numpy()
    counts = np.bincount(shares.argmax(0)[(shares.max(0) >= 0.5) & live] + 1, minlength=p)
    keys = [k for k in range(1, (p + 1) // 2) if counts[k] and counts[k] >= 0.02 * live.sum()]
    both = {sign: formula_of(logits, keys, sign) for sign in (1, -1)}
    sign = max(both, key=lambda s: sum(A * A for A in both[s].values()))
    got = answer.find_formula(model)
    expect(
        isinstance(got, tuple | list) and len(got) == 2 and isinstance(got[1], dict),
        "Return two things: the sign, and a dict from frequency to amplitude.",
    )
    mine_sign, mine = int(got[0]), {int(k): float(A) for k, A in got[1].items()}
    if not keys:
        expect(
            not mine,
            f"{which} has not grokked: its formula is (1, {{}}), but your code gave frequencies {sorted(mine)}.",
        )
        return
    expect(
        sorted(mine) == keys,
        f"The key frequencies of {which} are {keys}, but your formula has {sorted(mine)}.",
    )
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
            "These are the amplitudes of the other sign.": [both[-sign][k] for k in keys],
        },
    )
    logits_of = answer.formula(p, mine_sign, {k: mine[k] for k in keys})
    right = (torch.as_tensor(logits_of).argmax(-1) == sums(p, sign)).double().mean().item()
    expect(right >= 0.999, f"Your formula answers only {right:.1%} of all pairs of {which} rightly.")


@grades("03.14", weight=2)
def test_the_formula_of_the_network(answer):
    """The network of this chapter, and the same network with its numbers renamed."""
    model = mi_lib.load(NAME)
    compare_formula(answer, model, "the network")
    compare_formula(answer, renumbered(model, 5), "the network with its numbers renamed")


@grades("03.14", weight=2)
def test_another_prime_and_another_operation(answer):
    """A network trained on a − b mod 97: the method carries over, the numbers do not."""
    compare_formula(answer, mi_lib.load(OTHER), "the network that subtracts")


@grades("03.14")
def test_the_control_has_no_formula(answer):
    """The control, which has only memorised."""
    compare_formula(answer, mi_lib.load(CONTROL), "the control")
