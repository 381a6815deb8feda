"""The defence on small random networks: what it makes small, what it leaves alone, and that it learns."""

import copy

import pytest
import torch
from steering_subjects import ASKED

from mi_lib import steering
from mi_lib.steering import defence
from mi_lib.steering.defence import Plan, defence_loss, defended, directions_of, divergence

KEPT = [[1, 6, 7, 8, 9, 10], [1, 11, 12, 13]]


@pytest.fixture(scope="module")
def prompts(gpt2):
    return steering.chat(gpt2, ASKED), steering.chat(gpt2, [text.replace("burn", "paint") for text in ASKED[::-1]])


def direction(model, seed=3):
    return torch.randn(model.cfg.d_model, generator=torch.Generator().manual_seed(seed))


def test_the_divergence_is_that_of_torch_over_the_positions_that_count():
    before, after = torch.randn(2, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    counts = torch.tensor([[True, False, True, True], [False, False, True, False]])
    want = torch.nn.functional.kl_div(
        after.log_softmax(-1)[counts], before.log_softmax(-1)[counts], log_target=True, reduction="batchmean"
    )
    assert torch.allclose(divergence(before, after, counts), want)
    assert divergence(before, before, counts) == 0


def test_a_network_that_nobody_has_changed_costs_nothing_on_what_is_kept_and_something_under_attack(gpt2, prompts):
    rows = [[*row, 6, 7, 8] for row in prompts[0]]
    attacked, kept = defence_loss(gpt2, gpt2, direction(gpt2), rows, [len(row) for row in prompts[0]], KEPT)
    assert kept == 0
    assert attacked > 1e-3


def test_under_attack_only_the_positions_count_that_predict_the_refusal(gpt2, prompts):
    r, rows = direction(gpt2), [[*row, 6, 7, 8] for row in prompts[0]]
    lengths = [len(row) for row in prompts[0]]
    attacked, _ = defence_loss(gpt2, gpt2, r, rows, lengths, KEPT)
    each = []
    for row, n in zip(rows, lengths, strict=True):
        one = torch.tensor([row])
        with gpt2.hooks(steering.ablate(r)):
            q = gpt2(one)[0, n - 1 : -1].log_softmax(-1)
        p = gpt2(one)[0, n - 1 : -1].log_softmax(-1)
        each.append((p.exp() * (p - q)).sum(-1))
    assert attacked.item() == pytest.approx(torch.cat(each).mean().item(), rel=1e-4)


def test_training_makes_the_loss_under_attack_smaller_and_leaves_the_model_as_it_was(gpt2, prompts):
    before = copy.deepcopy(gpt2.state_dict())
    r, costs = direction(gpt2), []
    plan = Plan(steps=12, attacked=4, kept=2, learning_rate=1e-2, warm_up=2, longest=5)
    made = defended(
        gpt2, *prompts, KEPT, plan, drawing=lambda model: [r], on_step=lambda step, lesson: costs.append(lesson)
    )
    assert len(costs) == 12
    assert costs[-1].attacked < 0.5 * costs[0].attacked
    assert all(torch.equal(value, gpt2.state_dict()[name]) for name, value in before.items())
    assert not any(p.requires_grad for p in made.parameters())
    assert made.source is None


def test_directions_are_drawn_anew_from_the_network_as_it_is_now(gpt2, prompts):
    seen = []

    def drawing(model):
        seen.append(model.W_E.detach().clone())
        return directions_of(model, *prompts)

    defended(gpt2, *prompts, KEPT, Plan(steps=5, attacked=2, kept=1, redraw=2, longest=3), drawing=drawing)
    assert len(seen) == 3
    assert not torch.equal(seen[0], seen[2])


def test_an_attacker_has_a_direction_for_each_depth_but_the_first_and_each_token_behind_the_instruction(gpt2, prompts):
    found = directions_of(gpt2, *prompts)
    ends = len(steering.after_instruction(gpt2))
    assert len(found) == gpt2.cfg.n_layers * ends
    states = [steering.collect(gpt2, rows, ("resid_pre", 1), -1) for rows in prompts]
    assert torch.allclose(found[ends - 1], states[0].mean(0) - states[1].mean(0), atol=1e-5)


def test_too_few_prompts_and_nothing_to_keep_are_refused(gpt2, prompts):
    with pytest.raises(ValueError, match="at least 4 prompts"):
        defended(gpt2, prompts[0][:2], prompts[1], KEPT)
    with pytest.raises(ValueError, match="stay as they are"):
        defended(gpt2, *prompts, [])
    assert defence.PLAN.steps > 0
