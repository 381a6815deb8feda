"""The bundled models: one folder each (config.json, model.safetensors, tokenizer.json, checkpoints, card), and sets of
dictionaries, a folder each too ("pico-dictionaries": a file for each dictionary, one card). Families of image networks
have a folder each as well ("sight": vision.json, a file for each network, one card).

Nothing here measures: `mi_lib.recipes.checks.verify` does, and `mi zoo verify` calls it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SET = "-dictionaries"  # how the folder of a set ends, after the name of the model that its dictionaries read


def names() -> list[str]:
    """The bundled models, in alphabetical order."""
    return sorted(path.parent.name for path in HERE.glob("*/config.json"))


def sets() -> list[str]:
    """The sets of bundled dictionaries, in alphabetical order."""
    return sorted(path.parent.name for path in HERE.glob(f"*{SET}/card.json"))


def families() -> list[str]:
    """The families of bundled image networks, in alphabetical order."""
    return sorted(path.parent.name for path in HERE.glob("*/vision.json"))


def carded() -> list[str]:
    """Whatever has a card: models, sets of dictionaries and families of image networks, in alphabetical order."""
    return sorted([*names(), *sets(), *families()])


def folder(name: str) -> Path:
    """Where a bundled model, or a set of dictionaries, lies. KeyError, naming what there is, if there is none."""
    if name not in carded():
        raise KeyError(f"no bundled model is called {name!r}; there are {', '.join(carded()) or 'none'}")
    return HERE / name


def card(name: str) -> dict[str, Any]:
    """Its card: how it was trained, and what was measured on it. Written by its recipe."""
    return json.loads((folder(name) / "card.json").read_text())


def checkpoints(name: str) -> list[int]:
    """The training steps at which the bundled model was also saved, ascending."""
    return sorted(int(path.stem.split("_")[1]) for path in (folder(name) / "checkpoints").glob("step_*"))


def dictionaries(of: str | None = None) -> list[str]:
    """The bundled dictionaries, of all sets or of one, in alphabetical order; `mi_lib.saes.load` opens one."""
    return sorted(path.stem for path in HERE.glob(f"*{SET}/*.safetensors") if of in (None, path.parent.name))


def dictionary(name: str) -> Path:
    """The file of a bundled dictionary. KeyError, naming those that there are, if there is none of that name."""
    if name not in dictionaries():
        raise KeyError(f"no bundled dictionary is called {name!r}; there are {', '.join(dictionaries()) or 'none'}")
    return next(HERE.glob(f"*{SET}/{name}.safetensors"))


def vision(of: str | None = None) -> list[str]:
    """The bundled image networks, of all families or of one, in alphabetical order;
    `mi_lib.models.vision.load_vision` opens one."""
    return sorted(path.stem for one in families() if of in (None, one) for path in (HERE / one).glob("*.safetensors"))


def vision_file(name: str) -> Path:
    """The weights of a bundled image network. KeyError, naming those that there are, if there is none of that name."""
    if name not in vision():
        raise KeyError(f"no bundled image network is called {name!r}; there are {', '.join(vision()) or 'none'}")
    return next(path for family in families() for path in (HERE / family).glob(f"{name}.safetensors"))
