"""One correlation over everything flatters."""

import numpy as np
import pytest

from mi_lib import personas


def test_what_only_tells_kinds_apart_correlates_over_everything_and_not_within():
    rng = np.random.default_rng(0)
    kind = np.repeat([0, 1, 2], 40)
    x, y = kind + 0.2 * rng.normal(size=120), 2 * kind + 0.2 * rng.normal(size=120)
    found = personas.monitored(x, y, [str(k) for k in kind])
    assert found.pooled > 0.9
    assert abs(found.within) < 0.3
    assert found.within_interval[0] < found.within < found.within_interval[1]
    assert set(found.by_kind) == {"0", "1", "2"}
    assert found.by_kind["1"] == pytest.approx(np.corrcoef(x[40:80], y[40:80])[0, 1])


def test_what_goes_on_within_each_kind_is_found_though_kinds_hide_it():
    rng = np.random.default_rng(1)
    kind = np.repeat([0, 1], 50)
    x = rng.normal(size=100)
    found = personas.monitored(x - 9 * kind, x + 9 * kind, [str(k) for k in kind])
    assert found.pooled < -0.8
    assert found.within == pytest.approx(1)


def test_a_kind_that_does_not_vary_has_no_correlation():
    found = personas.monitored(np.array([1.0, 2, 3, 4]), np.array([0.3, 0.3, 0.3, 0.3]), list("aabb"))
    assert (found.pooled, found.within, found.by_kind["a"]) == (0, 0, 0)


@pytest.mark.parametrize("kinds", [list("ab"), list("abcd")])
def test_unlike_lengths_are_refused(kinds):
    with pytest.raises(ValueError, match="for each of at least three prompts"):
        personas.monitored(np.ones(3), np.ones(3), kinds)
