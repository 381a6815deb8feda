"""Self-checks: does a model, behind its sites, still compute what it computes, and does every edit arrive?

`load` runs the quick ones and refuses a model that fails. `mi doctor --model NAME` shows all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from mi_lib.models.hooked import HookedModel


@dataclass(frozen=True)
class Check:
    """One measured property: value is the largest deviation (or the smallest effect), bound what it may be."""

    name: str
    value: float
    bound: float
    ok: bool
    detail: str


def self_check(model: HookedModel, quick: bool = False) -> list[Check]:
    """All checks of a model, or the quick ones, which every load makes."""
    checks: list[Callable[[HookedModel, Tensor], Check]] = [_logits, _rows, _causal, _edits, _padding]
    if not quick:
        checks += [_heads, _stream, _gradients, _bfloat16]
    tokens = torch.randint(
        0, model.cfg.d_vocab, (2, min(7, model.cfg.n_ctx)), generator=torch.Generator().manual_seed(0)
    ).to(model.device)
    with torch.no_grad():
        return [check(model, tokens) for check in checks]


def _at_most(name: str, value: float, bound: float, detail: str) -> Check:
    return Check(name, value, bound, bool(value <= bound), detail)


def _tolerance(model: HookedModel, base: float) -> float:
    """The bounds are for float32 numbers of about 1; coarser types and larger numbers are allowed their rounding."""
    return base * torch.finfo(model.dtype).eps / torch.finfo(torch.float32).eps if model.dtype.itemsize < 4 else base


def _plain_logits(model: HookedModel, tokens: Tensor) -> Tensor:
    hf = getattr(model, "hf", None)
    return model(tokens) if hf is None else hf(input_ids=tokens, use_cache=False).logits


def _logits(model: HookedModel, tokens: Tensor) -> Check:
    plain = _plain_logits(model, tokens)
    hooked, _ = model.run_with_cache(tokens, model.hook_names)
    gap = (plain - hooked).abs().max().item() / max(1.0, plain.abs().max().item())
    return _at_most("logits", gap, 0.0, "with every site read, the logits are not bit for bit the plain model's")


def _same(value: Tensor, hook: object) -> Tensor:
    """Another tensor with the same numbers: an edit, as far as the model can tell."""
    return value + 0


def _patterns(model: HookedModel, tokens: Tensor) -> list[Tensor]:
    _, cache = model.run_with_cache(tokens, lambda name: name.endswith("hook_pattern"))
    return [cache[name].float() for name in cache]


def _rows(model: HookedModel, tokens: Tensor) -> Check:
    gap = max((pattern.sum(-1) - 1).abs().max().item() for pattern in _patterns(model, tokens))
    return _at_most("pattern rows", gap, _tolerance(model, 1e-5), "the rows of an attention pattern do not sum to 1")


def _causal(model: HookedModel, tokens: Tensor) -> Check:
    ahead = max(pattern.triu(1).abs().max().item() for pattern in _patterns(model, tokens))
    return _at_most("causality", ahead, 0.0, "an attention pattern looks at later positions")


def _edits(model: HookedModel, tokens: Tensor) -> Check:
    """Every site, when edited at the last position, must change the logits."""
    clean = model(tokens)
    silent = []
    smallest = float("inf")
    for name in model.hook_names:
        effect = (model.run_with_hooks(tokens, [(name, _disturb)]) - clean).abs().max().item()
        smallest = min(smallest, effect)
        if not effect > 0:
            silent.append(name)
    detail = f"an edit has no effect at {', '.join(silent[:3])}" if silent else "every site's edit changes the logits"
    return Check("edits", smallest, 0.0, not silent, detail)


def _disturb(value: Tensor, hook: object) -> Tensor:
    """Another value of the same kind: not constant over the last axis, which a norm would take out again."""
    factor = 1 + torch.linspace(0.5, 1.5, value.shape[-1], device=value.device, dtype=value.dtype)
    noise = torch.linspace(-1, 1, value.shape[-1], device=value.device, dtype=value.dtype)
    return value * factor + noise.expand_as(value).masked_fill(value == 0, 0)


def _heads(model: HookedModel, tokens: Tensor) -> Check:
    """Σ_heads z W_O + b_O is what the attention layer writes (before Gemma's norm)."""
    gap = 0.0
    _, cache = model.run_with_cache(tokens, lambda name: name.endswith(("hook_z", "hook_result", "hook_attn_out")))
    bias = getattr(model, "b_O", None)
    for layer in range(model.cfg.n_layers):
        summed = torch.einsum("bphd,hdm->bpm", cache["z", layer], model.W_O[layer])
        gap = max(gap, (summed - cache["result", layer].sum(2)).abs().max().item())
        post = getattr(getattr(model, "family", None), "attn_post", None)
        if post is None:
            native = getattr(model, "blocks", None)
            own = native[layer].attn.b_O if native is not None else bias[layer] if bias is not None else None
            total = summed if own is None else summed + own
            gap = max(gap, (total - cache["attn_out", layer]).abs().max().item())
    return _at_most("heads", gap, _tolerance(model, 1e-5), "the heads' results do not sum to the attention output")


def _stream(model: HookedModel, tokens: Tensor) -> Check:
    """resid_pre + attn_out + mlp_out = resid_post, and each block starts where the one before it ended."""
    _, cache = model.run_with_cache(tokens)
    gap = 0.0
    for layer in range(model.cfg.n_layers):
        total = cache["resid_pre", layer] + cache["attn_out", layer]
        if model.cfg.d_mlp:
            if not model.cfg.parallel:
                gap = max(gap, (total - cache["resid_mid", layer]).abs().max().item())
            total = total + cache["mlp_out", layer]
        gap = max(gap, (total - cache["resid_post", layer]).abs().max().item())
        if layer:
            gap = max(gap, (cache["resid_pre", layer] - cache["resid_post", layer - 1]).abs().max().item())
    return _at_most("residual stream", gap, _tolerance(model, 1e-4), "a block's parts do not sum to what leaves it")


def _padding(model: HookedModel, tokens: Tensor) -> Check:
    """Padding on either side leaves the logits of the real tokens as they are."""
    real = tokens[:1, : max(2, tokens.shape[1] - 2)]
    n, plain = real.shape[1], model(real)
    gap = 0.0
    for left in (0, 2):
        padded, mask = torch.zeros_like(tokens[:1]), torch.zeros_like(tokens[:1], dtype=torch.bool)
        start = min(left, padded.shape[1] - n)
        padded[:, start : start + n], mask[:, start : start + n] = real, True
        for edits in ([], [(None, _same)]):  # with the fused attention, and with the open one
            with model.hooks(edits):
                gap = max(gap, (model(padded, mask)[:, start : start + n] - plain).abs().max().item())
    return _at_most("padding", gap, _tolerance(model, 1e-4), "padding changes the logits of real tokens")


def _gradients(model: HookedModel, tokens: Tensor) -> Check:
    """The gradient at every site, along a random direction, equals a finite difference (in float64)."""
    if model.dtype != torch.float32 or model.device.type == "mps":
        return Check("gradients", 0.0, 1e-3, True, "checked in float32 models only")
    weights = torch.linspace(-1, 1, model(tokens).shape[-1], device=tokens.device, dtype=torch.float64)
    worst, where, bound = 0.0, "", 1e-3 if model.cfg.norm != "rmsnorm" else 0.05
    model.double()
    try:
        with torch.enable_grad():
            logits, cache = model.run_with_cache(tokens, model.hook_names, grad=True)
            (logits[:, -1] * weights).sum().backward()
        size = 0.01 * logits[:, -1].abs().max().item()  # differences far below the logits themselves are rounding
        for name in model.hook_names:
            gradient = cache.grad(name)
            value = cache[name].detach()
            direction = torch.randn(value.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
            direction = torch.where(value.abs() < 1e30, direction.to(value.device), 0.0)  # not on masked scores
            # RMS norms compute in float32 whatever they are given, so the step must stay above its rounding.
            step = 1e-5 if model.cfg.norm != "rmsnorm" else 1e-3

            def moved(sign: int, name: str = name, push: Tensor = step * direction) -> Tensor:
                edited = model.run_with_hooks(tokens, [(name, _shifted(sign * push))])
                return (edited[:, -1] * weights).sum()

            numeric = (moved(1) - moved(-1)) / (2 * step)
            exact = (torch.where(direction == 0, 0.0, gradient) * direction).sum()
            gap = (numeric - exact).abs().item() / max(size, exact.abs().item())
            worst, where = max((worst, where), (gap, name))
    finally:
        model.float()
    return _at_most("gradients", worst, bound, f"the gradient at {where} is not the finite difference")


@contextmanager
def _unchanged(model: HookedModel) -> Iterator[None]:
    """Give a model its own numbers back: bfloat16 and back again would have rounded them."""
    places = [(part, name) for part in model.modules() for name in part._buffers if part._buffers[name] is not None]
    buffers = [(part, name, part._buffers[name].clone()) for part, name in places]  # type: ignore[union-attr]
    weights = [(weight, weight.detach().clone()) for weight in model.parameters()]
    try:
        yield
    finally:
        for weight, kept in weights:
            weight.data = kept
        for part, name, kept in buffers:
            part._buffers[name] = kept


def _shifted(push: Tensor) -> Callable:
    return lambda value, hook: value + push


def _bfloat16(model: HookedModel, tokens: Tensor) -> Check:
    """The same model in bfloat16 runs, with every site, and gives about the same logits."""
    clean = model(tokens).float()
    with _unchanged(model):
        out, _ = model.to(torch.bfloat16).run_with_cache(tokens, model.hook_names)
    gap = (out.float() - clean).abs().max().item() / max(1.0, clean.abs().max().item())
    return _at_most("bfloat16", gap, 0.1, "in bfloat16 the logits are quite different")
