"""EAP of every edge is the derivative of patching that edge, though no forward pass is split."""

from __future__ import annotations

import pytest
import torch
from attribution_subjects import WITH_EDGES, model_of, prompts

from mi_lib.attribution import eap, eap_ig, edge_effects, logit_difference, run_edges, sender_outputs
from mi_lib.attribution.inputs import path
from mi_lib.models.graph import Edge, all_edges, receivers, senders
from mi_lib.worlds import planted

METRIC = logit_difference(3, 4)
STEP = 1e-4


def derivatives(model, clean, corrupted, edges, embed=None):
    """d/dε of the metric if an edge carries z + ε (z' − z), in a run with these embeddings, as a share of the range."""
    names = senders(model.cfg)
    now, then = sender_outputs(model, clean, names), sender_outputs(model, corrupted, names)
    found = {}
    with model.hooks([("embed", lambda value, hook: value if embed is None else embed)]):
        here = sender_outputs(model, clean, names)
        for edge in edges:
            change = then[edge.sender] - now[edge.sender]
            up, down = (
                METRIC(run_edges(model, clean, {edge: here[edge.sender] + size * change})) for size in (STEP, -STEP)
            )
            found[edge] = (up - down) / (2 * STEP)
    whole = METRIC(model(corrupted)) - METRIC(model(clean))
    return {edge: value / whole for edge, value in found.items()}


@pytest.mark.parametrize("name", WITH_EDGES)
def test_every_edge_is_the_derivative_of_patching_it(name):
    model, (clean, corrupted) = model_of(name), prompts(2, 5)
    got = eap(model, clean, corrupted, METRIC)
    assert list(got) == all_edges(model.cfg)
    want = derivatives(model, clean, corrupted, all_edges(model.cfg))
    for edge in want:
        assert torch.allclose(got[edge], want[edge], atol=1e-6), edge
    nothing = [edge for edge, value in got.items() if value.abs().max() < 1e-5]
    assert {edge.sender for edge in nothing} <= {"pos_embed"}


@pytest.mark.parametrize("name", ["gpt2", "llama", "native"])
@pytest.mark.parametrize("rule", ["riemann", "gauss"])
def test_eap_ig_is_the_mean_of_these_on_the_way_from_the_corrupted_embeddings(name, rule):
    model, (clean, corrupted) = model_of(name), prompts(2, 5)
    start, end = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (corrupted, clean))
    edges = all_edges(model.cfg)[::7]
    steps = [
        (weight, derivatives(model, clean, corrupted, edges, start + alpha * (end - start)))
        for alpha, weight in path(3, rule)
    ]
    got = eap_ig(model, clean, corrupted, METRIC, steps=3, rule=rule)
    for edge in edges:
        assert torch.allclose(got[edge], sum(weight * one[edge] for weight, one in steps), atol=1e-6), edge


def test_the_last_of_the_steps_is_the_clean_run():
    model, (clean, corrupted) = model_of("gpt2"), prompts(2, 5)
    plain, one_step = (f(model, clean, corrupted, METRIC, **o) for f, o in ((eap, {}), (eap_ig, {"steps": 1})))
    assert all(torch.allclose(plain[edge], one_step[edge]) for edge in plain)


@pytest.mark.parametrize(
    ("method", "options", "runs"), [(eap, {}, 2), (eap_ig, {}, 1 + 5), (eap_ig, {"rule": "gauss"}, 2 + 5)]
)
def test_no_more_passes_than_said(method, options, runs, monkeypatch):
    model, (clean, corrupted) = model_of("llama"), prompts(2, 5)
    rows = []
    forward = type(model)._forward

    def counted(self, tokens, *args, **kwargs):
        rows.append(len(tokens))
        return forward(self, tokens, *args, **kwargs)

    monkeypatch.setattr(type(model), "_forward", counted)
    method(model, clean, corrupted, METRIC, **options)
    assert rows == [2] * runs


def test_padding_changes_nothing():
    model, (clean, corrupted) = model_of("llama"), prompts(2, 5)
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[:, :2] = False
    wide = [torch.cat([torch.full((2, 2), 7), tokens], 1) for tokens in (clean, corrupted)]
    for method in (eap, eap_ig):
        alone, padded = method(model, clean, corrupted, METRIC), method(model, *wide, METRIC, attention_mask=mask)
        assert all(torch.allclose(alone[edge], padded[edge], atol=1e-9) for edge in alone)


def test_heads_that_share_keys_and_values_read_them_once():
    cfg = model_of("llama").cfg
    assert [name for name in receivers(cfg) if name.startswith("a1") and name[-1] in "kv"] == [
        *("a1.h0.k", "a1.h0.v", "a1.h2.k", "a1.h2.v"),
    ]
    model, (clean, corrupted) = model_of("llama"), prompts(2, 5)
    assert edge_effects(model, clean, corrupted, METRIC, [Edge("embed", "a1.h2.k")])
    with pytest.raises(ValueError, match=r"no receiver 'a1\.h3\.k'; heads of this model share keys and values"):
        edge_effects(model, clean, corrupted, METRIC, [Edge("embed", "a1.h3.k")])
    with pytest.raises(ValueError, match=r"no receiver 'a1\.h9\.k'; it has"):
        edge_effects(model, clean, corrupted, METRIC, [Edge("embed", "a1.h9.k")])


def test_a_step_that_is_flat_at_the_clean_prompt_is_seen_on_the_way():
    circuit = planted.circuit("conjunction")
    pairs = circuit.pairs(6, seed=5)
    metric = logit_difference(pairs.answers, pairs.corrupted_answers)
    plain, along = (method(circuit.model, pairs.clean, pairs.corrupted, metric) for method in (eap, eap_ig))
    for edge in (Edge("a0.h1", "m1"), Edge("a1.h2", "m1")):
        assert plain[edge].abs().max() < 0.05
        assert along[edge].abs().min() > 0.1


MODEL, (CLEAN, CORRUPTED) = model_of("gpt2"), prompts()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: eap(MODEL, CLEAN, CORRUPTED[:, 1:], METRIC), "of the same length"),
        (lambda: eap_ig(MODEL, CLEAN, CLEAN, METRIC), "with another answer"),
        (lambda: eap(MODEL, CLEAN, CORRUPTED, lambda y: torch.arange(3.0) * y.shape[0]), "no activation on the path"),
        (lambda: eap_ig(MODEL, CLEAN, CORRUPTED, METRIC, steps=0), "steps must be at least 1"),
        (lambda: eap(model_of("gemma2"), CLEAN, CORRUPTED, METRIC), "no summand of its own"),
    ],
)
def test_what_cannot_be_attributed_is_refused_in_a_sentence(call, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        call()
