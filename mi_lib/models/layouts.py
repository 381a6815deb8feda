"""Published weights in other layouts: a state dict becomes a native `Transformer`, whoever wrote it down.

Two layouts of the same network are in use, told apart by shapes, and by the axes of W_O where all others are square:

                    TransformerLens, and ours        Nanda's grokking runs (progress-measures-paper)
    W_E             [d_vocab, d_model]               [d_model, d_vocab]
    W_Q, W_K, W_V   [head, d_model, d_head]          [head, d_head, d_model]
    W_O             [head, d_head, d_model]          [d_model, head · d_head]
    W_in, W_out     [d_model, d_mlp], [d_mlp, …]     [d_mlp, d_model], [d_model, …]

W_pos [n_ctx, d_model] and W_U [d_model, d_vocab] are the same in both, so they say what d_model is. Names: `W_E` or
`embed.W_E`, `blocks.0.attn.W_Q` or `attn_blocks.0.attn.W_Q`, and so on. Any depth, with or without MLP and LayerNorm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from mi_lib.models.config import Activation, TransformerConfig
from mi_lib.models.transformer import Transformer

Layout = Literal["TransformerLens", "Nanda"]

_OUTSIDE = {"embed.W_E": "W_E", "pos_embed.W_pos": "W_pos", "unembed.W_U": "W_U", "unembed.b_U": "b_U"}
_BLOCK = re.compile(r"^(?:attn_)?blocks\.(\d+)\.(?:attn\.(?=[Wb]_))?(.+)$")
_ATTENTION = re.compile(r"^[Wb]_[QKVO]$")
_BUFFERS = (".mask", ".IGNORE")
_NEEDED = {  # axes in TransformerLens's layout, then in Nanda's
    "W_E": ("[d_vocab, d_model]", "[d_model, d_vocab]"),
    "W_Q": ("[head, d_model, d_head]", "[head, d_head, d_model]"),
    "W_O": ("[head, d_head, d_model]", "[d_model, head · d_head]"),
    "W_in": ("[d_model, d_mlp]", "[d_mlp, d_model]"),
    "W_out": ("[d_mlp, d_model]", "[d_model, d_mlp]"),
}
_NEEDED |= {"W_K": _NEEDED["W_Q"], "W_V": _NEEDED["W_Q"]}


def transformer_from_state(
    state: Mapping[str, Tensor],
    *,
    act: Activation = "relu",
    norm: Literal["none", "layernorm"] | None = None,
    positions: Literal["learned", "shifted"] = "learned",
) -> Transformer:
    """A network from a state dict in one of the layouts above, in float32, for reading.

    All sizes are read off the weights. Masks and other buffers are passed over. What a state dict does not say:
    act: the activation function of the MLP.
    positions: "learned" if they are added to the stream, "shifted" if only queries and keys get them.
    norm: None for LayerNorm if there are weights of it. "layernorm" without weights is one without gains, as
        TransformerLens leaves it after folding.
    Raises ValueError, with what was found and what is needed, for weights that are missing, left over, of a shape that
    fits no layout, or that fit both where the other weights do not agree.
    """
    weights = _by_our_names(state)
    d_model = _d_model(weights)
    weights = _in_our_layout(weights, d_model)
    config = _config(weights, d_model, act, norm, positions)
    model = Transformer(config)
    wanted = {name: parameter.shape for name, parameter in model.named_parameters()}
    if config.norm == "layernorm" and "ln_final.w" not in weights and "blocks.0.ln1.w" not in weights:
        plain = {name: shape for name, shape in wanted.items() if ".ln" in f".{name}"}
        weights |= {name: (torch.ones if name.endswith(".w") else torch.zeros)(shape) for name, shape in plain.items()}
    for name in sorted(set(wanted) | set(weights)):
        if name not in wanted or name not in weights or weights[name].shape != wanted[name]:
            has = tuple(weights[name].shape) if name in weights else "nothing"
            needs = tuple(wanted[name]) if name in wanted else "nothing"
            raise ValueError(f"the state has {has} for {name}, where this architecture has {needs}")
    model.load_state_dict({name: value.float() for name, value in weights.items()})
    return model.eval().requires_grad_(False)


def _by_our_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights by the names of `Transformer`, still in their own layout."""
    if other := [name for name, value in state.items() if not isinstance(value, Tensor)]:
        raise ValueError(
            f"a state dict has tensors alone, and {other[0]!r} is none; if the state dict is inside of what was "
            f"loaded, give that part (found: {', '.join(map(str, state))})"
        )
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.endswith(_BUFFERS):
            continue
        ours = _OUTSIDE.get(name, name)
        if match := _BLOCK.match(name):
            layer, rest = match.groups()
            ours = f"blocks.{layer}.{'attn.' if _ATTENTION.match(rest) else ''}{rest}"
        if ours in found:
            raise ValueError(f"the state has two tensors for {ours}")
        found[ours] = value
    for name in ("W_E", "W_pos", "W_U", "blocks.0.attn.W_Q", "blocks.0.attn.W_O"):
        if name not in found:
            raise ValueError(f"the state lacks {name}; it holds {', '.join(sorted(state))}")
    return found


def _d_model(weights: Mapping[str, Tensor]) -> int:
    """The size that W_pos [n_ctx, d_model] and W_U [d_model, d_vocab] share."""
    W_pos, W_U = weights["W_pos"], weights["W_U"]
    if W_pos.ndim != 2 or W_U.ndim != 2 or W_pos.shape[1] != W_U.shape[0]:
        raise ValueError(
            "what d_model is cannot be told: needed are W_pos [n_ctx, d_model] and W_U [d_model, d_vocab], and found "
            f"are {tuple(W_pos.shape)} and {tuple(W_U.shape)}"
        )
    return W_pos.shape[1]


def _in_our_layout(weights: Mapping[str, Tensor], d_model: int) -> dict[str, Tensor]:
    """Every tensor turned by its shape; those whose shape leaves it open, as the others are turned."""
    layouts = {name: _told_by_shape(name, value, d_model) for name, value in weights.items() if _kind(name) in _NEEDED}
    told = {layout for layout in layouts.values() if layout is not None}
    flat = weights["blocks.0.attn.W_O"].ndim == 2
    others = told.pop() if len(told) == 1 else None if told else "Nanda" if flat else "TransformerLens"
    for name in (name for name, layout in layouts.items() if layout is None):
        if others is None or (_kind(name) == "W_O" and (weights[name].ndim == 2) != (others == "Nanda")):
            sides = " and ".join(sorted({f"{layout} ({n})" for n, layout in layouts.items() if layout is not None}))
            raise ValueError(
                f"the layout of {name} cannot be told: {_found_and_needed(name, weights[name], d_model)}. Its "
                f"shape fits more than one way, and the others do not settle it: {sides}. Turn all weights into one "
                "of the two"
            )
    n_heads = weights["blocks.0.attn.W_Q"].shape[0]
    nanda = {name for name, layout in layouts.items() if (layout or others) == "Nanda"}
    return {name: _turned(name, value, n_heads) if name in nanda else value for name, value in weights.items()}


def _told_by_shape(name: str, value: Tensor, d_model: int) -> Layout | None:
    """The layout of one tensor; None if it is square. ValueError if its shape fits no layout."""
    kind, shape = _kind(name), tuple(value.shape)
    axes = (2, 3) if kind == "W_O" else (3,) if kind in ("W_Q", "W_K", "W_V") else (2,)
    if len(shape) not in axes or d_model not in shape[-2:]:
        raise ValueError(f"{_found_and_needed(name, value, d_model)}: this is neither")
    if shape[-1] == shape[-2]:
        return None
    if kind == "W_O":
        layout: Layout = "Nanda" if len(shape) == 2 else "TransformerLens"
        if shape[0 if layout == "Nanda" else 2] != d_model:
            raise ValueError(f"{_found_and_needed(name, value, d_model)}: this is neither")
        return layout
    model_first = shape[-2] == d_model
    return "TransformerLens" if model_first == (kind in ("W_Q", "W_K", "W_V", "W_in")) else "Nanda"


def _turned(name: str, value: Tensor, n_heads: int) -> Tensor:
    """A tensor in Nanda's layout, turned into ours."""
    if _kind(name) == "W_O":
        if value.shape[1] % n_heads:
            raise ValueError(f"{name} has shape {tuple(value.shape)}, which is not [d_model, {n_heads} heads · d_head]")
        return value.T.unflatten(0, (n_heads, -1))
    return value.transpose(-1, -2)


def _kind(name: str) -> str:
    return name.rsplit(".", 1)[-1]


def _found_and_needed(name: str, value: Tensor, d_model: int) -> str:
    """A sentence about one tensor."""
    lens, nanda = _NEEDED[_kind(name)]
    return (
        f"{name} has shape {tuple(value.shape)}, and d_model is {d_model}; needed is {lens}, as in TransformerLens, or "
        f"{nanda}, as in Nanda's runs"
    )


def _config(
    weights: Mapping[str, Tensor], d_model: int, act: Activation, norm: str | None, positions: str
) -> TransformerConfig:
    """The shape of the network, from weights in our layout."""
    n_heads, _, d_head = weights["blocks.0.attn.W_Q"].shape
    d_vocab, d_out = weights["W_E"].shape[0], weights["W_U"].shape[1]
    layers = {int(name.split(".")[1]) for name in weights if name.startswith("blocks.")}
    W_in = weights.get("blocks.0.mlp.W_in")
    has_norm = "blocks.0.ln1.w" in weights
    return TransformerConfig(
        n_layers=max(layers) + 1,
        d_model=d_model,
        n_heads=n_heads,
        d_head=d_head,
        d_vocab=d_vocab,
        n_ctx=weights["W_pos"].shape[0],
        d_mlp=0 if W_in is None else W_in.shape[1],
        act=act,
        norm=norm or ("layernorm" if has_norm else "none"),  # type: ignore[arg-type]
        positions=positions,  # type: ignore[arg-type]
        attn_bias="blocks.0.attn.b_Q" in weights,
        mlp_bias="blocks.0.mlp.b_in" in weights,
        unembed_bias="b_U" in weights,
        d_vocab_out=None if d_out == d_vocab else d_out,
    )
