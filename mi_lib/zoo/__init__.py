"""The bundled models: one folder each (config.json, model.safetensors, tokenizer.json, checkpoints, card).

Nothing here measures: `mi_lib.recipes.checks.verify` does, and `mi zoo verify` calls it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def names() -> list[str]:
    """The bundled models, in alphabetical order."""
    return sorted(path.parent.name for path in HERE.glob("*/config.json"))


def folder(name: str) -> Path:
    """Where a bundled model lies. KeyError, naming the bundled ones, if there is none of that name."""
    if name not in names():
        raise KeyError(f"no bundled model is called {name!r}; there are {', '.join(names()) or 'none'}")
    return HERE / name


def card(name: str) -> dict[str, Any]:
    """The model's card: how it was trained, and what was measured on it. Written by its recipe."""
    return json.loads((folder(name) / "card.json").read_text())


def checkpoints(name: str) -> list[int]:
    """The training steps at which the bundled model was also saved, ascending."""
    return sorted(int(path.stem.split("_")[1]) for path in (folder(name) / "checkpoints").glob("step_*"))
