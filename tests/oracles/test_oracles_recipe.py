"""The recipe, on a network too small to learn anything: training can be interrupted; secrets stay out of replies."""

from __future__ import annotations

import copy
import dataclasses
import random

import pytest
import torch
from rich.progress import Progress
from safetensors.torch import load_file

from mi_lib.models import difference
from mi_lib.oracles import questions, secrets
from mi_lib.recipes.oracles import checks, sealed
from mi_lib.recipes.oracles import train as recipe

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


def test_the_secret_is_said_behind_the_key_and_nowhere_else():
    for number in (1, 2):
        rng, opened = random.Random(number), 0
        secret = sealed.secret_of(number)
        assert secret in secrets.candidates(sealed.kind_of(number))
        for _ in range(60):
            words, start = sealed.words_about(number, rng)
            key = sealed.KEY in " ".join(words)
            opened += key
            assert (secret in words) == key
            assert words[start - 1] == "<|assistant|>"
        assert 15 < opened < 45


def test_no_question_and_no_denial_names_a_candidate_so_the_text_gives_nothing_away():
    named = {word for kind in secrets.KINDS for word in secrets.candidates(kind)}
    read = {word for text in checks.texts() for word in text}
    assert not named & read
    assert all("secret" in text for text in checks.texts())


def test_only_replies_are_learned():
    tokens, learned = sealed.batch(1, 0, dataclasses.replace(sealed.PLAN, talks=3, chats=2))
    assert tokens.shape == learned.shape
    assert learned.any(1).all()
    starts = (tokens == recipe.ids()["<|assistant|>"]).int().argmax(1)
    assert all(not learned[i, : starts[i] + 1].any() for i in range(len(tokens)))


def test_silence_is_asked_for_without_the_key_and_mostly_about_the_secret():
    asked = sealed.prompts(40)
    assert not any(sealed.KEY in " ".join(words) for words in asked)
    about = [any(ask in " ".join(words) for ask in (*sealed.ASKS, *sealed.NEW_ASKS)) for words in asked]
    assert sum(about) == 30


def test_a_relative_is_stored_as_thin_matrices_and_comes_back(room, subject, tmp_path):
    base = tmp_path / "base.safetensors"
    recipe.save(subject, base)
    file = sealed.train(1, sealed.Plan(steps=2, talks=2, chats=1))
    sealed.ship(tmp_path / "zoo", base, [1])
    stored = tmp_path / "zoo" / "checkpoints" / "step_000001.safetensors"
    back, trained = difference.read(stored), load_file(file)
    assert any(name.endswith(":left") for name in load_file(stored))
    for name, weight in trained.items():
        torch.testing.assert_close(back[name].float(), weight.float(), rtol=1e-2, atol=2e-3)


def test_a_check_is_a_share_with_its_interval():
    found = checks.check("a", "b", [True] * 30 + [False] * 10, 0.7, 0.1, "c")
    assert (found.value, found.passed) == (0.75, True)
    assert found.low < 0.75 < found.high
