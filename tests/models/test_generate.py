"""Streaming generation: the same tokens and log-probabilities as full forward passes, with and without the KV cache."""

from __future__ import annotations

import itertools

import pytest
import torch
from small_models import FAMILIES, NATIVE

from mi_lib.models.generate import generate, stream

PROMPT = [3, 14, 15, 9, 26]


def greedy(model, tokens, number):
    """The plain way: a full forward pass for every token."""
    row, chosen = torch.tensor([tokens]), []
    with torch.no_grad():
        for _ in range(number):
            chosen.append(int(model(row)[0, -1].argmax()))
            row = torch.cat([row, torch.tensor([chosen[-1:]])], dim=1)
    return chosen


@pytest.mark.parametrize("name", [*FAMILIES, *NATIVE])
def test_temperature_zero_takes_the_likeliest_token_of_a_full_forward_pass(opened, name):
    model = opened(name)
    assert [step.token for step in stream(model, PROMPT, max_new_tokens=12)] == greedy(model, PROMPT, 12)


@pytest.mark.parametrize("name", [*FAMILIES, *NATIVE])
def test_log_probabilities_are_those_of_one_full_forward_pass(opened, name):
    model = opened(name)
    steps = list(stream(model, PROMPT, temperature=1.5, seed=3, max_new_tokens=12))
    row = torch.tensor([PROMPT + [step.token for step in steps]])
    with torch.no_grad():
        log_p = model(row)[0, len(PROMPT) - 1 : -1].log_softmax(-1)
    for step, expected in zip(steps, log_p, strict=True):
        assert step.log_prob == pytest.approx(expected[step.token].item(), abs=1e-4)
        best = expected.exp().topk(5)
        assert [p for _, p in step.top] == pytest.approx(best.values.tolist(), abs=1e-4)
        assert [token for token, _ in step.top] == best.indices.tolist()


@pytest.mark.parametrize("name", ["gpt2", "gemma3_text", "native with mlp"])
def test_with_the_cache_and_without_it_the_steps_are_the_same(opened, name):
    model = opened(name)
    with_cache, without = (list(stream(model, PROMPT, cache=cache, max_new_tokens=10)) for cache in (True, False))
    assert [step.token for step in with_cache] == [step.token for step in without]
    assert [step.log_prob for step in with_cache] == pytest.approx([step.log_prob for step in without], abs=1e-4)


def test_the_cache_reads_each_token_once(opened):
    model = opened("gpt2")
    read = []
    handle = model.hf.register_forward_pre_hook(
        lambda _, args, kwargs: read.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    try:
        list(stream(model, PROMPT, max_new_tokens=4))
    finally:
        handle.remove()
    assert read == [5, 1, 1, 1]


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("name", ["gpt2", "llama", "native with mlp"])
def test_hooks_that_are_active_change_what_is_said(opened, name, cache):
    model = opened(name)
    push = 4 * torch.randn(model.cfg.d_model, generator=torch.Generator().manual_seed(0))
    plain = [step.token for step in stream(model, PROMPT, max_new_tokens=10)]
    with model.hooks([(("resid_post", 0), lambda value, hook: value + push)]):
        steered = [step.token for step in stream(model, PROMPT, max_new_tokens=10, cache=cache)]
        assert steered == greedy(model, PROMPT, 10)
    assert steered != plain
    assert [step.token for step in stream(model, PROMPT, max_new_tokens=10)] == plain


def test_an_edit_of_one_position_means_that_position_in_every_step(opened):
    model = opened("gpt2")

    def at_two(value, hook):
        value = value.clone()
        value[:, 2] += 5.0
        return value

    with model.hooks([(("attn_out", 0), at_two), (("pattern", 1), lambda value, hook: value.roll(1, 1))]):
        assert [step.token for step in stream(model, PROMPT, max_new_tokens=8)] == greedy(model, PROMPT, 8)


def test_a_hook_that_comes_in_the_middle_counts_from_there_on(opened):
    model = opened("gpt2")
    steps = stream(model, PROMPT, max_new_tokens=6)
    first = [step.token for step in itertools.islice(steps, 3)]
    push = 4 * torch.randn(model.cfg.d_model, generator=torch.Generator().manual_seed(0))
    with model.hooks([(("resid_post", 0), lambda value, hook: value + push)]):
        assert [step.token for step in steps] == greedy(model, PROMPT + first, 3)


def test_the_same_seed_says_the_same_and_another_seed_something_else(opened):
    model = opened("gpt2")
    said = [[s.token for s in stream(model, PROMPT, 1.0, seed, max_new_tokens=15)] for seed in (1, 1, 2)]
    assert said[0] == said[1] != said[2]


@pytest.mark.slow
def test_draws_follow_the_probabilities_at_the_temperature(opened):
    model = opened("gpt2")
    with torch.no_grad():
        expected = (model(torch.tensor([PROMPT]))[0, -1] / 2.0).softmax(-1)
    drawn = torch.tensor([next(stream(model, PROMPT, 2.0, seed)).token for seed in range(600)])
    share = drawn.bincount(minlength=len(expected)) / len(drawn)
    # Total variation of 600 draws from the right distribution over 50 tokens: about 0.1.
    assert (share - expected).abs().sum() / 2 < 0.16


def test_it_ends_with_the_token_that_stops_it(opened):
    model = opened("gpt2")
    said = greedy(model, PROMPT, 10)
    end = said[4]
    steps = [step.token for step in stream(model, PROMPT, stop={end})]
    assert steps == said[: said.index(end) + 1]


def test_it_ends_where_the_context_is_full(opened):
    model = opened("gpt2")
    prompt = list(range(model.cfg.n_ctx - 2))
    assert [s.token for s in stream(model, prompt)] == greedy(model, prompt, 3)


@pytest.mark.parametrize(
    ("tokens", "temperature", "told"),
    [([], 0.0, "0 tokens"), ([1] * 41, 0.0, "1 to 40"), ([[1], [2]], 0.0, "one sequence"), ([1], -1.0, "negative")],
)
def test_what_cannot_be_gone_on_from_is_refused_with_the_reason(opened, tokens, temperature, told):
    with pytest.raises(ValueError, match=told):
        next(stream(opened("gpt2"), tokens, temperature))


def test_the_caller_keeps_its_gradients(opened):
    for _ in stream(opened("gpt2"), PROMPT, max_new_tokens=2):
        assert torch.is_grad_enabled()


@pytest.mark.parametrize("how", ["plain", "edited by position", "edited whole"])
@pytest.mark.parametrize("name", ["gpt2", "gemma3_text", "native with mlp"])
def test_texts_that_have_ended_are_dropped_and_the_others_go_on_as_if_alone(opened, name, how):
    model = opened(name)
    push = 2 * torch.randn(model.cfg.d_model, generator=torch.Generator().manual_seed(0))

    def edit(value, hook):
        return value + push

    edit.by_position = how == "edited by position"
    edits = [] if how == "plain" else [(("resid_post", 0), edit)]
    prompts = [PROMPT, PROMPT[:2], [7], [9, 8, 7, 6], [5, 5], [11, 2, 3]]
    stop = set(range(0, 50, 3))  # most end soon, each at its own time
    with model.hooks(edits):
        together = generate(model, prompts, temperature=1.5, seed=4, stop=stop, max_new_tokens=15)
        alone = [
            generate(model, [row], temperature=1.5, seed=4 + i, stop=stop, max_new_tokens=15)[0]
            for i, row in enumerate(prompts)
        ]
    assert [reply.tokens for reply in together] == [reply.tokens for reply in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.log_probs == pytest.approx(other.log_probs, abs=1e-4)
    assert len({len(reply.tokens) for reply in together}) > 2
