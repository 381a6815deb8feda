"""`load`: a bundled name, a folder or a hub id becomes a `HookedModel`; what cannot be trusted is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from mi_lib import zoo
from mi_lib.garbage import uncollected
from mi_lib.models import difference
from mi_lib.models.config import TransformerConfig
from mi_lib.models.errors import LoadError
from mi_lib.models.hooked import HookedModel
from mi_lib.models.transformer import Transformer

WHOLE = "model.safetensors"


def load(
    name: str | Path,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    checkpoint: int | None = None,
    check: bool = True,
) -> HookedModel:
    """Open a model for reading and editing.

    name: a bundled model ("induction-2l"; `mi zoo list` shows them), a folder, or a Hugging Face hub id ("gpt2").
    dtype: of the weights in memory; float32 unless given. checkpoint: a training step that the model ships.
    check: run the self-checks of `mi_lib.models.checks` on models of `transformers` (a fraction of a second).
    Raises LoadError, with a sentence that says what to do.
    """
    folder = _folder(str(name))
    if folder is None:
        if checkpoint is not None:
            raise LoadError(f"{name} is not bundled, so it has no checkpoint {checkpoint}; leave `checkpoint` out")
        model = _load_transformers(str(name), dtype, device, check)
    else:
        config = _read_config(folder)
        if config.get("model_type") == "mi-transformer":
            model = _load_native(folder, config, checkpoint, dtype)
        else:
            file = _weights_file(folder, checkpoint)
            if (folder / file).is_file():  # large models come in several files instead
                verify_checksum(folder, file)
            own = file != WHOLE  # what `transformers` cannot read by itself
            weights = difference.read(folder / file) if own else None
            model = _load_transformers(str(folder), dtype, device, check, weights)
    model.source = (str(name), checkpoint)
    return model.to(device) if device is not None else model


def _folder(name: str) -> Path | None:
    """The folder behind a bundled name or a path; None for a hub id."""
    if name in zoo.names():
        return zoo.folder(name)
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise LoadError(f"there is no folder {name}; check the path, or name a bundled model: {', '.join(zoo.names())}")
    return None


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise LoadError(f"{folder} has no config.json, so it is not a model folder; is it the right folder?")
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise LoadError(f"{path} is not valid JSON ({error}); restore the file or fetch the model again") from None
    if not isinstance(config, dict) or "model_type" not in config:
        raise LoadError(f"{path} does not say its model_type; restore the file or fetch the model again")
    return config


def _load_native(
    folder: Path, config: dict[str, Any], checkpoint: int | None, dtype: torch.dtype | None
) -> Transformer:
    try:
        model = Transformer(TransformerConfig.from_dict(config), _tokenizer(folder))
    except (TypeError, ValueError) as error:
        raise LoadError(f"{folder / 'config.json'} does not describe a model: {error}") from None
    file = _weights_file(folder, checkpoint)
    verify_checksum(folder, file)
    _fit(model, difference.read(folder / file), folder / file)
    model.to(dtype or torch.float32)
    return model.eval().requires_grad_(False)


def _tokenizer(folder: Path) -> Any:
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise LoadError(f"{path} cannot be read ({error}); restore the file") from None


def _fit(model: Transformer, weights: dict[str, torch.Tensor], path: Path) -> None:
    """Copy the weights in, or say which one is missing, left over, of the wrong shape or not finite."""
    wanted = dict(model.named_parameters())
    if missing := sorted(set(wanted) - set(weights)):
        raise LoadError(f"{path} lacks the weight {missing[0]} (and {len(missing) - 1} others); restore the file")
    if extra := sorted(set(weights) - set(wanted)):
        raise LoadError(f"{path} holds {extra[0]}, which config.json has no place for; they do not belong together")
    for name, parameter in wanted.items():
        if weights[name].shape != parameter.shape:
            raise LoadError(
                f"{path}: {name} has shape {tuple(weights[name].shape)}, but config.json asks for "
                f"{tuple(parameter.shape)}; they do not belong together"
            )
        if not torch.isfinite(weights[name]).all():
            raise LoadError(f"{path}: {name} holds NaN or infinite numbers; restore the file")
    with torch.no_grad():
        for name, parameter in wanted.items():
            parameter.copy_(weights[name])


def _weights_file(folder: Path, checkpoint: int | None) -> str:
    """Where the weights lie, inside the folder: of the finished network, or at a step of its training."""
    if checkpoint is None:
        return difference.FILE if (folder / difference.FILE).is_file() else WHOLE
    file = f"checkpoints/step_{checkpoint:06d}.safetensors"
    if not (folder / file).is_file():
        steps = sorted(int(p.stem.split("_")[1]) for p in folder.glob("checkpoints/step_*.safetensors"))
        raise LoadError(f"{folder.name} has no checkpoint {checkpoint}; it has {', '.join(map(str, steps)) or 'none'}")
    return file


def verify_checksum(folder: Path, file: str) -> None:
    """If the folder has a card with checksums, the file must match it."""
    path = folder / file
    if not path.is_file():
        raise LoadError(f"{folder} has no {file}; restore the file or fetch the model again")
    card = folder / "card.json"
    if not card.is_file():
        return
    try:
        expected = json.loads(card.read_text("utf-8")).get("sha256", {}).get(file)
    except (ValueError, AttributeError):
        raise LoadError(f"{card} cannot be read, so the weights cannot be checked against it; restore it") from None
    if expected and hashlib.sha256(path.read_bytes()).hexdigest() != expected:
        raise LoadError(f"{path} is damaged (its checksum is not the one in card.json); restore it with git checkout")


def _load_transformers(
    name: str,
    dtype: torch.dtype | None,
    device: str | torch.device | None,
    check: bool,
    weights: dict[str, torch.Tensor] | None = None,
) -> HookedModel:
    with uncollected():
        from mi_lib.models.transformers_model import open_transformers

    return open_transformers(name, dtype=dtype or torch.float32, device=device, check=check, weights=weights)
