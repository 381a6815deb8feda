"""The bundled models are what their cards say, and the checks would notice if they were not."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from mi_lib import load, zoo
from mi_lib.models import LoadError, Transformer
from mi_lib.zoo import induction_checks
from mi_lib.zoo.checks import CHECKS, verify


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.names())
def test_every_claim_of_a_card_holds_for_the_shipped_weights(name):
    checks = verify(name)
    assert checks
    assert [check.name for check in checks if not check.passed] == []


@pytest.mark.parametrize("name", zoo.names())
def test_every_bundled_model_has_checks_and_a_card_that_recorded_the_same(name):
    card = zoo.card(name)
    assert name in CHECKS
    assert len(card["seeds"]) >= 3
    whole = [seed["seed"] for seed in card["seeds"] if all(check["passed"] for check in seed["checks"].values())]
    assert len(whole) >= 3, "at least three seeds of the recipe show everything"
    assert card["seed"] == whole[0] == card["seeds"][0]["seed"], "the shipped one is the first, chosen beforehand"
    assert (zoo.folder(name) / "README.md").read_text().startswith(f"# {name}")


@pytest.mark.slow
def test_the_card_says_what_the_checks_measure():
    card = zoo.card("induction-2l")["checks"]
    for check in verify("induction-2l"):
        assert card[check.name]["value"] == pytest.approx(check.value, abs=0.02)


@pytest.mark.slow
def test_an_untrained_model_fails_the_checks():
    model = load("induction-2l")
    assert isinstance(model, Transformer)
    failed = {check.name for check in induction_checks.two_layer(induction_checks.untrained(model)) if not check.passed}
    assert {"previous_token", "prefix_matching", "loss_ratio", "induction_heads_matter"} <= failed


def test_there_are_checkpoints_across_the_phase_change():
    steps = zoo.checkpoints("induction-2l")
    change = zoo.card("induction-2l")["phase_change"]
    assert len(steps) >= 12
    assert sum(step < change for step in steps) >= 4
    assert sum(step >= change for step in steps) >= 4
    early, late = load("induction-2l", checkpoint=steps[0]), load("induction-2l", checkpoint=steps[-1])
    sample = induction_checks.known_sample()
    assert induction_checks.losses(late, sample)[1] < 0.3 * induction_checks.losses(early, sample)[1]


def test_a_changed_weight_is_noticed_by_its_checksum(tmp_path):
    folder = shutil.copytree(zoo.folder("induction-1l"), tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    weights["W_U"][0, 0] += 1
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(LoadError, match="damaged"):
        load(folder)


def test_a_checkpoint_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(LoadError, match="has no checkpoint 7; it has 0"):
        load("induction-2l", checkpoint=7)


def test_text_in_the_vocabulary_can_be_read_and_other_words_are_named():
    model = load("induction-2l")
    assert model.to_str_tokens("River lamp cat") == ["<bos>", "river", "lamp", "cat"]
    assert model("river lamp cat").shape == (1, 4, model.cfg.d_vocab)
    with pytest.raises(ValueError, match="'blockchain'"):
        model("river blockchain")


def test_the_bundled_models_stay_small():
    size = sum(path.stat().st_size for name in zoo.names() for path in zoo.folder(name).rglob("*") if path.is_file())
    assert size < 12e6
    assert json.loads((zoo.folder("induction-2l") / "config.json").read_text())["model_type"] == "mi-transformer"
