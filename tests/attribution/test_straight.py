"""A part that follows the chord between two runs: what stays, what becomes exact, and what is refused."""

import pytest
import torch
from attribution_subjects import model_of, prompts

from mi_lib import attribution as at
from mi_lib.attribution.straight import silenced, straightened
from mi_lib.models.graph import Edge
from mi_lib.worlds import planted

MODELS = ("gpt2", "llama", "native")
PARTS = ("a0.h1", "a1.h3", "m0", "m1")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("part", PARTS)
def test_both_runs_stay_what_they_are(name, part):
    model, (clean, corrupted) = model_of(name), prompts()
    for tokens in (clean, corrupted):
        before = model(tokens)
        with straightened(model, clean, corrupted, part):
            assert torch.allclose(model(tokens), before, atol=1e-9)


@pytest.mark.parametrize("part", PARTS)
def test_what_lies_between_the_runs_changes(part):
    model, (clean, corrupted) = model_of("native"), prompts()
    x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))

    def half_way(value, hook):
        return (x + start) / 2

    before = model.run_with_hooks(clean, [("embed", half_way)])
    with straightened(model, clean, corrupted, part):
        assert (model.run_with_hooks(clean, [("embed", half_way)]) - before).abs().max() > 1e-4


def straight_share(name, edge, part):
    """(EAP, exact noising) of an edge of a planted circuit while a part is straightened."""
    circuit = planted.circuit(name, seed=12)
    pairs = circuit.pairs(4, seed=3)
    metric = at.logit_difference(pairs.answers, pairs.corrupted_answers)
    pair = circuit.model, pairs.clean, pairs.corrupted
    with straightened(*pair, part):
        return at.eap(*pair, metric)[edge].mean(), at.edge_effects(*pair, metric, [edge])[edge].mean()


@pytest.mark.parametrize(
    ("name", "edge", "part"), [("conjunction", "a0.h1->m1", "m1"), ("induction", "embed->a1.h1.q", "a1.h1")]
)
def test_a_first_order_method_is_exact_behind_a_straight_part_and_behind_another_it_is_not(name, edge, part):
    quick, exact = straight_share(name, Edge.parse(edge), part)
    assert abs(quick - exact) < 1e-3 < abs(exact)
    quick, exact = straight_share(name, Edge.parse(edge), "m0")
    assert abs(quick - exact) > 0.4


def test_copies_of_the_batch_behind_each_other_follow_the_same_chord():
    model, (clean, corrupted) = model_of("native"), prompts()
    with straightened(model, clean, corrupted, "m1"), straightened(model, clean, corrupted, "a1.h2"):
        once = model(clean)
        assert torch.allclose(model(clean.repeat(3, 1)), once.repeat(3, 1, 1), atol=1e-9)


@pytest.mark.parametrize("part", ["a1.h2", "m1"])
def test_a_silenced_part_writes_nothing_and_gradients_still_come_through(part):
    model, (clean, _) = model_of("native"), prompts()
    with silenced(model, part):
        assert at.sender_outputs(model, clean, [part])[part].abs().max() == 0
        scores = at.eap(model, *prompts(), at.logit_difference(1, 2))
    assert all(bool(score.isfinite().all()) for score in scores.values())


@pytest.mark.parametrize("part", ["embed", "logits", "a1.h2.q", "a9.h0", "m9", "mm", "pos_embed"])
def test_what_is_no_head_and_no_mlp_is_refused_with_one_sentence(part):
    model, (clean, corrupted) = model_of("native"), prompts()
    with pytest.raises(ValueError, match="no head and no MLP"), straightened(model, clean, corrupted, part):
        pass
    with pytest.raises(ValueError, match="no head and no MLP"), silenced(model, part):
        pass
