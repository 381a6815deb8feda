"""SAELens's folder: cfg.json, sae_weights.safetensors and, where the densities are known, sparsity.safetensors.

    ours          theirs       weights (all [d n] and so on, as here)
    ReLU          standard     W_enc b_enc W_dec b_dec
    Gated         gated        b_enc → b_gate, r → r_mag, b_mag
    TopK          topk         k in the config
    BatchTopK     jumprelu     threshold: the same for every latent; k in metadata.training_architecture_details
    Matryoshka    jumprelu     so too, with its prefixes
    JumpReLU      jumprelu     threshold = θ

What they do otherwise is turned into this where it is exactly the same function: b_dec that is not taken from the
input (moved into the encoder's bias), and activations in units of rows of any length (the lengths multiplied in). What
has no counterpart here (normalised inputs, scaling factors, transcoders) is refused. Rows that are not of length 1 stay
as they are, so that activations are theirs, unless `unit_rows` asks for them in units of x.
Source: SAELens 6.54, `saes/sae.py` and the modules beside it (`to_dict`, `save_inference_model`, `load_from_disk`).
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from mi_lib.models.errors import LoadError
from mi_lib.saes.base import Dictionary
from mi_lib.saes.batch_topk import BatchTopK
from mi_lib.saes.gated import Gated
from mi_lib.saes.jumprelu import JumpReLU
from mi_lib.saes.matryoshka import Matryoshka
from mi_lib.saes.relu import ReLU
from mi_lib.saes.topk import TopK

CONFIG, WEIGHTS, SPARSITY = "cfg.json", "sae_weights.safetensors", "sparsity.safetensors"
VERSION = "6.54.12"  # whose format this is; a folder that names none below 6 is read as an older one
TINY = torch.finfo(torch.float32).tiny  # θ must be positive; where theirs is not, the ReLU already decides
_NAMES = {"b_gate": "b_enc", "r_mag": "r"}  # theirs: ours
_HAS = {
    "standard": {"b_enc"},
    "gated": {"b_gate", "b_mag", "r_mag"},
    "topk": {"b_enc"},
    "jumprelu": {"b_enc", "threshold"},
    "batchtopk": {"b_enc", "topk_threshold"},
    "matryoshka_batchtopk": {"b_enc", "topk_threshold"},
}


class Loaded(NamedTuple):
    """A dictionary, and what its folder says of it: the metadata (model_name, hook_name, …), and log₁₀ of densities."""

    sae: Dictionary
    metadata: dict[str, Any]
    log_density: Float[Tensor, " latent"] | None


# --- writing ----------------------------------------------------------------------------------------------------------


def save_saelens(
    sae: Dictionary,
    folder: str | Path,
    *,
    model: str = "",
    site: str = "",
    head: int | None = None,
    density: Float[Tensor, " latent"] | None = None,
    metadata: dict[str, Any] | None = None,
) -> Path:
    """Write the folder, whole or not at all; one that holds such a dictionary is replaced.

    model, site: whose activations it reads, under the names of TransformerLens, which are SAELens's too. head: where it
    reads one head of a site that has several. density: of each latent. metadata: what else is to be said.
    ValueError for weights that are no numbers, and for a folder in which something else lies.
    """
    folder = Path(folder)
    weights, config = _as_theirs(sae)
    weights = {name: tensor.detach().cpu().float().contiguous() for name, tensor in weights.items()}
    if bad := [name for name, tensor in weights.items() if not bool(tensor.isfinite().all())]:
        raise ValueError(f"{bad[0]} holds NaN or infinite numbers: such a dictionary is not saved")
    if folder.exists() and (other := {path.name for path in folder.iterdir()} - {CONFIG, WEIGHTS, SPARSITY}):
        raise ValueError(f"{folder} holds {min(other)}: choose an empty folder, or one with such a dictionary")
    about: dict[str, Any] = {"model_name": model or None, "hook_name": site or None, "hook_head_index": head}
    about |= {"sae_lens_version": VERSION, "sae_lens_training_version": None, "settings": sae.settings}
    flattened = site.endswith("hook_z") and head is None
    config |= {"d_in": sae.d, "d_sae": sae.n_latents, "dtype": "float32", "device": "cpu"}
    config |= {"apply_b_dec_to_input": True, "normalize_activations": "none"}
    config |= {"reshape_activations": "hook_z" if flattened else "none"}
    config["metadata"] = {**about, **config.get("metadata", {}), **(metadata or {})}
    files: dict[str, Callable[[Path], object]] = {
        WEIGHTS: lambda path: save_file(weights, path),
        CONFIG: lambda path: path.write_text(json.dumps(config, indent=2)),
    }
    if density is not None:
        log_density = (density.detach().cpu().float() + 1e-10).log10()
        files[SPARSITY] = lambda path: save_file({"sparsity": log_density}, path)
    _write(folder, files)
    return folder


def _as_theirs(sae: Dictionary) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights under their names, and the part of the config that says which kind it is."""
    weights: dict[str, Tensor] = {"W_enc": sae.W_enc, "b_enc": sae.b_enc, "W_dec": sae.W_dec, "b_dec": sae.b_dec}
    if isinstance(sae, ReLU):
        return weights, {"architecture": "standard"}
    if isinstance(sae, Gated):
        weights["b_gate"] = weights.pop("b_enc")
        return {**weights, "r_mag": sae.r, "b_mag": sae.b_mag}, {"architecture": "gated"}
    if isinstance(sae, TopK):
        return weights, {"architecture": "topk", "k": sae.settings["k"], "rescale_acts_by_decoder_norm": False}
    if isinstance(sae, JumpReLU):
        return {**weights, "threshold": sae.theta}, {"architecture": "jumprelu"}
    assert isinstance(sae, BatchTopK)
    nested = isinstance(sae, Matryoshka)
    details = {"k": sae.settings["k"]} | ({"matryoshka_widths": sae.settings["prefixes"]} if nested else {})
    trained = {"training_architecture": "matryoshka_batchtopk" if nested else "batchtopk"}
    about = {"architecture": "jumprelu", "metadata": {**trained, "training_architecture_details": details}}
    return {**weights, "threshold": sae.threshold.expand(sae.n_latents)}, about


def _write(folder: Path, files: dict[str, Callable[[Path], object]]) -> None:
    """Beside its place first; then the two folders change places."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    old = new.with_name(new.name + ".old")
    try:
        for name, write in files.items():
            write(new / name)
        new.chmod(0o755)
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)
    except BaseException:
        if old.exists() and not folder.exists():
            os.replace(old, folder)
        raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


# --- reading ----------------------------------------------------------------------------------------------------------


def load_saelens(
    folder: str | Path,
    *,
    width: int | None = None,
    model: str | None = None,
    site: str | None = None,
    unit_rows: bool = False,
) -> Loaded:
    """Read a folder of SAELens, in `eval()` mode and float32.

    width, model, site: what it must have been made for. unit_rows: give the decoder rows length 1, and the activations
        the units of x; where rows are not of length 1, activations are then other numbers than SAELens's.
    LoadError, in one sentence, for a folder that is not one, is damaged, was made for something else, or holds what has
    no counterpart here.
    """
    folder = Path(folder)
    config = _config(folder)
    metadata = config["metadata"]
    for name, found, wanted in (
        ("activations of width", config.get("d_in"), width),
        ("the model", metadata.get("model_name"), model),
        ("the site", metadata.get("hook_name"), site),
    ):
        if wanted is not None and found != wanted:
            raise LoadError(f"{folder} was made for {name} {found}, not {wanted}: choose another dictionary")
    kind = config.get("architecture")
    if kind not in _HAS:
        raise LoadError(f"{folder} holds a dictionary of the kind {kind!r}, and only {', '.join(_HAS)} can be read")
    _refuse_what_has_no_counterpart(folder, config)
    weights = _weights(folder, config, kind)
    if not config.get("apply_b_dec_to_input", True):
        _move_b_dec(weights)
    # Training folders have this option by default, those for inference only where it is written.
    rescaled = config.get("rescale_acts_by_decoder_norm", kind.endswith("batchtopk"))
    if rescaled:  # a threshold is then in the units of the rescaled activations already
        _to_unit_rows(weights, ("b_enc",))
    elif unit_rows:
        if kind in ("topk", "batchtopk", "matryoshka_batchtopk") and not _has_unit_rows(weights):
            raise LoadError(f"{folder}: with rows of length 1 other latents would be the largest; read it as it is")
        _to_unit_rows(weights, ("b_enc", "b_gate", "b_mag", "threshold", "topk_threshold"))
    try:
        sae = _built(config, kind, weights)
    except (TypeError, ValueError, KeyError) as error:
        raise LoadError(f"{folder} has a config that makes no dictionary: {error}") from None
    return Loaded(sae.eval().requires_grad_(False), metadata, _log_density(folder, sae.n_latents))


def _config(folder: Path) -> dict[str, Any]:
    """The config with the names of version 6, where what is not of the dictionary itself is under `metadata`."""
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise LoadError(f"there is no {name} in {folder}: is it a folder of SAELens?")
    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
    except ValueError as error:
        raise LoadError(f"{folder / CONFIG} is damaged ({error}); restore the file") from None
    if not isinstance(config, dict) or not isinstance(config.get("metadata", {}), dict):
        raise LoadError(f"{folder / CONFIG} says nothing of a dictionary; restore the file")
    if "metadata" not in config:  # before version 6 all lay side by side
        old = {
            "hook_point": "hook_name",
            "hook_point_head_index": "hook_head_index",
            "activation_fn_str": "activation_fn",
        }
        config = {old.get(name, name): value for name, value in config.items()}
        config["metadata"] = {name: config.get(name) for name in ("model_name", "hook_name", "hook_head_index")}
        config.setdefault("architecture", "standard")
        if config.get("activation_fn") == "topk":
            config |= {"architecture": "topk", **(config.get("activation_fn_kwargs") or {})}
        elif config.get("activation_fn", "relu") != "relu":
            raise LoadError(
                f"{folder} has activations of the kind {config['activation_fn']!r}, which is not known here"
            )
    return config


def _refuse_what_has_no_counterpart(folder: Path, config: dict[str, Any]) -> None:
    normalised = config.get("normalize_activations") or "none"
    if normalised != "none":
        raise LoadError(
            f"{folder} reads activations that are normalised first ({normalised}), and a dictionary here reads plain "
            "ones: fold the normalisation in with SAELens, and save it again"
        )
    if config.get("finetuning_scaling_factor"):
        raise LoadError(f"{folder} multiplies activations by a scaling factor: fold it in with SAELens, and save again")


def _weights(folder: Path, config: dict[str, Any], kind: str) -> dict[str, Tensor]:
    """Under their names, in float32, each of the shape that the config says."""
    file = folder / WEIGHTS
    try:
        weights = load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise LoadError(f"{file} is damaged ({error}); restore the file") from None
    if "scaling_factor" in weights and bool((weights["scaling_factor"] == 1).all()):
        del weights["scaling_factor"]  # written for a while, and without effect
    n, d = config.get("d_sae"), config.get("d_in")
    wanted: dict[str, list[Any]] = {
        "W_enc": [d, n],
        "W_dec": [n, d],
        "b_dec": [d],
        **{name: [n] for name in _HAS[kind]},
    }
    if "topk_threshold" in wanted:
        wanted["topk_threshold"] = []
    if kind == "jumprelu" and "log_threshold" in weights:  # while it is trained, in some versions
        weights["threshold"] = weights.pop("log_threshold").exp()
    if odd := sorted(set(weights) ^ set(wanted)):
        raise LoadError(f"{file}: the weight {odd[0]} is missing or has no place in a dictionary of the kind {kind}")
    for name, shape in wanted.items():
        if list(weights[name].shape) != shape:
            raise LoadError(f"{file}: {name} has shape {list(weights[name].shape)}, and the config says {shape}")
        if not weights[name].is_floating_point() or not bool(weights[name].isfinite().all()):
            raise LoadError(f"{file}: {name} holds what are no finite fractions; restore the file")
    return {name: tensor.float() for name, tensor in weights.items()}


def _move_b_dec(weights: dict[str, Tensor]) -> None:
    """x W + b becomes (x − b_dec) W + (b + b_dec W)."""
    moved = weights["b_dec"] @ weights["W_enc"]
    for name in ("b_enc", "b_gate"):
        if name in weights:
            weights[name] = weights[name] + moved
    if "b_mag" in weights:
        weights["b_mag"] = weights["b_mag"] + weights["r_mag"].exp() * moved


def _has_unit_rows(weights: dict[str, Tensor]) -> bool:
    lengths = weights["W_dec"].norm(dim=1)
    return bool(torch.allclose(lengths, torch.ones_like(lengths), atol=1e-4))


def _to_unit_rows(weights: dict[str, Tensor], in_units: tuple[str, ...]) -> None:
    """Rows of length 1, and all that is in units of the activations multiplied by the length."""
    lengths = weights["W_dec"].norm(dim=1)
    weights["W_dec"] = F.normalize(weights["W_dec"], dim=1)
    for name in ("W_enc", *in_units):
        if name in weights:
            weights[name] = weights[name] * lengths


def _built(config: dict[str, Any], kind: str, weights: dict[str, Tensor]) -> Dictionary:
    d, n, metadata = config["d_in"], config["d_sae"], config["metadata"]
    settings = metadata.get("settings") if isinstance(metadata.get("settings"), dict) else {}
    sae: Dictionary
    if kind == "standard":
        sae = ReLU(d, n, **settings)
    elif kind == "gated":
        sae = Gated(d, n, **settings)
    elif kind == "topk":
        sae = TopK(d, n, k=_whole(config["k"]))
    elif (of_batch := _of_batch(config, kind, weights)) is not None:
        sae = of_batch
        weights["threshold"] = weights.pop("topk_threshold", weights.pop("threshold", torch.zeros(1)).max())
    else:
        sae = JumpReLU(d, n, **settings)
        weights["log_theta"] = weights.pop("threshold").clamp(min=TINY).log()
    sae.load_state_dict({_NAMES.get(name, name): tensor for name, tensor in weights.items()})
    return sae


def _of_batch(config: dict[str, Any], kind: str, weights: dict[str, Tensor]) -> BatchTopK | None:
    """BatchTopK or Matryoshka, where it is one: by its kind, or by what it was before it was saved for inference."""
    metadata = config["metadata"]
    trained = kind if kind.endswith("batchtopk") else metadata.get("training_architecture")
    details = config if kind.endswith("batchtopk") else metadata.get("training_architecture_details") or {}
    if kind == "jumprelu":  # only where it still has one threshold, and a k that this library has
        one = bool((weights["threshold"] == weights["threshold"][0]).all())
        if trained not in ("batchtopk", "matryoshka_batchtopk") or not one or details.get("k", 0.5) % 1:
            return None
    if trained == "batchtopk":
        return BatchTopK(config["d_in"], config["d_sae"], k=_whole(details["k"]))
    widths = details["matryoshka_widths"]
    return Matryoshka(config["d_in"], config["d_sae"], k=_whole(details["k"]), prefixes=widths)


def _whole(k: Any) -> int:
    if not isinstance(k, int | float) or k != math.floor(k):
        raise ValueError(f"k must be a whole number, not {k!r}")
    return int(k)


def _log_density(folder: Path, n: int) -> Tensor | None:
    file = folder / SPARSITY
    if not file.is_file():
        return None
    try:
        found = load_file(file)["sparsity"]
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise LoadError(f"{file} is damaged ({error}); restore or remove it") from None
    if list(found.shape) != [n]:
        raise LoadError(f"{file} has {list(found.shape)} densities for {n} latents; restore or remove it")
    return found
