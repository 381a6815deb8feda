"""The shipped dictionaries are what their recipe makes and their card says, and open by their names."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from mi_lib import load, saes, zoo
from mi_lib.models import LoadError
from mi_lib.recipes.dictionaries import checks, data, granularity
from mi_lib.recipes.dictionaries import train as recipe


def test_a_bundled_dictionary_is_opened_by_its_name_and_a_file_by_its_path(tmp_path, monkeypatch):
    sae = saes.load("pico-flat-24", model="pico", site=recipe.MIDDLE)
    assert (sae.n_latents, sae.d, sae.training) == (24, 192, False)
    copy = shutil.copy(zoo.dictionary("pico-flat-24"), tmp_path / "mine.safetensors")
    assert torch.equal(saes.load(copy).W_dec, sae.W_dec)
    assert saes.about("pico-flat-24") == saes.about(copy)
    with pytest.raises(LoadError, match=r"no file .*pico-flut; check the path, or name a bundled dictionary: pico-fl"):
        saes.load("pico-flut")
    with pytest.raises(LoadError, match="was made for the site"):
        saes.load("pico-flat-24", site=recipe.EARLY)
    monkeypatch.setattr(zoo, "HERE", tmp_path)
    folder = tmp_path / recipe.NAME
    folder.mkdir()
    (folder / "card.json").write_text(json.dumps({"sha256": {"pico-flat-24.safetensors": "another"}}))
    shutil.copy(copy, folder / "pico-flat-24.safetensors")
    with pytest.raises(LoadError, match="damaged"):
        saes.load("pico-flat-24")


@pytest.mark.parametrize("made", recipe.SHIPPED, ids=lambda made: made.name)
def test_every_shipped_file_is_what_the_recipe_makes_and_the_card_says(made):
    about, card = saes.about(made.name), zoo.card(recipe.NAME)
    new = made.new(192)
    settings = json.loads(json.dumps(new.settings))
    wanted = {"kind": new.kind, "d": 192, "n_latents": made.n_latents, "model": "pico", "site": made.site}
    assert about == wanted | {"settings": settings}
    assert about["settings"]["k"] == card["dictionaries"][made.name]["active"]
    assert card["dictionaries"][made.name]["site"] == made.site
    rows = saes.load(made.name).W_dec.norm(dim=1)
    assert torch.allclose(rows, torch.ones_like(rows), atol=2e-3)


def test_what_is_shipped_is_what_the_recipe_ships():
    assert zoo.dictionaries(recipe.NAME) == sorted(made.name for made in recipe.SHIPPED)


@pytest.mark.parametrize("width", recipe.WIDTHS[:-1])
def test_two_seeds_share_what_the_card_says(width):
    """The widest takes seconds to match; a part of `mi zoo verify` does it."""
    one, other = (saes.load(f"pico-flat-{width}{seed}") for seed in ("", "-seed1"))
    card = zoo.card(recipe.NAME)["two_seeds"][str(width)]
    assert checks.share(one, other)[0] == pytest.approx(card["share"], abs=1e-4)
    low, high = card["share_interval"]
    assert low <= card["share"] <= high
    assert card["control"] < low


def test_with_its_error_kept_a_dictionary_changes_nothing_until_a_latent_is_held():
    pico, sae = load("pico"), saes.load("pico-flat")
    tokens = pico.to_tokens("Mira lives in")
    site = saes.about("pico-flat")["site"]
    clean = pico(tokens)
    kept = pico.run_with_hooks(tokens, [(site, saes.spliced(sae, keep_error=True))])
    assert torch.equal(kept, clean)
    held = saes.spliced(sae, keep_error=True, edit=lambda f: f.index_fill(-1, torch.tensor([7]), 40.0))
    assert not torch.allclose(pico.run_with_hooks(tokens, [(site, held)]), clean, atol=1e-3)


@pytest.mark.slow
def test_a_cell_of_the_comparison_of_widths_measured_anew_is_what_the_card_says():
    to_choose, held_out = data.training_texts(data.CHOOSE), data.held_out_texts()
    pico, sae = load("pico"), saes.load("pico-flat-96")
    first, second = (
        checks.encoded(sae, data.activations(pico, documents, [recipe.MIDDLE])[recipe.MIDDLE])
        for documents in (to_choose, held_out)
    )
    got = granularity.measured(first, second, granularity.judging(to_choose, held_out), unions=(1,))
    card = zoo.card(recipe.NAME)["granularity"]["middle"]["flat"]["96"]
    for what in ("concepts_1", "false_sets_1", "words"):
        low, high = card[what]["found_interval"]
        assert low <= got[what]["found"] <= high
        assert got[what]["mean_f1"] == pytest.approx(card[what]["mean_f1"], abs=0.01)
