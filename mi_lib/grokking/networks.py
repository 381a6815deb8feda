"""Reading a network that does arithmetic mod p: what it computes on every input, whoever trained it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.models import HookedModel, Transformer, TransformerConfig

_TRANSFORMER_LENS = {"embed.W_E": "W_E", "pos_embed.W_pos": "W_pos", "unembed.W_U": "W_U", "unembed.b_U": "b_U"}


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


def from_state(state: Mapping[str, Tensor]) -> Transformer:
    """A network from a state dict with our names or TransformerLens's, with or without a logit for "=".

    Sizes are read off the weights. Masks and other buffers are passed over. Raises ValueError naming a weight that is
    missing or has no place in this architecture.
    """
    weights = {_TRANSFORMER_LENS.get(name, name): value for name, value in state.items()}
    weights = {name: value for name, value in weights.items() if not name.endswith((".mask", ".IGNORE"))}
    for name in ("W_E", "W_pos", "W_U", "blocks.0.attn.W_Q", "blocks.0.mlp.W_in"):
        if name not in weights:
            raise ValueError(f"the state lacks {name}; it holds {', '.join(sorted(state))}")
    n_heads, d_model, d_head = weights["blocks.0.attn.W_Q"].shape
    d_vocab, d_out = weights["W_E"].shape[0], weights["W_U"].shape[1]
    config = TransformerConfig(
        n_layers=1,
        d_model=d_model,
        n_heads=n_heads,
        d_head=d_head,
        d_vocab=d_vocab,
        n_ctx=weights["W_pos"].shape[0],
        d_mlp=weights["blocks.0.mlp.W_in"].shape[1],
        attn_bias="blocks.0.attn.b_Q" in weights,
        mlp_bias="blocks.0.mlp.b_in" in weights,
        unembed_bias="b_U" in weights,
        d_vocab_out=None if d_out == d_vocab else d_out,
    )
    model = Transformer(config)
    wanted = {name: parameter.shape for name, parameter in model.named_parameters()}
    for name in sorted(set(wanted) | set(weights)):
        if name not in wanted or name not in weights or weights[name].shape != wanted[name]:
            has = tuple(weights[name].shape) if name in weights else "nothing"
            needs = tuple(wanted[name]) if name in wanted else "nothing"
            raise ValueError(f"the state has {has} for {name}, where this architecture has {needs}")
    model.load_state_dict({name: value.float() for name, value in weights.items()})
    return model.eval().requires_grad_(False)
