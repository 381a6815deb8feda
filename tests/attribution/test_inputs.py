"""Gradients of the inputs are captum's, and along a path they are complete."""

from __future__ import annotations

import pytest
import torch
from attribution_subjects import model_of, prompts

from mi_lib.attribution import gradient_x_input, integrated_gradients, logit_difference
from mi_lib.attribution.inputs import path
from mi_lib.worlds import planted

METRIC = logit_difference(3, 4)


def from_embeddings(model, tokens):
    """The metric as a function of embeddings, as captum wants it: it hands over many steps as rows of one batch."""

    def run(embeddings):
        rows = tokens.repeat(len(embeddings) // len(tokens), 1)
        return METRIC(model.run_with_hooks(rows, [("embed", lambda value, hook: embeddings)]))

    return run


@pytest.mark.parametrize("name", ["gpt2", "llama", "native"])
def test_it_is_what_captum_says(name):
    captum = pytest.importorskip("captum.attr", reason='needs the extra: pip install -c constraints.txt -e ".[dev]"')
    model, (tokens, corrupted) = model_of(name), prompts()
    embed, other = (model.run_with_cache(t, "embed")[1]["embed"] for t in (tokens, corrupted))
    run = from_embeddings(model, tokens)
    theirs = captum.InputXGradient(run).attribute(embed.clone().requires_grad_())
    assert torch.allclose(gradient_x_input(model, tokens, METRIC).by_element, theirs, atol=1e-4)
    mean = model.run_with_cache(torch.arange(19)[:, None], "embed")[1]["embed"][:, 0].mean(0)
    for baseline, start in (
        ("zero", torch.zeros_like(embed)),
        ("mean", mean.expand_as(embed)),
        (corrupted, other),
        (0.5 * other, 0.5 * other),
    ):
        for rule, method in (("gauss", "gausslegendre"), ("riemann", "riemann_right")):
            theirs, gap = captum.IntegratedGradients(run).attribute(
                embed, start, n_steps=17, method=method, return_convergence_delta=True
            )
            ours = integrated_gradients(model, tokens, METRIC, baseline, steps=17, rule=rule)
            assert torch.allclose(ours.by_element, theirs, atol=1e-4)
            assert torch.allclose(ours.gap, gap, atol=1e-4)
            assert ours.by_element.abs().max() > 0.05


def test_integrated_gradients_are_complete_and_gradient_x_input_is_not():
    model, (tokens, corrupted) = model_of("native"), prompts()
    difference = METRIC(model(tokens)) - METRIC(model(corrupted))
    at_once = gradient_x_input(model, tokens, METRIC, corrupted)
    # Positions are embedded too, so that exchanging the embeddings of the tokens is exchanging the prompts.
    assert torch.allclose(at_once.difference, difference)
    assert at_once.gap.abs().max() > 0.1
    gaps = [integrated_gradients(model, tokens, METRIC, corrupted, steps=n).gap.abs().max() for n in (2, 64)]
    assert gaps[1] < 1e-4 < gaps[0]
    by_position = integrated_gradients(model, tokens, METRIC, corrupted).by_position
    assert by_position.shape == (3, 6)
    assert torch.allclose(by_position.sum(1), difference, atol=1e-3)


def test_at_a_saturated_unit_the_gradient_sees_nothing_and_the_path_sees_it():
    """The two words of the conjunction: the step of the MLP is flat where both are bright."""
    circuit = planted.circuit("conjunction")
    pairs = circuit.pairs(6, seed=0)
    metric = logit_difference(pairs.answers, pairs.corrupted_answers)
    words = [2, 5]
    at_once = gradient_x_input(circuit.model, pairs.clean, metric, pairs.corrupted)
    along = integrated_gradients(circuit.model, pairs.clean, metric, pairs.corrupted, steps=200)
    assert (at_once.by_position[:, words].sum(1).abs() < 0.05 * at_once.difference).all()
    assert (along.by_position[:, words] > 0.2 * along.difference[:, None]).all()
    assert (along.gap.abs() < 0.05 * along.difference).all()


def test_another_site_may_be_asked_and_one_behind_which_all_is_linear_needs_one_step():
    model, (tokens, corrupted) = model_of("native without norm"), prompts()
    after = integrated_gradients(model, tokens, METRIC, corrupted, site=("resid_post", -1), steps=1)
    assert torch.allclose(after.gap, torch.zeros(3).double(), atol=1e-9)
    assert after.by_element[:, :-1].abs().max() == 0  # the metric reads the last position
    neurons = integrated_gradients(model, tokens, METRIC, "mean", site=("post", 1))
    x = model.run_with_cache(tokens, ("post", 1))[1]["post", 1]
    slope = (model.W_out[1] @ model.W_U[:, 3] - model.W_out[1] @ model.W_U[:, 4]).double()
    assert torch.allclose(neurons.by_element[:, -1], (x[:, -1] - x.mean((0, 1))) * slope)


def test_a_path_goes_from_0_to_1():
    for rule in ("gauss", "riemann"):
        assert sum(weight for _, weight in path(7, rule)) == pytest.approx(1)
    assert path(4, "riemann") == [(0.25, 0.25), (0.5, 0.25), (0.75, 0.25), (1, 0.25)]
    assert sum(weight * alpha**5 for alpha, weight in path(3)) == pytest.approx(1 / 6)  # exact up to degree 5


MODEL, (TOKENS, OTHER) = model_of("gpt2"), prompts()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: integrated_gradients(MODEL, TOKENS, METRIC, steps=0), "steps must be at least 1, not 0"),
        (lambda: integrated_gradients(MODEL, TOKENS, METRIC, rule="middle"), "'gauss' or 'riemann', not 'middle'"),
        (lambda: gradient_x_input(MODEL, TOKENS, METRIC, "noise"), "baseline must be 'zero', 'mean', tokens or values"),
        (lambda: gradient_x_input(MODEL, TOKENS, METRIC, OTHER[:, 1:]), "of the same length"),
        (lambda: gradient_x_input(MODEL, TOKENS, lambda y: torch.ones(3)), "no activation on the path to the metric"),
    ],
)
def test_what_has_no_gradient_is_refused_in_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
