"""Hidden tests of chapter 06: other sizes, other seeds, worlds that no lesson shows. See
`mi_lib/course/classroom/hidden.py`: of each test the learner reads the first line of the docstring and nothing else."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from mi_lib import saes
from mi_lib.course.grading import expect, expect_close, expect_equal, grades
from mi_lib.worlds.features import planted


def randn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@grades("06.1")
def test_there_and_back(answer):
    """With a latent for each axis, what is above the bias comes back."""
    x, b_dec = 5 + randn(7, 4, seed=1).abs(), torch.tensor([1.0, 2.0, -1.0, 0.0])
    f = answer.encode(x, torch.eye(4), torch.zeros(4), b_dec)
    expect_close(answer.decode(f, torch.eye(4), b_dec), x, "x̂")


@grades("06.2")
def test_what_is_scaled_twice(answer):
    """Inputs that were scaled need no scale."""
    x = 40 + 3 * randn(50, 6, seed=2)
    expect_close(answer.input_scale(x * answer.input_scale(x)), 1.0, "the scale of scaled inputs", rtol=1e-3)


@grades("06.4")
def test_a_batch_of_one(answer):
    """For one input BatchTopK is TopK."""
    pre = randn(1, 19, seed=3)
    expect_close(answer.batch_top_k(pre, 4), answer.top_k(pre, 4), "what stays")


@grades("06.8")
def test_one_living_latent(answer):
    """All latents but one are dead."""
    W_dec, residual = randn(5, 3, seed=4), randn(4, 3, seed=5)
    dead = torch.tensor([True, True, False, True, True])
    W_enc, b_enc, rows = answer.restart(W_dec.T.clone(), torch.ones(5), W_dec, dead, residual)
    expect_close(rows[dead], normalize(residual, dim=1), "the new rows of W_dec")
    expect_close(W_enc[:, dead].norm(dim=0), 0.2 * W_dec[2].norm().expand(4), "the lengths of the new columns")
    expect_equal(b_enc.tolist(), [0.0, 0.0, 1.0, 0.0, 0.0], "the biases")


@grades("06.9")
def test_a_perfect_dictionary(answer):
    """Latents that are the features, in another order and of other lengths."""
    directions = normalize(randn(6, 9, seed=6), dim=1)
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    rows = torch.empty(6, 9)
    rows[order] = directions * torch.arange(1.0, 7.0)[:, None]
    latent, cosine = answer.match_features(directions, rows)
    expect_equal(latent.tolist(), order.tolist(), "the latent of each feature")
    expect_close(cosine, torch.ones(6), "the cosines")


@grades("06.10")
def test_another_world(answer):
    """Features of different frequencies, in a world that was not shown."""
    frequency = torch.linspace(0.05, 0.15, 18)
    world = planted(18, 11, frequency=frequency, seed=91)
    x = 7 * world.draw(20_000, torch.Generator().manual_seed(4)).x
    W_dec = answer.train_dictionary(x, 28, 2, 400, 5)[2]
    found = saes.match_directions(world.directions, W_dec).found()
    expect(found >= 0.9, f"Of 18 features {found:.0%} are found.")


@grades("06.12")
def test_nothing_is_absorbed(answer):
    """Where the main latent is always active, nothing is absorbed."""
    f = 1 + randn(9, 4, seed=7).abs()
    got, _ = answer.absorbed(randn(9, 3, seed=8), f, randn(4, 3, seed=9), randn(3, seed=10), 2)
    expect(not bool(got.bool().any()), "The main latent is active at every word, and you find holes.")


@grades("06.14")
def test_held_where_it_is(answer):
    """A latent held at the value that it has changes nothing."""
    x, f, W_dec = randn(2, 3, 5, seed=11), torch.full((2, 3, 4), 0.7), randn(4, 5, seed=12)
    expect_close(answer.clamp(x, f, W_dec, 3, 0.7), x, "x with the latent held at its own value")


@grades("06.15")
def test_as_many_groups_as_words(answer):
    """Every word is a group of its own."""
    got = answer.group_words(randn(13, 4, seed=13), 13)
    expect_equal(sorted(got.tolist()), list(range(13)), "the groups")
