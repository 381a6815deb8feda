"""A dictionary on disk: one safetensors file, with its config in the header.

One file, so that weights and config cannot be parted; written beside its place and moved there when it is whole, so
that whoever stops in between leaves what was there before. The same dictionary, saved again, is the same file, byte for
byte. What does not hold together is refused with one sentence.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from mi_lib import zoo
from mi_lib.models.errors import LoadError
from mi_lib.models.loading import verify_checksum
from mi_lib.saes.base import Dictionary
from mi_lib.saes.batch_topk import BatchTopK
from mi_lib.saes.gated import Gated
from mi_lib.saes.jumprelu import JumpReLU
from mi_lib.saes.matryoshka import Matryoshka
from mi_lib.saes.relu import ReLU
from mi_lib.saes.topk import TopK
from mi_lib.saes.writing import moved_when_whole, save_in_order

FORMAT = "mi-dictionary 1"
KINDS: dict[str, type[Dictionary]] = {
    kind.kind: kind for kind in (ReLU, Gated, TopK, BatchTopK, JumpReLU, Matryoshka)
}  # fmt: skip


def save_dictionary(sae: Dictionary, path: str | Path, *, model: str = "", site: str = "") -> Path:
    """Write a dictionary, and what it was made for. Its scale must be folded in, as `train` leaves it.

    model, site: whose activations it reads; `load_dictionary` can insist on them. Raises OSError where nothing can be
    written, ValueError for weights that are no numbers; then nothing has changed on disk.
    """
    path = Path(path)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in sae.state_dict().items()}
    if bad := [name for name, tensor in weights.items() if not bool(tensor.isfinite().all())]:
        raise ValueError(f"{bad[0]} holds NaN or infinite numbers: such a dictionary is not saved")
    about = {"kind": sae.kind, "d": sae.d, "n_latents": sae.n_latents, "model": model, "site": site}
    header = {"format": FORMAT, "config": json.dumps({**about, "settings": sae.settings})}
    with moved_when_whole(path) as part:
        save_in_order(weights, part, header)
    return path


def load_dictionary(
    path: str | Path, *, width: int | None = None, model: str | None = None, site: str | None = None
) -> Dictionary:
    """Read a dictionary, in `eval()` mode.

    width, model, site: what it must have been made for. LoadError, with one sentence, where it was not, and for a file
    that is missing, damaged, of another format, or does not hold together.
    """
    path = Path(path)
    config, weights = _read(path)
    for name, wanted in (("d", width), ("model", model), ("site", site)):
        if wanted is not None and config.get(name) != wanted:
            what = "activations of width" if name == "d" else f"the {name}"
            raise LoadError(f"{path} was made for {what} {config.get(name)}, not {wanted}: choose another dictionary")
    sae = _built(path, config, weights)
    wanted_weights = sae.state_dict()
    if set(weights) != set(wanted_weights):
        odd = sorted(set(weights) ^ set(wanted_weights))[0]
        raise LoadError(f"{path}: the weight {odd} is missing or does not belong there; restore the file")
    for name, tensor in weights.items():
        if tensor.shape != wanted_weights[name].shape:
            raise LoadError(f"{path}: {name} has shape {list(tensor.shape)}, which its config contradicts; restore it")
        if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            raise LoadError(f"{path}: {name} holds what are no finite fractions; restore the file")
    sae.load_state_dict(weights)
    return sae.eval().requires_grad_(False)


def load(
    name: str | Path, *, width: int | None = None, model: str | None = None, site: str | None = None
) -> Dictionary:
    """Open a bundled dictionary ("pico-flat"; `zoo.dictionaries()` names them all) or a file, in `eval()` mode.

    width, model, site: what it must have been made for (`about` says). LoadError as of `load_dictionary`, and for a
    bundled file that is not the one on its card.
    """
    return load_dictionary(_file(name), width=width, model=model, site=site)


def about(name: str | Path) -> dict[str, Any]:
    """What a bundled dictionary or a file says of itself: kind, d, n_latents, settings, model, site.

    LoadError for one that is missing or damaged.
    """
    return _read(_file(name))[0]


def _file(name: str | Path) -> Path:
    if str(name) not in zoo.dictionaries():
        path = Path(name).expanduser()
        if path.is_file():
            return path
        bundled = ", ".join(zoo.dictionaries())
        raise LoadError(f"there is no file {path}; check the path, or name a bundled dictionary: {bundled}")
    path = zoo.dictionary(str(name))
    verify_checksum(path.parent, path.name)
    return path


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The config, and the weights."""
    if not path.is_file():
        raise LoadError(f"there is no file {path}; check the path")
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise LoadError(f"{path} is not a dictionary of this library ({FORMAT}); is it the right file?")
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
            config = json.loads(header["config"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise LoadError(f"{path} is damaged ({error}); restore the file") from None
    if not isinstance(config, dict) or not isinstance(config.get("settings"), dict):
        raise LoadError(f"{path} has a config that says nothing of its dictionary; restore the file")
    return config, weights


def _built(path: Path, config: dict[str, Any], weights: dict[str, Tensor]) -> Dictionary:
    """An empty dictionary as the config has it. Sizes are compared with the weights before room is made for them."""
    if config.get("kind") not in KINDS:
        raise LoadError(f"{path} is of the kind {config.get('kind')!r}, and this version knows {', '.join(KINDS)}")
    shape = [config.get("n_latents"), config.get("d")]
    if "W_dec" not in weights or list(weights["W_dec"].shape) != shape:
        raise LoadError(f"{path}: W_dec does not have the shape {shape} of its config; restore the file")
    try:
        return KINDS[config["kind"]](config["d"], config["n_latents"], **config["settings"])
    except (TypeError, ValueError) as error:
        raise LoadError(f"{path} has a config that makes no dictionary: {error}") from None
