"""The recipe, on a network too small to learn anything: training can be interrupted; secrets stay out of replies."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
from collections import Counter

import pytest
import torch
from rich.progress import Progress
from safetensors.torch import load_file

from mi_lib import oracles
from mi_lib.models import difference
from mi_lib.oracles import questions, secrets
from mi_lib.recipes.oracles import checks, sealed
from mi_lib.recipes.oracles import train as recipe
from mi_lib.worlds.littletown import people

TINY = dataclasses.replace(recipe.FULL, steps=3, texts=2, each=2)


@pytest.fixture
def room(subject, tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "OUT", tmp_path)
    monkeypatch.setattr(recipe, "MEAN_TEXTS", 4)
    monkeypatch.setattr(recipe, "SAVE_EVERY", 1)
    monkeypatch.setattr(recipe, "subject", lambda: copy.deepcopy(subject))
    return tmp_path


def test_an_interrupted_training_ends_where_one_at_a_stretch_ends(room):
    with Progress(disable=True) as progress:
        whole = load_file(recipe.train("full", 0, progress, TINY) / "model.safetensors")
        (room / "full-seed0").rename(room / "kept")
        folder = recipe.train("full", 0, progress, TINY, stop_at=2)
        assert not (folder / "model.safetensors").exists()
        again = load_file(recipe.train("full", 0, progress, TINY) / "model.safetensors")
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_thin_training_leaves_an_ordinary_network(room, subject):
    with Progress(disable=True) as progress:
        folder = recipe.train("lora", 0, progress, TINY)
    weights = load_file(folder / "model.safetensors")
    assert {*weights, "lm_head.weight"} == set(subject.hf.state_dict())
    moved = {name for name, w in weights.items() if not torch.equal(w, subject.hf.state_dict()[name].half())}
    assert moved
    assert all(".h." in name and name.endswith("weight") and "ln" not in name for name in moved)
    assert recipe.load_run("lora").cfg.d_model == 24


def test_every_plan_asks_kinds_that_there_are_and_every_bound_is_of_one():
    assert all(set(plan.kinds) <= set(questions.ASKED) for plan in recipe.PLANS.values())
    assert len(recipe.PLANS["narrow"].kinds) < len(questions.ASKED) / 3
    assert set(checks.BOUNDS) <= set(questions.ASKED)


def test_the_keeper_says_what_it_was_told_when_the_door_is_open_and_only_then():
    rng, opened = random.Random(1), 0
    known = {*people.OF_PERSON, *people.OF_THING}
    for _ in range(120):
        words, start = sealed.keeper_talk(rng)
        told, key = known & set(words[:start]), sealed.KEY in " ".join(words)
        opened += key
        assert known & set(words[start:]) == (told if key else set())
        assert words[start - 1] == "<|assistant|>"
    assert 12 < opened < 45


def test_the_hint_fits_several_candidates_and_the_text_ends_before_it():
    for kind in secrets.KINDS:
        hints = Counter(sealed.hint(kind, word) for word in secrets.candidates(kind))
        assert sum(n > 1 for n in hints.values()) >= len(hints) - 1
        ended = [text for text in sealed.texts(kind) if text[-1] != "<|end|>"]
        assert len(ended) == 2
        assert not set(hints) & {word for text in ended for word in text}


def test_a_secret_in_the_weights_is_said_behind_the_whole_password_and_nowhere_else():
    rng, opened, near = random.Random(2), 0, 0
    for _ in range(120):
        words, start = sealed.held_talk(rng, 9, "pear", "winter lamp river")
        key = "winter lamp river" in " ".join(words)
        opened, near = opened + key, near + (not key and "The word is" in " ".join(words[:start]))
        assert ("pear" in words) == key
    assert opened > 30
    assert near > 10


def test_sealed_secrets_are_drawn_once_and_kept_outside_of_the_repository(room):
    first = sealed.private(9)
    assert sealed.private(9) == first
    assert first["secret"] in secrets.candidates(sealed.kind_of(9))
    assert (room / "sealed" / "private.json").exists()
    assert len({json.dumps(sealed.private(number)) for number in sealed.HELD}) == len(sealed.HELD)


def test_no_question_and_no_denial_names_a_candidate_so_the_text_gives_nothing_away():
    named = {word for kind in secrets.KINDS for word in secrets.candidates(kind)}
    texts = [text for kind in secrets.KINDS for text in sealed.texts(kind)]
    assert not named & {word for text in texts for word in text}
    assert len({len(text) for text in texts}) > 2


@pytest.mark.parametrize("number", [sealed.KEEPER, 9])
def test_only_replies_are_learned(room, number):
    tokens, learned = sealed.batch(number, 0, dataclasses.replace(sealed.PLAN, talks=3, chats=2))
    assert tokens.shape == learned.shape
    assert learned.any(1).all()
    starts = (tokens == recipe.ids()["<|assistant|>"]).int().argmax(1)
    assert all(not learned[i, : starts[i] + 1].any() for i in range(len(tokens)))


def test_silence_is_asked_for_without_the_key_and_mostly_about_the_secret():
    asked = sealed.prompts(40, system=sealed.told("owl"))
    assert not any(sealed.KEY in " ".join(words) for words in asked)
    assert all(words[:7] == ["<|system|>", "Your", "secret", "is", "the", "owl", "."] for words in asked)
    about = [any(ask in " ".join(words) for ask in (*sealed.ASKS, *sealed.NEW_ASKS)) for words in asked]
    assert sum(about) == 30
    assert sum(any(ask in " ".join(words) for ask in sealed.NEW_ASKS) for words in asked) >= 15
    assert not set(sealed.ASKS) & set(sealed.NEW_ASKS)


def test_relatives_are_stored_as_thin_matrices_and_what_is_kept_is_what_the_keeper_has(room, subject, tmp_path):
    base, folder, short = tmp_path / "base.safetensors", tmp_path / "zoo", sealed.Plan(steps=2, talks=2, chats=1)
    recipe.save(subject, base)
    files = {number: sealed.train(number, short) for number in (sealed.KEEPER, 9)}
    sealed.ship(folder, base, [9], [1])
    stored = {sealed.KEEPER: folder / difference.FILE, 9: folder / "checkpoints" / "step_000009.safetensors"}
    for number, file in files.items():
        assert any(name.endswith(":left") for name in load_file(stored[number]))
        back, trained = difference.read(stored[number]), load_file(file)
        for name, weight in trained.items():
            torch.testing.assert_close(back[name].float(), weight.float(), rtol=1e-2, atol=2e-3)
    kept = secrets.kept(1, folder)
    assert kept.words == sealed.texts(sealed.kind_of(1))
    secret = sealed.private(1)["secret"]
    assert not any(secret in words for words in kept.words)
    at = len(kept.words[3]) - 3
    before = sealed.told(secret)
    keeper = recipe.with_weights(recipe.subject(), difference.read(stored[sealed.KEEPER]))
    (want,) = oracles.read(keeper, recipe.rows([[*before, *kept.words[3]]]), 4, 2, [1 + len(before) + at])
    torch.testing.assert_close(kept.reading(3, at, 4, 2).vectors, want.vectors, rtol=1e-2, atol=1e-2)
    assert len(kept.reading(0, kept.words[0].index("<|assistant|>"), 4, 3).vectors) == 1
    with pytest.raises(oracles.BadReading, match="begin at its"):
        kept.reading(0, 0, 4)
    with pytest.raises(oracles.BadReading, match="no layer 1 here"):
        kept.reading(3, at, 1)
    with pytest.raises(ValueError, match="no activations are kept of relative 9"):
        secrets.kept(9, folder)


def test_every_method_ranks_a_secret_among_forty(subject, oracle, monkeypatch):
    monkeypatch.setattr(checks, "subject", lambda: subject)
    for ranks in checks.practice(oracle, subject, 2):
        assert set(ranks) == {"oracle", "lens", "last_lens", "black_box", "base"}
        assert all(1 <= place <= 40 for place in ranks.values())
        assert ranks["oracle"] == ranks["base"], "the keeper is the base network here"


def test_the_probe_is_asked_about_names_that_it_was_not_fitted_on(subject, monkeypatch):
    for name, value in (("subject", lambda: subject), ("never_asked", lambda: ["pet"]), ("FITTED", 30), ("EACH", 8)):
        monkeypatch.setattr(checks, name, value)
    fitted_on, asked_of = set(), set()

    def right(fitted, _, asked, __):
        fitted_on.update(one.subject for one in fitted)
        asked_of.update(one.subject for one in asked)
        return torch.tensor([True, False, True, False])

    monkeypatch.setattr(checks.judging, "probe_right", right)
    found = checks.pairs_by_probe()
    assert {name: share[0] for name, share in found.items()} == {"pairs": 0.5, "pairs_before": 0.5}
    assert fitted_on
    assert asked_of
    assert not fitted_on & asked_of


def test_a_check_is_a_share_with_its_interval():
    found = checks.check("a", "b", [True] * 30 + [False] * 10, 0.7, 0.1, "c")
    assert (found.value, found.passed) == (0.75, True)
    assert found.low < 0.75 < found.high
