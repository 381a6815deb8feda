"""The trial of sparse autoencoders on Pico: its schedule finds what is planted, its latents are few."""

from __future__ import annotations

import torch

from mi_lib import saes
from mi_lib.recipes.pico import concept_checks as checks


def test_a_latent_is_found_for_each_planted_direction():
    generator = torch.Generator().manual_seed(0)
    directions = torch.linalg.qr(torch.randn(16, 8, generator=generator)).Q.T
    which = torch.randint(0, 8, (2000,), generator=generator)
    sae = checks.trained(directions[which], torch.ones(2000), checks.Trial(0, 32, 2, 0.0))
    values = sae.encode(directions[which])
    assert ((values > 0).sum(1) <= 2).all()
    assert torch.allclose(sae.W_dec.norm(dim=1), torch.ones(32))
    holds = torch.nn.functional.one_hot(which, 8).bool()
    assert min(choice.score for choice in saes.choose(values, holds)) > 0.99


def test_a_rare_word_is_drawn_as_often_as_a_frequent_one_where_rarity_is_1():
    x = torch.tensor([[0.0]] * 900 + [[1.0]] * 100)
    count = torch.tensor([900.0] * 900 + [100.0] * 100)
    shares = [torch.cat(list(checks.batches(x, count, rarity, 0))).mean().item() for rarity in (0.0, 1.0)]
    assert torch.allclose(torch.tensor(shares), torch.tensor([0.1, 0.5]), atol=0.01)
