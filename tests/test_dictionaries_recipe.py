"""The recipe of Pico's dictionaries on a tiny network, and its measures on known answers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from mi_lib import saes
from mi_lib.models.transformers_model import TransformersModel
from mi_lib.recipes.dictionaries import checks, data, error_term, granularity
from mi_lib.recipes.dictionaries import train as recipe
from mi_lib.recipes.dictionaries.granularity import Judging, Labels
from mi_lib.recipes.dictionaries.train import Made
from mi_lib.recipes.pico import train as pico
from mi_lib.recipes.pico.common import hooked, ids
from mi_lib.worlds.littletown.concepts import texts

WIDTH, SITE = 17, "blocks.1.hook_resid_pre"
TINY = Made("tiny", SITE, "flat", 29, steps=12)


@pytest.fixture(scope="module")
def model() -> TransformersModel:
    """Random weights, large enough that every word counts."""
    torch.manual_seed(0)
    config = GPT2Config(**{**pico.config().to_dict(), "n_embd": WIDTH, "n_layer": 2, "n_head": 1, "n_inner": 23})
    config.initializer_range = 0.5
    return hooked(GPT2LMHeadModel(config))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: TransformersModel) -> Path:
    """A tiny recipe whose runs lie in a folder of their own."""
    monkeypatch.setattr(recipe, "OUT", tmp_path / "runs")
    monkeypatch.setattr(recipe, "K", {29: 5, **recipe.K})
    monkeypatch.setattr(recipe, "subject", lambda network: model)
    monkeypatch.setattr(data, "training_texts", lambda count=0: texts(6, 3, "train"))
    monkeypatch.setattr(data, "held_out_texts", lambda count=0: texts(5, 4, "held_out"))
    return tmp_path


# --- activations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_bos", [False, True])
def test_activations_stand_text_after_text_as_each_alone_has_them(model, with_bos):
    read = texts(5, 3, "train")
    got = data.activations(model, read, [SITE], with_bos=with_bos)[SITE]
    alone = [model.run_with_cache(torch.tensor([ids(text.words)]), [SITE])[1][SITE][0] for text in read]
    want = torch.cat([values if with_bos else values[1:] for values in alone])
    assert torch.allclose(got, want, atol=1e-4)
    assert len(data.text_of_word(read)) == sum(len(text.words) for text in read)


def test_of_a_conversation_only_what_the_assistant_says_counts():
    prose, chat = data.learned(texts(2, 3, "train"))
    assert prose.all()
    assert 0 < chat.sum() < len(chat)


def test_losses_are_those_at_the_words_that_count(model):
    read = texts(3, 3, "train")
    got = checks.losses(model, read, SITE, None)
    for i, (text, counts) in enumerate(zip(read, data.learned(read), strict=True)):
        tokens = torch.tensor([ids(text.words)])
        p = model(tokens)[0, :-1].log_softmax(-1)
        want = -p[torch.arange(len(counts)), tokens[0, 1:]][counts].sum()
        assert got[0, i].item() == pytest.approx(want.item(), rel=1e-4)
        assert got[1, i] == counts.sum()
    assert not torch.allclose(checks.losses(model, read, SITE, lambda x: 0 * x)[0], got[0])


# --- training and shipping ------------------------------------------------------------------------------------------


def test_what_is_trained_is_kept_shipped_in_half_precision_and_says_what_it_reads(runs, model, monkeypatch):
    other = TINY._replace(name="tiny-seed1", seed=1)
    recipe.train_all([TINY, other])
    before = (recipe.OUT / "tiny.safetensors").read_bytes()
    monkeypatch.setattr(recipe.saes, "train", lambda *_, **__: pytest.fail("trained again"))
    recipe.train_all([TINY, other])
    recipe.ship(runs / "shipped", [TINY, other])
    stray = shutil.copy(runs / "shipped" / "tiny.safetensors", runs / "shipped" / "stray.safetensors")
    when = (runs / "shipped" / "tiny.safetensors").stat().st_mtime_ns
    recipe.ship(runs / "shipped", [TINY, other])
    assert not Path(stray).exists()
    assert (runs / "shipped" / "tiny.safetensors").stat().st_mtime_ns == when, "the same weights are not written again"
    assert (recipe.OUT / "tiny.safetensors").read_bytes() == before
    record = recipe.runs([TINY])["tiny"]
    assert record["seconds"] > 0
    assert record["curve"][0][0] == 0
    file = runs / "shipped" / "tiny.safetensors"
    with safe_open(file, "pt") as opened:
        assert {opened.get_tensor(name).dtype for name in opened.keys()} == {torch.float16}  # noqa: SIM118
    assert saes.about(file) | {"model": "pico", "site": SITE, "n_latents": 29, "d": WIDTH} == saes.about(file)
    one, seed = (saes.load(runs / "shipped" / f"{made.name}.safetensors") for made in (TINY, other))
    assert checks.shared(one, seed).mean() < 1
    whole = saes.load_dictionary(recipe.OUT / "tiny.safetensors")
    x = data.activations(model, data.held_out_texts(), [SITE])[SITE]
    assert saes.fve(x, one(x)) == pytest.approx(saes.fve(x, whole(x)), abs=0.02)


def test_an_interrupted_training_goes_on_to_the_same_dictionary(runs, model, monkeypatch):
    x = data.activations(model, data.training_texts(), [SITE], with_bos=True)[SITE]
    whole = recipe.train(TINY, x)
    broken = TINY._replace(name="broken")
    real, seen = saes.train, []

    def stop(*args, **kwargs):
        def on_step(report):
            seen.append(report.step)
            if len(seen) == 5:
                raise KeyboardInterrupt

        return real(*args, **kwargs, on_step=on_step)

    monkeypatch.setattr(recipe.saes, "train", stop)
    with pytest.raises(KeyboardInterrupt):
        recipe.train(broken, x)
    monkeypatch.setattr(recipe.saes, "train", real)
    again = recipe.train(broken, x)
    assert torch.equal(again.W_dec, whole.W_dec)
    assert not (recipe.OUT / "broken.part").exists()


def test_the_comparison_takes_the_shipped_ones_where_there_are_some():
    wanted = granularity.compared()
    assert len(set(wanted)) == len(wanted)
    assert {*recipe.SHIPPED} - {*wanted} == {*recipe.SECONDS}
    of_middle = [one.name for one in wanted if one.site == recipe.MIDDLE and one.network == "pico"]
    bundled = {name for name in of_middle if recipe.MIDDLE not in name}
    assert bundled == {"pico-flat", "pico-flat-24", "pico-flat-384", "pico-flat-96", "pico-matryoshka"}
    assert recipe.made("sparse", recipe.MIDDLE, 24) == recipe.made("flat", recipe.MIDDLE, 24)
    assert {one.k for one in wanted if one.kind in ("sparse", "even")} == {recipe.SPARSE}


def test_taught_evenly_all_different_words_come_equally_often(runs):
    words = [word for text in data.training_texts() for word in ("<|bos|>", *text.words)]
    number = {word: i for i, word in enumerate(dict.fromkeys(words))}
    drawn = recipe.evenly(torch.tensor([[number[word]] for word in words]), TINY._replace(kind="even", steps=40))
    often = torch.bincount(drawn[:, 0], minlength=len(number))
    assert len(drawn) == 40 * recipe.BATCH
    assert often.float().std() < 2 * often.float().mean().sqrt()


# --- measures on known answers --------------------------------------------------------------------------------------


def exact(d: int) -> saes.Dictionary:
    """Every axis up and down: it reconstructs everything."""
    sae = saes.TopK(d, 2 * d, k=d).eval().requires_grad_(False)
    sae.W_dec.copy_(torch.cat([torch.eye(d), -torch.eye(d)]))
    sae.W_enc.copy_(sae.W_dec.T)
    return sae


def test_an_exact_dictionary_passes_the_checks_and_a_random_one_does_not(runs, model, monkeypatch):
    monkeypatch.setattr(checks, "MOST_L0", WIDTH)
    good, bad = exact(WIDTH), saes.TopK(WIDTH, 2 * WIDTH, k=2, seed=5).eval().requires_grad_(False)
    passed = [
        {c.name: c.passed for c in (*checks.reconstruction(model, TINY, sae), *checks.loss(model, TINY, sae))}
        for sae in (good, bad)
    ]
    assert passed[0] == dict.fromkeys(("tiny_fve", "tiny_l0", "tiny_dead", "tiny_loss_recovered"), True)
    assert not passed[1]["tiny_fve"]
    assert not passed[1]["tiny_loss_recovered"]
    fve, l0, dead = checks.reconstruction(model, TINY, good)
    assert fve.value == pytest.approx(1)
    assert l0.low <= l0.value <= l0.high
    assert dead.value == 0


def test_variance_explained_of_texts_is_that_of_their_rows():
    generator = torch.Generator().manual_seed(0)
    text = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2])
    x, out = torch.randn(2, 9, 5, generator=generator) + 3
    of_texts = checks.fve_by_text(x, out, text)
    assert of_texts(range(3)) == pytest.approx(saes.fve(x, out))
    twice = torch.cat([torch.arange(0, 3), torch.arange(5, 9), torch.arange(5, 9)])
    assert of_texts([0, 2, 2]) == pytest.approx(saes.fve(x[twice], out[twice]))


def test_components_lose_nothing_when_there_are_as_many_as_dimensions_and_the_largest_come_first():
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([9.0, 1, 1, 1]) + 5
    assert torch.allclose(checks.components(x, 4)(x), x, atol=1e-4)
    assert saes.fve(x, checks.components(x, 1)(x)) > 0.9


def test_latents_in_another_order_are_shared_and_each_is_given_away_once():
    one, other = (saes.TopK(64, 10, k=10, seed=seed) for seed in (0, 1))
    with torch.no_grad():
        other.W_dec.copy_(torch.cat([one.W_dec[:4].flip(0), other.W_dec[4:]]))
        other.W_enc.copy_(other.W_dec.T)
    assert checks.shared(one, other).tolist() == [1] * 4 + [0] * 6
    check = checks.seeds_differ(one, other)
    assert (check.value, check.control, check.passed) == (pytest.approx(0.4), 1, True)
    x = torch.randn(50, 64, generator=torch.Generator().manual_seed(0))
    of_width = checks.by_width({10: (one, other)}, x)["10"]
    assert (of_width["share"], of_width["control"]) == (0.4, 0)
    assert of_width["share_interval"][0] < 0.4 < of_width["share_interval"][1]
    assert 0.4 <= of_width["by_activation"] <= 1
    with torch.no_grad():
        other.W_dec.copy_(one.W_dec[:1].expand(10, -1))
    assert checks.shared(one, other).sum() == 1


def planted(words: list[str], of: list[str]) -> Tensor:
    """A latent for each of these words."""
    return torch.stack([torch.tensor([float(word == one) for word in words]) for one in of], 1)


def test_a_union_finds_what_words_make_up_and_a_union_of_words_finds_false_sets_as_well():
    words = ["a", "b", "c", "d", "e", "f"] * 10
    latents = planted(words, ["a", "b", "c", "d"])
    concept, false = (planted(words, of).any(1, keepdim=True) for of in (["a", "b"], ["c", "d"]))
    labels = Labels(concept, false, planted(words, ["a", "e"]).bool())
    on = Judging(labels, labels, torch.arange(10).repeat_interleave(6), ["a", "e"])
    found = granularity.measured(latents, latents, on, unions=(1, 2))
    assert (found["concepts_1"]["found"], found["concepts_2"]["found"]) == (0, 1)
    assert found["concepts_1"]["mean_f1"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["false_sets_2"]["found"] == 1
    assert (found["words"]["found"], found["words"]["of"]) == (1, 2)
    assert found["words"]["found_interval"] == [1, 1]


def test_latents_are_chosen_on_some_texts_and_judged_on_others():
    words = ["a", "b"] * 10
    first, then = planted(words, ["a", "b"]), planted(words, ["b", "a"])
    labels = Labels(*(planted(words, ["a"]).bool(),) * 3)
    on = Judging(labels, labels, torch.arange(20) // 2, ["a"])
    assert granularity.measured(first, first, on, (1,))["concepts_1"]["mean_f1"] == 1
    assert granularity.measured(first, then, on, (1,))["concepts_1"]["mean_f1"] == 0


def test_words_that_are_asked_for_are_often_enough_and_false_sets_are_none_of_the_concepts():
    on = granularity.judging(texts(40, 3, "train"), texts(40, 4, "held_out"))
    assert on.choose.words.sum(0).min() >= granularity.OFTEN[0]
    assert on.judge.words.sum(0).min() >= granularity.OFTEN[1]
    real, false = on.choose.concepts[:, : on.choose.false_sets.shape[1]], on.choose.false_sets
    there = real.any(0)
    assert (real != false).any(0)[there].float().mean() > 0.5
    assert len(on.choose.words) == len(real)


def test_an_error_that_follows_x_is_told_linearly_and_noise_is_not():
    generator = torch.Generator().manual_seed(0)
    x, new = torch.randn(2, 400, 5, generator=generator)
    noise, new_noise = torch.randn(2, 400, 3, generator=generator)
    A = torch.randn(5, 3, generator=generator)
    assert error_term.told_linearly(x, x @ A + 2, new, new @ A + 2) == pytest.approx(1)
    assert error_term.told_linearly(x, noise, new, new_noise) < 0.05
