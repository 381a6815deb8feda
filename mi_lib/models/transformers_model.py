"""`TransformersModel`: a language model of `transformers` behind the sites of `HookedModel`.

Nothing of the model is rewritten. For each active site a torch hook is put on the module where that activation passes,
and taken off again when nobody wants the site any more. What happens inside attention is seen by `attention.py`.
"""

from __future__ import annotations

import copy
import os
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import torch
from einops import einsum, rearrange
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError
from torch import Tensor, nn

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as hf_logging

from mi_lib.models import attention
from mi_lib.models.config import ModelConfig
from mi_lib.models.errors import LoadError
from mi_lib.models.families import family_of, part
from mi_lib.models.hooked import HookedModel, NormParts


class _Stop(Exception):
    """Ends a forward pass before the block that was asked for."""

    def __init__(self, residual: Tensor) -> None:
        self.residual = residual


class TransformersModel(HookedModel):
    """A `transformers` causal language model whose activations can be read and edited by name.

    k and v have the model's own number of key-value heads; W_K and W_V repeat them, one for every query head, as
    TransformerLens does. hook_attn_out and hook_mlp_out are what the residual stream receives: Gemma norms them first.
    """

    def __init__(self, hf: Any, tokenizer: Any = None) -> None:
        self_family = family_of(hf.config)
        super().__init__(_summary(hf.config, self_family), tokenizer)
        self.family = self_family
        self.hf: Any = hf
        self._plain_attention = "eager" if self.family.needs_eager else "sdpa"
        hf.config._attn_implementation = self._plain_attention
        self.layers = list(part(hf, self.family.blocks))
        attention.register()
        for layer, block in enumerate(self.layers):
            part(block, self.family.attn).mi_owner = (_Weak(self), f"blocks.{layer}.attn")
        self._handles: dict[str, list[Any]] = {}
        self._mid_change: dict[int, Tensor] = {}
        for name in self.hook_names:  # every path of the family's row is tried once, so that a wrong row is told now
            _ = self._plan(name)

    def __deepcopy__(self, memo: dict) -> TransformersModel:
        """A model of its own, with the same tokenizer. RuntimeError while hooks are on it: they would stay behind."""
        if self._handles:
            raise RuntimeError("a model cannot be copied while it is being read or edited")
        attentions = [part(block, self.family.attn) for block in self.layers]
        owners = [vars(attention_).pop("mi_owner") for attention_ in attentions]
        try:
            hf = copy.deepcopy(self.hf, memo)
        finally:
            for attention_, owner in zip(attentions, owners, strict=True):
                attention_.mi_owner = owner
        new = TransformersModel(hf, self.tokenizer)
        new.source = self.source
        return new

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
        handles: list[Any] = []
        skipped = self.layers[:start_at_layer]
        if stop_at_layer is not None and stop_at_layer < self.cfg.n_layers:
            handles.append(self.layers[stop_at_layer].register_forward_pre_hook(_stop, with_kwargs=True, prepend=True))
        if residual is not None:
            replace = _replace_input(lambda _: residual)
            block = self.layers[start_at_layer]
            handles.append(block.register_forward_pre_hook(replace, with_kwargs=True, prepend=True))
        try:
            for block in skipped:
                block.forward = _pass_through
            return self.hf(
                input_ids=tokens,
                attention_mask=None if attention_mask is None else attention_mask.long(),
                position_ids=_positions(tokens, attention_mask),
                use_cache=False,
                logits_to_keep=logits_to_keep,
            ).logits
        except _Stop as stop:
            return stop.residual
        finally:
            for block in skipped:
                del block.forward
            for handle in handles:
                handle.remove()
            self._mid_change.clear()

    # --- sites ------------------------------------------------------------------------------------------------

    def _attach(self, names: set[str]) -> None:
        """Put torch hooks where sites have become active, and take away those that nobody wants any more."""
        for name in set(self._handles) - names:
            for handle in self._handles.pop(name):
                handle.remove()
        for name in names - set(self._handles):
            self._handles[name] = [register() for register in self._plan(name)]
        inside = any(name.endswith(tuple(f"attn.hook_{inner}" for inner in attention.INNER)) for name in names)
        self.hf.config._attn_implementation = attention.NAME if inside else self._plain_attention  # type: ignore

    def _plan(self, name: str) -> list[Callable[[], Any]]:
        """How to attach one site: functions that register torch hooks and return their handles."""
        f, site = self.family, lambda value: self.site(name, value)
        *where, last = name.split(".")
        short = last.removeprefix("hook_")
        if not where:
            path = f.embed if short == "embed" else f.pos_embed
            assert path is not None
            return [_on_output(part(self.hf, path), site)]
        if where == ["ln_final"]:
            return [self._on_norm(part(self.hf, f.ln_final), short, site)]
        block = self.layers[int(where[1])]
        attn, mlp = part(block, f.attn), part(block, f.mlp)
        if where[2:] in (["ln1"], ["ln2"]):
            return [self._on_norm(part(block, f.ln1 if where[2] == "ln1" else f.ln2), short, site)]
        if where[2:] == ["attn"]:
            if short in attention.INNER:
                return []  # offered by the attention function itself
            if short == "result":
                return [self._on_result(part(attn, f.out), site)]
            return [self._on_projection(attn, "qkv".index(short), site)]
        if where[2:] == ["mlp"]:
            if short == "post":
                return [_on_input(part(mlp, f.mlp_down), site)]
            path = f.mlp_pre if short == "pre" else f.mlp_linear
            assert path is not None
            return [_on_output(part(mlp, path), site)]
        if short == "resid_pre":
            return [_on_input(block, site)]
        if short == "resid_post":
            return [_on_output(block, site)]
        if short == "attn_out":
            return [_on_output(part(block, f.attn_post) if f.attn_post else attn, site)]
        if short == "mlp_out":
            return [_on_output(part(block, f.mlp_post) if f.mlp_post else mlp, site)]
        return self._on_resid_mid(int(where[1]), part(block, f.ln2), block, site)

    def _on_projection(self, attn: nn.Module, which: int, site: Callable) -> Callable[[], Any]:
        """q, k or v as they leave their projection, before any rotation: [batch pos head d_head]."""
        f, d_head = self.family, self.cfg.d_head
        if not f.fused:
            projection = part(attn, f.qkv[which])
            return _on_output(projection, lambda out: site(out.unflatten(-1, (-1, d_head))).flatten(-2))
        axes = "batch pos (three head d)" if f.fused == "thirds" else "batch pos (head three d)"

        def edit(out: Tensor) -> Tensor:
            parts = rearrange(out, f"{axes} -> three batch pos head d", three=3, d=d_head)
            new = site(parts[which])
            if new is parts[which]:
                return out
            pieces = [new if i == which else parts[i] for i in range(3)]
            return rearrange(torch.stack(pieces), f"three batch pos head d -> {axes}")

        return _on_output(part(attn, f.qkv[0]), edit)

    def _on_result(self, projection: nn.Module, site: Callable) -> Callable[[], Any]:
        """What each head adds: z W_O, head by head. Computed only while somebody looks."""
        W_O = self._split_output(projection)

        def hook(_: nn.Module, args: tuple, out: Tensor) -> Tensor:
            z = args[0].unflatten(-1, (-1, self.cfg.d_head))
            result = site(einsum(z, W_O, "batch pos head d, head d d_model -> batch pos head d_model"))
            summed = result.sum(2)
            return summed if projection.bias is None else summed + projection.bias

        return lambda: projection.register_forward_hook(hook)

    def _on_norm(self, norm: Any, short: str, site: Callable) -> Callable[[], Any]:
        """hook_normalized is what leaves the norm; hook_scale is its divisor, and the norm is computed anew from it."""
        if short == "normalized":
            return _on_output(norm, site)

        def hook(_: nn.Module, args: tuple, out: Tensor) -> Tensor:
            weight, bias, epsilon, centred = self.norm_parts(norm)
            x = args[0].float() if args[0].dtype in (torch.float16, torch.bfloat16) else args[0]
            x = x - x.mean(-1, keepdim=True) if centred else x
            scale = site((x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt())
            return (x / scale * weight + bias).to(out.dtype)

        # Before a hook on what leaves the norm, which this one computes anew.
        return lambda: norm.register_forward_hook(hook, prepend=True)

    def norm_parts(self, norm: Any) -> NormParts:
        epsilon = getattr(norm, "eps", None) or getattr(norm, "variance_epsilon", None) or 1e-6
        weight = 1 + norm.weight if self.family.norm_plus_one else norm.weight
        bias = getattr(norm, "bias", None)
        centred = self.family.norm == "layernorm"
        return NormParts(weight, torch.zeros_like(weight) if bias is None else bias, epsilon, centred)

    def post_norm(self, layer: int, which: Literal["attn", "mlp"]) -> nn.Module | None:
        path = self.family.attn_post if which == "attn" else self.family.mlp_post
        return part(self.layers[layer], path) if path else None

    def _on_resid_mid(self, layer: int, ln2: nn.Module, block: nn.Module, site: Callable) -> list[Callable[[], Any]]:
        """The stream between attention and MLP goes two ways: into the norm, and around the MLP.

        A hook sees only the first. What an edit changes there is therefore also added to what leaves the block.
        """

        def before_norm(_: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
            value = args[0] if args else kwargs["hidden_states"]
            new = site(value)
            if new is not value:
                self._mid_change[layer] = new - value
            return ((new, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": new})

        def after_block(_: nn.Module, __: tuple, out: Tensor) -> Tensor:
            return out + self._mid_change.pop(layer) if layer in self._mid_change else out

        return [
            lambda: ln2.register_forward_pre_hook(before_norm, with_kwargs=True),
            # Before a reader of resid_post, whenever that one came.
            lambda: block.register_forward_hook(after_block, prepend=True),
        ]

    # --- weights ----------------------------------------------------------------------------------------------

    @property
    def W_E(self) -> Float[Tensor, "d_vocab d_model"]:  # type: ignore[override]
        return part(self.hf, self.family.embed).weight

    @property
    def W_U(self) -> Float[Tensor, "d_model d_vocab"]:  # type: ignore[override]
        return self.hf.get_output_embeddings().weight.T  # asked for, because its name has changed for GPT-NeoX

    @property
    def W_pos(self) -> Float[Tensor, "n_ctx d_model"]:
        if self.family.pos_embed is None:
            raise AttributeError("this model has rotary positions, so there is no W_pos")
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

    @property
    def W_O(self) -> Float[Tensor, "layer head d_head d_model"]:  # type: ignore[override]
        return torch.stack([self._split_output(part(b, f"{self.family.attn}.{self.family.out}")) for b in self.layers])

    @property
    def b_O(self) -> Float[Tensor, "layer d_model"]:  # type: ignore[override]
        return self._biases(f"{self.family.attn}.{self.family.out}")

    @property
    def W_out(self) -> Float[Tensor, "layer d_mlp d_model"]:  # type: ignore[override]
        weights = [part(block, f"{self.family.mlp}.{self.family.mlp_down}").weight for block in self.layers]
        return torch.stack([weight if self.family.transposed else weight.T for weight in weights])

    @property
    def b_out(self) -> Float[Tensor, "layer d_model"]:  # type: ignore[override]
        return self._biases(f"{self.family.mlp}.{self.family.mlp_down}")

    @property
    def b_U(self) -> Float[Tensor, " d_vocab"] | None:  # type: ignore[override]
        return getattr(self.hf.get_output_embeddings(), "bias", None)

    @property
    def ln_final(self) -> nn.Module:  # type: ignore[override]
        return part(self.hf, self.family.ln_final)

    @property
    def logit_cap(self) -> float | None:  # type: ignore[override]
        return getattr(self.hf.config, "final_logit_softcapping", None)

    def _biases(self, path: str) -> Float[Tensor, "layer d_model"]:
        """The biases of one projection in every block; zero where the architecture has none."""
        found = [getattr(part(block, path), "bias", None) for block in self.layers]
        zero = torch.zeros(self.cfg.d_model, device=self.device, dtype=self.dtype)
        return torch.stack([zero if bias is None else bias for bias in found])

    def _split_input(self, block: nn.Module, which: int) -> Float[Tensor, "head d_model d_head"]:
        f, attn = self.family, part(block, self.family.attn)
        module = part(attn, f.qkv[0 if f.fused else which])
        weight = module.weight.T if f.transposed else module.weight  # [out, in], as Linear has it
        if f.fused:
            axes = "(three head d) m" if f.fused == "thirds" else "(head three d) m"
            weight = rearrange(weight, f"{axes} -> three head m d", three=3, d=self.cfg.d_head)[which]
        else:
            weight = rearrange(weight, "(head d) m -> head m d", d=self.cfg.d_head)
        return weight.repeat_interleave(self.cfg.n_heads // weight.shape[0], dim=0)

    def _split_output(self, projection: Any) -> Float[Tensor, "head d_head d_model"]:
        weight = projection.weight if self.family.transposed else projection.weight.T
        return rearrange(weight, "(head d) m -> head d m", d=self.cfg.d_head)


class _Weak:
    """Stands for the model in its own attention modules, without becoming one of their sub-modules."""

    def __init__(self, model: TransformersModel) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_model"], name)

    def __deepcopy__(self, memo: dict) -> _Weak:
        raise TypeError("load the model again instead of copying it: its attention modules point back at it")


def open_transformers(
    name: str, *, dtype: torch.dtype, device: str | torch.device | None = None, check: bool = True
) -> TransformersModel:
    """Open a folder or hub id with `transformers`. LoadError for whatever cannot be trusted."""
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
        opened: Any = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, **options)
        hf, info = opened
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
    if check:
        from mi_lib.models.checks import self_check

        if failed := [c for c in self_check(model, quick=True) if not c.ok]:
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


def _pass_through(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return hidden_states


def _stop(_: nn.Module, args: tuple, kwargs: dict) -> None:
    raise _Stop(args[0] if args else kwargs["hidden_states"])


def _replace_input(new: Callable[[Tensor], Tensor]) -> Callable:
    """A pre-hook that exchanges a module's first argument, however it was given."""

    def hook(_: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        if args:
            return (new(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": new(kwargs["hidden_states"])}

    return hook


def _on_input(module: nn.Module, site: Callable[[Tensor], Tensor]) -> Callable[[], Any]:
    return lambda: module.register_forward_pre_hook(_replace_input(site), with_kwargs=True)


def _on_output(module: nn.Module, site: Callable[[Tensor], Tensor]) -> Callable[[], Any]:
    """A hook on what leaves a module: a bare tensor, or the first of a tuple (attention returns one)."""

    def hook(_: nn.Module, __: tuple, out: Any) -> Any:
        return (site(out[0]), *out[1:]) if isinstance(out, tuple) else site(out)

    return lambda: module.register_forward_hook(hook)
