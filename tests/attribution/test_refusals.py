"""Every method says the same of the same faults: in a sentence that names what to change."""

from __future__ import annotations

import pytest
import torch
from attribution_subjects import model_of, prompts

from mi_lib.attribution import (
    answer_tokens,
    atp_star,
    attribution_patching,
    cmd,
    cpr,
    eap,
    eap_ig,
    edge_effects,
    faithfulness,
    faithfulness_curve,
    gradient_x_input,
    integrated_gradients,
    logit_difference,
    node_effects,
    patch_edges,
    patch_heads,
    patch_layers,
    patch_neurons,
    patch_places,
    patch_positions,
    run_circuit,
    run_edges,
)
from mi_lib.models.graph import Edge, all_edges

MODEL, (CLEAN, CORRUPTED) = model_of("gpt2"), prompts()
METRIC = logit_difference(3, 4)
EVERY = dict.fromkeys(all_edges(MODEL.cfg), 1.0)
GOOD, BACKWARDS = Edge("a0.h1", "a1.h2.q"), Edge("a1.h0", "a0.h0.q")

PAIRED = {  # (clean, corrupted) → whatever it finds
    "patch_places": lambda a, b: patch_places(MODEL, a, b, METRIC, [(("z", 0), (0, 0))]),
    "patch_positions": lambda a, b: patch_positions(MODEL, a, b, METRIC),
    "patch_layers": lambda a, b: patch_layers(MODEL, a, b, METRIC, "mlp_out"),
    "patch_heads": lambda a, b: patch_heads(MODEL, a, b, METRIC),
    "patch_neurons": lambda a, b: patch_neurons(MODEL, a, b, METRIC, 0, neurons=[1]),
    "node_effects": lambda a, b: node_effects(MODEL, a, b, METRIC),
    "edge_effects": lambda a, b: edge_effects(MODEL, a, b, METRIC, [GOOD]),
    "attribution_patching": lambda a, b: attribution_patching(MODEL, a, b, METRIC, ("z", 0)),
    "atp_star": lambda a, b: atp_star(MODEL, a, b, METRIC),
    "eap": lambda a, b: eap(MODEL, a, b, METRIC),
    "eap_ig": lambda a, b: eap_ig(MODEL, a, b, METRIC),
    "gradient_x_input": lambda a, b: gradient_x_input(MODEL, a, METRIC, b),
    "integrated_gradients": lambda a, b: integrated_gradients(MODEL, a, METRIC, b),
    "faithfulness": lambda a, b: faithfulness(MODEL, a, b, METRIC, [GOOD]),
    "faithfulness_curve": lambda a, b: faithfulness_curve(MODEL, a, b, METRIC, EVERY, signed=True),
    "cpr": lambda a, b: cpr(MODEL, a, b, METRIC, EVERY),
    "cmd": lambda a, b: cmd(MODEL, a, b, METRIC, EVERY),
    # without a metric, so that two equal prompts are no fault
    "patch_edges": lambda a, b: patch_edges(MODEL, a, b, [GOOD]),
    "run_circuit": lambda a, b: run_circuit(MODEL, a, [GOOD], b),
}
METRICLESS = ("patch_edges", "run_circuit")
OF_EDGES = {
    "patch_edges": lambda edges: patch_edges(MODEL, CLEAN, CORRUPTED, edges),
    "run_edges": lambda edges: run_edges(MODEL, CLEAN, dict.fromkeys(edges, torch.zeros(3, 6, 16).double())),
    "run_circuit": lambda edges: run_circuit(MODEL, CLEAN, edges, CORRUPTED),
    "faithfulness": lambda edges: faithfulness(MODEL, CLEAN, CORRUPTED, METRIC, edges),
    "edge_effects": lambda edges: edge_effects(MODEL, CLEAN, CORRUPTED, METRIC, edges),
}


def told(call, words):
    with pytest.raises(ValueError, match=words) as raised:
        call()
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("name", PAIRED)
def test_prompts_of_unequal_length_or_number(name):
    told(lambda: PAIRED[name](CLEAN, CORRUPTED[:, 1:]), "pair 0 has 6 tokens and the corrupted one 5; give each prompt")
    told(lambda: PAIRED[name](CLEAN, CORRUPTED[1:]), "3 clean prompts and 2 corrupted ones: give each its own")


@pytest.mark.parametrize("name", [name for name in PAIRED if name not in METRICLESS])
def test_a_corrupted_prompt_that_is_the_clean_one(name):
    one_equal = torch.cat([CORRUPTED[:2], CLEAN[2:]])
    told(lambda: PAIRED[name](CLEAN, one_equal), "(pair|prompt) 2.*choose a corrupted prompt with another answer")


@pytest.mark.parametrize("name", OF_EDGES)
def test_an_edge_that_runs_backwards_or_is_none(name):
    told(lambda: OF_EDGES[name]([GOOD, BACKWARDS]), "a1.h0->a0.h0.q runs backwards: a0.h0.q is computed before")
    told(lambda: OF_EDGES[name]([GOOD, Edge("a0.h1", "a1.h2")]), "say which of its inputs: a1.h2.q, a1.h2.k")


@pytest.mark.parametrize("name", [name for name in OF_EDGES if name != "edge_effects"])
def test_no_edge_at_all(name):
    told(lambda: OF_EDGES[name]([]), "(keep|name) at least one")


def constant(logits):
    return torch.arange(3.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: attribution_patching(MODEL, CLEAN, CORRUPTED, constant, ("z", 0)),
        lambda: atp_star(MODEL, CLEAN, CORRUPTED, constant),
        lambda: eap(MODEL, CLEAN, CORRUPTED, lambda y: torch.arange(3.0) * y.shape[0]),
        lambda: gradient_x_input(MODEL, CLEAN, constant),
        lambda: integrated_gradients(MODEL, CLEAN, constant),
    ],
)
def test_a_site_from_which_no_path_leads_to_the_metric(call):
    told(call, "is no activation on the path to the metric.* choose a site")


def test_an_answer_of_several_tokens():
    from mi_lib import load

    model = load("pico-base")
    assert len(answer_tokens(model, ["Mira", "Tom"])) == 2
    told(
        lambda: answer_tokens(model, ["Mira went"]),
        r"'Mira went' is no single token but 2 .*choose an answer",
    )
