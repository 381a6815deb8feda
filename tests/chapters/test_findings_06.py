"""What the lesson of chapter 06 claims. Most of it trains dictionaries, so that parts are measured again."""

import random

import pytest
import torch
import transformers

import mi_lib
from mi_lib import saes
from mi_lib.course import files, findings, index

CHAPTER = index.chapter("06")
FOUND, finding = findings.read(CHAPTER), findings.module(CHAPTER)


def test_all_six_find_what_was_planted_and_the_controls_do_not():
    found = FOUND["variants"]
    assert found["least_found"] >= 0.95
    assert found["least_cosine"] >= 0.95
    assert max(found[control] for control in ("untrained", "shuffled", "coordinates")) < 0.1


def test_one_kind_drawn_by_lot_finds_them_again_in_another_world():
    name = random.Random(6).choice(sorted(set(finding.VARIANTS) - {"gated", "relu"}))
    again = finding.judged(name, steps=600, seed=3)
    assert again["found"] >= 0.9
    assert again["size"] == pytest.approx(FOUND["variants"]["each"][name]["size"], abs=0.06)


def test_l1_shrinks_more_the_more_it_weighs_and_more_than_a_feature_alone_would():
    found = FOUND["shrinkage"]
    pressed = found["measured"][1:]
    assert pressed == sorted(pressed, reverse=True)
    assert all(a < b for a, b in zip(pressed, found["alone"][1:], strict=True))
    assert pressed[0] < found["topk"] - 0.15


def test_too_weak_a_penalty_lets_latents_share_a_feature():
    found = FOUND["shrinkage"]
    assert found["found"][0] < 0.8 < found["found"][1]
    assert found["sharing"][0] > 2 > 1.3 > found["sharing"][1]


def test_a_batch_decides_otherwise_than_a_threshold():
    found = FOUND["threshold"]
    assert found["inputs_that_differ"] > 0.5
    assert found["differ_with_threshold"] == 0
    assert found["l0"] == pytest.approx(found["l0_batch_mode"], abs=0.1)


def test_dead_latents_come_back_only_where_something_brings_them_back():
    found = FOUND["dead"]
    assert found["no_auxk"] == found["not_resampled"] == found["start"]
    assert max(found["auxk"], found["resampled"]) < 0.1


def test_a_bad_start_is_made_again_and_stays_without_help():
    sae = finding.VARIANTS["topk"](5)
    with torch.no_grad():
        sae.b_enc[16:] = -3.0
    train, held = finding.inputs()
    saes.train(sae, train, 100, dead_after=10**9)
    assert saes.dead_share(saes.density(sae.encode(held.x))) == FOUND["dead"]["start"]


def test_a_latent_knows_towns_and_neurons_do_not():
    found = FOUND["town"]
    assert found["latent"]["f1"] >= 0.8 > found["neuron"]["f1"] > found["dealt_anew"]
    assert found["coordinate"]["f1"] < 0.5
    assert found["of_them_polysemantic"] > 0.2


def test_the_latent_of_towns_is_found_again_in_other_texts():
    first, second, holds, holds_anew, neurons, neurons_anew = finding.sample_for("a town")
    chosen = saes.choose(first, holds[:, None])
    assert saes.judge(chosen, second, holds_anew[:, None]).f1.item() >= 0.8
    other = saes.choose(neurons, holds[:, None])
    assert saes.judge(other, neurons_anew, holds_anew[:, None]).f1.item() < 0.7


def test_a_child_absorbs_its_parent_less_so_in_nested_dictionaries_though_not_in_each_world():
    found = FOUND["holes"]
    assert found["flat"]["alone"] < 0.01 < found["flat"]["with_child"]
    assert found["nested"]["with_child"] < 0.6 * found["flat"]["with_child"]
    assert found["nested"]["fve"] < found["flat"]["fve"]


def test_a_hole_in_pico_is_one_word_and_the_control_has_none():
    found = FOUND["hole"]
    assert found["absorbed_interval"][0] > 0.05 > found["control"]
    assert found["by_says_word"] >= 0.9
    assert found["main_at_word"] < 0.5
    assert found["without"] > found["concepts"] / 2


def test_the_lever_moves_what_is_said_and_the_controls_do_not():
    found = FOUND["lever"]
    assert found["clamped_interval"][0] > 0.8
    for control in ("random", "other_latents"):
        assert abs(found[control] - found["untouched"]) < 0.05


def test_a_neighbour_of_the_lever_is_a_lever_too_and_most_are_not():
    found = FOUND["lever"]
    assert found["strongest_held_interval"][0] > 0.7
    assert found["near_held_interval"][1] < 0.3
    assert found["clamped_interval"][0] > found["strongest_held_interval"][1]
    assert found["strongest_cosine"] < found["nearest_cosine"] < 0.4


def test_where_the_latent_is_active_it_is_needed_in_part():
    found = FOUND["needed"]
    assert found["active_in_lever"] < FOUND["lever"]["prompts"] / 4  # so silencing it there shows nothing
    for some in (found["active"], found["both"]):
        assert some["silenced"] < 0.75 * some["untouched"]
        assert some["silenced_interval"][1] < some["untouched_interval"][0]
        for control in ("random", "strongest_other"):
            assert abs(some[control] - some["untouched"]) < 0.1


def test_its_neighbours_are_not_needed_where_they_are_active_as_well_and_pushed_as_far():
    both = FOUND["needed"]["both"]
    assert both["count"] >= 30
    for control in ("near_silenced", "near_as_far"):
        assert abs(both[control] - both["untouched"]) < 0.05
        assert both[f"{control}_interval"][0] > both["silenced_interval"][1]


@torch.no_grad()
def test_taking_away_what_neighbours_say_is_as_far_as_silencing_the_latent_and_silences_them():
    tokens = finding.beginnings("choose", 12)
    f, latent = finding.flowing(tokens)[1][:, -1], FOUND["lever"]["latent"]
    near = [one.latent for one in saes.neighbours(finding.flat(), latent, 10)]
    f[:, latent], f[:, near[2]] = 3.0, torch.linspace(1, 2, len(f))
    edits = finding.taken_away(f, latent, near, finding.generator(1))
    lengths = {name: change.norm(dim=1) for name, change in edits.items()}
    for name in ("silenced", "random", "near_as_far"):
        assert torch.allclose(lengths[name], torch.full((len(f),), 3.0), rtol=1e-2), name
    silent = f.clone()
    silent[:, near] = 0
    assert torch.allclose(edits["near_silenced"], (silent - f) @ finding.flat().W_dec, atol=1e-3)
    assert not edits["untouched"].any()


@torch.no_grad()
def test_the_lever_is_pulled_again_on_other_texts():
    one = finding.lever_case()
    change = (one.value - one.f[:, -1]) * one.W_dec
    said = [
        finding.next_words(one.tokens, finding.with_last(one.x, move))[:, one.words].sum(-1).mean().item()
        for move in (torch.zeros_like(change), change)
    ]
    assert said[1] > 0.8 > 0.3 > said[0]


def test_the_sober_box_is_sober():
    assert FOUND["probes"]["probe_beats_latent"] > FOUND["probes"]["concepts"] / 2
    assert FOUND["probes"]["dealt_anew_f1"] < 0.2
    dark = FOUND["dark"]
    assert dark["spliced"] > 1.5 * dark["random"] > 0
    assert dark["spliced_interval"][0] > dark["random_interval"][1]
    assert dark["more_interval"][0] > 0


def test_the_share_that_is_unexplained_is_one_minus_the_variance_explained_and_its_interval_is_over_texts():
    x = torch.randn(90, 5, generator=torch.Generator().manual_seed(1)) + 3
    out = x + 0.5 * torch.randn(90, 5, generator=torch.Generator().manual_seed(2)) + 1
    share, (low, high) = finding.unexplained(x - out, x, [30, 20, 25, 15])
    assert share == pytest.approx(1 - saes.fve(x, out), abs=1e-5)
    assert low < share < high
    twice = finding.unexplained(torch.cat([x - out] * 4), torch.cat([x] * 4), [30, 20, 25, 15] * 4)[1]
    assert twice[1] - twice[0] < 0.8 * (high - low)


def test_where_words_lie_predicts_what_a_dictionary_finds():
    found = FOUND["widths"]
    assert found["agreement"] > finding.PREDICTED > found["dealt_anew_most"]
    assert found["random_embeddings"] < found["agreement"] - 0.2
    assert found["another_seed"] > 0.7


def test_one_width_is_predicted_again():
    _, vectors, holds, names = finding.vocabulary()
    assert names == FOUND["widths"]["concepts"]
    again = finding.best_f1(finding.grouped(vectors, 24), holds)
    published = FOUND["widths"]["predicted"][FOUND["widths"]["widths"].index(24)]
    assert again.tolist() == pytest.approx(published, abs=1e-3)


def test_the_functions_run_on_a_folder_in_the_format_of_gpt2_and_a_dictionary_in_that_of_saelens(tmp_path):
    """What the lesson says of a real model, with random weights."""
    torch.manual_seed(5)
    config = transformers.GPT2Config(
        vocab_size=31, n_embd=24, n_layer=3, n_head=4, n_positions=16, initializer_range=0.4, eos_token_id=0
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    where = "blocks.1.hook_resid_pre"
    saes.save_saelens(saes.TopK(24, 40, k=4, seed=1), tmp_path / "sae", model="gpt2", site=where)
    model, sae = mi_lib.load(str(tmp_path / "gpt2")), saes.load_saelens(tmp_path / "sae", site=where).sae
    answers: dict = {}
    exec(files.read_text(CHAPTER.solutions_folder / "exercises.py"), answers)

    tokens = torch.randint(1, 31, (5, 7), generator=torch.Generator().manual_seed(2))
    x = model.run_with_cache(tokens, where)[1][where]
    f = answers["top_k"]((x.flatten(0, 1) - sae.b_dec) @ sae.W_enc + sae.b_enc, 4)
    assert torch.allclose(f, sae.encode(x).flatten(0, 1), atol=1e-5)
    latent, threshold = answers["choose_latent"](f, tokens.flatten() == tokens[0, 0])
    assert 0 < answers["judge_latent"](f, tokens.flatten() == tokens[0, 0], latent, threshold) <= 1
    held = answers["clamp"](x, f.view(5, 7, -1), sae.W_dec, latent, 30.0)
    edit = saes.spliced(sae, keep_error=True, edit=saes.clamped(latent, 30.0, [-1]))
    want = model.run_with_hooks(tokens, [(where, edit)])[:, -1].softmax(-1)[:, [3, 4]].sum(-1)
    assert torch.allclose(
        answers["says_next"](model, tokens, where, held[:, -1], torch.tensor([3, 4])), want, atol=1e-4
    )


def test_another_seed_has_other_latents_and_the_same_for_towns_where_it_is_wide_enough():
    found = FOUND["others"]
    assert min(found[name]["town"] for name in ("flat", "flat_seed1", "flat_384")) > 0.8
    assert max(found[name]["town"] for name in ("flat_24", "flat_96", "neurons", "coordinates")) < 0.7
    one, other = saes.load("pico-flat"), saes.load("pico-flat-seed1")
    assert saes.match_directions(one.W_dec, other.W_dec).found(0.7) < 0.2


def test_a_network_with_random_weights_has_latents_with_names_too_and_none_for_towns():
    found = FOUND["untrained"]
    assert found["random"]["town"] < 0.4 < 0.8 < found["pico"]["town"]
    assert found["random"]["found"] > 0
    assert found["pico"]["names"] > found["random"]["names"] > 0.1
    assert all(abs(found[name]["exchanged"]) < 0.02 for name in ("pico", "random"))
