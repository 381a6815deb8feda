"""Folding: a norm's weight and bias become part of the matrices that read it (TransformerLens's `fold_ln`).

A norm gives x̂ ⊙ w + b, where x̂ = (x − mean) / scale. Whoever reads it computes

    (x̂ ⊙ w + b) W + c  =  x̂ (diag(w) W) + (b W + c)

so diag(w) W is the matrix that the stream meets, and W alone is not: with wide w even the signs of a weight circuit
differ. The mean of x̂ is 0 for a LayerNorm, so what its reader makes of a constant vector is free, and is taken out.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mi_lib.models.families import part
from mi_lib.models.norms import NormParts
from mi_lib.models.projections import bias as bias_of
from mi_lib.models.projections import matrix

if TYPE_CHECKING:
    from mi_lib.models.transformer import Transformer
    from mi_lib.models.transformers_model import TransformersModel


def fold(
    W: Float[Tensor, "... d_model out"], c: Tensor | None, norm: NormParts
) -> tuple[Float[Tensor, "... d_model out"], Float[Tensor, "... out"]]:
    """The matrix and bias that read x̂ as W and c read what leaves the norm. Computed in float64."""
    weight, bias, wide = norm.weight.double(), norm.bias.double(), W.double()
    folded = weight[:, None] * wide
    added = bias @ wide + (0 if c is None else c.double())
    if norm.centred:
        folded = folded - folded.mean(-2, keepdim=True)
    return folded.to(W.dtype), added.to(W.dtype)


@torch.no_grad()
def fold_native(model: Transformer) -> Transformer:
    """`HookedModel.folded` of a native Transformer. ValueError where positions join behind the norm ("shifted")."""
    if model.config.norm == "none":
        return copy.deepcopy(model)
    if model.config.positions == "shifted":
        raise ValueError("queries and keys of this model add the positions after the norm, so it cannot be folded")
    config = replace(model.config, attn_bias=True, mlp_bias=True, unembed_bias=True)
    new = type(model)(config, model.tokenizer).to(model.device, model.dtype)
    own = dict(model.named_parameters())
    for name, weight in new.named_parameters():
        if name in own:
            weight.copy_(own[name])
    blocks: Any = new.blocks
    for block in blocks:
        _native_reader(block.attn, ("W_Q", "W_K", "W_V"), ("b_Q", "b_K", "b_V"), new.norm_parts(block.ln1))
        _plain(block.ln1)
        if block.mlp is not None:
            _native_reader(block.mlp, ("W_in",), ("b_in",), new.norm_parts(block.ln2))
            _plain(block.ln2)
    assert new.ln_final is not None
    _native_reader(new, ("W_U",), ("b_U",), new.norm_parts(new.ln_final))
    _plain(new.ln_final)
    return new.train(model.training).requires_grad_(any(p.requires_grad for p in model.parameters()))


def _native_reader(module: Any, weights: tuple[str, ...], biases: tuple[str, ...], norm: NormParts) -> None:
    for W, b in zip(weights, biases, strict=True):
        folded, added = fold(getattr(module, W), getattr(module, b), norm)
        getattr(module, W).copy_(folded)
        getattr(module, b).copy_(added)


def _plain(norm: Any) -> None:
    norm.w.fill_(1)
    norm.b.fill_(0)


@torch.no_grad()
def fold_transformers(model: TransformersModel) -> TransformersModel:
    """`HookedModel.folded` of a model of `transformers`. Embeddings are untied, adapters that read merged."""
    new = copy.deepcopy(model)
    new.source = None
    f, d_model = new.family, new.cfg.d_model
    for block in new.layers:
        _readers(part(block, f.attn), f.qkv, new.norm_parts(part(block, f.ln1)), d_model)
        _readers(part(block, f.mlp), (f.mlp_pre, f.mlp_linear), new.norm_parts(part(block, f.ln2)), d_model)
        for path in (f.ln1, f.ln2):
            _neutral(part(block, path), f.norm_plus_one)
    head = new.hf.get_output_embeddings()
    new.hf.config.tie_word_embeddings = False
    new.hf.set_output_embeddings(_linear(head, new.norm_parts(new.ln_final), d_model))
    _neutral(new.ln_final, f.norm_plus_one)
    new.hf.mi_instrument.put_into(new.hf)
    return new


def _readers(parent: Any, names: tuple[str | None, ...], norm: NormParts, d_model: int) -> None:
    for name in names:
        if name is not None:
            setattr(parent, name, _linear(part(parent, name), norm, d_model))


def _linear(module: Any, norm: NormParts, d_in: int) -> nn.Linear:
    """A Linear that reads x̂ as the module reads what leaves the norm."""
    W, b = matrix(module, d_in), bias_of(module, d_in)
    folded, added = fold(W, b, norm)
    needed = b is not None or bool((norm.bias != 0).any())
    new = nn.Linear(W.shape[0], W.shape[1], bias=needed, device=W.device, dtype=W.dtype)
    new.weight.copy_(folded.T)
    if needed:
        new.bias.copy_(added)
    return new.requires_grad_(any(p.requires_grad for p in module.parameters()))


def _neutral(norm: Any, plus_one: bool) -> None:
    norm.weight.fill_(0 if plus_one else 1)
    if getattr(norm, "bias", None) is not None:
        norm.bias.fill_(0)
