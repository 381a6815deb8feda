"""What must hold of every method, whatever the prompts, the metric and the place."""

from __future__ import annotations

import copy

import pytest
import torch
from attribution_subjects import WITH_EDGES, model_of, prompts
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_lib.attribution import (
    atp_star,
    attribution_patching,
    by_node,
    cmd,
    cpr,
    eap,
    eap_ig,
    edge_effects,
    faithfulness,
    faithfulness_curve,
    integrated_gradients,
    logit_difference,
    patch_heads,
    patch_places,
    rank_correlation,
)
from mi_lib.models.graph import Edge, all_edges, head_of

METRIC = logit_difference(3, 4)
few = settings(max_examples=6, deadline=None)
seeds = st.integers(0, 10**6)

places = st.one_of(
    st.tuples(st.tuples(st.sampled_from(["resid_pre", "attn_out"]), st.integers(0, 1)), st.tuples(st.integers(-5, 4))),
    st.tuples(
        st.tuples(st.sampled_from(["q", "z"]), st.integers(0, 1)),
        st.tuples(st.sampled_from([0, 3, -1, slice(None), slice(1, 4), slice(None, None, -2)]), st.integers(0, 3)),
    ),
    st.tuples(
        st.tuples(st.sampled_from(["pattern", "attn_scores"]), st.integers(0, 1)),
        st.sampled_from([(1,), (2, 3), (0, slice(2, None)), (3, 4, 2), (slice(None), -1)]),
    ),
)


def some(method, model, clean, corrupted, metric):
    """The scores of one method as a tensor."""
    found = {
        "patch_heads": lambda: patch_heads(model, clean, corrupted, metric),
        "attribution_patching": lambda: attribution_patching(model, clean, corrupted, metric, ("z", 0)),
        "atp_star": lambda: by_node(model, atp_star(model, clean, corrupted, metric)),
        "eap": lambda: eap(model, clean, corrupted, metric),
        "eap_ig": lambda: eap_ig(model, clean, corrupted, metric, steps=2),
        "edge_effects": lambda: edge_effects(model, clean, corrupted, metric, all_edges(model.cfg)[::11]),
        "faithfulness": lambda: {0: torch.tensor(faithfulness(model, clean, corrupted, metric, most(model)))},
    }[method]()
    return torch.stack(list(found.values())) if isinstance(found, dict) else found


def most(model):
    left_out = set(all_edges(model.cfg)[::11])
    return [edge for edge in all_edges(model.cfg) if edge not in left_out]


METHODS = ("patch_heads", "attribution_patching", "atp_star", "eap", "eap_ig", "edge_effects", "faithfulness")


@few
@given(seeds, st.lists(places, min_size=1, max_size=5), st.sampled_from(["gpt2", "llama", "native"]), st.booleans())
def test_with_the_prompts_exchanged_noising_is_what_denoising_leaves(seed, chosen, name, short):
    model, (clean, corrupted) = model_of(name), prompts(2, 5, seed)
    keep = {"logits_to_keep": 1} if short else {}
    noising = patch_places(model, clean, corrupted, METRIC, chosen, noising=True, **keep)
    exchanged = patch_places(model, corrupted, clean, METRIC, chosen, noising=False, **keep)
    assert torch.allclose(noising, 1 - exchanged, atol=1e-7)


@few
@given(seeds, st.lists(places, min_size=2, max_size=6), st.integers(1, 9), st.sampled_from(["gpt_neox", "native"]))
def test_a_place_is_patched_alike_whatever_is_patched_beside_it(seed, chosen, size, name):
    model, (clean, corrupted) = model_of(name), prompts(2, 5, seed)
    together = patch_places(model, clean, corrupted, METRIC, chosen, batch_size=size, logits_to_keep=1)
    alone = [patch_places(model, clean, corrupted, METRIC, [place])[0] for place in chosen]
    assert torch.allclose(together, torch.stack(alone), atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=4, deadline=None)
@given(seeds, st.floats(0.1, 10), st.booleans(), st.floats(-3, 3))
def test_a_metric_on_another_scale_tells_the_same(method, seed, factor, turned, shift):
    model, (clean, corrupted) = model_of("native"), prompts(2, 5, seed)
    factor = -factor if turned else factor
    plain, scaled = (
        some(method, model, clean, corrupted, metric)
        for metric in (METRIC, lambda logits: factor * METRIC(logits) + shift)
    )
    assert torch.allclose(plain, scaled, atol=1e-6 * float(plain.abs().max().clamp(min=1)))


@few
@given(seeds, st.permutations(range(4)))
def test_heads_in_another_order_have_their_scores_in_that_order(seed, order):
    model, (clean, corrupted) = model_of("native"), prompts(2, 5, seed)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for name in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V"):
            weight = getattr(other.blocks[1].attn, name)
            weight.copy_(weight[list(order)])
    ours, theirs = (patch_heads(m, clean, corrupted, METRIC) for m in (model, other))
    assert torch.allclose(ours[1][list(order)], theirs[1], atol=1e-8)

    def renamed(name):
        found = head_of(name)
        return name.replace(f"a1.h{found[1]}", f"a1.h{order[found[1]]}") if found and found[0] == 1 else name

    for method in (eap, lambda *args: by_node(args[0], atp_star(*args))):
        before, after = (method(m, clean, corrupted, METRIC) for m in (model, other))
        for key, value in after.items():
            source = Edge(*map(renamed, key)) if isinstance(key, Edge) else renamed(key)
            assert torch.allclose(value, before[source], atol=1e-8), key


@pytest.mark.parametrize("name", WITH_EDGES)
def test_edges_into_a_reader_sum_to_what_patching_all_that_it_reads_does_to_first_order(name):
    """What it reads is the sum of what all senders wrote."""
    model, (clean, corrupted) = model_of(name), prompts(2, 5)
    scores = eap(model, clean, corrupted, METRIC)
    sites = {"logits": ("resid_post", 1), "a1.h0.q": ("q_input", 1)} | (
        {"m0": ("mlp_in", 0)} if model.cfg.d_mlp else {}
    )
    whole = attribution_patching(model, clean, corrupted, METRIC, list(sites.values()))
    for reader, site in sites.items():
        (full,) = model._resolve(site)
        want = whole[full].sum(1)
        want = want[:, 0] if want.ndim == 2 else want  # of the first head
        got = sum(value for edge, value in scores.items() if edge.receiver == reader)
        assert torch.allclose(got, want, atol=1e-8), reader


@few
@given(seeds)
def test_where_nothing_but_a_matrix_follows_the_edges_into_the_logits_sum_to_the_range(seed):
    model, (clean, corrupted) = model_of("native without norm"), prompts(2, 5, seed)
    for scores in (eap(model, clean, corrupted, METRIC), eap_ig(model, clean, corrupted, METRIC, steps=3)):
        total = sum(value for edge, value in scores.items() if edge.receiver == "logits")
        assert torch.allclose(total, torch.ones(2).double(), atol=1e-7)


@settings(max_examples=4, deadline=None)
@given(seeds, st.sampled_from(["gpt2", "native", "gpt_neox"]), st.sampled_from(["embed", ("resid_pre", 1), ("z", 0)]))
def test_integrated_gradients_are_complete_from_any_prompt_at_any_site(seed, name, site):
    model, (tokens, corrupted) = model_of(name), prompts(2, 5, seed)
    found = integrated_gradients(model, tokens, METRIC, corrupted, steps=100, site=site)
    assert (found.gap.abs() < 2e-3 * found.difference.abs().max()).all()


@few
@given(seeds)
def test_in_the_last_layer_nothing_before_the_last_position_reaches_its_answer(seed):
    model, (clean, corrupted) = model_of("native without norm"), prompts(2, 5, seed)
    exact = 1 - patch_places(model, clean, corrupted, METRIC, [(("z", 1), (pos, 2)) for pos in range(5)], noising=True)
    estimate = attribution_patching(model, clean, corrupted, METRIC, ("z", 1))["blocks.1.attn.hook_z"][:, :, 2].T
    assert estimate[:-1].abs().max() == 0
    assert exact[:-1].abs().max() < 1e-9
    assert min(estimate[-1].abs().max(), exact[-1].abs().max()) > 1e-6


def test_shares_that_are_given_twice_or_out_of_order_change_no_area():
    model, (clean, corrupted) = model_of("native"), prompts(2, 5)
    scores = eap(model, clean, corrupted, METRIC)
    for area in (cpr, cmd):
        once = area(model, clean, corrupted, METRIC, scores, (0.1, 0.5, 1.0))
        assert area(model, clean, corrupted, METRIC, scores, fractions=[1.0, 0.1, 0.5, 0.1]) == pytest.approx(once)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_what_is_no_share_of_the_edges_is_refused(share):
    model, (clean, corrupted) = model_of("native"), prompts(2, 5)
    scores = dict.fromkeys(all_edges(model.cfg), 1.0)
    with pytest.raises(ValueError, match="is no share of all edges; give numbers from 0 to 1"):
        cpr(model, clean, corrupted, METRIC, scores, (share, 1.0))


def test_a_single_share_has_no_area():
    model, (clean, corrupted) = model_of("native"), prompts(2, 5)
    scores = dict.fromkeys(all_edges(model.cfg), 1.0)
    curve = faithfulness_curve(model, clean, corrupted, METRIC, scores, (1.0,), signed=True)
    assert curve.faithfulness == (pytest.approx(1),)
    with pytest.raises(ValueError, match=r"no area lies above a single share, \(1.0,\); give at least two"):
        curve.cpr  # noqa: B018


def test_ranges_that_cancel_in_their_mean_leave_nothing_to_share_out():
    model, (clean, _) = model_of("native"), prompts(2, 5)
    with pytest.raises(ValueError, match="the ranges of the pairs cancel in their mean"):
        faithfulness(model, clean, clean.flip(0), METRIC, [Edge("embed", "logits")])


def test_a_metric_that_returns_whole_numbers_is_refused_in_a_sentence():
    model, (clean, corrupted) = model_of("native"), prompts(2, 5)
    with pytest.raises(ValueError, match=r"must return fractions, not torch.bool; end it with .float\(\)"):
        patch_heads(model, clean, corrupted, lambda logits: METRIC(logits) > 0)


@pytest.mark.parametrize(
    ("index", "words"), [((slice(5, None), 1), "is no position in prompts"), (([1, 2], 1), "is no index of positions")]
)
def test_an_index_that_patches_nothing_or_is_none_is_refused(index, words):
    model, (clean, corrupted) = model_of("native"), prompts(2, 5)
    with pytest.raises(ValueError, match=words):
        patch_places(model, clean, corrupted, METRIC, [(("z", 0), index)])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=9))
def test_a_rank_correlation_is_symmetric_and_at_most_one(found):
    one, other = ({i: float(pair[side]) for i, pair in enumerate(found)} for side in (0, 1))
    value = rank_correlation(one, other)
    assert value == pytest.approx(rank_correlation(other, one))
    assert abs(value) <= 1 + 1e-12


def test_a_score_that_is_nan_has_no_rank():
    good, bad = {"a": 1.0, "b": 2.0}, {"a": 1.0, "b": float("nan")}
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(ValueError, match="the score of b is NaN, so that it has no rank"):
            rank_correlation(*pair)
