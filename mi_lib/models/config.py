"""The shape of a language model: the same few numbers for every architecture."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

Activation = Literal["relu", "gelu", "gelu_new", "silu"]
Norm = Literal["none", "layernorm", "rmsnorm"]
Positions = Literal["learned", "shifted", "rotary"]


@dataclass(frozen=True)
class ModelConfig:
    """What every `HookedModel` says about itself in `model.cfg`.

    `d_mlp = 0` means attention only. `parallel` means that attention and MLP read the same residual stream
    (GPT-NeoX), so that there is no `hook_resid_mid`. `gated` means an MLP with a second, multiplied input branch.
    """

    n_layers: int
    d_model: int
    n_heads: int
    d_head: int
    d_vocab: int
    n_ctx: int
    d_mlp: int = 0
    n_kv_heads: int | None = None  # None: as many as n_heads
    act: str = "relu"
    norm: Norm = "none"
    positions: Positions = "learned"
    parallel: bool = False
    gated: bool = False
    architecture: str = "mi-transformer"

    @property
    def kv_heads(self) -> int:
        return self.n_kv_heads or self.n_heads


@dataclass(frozen=True)
class TransformerConfig:
    """A native `Transformer`.

    positions: "learned" adds a learned vector per position to the residual stream (GPT-2). "shifted" adds it to the
        inputs of the queries and keys of every layer and never to the residual stream (the "shortformer" of
        Press et al. 2021, arXiv 2012.15832, section 4), so that heads can find positions but not copy them.
    norm: "none" or "layernorm" (before attention, before the MLP and before the unembedding).
    d_vocab_out: how many logits there are, where it is not d_vocab (some tokens may never be an answer).
    """

    n_layers: int
    d_model: int
    n_heads: int
    d_head: int
    d_vocab: int
    n_ctx: int
    d_mlp: int = 0
    act: Activation = "relu"
    norm: Literal["none", "layernorm"] = "none"
    positions: Literal["learned", "shifted"] = "learned"
    attn_bias: bool = False
    mlp_bias: bool = True
    unembed_bias: bool = False
    norm_eps: float = 1e-5
    d_vocab_out: int | None = None

    def __post_init__(self) -> None:
        for name in ("n_layers", "d_model", "n_heads", "d_head", "d_vocab", "n_ctx"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"TransformerConfig.{name} must be a whole number of at least 1, not {value!r}")
        if self.d_vocab_out is not None and (not isinstance(self.d_vocab_out, int) or self.d_vocab_out < 1):
            raise ValueError(f"TransformerConfig.d_vocab_out must be a whole number or None, not {self.d_vocab_out!r}")
        choices = {"act": ("relu", "gelu", "gelu_new", "silu"), "norm": ("none", "layernorm")}
        choices["positions"] = ("learned", "shifted")
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"TransformerConfig.{name} must be one of {allowed}, not {getattr(self, name)!r}")

    def to_dict(self) -> dict[str, Any]:
        return {"model_type": "mi-transformer", **asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TransformerConfig:
        """The inverse of `to_dict`. Unknown keys are an error: a typo must not be a silent default."""
        known = {f.name for f in fields(cls)}
        given = {k: v for k, v in values.items() if k != "model_type"}
        if unknown := sorted(set(given) - known):
            raise ValueError(f"unknown keys in the model's config: {', '.join(unknown)}")
        return cls(**given)

    def summary(self) -> ModelConfig:
        return ModelConfig(
            n_layers=self.n_layers,
            d_model=self.d_model,
            n_heads=self.n_heads,
            d_head=self.d_head,
            d_vocab=self.d_vocab,
            n_ctx=self.n_ctx,
            d_mlp=self.d_mlp,
            act=self.act,
            norm=self.norm,
            positions=self.positions,
        )
