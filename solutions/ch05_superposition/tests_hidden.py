"""Hidden tests of chapter 05: other sizes, other seeds, shapes that no lesson shows. See
`mi_lib/course/classroom/hidden.py`: of each test the learner reads the first line of the docstring and nothing else."""

from __future__ import annotations

import math

import torch

from mi_lib.course.grading import expect, expect_close, expect_equal, grades


def polygon(corners: int) -> torch.Tensor:
    angles = 2 * math.pi * torch.arange(corners) / corners
    return torch.stack([angles.cos(), angles.sin()])


@grades("05.1")
def test_nothing_is_present(answer):
    """With S = 1 every feature is absent, with S = 0 none is, in any number of instances."""
    x = answer.sparse_features(torch.tensor([1.0, 0.0, 1.0]), 11, 37, 99)
    expect(bool((x[[0, 2]] == 0).all()), "With S = 1 all features are absent.")
    expect(bool((x[1] != 0).all()), "With S = 0 all features are present.")


@grades("05.2")
def test_a_model_with_room_for_all(answer):
    """With as many dimensions as features, and W a rotation, everything comes back."""
    W = torch.linalg.qr(torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(4))).Q
    x = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(5))
    expect_close(answer.reconstruct(W, torch.zeros(2, 5), x), x, "the output")
    expect_close(answer.weighted_loss(x, x, torch.rand(5)), torch.zeros(2), "the loss of a perfect model")


@grades("05.3")
def test_a_square_antiprism(answer):
    """Another shape: eight features in three dimensions."""
    W, _ = answer.train(torch.full((5,), 0.95), 8, 3, torch.ones(8), 1000, 128, 0.01, 77)
    squared = (W**2).sum(1)
    D = squared**2 / ((W.mT @ W) ** 2).sum(-1)
    good = ((D - 3 / 8).abs() < 0.04).all(1).sum()
    expect(good >= 4, f"Of 5 models, {int(good)} give each of 8 features 3/8 of a dimension.")


@grades("05.5")
def test_more_corners(answer):
    """Regular polygons with more corners, of any size."""
    for corners in (6, 7, 11):
        want = torch.full((1, corners), 2 / corners)
        expect_close(answer.dimensionality(0.4 * polygon(corners)[None]), want, "the dimensionality")


@grades("05.6")
def test_two_planes(answer):
    """A heptagon beside a hexagon, in any orientation."""
    turn = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(8))).Q
    W = turn @ torch.block_diag(polygon(6), polygon(7))
    got = [tuple(int(n) for n in shape) for shape in answer.find_shapes(W)]
    expect_equal(got, [(7, 2), (6, 2)], "the shapes")


@grades("05.11")
def test_many_neurons(answer):
    """A thousand neurons of which one answers to everything."""
    generator = torch.Generator().manual_seed(12)
    values = torch.randn(300, 1000, generator=generator)
    holds = torch.zeros(300, 3, dtype=torch.bool)
    holds[:10, 0], holds[10:20, 1], holds[5:15, 2] = True, True, True
    values[:20, 412] += 100
    got = answer.answers_to(values, holds, 20)
    expect(got[412].tolist() == [True, True, True], "The neuron that is largest at all of these words answers to each.")
    expect(got.float().mean() < 0.1, "Random neurons hardly ever answer to a concept of ten words.")
    poly = answer.is_polysemantic(got, holds)
    expect(bool(poly[412]), "Two of its concepts never hold at the same word.")


@grades("05.12")
def test_three_pairs(answer):
    """Six features in three dimensions."""
    got = [tuple(int(n) for n in shape) for shape in answer.find_geometry(6, 3, 0.9, 555)]
    expect_equal(got, [(2, 1), (2, 1), (2, 1)], "the shapes")
