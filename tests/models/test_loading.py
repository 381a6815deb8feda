"""Bad input to `load`: each gets one sentence that says what is wrong."""

from __future__ import annotations

import json
import shutil
import socket
import time

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import native

from mi_lib import load
from mi_lib.models import LoadError


@pytest.fixture
def folder(tmp_path):
    return native("native with mlp").save(tmp_path / "model")


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(LoadError, match="there is no folder"):
        load(tmp_path / "nowhere")


def test_a_folder_without_a_config(folder):
    (folder / "config.json").unlink()
    with pytest.raises(LoadError, match=r"has no config\.json"):
        load(folder)


def test_a_config_that_is_not_json(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(LoadError, match="not valid JSON"):
        load(folder)


def test_a_config_without_a_model_type(folder):
    (folder / "config.json").write_text("{}")
    with pytest.raises(LoadError, match="does not say its model_type"):
        load(folder)


def test_missing_weights(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(LoadError, match=r"has no model\.safetensors"):
        load(folder)


def test_a_weight_that_is_left_out(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["W_U"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(LoadError, match="lacks the weight W_U"):
        load(folder)


def test_a_weight_of_the_wrong_shape(folder):
    weights = load_file(folder / "model.safetensors")
    weights["W_U"] = weights["W_U"][:, :-1].contiguous()
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(LoadError, match=r"W_U has shape \(16, 49\)"):
        load(folder)


def test_a_weight_that_is_not_a_number(folder):
    weights = load_file(folder / "model.safetensors")
    weights["W_U"][0, 0] = torch.nan
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(LoadError, match="NaN"):
        load(folder)


def test_a_truncated_file(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(LoadError, match="cannot be read"):
        load(folder)


def test_a_checksum_that_does_not_match(folder):
    (folder / "card.json").write_text(json.dumps({"sha256": {"model.safetensors": "0" * 64}}))
    with pytest.raises(LoadError, match="damaged"):
        load(folder)


def test_a_checkpoint_of_a_model_that_has_none(folder):
    with pytest.raises(LoadError, match="has no checkpoint 5; it has none"):
        load(folder, checkpoint=5)


def test_a_transformers_model_with_a_missing_weight_is_not_filled_with_random_numbers(folders, tmp_path):
    copy = shutil.copytree(folders["llama"], tmp_path / "llama")
    weights = load_file(copy / "model.safetensors")
    del weights["model.layers.0.mlp.up_proj.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LoadError, match="lacks the weight"):
        load(copy)


def test_a_transformers_model_with_a_wrong_shape(folders, tmp_path):
    copy = shutil.copytree(folders["llama"], tmp_path / "llama")
    weights = load_file(copy / "model.safetensors")
    weights["model.norm.weight"] = torch.ones(31)
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LoadError, match=r"model\.norm\.weight has shape \(31,\), but config\.json asks for \(32,\)"):
        load(copy)


def test_a_transformers_model_with_a_weight_that_is_not_a_number(folders, tmp_path):
    copy = shutil.copytree(folders["llama"], tmp_path / "llama")
    weights = load_file(copy / "model.safetensors")
    weights["model.norm.weight"][3] = torch.inf
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LoadError, match=r"model\.norm\.weight holds NaN or infinite"):
        load(copy)


@pytest.mark.parametrize("damage", ["half of it", "no weights"])
def test_a_transformers_model_whose_weights_are_cut_off_or_gone(folders, tmp_path, damage):
    copy = shutil.copytree(folders["llama"], tmp_path / "llama")
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:3000])
    if damage == "no weights":
        file.unlink()
    with pytest.raises(LoadError, match="cannot be opened"):
        load(copy)


@pytest.mark.parametrize("content", ["{", "[]", "\N{SNOWMAN}"])
def test_a_damaged_tokenizer(folder, folders, tmp_path, content):
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(LoadError, match=r"tokenizer\.json cannot be read"):
        load(folder)
    copy = shutil.copytree(folders["llama"], tmp_path / "llama")
    (copy / "tokenizer.json").write_text(content)
    with pytest.raises(LoadError, match=r"the tokenizer of .* cannot be read"):
        load(copy)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_card_is_not_taken_for_a_card_without_checksums(folder, content):
    (folder / "card.json").write_text(content)
    with pytest.raises(LoadError, match=r"card\.json cannot be read"):
        load(folder)


def test_an_unknown_architecture(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no-such-thing"}))
    with pytest.raises(LoadError, match=r"cannot be opened|not supported"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["someone/some-model-that-is-not-there", "induction-3l"])
def test_a_hub_name_without_a_network_is_told_at_once(monkeypatch, name):
    for proxy in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(proxy, raising=False)
        monkeypatch.delenv(proxy.upper(), raising=False)

    def no_address(*where):
        raise socket.gaierror("no network")

    monkeypatch.setattr(socket, "getaddrinfo", no_address)
    start = time.monotonic()
    with pytest.raises(LoadError, match="no bundled model and no folder here"):
        load(name)
    assert time.monotonic() - start < 10  # the hub's client would go on trying for most of a minute
