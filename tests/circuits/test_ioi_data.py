"""Prompts with an indirect object are what they say they are, in each of the three languages."""

from __future__ import annotations

import pytest
import torch
from circuits_subjects import data, ioi, save_gpt2

from mi_lib import load
from mi_lib.circuits import littletown_data, pair_data, planted_data, sentence_data
from mi_lib.circuits.data import WAYS
from mi_lib.circuits.sentences import NAMES, TEMPLATES
from mi_lib.worlds.littletown import people


@pytest.fixture(scope="module")
def english(tmp_path_factory):
    model = load(save_gpt2(tmp_path_factory.mktemp("gpt2")))
    return model, sentence_data(model, 60, seed=0)


@pytest.fixture(scope="module")
def stories():
    model = load("pico-base")
    return model, littletown_data(model, 60, seed=0)


@pytest.fixture(scope="module")
def every(english, stories):
    return {"planted": data(), "english": english[1], "littletown": stories[1]}


def at(tokens, where):
    return tokens[torch.arange(len(tokens)), where]


@pytest.mark.parametrize("kind", ["planted", "english", "littletown"])
def test_the_names_stand_where_the_data_says_and_each_corruption_exchanges_just_those_it_names(kind, every):
    d = every[kind]
    assert torch.equal(at(d.clean, d.io), d.io_tokens)
    assert torch.equal(at(d.clean, d.s1), d.s_tokens)
    assert torch.equal(at(d.clean, d.s2), d.s_tokens)
    assert ((d.s1 < d.s2) & (d.io < d.s2)).all()
    assert (d.end == d.clean.shape[1] - 1).all()
    assert torch.equal(d.after_s1, d.s1 + 1)
    assert set(d.corrupted) == set(WAYS)
    names = torch.stack([d.io, d.s1, d.s2], 1)
    elsewhere = torch.ones_like(d.clean, dtype=torch.bool).scatter(1, names, False)
    for tokens in d.corrupted.values():
        assert torch.equal(tokens[elsewhere], d.clean[elsewhere])
    io, s1, s2 = ({way: at(tokens, where) for way, tokens in d.corrupted.items()} for where in (d.io, d.s1, d.s2))
    old = torch.stack([d.io_tokens, d.s_tokens], 1)
    three = torch.stack([io["ABC"], s1["ABC"], s2["ABC"]], 1)
    assert all(len(set(row)) == 5 for row in torch.cat([three, old], 1).tolist())
    assert torch.equal(io["S2"], d.io_tokens)
    assert torch.equal(s1["S2"], d.s_tokens)
    assert torch.equal(s2["S2"], d.io_tokens)
    assert torch.equal(io["places"], d.s_tokens)
    assert torch.equal(s1["places"], d.io_tokens)
    assert torch.equal(s2["places"], d.s_tokens)
    assert torch.equal(s1["names"], s2["names"])
    assert all(len(set(row)) == 4 for row in torch.cat([io["names"][:, None], s1["names"][:, None], old], 1).tolist())


@pytest.mark.parametrize("kind", ["planted", "english", "littletown"])
def test_both_orders_stand_in_every_template(kind, every):
    d = every[kind]
    found = {(int(t), bool(first)) for t, first in zip(d.template, d.io < d.s1, strict=True)}
    assert len(found) == 2 * len(d.template.unique())
    for template in d.template.unique():  # outside the places of the names a template stands still, but for its filling
        rows = d.clean[d.template == template]
        assert len(rows[:, -1].unique()) == 1
        assert len(d.s2[d.template == template].unique()) == 1


def test_the_planted_prompts_are_those_of_the_circuit():
    circuit, d = ioi(), data()
    pairs = circuit.pairs(60, 3)
    assert torch.equal(d.clean, pairs.clean)
    assert torch.equal(d.corrupted["ABC"], pairs.corrupted)
    logits = circuit.model(d.clean)
    assert torch.equal(d.metric(logits), circuit.metric(logits, pairs))


def test_what_each_corruption_does_to_the_planted_answer():
    """ABC decides nothing, S2 turns the answer round, the others leave IO the one to say, or two others."""
    circuit, d = ioi(), data()
    found = {way: d.metric(circuit.model(tokens)) for way, tokens in d.corrupted.items()}
    clean = d.metric(circuit.model(d.clean)).mean()
    assert found["ABC"].abs().max() < 0.1 * clean
    assert found["S2"].max() < -0.5 * clean
    assert found["places"].min() > 0.5 * clean
    assert found["names"].abs().max() < 0.1 * clean


def test_english_prompts_are_fifteen_sentences_of_one_length_with_names_of_one_token(english):
    model, d = english
    assert sorted(d.template.unique().tolist()) == list(range(15))
    assert d.clean.shape == (60, 14)
    for row in range(len(d)):
        words = [text.strip() for text in model.to_str_tokens(d.clean[row])]
        io, s1, s2 = (words[where[row]] for where in (d.io, d.s1, d.s2))
        assert {io, s1} <= set(NAMES)
        assert s1 == s2 != io
        template = TEMPLATES[int(d.template[row])]
        fixed = [w for w in template.replace(",", " ,").replace(".", " .").split() if not w.startswith("[")]
        assert [w for w in words if w in fixed] == fixed
    with_bos = sentence_data(model, 60, seed=0, prepend_bos=True)
    assert torch.equal(with_bos.clean[:, 1:], d.clean)
    assert torch.equal(with_bos.io, d.io + 1)
    assert not torch.equal(sentence_data(model, 60, seed=1).clean, d.clean)


def test_english_templates_have_as_many_words_and_marks_each():
    words = [len(t.replace(",", " ,").replace(".", " .").split()) for t in TEMPLATES]
    assert set(words) == {14}
    assert len(set(TEMPLATES)) == 15
    assert all((t.count("[A]"), t.count("[B]"), t.index("[B]") < t.index("[A]")) == (1, 2, True) for t in TEMPLATES)


def test_pico_says_the_receiver_in_its_stories_and_either_name_after_abc(stories):
    model, d = stories
    assert len(d.template.unique()) == 4
    words = [model.to_str_tokens(row) for row in d.clean]
    assert all(row[0] == "<|bos|>" and row[-1] == "to" for row in words)
    assert all({row[int(a)], row[int(b)]} <= set(people.NAMES) for row, a, b in zip(words, d.io, d.s1, strict=True))
    assert (d.metric(model(d.clean)) > 0).float().mean() > 0.95
    lost = (d.metric(model(d.corrupted["ABC"])) > 0).float().mean()
    assert 0.25 < lost < 0.75
    longer = littletown_data(model, 6, seed=0, length=14, n_templates=2)
    assert longer.clean.shape == (6, 15)


def test_rows_are_some_of_the_prompts_with_all_that_belongs_to_them():
    d = data()
    some = d.rows(d.template == 2)
    assert len(some) == int((d.template == 2).sum()) > 0
    assert (some.template == 2).all()
    assert torch.equal(some.corrupted["names"], d.corrupted["names"][d.template == 2])
    assert torch.equal(d.rows(slice(5, 9)).clean, d.clean[5:9])
    assert torch.equal(d.rows([7, 1]).io_tokens, d.io_tokens[[7, 1]])


def test_the_same_seed_gives_the_same_prompts_and_another_one_others():
    again, other = planted_data(ioi(), 60, 3), planted_data(ioi(), 60, 4)
    assert all(torch.equal(again.corrupted[way], data().corrupted[way]) for way in WAYS)
    assert not torch.equal(other.clean, again.clean)


def test_prompts_that_a_world_has_drawn_keep_their_own_abc_and_get_the_other_ways():
    pairs = ioi().pairs(20, 5)
    d = pair_data(pairs, torch.arange(1, 9), seed=1)
    assert torch.equal(d.corrupted["ABC"], pairs.corrupted)
    assert torch.equal(at(d.corrupted["S2"], d.s2), pairs.answers)
    few = pair_data(pairs.__class__(**{name: value[:1] for name, value in vars(pairs).items()}), torch.arange(1, 9), 1)
    assert len(few) == 1
