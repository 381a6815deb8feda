"""What a forward pass left behind: activations by site name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from mi_lib.models.sites import UnknownSite, full_name


class ActivationCache(Mapping[str, Tensor]):
    """Activations by full name or short form: `cache["blocks.1.attn.hook_pattern"]` is `cache["pattern", 1]`.

    It holds only the sites that were asked for. Iteration follows the order of the forward pass.
    """

    def __init__(self, values: dict[str, Tensor], n_layers: int) -> None:
        self._values = values
        self._n_layers = n_layers

    def __getitem__(self, key: str | tuple) -> Tensor:  # type: ignore[override]
        name = full_name(key, self._n_layers)
        if name not in self._values:
            held = f"{len(self._values)} sites" if len(self._values) > 6 else ", ".join(self._values) or "nothing"
            raise UnknownSite(f"{name!r} is not in this cache, which holds {held}; ask for it by `names=` in the run")
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        try:
            self[key]  # type: ignore[index]
        except (KeyError, TypeError):
            return False
        return True

    def grad(self, key: str | tuple) -> Tensor:
        """∂(what was back-propagated)/∂(activation), after `run_with_cache(..., grad=True)` and `.backward()`."""
        value = self[key]
        if not value.requires_grad:
            raise RuntimeError("this cache was made without gradients: call run_with_cache(..., grad=True)")
        return torch.zeros_like(value) if value.grad is None else value.grad

    def stack(self, short: str) -> Tensor:
        """One site over all layers, layer first: `cache.stack("pattern")` has shape [layer batch head query key]."""
        return torch.stack([self[short, layer] for layer in range(self._n_layers)])

    def __repr__(self) -> str:
        return f"ActivationCache({', '.join(f'{k} {tuple(v.shape)}' for k, v in self._values.items())})"
