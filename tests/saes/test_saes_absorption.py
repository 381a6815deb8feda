"""Absorption and splitting on dictionaries written by hand, where every number is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mi_lib import saes
from mi_lib.saes import splitting
from mi_lib.saes.absorption import fit_probe
from mi_lib.worlds.features import PlantedFeatures

# A world of six orthogonal features: 0 and 1 are parents, 2 and 3 children of 0; 4 and 5 are there by themselves.
PARENT, CHILD, OTHER_CHILD = 0, 2, 3
RARE = 0.015


def world(seed, n=1500, child=RARE):
    frequency = torch.tensor([0.4, 0.3, child, 0.1, 0.2, 0.2])
    made = PlantedFeatures(torch.eye(6), frequency, (-1, -1, 0, 0, -1, -1), low=1.0, high=1.0)
    drawn = made.draw(n, torch.Generator().manual_seed(seed))
    return drawn.x, drawn.activations


class Faithful(saes.ReLU):
    """A latent for each feature, and nothing else."""

    def __init__(self):
        super().__init__(6, 6)
        self.W_dec.data = torch.eye(6)
        self.W_enc.data = torch.eye(6)
        self.eval().requires_grad_(False)


class Absorbing(Faithful):
    """The parent's latent is silent where CHILD is, whose latent writes both: (parent + child) / √2, √2 times.

    weakly: instead of being silent it says so much less.
    """

    def __init__(self, less=1.0):
        super().__init__()
        self.W_enc.data[CHILD, PARENT] = -less  # x_child lowers the parent's latent
        row = torch.zeros(6)
        row[PARENT], row[CHILD] = less, 1.0
        self.W_dec.data[CHILD] = row / row.norm()
        self.W_enc.data[CHILD, CHILD] = row.norm()


def test_both_dictionaries_reconstruct_their_world_exactly():
    x, _ = world(0)
    for sae in (Faithful(), Absorbing(), Absorbing(0.5)):
        assert torch.allclose(sae(x), x, atol=1e-6)


def measured(sae, child=RARE):
    (x, a), (new, anew) = world(0, child=child), world(1, child=child)
    holds, holds_anew = a[:, PARENT] > 0, anew[:, PARENT] > 0
    found = saes.measure_absorption(x, sae.encode(x), holds, new, sae.encode(new), holds_anew, sae.W_dec)
    return found, (anew[:, CHILD] > 0)[holds_anew]


def test_a_dictionary_that_absorbs_does_so_at_the_words_of_the_child_and_nowhere_else():
    found, child = measured(Absorbing())
    assert found.main == [PARENT]
    assert found.probe_f1 == 1
    assert found.true_positives == len(child)
    assert found.full_share == pytest.approx(child.float().mean().item())
    assert found.mean_fraction == pytest.approx(child.float().mean().item())
    assert found.absorbers == {CHILD: int(child.sum())}


def test_a_dictionary_that_does_not_absorb_scores_0():
    found, _ = measured(Faithful())
    assert found.main == [PARENT]
    assert (found.mean_fraction, found.full_share, found.absorbers) == (0, 0, {})


def test_a_frequent_child_that_absorbs_counts_as_a_split_and_hides():
    """What the measure cannot see. A quarter of the parent's words are the child's: its latent adds more to F1 than a
    split must, becomes a main one, and is no longer asked. Every one of these words is absorbed all the same."""
    found, child = measured(Absorbing(), child=0.1)
    assert 0.2 < child.float().mean() < 0.3
    assert found.main == [PARENT, CHILD]
    assert (found.mean_fraction, found.full_share) == (0, 0)
    new, anew = world(1, child=0.1)
    at, sae = anew[:, PARENT] > 0, Absorbing()
    told = saes.absorbed(new[at], sae.encode(new[at]), sae.W_dec, torch.eye(6)[PARENT], [PARENT])
    assert torch.equal(told.full, child)


def test_half_an_absorption_is_a_fraction_and_not_full():
    x, a = world(1)
    sae = Absorbing(0.5)
    at = a[:, PARENT] > 0
    child = a[at][:, CHILD] > 0
    direction = 3 * torch.eye(6)[PARENT]  # its length says nothing
    got = saes.absorbed(x[at], sae.encode(x[at]), sae.W_dec, direction, [PARENT])
    assert torch.allclose(got.fraction, 0.5 * child, atol=1e-6)
    assert not got.full.any()


def one(f, cosines, there=1.0, main=(0,)):
    """The fraction, and whether it is full, for one input with a projection `there`, by latents of these cosines."""
    rows = torch.tensor([[c, math.sqrt(1 - c * c)] for c in cosines])
    direction = torch.tensor([1.0, 0.0])
    got = saes.absorbed(torch.tensor([[there, 5.0]]), torch.tensor([f]), rows, direction, list(main))
    return got.fraction.item(), got.full.item()


@pytest.mark.parametrize(
    ("f", "cosines", "there", "fraction", "full"),
    [
        ([1.0, 0.0], [1.0, 0.5], 1.0, 0, False),  # the main latent says it all
        ([0.0, 2.0], [1.0, 0.5], 1.0, 1, True),  # another does
        ([0.0, 0.8], [1.0, 0.5], 1.0, 1, True),  # just a share of .4
        ([0.0, 0.78], [1.0, 0.5], 1.0, 0, False),  # less
        ([0.0, 8.0], [1.0, 0.09], 1.0, 0, True),  # a cosine between .025 and .1: full, without a fraction
        ([0.0, 30.0], [1.0, 0.02], 1.0, 0, False),
        ([0.2, 2.0], [1.0, 0.5], 1.0, 0.8, False),  # of .8 that are left the absorber says 1, which is cut to .8
        ([0.5, 1.0], [1.0, 0.4], 1.0, 4 / 9, False),  # .4 / (.4 + .5)
        ([1e-3, 2.0], [-1.0, 0.5], 1.0, 1, False),  # the main latent says less than nothing, but it is active
        ([0.0, 1.0], [1.0, -0.9], 1.0, 0, False),
        ([0.0, 0.2, 0.2, 0.2, 0.2], [1.0, 0.5, 0.5, 0.5, 0.5], 0.7, 1, False),  # three at most: .3 of .7
        ([0.0, 0.2, 0.2, 0.2, 0.2], [1.0, 0.5, 0.5, 0.5, 0.5], 0.8, 0, False),  # .3 of .8; four would be .4
        ([0.0, 0.5], [1.0, 0.5], 0.0, 0, False),  # nothing is there to be absorbed
        ([0.0, 0.5], [1.0, 0.5], -1.0, 0, False),
    ],
)
def test_fractions_and_full_absorption_by_hand(f, cosines, there, fraction, full):
    assert one(f, cosines, there) == (pytest.approx(fraction, abs=1e-5), full)


def test_what_was_split_into_two_latents_is_not_absorbed():
    """The parent has two latents that share its words. Both are main; with one of them alone half seems absorbed."""
    (x, a), (new, anew) = world(0), world(1)
    half, half_anew = (torch.rand(len(t), generator=torch.Generator().manual_seed(5)) < 0.5 for t in (x, new))

    def latents(a, half):
        return torch.cat([a, torch.where(half, a[:, PARENT], 0.0)[:, None]], 1).index_put(
            (torch.arange(len(a)), torch.tensor(PARENT)), torch.where(half, 0.0, a[:, PARENT])
        )

    decoder = torch.cat([torch.eye(6), torch.eye(6)[[PARENT]]])
    holds, holds_anew = a[:, PARENT] > 0, anew[:, PARENT] > 0
    f, f_anew = latents(a, half), latents(anew, half_anew)
    found = saes.measure_absorption(x, f, holds, new, f_anew, holds_anew, decoder)
    assert sorted(found.main) == [PARENT, 6]
    assert (found.mean_fraction, found.full_share) == (0, 0)
    at = holds_anew
    alone = saes.absorbed(new[at], f_anew[at], decoder, torch.eye(6)[PARENT], [PARENT])
    assert alone.full.float().mean().item() == pytest.approx(half_anew[at].float().mean().item())


def test_a_main_latent_that_adds_nothing_is_not_taken_in():
    (_, a), (_, anew) = world(0), world(1)
    twice = torch.cat([a, a[:, [PARENT]]], 1)
    twice_anew = torch.cat([anew, anew[:, [PARENT]]], 1)
    main = saes.main_latents(twice, a[:, PARENT] > 0, twice_anew, anew[:, PARENT] > 0)
    assert len(main) == 1
    assert main[0] in (PARENT, 6)


def test_chunks_of_activations_give_the_same_main_latents():
    (_, a), (_, anew) = world(0), world(1)
    holds, holds_anew = a[:, 1] > 0, anew[:, 1] > 0
    assert saes.main_latents(a.split(400), holds, list(anew.split(700)), holds_anew) == [1]


def test_a_probe_finds_the_direction_and_its_threshold_in_any_units():
    x, a = world(0)
    holds = a[:, 4] > 0
    for scale in (1.0, 100.0):
        probe = fit_probe(scale * x + 7, holds)
        assert torch.equal(probe.says(scale * x + 7), holds)
        assert torch.nn.functional.cosine_similarity(probe.direction, torch.eye(6)[4], dim=0) > 0.98


def test_an_origin_far_away_is_told_to_the_projection():
    """All inputs moved by the same: without the origin the parent seems to be there ten times, so that no latent says
    enough of it."""
    sae = Absorbing()
    (x, a), (new, anew) = world(0), world(1)
    f, holds, f_anew, holds_anew = sae.encode(x), a[:, PARENT] > 0, sae.encode(new), anew[:, PARENT] > 0
    away = 9 * torch.eye(6)[PARENT]
    lost, found = (
        saes.measure_absorption(x + away, f, holds, new + away, f_anew, holds_anew, sae.W_dec, origin=origin)
        for origin in (None, away)
    )
    assert lost.full_share == 0
    assert found.full_share == measured(sae)[0].full_share > 0.02


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x, f: saes.absorbed(x, f[:, :3], torch.eye(6), torch.ones(6), [0]), "do not fit"),
        (lambda x, f: saes.absorbed(x, f, torch.eye(6), torch.ones(5), [0]), "do not fit"),
        (lambda x, f: saes.absorbed(x, f, torch.eye(6), torch.zeros(6), [0]), "points nowhere"),
        (lambda x, f: saes.absorbed(x, f, torch.eye(6), torch.ones(6), []), "main latents"),
        (lambda x, f: saes.absorbed(x, f, torch.eye(6), torch.ones(6), [6]), "main latents"),
        (lambda x, f: fit_probe(x, torch.ones(len(x), dtype=torch.bool)), "everywhere or nowhere"),
        (lambda x, f: saes.main_latents(f, f[:, 0] > 0, f, f[:9, 0] > 0), r"are \[1500\], not \[9\]"),
        (lambda x, f: saes.main_latents(f / 0, f[:, 0] > 0, f, f[:, 0] > 0), "not numbers"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_sentence(call, said):
    with pytest.raises(ValueError, match=said) as told:
        call(*world(0))
    assert "\n" not in str(told.value)


# --- splitting --------------------------------------------------------------------------------------------------------


def test_children_write_like_their_parent_and_are_active_where_it_is():
    _, a = world(0)
    either = torch.stack([a[:, 2] + a[:, 3], a[:, 4]], 1)  # a narrow dictionary: "a child", and feature 4
    narrow = torch.tensor([[0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 0.0]])
    found = splitting.split(narrow, torch.eye(6), either.split(400), a.split(400))
    assert found.parent[[2, 3, 4]].tolist() == [0, 0, 1]
    assert found.cosine[[2, 3, 4]].tolist() == pytest.approx([1 / math.sqrt(2), 1 / math.sqrt(2), 1])
    assert found.containment[[2, 3, 4]].tolist() == [1, 1, 1]
    assert found.children(0) == [2, 3]
    assert found.children(1) == [4]
    assert found.children(0, cosine=0.8) == []
    assert splitting.split(narrow, torch.eye(6)).containment is None


def test_containment_is_a_share_of_the_childs_words():
    narrow, wide = torch.tensor([[1.0], [1], [0], [0]]), torch.tensor([[1.0, 1, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0]])
    got = splitting.contained(narrow, wide)
    assert got[0, :2].tolist() == [1, 0.5]
    assert np.isnan(got[0, 2].item())


def test_how_many_latents_a_concept_needs():
    word = torch.randint(0, 12, (900,), generator=torch.Generator().manual_seed(0))
    f = torch.nn.functional.one_hot(word, 12).float()
    f[:, 11] = 0  # this word has no latent
    holds = torch.stack([word < 1, word < 5, word >= 10, word == 11], 1)
    old, new = slice(0, 500), slice(500, 900)
    got = splitting.latents_needed(f[old], holds[old], f[new], holds[new], bar=0.75, most=6)
    assert got.number.tolist() == [1, 3, 0, 0]  # three of five words: 2 · .6 / 1.6 = .75
    assert got.f1[0] == 1
    assert got.f1[1] == pytest.approx(0.75, abs=0.05)
    assert got.f1[2] == pytest.approx(2 / 3, abs=0.1)
    assert got.f1[3] == 0
    everyone = splitting.latents_needed(f[old], holds[old], f[new], holds[new], bar=1.0, most=6)
    assert everyone.number.tolist() == [1, 5, 0, 0]
    assert splitting.latents_needed(f[old], holds[old], f[new], holds[new], bar=1.0, most=4).number[1] == 0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: splitting.split(torch.eye(3), torch.eye(4)), r"are \[latent d\]"),
        (lambda: splitting.split(torch.eye(3), torch.eye(3), torch.ones(4, 3)), "both dictionaries"),
        (lambda: splitting.split(torch.eye(3), torch.eye(3), torch.ones(4, 3), torch.ones(5, 3)), "at 4 and 5"),
        (lambda: splitting.split(torch.eye(3), torch.eye(3), torch.ones(4, 3), torch.ones(4, 2)), r"not of \[3, 3\]"),
        (lambda: splitting.contained([], []), "no activations"),
    ],
)
def test_what_cannot_be_split_is_told_in_one_sentence(call, said):
    with pytest.raises(ValueError, match=said) as told:
        call()
    assert "\n" not in str(told.value)
