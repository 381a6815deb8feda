"""Attribution patching is the derivative of patching, and AtP* mends what it is said to mend."""

from __future__ import annotations

import pytest
import torch
from attribution_subjects import EVERY, model_of, prompts

from mi_lib.attribution import (
    atp_star,
    attribution_patching,
    by_node,
    logit_difference,
    node_effects,
    patch_heads,
    patch_layers,
)
from mi_lib.worlds import planted

METRIC = logit_difference(3, 4)
STEP = 1e-4


def derivative(model, clean, corrupted, site, index, around=()):
    """d/dε of the metric with a + ε (a' − a) at one place, by a central difference, as a share of the range."""
    _, now = model.run_with_cache(clean, site)
    _, then = model.run_with_cache(corrupted, site)
    (a,), (b,) = now.values(), then.values()

    def shifted(size):
        def put(value, hook):
            value[(slice(None), *index)] += size * (b - a)[(slice(None), *index)]

        return METRIC(model.run_with_hooks(clean, [*around, (site, put)]))

    whole = METRIC(model(corrupted)) - METRIC(model(clean))
    return (shifted(STEP) - shifted(-STEP)) / (2 * STEP) / whole


def places_of(model):
    """(site, index in the result) of a sample of every kind."""
    found = [(("z", 0), (2, 3)), (("q", 1), (5, 1)), (("k", 1), (3, 1)), (("v", 0), (1, 0)), (("resid_pre", 1), (4,))]
    found += [(("pattern", 1), (2, 5, 3)), (("attn_out", 1), (5,))]
    return [*found, (("post", 0), (3, 7)), (("mlp_out", 0), (2,))] if model.cfg.d_mlp else found


@pytest.mark.parametrize("name", EVERY)
def test_attribution_patching_is_the_derivative_of_noising(name):
    model, (clean, corrupted) = model_of(name), prompts()
    values = attribution_patching(model, clean, corrupted, METRIC, [site for site, _ in places_of(model)])
    for site, index in places_of(model):
        got = values[model._resolve(site)[0]][(slice(None), *index)]
        assert torch.allclose(got, derivative(model, clean, corrupted, site, index), atol=1e-6), site


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen3", "gemma2", "native", "native attention-only"])
def test_the_softmax_of_a_patched_query_or_key_is_computed_anew(name):
    """By hand: the pattern of a run in which one query or key is patched, less the clean one, times its gradient."""
    model, (clean, corrupted) = model_of(name), prompts(2)
    values = atp_star(model, clean, corrupted, METRIC, [("q", 0), ("k", 0)], grad_drop=None)
    _, then = model.run_with_cache(corrupted, [("q", 0), ("k", 0)])
    logits, cache = model.run_with_cache(clean, ("pattern", 0), grad=True)
    whole = METRIC(model(corrupted)) - METRIC(logits).detach()
    METRIC(logits).sum().backward()
    slope, pattern = cache.grad(("pattern", 0)), cache["pattern", 0].detach()
    for site, pos, head in (("q", 3, 2), ("q", 5, 0), ("k", 0, 1), ("k", 4, 0)):

        def put(value, hook, site=site, pos=pos, head=head):
            value[:, pos, head] = then[site, 0][:, pos, head]

        with model.hooks([((site, 0), put)]):
            _, patched = model.run_with_cache(clean, ("pattern", 0))
        want = ((patched["pattern", 0] - pattern) * slope).sum((1, 2, 3)) / whole
        got = values[f"blocks.0.attn.hook_{site}"][:, pos, head]
        assert torch.allclose(got, want, atol=1e-9), (site, pos, head)
        first_order = derivative(model, clean, corrupted, (site, 0), (pos, head))
        assert not torch.allclose(got, first_order, atol=1e-4)


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "native"])
@pytest.mark.parametrize("which", ["layers", "parts"])
def test_grad_drop_is_the_mean_over_what_is_held_as_it_was(name, which):
    """By hand: in each run a layer, or a part of one, writes what it wrote in the clean run, whatever enters it."""
    model, (clean, corrupted) = model_of(name), prompts()
    sites = [site for site, _ in places_of(model)]
    values = atp_star(model, clean, corrupted, METRIC, sites, softmax=False, grad_drop=which)
    _, now = model.run_with_cache(clean, lambda name: name.endswith(("hook_attn_out", "hook_mlp_out")))
    groups = [[name] for name in now] if which == "parts" else [[n for n in now if f".{i}." in n] for i in range(2)]
    for site, index in places_of(model):
        (full,), found = model._resolve(site), []
        for group in groups:
            if full not in group:  # held itself
                held = [(name, lambda value, hook: now[hook.name]) for name in group]
                found.append(derivative(model, clean, corrupted, site, index, held).abs())
        got = values[full][(slice(None), *index)]
        held_by_one = site[0] != "resid_pre"  # nothing that can be dropped holds the stream
        assert torch.allclose(got, torch.stack(found).sum(0) / (len(groups) - held_by_one), atol=1e-6), site


def judged(name):
    circuit = planted.circuit(name)
    pairs = circuit.pairs(6, seed=5)
    return circuit.model, pairs.clean, pairs.corrupted, logit_difference(pairs.answers, pairs.corrupted_answers)


def test_paths_that_cancel_are_found_by_dropping_one_of_them():
    """They are a head and the MLP of one layer, so that dropping whole layers does not part them."""
    model, *rest = judged("cancelling")
    exact = node_effects(model, *rest)
    plain, layers, parts = (
        by_node(model, atp_star(model, *rest, softmax=False, grad_drop=drop)) for drop in (None, "layers", "parts")
    )
    assert (exact["a0.h2"] > 0.9).all()
    assert (plain["a0.h2"].abs() < 0.05).all()
    assert (layers["a0.h2"] < 0.05).all()
    assert (parts["a0.h2"] > 0.5).all()


def test_attention_that_is_saturated_is_found_by_its_softmax_but_not_through_another_saturated_head():
    model, *rest = judged("two_hop")
    plain = by_node(model, atp_star(model, *rest, softmax=False, grad_drop=None))
    mended = by_node(model, atp_star(model, *rest, grad_drop=None))
    exact = node_effects(model, *rest)
    for name in ("a1.h2.q", "a1.h2.k", "a2.h0.q", "a2.h0.k"):
        assert exact[name].mean() > 0.4
        assert plain[name].abs().mean() < 0.05
        assert (mended[name].abs().mean() > 0.4) == name.startswith("a2"), name


def test_nodes_go_by_their_names():
    model, (clean, corrupted) = model_of("llama"), prompts()
    exact = node_effects(model, clean, corrupted, METRIC)
    estimate = by_node(model, atp_star(model, clean, corrupted, METRIC))
    assert exact.keys() == estimate.keys()
    assert {"a1.h3.q", "a1.h2.k", "a0.h1", "m1"} < exact.keys()
    assert "a1.h3.k" not in exact  # heads 2 and 3 share keys
    keys = patch_heads(model, clean, corrupted, METRIC, "k", noising=True)
    assert torch.allclose(exact["a1.h2.k"], 1 - keys[1, 1])
    back = node_effects(model, clean, corrupted, METRIC, noising=False)
    assert torch.allclose(back["m0"], patch_layers(model, clean, corrupted, METRIC, "mlp_out")[0])
    values = attribution_patching(model, clean, corrupted, METRIC, [("k", 1), ("mlp_out", 0)])
    named = by_node(model, values)
    assert torch.allclose(named["a1.h2.k"], values["blocks.1.attn.hook_k"][:, :, 1].sum(1))
    assert torch.allclose(named["m0"], values["blocks.0.hook_mlp_out"].sum(1))


MODEL, (CLEAN, CORRUPTED) = model_of("gpt2"), prompts()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: atp_star(MODEL, CLEAN, CORRUPTED[:, 1:], METRIC), "of the same length"),
        (lambda: atp_star(MODEL, CLEAN, CLEAN, METRIC), "with another answer"),
        (
            lambda: attribution_patching(MODEL, CLEAN, CORRUPTED, lambda y: torch.arange(3.0), ("z", 0)),
            "blocks.0.attn.hook_z is no activation on the path",
        ),
        (lambda: by_node(MODEL, {"blocks.0.hook_resid_pre": torch.zeros(3, 6)}), "is no node: give the values of"),
        (
            lambda: atp_star(MODEL, CLEAN, CORRUPTED, METRIC, grad_drop="heads"),
            "'layers', 'parts' or None, not 'heads'",
        ),
        (lambda: atp_star(of_one_layer(), CLEAN, CORRUPTED, METRIC), "this model has one"),
    ],
)
def test_what_cannot_be_attributed_is_refused_in_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def of_one_layer():
    from mi_lib import Transformer, TransformerConfig

    sizes = {"n_layers": 1, "d_model": 8, "n_heads": 2, "d_head": 4, "d_vocab": 19, "n_ctx": 8}
    return Transformer(TransformerConfig(**sizes)).init_weights(0)
