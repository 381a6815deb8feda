"""Where each architecture of `transformers` keeps its parts: one row per architecture, paths as attribute names.

To add a row: find the module that each field names in the architecture's modeling file, then run
`mi doctor --model FOLDER` on a small random model of it. The checks say what does not fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from mi_lib.models.errors import LoadError
from mi_lib.models.norms import NormParts


@dataclass(frozen=True)
class Family:
    """Paths inside the causal language model (upper half) and inside each block (lower half)."""

    embed: str
    blocks: str
    ln_final: str
    pos_embed: str | None = None

    ln1: str = "input_layernorm"
    attn: str = "self_attn"
    ln2: str = "post_attention_layernorm"
    mlp: str = "mlp"
    qkv: tuple[str, ...] = ("q_proj", "k_proj", "v_proj")  # inside attn; one name if fused
    fused: Literal["", "thirds", "per head"] = ""  # how q, k, v lie in a fused projection
    out: str = "o_proj"
    mlp_pre: str = "gate_proj"  # inside mlp: its output is mlp.hook_pre
    mlp_linear: str | None = "up_proj"  # its output is mlp.hook_pre_linear; None if the MLP is not gated
    mlp_down: str = "down_proj"  # its input is mlp.hook_post
    attn_post: str | None = None  # norm between attention and residual stream
    mlp_post: str | None = None
    norm: Literal["layernorm", "rmsnorm"] = "rmsnorm"
    norm_plus_one: bool = False  # the norm multiplies by 1 + weight
    needs_eager: bool = False  # the fast attention of `transformers` would leave something out

    def norm_parts(self, norm: Any) -> NormParts:
        """The numbers of one of this architecture's norms."""
        epsilon = getattr(norm, "eps", None) or getattr(norm, "variance_epsilon", None) or 1e-6
        weight = 1 + norm.weight if self.norm_plus_one else norm.weight
        bias = getattr(norm, "bias", None)
        return NormParts(weight, torch.zeros_like(weight) if bias is None else bias, epsilon, self.norm == "layernorm")


_LLAMA: dict[str, Any] = {"embed": "model.embed_tokens", "blocks": "model.layers", "ln_final": "model.norm"}
_GEMMA: dict[str, Any] = {
    **_LLAMA,
    "ln2": "pre_feedforward_layernorm",
    "attn_post": "post_attention_layernorm",
    "mlp_post": "post_feedforward_layernorm",
    "norm_plus_one": True,
}

FAMILIES: dict[str, Family] = {
    "gpt2": Family(
        embed="transformer.wte",
        pos_embed="transformer.wpe",
        blocks="transformer.h",
        ln_final="transformer.ln_f",
        ln1="ln_1",
        attn="attn",
        ln2="ln_2",
        qkv=("c_attn",),
        fused="thirds",
        out="c_proj",
        mlp_pre="c_fc",
        mlp_linear=None,
        mlp_down="c_proj",
        norm="layernorm",
    ),
    "gpt_neox": Family(
        embed="gpt_neox.embed_in",
        blocks="gpt_neox.layers",
        ln_final="gpt_neox.final_layer_norm",
        attn="attention",
        qkv=("query_key_value",),
        fused="per head",
        out="dense",
        mlp_pre="dense_h_to_4h",
        mlp_linear=None,
        mlp_down="dense_4h_to_h",
        norm="layernorm",
    ),
    "llama": Family(**_LLAMA),
    "mistral": Family(**_LLAMA),
    "qwen2": Family(**_LLAMA),
    "qwen3": Family(**_LLAMA),
    "gemma2": Family(**_GEMMA, needs_eager=True),  # sdpa would leave out the soft cap on scores
    "gemma3_text": Family(**_GEMMA),
}


def family_of(config: Any) -> Family:
    """The row of a `transformers` config. LoadError, naming what is missing, if there is none."""
    model_type = getattr(config, "model_type", "unknown")
    if model_type not in FAMILIES:
        raise LoadError(
            f"the architecture {model_type!r} is not supported: mi_lib/models/families.py has rows for "
            f"{', '.join(FAMILIES)}. A new row must say where its embedding, blocks, norms, attention projections and "
            "MLP are, and its attention must go through transformers' AttentionInterface (GPT-Neo's, for example, does "
            "not)."
        )
    return FAMILIES[model_type]


def part(module: Any, path: str) -> Any:
    """The sub-module at a dotted path. LoadError, naming the path, if this model does not have it."""
    for name in path.split("."):
        if not hasattr(module, name):
            raise LoadError(
                f"{type(module).__name__} has no part {name!r} (path {path!r} in mi_lib/models/families.py); "
                "this version of the architecture needs a row of its own"
            )
        module = getattr(module, name)
    return module
