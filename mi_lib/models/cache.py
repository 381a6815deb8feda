"""What a forward pass left behind: activations by site name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from mi_lib.models.sites import UnknownSite, full_name

if TYPE_CHECKING:
    from mi_lib.models.hooked import HookedModel

Components = tuple[Float[Tensor, "component batch pos d_model"], list[str]]


class ActivationCache(Mapping[str, Tensor]):
    """Activations by full name or short form: `cache["blocks.1.attn.hook_pattern"]` is `cache["pattern", 1]`.

    It holds only the sites that were asked for. Iteration follows the order of the forward pass. Sites between which
    nothing happens (resid_post of one block, resid_pre of the next) may be one tensor: clone before you write into one.
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
        """∂(what was back-propagated)/∂(activation), after `run_with_cache(..., grad=True)` and `.backward()`.

        Zero where what was back-propagated does not depend on it. RuntimeError before any `.backward()`.
        """
        value = self[key]
        if not value.requires_grad:
            raise RuntimeError("this cache was made without gradients: call run_with_cache(..., grad=True)")
        if value.grad is not None:
            return value.grad
        if all(other.grad is None for other in self._values.values()):
            raise RuntimeError(
                "nothing was back-propagated yet: first call .backward() on something made of the logits"
            )
        return torch.zeros_like(value)

    def stack(self, short: str) -> Tensor:
        """One site over all layers, layer first: `cache.stack("pattern")` has shape [layer batch head query key]."""
        return torch.stack([self[short, layer] for layer in range(self._n_layers)])

    # --- the same activations elsewhere, or fewer of them -----------------------------------------------------

    def to(self, *where: Any) -> ActivationCache:
        """On another device, or in another dtype (as in `Tensor.to`)."""
        return self._each(lambda name, value: value.to(*where))

    def detach(self) -> ActivationCache:
        """Without the graph."""
        return self._each(lambda name, value: value.detach())

    def at(self, batch: int | slice | Sequence[int] | None = None, pos: slice | Sequence[int] | None = None) -> Any:
        """Some sequences or positions only; the axes stay (an int keeps a batch of 1).

        pos selects query positions of scores and patterns, whose keys stay whole.
        """
        rows = slice(None) if batch is None else [batch] if isinstance(batch, int) else batch
        places = slice(None) if pos is None else pos

        def pick(name: str, value: Tensor) -> Tensor:
            value = value[rows]
            queries = 2 if name.endswith(("hook_attn_scores", "hook_pattern")) else 1
            return value[(slice(None),) * queries + (places,)]

        return self._each(pick)

    def save(self, path: str | Path) -> None:
        """Write the activations to a safetensors file; `load` reads them."""
        values = {name: value.detach().contiguous().clone() for name, value in self._values.items()}
        save_file(values, path, metadata={"n_layers": str(self._n_layers), "order": "\n".join(values)})

    @classmethod
    def load(cls, path: str | Path) -> ActivationCache:
        """Read what `save` wrote."""
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            if "n_layers" not in about:
                raise ValueError(f"{path} was not written by ActivationCache.save")
            names = about["order"].split("\n") if about["order"] else []
            return cls({name: file.get_tensor(name) for name in names}, int(about["n_layers"]))

    def _each(self, change: Callable[[str, Tensor], Tensor]) -> ActivationCache:
        return ActivationCache({name: change(name, value) for name, value in self._values.items()}, self._n_layers)

    # --- the residual stream and its parts ---------------------------------------------------------------------

    def accumulated_resid(self, layer: int | None = None, incl_mid: bool = False) -> Components:
        """The stream before each block up to `layer`, and their labels; None: to the end, after the last block.

        incl_mid: also between attention and MLP. Needs resid_pre (and resid_mid) of those layers, and resid_post of the
        last one if `layer` is None.
        """
        found, labels = [], []
        for i in range(self._up_to(layer)):
            found.append(self["resid_pre", i])
            labels.append(f"{i}_pre")
            if incl_mid:
                found.append(self["resid_mid", i])
                labels.append(f"{i}_mid")
        found.append(self._before(layer))
        return torch.stack(found), [*labels, "final_post" if self._up_to(layer) == self._n_layers else f"{layer}_pre"]

    def decompose_resid(self, layer: int | None = None) -> Components:
        """What was written into the stream before block `layer` (None: in all), part by part, and their labels.

        embed, pos_embed where it is there, then attn_out and mlp_out of each layer. The parts sum to the stream.
        """
        start, found, labels = self["resid_pre", 0], [], ["embed"]
        if "hook_pos_embed" in self and not torch.equal(start, self._values.get("hook_embed", start[:0])):
            found.append(self["pos_embed"].expand_as(start))
            labels.append("pos_embed")
        found.insert(0, start - found[0] if found else start)
        for i in range(self._up_to(layer)):
            for site in ("attn_out", "mlp_out"):
                if site == "attn_out" or ("mlp_out", i) in self:
                    found.append(self[site, i])
                    labels.append(f"{i}_{site}")
        whole = self._before(layer)
        if not torch.allclose(torch.stack(found).sum(0), whole, atol=1e-3 * float(whole.detach().abs().max()) + 1e-6):
            raise ValueError("the parts do not sum to the stream; ask for attn_out and mlp_out of every layer")
        return torch.stack(found), labels

    def stack_head_results(self, model: HookedModel, layer: int | None = None) -> Components:
        """What each head before block `layer` (None: every head) has written, from hook_z, and labels such as L0H3.

        z W_O, without a second run. Biases are not a head's; Gemma norms the sum of the heads before it is written.
        """
        W_O, found = model.W_O, []
        for i in range(self._up_to(layer)):
            found.append(torch.einsum("bphd,hdm->hbpm", self["z", i], W_O[i]))
        labels = [f"L{i}H{h}" for i in range(self._up_to(layer)) for h in range(W_O.shape[1])]
        if not found:
            raise ValueError("there are no heads before block 0")
        return torch.cat(found), labels

    def _up_to(self, layer: int | None) -> int:
        if layer is None:
            return self._n_layers
        if not -self._n_layers <= layer <= self._n_layers:
            raise ValueError(f"layer {layer}: this model has layers 0 to {self._n_layers - 1}")
        return layer + self._n_layers if layer < 0 else layer

    def _before(self, layer: int | None) -> Tensor:
        end = self._up_to(layer)
        return self["resid_post", end - 1] if end == self._n_layers else self["resid_pre", end]

    def __repr__(self) -> str:
        return f"ActivationCache({', '.join(f'{k} {tuple(v.shape)}' for k, v in self._values.items())})"
