"""Hidden tests of chapter 03: other primes, more frequencies, another network that subtracts. See
`mi_lib/course/classroom/hidden.py`: of each test the learner reads the first line of the docstring and nothing else."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

import mi_lib
from mi_lib.course.grading import expect, expect_close, expect_equal, grades
from mi_lib.course.grading.material import randn, with_weights
from mi_lib.models import Transformer


@grades("03.1")
def test_a_larger_prime(answer):
    """More numbers than in any network of the chapter."""
    for p in (127, 2):
        tokens, answers = answer.dataset(p)
        want = [(a, b, p) for a in range(p) for b in range(p)]
        expect_equal(torch.as_tensor(tokens), torch.tensor(want), "the inputs")
        expect_equal(torch.as_tensor(answers), torch.tensor([(a + b) % p for a, b, _ in want]), "the answers")


@grades("03.2")
def test_logits_that_are_large_throughout(answer):
    """The loss does not depend on what is added to all logits of a row."""
    logits, answers = 3 * randn(40, 9, seed=3) + 2000, torch.arange(40) % 9
    x = logits.double().numpy()
    top = x.max(1, keepdims=True)
    nats = np.log(np.exp(x - top).sum(1)) + top[:, 0] - x[np.arange(40), answers.numpy()]
    expect_close(answer.precise_loss(logits, answers), float(nats.mean()), "the loss", rtol=1e-6)


@grades("03.10")
def test_many_frequencies(answer):
    """What is left of logits if the waves of many frequencies are kept."""
    p, keys = 23, [11, 2, 3, 5, 7, 8, 9, 10]
    pairs = np.array([(a, b) for a in range(p) for b in range(p)])
    logits, answers = 2 * randn(p * p, p, seed=8), torch.tensor(pairs.sum(1) % p)
    x = logits.double().numpy()
    kept = np.tile(x.mean(0), (p * p, 1))
    for k in keys:
        for wave in (np.cos, np.sin):
            column = wave(2 * math.pi * k / p * pairs.sum(1))
            kept += np.outer(column, column @ x) / (column @ column)
    nats = np.log(np.exp(kept).sum(1)) - kept[np.arange(p * p), answers.numpy()]
    expect_close(answer.restricted_loss(logits, answers, keys), float(nats.mean()), "the restricted loss", rtol=1e-5)


FACTOR = 10


@functools.cache
def renumbered() -> Transformer:
    """The network that subtracts, with every number a called FACTOR·a: its waves are others."""
    model = mi_lib.load("grokking-97-subtract")
    p = model.cfg.d_vocab - 1
    order = [(a * pow(FACTOR, -1, p)) % p for a in range(p)]
    columns = [*order, *range(p, model.W_U.shape[1])]
    return with_weights(model, {"W_E": model.W_E[[*order, p]], "W_U": model.W_U[:, columns]})


@functools.cache
def waves_of(sign: int) -> Tensor:
    """For each frequency from 1 on the amplitude in the logits, by the discrete Fourier transform of their sums."""
    model = renumbered()
    p = model.cfg.d_vocab - 1
    pairs = torch.tensor([(a, b, p) for a in range(p) for b in range(p)])
    with torch.no_grad():
        x = model(pairs)[:, -1, :p].double().numpy()
    difference = (pairs[:, 0] + sign * pairs[:, 1]).numpy()[:, None] - np.arange(p)
    total = np.bincount((difference % p).ravel(), weights=x.ravel(), minlength=p)
    return torch.tensor(np.fft.rfft(total).real[1:] / (p**3 / 2))


@grades("03.14")
def test_another_network_that_subtracts(answer):
    """A network that subtracts, at frequencies that none of the bundled ones has."""
    sign, amplitudes = answer.find_formula(renumbered())
    amplitudes = {int(k): float(A) for k, A in amplitudes.items()}
    want = waves_of(-1)
    expect(int(sign) == -1, "The network subtracts.")
    top = float(want.abs().max())
    large = {k for k in range(1, len(want) + 1) if abs(float(want[k - 1])) > 0.3 * top}
    expect(large <= set(amplitudes), "A frequency with a large wave is missing.")
    got = torch.tensor([amplitudes[k] for k in sorted(amplitudes)], dtype=torch.float64)
    expect_close(got, want[[k - 1 for k in sorted(amplitudes)]], "the amplitudes", rtol=1e-3, atol=1e-4)
