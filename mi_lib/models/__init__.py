"""The subjects, and the way into them: named activation sites, cache, edits, loading."""

from mi_lib.models.cache import ActivationCache
from mi_lib.models.config import ModelConfig, TransformerConfig
from mi_lib.models.errors import LoadError
from mi_lib.models.hooked import HookedModel
from mi_lib.models.loading import load
from mi_lib.models.sites import Hook, UnknownSite
from mi_lib.models.transformer import Transformer

__all__ = [
    "ActivationCache",
    "Hook",
    "HookedModel",
    "LoadError",
    "ModelConfig",
    "Transformer",
    "TransformerConfig",
    "UnknownSite",
    "load",
]
