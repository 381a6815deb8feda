"""A training on disk, from which it goes on as if it had never stopped: one safetensors file.

Its header holds what the training is about (a dictionary's kind and sizes, the settings, the data), which must agree
with the one that wants to go on; how far it is; and a checksum, since a file can be damaged without being cut.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mi_lib.models.errors import LoadError
from mi_lib.saes.writing import moved_when_whole

FORMAT = "mi-dictionary-training 1"


def write_checkpoint(path: Path, tensors: dict[str, Tensor], about: dict[str, Any], progress: dict[str, Any]) -> None:
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"format": FORMAT, "about": json.dumps(about), "progress": json.dumps(progress)}
    with moved_when_whole(path) as part:
        save_file(tensors, part, {**header, "checksum": _checksum(tensors, header)})


def read_checkpoint(path: Path, about: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, and how far it was. LoadError, in one sentence, for a file that is damaged, foreign, or of a
    training that was about something else."""
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        if header.get("format") != FORMAT:
            raise LoadError(f"{path} is not a checkpoint of a dictionary's training ({FORMAT}); choose another file")
        if header.pop("checksum", None) != _checksum(tensors, header):
            raise LoadError(f"{path} is damaged (its checksum is another); delete it to begin anew")
        found, progress = json.loads(header["about"]), json.loads(header["progress"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise LoadError(f"{path} is damaged ({error}); delete it to begin anew") from None
    for name, wanted in json.loads(json.dumps(about)).items():
        if found.get(name) != wanted:
            raise LoadError(
                f"{path} belongs to a training with {name} = {found.get(name)}, not {wanted}: choose another file, or "
                "delete it to begin anew"
            )
    return tensors, progress


def _checksum(tensors: dict[str, Tensor], header: dict[str, str]) -> str:
    found = zlib.crc32(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        found = checksum(tensors[name], zlib.crc32(name.encode(), found))
    return f"{found:08x}"


def checksum(tensor: Tensor, before: int = 0) -> int:
    """CRC-32 of a tensor's bytes."""
    raw: Any = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return zlib.crc32(raw, before)
