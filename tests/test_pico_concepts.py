"""The trial of sparse autoencoders on Pico: its list is fixed, its measure is right, its latents are few."""

from __future__ import annotations

import torch

from mi_lib.recipes.pico import concept_checks as checks


def test_there_are_48_concepts_and_training_texts_have_each_of_them():
    holds = checks.concepts(checks.texts(400, 30, "train"))
    assert len(set(checks.CONCEPTS)) == len(checks.CONCEPTS) == holds.shape[1] == 48
    assert holds.any(0).all()


def test_f1_weighs_missed_words_and_false_alarms_alike():
    active = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 0]]).bool()
    holds = torch.tensor([[1], [1], [0], [0]]).bool()
    assert torch.allclose(checks.f1(active, holds), torch.tensor([[1.0], [2 / 5], [0.0]]))


def test_a_level_is_a_share_of_the_largest_value():
    values, holds = torch.tensor([[0.0], [1.0], [4.0]]), torch.tensor([[False], [False], [True]])
    found = checks.at_levels(values, values.amax(0), holds)[:, 0]
    assert found[0] == torch.tensor(2 / 3)  # above 0: both words
    assert found[-1] == 1  # above 3.6: the right one


def test_a_latent_is_found_for_each_planted_direction():
    generator = torch.Generator().manual_seed(0)
    directions = torch.linalg.qr(torch.randn(16, 8, generator=generator)).Q.T
    which = torch.randint(0, 8, (2000,), generator=generator)
    sae = checks.trained(directions[which], torch.ones(2000), checks.Trial(0, 32, 2, 0.0))
    with torch.no_grad():
        values = sae.latents(directions[which])
    assert ((values > 0).sum(1) <= 2).all()
    holds = torch.nn.functional.one_hot(which, 8).bool()
    assert (checks.at_levels(values, values.amax(0), holds).amax(0) > 0.99).all()
