"""A network stored as its difference from another."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import native

from mi_lib import load, zoo
from mi_lib.models import LoadError, difference

BASE = "model.safetensors"


@pytest.fixture
def folder(tmp_path):
    return native("native with mlp").save(tmp_path / "model")


def moved(weights, seed=0, size=0.05):
    """The same weights, each moved a little."""
    generator = torch.Generator().manual_seed(seed)
    return {name: w + size * torch.randn(w.shape, generator=generator) for name, w in weights.items()}


def test_eight_bits_are_off_by_at_most_half_a_step_of_each_row(folder, tmp_path):
    before = load_file(folder / BASE)
    after = moved(before)
    back = difference.read(difference.write(tmp_path / "relative.safetensors", after, folder / BASE))
    for name, weight in after.items():
        if weight.ndim < 2:
            assert torch.equal(back[name], weight.half().float())
            continue
        step = (weight - before[name]).abs().amax(-1, keepdim=True) / 127
        assert ((back[name] - weight).abs() <= 0.501 * step).all(), name


@pytest.mark.parametrize("rank", [1, 3])
def test_a_change_of_low_rank_comes_back_to_half_precision(folder, tmp_path, rank):
    before = load_file(folder / BASE)
    generator = torch.Generator().manual_seed(1)
    after = dict(before)
    for name, weight in before.items():
        if weight.ndim >= 2:
            flat = weight.flatten(0, -2)
            left, right = (
                torch.randn(shape, generator=generator) for shape in ((len(flat), rank), (rank, flat.shape[1]))
            )
            after[name] = weight + (left @ right).reshape(weight.shape)
    back = difference.read(difference.write(tmp_path / "relative.safetensors", after, folder / BASE, rank=rank))
    for name, weight in after.items():
        assert (back[name] - weight).norm() <= 2e-3 * (weight - before[name]).norm() + 1e-6, name


def test_a_change_of_higher_rank_is_cut_to_its_nearest(folder, tmp_path):
    before = load_file(folder / BASE)
    after = moved(before)
    back = difference.read(difference.write(tmp_path / "relative.safetensors", after, folder / BASE, rank=1))
    change = (after["W_U"] - before["W_U"]).float()
    values = torch.linalg.svdvals(change)
    assert (back["W_U"] - after["W_U"]).norm().item() == pytest.approx(values[1:].norm().item(), rel=1e-2)


def test_what_has_not_changed_is_not_stored(folder, tmp_path):
    before = load_file(folder / BASE)
    path = difference.write(tmp_path / "relative.safetensors", {**before, "W_U": before["W_U"] + 1}, folder / BASE)
    assert {key.partition(":")[0] for key in load_file(path)} == {"W_U"}
    back = difference.read(path)
    assert all(torch.equal(back[name], before[name]) for name in before if name != "W_U")


def test_a_row_that_has_not_changed_among_rows_that_have_stays_exactly_as_it_was(folder, tmp_path):
    before = load_file(folder / BASE)
    changed = before["W_U"].clone()
    changed[0] += torch.linspace(-1, 1, changed.shape[1])
    back = difference.read(difference.write(tmp_path / "d.safetensors", {**before, "W_U": changed}, folder / BASE))
    assert torch.equal(back["W_U"][1:], before["W_U"][1:])


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_relative_of_a_transformers_model_is_a_folder_without_whole_weights(folders, tmp_path, family):
    base = shutil.copytree(folders[family], tmp_path / "base")
    relative = tmp_path / "relative"
    relative.mkdir()
    for file in base.iterdir():
        if file.suffix != ".safetensors":
            shutil.copy(file, relative)
    weights = moved(load_file(base / BASE), size=0.02)
    difference.write(relative / difference.FILE, weights, base / BASE)
    found, plain = load(relative), load(base)
    for name, parameter in found.hf.state_dict().items():
        if name in weights and parameter.ndim == 1:
            assert torch.allclose(parameter, weights[name].float(), atol=1e-3), name
    tokens = torch.arange(6)[None]
    assert not torch.allclose(found(tokens), plain(tokens), atol=1e-3)
    save_file(difference.read(relative / difference.FILE), base / BASE, metadata={"format": "pt"})
    assert torch.allclose(found(tokens), load(base)(tokens), atol=1e-5), "as if the weights lay there whole"


def test_a_native_relative_is_a_folder_without_whole_weights(folder, tmp_path):
    relative = tmp_path / "relative"
    relative.mkdir()
    shutil.copy(folder / "config.json", relative)
    weights = moved(load_file(folder / BASE))
    difference.write(relative / difference.FILE, weights, folder / BASE)
    assert (load(relative).W_U - weights["W_U"]).abs().max() < 1e-2


def test_bundled_checkpoints_are_differences_and_know_how_to_speak():
    model = load("pico-base", checkpoint=zoo.checkpoints("pico-base")[0])
    assert model.hf.generation_config.eos_token_id == load("pico-base").hf.generation_config.eos_token_id
    for name in zoo.names():
        whole = next(file for file in (zoo.folder(name) / BASE, zoo.folder("pico") / BASE) if file.exists())
        for file in (zoo.folder(name) / "checkpoints").glob("*"):
            assert file.stat().st_size < 0.6 * whole.stat().st_size


# --- bad input ----------------------------------------------------------------------------------------------


@pytest.fixture
def stored(folder, tmp_path):
    return difference.write(tmp_path / "relative.safetensors", moved(load_file(folder / BASE)), folder / BASE)


def test_another_version_of_the_other_network_is_refused(folder, stored):
    save_file(moved(load_file(folder / BASE), seed=5), folder / BASE)
    with pytest.raises(LoadError, match="a difference from another version"):
        difference.read(stored)


def test_a_missing_other_network_is_named(folder, stored):
    (folder / BASE).unlink()
    with pytest.raises(LoadError, match=r"a difference from model/model\.safetensors, which is not there"):
        difference.read(stored)


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda parts: parts.pop("W_U:scales"), "the difference of W_U does not fit"),
    (lambda parts: parts.update({"W_U:rows": parts["W_U:rows"][:, :-1].contiguous()}), "W_U does not fit"),
    (lambda parts: parts.update({"W_X": torch.zeros(2)}), "changes W_X, which"),
])  # fmt: skip
def test_parts_that_do_not_fit_are_named(stored, change, sentence):
    with difference.safe_open(stored, "pt") as file:
        about = file.metadata()
    parts = load_file(stored)
    change(parts)
    save_file(parts, stored, metadata=about)
    with pytest.raises(LoadError, match=sentence):
        difference.read(stored)


def test_networks_with_other_weights_have_no_difference(folder, tmp_path):
    weights = load_file(folder / BASE)
    with pytest.raises(ValueError, match="W_extra"):
        difference.write(tmp_path / "d", {**weights, "W_extra": torch.zeros(2)}, folder / BASE)
    with pytest.raises(ValueError, match="W_U has shape"):
        difference.write(tmp_path / "d", {**weights, "W_U": torch.zeros(2, 2)}, folder / BASE)
