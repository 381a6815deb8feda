"""Stories of giving are what the module says: who stands where, what is kept back, what a corrupted prompt keeps."""

from __future__ import annotations

import pytest
import torch

from mi_lib.worlds import giving


@pytest.fixture(scope="module")
def drawn():
    return giving.stories(600, seed=3, names="all", templates="all")


def at(tokens, places):
    return tokens[torch.arange(len(tokens)), places]


def words(tokens):
    return [giving.VOCABULARY[t] for t in tokens.tolist()]


def couples(stories):
    both = torch.stack([stories.answers, stories.corrupted_answers], 1)
    return {tuple(pair) for pair in both.sort(1).values.tolist()}


def test_every_template_has_as_many_tokens_and_ends_alike():
    assert {len(template.split()) for template in giving.TEMPLATES} == {giving.N_CTX}
    assert {template.split()[-1] for template in giving.TEMPLATES} == {"to"}
    assert len(set(giving.TEMPLATES)) == len(giving.TEMPLATES)
    assert len(set(giving.VOCABULARY)) == giving.D_VOCAB


def test_the_names_stand_where_the_positions_say(drawn):
    s = drawn.corrupted_answers
    assert torch.equal(at(drawn.clean, drawn.io), drawn.answers)
    assert torch.equal(at(drawn.clean, drawn.s1), s)
    assert torch.equal(at(drawn.clean, drawn.s2), s)
    names = drawn.clean <= len(giving.NAMES)
    assert names[:, 1:].sum(1).eq(3).all(), "no other name stands anywhere"


def test_a_prompt_is_its_template_with_the_slots_filled(drawn):
    for row in range(40):
        slots = {int(drawn.io[row]): "name", int(drawn.s1[row]): "name", int(drawn.s2[row]): "name"}
        for place, (word, want) in enumerate(
            zip(words(drawn.clean[row]), giving.TEMPLATES[int(drawn.template[row])].split(), strict=True)
        ):
            if want == "[thing]":
                assert word in giving.THINGS
            elif want == "[place]":
                assert word in giving.PLACES
            elif place in slots:
                assert want in ("[A]", "[B]", "[S]")
                assert word in giving.NAMES
            else:
                assert word == want


def test_both_orders_and_all_templates_come_up(drawn):
    first = (drawn.io < drawn.s1).float().mean().item()
    assert 0.4 < first < 0.6
    assert set(drawn.template.tolist()) == set(range(len(giving.TEMPLATES)))


def test_a_corrupted_prompt_differs_in_its_names_alone_and_they_are_three_others(drawn):
    changed = drawn.clean != drawn.corrupted
    assert changed.sum(1).eq(3).all()
    for places in (drawn.io, drawn.s1, drawn.s2):
        assert at(changed, places).all()
    others = torch.stack([at(drawn.corrupted, p) for p in (drawn.io, drawn.s1, drawn.s2)], 1)
    assert (others.sort(1).values.diff(dim=1) > 0).all()
    for name in (drawn.answers, drawn.corrupted_answers):
        assert (others != name[:, None]).all()


def test_training_and_judging_share_no_pair_of_names_and_no_template():
    train, kept = giving.stories(3000, seed=1), giving.stories(3000, seed=2, names="held_out", templates="held_out")
    assert couples(train) == set(giving.TRAIN_PAIRS)
    assert couples(kept) == set(giving.HELD_OUT_PAIRS)
    assert not couples(train) & couples(kept)
    assert set(train.template.tolist()) == set(giving.TRAIN_TEMPLATES)
    assert set(kept.template.tolist()) == set(giving.HELD_OUT_TEMPLATES)


def test_every_name_and_every_word_that_is_judged_on_was_seen_in_training():
    def seen(pairs, templates):
        words = {w for i in templates for w in giving.TEMPLATES[i].split()}
        return words, {name for pair in pairs for name in pair}

    known = seen(giving.TRAIN_PAIRS, giving.TRAIN_TEMPLATES)
    kept = seen(giving.HELD_OUT_PAIRS, giving.HELD_OUT_TEMPLATES)
    assert kept[0] <= known[0]
    assert kept[1] == known[1] == set(giving.NAME_TOKENS)


def test_the_same_seed_gives_the_same_and_another_gives_others(drawn):
    again, other = (giving.stories(600, seed=s, names="all", templates="all") for s in (3, 4))
    assert torch.equal(drawn.clean, again.clean)
    assert torch.equal(drawn.corrupted, again.corrupted)
    assert not torch.equal(drawn.clean, other.clean)


def test_a_whole_text_ends_with_the_name_to_say(drawn):
    texts = giving.whole_texts(drawn)
    assert texts.shape == (600, giving.N_CTX + 1)
    assert torch.equal(texts[:, -1], drawn.answers)


@pytest.mark.parametrize("wrong", [{"n": 0}, {"names": "some"}, {"templates": "none"}])
def test_what_cannot_be_drawn_is_refused_in_a_sentence(wrong):
    arguments = {"n": 3, "seed": 0} | wrong
    with pytest.raises(ValueError, match="must be"):
        giving.stories(arguments.pop("n"), **arguments)
