"""Padded prompts, half precision, edits around a call, gradients switched off: no method gives another answer there."""

from __future__ import annotations

import copy

import pytest
import torch
from attribution_subjects import model_of, prompts
from test_eap import derivatives
from test_nodes import derivative

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
    gradient_x_input,
    integrated_gradients,
    logit_difference,
    node_effects,
    patch_edges,
    patch_layers,
    patch_positions,
    run_circuit,
    sender_outputs,
)
from mi_lib.models.graph import Edge, all_edges
from mi_lib.worlds import planted

METRIC = logit_difference(3, 4)


def edges_of(model):
    return all_edges(model.cfg)[::9]


def scores_of(model, clean, corrupted, metric, **mask):
    """The answers of every method, by name, without the axis of positions."""
    edges = edges_of(model)
    most = [edge for edge in all_edges(model.cfg) if edge not in edges]
    return {
        "patch_layers": patch_layers(model, clean, corrupted, metric, "z", **mask),
        "node_effects": node_effects(model, clean, corrupted, metric, **mask),
        "attribution_patching": by_node(model, attribution_patching(model, clean, corrupted, metric, SITES, **mask)),
        "atp_star": by_node(model, atp_star(model, clean, corrupted, metric, **mask)),
        "eap": eap(model, clean, corrupted, metric, **mask),
        "eap_ig": eap_ig(model, clean, corrupted, metric, steps=2, **mask),
        "edge_effects": edge_effects(model, clean, corrupted, metric, edges, **mask),
        "patch_edges": metric(patch_edges(model, clean, corrupted, edges, **mask)),
        "faithfulness": faithfulness(model, clean, corrupted, metric, most, **mask),
        "run_circuit": metric(run_circuit(model, clean, most, corrupted, mean=True, **mask)),
        "gradient_x_input": gradient_x_input(model, clean, metric, corrupted, **mask).by_position.sum(1),
        "integrated_gradients": integrated_gradients(model, clean, metric, corrupted, **mask).by_position.sum(1),
        "from the mean": integrated_gradients(model, clean, metric, "mean", site=("z", 0), **mask).by_position.sum(1),
    }


SITES = [("z", 0), ("q", 1), ("k", 1), ("v", 0)]


def flat(found):
    values = found.values() if isinstance(found, dict) else [found]
    return torch.stack([torch.as_tensor(value).double() for value in values])


@pytest.mark.parametrize("name", ["gpt2", "llama", "native"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_every_method_gives_padded_prompts_what_it_gives_them_alone(name, side):
    model, (clean, corrupted) = model_of(name), prompts(2, 5)
    where = slice(2, 7) if side == "left" else slice(0, 5)
    mask = torch.zeros(2, 7, dtype=torch.bool)
    mask[:, where] = True
    wide = []
    for tokens, other in zip((clean, corrupted), (7, 11), strict=True):
        padded = torch.full((2, 7), other)
        padded[:, where] = tokens
        wide.append(padded)
    at_end = logit_difference(3, 4, mask.int().argmax(1) + mask.sum(1) - 1)
    alone, padded = scores_of(model, clean, corrupted, METRIC), scores_of(model, *wide, at_end, attention_mask=mask)
    for method, value in alone.items():
        assert torch.allclose(flat(value), flat(padded[method]), atol=1e-7), method


def test_texts_are_padded_before_their_first_word_so_that_the_last_position_is_the_last_word_of_each():
    model, pairs = planted.circuit("redundant").model, planted.circuit("redundant").pairs(2, seed=3)
    clean, corrupted = (
        [" ".join(model.to_str_tokens(row)[1:]) for row in rows] for rows in (pairs.clean, pairs.corrupted)
    )
    short = [text.split(" ", 1)[1] for text in (clean[1], corrupted[1])]
    metric = logit_difference(5, 6)
    both = eap(model, [clean[0], short[0]], [corrupted[0], short[1]], metric)
    alone = eap(model, [short[0]], [short[1]], metric)
    assert flat(alone).abs().max() > 0.01
    assert torch.allclose(flat(both)[:, 1:], flat(alone), rtol=1e-2, atol=1e-4)


def test_a_mean_for_ablation_is_taken_over_what_is_no_padding():
    model, (tokens, reference) = model_of("native"), prompts(3, 5)
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[0, :2] = False
    kept = [edge for edge in all_edges(model.cfg) if edge != Edge("a0.h1", "m1")]
    got = run_circuit(model, tokens, kept, reference, mean=True, reference_mask=mask)
    said = sender_outputs(model, reference, ["a0.h1"], attention_mask=mask)["a0.h1"]
    mean = torch.stack([said[mask[:, pos], pos].mean(0) for pos in range(5)])
    own = sender_outputs(model, tokens, ["a0.h1"])["a0.h1"]
    want = model.run_with_hooks(tokens, [(("mlp_in", 1), lambda value, hook: value + mean - own)])
    assert torch.allclose(got, want, atol=1e-9)


@pytest.mark.parametrize("name", ["gpt2", "llama", "native"])
def test_half_precision_changes_no_answer_by_more_than_its_rounding(name):
    """The same rounded weights in both, so that only what is computed differs."""
    half = copy.deepcopy(model_of(name)).bfloat16()
    exact, (clean, corrupted) = copy.deepcopy(half).double(), prompts(2, 5)
    want, got = (scores_of(model, clean, corrupted, METRIC) for model in (exact, half))
    for method, value in want.items():
        a, b = flat(value), flat(got[method])
        assert (a - b).norm() < 0.2 * a.norm(), (method, float((a - b).norm() / a.norm()))


def test_many_small_steps_are_summed_in_full_precision():
    half = copy.deepcopy(model_of("native")).bfloat16()
    tokens, corrupted = prompts(2, 5)
    few, many = (
        integrated_gradients(half, tokens, METRIC, corrupted, steps=n, rule="riemann").by_element for n in (60, 960)
    )
    assert (few - many).norm() < 0.02 * few.norm()


def test_prompts_whose_metric_differs_by_little_have_a_range_in_half_precision_too():
    model, (clean, corrupted) = copy.deepcopy(model_of("native")).bfloat16(), prompts(2, 5)
    found = patch_positions(model, clean, corrupted, lambda logits: METRIC(logits) + 20)
    assert found.isfinite().all()


@pytest.mark.parametrize("name", ["gpt2", "native"])
@pytest.mark.parametrize("site", [("resid_pre", 1), ("resid_post", 0)])
def test_an_edit_around_the_call_is_made_once_in_every_run(name, site):
    model, (clean, corrupted) = model_of(name), prompts(2, 5)

    def double(value, hook):
        return 2 * value

    edges = edges_of(model)
    with model.hooks([(site, double)]):
        start, end = (METRIC(model(tokens)) for tokens in (clean, corrupted))
        got = edge_effects(model, clean, corrupted, METRIC, edges)
        for edge in edges:
            want = (start - METRIC(patch_edges(model, clean, corrupted, [edge]))) / (start - end)
            assert torch.allclose(got[edge], want, atol=1e-9), edge


@pytest.mark.parametrize("name", ["gpt2", "llama", "native"])
def test_under_an_edit_around_the_call_it_is_the_edited_network_whose_slopes_are_taken(name):
    model, (clean, corrupted) = model_of(name), prompts(2, 5)
    edges = edges_of(model)
    bare = eap(model, clean, corrupted, METRIC)
    with model.hooks([(("resid_pre", 1), lambda value, hook: 1.5 * value + 0.1)]):
        want, got = derivatives(model, clean, corrupted, edges), eap(model, clean, corrupted, METRIC)
        place = (("z", 0), (2, 3))
        slope = derivative(model, clean, corrupted, *place)
        values = attribution_patching(model, clean, corrupted, METRIC, ("z", 0))
    assert torch.allclose(values["blocks.0.attn.hook_z"][:, 2, 3], slope, atol=1e-6)
    assert all(torch.allclose(got[edge], want[edge], atol=1e-6) for edge in edges)
    assert not all(torch.allclose(got[edge], bare[edge], atol=1e-3) for edge in edges)


def test_inside_inference_mode_the_methods_that_need_gradients_say_so():
    model, (clean, corrupted) = model_of("native"), prompts(2, 5)
    with torch.inference_mode():
        for method in (eap, eap_ig, atp_star):
            with pytest.raises(RuntimeError, match=r"no gradients inside torch.inference_mode\(\); leave it"):
                method(model, clean, corrupted, METRIC)


@pytest.mark.parametrize("name", ["llama", "native"])
@pytest.mark.parametrize("grad", [False, True])
def test_whether_gradients_are_on_around_the_call_or_wanted_by_the_weights_is_all_the_same(name, grad):
    model, (clean, corrupted) = model_of(name), prompts(2, 5)
    want = scores_of(model, clean, corrupted, METRIC)
    training = copy.deepcopy(model).requires_grad_(grad)
    with torch.set_grad_enabled(grad):
        got = scores_of(training, clean, corrupted, METRIC)
    for method, value in want.items():
        assert torch.allclose(flat(value), flat(got[method]).detach(), atol=1e-9), method
        tensors = got[method].values() if isinstance(got[method], dict) else [torch.as_tensor(got[method])]
        assert not any(value.requires_grad for value in tensors), method
    assert all(weight.grad is None for weight in training.parameters())


def test_a_curve_over_padded_prompts_is_that_of_the_prompts_alone():
    model, (clean, corrupted) = model_of("native"), prompts(2, 5)
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[:, :2] = False
    wide = [torch.cat([torch.full((2, 2), token), rows], 1) for token, rows in ((7, clean), (11, corrupted))]
    scores = eap(model, clean, corrupted, METRIC)
    for area in (cpr, cmd):
        alone = area(model, clean, corrupted, METRIC, scores, (0.1, 1.0))
        assert area(model, *wide, METRIC, scores, fractions=(0.1, 1.0), attention_mask=mask) == pytest.approx(alone)
