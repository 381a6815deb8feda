"""Latents for labelled concepts: chosen on some texts, judged on others, against cases worked out by hand."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_lib import saes
from mi_lib.saes.entries import entries


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(seed, n=60, latents=7, concepts=3, density=0.3):
    """Sparse activations, labels."""
    g = generator(seed)
    values = torch.rand(n, latents, generator=g) * (torch.rand(n, latents, generator=g) < density)
    return values, torch.rand(n, concepts, generator=g) < 0.3


# --- F1 ---------------------------------------------------------------------------------------------------------------


def test_f1_weighs_missed_words_and_false_alarms_alike():
    active = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 0]]).bool()
    holds = torch.tensor([[1], [1], [0], [0]]).bool()
    assert torch.allclose(saes.f1(active, holds), torch.tensor([[1.0], [2 / 5], [0.0]]))


def test_f1_is_scikit_learns_for_every_pair():
    from sklearn.metrics import f1_score

    values, holds = drawn(1, n=3000)
    got = saes.f1(values > 0.4, holds)
    for latent, concept in itertools.product(range(7), range(3)):
        want = f1_score(holds[:, concept], values[:, latent] > 0.4)
        assert got[latent, concept].item() == pytest.approx(want, abs=1e-6)


# --- choosing ---------------------------------------------------------------------------------------------------------


def test_the_threshold_is_a_share_of_the_largest_value_and_part_of_the_choice():
    values = torch.tensor([[0.0], [1.0], [1.5], [4.0]])
    holds = torch.tensor([[False], [False], [False], [True]])
    (choice,) = saes.choose(values, holds)
    assert choice == saes.Choice((0,), (pytest.approx(1.6),), 1.0)  # the least of ten levels that leaves 1.5 out
    (one,) = saes.choose(values, holds, levels=1)
    assert one.thresholds == (0.0,)
    assert one.score == pytest.approx(2 * 1 / (3 + 1))


def by_hand(values, holds, levels=10):
    """The best F1 of any latent at any level."""
    cases = [
        saes.f1(values > level / levels * values.amax(0), holds) for level in range(levels)
    ]  # fmt: skip
    return torch.stack(cases).amax((0, 1))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 3, 10]))
def test_a_single_latent_is_the_best_of_all_latents_and_levels(seed, levels):
    values, holds = drawn(seed)
    got = torch.tensor([choice.score for choice in saes.choose(values, holds, levels=levels)])
    assert torch.allclose(got, by_hand(values, holds, levels), atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_a_score_is_what_judging_on_the_same_words_gives_and_grows_with_k(seed, k):
    values, holds = drawn(seed)
    choices, fewer = saes.choose(values, holds, k=k + 1), saes.choose(values, holds, k=k)
    scores = torch.tensor([choice.score for choice in choices])
    assert torch.allclose(scores, saes.judge(choices, values, holds).f1, atol=1e-6)
    assert all(a.score >= b.score for a, b in zip(choices, fewer, strict=True))
    assert all(a.latents[: len(b.latents)] == b.latents for a, b in zip(choices, fewer, strict=True)), "greedy"
    paths = saes.unions(values, holds, k=k + 1)
    assert [path[k] for path in paths] == choices
    assert [path[k - 1] for path in paths] == fewer
    purer = saes.unions(values, holds, k=k + 1, purities=saes.PURITIES)
    for path, better in zip(paths, purer, strict=True):
        assert all(a.score <= b.score for a, b in zip(path, better, strict=True))
        assert [c.score for c in better] == sorted(c.score for c in better)
        assert all(len(choice.latents) <= j + 1 for j, choice in enumerate(better))
    again = saes.judge([path[-1] for path in purer], values, holds).f1
    assert torch.allclose(torch.tensor([path[-1].score for path in purer]), again, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_each_step_of_the_greedy_search_is_the_best_step(seed):
    values, holds = drawn(seed, concepts=1)
    (choice,) = saes.choose(values, holds, k=2)
    (first,) = saes.choose(values, holds)
    said = saes.says([first], values)
    unions = [
        saes.f1(said | (values > level / 10 * values.amax(0)), holds).max().item() for level in range(10)
    ]  # fmt: skip
    assert choice.score == pytest.approx(max(first.score, *unions), abs=1e-6)


def test_a_concept_that_was_split_into_four_is_found_by_four_and_not_by_one():
    word = torch.randint(0, 12, (500,), generator=generator())
    values = torch.nn.functional.one_hot(word, 12).float()
    holds = (word < 4)[:, None]
    single, union, more = (saes.choose(values, holds, k=k)[0] for k in (1, 4, 9))
    assert single.score < 0.5
    assert union.score == 1
    assert sorted(union.latents) == [0, 1, 2, 3]
    assert more == union, "what raises nothing is not taken in"


def test_a_latent_that_is_much_too_wide_spoils_a_union_and_not_one_of_pure_latents():
    """Latent 19 is active at ten words, six of which are the concept: the best single one. Six that are single words
    say it all, but a union that begins with latent 19 cannot get rid of its false alarms."""
    word = torch.randint(0, 20, (2000,), generator=generator())
    values = torch.nn.functional.one_hot(word, 20).float()
    values[:, 19] = (word < 10).float()
    holds = (word < 6)[:, None]
    (greedy,), (pure,) = (saes.unions(values, holds, k=6, purities=p) for p in ((0.0,), saes.PURITIES))
    assert greedy[0] == pure[0]
    assert greedy[-1].latents == (19,)
    assert greedy[-1].score == pytest.approx(2 * 6 / (10 + 6), abs=0.03)
    assert sorted(pure[-1].latents) == [0, 1, 2, 3, 4, 5]
    assert pure[-1].score == 1


def test_what_was_chosen_by_chance_is_worth_nothing_on_other_words():
    """Random latents for random labels: the best of 500 looks well where it was chosen."""
    g = generator()
    old, new = ((torch.rand(60, 500, generator=g) * (torch.rand(60, 500, generator=g) < 0.2)) for _ in range(2))
    holds, anew = (torch.rand(60, 5, generator=g) < 0.2 for _ in range(2))
    choices = saes.choose(old, holds, k=4)
    assert min(choice.score for choice in choices) > 0.6
    assert saes.judge(choices, new, anew).f1.max() < 0.5


def test_precision_and_recall_by_hand():
    choices = [saes.Choice((0, 1), (0.5, 0.0), 1.0), saes.Choice((), (), 0.0)]
    values = torch.tensor([[0.6, 0.0], [0.4, 0.0], [0.0, 0.1], [0.0, 0.0], [0.0, 0.0]])
    holds = torch.tensor([[1, 1, 0, 1, 0], [0, 0, 0, 0, 1]]).bool().T
    precision, recall, f1 = saes.judge(choices, values, holds)
    assert precision.tolist() == [1 / 2, 0]
    assert recall.tolist() == [pytest.approx(1 / 3), 0]
    assert f1.tolist() == [pytest.approx(2 / 5), 0]


def test_a_concept_that_holds_nowhere_has_no_latents():
    values, holds = drawn(3)
    holds[:, 1] = False
    choices = saes.choose(values, holds, k=3)
    assert choices[1] == saes.Choice((), (), 0.0)
    assert saes.judge(choices, values, holds).f1[1] == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 25), min_size=1, max_size=6))
def test_rows_in_chunks_give_what_they_give_together(seed, sizes):
    values, holds = drawn(seed)
    sizes = [*sizes, max(0, 60 - sum(sizes))]
    parts, at = [], 0
    for size in sizes:
        parts.append(values[at : at + size])
        at += size
    choices = saes.choose((part for part in parts), holds, k=3)
    assert choices == saes.choose(values, holds, k=3)
    a, b = (saes.judge(choices, each, holds) for each in (iter(parts), values))
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_many_latents_cost_by_what_is_active():
    """3,000 words × 12,000 latents at 30 a word would be 144 MB; what is kept is a hundredth of it."""
    g = generator()

    def stream():
        for _ in range(6):
            chunk = torch.zeros(500, 12_000)
            yield chunk.scatter(1, torch.randint(0, 12_000, (500, 30), generator=g), 1.0)

    found = entries(stream())
    assert len(found) == 3000
    assert sum(t.numel() * t.element_size() for t in (found.start, found.latent, found.value)) < 1.5e6


def test_entries_are_the_positive_ones_of_any_rows():
    values, _ = drawn(5)
    found = entries(values - 0.2)
    rows = torch.tensor([7, 3, 59, 0])
    at = found.of_rows(rows)
    want = [(latent, values[row, latent] - 0.2) for row in rows for latent in range(7) if values[row, latent] > 0.2]
    assert found.latent[at].tolist() == [latent for latent, _ in want]
    assert torch.allclose(found.value[at], torch.stack([value for _, value in want]))
    assert torch.allclose(found.largest(), (values - 0.2).amax(0).clamp(min=0))


# --- controls ---------------------------------------------------------------------------------------------------------


def test_a_coordinate_that_is_low_where_a_concept_holds_is_found_by_its_negative():
    values, holds = torch.randn(400, 5, generator=generator()), torch.zeros(400, 1, dtype=torch.bool)
    holds[:, 0] = values[:, 2] < -0.1 * (-values[:, 2]).max()
    (deaf,), (hears,) = (saes.choose(v, holds) for v in (values, saes.both_signs(values)))
    assert deaf.score < 0.7
    assert hears.latents == (5 + 2,)
    assert hears.score == 1
    assert saes.choose(saes.both_signs(values.split(150)), holds) == [hears]


def test_shuffled_labels_are_as_frequent_and_as_often_together():
    _, holds = drawn(0, n=500)
    other = saes.shuffled(holds, 3)
    assert torch.equal(other.float().T @ other.float(), holds.float().T @ holds.float())
    assert (other != holds).any(0).all()
    assert torch.equal(other, saes.shuffled(holds, 3))


def test_latents_that_are_words_find_any_set_of_words_as_well():
    """The control that shuffled labels are not: it is lost by a union of single words, and by no latent of a kind."""
    g = generator()
    number = torch.randint(0, 200, (8000,), generator=g)
    words = [f"word {i}" for i in number.tolist()]
    holds = (number < 6)[:, None]
    label = saes.sets_of_words(words, holds)
    other = label(words)
    assert {w for w, h in zip(words, other[:, 0].tolist(), strict=True) if h} != {f"word {i}" for i in range(6)}
    assert len({w for w, h in zip(words, other[:, 0].tolist(), strict=True) if h}) == 6
    assert other.float().mean().item() == pytest.approx(holds.float().mean().item(), rel=0.25)
    assert not label(["a new word"]).any()
    of_words = torch.nn.functional.one_hot(number, 200).float()
    of_kind = holds.float()
    for latents, finds in ((of_words, True), (of_kind, False)):
        assert saes.choose(latents, holds, k=6)[0].score == 1
        assert (saes.choose(latents, other, k=6)[0].score == 1) == finds
    assert saes.choose(of_words, saes.shuffled(holds), k=6)[0].score < 0.2


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda v, h: saes.choose(v[:50], h), "50 words with activations and 60 with labels"),
        (lambda v, h: saes.choose(v / 0, h), "not numbers"),
        (lambda v, h: saes.choose(v, h, k=0), "k = 0"),
        (lambda v, h: saes.choose(v, h, levels=0), "levels = 0"),
        (lambda v, h: saes.choose(v, h, purities=[]), "at least one of them"),
        (lambda v, h: saes.choose(v, h, purities=[2.0]), "from 0 to 1"),
        (lambda v, h: saes.choose([v[:, :3], v], h), "3 latents and others 7"),
        (lambda v, h: saes.choose(v[None], h), r"\[n latent\], not \[1, 60, 7\]"),
        (lambda v, h: saes.choose([], h), "there are no activations"),
        (lambda v, h: saes.f1(v[:50] > 0, h), "50 words"),
        (lambda v, h: saes.judge(saes.choose(v, h)[:2], v, h), "2 choices for 3 concepts"),
        (lambda v, h: saes.judge(saes.choose(v, h), v[:50], h), "50 words"),
        (lambda v, h: saes.judge([saes.Choice((9,), (0.0,), 1.0)] * 3, v, h), "latent 9 was chosen"),
        (lambda v, h: saes.sets_of_words(["a"] * 60, h), "no set of words"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_sentence(call, said):
    with pytest.raises(ValueError, match=said) as told:
        call(*drawn(0))
    assert "\n" not in str(told.value)
