"""Reading a network that does arithmetic mod p: what it computes on every input, whoever trained it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.models import HookedModel, Transformer
from mi_lib.models.config import Activation
from mi_lib.models.layouts import transformer_from_state


class EveryInput(NamedTuple):
    """What a network does on all p² inputs, after "="; row a·p + b is the pair (a, b). float64."""

    p: int
    embedding: Float[Tensor, "number d_model"]
    neurons: Float[Tensor, "a b neuron"]  # after the activation function
    logits: Float[Tensor, "pairs answer"]  # of the p numbers; a logit for "=" is left out


def every_input(model: HookedModel) -> EveryInput:
    """Run a network of the architecture of Nanda et al. 2023 on every pair.

    Its inputs are (a, b, "=") with "=" as token p, so p = d_vocab − 1; it may have a logit for "=" or not. Raises
    ValueError, with the reason, for a network of another shape.
    """
    p = model.cfg.d_vocab - 1
    wrong = []
    if model.cfg.n_layers != 1 or not model.cfg.d_mlp:
        wrong.append("one layer with an MLP")
    if model.cfg.n_ctx < 3:
        wrong.append("room for three tokens")
    if p < 3 or p % 2 == 0:
        wrong.append(f'an odd number of numbers (and "="), but its vocabulary is {model.cfg.d_vocab}')
    if wrong:
        raise ValueError(f"this analysis needs a network with {', and '.join(wrong)}")
    with torch.no_grad():
        names = ["hook_embed", "blocks.0.mlp.hook_post"]
        logits, cache = model.run_with_cache(pairs(p).to(model.device), names)
    logits = logits[:, -1].double().cpu()
    if logits.shape[1] not in (p, p + 1):
        raise ValueError(f'the network should have {p} logits, or {p + 1} with one for "=", not {logits.shape[1]}')
    return EveryInput(
        p=p,
        embedding=cache["hook_embed"][::p, 0].double().cpu(),
        neurons=cache["post", 0][:, -1].double().cpu().view(p, p, -1),
        logits=logits[:, :p],
    )


def pairs(p: int) -> Int[Tensor, "pairs 3"]:
    """All inputs (a, b, "="), row a·p + b."""
    a, b = torch.meshgrid(torch.arange(p), torch.arange(p), indexing="ij")
    return torch.stack([a.flatten(), b.flatten(), torch.full((p * p,), p)], dim=1)


def from_state(state: Mapping[str, Tensor], act: Activation = "relu") -> Transformer:
    """A network from a state dict in our layout, TransformerLens's or Nanda's, with or without a logit for "=".

    See `mi_lib.models.layouts` for the layouts. Raises ValueError, with what was found and what is needed, for weights
    that are missing, have no place in this architecture, or lie in a way that cannot be told.
    """
    if not any(name.endswith(".mlp.W_in") for name in state):
        raise ValueError(f"the state lacks blocks.0.mlp.W_in; it holds {', '.join(sorted(map(str, state)))}")
    return transformer_from_state(state, act=act)
