"""A reference library for mechanistic interpretability, and the course that is built on it.

>>> import mi_lib
>>> model = mi_lib.load("induction-2l")
>>> logits, cache = model.run_with_cache("the cat saw the cat", names="blocks.1.attn.hook_pattern")

Importing this package is fast: sub-modules (and torch with them) are imported when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mi_lib.models import HookedModel, Transformer, TransformerConfig, load

__version__ = "0.1.0"
__all__ = ["HookedModel", "Transformer", "TransformerConfig", "load"]

_SUBMODULES = (
    *("attribution", "circuits", "course", "features", "grokking", "induction", "lens", "models", "oracles", "plots"),
    *("probing", "saes", "superposition", "worlds", "zoo"),
)


def __getattr__(name: str) -> Any:
    """Import a sub-module, or fetch one of the names above from `mi_lib.models`, on first use (PEP 562)."""
    if name in __all__:
        return getattr(importlib.import_module("mi_lib.models"), name)
    if name in _SUBMODULES:
        return importlib.import_module(f"mi_lib.{name}")
    raise AttributeError(f"module 'mi_lib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, *_SUBMODULES])
