"""Hidden tests of chapter 08: other seeds, circuits with LayerNorm, a trained model in the format of GPT-2. See
`mi_lib/course/classroom/hidden.py`: of each test the learner reads the first line of the docstring and nothing else."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

import mi_lib
from mi_lib import attribution as at
from mi_lib.attribution.straight import silenced, straightened
from mi_lib.course.grading import expect, expect_close, grades
from mi_lib.models import HookedModel
from mi_lib.models.graph import Edge, all_edges
from mi_lib.worlds import planted

Pair = tuple[HookedModel, Tensor, Tensor, Tensor, Tensor]


@functools.cache
def trained() -> Pair:
    """A trained model in the format of GPT-2, on two sets of random words; right and wrong are what it says."""
    model = mi_lib.load("repeats-gpt2", check=False)
    source = torch.Generator().manual_seed(2026)
    clean, corrupted = (torch.randint(2, 60, (3, 8), generator=source) for _ in range(2))
    change = (model(clean) - model(corrupted))[:, -1]
    return model, clean, corrupted, change.argmax(-1), change.argmin(-1)


@functools.cache
def planted_pair(name: str, seed: int) -> Pair:
    one = planted.circuit(name, seed=seed)
    pairs = one.pairs(2, seed=seed)
    return one.model, pairs.clean, pairs.corrupted, pairs.answers, pairs.corrupted_answers


def pairs() -> list[Pair]:
    return [trained(), planted_pair("two_hop", 4242), planted_pair("duplicate", 777)]


def asked(pair: Pair) -> tuple[HookedModel, Tensor, Tensor, at.Metric]:
    model, clean, corrupted, right, wrong = pair
    return model, clean, corrupted, at.logit_difference(right, wrong)


@grades("08.1")
def test_a_trained_model(answer):
    """Gradient × input on a trained model and on circuits with LayerNorm."""
    for pair in pairs():
        model, clean, corrupted, metric = asked(pair)
        want = at.gradient_x_input(model, clean, metric, corrupted).by_position
        expect_close(answer.gradient_x_input(*pair), want, "gradient × input", axes="batch pos", atol=1e-3, rtol=1e-2)


@grades("08.4")
def test_heads_of_a_trained_model(answer):
    """Patching both ways on a trained model and on circuits with LayerNorm."""
    for pair in pairs():
        for noising in (True, False):
            want = at.patch_heads(*asked(pair), "z", noising=noising)
            got = answer.patch_heads(*pair, noising)
            expect_close(got, want, "the table", axes="layer head batch", atol=2e-3, rtol=1e-2)


@grades("08.6")
def test_estimates_of_a_trained_model(answer):
    """Attribution patching on a trained model and on circuits with LayerNorm."""
    for pair in pairs():
        model = pair[0]
        found = at.by_node(model, at.attribution_patching(*asked(pair), lambda name: name.endswith("hook_z")))
        c = model.cfg
        rows = [found[f"a{layer}.h{head}"] for layer in range(c.n_layers) for head in range(c.n_heads)]
        want = torch.stack(rows).view(c.n_layers, c.n_heads, -1)
        got = answer.attribution_patching(*pair)
        expect_close(got, want, "the estimates", axes="layer head batch", atol=1e-3, rtol=1e-2)


@grades("08.9")
def test_edges_of_a_trained_model(answer):
    """EAP of all edges of a trained model and of circuits with LayerNorm."""
    for pair in pairs():
        want = at.eap(*asked(pair))
        got = answer.eap(*pair)
        edges = all_edges(pair[0].cfg)
        expect(set(got) == {str(edge) for edge in edges}, "The keys should be the edges of this model, as texts.")
        values = torch.stack([got[str(edge)] for edge in edges])
        wanted = torch.stack([want[edge] for edge in edges])
        expect_close(values, wanted, "EAP", axes="edge batch", atol=1e-3, rtol=1e-2)


@grades("08.14")
def test_failures_of_other_circuits(answer):
    """The part to blame in circuits of another kind, one of them with LayerNorm."""
    for name, seed, text in (("duplicate", 31, "a0.h1->a1.h0.k"), ("two_hop", 32, "a1.h2->a2.h0.q")):
        pair, edge = planted_pair(name, seed), Edge.parse(text)
        model, clean, corrupted, metric = asked(pair)
        kind, part = answer.cause(*pair, edge.sender, edge.receiver)
        expect(kind in ("straighten", "silence"), "The first part of an edit is 'straighten' or 'silence'.")
        with straightened(model, clean, corrupted, part) if kind == "straighten" else silenced(model, part):
            noising = at.edge_effects(model, clean, corrupted, metric, [edge])[edge]
            denoising = at.edge_effects(model, corrupted, clean, metric, [edge])[edge]
            quick = at.eap(model, clean, corrupted, metric)[edge]
        agree = bool((quick - noising).abs().mean() < 0.1) and bool((denoising - noising).abs().mean() < 0.1)
        expect(agree and float(noising.mean()) >= 0.05, "After your edit the methods should agree about the edge.")
