"""`TransformersModel`: a language model of `transformers` behind the sites of `HookedModel`.

Nothing of the model is rewritten. `instrument.py` puts places into it at which its activations can be read and edited.
"""

from __future__ import annotations

import functools
import os
import socket
import urllib.request
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError
from torch import Tensor, nn

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    GenerationConfig,
)
from transformers.utils import logging as hf_logging

from mi_lib.models import attention
from mi_lib.models.again import Again, running_again
from mi_lib.models.checks import self_check
from mi_lib.models.config import ModelConfig
from mi_lib.models.edits import Entry
from mi_lib.models.errors import LoadError
from mi_lib.models.families import family_of, part
from mi_lib.models.folding import fold_transformers
from mi_lib.models.hooked import HookedModel
from mi_lib.models.instrument import Instrument, Span, Stop
from mi_lib.models.norms import NormParts
from mi_lib.models.projections import bias, matrix


class TransformersModel(HookedModel):
    """A `transformers` causal language model whose activations can be read and edited by name.

    k and v have the model's own number of key-value heads; W_K and W_V repeat them, one for every query head, as
    TransformerLens does. hook_attn_out and hook_mlp_out are what the residual stream receives: Gemma norms them first.
    """

    def __init__(self, hf: Any, tokenizer: Any = None) -> None:
        self_family = family_of(hf.config)
        super().__init__(_summary(hf.config, self_family), tokenizer)
        self.family = self_family
        attention.register()
        self.hf: Any = hf
        if not hasattr(hf, "mi_instrument"):  # a second wrapper around one model uses what the first put in
            hf.mi_instrument = Instrument(hf, self_family, self.cfg.d_head)
        hf.mi_instrument.put_into(hf)

    @property
    def layers(self) -> list[Any]:
        """The blocks, as modules of `transformers`."""
        return list(part(self.hf, self.family.blocks))

    @property
    def _key(self) -> Instrument:
        return self.hf.mi_instrument

    @contextmanager
    def _registered(self, entries: Sequence[tuple[str, Entry]]) -> Iterator[None]:
        self._key.put_into(self.hf)  # again, where an adapter has exchanged a module since
        with super()._registered(entries):
            yield

    # --- running ----------------------------------------------------------------------------------------------

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
        self._warn_of_lengths(tokens, attention_mask)
        with self._key.running(Span(start_at_layer, residual, stop_at_layer)):
            try:
                return self.hf(
                    input_ids=tokens,
                    attention_mask=None if attention_mask is None else attention_mask.long(),
                    position_ids=_positions(tokens, attention_mask),
                    use_cache=False,
                    logits_to_keep=logits_to_keep,
                ).logits
            except Stop as stop:
                return stop.residual

    def _step(
        self, tokens: Int[Tensor, "batch pos"], attention_mask: Bool[Tensor, "batch all_pos"], past: Any
    ) -> tuple[Float[Tensor, "batch d_vocab"], Any]:
        self._warn_of_lengths(attention_mask, attention_mask)
        out = self.hf(
            input_ids=tokens,
            attention_mask=None if attention_mask.all() else attention_mask.long(),
            position_ids=_positions(attention_mask, attention_mask)[:, -tokens.shape[1] :],
            # Of all positions, also in layers with a window: what an edit of a pattern sees has a column for each.
            past_key_values=DynamicCache() if past is None else past,
            use_cache=True,
            logits_to_keep=1,
        )
        return out.logits[:, -1], out.past_key_values

    def _keep_rows(self, past: Any, rows: Int[Tensor, " kept"]) -> Any:
        past.batch_select_indices(rows)
        return past

    def _block_again(
        self, layer: int, residual: Float[Tensor, "1 place d_model"], again: Again
    ) -> Float[Tensor, "1 place d_model"]:
        args, kwargs = again.arguments()
        with running_again(again):
            out = self.layers[layer](residual, *args, **kwargs)
        return out[0] if isinstance(out, tuple) else out

    def _warn_of_lengths(self, tokens: Tensor, mask: Tensor | None) -> None:
        """Some rotary variants turn every text of a batch as the longest one asks."""
        limit = self._length_dependent
        if limit is None or tokens.shape[1] <= limit:
            return
        lengths = {tokens.shape[1]} if mask is None else set(mask.sum(1).tolist())
        if max(lengths) > limit and len(lengths) > 1:
            warnings.warn(
                f"the rotary positions of this model depend on the longest text of a batch beyond {limit} tokens, and "
                "these texts differ in length: the shorter ones are not read as they are alone. Run them one by one",
                stacklevel=4,
            )

    @functools.cached_property
    def _length_dependent(self) -> int | None:
        """The length beyond which the rotary frequencies depend on a batch's length; None if they never do."""
        config = self.hf.config
        rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
        variants = [rope, *(value for value in rope.values() if isinstance(value, dict))]
        for variant in variants:
            if variant.get("rope_type", variant.get("type")) in ("dynamic", "longrope"):
                return int(variant.get("original_max_position_embeddings") or config.max_position_embeddings)
        return None

    def folded(self) -> TransformersModel:
        return fold_transformers(self)

    def norm_parts(self, norm: Any) -> NormParts:
        return self.family.norm_parts(norm)

    def pre_norm(self, layer: int, which: Literal["attn", "mlp"]) -> nn.Module:
        return part(self.layers[layer], self.family.ln1 if which == "attn" else self.family.ln2)

    def post_norm(self, layer: int, which: Literal["attn", "mlp"]) -> nn.Module | None:
        path = self.family.attn_post if which == "attn" else self.family.mlp_post
        return part(self.layers[layer], path) if path else None

    # --- weights ----------------------------------------------------------------------------------------------

    @property
    def W_E(self) -> Float[Tensor, "d_vocab d_model"]:  # type: ignore[override]
        return part(self.hf, self.family.embed).weight

    @property
    def W_U(self) -> Float[Tensor, "d_model d_vocab"]:  # type: ignore[override]
        return matrix(self.hf.get_output_embeddings(), self.cfg.d_model)  # asked for: its name changed for GPT-NeoX

    @property
    def W_pos(self) -> Float[Tensor, "n_ctx d_model"]:
        if self.family.pos_embed is None:
            raise AttributeError("W_pos")  # `HookedModel.__getattr__` says why
        return part(self.hf, self.family.pos_embed).weight

    @property
    def W_Q(self) -> Float[Tensor, "layer head d_model d_head"]:  # type: ignore[override]
        return torch.stack([self._split_input(block, 0) for block in self.layers])

    @property
    def W_K(self) -> Float[Tensor, "layer head d_model d_head"]:  # type: ignore[override]
        return torch.stack([self._split_input(block, 1) for block in self.layers])

    @property
    def W_V(self) -> Float[Tensor, "layer head d_model d_head"]:  # type: ignore[override]
        return torch.stack([self._split_input(block, 2) for block in self.layers])

    def _weight(self, name: str, layer: int) -> Tensor:
        block = self.layers[layer]
        if name != "W_O":
            return self._split_input(block, ("W_Q", "W_K", "W_V").index(name))
        heads, d_head = self.cfg.n_heads, self.cfg.d_head
        found = matrix(part(block, f"{self.family.attn}.{self.family.out}"), heads * d_head)
        return found.unflatten(0, (heads, d_head))

    @property
    def b_Q(self) -> Float[Tensor, "layer head d_head"]:  # type: ignore[override]
        return torch.stack([self._split_input_bias(block, 0) for block in self.layers])

    @property
    def b_K(self) -> Float[Tensor, "layer head d_head"]:  # type: ignore[override]
        return torch.stack([self._split_input_bias(block, 1) for block in self.layers])

    @property
    def b_V(self) -> Float[Tensor, "layer head d_head"]:  # type: ignore[override]
        return torch.stack([self._split_input_bias(block, 2) for block in self.layers])

    @property
    def W_O(self) -> Float[Tensor, "layer head d_head d_model"]:  # type: ignore[override]
        heads, d_head = self.cfg.n_heads, self.cfg.d_head
        found = self._matrices(f"{self.family.attn}.{self.family.out}", heads * d_head)
        return found.unflatten(1, (heads, d_head))

    @property
    def b_O(self) -> Float[Tensor, "layer d_model"]:  # type: ignore[override]
        return self._biases(f"{self.family.attn}.{self.family.out}", self.cfg.n_heads * self.cfg.d_head)

    @property
    def W_in(self) -> Float[Tensor, "layer d_model d_mlp"]:  # type: ignore[override]
        return self._matrices(f"{self.family.mlp}.{self.family.mlp_linear or self.family.mlp_pre}", self.cfg.d_model)

    @property
    def b_in(self) -> Float[Tensor, "layer d_mlp"]:  # type: ignore[override]
        return self._biases(f"{self.family.mlp}.{self.family.mlp_linear or self.family.mlp_pre}", self.cfg.d_model)

    @property
    def W_gate(self) -> Float[Tensor, "layer d_model d_mlp"]:  # type: ignore[override]
        if self.family.mlp_linear is None:
            raise AttributeError("W_gate")
        return self._matrices(f"{self.family.mlp}.{self.family.mlp_pre}", self.cfg.d_model)

    @property
    def W_out(self) -> Float[Tensor, "layer d_mlp d_model"]:  # type: ignore[override]
        return self._matrices(f"{self.family.mlp}.{self.family.mlp_down}", self.cfg.d_mlp)

    @property
    def b_out(self) -> Float[Tensor, "layer d_model"]:  # type: ignore[override]
        return self._biases(f"{self.family.mlp}.{self.family.mlp_down}", self.cfg.d_mlp)

    @property
    def b_U(self) -> Float[Tensor, " d_vocab"] | None:  # type: ignore[override]
        return bias(self.hf.get_output_embeddings(), self.cfg.d_model)

    @property
    def ln_final(self) -> nn.Module:  # type: ignore[override]
        return part(self.hf, self.family.ln_final)

    @property
    def logit_cap(self) -> float | None:  # type: ignore[override]
        return getattr(self.hf.config, "final_logit_softcapping", None)

    def _matrices(self, path: str, d_in: int) -> Float[Tensor, "layer d_in d_out"]:
        return torch.stack([matrix(part(block, path), d_in) for block in self.layers])

    def _biases(self, path: str, d_in: int) -> Float[Tensor, "layer d_out"]:
        """The biases of one projection in every block; zero where the architecture has none."""
        modules = [part(block, path) for block in self.layers]
        found = [bias(module, d_in) for module in modules]
        zero = matrix(modules[0], d_in)[0].detach() * 0
        return torch.stack([zero if one is None else one for one in found])

    def _input(self, block: nn.Module, which: int) -> nn.Module:
        f = self.family
        return part(block, f"{f.attn}.{f.qkv[0 if f.fused else which]}")

    def _split_input(self, block: nn.Module, which: int) -> Float[Tensor, "head d_model d_head"]:
        found = matrix(self._input(block, which), self.cfg.d_model)
        return rearrange(self._one_of_three(found, which), "m head d -> head m d")

    def _split_input_bias(self, block: nn.Module, which: int) -> Float[Tensor, "head d_head"]:
        module = self._input(block, which)
        found = bias(module, self.cfg.d_model)
        if found is None:
            return self._split_input(block, which).new_zeros(self.cfg.n_heads, self.cfg.d_head)
        return self._one_of_three(found, which)

    def _one_of_three(self, fused: Float[Tensor, "*rest out"], which: int) -> Float[Tensor, "*rest head d_head"]:
        """The columns of the queries, keys or values; keys and values repeated, one for every query head."""
        axes = {"": "(head d)", "thirds": "(three head d)", "per head": "(head three d)"}[self.family.fused]
        sizes = {"d": self.cfg.d_head} | ({"three": 3} if self.family.fused else {})
        target = "three ... head d" if self.family.fused else "... head d"
        found = rearrange(fused, f"... {axes} -> {target}", **sizes)
        found = found[which] if self.family.fused else found
        return found.repeat_interleave(self.cfg.n_heads // found.shape[-2], dim=-2)


def open_transformers(
    name: str,
    *,
    dtype: torch.dtype,
    device: str | torch.device | None = None,
    check: bool = True,
    weights: dict[str, Tensor] | None = None,
) -> TransformersModel:
    """Open a folder or hub id with `transformers`. LoadError for whatever cannot be trusted.

    weights: take these instead of those that lie there (a checkpoint, say), by the names of `transformers`' files.
    """
    local = Path(name).is_dir() or not _hub_has_an_address()
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=local)
    except (OSError, ValueError, KeyError) as error:
        raise LoadError(_plainly(name, error)) from None
    family_of(config)
    bars, verbosity = hf_logging.is_progress_bar_enabled(), hf_logging.get_verbosity()
    hf_logging.disable_progress_bar()
    hf_logging.set_verbosity_error()  # its report on the weights becomes one sentence below
    try:
        # A wrong shape is let through here only to be refused below, with its name.
        options: Any = {"output_loading_info": True, "ignore_mismatched_sizes": True, "local_files_only": local}
        opened: Any
        if weights is None:
            opened = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, **options)
        else:  # the class itself: the automatic one does not take weights
            of_config: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
            opened = of_config.from_pretrained(None, config=config, state_dict=weights, dtype=dtype, **options)
        hf, info = opened
        if weights is not None and (Path(name) / "generation_config.json").is_file():
            hf.generation_config = GenerationConfig.from_pretrained(name)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise LoadError(_plainly(name, error)) from None
    finally:
        hf_logging.set_verbosity(verbosity)
        if bars:
            hf_logging.enable_progress_bar()
    _refuse_gaps(name, hf, info)
    model = TransformersModel(hf.eval().requires_grad_(False), _tokenizer(name, local))
    if device is not None:
        model.to(device)
    if check and (failed := [c for c in self_check(model, quick=True) if not c.ok]):
        raise LoadError(f"{name} fails the self-check {failed[0].name!r}: {failed[0].detail}; it cannot be trusted")
    return model


def _refuse_gaps(name: str, hf: Any, info: dict[str, Any]) -> None:
    """LoadError if a weight is missing, of another shape than config.json says (random numbers then), or not finite."""

    def and_more(found: list[Any]) -> str:
        return f" (and {len(found) - 1} more)" if len(found) > 1 else ""

    if missing := sorted(map(str, info.get("missing_keys") or ())):
        raise LoadError(f"{name} lacks the weight {missing[0]}{and_more(missing)}; fetch the model again")
    if misfits := sorted(info.get("mismatched_keys") or (), key=str):
        weight, found, wanted = misfits[0]
        raise LoadError(
            f"{name}: {weight} has shape {tuple(found)}, but config.json asks for {tuple(wanted)}{and_more(misfits)}; "
            "they do not belong together"
        )
    for weight, value in hf.named_parameters():
        if not torch.isfinite(value).all():
            raise LoadError(f"{name}: {weight} holds NaN or infinite numbers; fetch the model again")


def _hub_has_an_address() -> bool:
    """False without a network, where the hub's client would try again and again for most of a minute."""
    from huggingface_hub import constants

    if urllib.request.getproxies():
        return True  # a proxy looks addresses up by itself
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
    except OSError:
        return False
    return True


def _tokenizer(name: str, local: bool) -> Any:
    folder = Path(name)
    if folder.is_dir() and not any(folder.glob("tokenizer*")) and not any(folder.glob("vocab*")):
        return None
    try:
        return AutoTokenizer.from_pretrained(name, local_files_only=local)
    except Exception as error:  # a damaged tokenizer.json raises whatever its reader stumbles over
        raise LoadError(f"the tokenizer of {name} cannot be read ({_first_line(error)}); fetch it again") from None


def _plainly(name: str, error: Exception) -> str:
    if Path(name).is_dir():
        return f"{name} cannot be opened as a transformers model ({_first_line(error)}); fetch the model again"
    return (
        f"{name!r} is no bundled model and no folder here, and it could not be fetched from the hub "
        f"({_first_line(error)}); check the name and the network, or give a folder"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(". ")


def _summary(config: Any, family: Any) -> ModelConfig:
    def first(*names: str) -> Any:
        """The first of these that the config has (architectures name the same thing differently)."""
        return next((value for name in names if (value := getattr(config, name, None)) is not None), None)

    heads = first("num_attention_heads", "n_head")
    d_model = first("hidden_size", "n_embd")
    return ModelConfig(
        n_layers=first("num_hidden_layers", "n_layer"),
        d_model=d_model,
        n_heads=heads,
        d_head=first("head_dim") or d_model // heads,  # Qwen 3 and Gemma: not d_model / n_heads
        d_vocab=config.vocab_size,
        n_ctx=first("max_position_embeddings", "n_positions"),
        d_mlp=first("intermediate_size", "n_inner") or 4 * d_model,
        n_kv_heads=first("num_key_value_heads"),
        act=str(first("hidden_act", "hidden_activation", "activation_function")),
        norm=family.norm,
        positions="learned" if family.pos_embed else "rotary",
        parallel=bool(getattr(config, "use_parallel_residual", False)),
        gated=family.mlp_linear is not None,
        architecture=config.model_type,
    )


def _positions(tokens: Tensor, mask: Tensor | None) -> Int[Tensor, "batch pos"]:
    """0, 1, 2, … over the real tokens of each row, so that padding on the left shifts nothing."""
    if mask is None:
        return torch.arange(tokens.shape[1], device=tokens.device).expand(tokens.shape)
    return (mask.long().cumsum(-1) - 1).clamp(min=0)
