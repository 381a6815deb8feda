"""Names made of labels, graded by detection: against latents whose meaning is written by hand."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_lib import saes
from mi_lib.saes import interpreting

CONCEPTS = ("even", "large", "odd and small")
N = 2000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def texts(seed, n=N):
    """Words are the numbers 0 … 19; their labels."""
    number = torch.randint(0, 20, (n,), generator=generator(seed))
    holds = torch.stack([number % 2 == 0, number >= 10, (number % 2 == 1) & (number < 5)], 1)
    return number, [str(i) for i in number.tolist()], holds


NUMBER, WORDS, HOLDS = texts(0)
ANEW, WORDS_ANEW, HOLDS_ANEW = texts(1)
LABELS = saes.Labels.of(CONCEPTS, WORDS)
OLD, NEW = LABELS.hold(WORDS, HOLDS), LABELS.hold(WORDS_ANEW, HOLDS_ANEW)


def named(active, active_anew, **options):
    """The name of one latent in words, its score on the other texts, and where it was chosen."""
    names = saes.interpret(active.float()[:, None], OLD, **options)
    found = saes.detect(names, active_anew.float()[:, None], NEW)
    return names[0].text(LABELS), found.score[0].item(), names[0].score


# --- labels -----------------------------------------------------------------------------------------------------------


def test_labels_are_concepts_and_then_single_words_wherever_they_hold():
    assert LABELS.names[:3] == CONCEPTS
    assert len(LABELS.names) == 3 + 20
    for row in range(50):
        here = set(OLD.latent[OLD.start[row] : OLD.start[row + 1]].tolist())
        own = 3 + LABELS.words.index(WORDS[row])
        assert here == {own, *HOLDS[row].nonzero()[:, 0].tolist()}
    new = LABELS.hold(["a new word"], torch.tensor([[False, True, False]]))
    assert new.latent.tolist() == [1]


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("means", "name"),
    [
        (lambda i: i % 2 == 0, "even"),
        (lambda i: i == 7, "the word “7”"),
        (lambda i: (i == 7) | (i == 12), "the word “7” or the word “12”"),
        (lambda i: (i % 2 == 0) & (i >= 10), "even and large"),
        (lambda i: (i >= 10) | (i == 3), "large or the word “3”"),
    ],
)
def test_a_latent_that_means_one_thing_gets_its_name_and_a_perfect_score(means, name):
    text, score, chosen = named(means(NUMBER), means(ANEW))
    assert sorted(re.split(" or | and ", text)) == sorted(re.split(" or | and ", name))
    assert (" or " in text, " and " in text) == (" or " in name, " and " in name)
    assert score == chosen == 1


def test_a_name_has_no_more_labels_than_it_may_and_no_idle_ones():
    means = lambda i: (i == 1) | (i == 7) | (i == 12) | (i == 18)  # noqa: E731
    for terms, wanted in ((1, 1 / 4), (2, 1 / 2), (3, 3 / 4), (4, 1), (9, 1)):
        names = saes.interpret(means(NUMBER).float()[:, None], OLD, terms=terms)
        assert len(names[0].labels) == min(terms, 4)
        assert names[0].score == pytest.approx(wanted, abs=0.05)


def by_hand(name, active, holds_of):
    """Of equally many active and silent words, those told right less those told wrong."""
    each = [holds_of[:, i].tolist() for i in name.labels]
    told = [(any if name.how == "or" else all)(row) for row in zip(*each, strict=True)]
    right = {True: 0, False: 0}
    for said, is_so in zip(told, active.tolist(), strict=True):
        right[is_so] += said == is_so
    share = right[True] / int(active.sum()) / 2 + right[False] / int((~active).sum()) / 2
    return share - (1 - share)


def dense(labels):
    out = torch.zeros(len(labels), labels.width, dtype=torch.bool)
    for row in range(len(labels)):
        out[row, labels.latent[labels.start[row] : labels.start[row + 1]].long()] = True
    return out


DENSE, DENSE_ANEW = dense(OLD), dense(NEW)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 0.6))
def test_scores_are_balanced_accuracies_where_they_were_chosen_and_elsewhere(seed, density):
    """Latents of no clear meaning: each word has its own probability."""
    p = torch.rand(20, 4, generator=generator(seed)) ** 2 * density
    old, new = (torch.rand(N, 4, generator=generator(seed + k)) < p[number] for k, number in ((1, NUMBER), (2, ANEW)))
    names = saes.interpret(old.float(), OLD)
    found = saes.detect(names, new.float(), NEW)
    for i, name in enumerate(names):
        if name.labels:
            assert name.score == pytest.approx(by_hand(name, old[:, i], DENSE), abs=1e-9)
        if name.labels and not found.score[i].isnan():
            assert found.score[i].item() == pytest.approx(by_hand(name, new[:, i], DENSE_ANEW), abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_the_first_label_is_the_best_single_one(seed):
    p = torch.rand(20, generator=generator(seed)) ** 3
    active = torch.rand(N, generator=generator(seed)) < p[NUMBER]
    (name,) = saes.interpret(active.float()[:, None], OLD, terms=1)
    singles = [DENSE[active, i].double().mean() - DENSE[~active, i].double().mean() for i in range(OLD.width)]
    assert name.score == pytest.approx(max(singles).item(), abs=1e-9)


# --- what nobody can win ----------------------------------------------------------------------------------------------


def test_never_and_always_score_exactly_0_though_never_tells_most_words_right():
    """A latent that is active at 29 % of the words: plain accuracy gives "never" 71 %."""
    values = torch.zeros(N, 2)
    values[: int(0.29 * N)] = 1.0
    everywhere = saes.Labels.of(("anything",))
    labels = everywhere.hold(WORDS, torch.ones(N, 1, dtype=torch.bool))
    never, always = saes.Name((), "or", 0.0), saes.Name((0,), "or", 0.0)
    assert saes.detect([never, always], values, labels).score.tolist() == [0, 0]
    assert (values[:, 0] == 0).double().mean() == pytest.approx(0.71)


def test_names_of_other_latents_score_nothing_and_nobody_keeps_theirs():
    old, new = (torch.nn.functional.one_hot(number, 20).float() for number in (NUMBER, ANEW))
    names = saes.interpret(old, OLD)
    assert saes.detect(names, new, NEW).mean == 1
    for seed in range(5):
        others = saes.exchanged(names, seed)
        assert sorted(others) == sorted(names)
        assert not any(a == b for a, b in zip(names, others, strict=True))
        assert saes.detect(others, new, NEW).mean < 0


def test_what_was_named_by_chance_scores_nothing_on_other_words():
    old, new = (torch.rand(N, 30, generator=generator(k)) < 0.03 for k in (5, 6))
    names = saes.interpret(old.float(), OLD)
    assert sum(name.score for name in names) / 30 > 0.1
    assert abs(saes.detect(names, new.float(), NEW).mean) < 0.05


# --- harder words, levels, and what cannot be graded ------------------------------------------------------------------


def test_a_name_that_is_too_wide_is_found_out_among_near_misses():
    """Latent 0 means "7" and is called "odd": half right among all words, and wrong among its neighbour's."""
    values = torch.stack([ANEW == 7, ANEW % 2 == 1], 1).float()
    decoder = torch.tensor([[1.0, 0.1], [1.0, 0.0]])
    label = saes.Labels.of(("odd",)).hold(WORDS_ANEW, (ANEW % 2 == 1)[:, None])
    wide = [saes.Name((0,), "or", 0.0)] * 2
    hard = saes.near_misses(values, decoder)
    assert torch.equal(hard[:, 0], (ANEW % 2 == 1) & (ANEW != 7))
    assert not hard[:, 1].any()
    assert saes.detect(wide, values, label).score[0] == pytest.approx(1 - 9 / 19, abs=0.03)
    graded = saes.detect(wide, values, label, among=hard)
    assert graded.score[0] == 0
    assert graded.score[1].isnan()


def test_a_level_leaves_out_where_a_latent_is_weak():
    values = (ANEW == 7).float() + 0.2 * (ANEW == 8).float()
    (all_,), (strong,) = (saes.interpret(values[:, None], NEW, level=level) for level in (0.0, 0.5))
    assert {LABELS.names[i] for i in all_.labels} == {"the word “7”", "the word “8”"}
    assert [LABELS.names[i] for i in strong.labels] == ["the word “7”"]
    assert saes.detect([strong], values[:, None], NEW, level=0.5).score.item() == 1
    assert saes.detect([strong], values[:, None], NEW).score.item() < 0.7


def test_a_latent_that_is_hardly_ever_active_has_no_name_and_no_score():
    values = torch.zeros(N, 3)
    values[: interpreting.LEAST - 1, 0] = 1.0
    values[: interpreting.LEAST, 1] = 1.0
    values[:, 2] = 1.0
    names = saes.interpret(values, OLD)
    assert [bool(name.labels) for name in names] == [False, True, False]
    assert names[0].text(LABELS) == "no name"
    found = saes.detect(names, values, NEW)
    assert found.score.isnan().tolist() == [True, False, True]
    assert found.active.tolist() == [9, 10, N]


def test_chunks_give_what_the_whole_gives():
    values = torch.rand(N, 5, generator=generator()) * (torch.rand(N, 5, generator=generator(1)) < 0.2)
    names = saes.interpret(values, OLD)
    assert names == saes.interpret(values.split(300), OLD)
    a, b = (saes.detect(names, each, NEW) for each in (values, iter(values.split(700))))
    assert torch.equal(a.score, b.score)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda v: saes.interpret(v[:9], OLD), "9 words with activations and 2000 with labels"),
        (lambda v: saes.interpret(v, OLD, terms=0), "at least one label, not 0"),
        (lambda v: saes.interpret(v, OLD, level=1), "from 0 to below 1, not 1"),
        (lambda v: saes.interpret(v / 0, OLD), "not numbers"),
        (lambda v: saes.detect([], v, OLD), "0 names for 3 latents"),
        (lambda v: saes.detect([saes.Name((), "or", 0)] * 3, v, OLD, among=v[:5] > 0), r"must be \[2000 3\]"),
        (lambda v: saes.exchanged([saes.Name((), "or", 0)]), "at least two"),
        (lambda v: saes.near_misses(v, torch.eye(4)), "for 4 latents"),
        (lambda v: LABELS.hold(["1"], HOLDS), r"\[1, 3\], not \[2000, 3\]"),
    ],
)
def test_what_cannot_be_named_is_told_in_one_sentence(call, said):
    with pytest.raises(ValueError, match=said) as told:
        call(torch.ones(N, 3))
    assert "\n" not in str(told.value)
