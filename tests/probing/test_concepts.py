"""TCAV against formulas, against captum, and on networks whose use of a concept is known."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import ttest_ind
from torch import nn

from mi_lib import probing
from mi_lib.course.grading.material import random_transformer, randomised


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def image_net():
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.ReLU(),
        nn.Conv2d(3, 2, 3),
        nn.Flatten(),
        nn.Linear(2 * 4 * 4, 6),
        nn.Tanh(),
        nn.Linear(6, 4),
    )
    return randomised(net, 1)


IMAGES = numbers(9, 1, 8, 8, seed=4)


def test_a_cav_is_a_unit_vector_towards_the_concept():
    concept, others = numbers(30, 5) + torch.tensor([3.0, 0, 0, 0, 0]), numbers(40, 5, seed=1)
    vector = probing.cav(concept, others)
    assert vector.norm() == pytest.approx(1, abs=1e-6)
    assert vector[0] > 0.85
    torch.testing.assert_close(vector, -probing.cav(others, concept), atol=1e-4, rtol=1e-4)


def test_the_sensitivity_is_how_fast_the_answer_grows(image_net):
    """By a small step, at a layer in the middle."""
    x, vector, step = IMAGES.double(), numbers(2 * 4 * 4, seed=2).double(), 1e-5
    net = nn.Sequential(*image_net).double()
    gradients = probing.gradients_at(net, x, "2", lambda out: out[:, 3])
    got = probing.directional_sensitivity(gradients, vector)
    at = net[:3](x)
    moved = net[3:](at + step * vector.view(2, 4, 4)) - net[3:](at - step * vector.view(2, 4, 4))
    torch.testing.assert_close(got, moved[:, 3] / (2 * step), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(probing.activations_at(net, x, "2"), at)
    net.float()


def test_any_module_will_do_by_name_or_as_it_is(image_net):
    one, other = (
        probing.gradients_at(image_net, IMAGES, place, lambda out: out[:, 0]) for place in ("4", image_net[4])
    )
    torch.testing.assert_close(one, other)
    assert not image_net[4]._forward_hooks, "nothing is left behind"


def test_a_language_models_sites_will_do_too():
    model = random_transformer(
        5, scale=0.4, n_layers=2, n_heads=2, d_head=6, d_model=12, d_mlp=20, d_vocab=17, n_ctx=11
    )
    tokens = torch.randint(0, 17, (4, 7), generator=torch.Generator().manual_seed(1))
    gradients = probing.gradients_at(
        model, tokens, ("resid_pre", 1), lambda logits: logits[:, -1, 3] - logits[:, -1, 5]
    )
    assert gradients.shape == (4, 7, 12)
    vector, step = numbers(12, seed=3), 1e-2

    def moved(by):
        logits = model.run_with_hooks(tokens, [(("resid_pre", 1), lambda v, hook: v + by * vector * mask)])
        return logits[:, -1, 3] - logits[:, -1, 5]

    mask = torch.zeros(7, 1)
    mask[-1] = 1
    slope = (moved(step) - moved(-step)) / (2 * step)
    got = probing.directional_sensitivity(gradients[:, -1], vector)
    torch.testing.assert_close(got, slope, atol=1e-2, rtol=1e-2)
    assert probing.activations_at(model, tokens, ("resid_pre", 1)).shape == (4, 7, 12)


def test_captum_says_the_same(image_net, tmp_path):
    """Its own TCAV with our classifier, on the same activations and the same random sets: scores and CAVs agree."""
    from captum.concept import TCAV, Classifier, Concept

    class Ours(Classifier):
        def __init__(self):
            self.fitted = None

        def train_and_eval(self, dataloader, **kwargs):
            x, y = (torch.cat(parts) for parts in zip(*dataloader, strict=True))
            self.names = sorted(set(y.tolist()))
            self.fitted = probing.logistic(x, (y == self.names[1]).long(), 2)
            return {"accs": torch.tensor(1.0)}

        def weights(self):
            normal = self.fitted.direction() / self.fitted.direction().norm()
            return torch.stack([-normal, normal])

        def classes(self):
            return self.names

    sets = [numbers(12, 1, 8, 8, seed=20 + i) + (0.2 if i == 0 else 0) for i in range(4)]
    concepts = [Concept(i, f"set{i}", [row[None] for row in rows]) for i, rows in enumerate(sets)]
    tcav = TCAV(image_net, ["2"], classifier=Ours(), save_path=str(tmp_path), show_progress=False)
    theirs = tcav.interpret(IMAGES, [[concepts[0], other] for other in concepts[1:]], target=1)
    acts = [probing.activations_at(image_net, rows, "2").flatten(1) for rows in sets]
    gradients = probing.gradients_at(image_net, IMAGES, "2", lambda out: out[:, 1])
    mine = probing.scores(gradients, acts[0], acts[1:])
    for i in range(3):
        found = theirs[f"0-{i + 1}"]["2"]
        assert float(found["sign_count"][0]) == pytest.approx(float(mine[i]), abs=1e-6)
        sensitivity = probing.directional_sensitivity(gradients, probing.cav(acts[0], acts[i + 1]))
        assert float(found["magnitude"][0]) == pytest.approx(float(sensitivity.mean()), abs=1e-4)
    assert len(set(mine.tolist()) - {0.0, 1.0}) > 0, "else equality would say little"


def test_captums_own_classifier_gives_a_cav_that_scores_the_same(image_net, tmp_path):
    """With captum's default classifier: its CAV, our sensitivities."""
    from captum.concept import TCAV, Concept

    torch.manual_seed(1)
    concepts = [Concept(i, f"c{i}", [row[None] for row in numbers(10, 1, 8, 8, seed=i) + i]) for i in range(2)]
    with pytest.warns(UserWarning, match="default classifier"):
        tcav = TCAV(image_net, ["4"], save_path=str(tmp_path), show_progress=False)
    theirs = tcav.interpret(IMAGES, [concepts], target=2)["0-1"]["4"]
    weights = tcav.cavs["0-1"]["4"].stats["weights"]
    gradients = probing.gradients_at(image_net, IMAGES, "4", lambda out: out[:, 2])
    for k in range(2):
        assert float(theirs["sign_count"][k]) == pytest.approx(
            probing.score(probing.directional_sensitivity(gradients, weights[k].detach())), abs=1e-6
        )


def test_a_score_is_the_share_of_inputs_whose_answer_grows():
    assert probing.score(torch.tensor([1.0, -1.0, 0.0, 2.0])) == 0.5, "0 does not grow"


# A network whose answer uses the first of ten numbers and no other.


def used(n=40):
    gradients = torch.zeros(n, 10)
    gradients[:, 0] = 1 + numbers(n, seed=3).abs()
    return gradients + 0.05 * numbers(n, 10, seed=4)


def test_a_concept_that_is_used_is_found_and_one_that_is_not_is_not():
    pool = numbers(400, 10, seed=5)
    sets = probing.random_sets(pool, 30, 20, seed=1)
    used_, unused = numbers(30, 10, seed=6), numbers(30, 10, seed=7)
    used_[:, 0] += 2
    unused[:, 1] += 2
    found = probing.tcav(used(), {"used": used_, "unused": unused}, sets)
    assert found["used"].mean > 0.95
    assert found["used"].p < 0.01
    assert found["used"].scores.shape == (20,)
    assert found["unused"].p > found["used"].p


def test_the_test_is_welchs_against_random_concepts_and_corrected_by_holm():
    sets = probing.random_sets(numbers(300, 10, seed=5), 20, 12, seed=2)
    concepts = {f"c{i}": numbers(20, 10, seed=33 + i) for i in range(3)}
    chance = probing.null_scores(used(), sets)
    raw = [ttest_ind(probing.scores(used(), c, sets), chance, equal_var=False).pvalue for c in concepts.values()]
    got = [one.p for one in probing.tcav(used(), concepts, sets).values()]
    assert got == pytest.approx(probing.holm(raw))


def test_holm_by_hand():
    assert probing.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert probing.holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert probing.holm([0.02]) == [0.02]


def test_scores_that_do_not_vary_have_p_0_or_1():
    ones, zeros = torch.ones(5), torch.zeros(5)
    assert probing.two_sided(ones, ones) == 1
    assert probing.two_sided(ones, zeros) == 0
    assert probing.two_sided(ones, torch.tensor([0, 1.0, 0, 1, 0])) == pytest.approx(
        probing.two_sided(zeros, torch.tensor([1, 0.0, 1, 0, 1]))
    ), "two-sided"


def test_the_rank_test_counts_random_concepts_that_are_as_far_off():
    others = torch.tensor([0.1, 0.4, 0.5, 0.6, 0.9], dtype=torch.double)
    assert probing.rank_test(0.95, others) == pytest.approx(1 / 6)
    assert probing.rank_test(0.1, others) == pytest.approx(3 / 6)
    assert probing.rank_test(0.5, others) == 1


def test_a_random_set_repeats_no_example_and_comes_from_the_seed():
    pool = torch.arange(50).float()[:, None]
    sets = probing.random_sets(pool, 20, 3, seed=4)
    assert all(len(set(one.flatten().tolist())) == 20 for one in sets)
    assert not torch.equal(sets[0], sets[1])
    assert torch.equal(sets[2], probing.random_sets(pool, 20, 3, seed=4)[2])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda net: probing.cav(numbers(1, 5), numbers(9, 5)), "class 1 has one example alone"),
        (lambda net: probing.cav(numbers(0, 5), numbers(9, 5)), "the concept's activations are empty"),
        (lambda net: probing.cav(numbers(4, 5), numbers(9, 6)), "the random activations have 6 numbers in a row"),
        (lambda net: probing.cav(numbers(4, 5) * float("nan"), numbers(9, 5)), "the concept's activations hold NaN"),
        (lambda net: probing.directional_sensitivity(numbers(3, 5), numbers(4)), "5 numbers for each example"),
        (lambda net: probing.score(torch.zeros(0)), "no example of the class"),
        (lambda net: probing.tcav(used(), {}, [numbers(9, 10)] * 3), "no concept to test"),
        (lambda net: probing.null_scores(used(), [numbers(9, 10)]), "three random sets or more"),
        (lambda net: probing.two_sided(torch.ones(1), torch.ones(9)), "one random set says nothing"),
        (lambda net: probing.random_sets(numbers(5, 2), 9, 3), "cannot be drawn from a pool of 5"),
        (lambda net: probing.gradients_at(net, IMAGES, "nowhere", lambda out: out[:, 0]), "no module 'nowhere'"),
        (lambda net: probing.gradients_at(net, IMAGES, "2", lambda out: out), "one number for each of 9 examples"),
        (lambda net: probing.gradients_at(net, IMAGES, "2", lambda out: out.sum()), "one number for each of 9"),
    ],
)
def test_what_is_refused_is_refused_in_a_sentence(image_net, call, says):
    with pytest.raises(probing.Unusable, match=says):
        call(image_net)


def test_a_module_that_is_passed_twice_is_no_place():
    shared = nn.Linear(4, 4)
    with pytest.raises(probing.Unusable, match="passed 2 times"):
        probing.gradients_at(nn.Sequential(shared, shared), numbers(3, 4), shared, lambda out: out[:, 0])
