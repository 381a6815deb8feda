"""SAELens's folder format. `benchmarks/saelens_files.py` checks that SAELens itself reads and writes the same."""

from __future__ import annotations

import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from mi_lib import saes
from mi_lib.models.errors import LoadError

D, N, K = 5, 8, 2
MAKE = {
    "relu": lambda: saes.ReLU(D, N, l1=0.2),
    "gated": lambda: saes.Gated(D, N, l1=0.2),
    "topk": lambda: saes.TopK(D, N, k=K),
    "batch_topk": lambda: saes.BatchTopK(D, N, k=K),
    "jumprelu": lambda: saes.JumpReLU(D, N, l0=0.03),
    "matryoshka": lambda: saes.Matryoshka(D, N, k=K, prefixes=[3, N]),
}


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


X = numbers(100, D, seed=9)


def shaken(name):
    """A dictionary in which every weight counts, and whose rows are not of length 1."""
    sae = MAKE[name]().eval().requires_grad_(False)
    for i, tensor in enumerate(sae.state_dict().values()):
        tensor += 0.2 * numbers(*tensor.shape, seed=i).abs()
    return sae


@pytest.mark.parametrize("name", MAKE)
def test_what_was_written_is_read_as_the_same_function_and_the_same_kind(name, tmp_path):
    sae = shaken(name)
    density = torch.linspace(0, 1, N)
    saes.save_saelens(sae, tmp_path / "d", model="toy", site="blocks.1.hook_resid_pre", density=density)
    again = saes.load_saelens(tmp_path / "d", width=D, model="toy", site="blocks.1.hook_resid_pre")
    assert type(again.sae) is type(sae)
    assert again.sae.settings == sae.settings
    assert torch.allclose(again.sae.encode(X), sae.encode(X), atol=1e-6)
    assert torch.allclose(again.sae(X), sae(X), atol=1e-6)
    assert again.log_density.tolist() == pytest.approx((density + 1e-10).log10().tolist())
    assert os.listdir(tmp_path) == ["d"]


def test_the_keys_and_the_config_are_those_of_the_format(tmp_path):
    weights = {
        "relu": ("standard", set()),
        "gated": ("gated", {"b_gate", "r_mag", "b_mag"}),
        "topk": ("topk", set()),
        "batch_topk": ("jumprelu", {"threshold"}),
        "jumprelu": ("jumprelu", {"threshold"}),
        "matryoshka": ("jumprelu", {"threshold"}),
    }
    common = {"apply_b_dec_to_input": True, "normalize_activations": "none", "dtype": "float32", "d_in": D, "d_sae": N}
    for name, (architecture, more) in weights.items():
        folder = saes.save_saelens(shaken(name), tmp_path / name, model="gpt2", site="blocks.0.attn.hook_z")
        config = json.loads((folder / "cfg.json").read_text())
        found = load_file(folder / "sae_weights.safetensors")
        bias = set() if name == "gated" else {"b_enc"}
        assert set(found) == {"W_enc", "W_dec", "b_dec", *bias, *more}
        assert found["W_enc"].shape == (D, N)
        assert config["architecture"] == architecture
        assert config.items() >= common.items()
        assert config["reshape_activations"] == "hook_z"
        assert config["metadata"]["hook_name"] == "blocks.0.attn.hook_z"
        assert config["metadata"]["sae_lens_version"].startswith("6.")
    assert config["metadata"]["training_architecture_details"] == {"k": K, "matryoshka_widths": [3, N]}
    assert sorted(os.listdir(folder)) == ["cfg.json", "sae_weights.safetensors"]


def folder(tmp_path, architecture="standard", weights=None, drop=(), **config):
    """A folder as SAELens writes it, with what a test wants changed."""
    found = {"W_enc": numbers(D, N, seed=1), "W_dec": numbers(N, D, seed=2), "b_dec": numbers(D, seed=3)}
    found |= {"b_enc": numbers(N, seed=4)} if architecture != "gated" else {}
    found |= weights or {}
    about = {"architecture": architecture, "d_in": D, "d_sae": N, "dtype": "float32", "apply_b_dec_to_input": True}
    about |= {"normalize_activations": "none", "metadata": {"sae_lens_version": "6.54.12", "hook_name": "hook_embed"}}
    tmp_path.mkdir(exist_ok=True)
    save_file(
        {name: tensor for name, tensor in found.items() if name not in drop}, tmp_path / "sae_weights.safetensors"
    )
    (tmp_path / "cfg.json").write_text(json.dumps(about | config))
    return tmp_path, found


def test_b_dec_that_is_not_taken_from_the_input_is_moved_into_the_bias(tmp_path):
    path, w = folder(tmp_path / "a", apply_b_dec_to_input=False)
    f = saes.load_saelens(path).sae.encode(X)
    assert torch.allclose(f, (X @ w["W_enc"] + w["b_enc"]).relu(), atol=1e-5)
    more = {name: numbers(N, seed=5 + i) for i, name in enumerate(("b_gate", "b_mag", "r_mag"))}
    path, w = folder(tmp_path / "b", "gated", more, apply_b_dec_to_input=False)
    gate = X @ w["W_enc"] + w["b_gate"]
    expected = (gate > 0) * (X @ (w["W_enc"] * w["r_mag"].exp()) + w["b_mag"]).relu()
    assert torch.allclose(saes.load_saelens(path).sae.encode(X), expected, atol=1e-5)


def test_rows_keep_their_lengths_unless_activations_are_asked_for_in_units_of_x(tmp_path):
    path, w = folder(tmp_path, "jumprelu", {"threshold": numbers(N, seed=6).abs()})
    plain, unit = saes.load_saelens(path).sae, saes.load_saelens(path, unit_rows=True).sae
    lengths = w["W_dec"].norm(dim=1)
    assert torch.allclose(plain.W_dec, w["W_dec"])
    assert torch.allclose(unit.encode(X), plain.encode(X) * lengths, atol=1e-5)
    assert torch.allclose(unit(X), plain(X), atol=1e-4)


def test_topk_by_the_length_of_rows_becomes_topk_of_rows_of_length_1(tmp_path):
    path, w = folder(tmp_path, "topk", k=3, rescale_acts_by_decoder_norm=True)
    pre = ((X - w["b_dec"]) @ w["W_enc"] + w["b_enc"]) * w["W_dec"].norm(dim=1)
    values, places = pre.topk(3)
    expected = torch.zeros_like(pre).scatter(1, places, values.relu())
    assert torch.allclose(saes.load_saelens(path).sae.encode(X), expected, atol=1e-5)
    with pytest.raises(LoadError, match="other latents would be the largest"):
        saes.load_saelens(folder(tmp_path, "topk", k=3)[0], unit_rows=True)


def test_thresholds_of_0_or_below_let_through_what_the_relu_does(tmp_path):
    path, w = folder(tmp_path, "jumprelu", {"threshold": torch.linspace(-1, 1, N)})
    pre = (X - w["b_dec"]) @ w["W_enc"] + w["b_enc"]
    sae = saes.load_saelens(path).sae
    assert torch.allclose(sae.encode(X), pre.relu() * (pre > torch.linspace(-1, 1, N)), atol=1e-5)
    saes.save_dictionary(sae, tmp_path / "d.safetensors")


def test_a_folder_from_before_version_6_is_read(tmp_path):
    path, _ = folder(tmp_path, weights={"scaling_factor": torch.ones(N)})
    old = {
        "d_in": D,
        "d_sae": N,
        "hook_point": "blocks.2.hook_resid_pre",
        "model_name": "gpt2",
        "dtype": "torch.float32",
    }
    (path / "cfg.json").write_text(json.dumps({**old, "activation_fn_str": "relu", "normalize_activations": False}))
    found = saes.load_saelens(path, site="blocks.2.hook_resid_pre")
    assert isinstance(found.sae, saes.ReLU)
    assert found.metadata["model_name"] == "gpt2"
    top = {**old, "activation_fn_str": "topk", "activation_fn_kwargs": {"k": 3}}
    folder(path)
    (path / "cfg.json").write_text(json.dumps(top))
    assert saes.load_saelens(path).sae.settings == {"k": 3}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"normalize_activations": "layer_norm"}, r"normalised first \(layer_norm\)"),
        ({"normalize_activations": "expected_average_only_in"}, "normalised first"),
        ({"finetuning_scaling_factor": True}, "scaling factor"),
        ({"weights": {"scaling_factor": torch.full((N,), 2.0)}}, "scaling_factor is missing or has no place"),
        ({"architecture": "transcoder"}, "kind 'transcoder'"),
        ({"architecture": "topk"}, "makes no dictionary"),
        ({"architecture": "topk", "k": 99}, "k = 99"),
        ({"drop": ["b_enc"]}, "b_enc is missing"),
        ({"weights": {"W_extra": torch.zeros(1)}}, "W_extra is missing or has no place"),
        ({"d_sae": 7}, "W_enc has shape|W_dec has shape"),
        ({"weights": {"b_dec": torch.full((D,), float("nan"))}}, "b_dec holds"),
        ({"metadata": 3}, "says nothing of a dictionary"),
    ],
)
def test_what_has_no_counterpart_or_does_not_hold_together_is_refused_in_one_sentence(tmp_path, change, said):
    path, _ = folder(tmp_path, **change)
    with pytest.raises(LoadError, match=said) as told:
        saes.load_saelens(path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["cfg.json", "sae_weights.safetensors", "sparsity.safetensors"])
@pytest.mark.parametrize("how", ["cut", "gone"])
def test_a_damaged_folder_is_refused(tmp_path, name, how):
    path = saes.save_saelens(shaken("relu"), tmp_path / "d", density=torch.ones(N))
    if how == "gone":
        (path / name).unlink()
    else:
        (path / name).write_bytes((path / name).read_bytes()[:30])
    if (name, how) == ("sparsity.safetensors", "gone"):
        assert saes.load_saelens(path).log_density is None
        return
    with pytest.raises(LoadError, match="damaged" if how == "cut" else "there is no") as told:
        saes.load_saelens(path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"width": 3}, "width 5, not 3"), ({"model": "pico"}, "model toy"), ({"site": "x"}, "the site y")],
)
def test_a_folder_made_for_something_else_is_refused(tmp_path, asked, said):
    path = saes.save_saelens(shaken("relu"), tmp_path / "d", model="toy", site="y")
    with pytest.raises(LoadError, match=said):
        saes.load_saelens(path, **asked)


def test_whoever_stops_in_between_leaves_the_folder_before_and_other_files_are_never_replaced(tmp_path, monkeypatch):
    path = saes.save_saelens(shaken("relu"), tmp_path / "d")
    saes.save_saelens(shaken("topk"), path)
    before = saes.load_saelens(path)
    assert isinstance(before.sae, saes.TopK)

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("mi_lib.saes.saelens.save_file", stop)
    with pytest.raises(KeyboardInterrupt):
        saes.save_saelens(shaken("gated"), path)
    monkeypatch.undo()
    assert isinstance(saes.load_saelens(path).sae, saes.TopK)
    assert os.listdir(tmp_path) == ["d"]
    (path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds notes.txt"):
        saes.save_saelens(shaken("gated"), path)
    assert isinstance(saes.load_saelens(path).sae, saes.TopK)


def test_a_dictionary_of_nan_is_not_written(tmp_path):
    sae = shaken("relu")
    sae.b_dec[0] = float("nan")
    with pytest.raises(ValueError, match="b_dec holds NaN"):
        saes.save_saelens(sae, tmp_path / "d")
    assert os.listdir(tmp_path) == []
