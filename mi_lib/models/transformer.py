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

import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from einops import einsum
from jaxtyping import Bool, Float, Int
from safetensors.torch import save_file
from torch import Tensor, nn

from mi_lib.models.again import AGAIN, Again, remember, remember_call, running_again
from mi_lib.models.config import TransformerConfig
from mi_lib.models.edits import Beside, changed_at, exactly, offer
from mi_lib.models.folding import fold_native
from mi_lib.models.hooked import HookedModel
from mi_lib.models.norms import NormParts

Memory = list[tuple[Tensor, Tensor] | None]  # one place: keys and values so far [batch pos head d_head], updated

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_new": functools.partial(F.gelu, approximate="tanh"),  # and no lambda, which cannot be pickled
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
        x = self.site("hook_embed", self.W_E[tokens]) if residual is None else residual
        where = self.site("hook_pos_embed", self.W_pos[_positions(tokens, attention_mask)])  # [batch pos d_model]
        if residual is None and self.config.positions == "learned":
            x = x + where
        shift = where if self.config.positions == "shifted" else None
        allowed = _allowed(tokens.shape[1], tokens.shape[1], attention_mask, tokens.device)
        for block in self.blocks[start_at_layer:stop_at_layer]:
            x = block(x, shift, allowed)
        if stop_at_layer is not None:
            return x
        return self._unembedded(x, logits_to_keep)

    def _unembedded(self, x: Float[Tensor, "batch pos d_model"], keep: int) -> Float[Tensor, "batch kept d_vocab"]:
        x = self.ln_final(x) if self.ln_final is not None else x
        logits = (x[:, -keep:] if keep else x) @ self.W_U
        return logits + self.b_U if self.b_U is not None else logits

    def _step(
        self, tokens: Int[Tensor, "batch pos"], attention_mask: Bool[Tensor, "batch all_pos"], past: Any
    ) -> tuple[Float[Tensor, "batch d_vocab"], Any]:
        past = [None] * self.config.n_layers if past is None else past
        new = tokens.shape[1]
        x = self.site("hook_embed", self.W_E[tokens])
        where = self.site("hook_pos_embed", self.W_pos[_positions(attention_mask, attention_mask)[:, -new:]])
        x = x + where if self.config.positions == "learned" else x
        shift = where if self.config.positions == "shifted" else None
        allowed = _allowed(new, attention_mask.shape[1], attention_mask, tokens.device)
        kept = []
        for block, before in zip(self.blocks, past, strict=True):
            memory: Memory = [before]
            x = block(x, shift, allowed, memory)
            kept.append(memory[0])
        return self._unembedded(x, 1)[:, 0], kept

    def _keep_rows(self, past: Any, rows: Int[Tensor, " kept"]) -> Any:
        return [(k[rows], v[rows]) for k, v in past]

    def _block_again(
        self, layer: int, residual: Float[Tensor, "1 place d_model"], again: Again
    ) -> Float[Tensor, "1 place d_model"]:
        (shift,), _ = again.arguments()
        with running_again(again):
            return self.blocks[layer](residual, shift, again.allowed)

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

    def pre_norm(self, layer: int, which: Literal["attn", "mlp"]) -> nn.Module | None:
        block: Any = self.blocks[layer]
        return block.ln1 if which == "attn" else block.ln2

    def folded(self) -> Transformer:
        return fold_native(self)

    def _per_layer(self, name: str, part: str = "attn") -> Tensor:
        return torch.stack([getattr(getattr(block, part), name) for block in self.blocks])

    def _biases(self, name: str, weight: str, part: str) -> Tensor:
        """The biases of every layer; zero where the architecture has none. `weight` gives their shape."""
        found = []
        for block in self.blocks:
            module = getattr(block, part)
            bias, W = getattr(module, name), getattr(module, weight)
            shape = (W.shape[0], W.shape[2]) if name in ("b_Q", "b_K", "b_V") else W.shape[-1:]
            found.append(W.new_zeros(shape) if bias is None else bias)
        return torch.stack(found)

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

    def _weight(self, name: str, layer: int) -> Tensor:
        block: Any = self.blocks[layer]
        return getattr(block.attn, name)

    @property
    def b_O(self) -> Float[Tensor, "layer d_model"]:  # type: ignore[override]
        return self._biases("b_O", "W_O", "attn")

    @property
    def b_Q(self) -> Float[Tensor, "layer head d_head"]:  # type: ignore[override]
        return self._biases("b_Q", "W_Q", "attn")

    @property
    def b_K(self) -> Float[Tensor, "layer head d_head"]:  # type: ignore[override]
        return self._biases("b_K", "W_K", "attn")

    @property
    def b_V(self) -> Float[Tensor, "layer head d_head"]:  # type: ignore[override]
        return self._biases("b_V", "W_V", "attn")

    @property
    def W_in(self) -> Float[Tensor, "layer d_model d_mlp"]:  # type: ignore[override]
        return self._per_layer("W_in", "mlp")

    @property
    def b_in(self) -> Float[Tensor, "layer d_mlp"]:  # type: ignore[override]
        return self._biases("b_in", "W_in", "mlp")

    @property
    def W_gate(self) -> Float[Tensor, "layer d_model d_mlp"]:  # type: ignore[override]
        raise AttributeError("W_gate")  # `HookedModel.__getattr__` says why

    @property
    def W_out(self) -> Float[Tensor, "layer d_mlp d_model"]:  # type: ignore[override]
        return self._per_layer("W_out", "mlp")

    @property
    def b_out(self) -> Float[Tensor, "layer d_model"]:  # type: ignore[override]
        return self._biases("b_out", "W_out", "mlp")


class Part(nn.Module):
    """A piece of a model that can offer its activations to the model's sites."""

    def __init__(self, model: Transformer, prefix: str) -> None:
        super().__init__()
        self._model = (model,)  # in a tuple, so that torch does not register the parent as a child
        self.prefix = prefix

    def site(self, name: str, value: Tensor) -> Tensor:
        return self.offer(name, value)[0]

    def offer(self, name: str, value: Tensor) -> tuple[Tensor, bool]:
        """What flows on at a site, and whether an edit has changed it."""
        return offer(self._model[0], f"{self.prefix}.{name}", value)

    def active(self, name: str) -> bool:
        return self._model[0].active(f"{self.prefix}.{name}")


class Block(Part):
    """x + attention(x), then + MLP."""

    def __init__(self, model: Transformer, layer: int) -> None:
        super().__init__(model, f"blocks.{layer}")
        self.layer = layer
        norm = model.config.norm == "layernorm"
        self.ln1 = LayerNorm(model, f"{self.prefix}.ln1") if norm else None
        self.attn = Attention(model, f"{self.prefix}.attn")
        self.ln2 = LayerNorm(model, f"{self.prefix}.ln2") if norm and model.config.d_mlp else None
        self.mlp = MLP(model, f"{self.prefix}.mlp") if model.config.d_mlp else None

    def forward(
        self, x: Float[Tensor, "batch pos d_model"], shift: Tensor | None, allowed: Tensor, memory: Memory | None = None
    ) -> Float[Tensor, "batch pos d_model"]:
        remember_call(self.layer, (shift,), {})
        x = self.site("hook_resid_pre", x)
        attn_in = self.ln1(x) if self.ln1 is not None else x
        attn_out = self.attn(attn_in, shift, allowed, (self._own_inputs(x), self.ln1), memory)
        x = x + self.site("hook_attn_out", attn_out)
        if self.mlp is not None:
            x = self.site("hook_resid_mid", x)
            mlp_in = self.site("hook_mlp_in", x)
            x = x + self.site("hook_mlp_out", self.mlp(self.ln2(mlp_in) if self.ln2 is not None else mlp_in))
        return self.site("hook_resid_post", x)

    def _own_inputs(self, x: Tensor) -> dict[str, tuple[Float[Tensor, "batch pos head d_model"], bool]]:
        """For "Q", "K", "V", where somebody looks: what each head reads of the stream, and whether it was edited."""
        found = {}
        for which in "QKV":
            name = f"hook_{which.lower()}_input"
            if not self.active(name):
                continue
            stream = x[:, :, None].expand(-1, -1, self._model[0].config.n_heads, -1)
            edited = bool(changed_at(self._model[0], [f"{self.prefix}.{name}"]))
            found[which] = self.offer(name, stream if edited else stream.detach())
            norm = [f"{self.prefix}.ln1.hook_scale", f"{self.prefix}.ln1.hook_normalized"]
            if found[which][1] and (both := changed_at(self._model[0], norm)):
                raise ValueError(f"{name} and {both[0]} cannot both be edited: each head would need a norm of its own")
        return found


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
        own: tuple[dict[str, tuple[Float[Tensor, "batch pos head d_model"], bool]], LayerNorm | None],
        memory: Memory | None = None,
    ) -> Float[Tensor, "batch pos d_model"]:
        q = self.site("hook_q", self._project(x, "Q", shift, own))
        k = self.site("hook_k", self._project(x, "K", shift, own))
        v = self.site("hook_v", self._project(x, "V", None, own))
        if memory is not None:  # keys and values of the positions before these
            k, v = (
                (k, v) if memory[0] is None else (torch.cat([a, b], 1) for a, b in zip(memory[0], (k, v), strict=True))
            )
            memory[0] = (k, v)
        again = AGAIN.get()
        if again is not None:
            q, k, v = again.spread(q, k, v)
        else:
            remember(self.prefix, k, v, allowed)
        scores = einsum(q, k, "batch query head d, batch key head d -> batch head query key") * self.scale
        scores = self.site("hook_attn_scores", scores.masked_fill(~allowed, -torch.inf))
        # A padded position may be allowed to see nothing at all: its row is NaN after the softmax, and is set to 0.
        pattern = self.site("hook_pattern", scores.softmax(-1).masked_fill(~allowed, 0.0))
        z = einsum(pattern, v, "batch head query key, batch key head d -> batch query head d")
        z = self.site("hook_z", z if again is None else again.gather(z))
        out = einsum(z, self.W_O, "batch pos head d, head d d_model -> batch pos d_model")
        if self.active("hook_result"):  # [batch pos head d_model] is large: made only when somebody looks
            result = einsum(z, self.W_O, "batch pos head d, head d d_model -> batch pos head d_model")
            new, changed = self.offer("hook_result", result)
            out = out if new is result else new.sum(2) if changed else exactly(out, new.sum(2))
        return out + self.b_O if self.b_O is not None else out

    def _project(
        self, x: Tensor, which: str, shift: Tensor | None, own: tuple[dict[str, tuple[Tensor, bool]], LayerNorm | None]
    ) -> Float[Tensor, "batch pos head d_head"]:
        x = x if shift is None else x + shift
        W, bias = getattr(self, f"W_{which}"), getattr(self, f"b_{which}")
        out = einsum(x, W, "batch pos d_model, head d_model d -> batch pos head d")
        inputs, norm = own
        if which in inputs:
            given, changed = inputs[which]

            def heads(x: Tensor) -> Tensor:
                x = x if norm is None else norm.plain(x)
                x = x if shift is None else x + shift[:, :, None]
                return einsum(x, W, "batch pos head d_model, head d_model d -> batch pos head d")

            out = heads(given) if changed else Beside.apply(out, given, heads) if given.requires_grad else out
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

    def plain(self, x: Tensor) -> Tensor:
        """The same, unseen by the sites."""
        return F.layer_norm(x, x.shape[-1:], self.w, self.b, self.eps)


def _positions(tokens: Tensor, mask: Tensor | None) -> Int[Tensor, "batch pos"]:
    """0, 1, 2, … over the real tokens of each row, so that padding on the left shifts nothing."""
    if mask is None:
        return torch.arange(tokens.shape[1], device=tokens.device).expand(tokens.shape)
    return (mask.long().cumsum(-1) - 1).clamp(min=0)


def _allowed(queries: int, keys: int, mask: Tensor | None, device: torch.device) -> Bool[Tensor, "batch 1 query key"]:
    """Which key each query may see: earlier or equal, and not padding. The queries are the last of the positions."""
    causal = torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)[None, None]
    return causal if mask is None else causal & mask[:, None, None, :]
