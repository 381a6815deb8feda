"""A network stored as its difference from another: in whole numbers of 8 bits, or as products of two thin matrices.

A checkpoint, or a relative that was fine-tuned from a bundled network, differs from it little. Of a matrix W that was
B in the other network, the file keeps

    8-bit rows    q and s with W ≈ B + s·q: a whole number from −127 to 127 for each weight, a scale for each row
    low rank      L and R with W ≈ B + L R: exact to half precision for what a low-rank adapter has changed

and of vectors (biases, norms) their new values. What has not changed is not stored. The file is a safetensors file; it
names the file of the other network, relative to itself, with its SHA-256, so that neither can be exchanged unnoticed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from mi_lib.models.errors import LoadError

FILE = "difference.safetensors"  # the weights of a folder that holds no model.safetensors of its own
LARGEST = 127
BASE, DIGEST = "base", "base_sha256"  # in the file's metadata


def write(path: str | Path, weights: Mapping[str, Tensor], base: str | Path, *, rank: int | None = None) -> Path:
    """Store `weights` as their difference from those in the safetensors file `base`.

    rank: of the thin matrices; 8-bit rows unless given. A stack of matrices ("head d_model d_head") is stored as one
    matrix with as many columns as its last axis. ValueError if the two networks differ in names or shapes.
    """
    path, base = Path(path), Path(base)
    before = load_file(base)
    if strangers := sorted(set(weights) ^ set(before)):
        raise ValueError(
            f"only one of the two networks has the weight {strangers[0]}; a difference needs the same names"
        )
    stored: dict[str, Tensor] = {}
    for name, weight in weights.items():
        old = before[name]
        if weight.shape != old.shape:
            raise ValueError(f"{name} has shape {tuple(weight.shape)}, and {tuple(old.shape)} in {base.name}")
        if torch.equal(weight.float(), old.float()):
            continue
        if weight.ndim < 2:
            stored[name] = weight.detach().cpu().half().contiguous()
            continue
        change = weight.detach().cpu().float() - old.float()
        parts = _rows(change) if rank is None else _thin(change, rank)
        stored.update({f"{name}:{part}": value.contiguous() for part, value in parts.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    relative = Path(os.path.relpath(base.resolve(), path.parent.resolve())).as_posix()
    save_file(stored, path, metadata={BASE: relative, DIGEST: _digest(base)})
    return path


def read(path: str | Path) -> dict[str, Tensor]:
    """The weights that a file describes: float32 where they differ from the other network's, else as that has them.

    A file that is no difference is read as it is. LoadError, with what to do, if the other network's file is not there
    or not the one that the difference was taken from, or if the two do not fit.
    """
    path = Path(path)
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise LoadError(f"{path} cannot be read ({error}); restore the file") from None
    if BASE not in about:
        return stored
    base = path.parent / about[BASE]
    if not base.is_file():
        raise LoadError(f"{path} is a difference from {about[BASE]}, which is not there; restore that file")
    if _digest(base) != about.get(DIGEST):
        raise LoadError(f"{path} is a difference from another version of {base.resolve()}; restore both files")
    weights = load_file(base)
    for name in {key.partition(":")[0] for key in stored}:
        if name not in weights:
            raise LoadError(f"{path} changes {name}, which {about[BASE]} does not have; they do not belong together")
        if name in stored:
            weights[name] = stored[name].float()
            continue
        try:
            weights[name] = weights[name].float() + _change(stored, name).reshape(weights[name].shape)
        except (KeyError, RuntimeError):
            raise LoadError(f"{path}: the difference of {name} does not fit that of {about[BASE]}") from None
    return weights


def _rows(change: Float[Tensor, "... column"]) -> dict[str, Tensor]:
    """Each row in whole numbers, of which the largest is ±127."""
    scale = change.abs().amax(-1, keepdim=True) / LARGEST
    return {"rows": (change / scale.where(scale > 0, 1)).round().to(torch.int8), "scales": scale}


def _thin(change: Float[Tensor, "... column"], rank: int) -> dict[str, Tensor]:
    """The product of two thin matrices that is nearest: the first `rank` singular values, shared between both."""
    u, s, v = torch.linalg.svd(change.flatten(0, -2), full_matrices=False)
    root = s[:rank].sqrt()
    return {"left": (u[:, :rank] * root).half(), "right": (root[:, None] * v[:rank]).half()}


def _change(stored: Mapping[str, Tensor], name: str) -> Tensor:
    if f"{name}:rows" in stored:
        return stored[f"{name}:rows"].float() * stored[f"{name}:scales"]
    return stored[f"{name}:left"].float() @ stored[f"{name}:right"].float()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
