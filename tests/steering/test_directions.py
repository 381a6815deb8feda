"""Directions from activations: the recipes on planted cases, and activations collected from texts of unlike length."""

from __future__ import annotations

import pytest
import torch
from steering_subjects import ASKED

from mi_lib import steering


def planted(n: int = 60, d: int = 12) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two sets that differ by a vector."""
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(d, generator=generator)
    return torch.randn(n, d, generator=generator) + 5 * vector, torch.randn(n + 7, d, generator=generator), 5 * vector


def test_activations_are_those_of_each_text_read_alone(model):
    rows = steering.chat(model, ASKED)
    sites = [("resid_pre", 1), ("attn_out", 0)]
    found = steering.collect(model, rows, sites, (-2, 0), batch=3)
    assert found.shape == (len(rows), 2, 2, model.cfg.d_model)
    everywhere = steering.collect_all(model, rows, sites, batch=3)
    for row, at_two, all_of_it in zip(rows, found, everywhere, strict=True):
        _, cache = model.run_with_cache(torch.tensor([row]), sites)
        alone = torch.stack([cache[site][0] for site in sites])
        torch.testing.assert_close(at_two, alone[:, [-2, 0]], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(all_of_it, alone, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(steering.collect(model, rows, sites[1], 0), found[:, 1, 1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(steering.collect(model, rows, sites, -2), found[:, :, 0], rtol=1e-4, atol=1e-4)
    last = steering.collect(model, rows, steering.stream_sites(model))
    assert last.shape == (len(rows), model.cfg.n_layers + 1, model.cfg.d_model)


def test_replies_are_averaged_over_their_own_tokens(model):
    prompts = steering.chat(model, ASKED[:3])
    said = [[7, 8, 9], [10, 2], []]
    found = steering.collect_replies(model, prompts, said, [("resid_pre", 2)])
    for prompt, reply, mean in zip(prompts, said, found, strict=True):
        (states,) = steering.collect_all(model, [[*prompt, *reply]], [("resid_pre", 2)])
        spoken = [token for token in reply if token != 2]
        own = states[:, len(prompt) : len(prompt) + len(spoken)] if spoken else states[:, -1:]
        torch.testing.assert_close(mean, own.mean(1), rtol=1e-4, atol=1e-4)


def test_a_planted_difference_is_found_and_shuffled_labels_do_not_find_it():
    positive, negative, vector = planted()
    found = steering.difference_of_means(positive, negative)
    assert torch.cosine_similarity(found, vector, dim=0) > 0.99
    wrong = steering.shuffled(positive, negative, 8)
    torch.testing.assert_close(wrong.norm(dim=-1), found.norm().expand(8))
    # Labels at random leave some of the difference by chance: each of the mixed sets has more of one kind.
    assert steering.difference_of_means(positive, negative[:60].flip(0)).shape == (12,)
    assert len({tuple(row.tolist()) for row in wrong}) == 8
    assert not torch.allclose(wrong[0], found)


def test_pairs_cancel_what_they_share():
    generator = torch.Generator().manual_seed(1)
    shared, vector = 50 * torch.randn(40, 12, generator=generator), torch.randn(12, generator=generator)
    found = steering.contrastive(shared + vector, shared)
    torch.testing.assert_close(found, vector, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found, steering.difference_of_means(shared + vector, shared), rtol=1e-3, atol=1e-3)


def test_the_first_component_is_where_rows_vary_most_about_their_mean():
    generator = torch.Generator().manual_seed(2)
    vector = torch.randn(12, generator=generator)
    rows = 30 + torch.randn(25, 12, generator=generator) + 8 * torch.linspace(-1, 1, 25)[:, None] * vector
    found = steering.first_component(rows)
    assert abs(torch.cosine_similarity(found, vector, dim=0)) > 0.95
    assert found.norm().item() == pytest.approx(1, abs=1e-5)


def test_random_directions_have_the_same_norm_the_same_seed_and_nothing_else_in_common():
    vector = torch.arange(1.0, 25.0)
    drawn = steering.random_like(vector, 10)
    torch.testing.assert_close(drawn.norm(dim=-1), vector.norm().expand(10))
    torch.testing.assert_close(drawn, steering.random_like(vector, 10, seed=0))
    assert not torch.allclose(drawn, steering.random_like(vector, 10, seed=1))
    cosines = torch.cosine_similarity(drawn[:, None], drawn[None], dim=-1) - torch.eye(10)
    assert cosines.abs().max() < 0.9
    by_layer = steering.random_like(torch.stack([vector, 2 * vector]), 3)
    torch.testing.assert_close(by_layer.norm(dim=-1), torch.stack([vector.norm(), 2 * vector.norm()]).expand(3, 2))


def test_actadd_is_the_difference_at_every_place_of_one_pair_the_shorter_filled_up(model):
    vectors = steering.actadd(model, "thank you", "burn", ("resid_pre", 1))
    rows = [model.to_tokens("thank you")[0].tolist(), [*model.to_tokens("burn")[0].tolist(), 0]]
    states = steering.collect_all(model, rows, ("resid_pre", 1))
    torch.testing.assert_close(vectors, (states[0] - states[1])[0], rtol=1e-4, atol=1e-4)
    assert vectors[0].norm() < 1e-4, "both begin with the same token"
    assert vectors[1:].norm(dim=-1).min() > 0.1


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda x: steering.difference_of_means(x[:1], x), "positive set has 1 member:"),
        (lambda x: steering.difference_of_means(x, x[:0]), "negative set has 0 members"),
        (lambda x: steering.difference_of_means(x, x[:, :2]), "unlike shapes"),
        (lambda x: steering.contrastive(x, x[:2]), "one shape"),
        (lambda x: steering.contrastive(x[:1], x[:1]), "1 pair"),
        (lambda x: steering.first_component(x[:1]), "nothing varies"),
        (lambda x: steering.unit(steering.difference_of_means(x, x)), "direction is zero"),
        (lambda x: steering.unit(x.int()), "tensor of numbers"),
    ],
)
def test_what_makes_no_direction_is_refused_in_a_sentence(call, told):
    with pytest.raises(ValueError, match=told):
        call(torch.randn(4, 6, generator=torch.Generator().manual_seed(0)))


def test_a_text_that_is_too_short_for_a_position_is_named(llama):
    with pytest.raises(ValueError, match="no position -9 in text 1"):
        steering.collect(llama, steering.chat(llama, ASKED), ("resid_pre", 1), -9)
