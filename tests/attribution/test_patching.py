"""A patched place is what a run of its own says, however little of that run is computed anew."""

from __future__ import annotations

import pytest
import torch
from attribution_subjects import EVERY, model_of, prompts

from mi_lib.attribution import (
    answer_tokens,
    logit_difference,
    patch_heads,
    patch_layers,
    patch_neurons,
    patch_places,
    patch_positions,
)
from mi_lib.models import UnknownSite
from mi_lib.worlds import planted

METRIC = logit_difference(3, 4)


def one_run(model, base, source, site, index, mask=None):
    """Logits of `base` with one place of `source`, by a hook alone."""
    _, cache = model.run_with_cache(source, site, attention_mask=mask)
    (given,) = cache.values()

    def put(value, hook):
        value[(slice(None), *index)] = given[(slice(None), *index)]

    return model.run_with_hooks(base, [(site, put)], mask)


PLACES = [
    *((("resid_pre", layer), (pos,)) for layer in range(2) for pos in range(9)),
    *((("attn_out", layer), (pos,)) for layer in range(2) for pos in (0, 4, -1)),
    *((("mlp_out", layer), (pos,)) for layer in range(2) for pos in (3, 7)),
    *((("z", layer), (pos, 2)) for layer in range(2) for pos in (5, 8)),
    (("k", 0), (5, 1)),
    (("q", 1), (6, 3)),
    (("v", 1), (slice(None), 0)),
    (("pattern", 0), (2,)),
    (("pattern", 1), (3, 7)),
    (("post", 1), (slice(4, None), 7)),
    (("resid_post", 1), (8,)),
    (("q_input", 1), (8, 1)),
    (("mlp_in", 0), (4,)),
]


def places_of(model):
    return [p for p in PLACES if model.cfg.d_mlp or p[0][0] not in ("mlp_out", "post", "mlp_in")]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("noising", [False, True])
def test_a_sweep_is_what_runs_of_their_own_say(name, noising):
    model, (clean, corrupted) = model_of(name), prompts(2, 9)
    base, source = (clean, corrupted) if noising else (corrupted, clean)
    m_clean, m_corrupted = METRIC(model(clean)), METRIC(model(corrupted))
    got = patch_places(model, clean, corrupted, METRIC, places_of(model), noising=noising, logits_to_keep=1)
    for (site, index), value in zip(places_of(model), got, strict=True):
        patched = METRIC(one_run(model, base, source, site, index))
        assert torch.allclose(value, (patched - m_corrupted) / (m_clean - m_corrupted), atol=1e-9), (site, index)
    assert (got - (1 if noising else 0)).abs().max() > 0.1


@pytest.mark.parametrize("name", ["gpt2", "llama", "native"])
def test_the_metric_may_use_all_positions_and_few_rows_may_be_run_at_once(name):
    model, (clean, corrupted) = model_of(name), prompts(2, 9)
    metric = lambda logits: logits[..., 3].pow(2).sum(-1)  # noqa: E731
    assert_equal = [patch_places(model, clean, corrupted, metric, places_of(model), batch_size=n) for n in (256, 5)]
    assert torch.allclose(*assert_equal, atol=1e-9)
    m_clean, m_corrupted = metric(model(clean)), metric(model(corrupted))
    for (site, index), value in zip(places_of(model), assert_equal[0], strict=True):
        patched = metric(one_run(model, corrupted, clean, site, index))
        assert torch.allclose(value, (patched - m_corrupted) / (m_clean - m_corrupted), atol=1e-9), (site, index)


@pytest.mark.parametrize("name", ["gpt2", "native"])
def test_what_comes_before_a_place_is_not_computed_again(name, monkeypatch):
    model, (clean, corrupted) = model_of(name), prompts(1, 12)
    numbers = []
    run = type(model)._block_again

    def counted(self, layer, residual, again):
        numbers.append((layer, residual.shape[1], again.keys_only))
        return run(self, layer, residual, again)

    monkeypatch.setattr(type(model), "_block_again", counted)
    patch_positions(model, clean, corrupted, METRIC, logits_to_keep=1)
    # Rows from each position on, of layer 0 and then of both layers; of the last layer keys, then the last position.
    positions = sum(range(1, 13))
    assert numbers == [(0, positions, False), (1, 2 * positions, True), (1, 2 * 12, False)]


@pytest.mark.parametrize("name", ["llama", "native"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_prompts_give_what_they_give_alone(name, side):
    model, (clean, corrupted) = model_of(name), prompts(1, 6)
    alone = patch_positions(model, clean, corrupted, METRIC)
    where = slice(2, 8) if side == "left" else slice(0, 6)
    mask = torch.zeros(1, 8, dtype=torch.bool)
    mask[:, where] = True
    wide = [torch.zeros(1, 8, dtype=torch.long) for _ in range(2)]
    for row, tokens in zip(wide, (clean, corrupted), strict=True):
        row[:, where] = tokens
    last = where.stop - 1
    got = patch_positions(model, *wide, lambda logits: METRIC(logits[:, : last + 1]), attention_mask=mask)
    assert torch.allclose(got[:, where], alone, atol=1e-9)


@pytest.mark.parametrize("name", ["gpt2", "native"])
def test_an_edit_around_a_sweep_holds_in_every_run_of_it(name):
    model, (clean, corrupted) = model_of(name), prompts(2, 9)

    def halve(value, hook):
        value[:, :3] *= 0.5

    with model.hooks([([("resid_pre", 0), ("attn_out", 1)], halve)]):
        got = patch_places(model, clean, corrupted, METRIC, places_of(model), logits_to_keep=1)
        m_clean, m_corrupted = METRIC(model(clean)), METRIC(model(corrupted))
        for (site, index), value in zip(places_of(model), got, strict=True):
            patched = METRIC(one_run(model, corrupted, clean, site, index))
            assert torch.allclose(value, (patched - m_corrupted) / (m_clean - m_corrupted), atol=1e-9), (site, index)


def test_sweeps_by_layer_head_and_neuron_are_their_places():
    model, (clean, corrupted) = model_of("llama"), prompts(2)

    def each(places):
        return patch_places(model, clean, corrupted, METRIC, places)

    heads = patch_heads(model, clean, corrupted, METRIC)
    assert heads.shape == (2, 4, 2)
    assert torch.allclose(heads[1, 2], each([(("z", 1), (slice(None), 2))])[0])
    at_end = patch_heads(model, clean, corrupted, METRIC, position=-1)
    assert torch.allclose(at_end[0, 3], each([(("z", 0), (5, 3))])[0])
    pattern = patch_heads(model, clean, corrupted, METRIC, "pattern", position=-1)
    assert torch.allclose(pattern[0, 1], each([(("pattern", 0), (1, 5))])[0])
    keys = patch_heads(model, clean, corrupted, METRIC, "k")
    assert keys.shape == (2, 2, 2)  # two heads share keys
    layers = patch_layers(model, clean, corrupted, METRIC, "resid_post")
    assert torch.allclose(layers, torch.ones(2, 2).double())  # the whole stream carries the whole answer
    neurons = patch_neurons(model, clean, corrupted, METRIC, -1)
    assert neurons.shape == (20, 2)
    some = patch_neurons(model, clean, corrupted, METRIC, 1, neurons=[7], position=2)
    assert torch.allclose(some, each([(("post", 1), (2, 7))]))


def test_behind_an_and_each_is_needed_and_none_suffices_and_behind_an_or_the_other_way_round():
    for name, heads, needed, suffices in (
        ("conjunction", ((0, 1), (1, 2)), True, False),
        ("redundant", ((0, 0), (1, 3)), False, True),
    ):
        circuit = planted.circuit(name)
        pairs = circuit.pairs(8, seed=3)
        metric = logit_difference(pairs.answers, pairs.corrupted_answers)
        bring, lose = (patch_heads(circuit.model, pairs.clean, pairs.corrupted, metric, noising=n) for n in (0, 1))
        for layer, head in heads:
            assert (lose[layer, head].mean() < 0.05) == needed, name
            assert (bring[layer, head].mean() > 0.95) == suffices, name
            assert needed or (lose[layer, head] > 0.95).all()
            assert suffices or (bring[layer, head] < 0.05).all()


def test_the_logit_difference_takes_a_token_for_all_or_for_each():
    logits = torch.arange(24.0).view(2, 3, 4) ** 2
    assert logit_difference(3, 1)(logits).tolist() == [11**2 - 9**2, 23**2 - 21**2]
    assert logit_difference(torch.tensor([0, 2]), 1)(logits).tolist() == [8**2 - 9**2, 22**2 - 21**2]


def test_an_answer_must_be_one_token():
    model = planted.circuit("conjunction").model
    assert model.to_str_tokens(answer_tokens(model, ["mud", "gold"])) == ["mud", "gold"]
    with pytest.raises(ValueError, match=r"'mud gold' is no single token but 2 \('mud', 'gold'\); choose an answer"):
        answer_tokens(model, ["mud gold"])


def sweep(clean, corrupted, metric=METRIC, places=((("z", 0), (0, 0)),), **options):
    return patch_places(model_of("gpt2"), clean, corrupted, metric, places, **options)


CLEAN, CORRUPTED = prompts()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sweep(CLEAN, CORRUPTED[:, 1:]), "pair 0 has 6 tokens and the corrupted one 5; give each prompt"),
        (lambda: sweep(CLEAN, CORRUPTED[1:]), "3 clean prompts and 2 corrupted ones: give each its own"),
        (lambda: sweep(CLEAN, torch.cat([CORRUPTED[:2], CLEAN[2:]])), "in both runs of pair 2, .*with another answer"),
        (lambda: sweep(CLEAN, CORRUPTED, lambda y: METRIC(y).mean()), "do not average over the batch"),
        (lambda: sweep(CLEAN, CORRUPTED, places=[]), "no place was given"),
        (lambda: sweep(CLEAN, CORRUPTED, places=[(("z", 0), (6, 0))]), "no position 6 in prompts of 6 tokens"),
        (lambda: sweep(CLEAN, CORRUPTED, places=[("embed", (0,))]), r"lies outside the blocks; patch \('resid_pre', 0"),
        (lambda: patch_neurons(model_of("native attention-only"), CLEAN, CORRUPTED, METRIC, 0), "attention only"),
    ],
)
def test_what_cannot_be_patched_is_refused_in_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_site_that_is_none_is_told_with_those_near_it():
    with pytest.raises(UnknownSite, match=r"did you mean blocks\.0\.attn\.hook_z"):
        sweep(CLEAN, CORRUPTED, places=[("blocks.0.attn.hook_zz", (0,))])
