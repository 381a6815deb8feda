"""A small native Transformer for the models that `transformers` has no architecture for.

Attention only or with an MLP, LayerNorm or none, learned or shifted positions. One matrix per head and nothing fused,
so that every weight can be read beside the formula (Elhage et al. 2021, "A Mathematical Framework for Transformer
Circuits"):

    x⁰ = W_E[tokens] (+ W_pos)
    q = x W_Q,  k = x W_K,  v = x W_V                     for every head
    pattern = softmax(mask(q kᵀ / √d_head))
    x ← x + Σ_heads (pattern v) W_O + b_O
    x ← x + act(x W_in + b_in) W_out + b_out              if there is an MLP
    logits = x W_U + b_U
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import einsum
from jaxtyping import Bool, Float, Int
from safetensors.torch import save_file
from torch import Tensor, nn

from mi_lib.models.config import TransformerConfig
from mi_lib.models.hooked import HookedModel, NormParts

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
}


class Transformer(HookedModel):
    """The model of the module's docstring. It is made with zero weights: call `init_weights` or load some."""

    def __init__(self, config: TransformerConfig, tokenizer: Any = None) -> None:
        super().__init__(config.summary(), tokenizer)
        self.config = config
        c = config
        self.W_E = nn.Parameter(torch.zeros(c.d_vocab, c.d_model))
        self.W_pos = nn.Parameter(torch.zeros(c.n_ctx, c.d_model))
        self.blocks = nn.ModuleList(Block(self, layer) for layer in range(c.n_layers))
        self.ln_final = LayerNorm(self, "ln_final") if c.norm == "layernorm" else None
        d_out = c.d_vocab_out or c.d_vocab
        self.W_U = nn.Parameter(torch.zeros(c.d_model, d_out))
        self.b_U = nn.Parameter(torch.zeros(d_out)) if c.unembed_bias else None

    def _forward(
        self,
        tokens: Int[Tensor, "batch pos"],
        attention_mask: Bool[Tensor, "batch pos"] | None,
        *,
        start_at_layer: int = 0,
        residual: Float[Tensor, "batch pos d_model"] | None = None,
        stop_at_layer: int | None = None,
        logits_to_keep: int = 0,
    ) -> Tensor:
        if tokens.shape[1] > self.config.n_ctx:
            raise ValueError(f"{tokens.shape[1]} tokens are too many: this model reads at most {self.config.n_ctx}")
        x = self.site("hook_embed", self.W_E[tokens]) if residual is None else residual
        where = self.site("hook_pos_embed", self.W_pos[_positions(tokens, attention_mask)])  # [batch pos d_model]
        if residual is None and self.config.positions == "learned":
            x = x + where
        shift = where if self.config.positions == "shifted" else None
        allowed = _allowed(tokens, attention_mask)
        for block in self.blocks[start_at_layer:stop_at_layer]:
            x = block(x, shift, allowed)
        if stop_at_layer is not None and stop_at_layer < self.config.n_layers:
            return x
        x = x[:, -logits_to_keep:] if logits_to_keep else x
        x = self.ln_final(x) if self.ln_final is not None else x
        logits = x @ self.W_U
        return logits + self.b_U if self.b_U is not None else logits

    def init_weights(self, seed: int, scale: float | None = None) -> Transformer:
        """Fill every matrix with N(0, scale²) (default 0.8/√d_model), biases 0 and norms 1. Returns the model."""
        generator = torch.Generator().manual_seed(seed)
        std = 0.8 / math.sqrt(self.config.d_model) if scale is None else scale
        with torch.no_grad():
            for name, p in self.named_parameters():
                last = name.rsplit(".", 1)[-1]
                if last.startswith("W_"):
                    p.copy_(torch.randn(p.shape, generator=generator) * std)
                else:
                    p.fill_(1.0 if last == "w" else 0.0)
        return self

    def save(self, folder: str | Path, dtype: torch.dtype = torch.float32) -> Path:
        """Write config.json and model.safetensors (and tokenizer.json if there is a tokenizer)."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config.to_dict(), indent=2) + "\n")
        save_file(self.weights(dtype), folder / "model.safetensors")
        if self.tokenizer is not None:
            self.tokenizer.save(str(folder / "tokenizer.json"))
        return folder

    def weights(self, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
        """A copy of the parameters by name, on the CPU."""
        return {k: v.detach().cpu().to(dtype or v.dtype).contiguous().clone() for k, v in self.state_dict().items()}

    def norm_parts(self, norm: nn.Module) -> NormParts:
        assert isinstance(norm, LayerNorm)
        return NormParts(norm.w, norm.b, norm.eps, centred=True)

    def _per_layer(self, name: str, part: str = "attn") -> Tensor:
        return torch.stack([getattr(getattr(block, part), name) for block in self.blocks])

    def _biases(self, name: str, part: str) -> Float[Tensor, "layer d_model"]:
        found = [getattr(getattr(block, part), name, None) for block in self.blocks]
        zero = torch.zeros(self.config.d_model, device=self.device, dtype=self.dtype)
        return torch.stack([zero if bias is None else bias for bias in found])

    @property
    def W_Q(self) -> Float[Tensor, "layer head d_model d_head"]:  # type: ignore[override]
        return self._per_layer("W_Q")

    @property
    def W_K(self) -> Float[Tensor, "layer head d_model d_head"]:  # type: ignore[override]
        return self._per_layer("W_K")

    @property
    def W_V(self) -> Float[Tensor, "layer head d_model d_head"]:  # type: ignore[override]
        return self._per_layer("W_V")

    @property
    def W_O(self) -> Float[Tensor, "layer head d_head d_model"]:  # type: ignore[override]
        return self._per_layer("W_O")

    @property
    def b_O(self) -> Float[Tensor, "layer d_model"]:  # type: ignore[override]
        return self._biases("b_O", "attn")

    @property
    def W_out(self) -> Float[Tensor, "layer d_mlp d_model"]:  # type: ignore[override]
        return self._per_layer("W_out", "mlp")

    @property
    def b_out(self) -> Float[Tensor, "layer d_model"]:  # type: ignore[override]
        return self._biases("b_out", "mlp")


class Part(nn.Module):
    """A piece of a model that can offer its activations to the model's sites."""

    def __init__(self, model: Transformer, prefix: str) -> None:
        super().__init__()
        self._model = (model,)  # in a tuple, so that torch does not register the parent as a child
        self.prefix = prefix

    def site(self, name: str, value: Tensor) -> Tensor:
        return self._model[0].site(f"{self.prefix}.{name}", value)

    def active(self, name: str) -> bool:
        return self._model[0].active(f"{self.prefix}.{name}")


class Block(Part):
    """x + attention(x), then + MLP."""

    def __init__(self, model: Transformer, layer: int) -> None:
        super().__init__(model, f"blocks.{layer}")
        norm = model.config.norm == "layernorm"
        self.ln1 = LayerNorm(model, f"{self.prefix}.ln1") if norm else None
        self.attn = Attention(model, f"{self.prefix}.attn")
        self.ln2 = LayerNorm(model, f"{self.prefix}.ln2") if norm and model.config.d_mlp else None
        self.mlp = MLP(model, f"{self.prefix}.mlp") if model.config.d_mlp else None

    def forward(self, x: Tensor, shift: Tensor | None, allowed: Tensor) -> Float[Tensor, "batch pos d_model"]:
        x = self.site("hook_resid_pre", x)
        attn_in = self.ln1(x) if self.ln1 is not None else x
        x = x + self.site("hook_attn_out", self.attn(attn_in, shift, allowed))
        if self.mlp is not None:
            x = self.site("hook_resid_mid", x)
            x = x + self.site("hook_mlp_out", self.mlp(self.ln2(x) if self.ln2 is not None else x))
        return self.site("hook_resid_post", x)


class Attention(Part):
    """All heads of one layer, one matrix each."""

    def __init__(self, model: Transformer, prefix: str) -> None:
        super().__init__(model, prefix)
        c = model.config
        self.scale = 1 / math.sqrt(c.d_head)
        for name in ("W_Q", "W_K", "W_V"):
            self.register_parameter(name, nn.Parameter(torch.zeros(c.n_heads, c.d_model, c.d_head)))
        self.W_O = nn.Parameter(torch.zeros(c.n_heads, c.d_head, c.d_model))
        for name in ("b_Q", "b_K", "b_V"):
            self.register_parameter(name, nn.Parameter(torch.zeros(c.n_heads, c.d_head)) if c.attn_bias else None)
        self.b_O = nn.Parameter(torch.zeros(c.d_model)) if c.attn_bias else None

    def forward(
        self,
        x: Float[Tensor, "batch pos d_model"],
        shift: Float[Tensor, "batch pos d_model"] | None,
        allowed: Bool[Tensor, "batch 1 query key"],
    ) -> Float[Tensor, "batch pos d_model"]:
        qk_in = x if shift is None else x + shift
        q = self.site("hook_q", self._project(qk_in, "Q"))
        k = self.site("hook_k", self._project(qk_in, "K"))
        v = self.site("hook_v", self._project(x, "V"))
        scores = einsum(q, k, "batch query head d, batch key head d -> batch head query key") * self.scale
        scores = self.site("hook_attn_scores", scores.masked_fill(~allowed, -torch.inf))
        # A padded position may be allowed to see nothing at all: its row is NaN after the softmax, and is set to 0.
        pattern = self.site("hook_pattern", scores.softmax(-1).masked_fill(~allowed, 0.0))
        z = self.site("hook_z", einsum(pattern, v, "batch head query key, batch key head d -> batch query head d"))
        if self.active("hook_result"):  # [batch pos head d_model] is large: made only when somebody looks
            result = einsum(z, self.W_O, "batch pos head d, head d d_model -> batch pos head d_model")
            out = self.site("hook_result", result).sum(2)
        else:
            out = einsum(z, self.W_O, "batch pos head d, head d d_model -> batch pos d_model")
        return out + self.b_O if self.b_O is not None else out

    def _project(self, x: Tensor, which: str) -> Float[Tensor, "batch pos head d_head"]:
        out = einsum(x, getattr(self, f"W_{which}"), "batch pos d_model, head d_model d -> batch pos head d")
        bias = getattr(self, f"b_{which}")
        return out + bias if bias is not None else out


class MLP(Part):
    """act(x W_in + b_in) W_out + b_out."""

    def __init__(self, model: Transformer, prefix: str) -> None:
        super().__init__(model, prefix)
        c = model.config
        self.W_in = nn.Parameter(torch.zeros(c.d_model, c.d_mlp))
        self.b_in = nn.Parameter(torch.zeros(c.d_mlp)) if c.mlp_bias else None
        self.W_out = nn.Parameter(torch.zeros(c.d_mlp, c.d_model))
        self.b_out = nn.Parameter(torch.zeros(c.d_model)) if c.mlp_bias else None
        self.act = _ACTIVATIONS[c.act]

    def forward(self, x: Tensor) -> Float[Tensor, "batch pos d_model"]:
        pre = x @ self.W_in
        pre = self.site("hook_pre", pre + self.b_in if self.b_in is not None else pre)
        out = self.site("hook_post", self.act(pre)) @ self.W_out
        return out + self.b_out if self.b_out is not None else out


class LayerNorm(Part):
    """(x − mean) / scale · w + b, with scale = √(variance + ε) as a site of its own."""

    def __init__(self, model: Transformer, prefix: str) -> None:
        super().__init__(model, prefix)
        self.eps = model.config.norm_eps
        self.w = nn.Parameter(torch.ones(model.config.d_model))
        self.b = nn.Parameter(torch.zeros(model.config.d_model))

    def forward(self, x: Tensor) -> Float[Tensor, "batch pos d_model"]:
        x = x - x.mean(-1, keepdim=True)
        scale = self.site("hook_scale", (x.pow(2).mean(-1, keepdim=True) + self.eps).sqrt())
        return self.site("hook_normalized", x / scale * self.w + self.b)


def _positions(tokens: Tensor, mask: Tensor | None) -> Int[Tensor, "batch pos"]:
    """0, 1, 2, … over the real tokens of each row, so that padding on the left shifts nothing."""
    if mask is None:
        return torch.arange(tokens.shape[1], device=tokens.device).expand(tokens.shape)
    return (mask.long().cumsum(-1) - 1).clamp(min=0)


def _allowed(tokens: Tensor, mask: Tensor | None) -> Bool[Tensor, "batch 1 query key"]:
    """Which key each query may see: earlier or equal, and not padding."""
    n = tokens.shape[1]
    causal = torch.ones(n, n, dtype=torch.bool, device=tokens.device).tril()[None, None]
    return causal if mask is None else causal & mask[:, None, None, :]
