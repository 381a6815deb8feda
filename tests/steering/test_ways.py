"""What each way makes of the stream, and at which positions: in one pass, padded, and while a reply is generated."""

from __future__ import annotations

import pytest
import torch
from steering_subjects import ASKED, direction

from mi_lib import steering
from mi_lib.models.generate import generate
from mi_lib.probing.collecting import padded

SITE = ("resid_pre", 1)


def stream(model, rows, edits, site=SITE):
    """What stands at a site before and after the edits, padding left out: [pos d_model] for each row."""
    tokens, mask = padded(model, rows)
    found = []
    for some in ((), edits):
        with model.hooks(some):
            _, cache = model.run_with_cache(tokens, [site], attention_mask=mask)
        found.append([cache[site][i, : len(row)] for i, row in enumerate(rows)])
    return found


def test_adding_moves_every_position_by_the_dose_times_the_direction(model, vector):
    before, after = stream(model, steering.chat(model, ASKED), steering.add(vector, 1.5, 1))
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(other - one, (1.5 * vector).expand_as(one), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("at", ["least", "most"])
def test_holding_moves_what_lies_on_the_wrong_side_to_the_level_and_leaves_the_rest(model, vector, at):
    unit = steering.unit(vector)
    before, after = stream(model, steering.chat(model, ASKED), steering.hold(vector, 0.3, 1, at=at))
    one, other = torch.cat(before), torch.cat(after)
    along = (one @ unit).clamp(min=0.3) if at == "least" else (one @ unit).clamp(max=0.3)
    assert 0 < int((one @ unit < 0.3).sum()) < len(one), "both sides occur"
    torch.testing.assert_close(other @ unit, along, rtol=1e-4, atol=1e-4)
    rest = torch.eye(len(unit)) - unit[:, None] * unit
    torch.testing.assert_close(other @ rest, one @ rest, rtol=1e-4, atol=1e-4)


def test_clamping_sets_the_projection_everywhere(model, vector):
    _, after = stream(model, steering.chat(model, ASKED), steering.clamp(vector, -2.0, 1))
    along = torch.cat(after) @ steering.unit(vector)
    torch.testing.assert_close(along, torch.full_like(along, -2.0), rtol=1e-4, atol=1e-4)


def test_ablation_leaves_nothing_of_the_span_anywhere_and_all_of_the_rest(model, vector):
    both = torch.stack([vector, direction(model, 2)])
    sites = [(site, layer) for site in ("resid_pre", "resid_mid", "resid_post") for layer in range(3)]
    for taken in (vector, both):
        for site in sites:
            before, after = stream(model, steering.chat(model, ASKED), steering.ablate(taken), site)
            assert (torch.cat(after) @ torch.atleast_2d(taken).T).abs().max() < 1e-2
            assert (torch.cat(before) @ torch.atleast_2d(taken).T).abs().max() > 1
    before, after = stream(model, steering.chat(model, ASKED), steering.ablate(vector), ("resid_pre", 0))
    unit = steering.unit(vector)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(other, one - (one @ unit)[:, None] * unit, rtol=1e-4, atol=1e-4)


def test_ablating_at_one_place_alone_leaves_what_later_blocks_write(model, vector):
    edits = steering.ablate(vector, [("resid_pre", 0)])
    _, after = stream(model, steering.chat(model, ASKED), edits, ("resid_post", 2))
    assert (torch.cat(after) @ steering.unit(vector)).abs().max() > 0.1


@pytest.mark.parametrize(
    ("how", "acts"),
    [
        ({"where": "both"}, lambda prompt, at: True),
        ({"where": "prompt"}, lambda prompt, at: at < prompt),
        ({"where": "reply"}, lambda prompt, at: at >= prompt),
        ({"where": "last"}, lambda prompt, at: at >= prompt - 1),
        ({"where": "reply", "start": 2}, lambda prompt, at: at >= prompt + 2),
        ({"positions": 1}, lambda prompt, at: at == 1),
        ({"positions": (-1, -3)}, lambda prompt, at: at in (prompt - 1, prompt - 3)),
    ],
)
def test_it_acts_where_it_says_in_a_padded_pass_and_in_every_step_of_generation(model, vector, how, acts):
    prompts = steering.chat(model, ASKED)
    edits = steering.add(vector, 1.0, 1, **how)
    told = [[*row, 7, 8, 9, 10, 11] for row in prompts]
    with steering.prompts_end([len(row) for row in prompts]):
        before, after = stream(model, told, edits)
    for prompt, one, other in zip(prompts, before, after, strict=True):
        moved = [(other[at] - one[at]).abs().max() > 1e-3 for at in range(len(one))]
        assert moved == [acts(len(prompt), at) for at in range(len(one))]
    # In generation: the same words as from full passes, each text alone, with the edit told where the prompt ends.
    made = steering.replies(model, prompts, edits, longest=6, stop=())
    for prompt, reply in zip(prompts, made, strict=True):
        text = list(prompt)
        for token in reply.tokens:
            with steering.prompts_end([len(prompt)]), model.hooks(edits), torch.no_grad():
                assert int(model(torch.tensor([text]))[0, -1].argmax()) == token
            text.append(token)


def test_edits_handed_the_whole_text_and_those_handed_one_position_say_the_same(model, vector):
    """The engine of `models.generate` hands an edit the whole text unless it says that it is `by_position`."""
    prompts = steering.chat(model, ASKED)
    for where in ("both", "last", "reply", "prompt"):
        edits = steering.add(vector, 1.0, 1, where=where)
        whole = [(site, lambda value, hook, way=way: way(value, hook)) for site, way in edits]
        said = []
        for some in (edits, whole):
            with model.hooks(some):
                said.append([reply.tokens for reply in generate(model, prompts, max_new_tokens=6)])
        assert said[0] == said[1]


def test_a_direction_for_each_layer_acts_at_its_own(model, vector):
    both = torch.stack([vector, direction(model, 2)])
    edits = steering.add(both, 1.0, (0, 1))
    assert [site for site, _ in edits] == [("resid_pre", 0), ("resid_pre", 1)]
    prompts = steering.chat(model, ASKED[:1])
    with model.hooks(edits[1:]):
        torch.testing.assert_close(
            model(torch.tensor(prompts)),
            model.run_with_hooks(torch.tensor(prompts), [(SITE, lambda v, hook: v)]),
        )
    before, after = stream(model, prompts, edits[1:])
    torch.testing.assert_close(after[0] - before[0], both[1].expand_as(before[0]), rtol=1e-4, atol=1e-4)


def test_actadd_adds_a_vector_of_its_own_at_each_of_the_first_positions(model):
    vectors = torch.randn(3, model.cfg.d_model, generator=torch.Generator().manual_seed(3))
    before, after = stream(model, steering.chat(model, ASKED), steering.add_at_start(vectors, 2.0, 1, first=1))
    for one, other in zip(before, after, strict=True):
        expected = torch.zeros_like(one)
        expected[1:4] = 2 * vectors
        torch.testing.assert_close(other - one, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda v: steering.add(v, float("nan")), "dose must be a finite number"),
        (lambda v: steering.add(v, 1e300), "take a smaller one"),
        (lambda v: steering.add(0 * v), "direction is zero"),
        (lambda v: steering.ablate(v / 0), "NaN or infinite"),
        (lambda v: steering.add(v, 1, ()), "no layers"),
        (lambda v: steering.add(torch.stack([v, v]), 1, (0, 1, 2)), "one for each of 3 layers"),
        (lambda v: steering.hold(v, 1, at="below"), "'least' or 'most'"),
        (lambda v: steering.hold(v, (1, 2), 1), "one level"),
        (lambda v: steering.add(v, where="everywhere"), "where must be one of 'both'"),
        (lambda v: steering.add(v, where="last", positions=1), "same thing twice"),
        (lambda v: steering.add(v, where="prompt", start=1), "counts words of the reply"),
        (lambda v: steering.ablate(torch.stack([v, 2 * v])), "not independent"),
        (lambda v: steering.add_at_start(v), "a vector for each position"),
    ],
)
def test_what_cannot_be_applied_is_refused_in_a_sentence(call, told):
    with pytest.raises(ValueError, match=told):
        call(torch.ones(8))


def test_what_does_not_fit_the_model_is_refused_in_a_sentence(llama):
    vector, tokens = direction(llama), torch.tensor(steering.chat(llama, ASKED[:1]))
    for edits, error, told in (
        (steering.add(vector[:5], 1, 1), ValueError, "5 numbers, and what stands at blocks.1.hook_resid_pre has 24"),
        (steering.add(vector, 1, 7), KeyError, "layers 0 to 2"),
        (steering.add(vector, 1, 1, where="reply"), ValueError, "prompts_end"),
        (steering.add(vector, 1, 1, positions=-40), ValueError, "no position -40"),
    ):
        with pytest.raises(error, match=told):
            llama.run_with_hooks(tokens, edits)


def test_a_dose_that_makes_the_numbers_nan_is_named_as_the_reason(gpt2):
    edits = steering.add(direction(gpt2), 1e37, 1)
    with pytest.raises(ValueError, match="take a smaller dose"):
        steering.replies(gpt2, steering.chat(gpt2, "burn"), edits, longest=2)
