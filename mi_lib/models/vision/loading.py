"""`load_vision`: a bundled name or a folder becomes a `VisionModel`; what cannot be trusted is refused.

A folder holds `vision.json`, which describes the network, and its weights: `NAME.safetensors`, of which several may lie
side by side (seeds of one recipe, and the network before training).
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from mi_lib import zoo
from mi_lib.models.errors import LoadError
from mi_lib.models.loading import verify_checksum
from mi_lib.models.vision.model import VisionModel
from mi_lib.models.vision.network import ConvNet, ConvNetConfig

CONFIG = "vision.json"


def bundled() -> list[str]:
    """The bundled image networks, in alphabetical order."""
    return zoo.vision()


def load_vision(name: str | Path) -> VisionModel:
    """Open an image network. name: a bundled one ("sight"), a folder with one network, or a file of weights in one.

    Its weights are float32 in memory and frozen. Raises LoadError, with a sentence that says what to do.
    """
    file = _file(str(name))
    folder = file.parent
    config = _config(folder)
    verify_checksum(folder, file.name)
    net = ConvNet(config)
    try:
        weights = load_file(file)
    except Exception as error:  # the library raises nothing narrower
        raise LoadError(f"{file} cannot be read ({error}); restore the file") from None
    _fit(net, weights, file)
    return wrapped(net, str(name))


def wrapped(net: ConvNet, source: str | None = None) -> VisionModel:
    """The `VisionModel` of a network, which is frozen from now on."""
    c = net.config
    model = VisionModel(net.eval().requires_grad_(False), mean=c.mean, std=c.std, size=c.size, classes=c.classes)
    model.source = source
    return model


def save_vision(net: ConvNet, folder: Path, name: str) -> Path:
    """Write a network in half precision, and vision.json beside it. The networks of a folder share that file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(net.config.to_dict(), indent=1) + "\n")
    file = folder / f"{name}.safetensors"
    save_file({k: v.detach().to(torch.float16).contiguous() for k, v in net.state_dict().items()}, file)
    return file


def _file(name: str) -> Path:
    if name in zoo.vision():
        return zoo.vision_file(name)
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if not path.is_dir():
        raise LoadError(
            f"there is no image network {name}; check the path, or name a bundled one: {', '.join(zoo.vision())}"
        )
    files = sorted(path.glob("*.safetensors"))
    own = [file for file in files if file.stem == path.resolve().name]
    if len(own or files) != 1:
        there = ", ".join(str(file) for file in files) or "none"
        raise LoadError(f"{path} must hold the weights of one network, or name their file; there are {there}")
    return (own or files)[0]


def _config(folder: Path) -> ConvNetConfig:
    path = folder / CONFIG
    if not path.is_file():
        raise LoadError(f"{folder} has no {CONFIG}, so it holds no image network; is it the right folder?")
    try:
        config = json.loads(path.read_text("utf-8"))
        if config.get("model_type") != "mi-convnet":
            raise ValueError("its model_type is not 'mi-convnet'")
        return ConvNetConfig.from_dict(config)
    except (TypeError, ValueError, AttributeError) as error:
        raise LoadError(f"{path} does not describe an image network ({error}); restore the file") from None


def _fit(net: ConvNet, weights: dict[str, torch.Tensor], file: Path) -> None:
    wanted = net.state_dict()
    if different := sorted(set(wanted) ^ set(weights)):
        raise LoadError(f"{file} and {CONFIG} do not belong together: only one of them has {different[0]}")
    for name, parameter in wanted.items():
        if weights[name].shape != parameter.shape:
            raise LoadError(f"{file}: {name} has shape {tuple(weights[name].shape)}, not {tuple(parameter.shape)}")
        if not torch.isfinite(weights[name]).all():
            raise LoadError(f"{file}: {name} holds NaN or infinite numbers; restore the file")
    net.load_state_dict(weights)
