"""`HookedModel`: one way to read and edit the inside of any language model.

Every model offers each activation to its sites on the way through: to the functions that are registered there, and what
they return flows on. Reading is registering a function that keeps the value; editing is registering one that returns
another. Who has registered is kept by `edits`, for the calling context alone.
"""

from __future__ import annotations

import copy
import operator
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mi_lib.models import text as text_
from mi_lib.models.again import Again, Enough, Remembered
from mi_lib.models.cache import ActivationCache
from mi_lib.models.config import ModelConfig
from mi_lib.models.edits import EditFunction, Entry, offer, registered, sites_of, tracked
from mi_lib.models.norms import NormParts
from mi_lib.models.passes import running
from mi_lib.models.sites import Hook, Names, layer_of, resolve, site_names

Edit = tuple[Any, EditFunction]  # (name, short form, list of names or predicate; function)
Input = Tensor | str | Sequence[str]


_ABSENT = {
    "W_gate": "the MLP of this model has no gate, so there is no W_gate; see W_in",
    "W_pos": "this model has rotary positions, so there is no W_pos",
}


class HookedModel(nn.Module, ABC):
    """A language model whose activations can be read and edited by name.

    Subclasses give `cfg` and `tokenizer`, the weights by their usual names, and `_forward`. Biases that a model has in
    every layer are zero where the architecture has none; `b_U` is None there, and so is `ln_final` without a norm.
    W_K, W_V, b_K and b_V are repeated where several query heads share a key-value head, so that there is one for each.
    """

    cfg: ModelConfig
    tokenizer: Any = None
    source: tuple[str, int | None] | None = None  # (bundled name, folder or hub id; checkpoint), set by `load`

    W_E: Float[Tensor, "d_vocab d_model"]
    W_U: Float[Tensor, "d_model d_vocab"]
    W_Q: Float[Tensor, "layer head d_model d_head"]
    W_K: Float[Tensor, "layer head d_model d_head"]
    W_V: Float[Tensor, "layer head d_model d_head"]
    W_O: Float[Tensor, "layer head d_head d_model"]
    b_Q: Float[Tensor, "layer head d_head"]
    b_K: Float[Tensor, "layer head d_head"]
    b_V: Float[Tensor, "layer head d_head"]
    b_O: Float[Tensor, "layer d_model"]
    W_in: Float[Tensor, "layer d_model d_mlp"]  # of a gated MLP: what the gate multiplies
    b_in: Float[Tensor, "layer d_mlp"]
    W_gate: Float[Tensor, "layer d_model d_mlp"]  # AttributeError without a gate
    W_out: Float[Tensor, "layer d_mlp d_model"]
    b_out: Float[Tensor, "layer d_model"]
    b_U: Float[Tensor, " d_vocab"] | None
    ln_final: nn.Module | None
    logit_cap: float | None = None  # Gemma 2: the logits are cap · tanh(· / cap)

    def __init__(self, cfg: ModelConfig, tokenizer: Any = None) -> None:
        super().__init__()
        self.cfg = cfg
        self.tokenizer = tokenizer
        self.hook_names = site_names(cfg)

    def __deepcopy__(self, memo: dict) -> HookedModel:
        """A model of its own, with the same tokenizer. Edits and caches do not travel along."""
        memo[id(self.tokenizer)] = self.tokenizer
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        new.__dict__.update({name: copy.deepcopy(value, memo) for name, value in self.__dict__.items()})
        return new

    def __getattr__(self, name: str) -> Any:
        """As torch has it, except that a weight which this architecture lacks says why."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name in _ABSENT:
                raise AttributeError(_ABSENT[name]) from None
            raise

    # --- what a subclass provides -----------------------------------------------------------------------------

    @abstractmethod
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
        """Logits [batch pos d_vocab], or the residual stream before block `stop_at_layer` (n_layers: after the last).

        With `start_at_layer`, the blocks before it are skipped and `residual` is what enters it.
        `logits_to_keep = n` computes the logits of the last n positions alone (0: of all).
        """

    @abstractmethod
    def _step(
        self, tokens: Int[Tensor, "batch pos"], attention_mask: Bool[Tensor, "batch all_pos"], past: Any
    ) -> tuple[Float[Tensor, "batch d_vocab"], Any]:
        """One step of generation: the logits after the last of these tokens, and the keys and values so far.

        attention_mask covers what is in `past` as well; the last position of every row must be a real token.
        """

    @abstractmethod
    def _keep_rows(self, past: Any, rows: Int[Tensor, " kept"]) -> Any:
        """Of the keys and values that `_step` has given, those of these rows of the batch."""

    def _run_block(
        self,
        layer: int,
        residual: Float[Tensor, "batch pos d_model"],
        tokens: Int[Tensor, "batch pos"],
        attention_mask: Bool[Tensor, "batch pos"] | None,
    ) -> Float[Tensor, "batch pos d_model"]:
        """What leaves one block if `residual` enters it."""
        return self._forward(tokens, attention_mask, start_at_layer=layer, residual=residual, stop_at_layer=layer + 1)

    @abstractmethod
    def _block_again(
        self, layer: int, residual: Float[Tensor, "1 place d_model"], again: Again
    ) -> Float[Tensor, "1 place d_model"]:
        """What leaves one block at some places of copies of a run, if `residual` enters it there (see `again`)."""

    def _keys_again(self, layer: int, residual: Float[Tensor, "1 place d_model"], again: Again) -> Remembered:
        """The keys and values of that block in every copy, and nothing after them."""
        try:
            self._block_again(layer, residual, again.only_keys())
        except Enough as found:
            return again.with_keys_of(found)
        raise AssertionError("attention ends the block")

    @abstractmethod
    def folded(self) -> HookedModel:
        """A copy that computes the same logits with plain norms: x ↦ (x − mean) / scale, without weight and bias.

        The norms' weights and biases are multiplied into the matrices that read them, and with LayerNorm those matrices
        also lose what they read of the mean. So weight circuits of the copy say what the network really does.
        Norms that stand elsewhere (of queries and keys, or before the residual stream) stay as they are.
        """

    @abstractmethod
    def norm_parts(self, norm: nn.Module) -> NormParts:
        """The numbers of one of this model's norms, such as `ln_final`."""

    @abstractmethod
    def pre_norm(self, layer: int, which: Literal["attn", "mlp"]) -> nn.Module | None:
        """The norm through which attention or MLP reads the residual stream; None where there is none."""

    def post_norm(self, layer: int, which: Literal["attn", "mlp"]) -> nn.Module | None:
        """The norm between an attention or MLP and the residual stream (Gemma has them)."""
        return None

    @property
    def _key(self) -> Hashable:
        """What stands for this network among the registered functions."""
        return self

    def _registered(self, entries: Sequence[tuple[str, Entry]]) -> AbstractContextManager[None]:
        return registered(self._key, entries)

    def _weight(self, name: str, layer: int) -> Tensor:
        """W_Q, W_K, W_V or W_O of one layer; subclasses give it without putting those of all layers together."""
        return getattr(self, name)[layer]

    # --- reading and editing ----------------------------------------------------------------------------------

    def site(self, name: str, value: Tensor) -> Tensor:
        """Offer an activation to whoever registered for it, and return what flows on."""
        return offer(self._key, name, value)[0]

    def active(self, name: str) -> bool:
        """Whether anybody reads or edits this site now (so that nothing is computed for a site that nobody wants)."""
        return name in sites_of(self._key)

    @contextmanager
    def hooks(self, fwd_hooks: Sequence[Edit] = (), bwd_hooks: Sequence[Edit] = ()) -> Iterator[HookedModel]:
        """Edits that hold inside the `with` block, also for several calls; removed at its end, whatever happens.

        fwd_hooks: pairs (name, fn). The name may be a full name, a short form, a list of them, or a predicate.
            `fn(value, hook)` gets a copy of the activation and returns the new one; if it returns None, what it wrote
            into the copy counts, and the activation stays as it is if it wrote nothing.
        bwd_hooks: pairs of the same form; `fn(gradient, hook)` is called in the backward pass with the gradient with
            respect to the activation, and may return another gradient.
        Contexts nest: inner edits see outer ones' work. They belong to the thread (the context) that entered the block.
        """
        entries = [(name, Entry(fn)) for names, fn in fwd_hooks for name in self._resolve(names)]
        entries += [(name, Entry(fn, "backward")) for names, fn in bwd_hooks for name in self._resolve(names)]
        with self._registered(entries):
            yield self

    def run_with_hooks(
        self,
        tokens: Input,
        fwd_hooks: Sequence[Edit] = (),
        attention_mask: Tensor | None = None,
        *,
        bwd_hooks: Sequence[Edit] = (),
        **options: Any,
    ) -> Tensor:
        """Logits [batch pos d_vocab] of one forward pass with the given edits (see `hooks`)."""
        with self.hooks(fwd_hooks, bwd_hooks):
            return self(tokens, attention_mask, **options)

    def run_with_cache(
        self,
        tokens: Input,
        names: Names = None,
        *,
        attention_mask: Tensor | None = None,
        stop_at_layer: int | None = None,
        logits_to_keep: int = 0,
        grad: bool = False,
    ) -> tuple[Tensor, ActivationCache]:
        """Run the model and keep the activations that `names` selects.

        names: None for all but those that cost much and are asked for by name (hook_result, hook_q_input, …; see
            `sites.on_request`); else one name, several, or a predicate.
        stop_at_layer: stop before this block (negative counts from the end); the first result is then the residual
            stream [batch pos d_model] instead of the logits.
        logits_to_keep: compute the logits of the last n positions alone (0: of all).
        grad: keep the graph, so that after `.backward()` on something computed from the logits, `cache.grad(name)`
            is its gradient with respect to that activation. Otherwise nothing is tracked.
        """
        kept: dict[str, Tensor] = {}

        def keep(value: Tensor, hook: Hook) -> Tensor | None:
            if not grad:
                kept[hook.name] = value.detach()
                return None
            kept[hook.name] = value = tracked(value)
            if not value.is_leaf:
                value.retain_grad()
            return value

        entries = [(name, Entry(keep, "read")) for name in self._resolve(names)]
        with torch.set_grad_enabled(grad), self._registered(entries):
            out = self(tokens, attention_mask, stop_at_layer=stop_at_layer, logits_to_keep=logits_to_keep)
        return out, ActivationCache(kept, self.cfg.n_layers)

    def run_edits(
        self,
        tokens: Input,
        edits: Sequence[Edit | Sequence[Edit]],
        *,
        attention_mask: Tensor | None = None,
        batch_size: int = 256,
        logits_to_keep: int = 0,
    ) -> Float[Tensor, "edit pos d_vocab"]:
        """Many edited runs of ONE sequence, batched: row i of the result is the run with `edits[i]`.

        Each entry is one (name, fn) or a list of them; fn sees a value of batch size 1. Rows are run together, and each
        group starts at the first layer that it changes, from the clean residual stream. Runs without gradients.
        No edits at all give a result of no rows.
        """
        tokens, mask = self._tokens_and_mask(tokens, attention_mask)
        if tokens.shape[0] != 1:
            raise ValueError(f"run_edits takes one sequence, not a batch of {tokens.shape[0]}")
        rows = [self._flatten(edit) for edit in edits]
        starts = [self._first_layer(row) for row in rows]
        wanted = sorted({layer for layer in starts if layer > 0})
        results: dict[int, Tensor] = {}
        with torch.no_grad():
            clean: dict[int, Tensor] = {}
            if wanted:
                # What leaves the block before, since an outer edit of resid_pre will be made in the rows too.
                sites = [("resid_post", layer - 1) for layer in wanted]
                _, cache = self.run_with_cache(tokens, sites, attention_mask=mask, stop_at_layer=wanted[-1])
                clean = {layer: cache["resid_post", layer - 1] for layer in wanted}
            for layer in sorted(set(starts)):
                members = [i for i, start in enumerate(starts) if start == layer]
                for chunk in (members[i : i + batch_size] for i in range(0, len(members), batch_size)):
                    out = self._run_rows(tokens, mask, [rows[i] for i in chunk], layer, clean, logits_to_keep)
                    results.update(zip(chunk, out, strict=True))
        if not rows:
            return self(tokens, mask, logits_to_keep=logits_to_keep)[:0]
        return torch.stack([results[i] for i in range(len(rows))])

    def _run_rows(
        self,
        tokens: Tensor,
        mask: Tensor | None,
        rows: list[list[tuple[str, EditFunction]]],
        layer: int,
        clean: dict[int, Tensor],
        logits_to_keep: int,
    ) -> Tensor:
        n = len(rows)
        by_site: dict[str, list[tuple[int, EditFunction]]] = {}
        for i, row in enumerate(rows):
            for name, fn in row:
                by_site.setdefault(name, []).append((i, fn))
        entries = [(name, Entry(_on_rows(edits), "rows")) for name, edits in by_site.items()]
        residual = clean[layer].expand(n, -1, -1) if layer else None
        with self._registered(entries), running(mask):
            return self._forward(
                tokens.expand(n, -1),
                None if mask is None else mask.expand(n, -1),
                start_at_layer=layer,
                residual=residual,
                logits_to_keep=logits_to_keep,
            )

    def _flatten(self, edit: Any) -> list[tuple[str, EditFunction]]:
        pairs = [edit] if len(edit) == 2 and callable(edit[1]) else list(edit)
        return [(name, fn) for names, fn in pairs for name in self._resolve(names)]

    def _first_layer(self, row: list[tuple[str, EditFunction]]) -> int:
        """The block to start from: the earliest one edited (0 for the embeddings, the last for the final norm)."""
        order = [self.hook_names.index(name) for name, _ in row]
        if not order:
            return self.cfg.n_layers - 1
        first = self.hook_names[min(order)]
        layer = layer_of(first)
        if layer is not None:
            return layer
        return self.cfg.n_layers - 1 if first.startswith("ln_final") else 0

    # --- running ----------------------------------------------------------------------------------------------

    def forward(self, tokens: Input, attention_mask: Tensor | None = None, **options: Any) -> Tensor:
        """Logits [batch pos d_vocab] of tokens [batch pos] (or [pos]) or of text. See `_forward` for the options.

        attention_mask: [batch pos], True or 1 at real tokens, False or 0 at padding (either side).
        """
        tokens, mask = self._tokens_and_mask(tokens, attention_mask)
        if options.get("stop_at_layer") is not None:
            options["stop_at_layer"] = self._stop(options["stop_at_layer"])
        with running(mask):
            return self._forward(tokens, mask, **options)

    def _stop(self, layer: Any) -> int:
        n = self.cfg.n_layers
        layer = operator.index(layer)
        if not -n <= layer <= n:
            raise ValueError(f"stop_at_layer={layer}: this model has layers 0 to {n - 1}; {n} stops after the last one")
        return layer + n if layer < 0 else layer

    def unembed(self, normalized: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_vocab"]:
        """Logits of what leaves the final norm: W_U, b_U and, where there is one, the cap."""
        logits = normalized @ self.W_U
        logits = logits if self.b_U is None else logits + self.b_U
        return logits if self.logit_cap is None else self.logit_cap * torch.tanh(logits / self.logit_cap)

    def tokenize(
        self, text: str | Sequence[str], prepend_bos: bool = True, padding_side: str = "right"
    ) -> tuple[Int[Tensor, "batch pos"], Bool[Tensor, "batch pos"]]:
        """Tokens and attention mask of one text or several; shorter ones are padded on `padding_side`."""
        tokens, mask = text_.encode(self.tokenizer, text, prepend_bos, padding_side)
        return tokens.to(self.device), mask.to(self.device)

    def to_tokens(self, text: str | Sequence[str], prepend_bos: bool = True, padding_side: str = "right") -> Tensor:
        """Tokens [batch pos]. For texts of different lengths use `tokenize`, which also gives the mask."""
        tokens, mask = self.tokenize(text, prepend_bos, padding_side)
        if not mask.all():
            raise ValueError("these texts differ in length and were padded: use tokenize() and pass its mask")
        return tokens

    def to_str_tokens(self, text: Input) -> list[str]:
        """The tokens of one text, or of tokens [pos], each as a string."""
        ids = self.to_tokens(text)[0] if isinstance(text, str) else torch.as_tensor(text).flatten()
        return text_.strings(self.tokenizer, ids.tolist())

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def _tokens_and_mask(self, tokens: Input, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if not isinstance(tokens, Tensor):
            if isinstance(tokens, str) or (len(tokens) and isinstance(tokens[0], str)):
                tokens, text_mask = self.tokenize(tokens)
                mask = text_mask if mask is None and not text_mask.all() else mask
            else:
                tokens = torch.as_tensor(tokens)
        tokens = tokens.to(self.device)
        if tokens.ndim == 1:
            tokens = tokens[None]
        if tokens.ndim != 2 or tokens.is_floating_point():
            raise ValueError(f"tokens must be whole numbers [batch pos], not {tokens.dtype} {tuple(tokens.shape)}")
        if not tokens.numel():
            raise ValueError(f"there is nothing to read: tokens has shape {tuple(tokens.shape)} [batch pos]")
        if tokens.shape[1] > self.cfg.n_ctx and self.cfg.positions != "rotary":
            raise ValueError(f"{tokens.shape[1]} tokens are too many: this model reads at most {self.cfg.n_ctx}")
        low, high = int(tokens.min()), int(tokens.max())
        if low < 0 or high >= self.cfg.d_vocab:
            raise ValueError(f"tokens must lie in 0 … {self.cfg.d_vocab - 1}; these go from {low} to {high}")
        if mask is not None:
            mask = mask.to(self.device).bool()
            mask = mask[None] if mask.ndim == 1 else mask
            if mask.shape != tokens.shape:
                raise ValueError(f"attention_mask has shape {tuple(mask.shape)}, tokens {tuple(tokens.shape)}")
        return tokens, mask

    def _resolve(self, names: Names) -> list[str]:
        return resolve(names, self.hook_names, self.cfg.n_layers)


def _on_rows(edits: list[tuple[int, EditFunction]]) -> EditFunction:
    """One edit of a whole batch, made of edits of single rows."""

    def edit(value: Tensor, hook: Hook) -> Tensor:
        out = value.clone()
        for row, fn in edits:
            one = out[row : row + 1]
            new = fn(one, hook)
            if new is None or new is one:
                continue
            if new.shape != one.shape:
                raise ValueError(f"the edit at {hook.name} returned shape {tuple(new.shape)}, not {tuple(one.shape)}")
            out[row : row + 1] = new
        return out

    return edit
