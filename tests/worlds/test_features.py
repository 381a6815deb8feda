"""Planted features: what is drawn has the frequencies, correlations and families that were asked for."""

import pytest
import torch

from mi_lib.worlds.features import PlantedFeatures, planted, spread_directions

N = 20_000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_an_input_is_the_sum_of_its_features_and_nothing_else():
    world = planted(12, 8)
    x, a = world.draw(500, generator())
    assert torch.allclose(x, sum(a[:, i, None] * world.directions[i] for i in range(12)), atol=1e-5)
    assert a[a > 0].min() >= 0.5
    assert a.max() <= 1.5


def test_noise_is_what_no_feature_explains():
    world = planted(12, 8, noise=0.1)
    x, a = world.draw(N, generator())
    rest = x - a @ world.directions
    assert rest.std().item() == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("correlation", [None, {(1, 2): 0.8}, {(1, 2): 1.0}])
@pytest.mark.parametrize("parent", [None, {5: 4, 6: 5}])
def test_every_frequency_is_what_was_asked_for(correlation, parent):
    frequency = torch.tensor([0.05, 0.3, 0.3, 0.1, 0.4, 0.2, 0.1, 0.02])
    world = planted(8, 8, frequency=frequency, parent=parent, correlation=correlation)
    present = world.present(N, generator())
    assert torch.allclose(present.float().mean(0), frequency, atol=0.012)
    assert world.mean_l0 == pytest.approx(1.47)


def test_a_child_comes_only_with_its_parent_and_a_stranger_does_not():
    present = planted(3, 3, frequency=0.3, parent={1: 0}).present(N, generator())
    assert not (present[:, 1] & ~present[:, 0]).any()
    assert (present[:, 2] & ~present[:, 0]).any()


@pytest.mark.parametrize(("rho", "together"), [(-1.0, 0.0), (0.0, 0.04), (1.0, 0.2)])
def test_correlation_runs_from_never_together_to_always(rho, together):
    present = planted(3, 3, frequency=0.2, correlation={(0, 1): rho} if rho else None).present(N, generator())
    assert (present[:, 0] & present[:, 1]).float().mean().item() == pytest.approx(together, abs=0.01)
    assert (present[:, 0] & present[:, 2]).float().mean().item() == pytest.approx(0.04, abs=0.01)


def test_spreading_brings_the_nearest_two_directions_apart():
    def nearest(steps):
        d = spread_directions(40, 24, generator(), steps)
        assert torch.allclose(d.norm(dim=1), torch.ones(40))
        return (d @ d.T - torch.eye(40)).abs().max().item()

    assert nearest(200) < 0.75 * nearest(0)


def test_the_same_seed_gives_the_same_world_and_another_another():
    draws = [planted(6, 4, seed=seed).draw(50, generator(9)).x for seed in (3, 3, 4)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"frequency": 1.2}, "between 0 and 1"),
        ({"parent": {0: 1}}, "smaller number"),
        ({"parent": {1: 0}, "frequency": torch.tensor([0.1, 0.2, 0.1])}, "more often than its parent"),
        ({"parent": {1: 0}, "correlation": {(0, 1): 0.5}}, "ancestor"),
        ({"correlation": {(0, 1): 0.9, (1, 2): 0.9, (0, 2): -0.9}}, "no correlation matrix"),
        ({"low": 2.0}, "low <= high"),
    ],
)
def test_a_world_that_cannot_be_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        planted(3, 3, **options)


def test_directions_that_are_not_of_length_one_are_refused():
    with pytest.raises(ValueError, match="length 1"):
        PlantedFeatures(2 * torch.eye(2), torch.full((2,), 0.1), (-1, -1))


def test_random_rows_of_the_same_seed_are_not_the_planted_directions():
    world = planted(40, 24, seed=0)
    rows = torch.nn.functional.normalize(torch.randn(40, 24, generator=generator(0)), dim=1)
    assert (rows @ world.directions.T).max() < 0.85, "a dictionary of this seed would start at the truth"
