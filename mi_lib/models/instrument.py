"""`Instrument`: what is put into a `transformers` model once, so that its activations can be offered to the sites.

    each block            `forward` goes through a `Door`, which offers resid_pre and resid_post, and can skip the block
    each other place      a torch hook on the module that the activation leaves or enters
    attention's inside    seen by `attention.py`, which finds the instrument through `module.mi_site`

Nothing here knows who reads or edits: every place asks `edits` whether somebody does, in the calling context, and does
nothing if not. A value that nobody changes flows on as it is, bit for bit. All of it can be copied and pickled with the
model that it is in, and then belongs to the copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mi_lib.models import attention
from mi_lib.models.again import remember_call
from mi_lib.models.edits import Beside, changed_at, exactly, offer, sites_of
from mi_lib.models.families import Family, part
from mi_lib.models.projections import apply, per_head


class Stop(Exception):
    """Ends a forward pass before the block that was asked for."""

    def __init__(self, residual: Tensor) -> None:
        super().__init__()
        self.residual = residual


class Span(NamedTuple):
    """Which blocks run: from `start`, which `residual` enters, to the one before `stop`."""

    start: int
    residual: Tensor | None
    stop: int | None


@dataclass
class Frame:
    """What one run of one block must remember until it leaves the block."""

    resid_pre: Tensor
    mid: Tensor | None = None  # the stream between attention and MLP, if an edit has changed it
    mlp_out: Tensor | None = None


_SPANS: ContextVar[dict[Any, Span]] = ContextVar("mi_lib blocks that run", default={})  # noqa: B039
_FRAMES: ContextVar[tuple[tuple[Any, Frame], ...]] = ContextVar("mi_lib blocks that are running", default=())


class Instrument:
    """The places of one network, and its name in `edits`."""

    def __init__(self, hf: Any, family: Family, d_head: int) -> None:
        self.family = family
        self.d_head = d_head
        self.rotary = family.pos_embed is None
        self.links: list[tuple[nn.Module, str, nn.Module]] = []  # (parent, name, child) as they were when it was put in
        self.last_handle = 0

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        attention.register()
        # Torch numbers its hooks from 0 in every process; a new one must not take the place of one that came along.
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.last_handle + 1)

    def put_into(self, hf: Any) -> None:
        """Put the places in, or again if a module was exchanged since (an adapter, a quantised layer)."""
        hf.config._attn_implementation = attention.NAME
        if self.links and all(parent._modules.get(name) is child for parent, name, child in self.links):
            return
        for module in hf.modules():
            for hooks in (module._forward_hooks, module._forward_pre_hooks):
                for number in [n for n, hook in hooks.items() if getattr(hook, "instrument", None) is self]:
                    _take_off(hooks, module, number)
        self.links.clear()
        f = self.family
        self._add(hf, f.embed, Leaving(self, "hook_embed"))
        if f.pos_embed:
            self._add(hf, f.pos_embed, Leaving(self, "hook_pos_embed"))
        blocks = part(hf, f.blocks)
        self._link(hf, f.blocks)
        for layer, block in enumerate(blocks):
            self._link(blocks, str(layer))
            self._put_into_block(block, layer)
        self._add(hf, f.ln_final, BeforeFinalNorm(self, len(blocks)), before=True)
        self._add(hf, f.ln_final, Norm(self, "ln_final"))

    def _put_into_block(self, block: Any, layer: int) -> None:
        f, b = self.family, f"blocks.{layer}"
        if not isinstance(vars(block).get("forward"), Door):
            block.forward = Door(self, block, layer)
        attn, mlp = part(block, f.attn), part(block, f.mlp)
        attn.mi_site = (self, f"{b}.attn")
        self._add(block, f.ln1, Norm(self, f"{b}.ln1"))
        for index, name in enumerate(f.qkv):
            letters = "qkv" if f.fused else "qkv"[index]
            self._add(attn, name, Projection(self, b, letters, part(block, f.ln1)))
        self._add(attn, f.out, Output(self, f"{b}.attn.hook_result"))
        self._add(block, f.attn_post or f.attn, Leaving(self, f"{b}.hook_attn_out"))
        self._add(block, f.ln2, IntoMLP(self, b), before=True)
        self._add(block, f.ln2, Norm(self, f"{b}.ln2"))
        self._add(mlp, f.mlp_pre, Leaving(self, f"{b}.mlp.hook_pre"))
        if f.mlp_linear:
            self._add(mlp, f.mlp_linear, Leaving(self, f"{b}.mlp.hook_pre_linear"))
        self._add(mlp, f.mlp_down, Entering(self, f"{b}.mlp.hook_post"), before=True)
        self._add(block, f.mlp_post or f.mlp, LeavingMLP(self, f"{b}.hook_mlp_out"))
        for path in (f.attn, f.mlp):
            self._link(block, path)

    def _add(self, root: Any, path: str, hook: Any, before: bool = False) -> None:
        module = part(root, path)
        handle = module.register_forward_pre_hook(hook) if before else module.register_forward_hook(hook)
        self.last_handle = max(self.last_handle, handle.id)
        self._link(root, path)

    def _link(self, root: Any, path: str) -> None:
        above, _, name = path.rpartition(".")
        parent = part(root, above) if above else root
        self.links.append((parent, name, parent._modules[name]))

    @contextmanager
    def running(self, span: Span) -> Iterator[None]:
        """Run only these blocks, in this context, for the time of the `with` block."""
        before, frames = _SPANS.get(), _FRAMES.get()
        _SPANS.set({**before, self: span})
        try:
            yield
        finally:
            _SPANS.set(before)
            _FRAMES.set(frames)


def _take_off(hooks: Any, module: nn.Module, number: int) -> None:
    """Take the hook with this number off a module."""
    for name in ("_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks_with_kwargs"):
        with suppress(KeyError, AttributeError):
            del getattr(module, name)[number]
    del hooks[number]


# --- the places -------------------------------------------------------------------------------------------------------


class Door:
    """A block's `forward`: it offers what enters and what leaves, skips the block, or ends the pass before it."""

    def __init__(self, instrument: Instrument, block: nn.Module, layer: int) -> None:
        self.instrument = instrument
        self.block = block
        self.layer = layer
        self.own: Callable | None = vars(block).get("forward")  # somebody else's, if there was one

    def __call__(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        span = _SPANS.get().get(self.instrument)
        if span is not None:
            if self.layer < span.start:
                return hidden_states
            if self.layer == span.start and span.residual is not None:
                hidden_states = span.residual
            if self.layer == span.stop:
                raise Stop(hidden_states)
        remember_call(self.layer, args, kwargs)
        if not sites_of(self.instrument):
            return self._run(hidden_states, *args, **kwargs)
        hidden_states, _ = offer(self.instrument, f"blocks.{self.layer}.hook_resid_pre", hidden_states)
        frame, outer = Frame(hidden_states), _FRAMES.get()
        _FRAMES.set((*outer, (self.instrument, frame)))
        try:
            out = self._run(hidden_states, *args, **kwargs)
        finally:
            _FRAMES.set(outer)
        first = out[0] if isinstance(out, tuple) else out
        if frame.mid is not None and frame.mlp_out is not None:
            first = frame.mid + frame.mlp_out  # the block added the MLP to the stream as it was before the edit
        first, _ = offer(self.instrument, f"blocks.{self.layer}.hook_resid_post", first)
        return (first, *out[1:]) if isinstance(out, tuple) else first

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        return self.own(*args, **kwargs) if self.own else type(self.block).forward(self.block, *args, **kwargs)


def _frame(instrument: Instrument) -> Frame | None:
    """Of the block that this network is running now."""
    return next((frame for owner, frame in reversed(_FRAMES.get()) if owner is instrument), None)


@dataclass
class Leaving:
    """A hook on what leaves a module: a bare tensor, or the first of a tuple (attention returns one)."""

    instrument: Instrument
    name: str

    def __call__(self, module: nn.Module, args: tuple, out: Any) -> Any:
        value = out[0] if isinstance(out, tuple) else out
        new, _ = offer(self.instrument, self.name, value)
        self.note(new)
        if new is value:
            return None
        return (new, *out[1:]) if isinstance(out, tuple) else new

    def note(self, value: Tensor) -> None:
        """Nothing to remember."""


class LeavingMLP(Leaving):
    """What the MLP adds to the stream is remembered, in case the stream itself was edited before it."""

    def note(self, value: Tensor) -> None:
        if frame := _frame(self.instrument):
            frame.mlp_out = value


@dataclass
class Entering:
    """A hook on what enters a module."""

    instrument: Instrument
    name: str

    def __call__(self, module: nn.Module, args: tuple) -> tuple | None:
        new, _ = offer(self.instrument, self.name, args[0])
        return None if new is args[0] else (new, *args[1:])


@dataclass
class IntoMLP:
    """The stream between attention and MLP goes two ways: into the norm (seen here), and around the MLP.

    What an edit of resid_mid changes must go both ways, so the changed stream is remembered until the block's end.
    An edit of mlp_in goes into the norm alone.
    """

    instrument: Instrument
    block: str

    def __call__(self, module: nn.Module, args: tuple) -> tuple | None:
        value = args[0]
        mid, _ = offer(self.instrument, f"{self.block}.hook_resid_mid", value)
        if mid is not value and (frame := _frame(self.instrument)):
            frame.mid = mid
        new, _ = offer(self.instrument, f"{self.block}.hook_mlp_in", mid)
        return None if new is value else (new, *args[1:])


@dataclass
class BeforeFinalNorm:
    """Ends a pass that is to stop after the last block."""

    instrument: Instrument
    n_layers: int

    def __call__(self, module: nn.Module, args: tuple) -> None:
        span = _SPANS.get().get(self.instrument)
        if span is not None and span.stop == self.n_layers:
            raise Stop(args[0])


@dataclass
class Norm:
    """hook_normalized is what leaves a norm; hook_scale is its divisor, from which an edit computes the norm anew."""

    instrument: Instrument
    name: str

    def __post_init__(self) -> None:  # a name is put together once, and not in every pass
        self.scale, self.normalized = f"{self.name}.hook_scale", f"{self.name}.hook_normalized"

    def __call__(self, module: nn.Module, args: tuple, out: Tensor) -> Tensor | None:
        new = self._from_scale(module, args[0], out) if self.scale in sites_of(self.instrument) else out
        new, _ = offer(self.instrument, self.normalized, new)
        return None if new is out else new

    def _from_scale(self, module: Any, x: Tensor, out: Tensor) -> Tensor:
        weight, bias, epsilon, centred = self.instrument.family.norm_parts(module)
        x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        x = x - x.mean(-1, keepdim=True) if centred else x
        scale = (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt()
        new, changed = offer(self.instrument, self.scale, scale)
        if changed:
            return (x / new * weight + bias).to(out.dtype)
        return out if new is scale else exactly(out, x / new * weight + bias)


@dataclass
class Projection:
    """q, k and v as they leave their projection, before any rotation: [batch pos head d_head].

    With an edit of hook_q_input (k, v) each head's are computed from an input of its own.
    """

    instrument: Instrument
    block: str
    letters: str
    norm: nn.Module

    def __post_init__(self) -> None:
        kinds = ("attn.hook_{}", "hook_{}_input")
        self.names = {f"{self.block}.{kind.format(x)}" for x in self.letters for kind in kinds}

    def __call__(self, module: nn.Module, args: tuple, out: Tensor) -> Tensor | None:
        if self.names.isdisjoint(sites_of(self.instrument)):
            return None
        old = self._split(out)
        new = [self._one(module, letter, value) for letter, value in zip(self.letters, old, strict=True)]
        if all(a is b for a, b in zip(new, old, strict=True)):
            return None
        return self._join(new)

    def _one(self, module: nn.Module, letter: str, value: Tensor) -> Tensor:
        value = self._from_inputs(module, letter, value)
        return offer(self.instrument, f"{self.block}.attn.hook_{letter}", value)[0]

    def _from_inputs(self, module: nn.Module, letter: str, value: Tensor) -> Tensor:
        name, frame = f"{self.block}.hook_{letter}_input", _frame(self.instrument)
        if name not in sites_of(self.instrument) or frame is None:
            return value
        stream = frame.resid_pre[:, :, None].expand(-1, -1, value.shape[2], -1)  # [batch pos head d_model]
        edits = changed_at(self.instrument, [name])
        given, changed = offer(self.instrument, name, stream if edits else stream.detach())

        def heads(x: Tensor) -> Tensor:
            """Of what each input gives, its own head."""
            out = self._split(apply(module, apply(self.norm, x)))[self.letters.index(letter)]
            return out.diagonal(dim1=2, dim2=3).movedim(-1, 2)

        if not changed:
            return Beside.apply(value, given, heads) if given.requires_grad and not edits else value
        norm = self.block + ".ln1.hook_"
        if both := changed_at(self.instrument, [norm + "scale", norm + "normalized"]):
            raise ValueError(f"{name} and {both[0]} cannot both be edited: each head would need a norm of its own")
        return heads(given)

    def _split(self, out: Tensor) -> list[Float[Tensor, "*rest head d_head"]]:
        d = self.instrument.d_head
        match self.instrument.family.fused:
            case "":
                return [out.unflatten(-1, (-1, d))]
            case "thirds":
                return list(rearrange(out, "... (three head d) -> three ... head d", three=3, d=d))
            case _:
                return list(rearrange(out, "... (head three d) -> three ... head d", three=3, d=d))

    def _join(self, parts: list[Tensor]) -> Tensor:
        match self.instrument.family.fused:
            case "":
                return parts[0].flatten(-2)
            case "thirds":
                return torch.cat([x.flatten(-2) for x in parts], -1)
            case _:
                return torch.stack(parts, -2).flatten(-3)


@dataclass
class Output:
    """hook_result: what each head adds to the stream, z W_O head by head. Computed only for whoever asks."""

    instrument: Instrument
    name: str

    def __call__(self, module: nn.Module, args: tuple, out: Tensor) -> Tensor | None:
        if self.name not in sites_of(self.instrument):
            return None
        z = args[0].unflatten(-1, (-1, self.instrument.d_head))
        result, bias = per_head(module, z, out)
        new, changed = offer(self.instrument, self.name, result)
        if new is result:
            return None
        # Added up in float32 at least: eight heads of bfloat16, one after the other, would lose the small ones.
        wide = torch.promote_types(out.dtype, torch.float32)
        total = (new.to(wide).sum(2) + bias.to(wide)).to(out.dtype)
        return total if changed else exactly(out, total)
