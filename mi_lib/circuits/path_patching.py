"""Path patching: what one head tells a receiver directly, not by way of other heads.

To patch the path h → R (Wang et al. 2022, arXiv 2211.00593, section 3.1 and appendix B):

    (A) run the corrupted prompt, and keep what every head holds (z)
    (B) run the clean prompt, and keep the same
    (C) run the clean prompt with every head frozen at (B), but h, which holds what it held in (A); MLPs and norms are
        computed anew; keep what R reads
    (D) run the clean prompt in which R reads what it read in (C); all else is computed anew

R is the logits, which end (C) itself; or queries, keys or values of heads ("a3.h0.q"), or MLPs ("m2"), several at once.
If other heads were not frozen in (C), they would carry the change on, and one would measure the total effect of h,
which is plain patching. As MLPs are not frozen, a path may run through them; an edge (`attribution.patch_edges`) is
the direct word alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.attribution.pairs import Metric, metric_range, read_pairs
from mi_lib.circuits.parts import all_heads, layer_and_head
from mi_lib.models import Hook, HookedModel
from mi_lib.models.config import ModelConfig
from mi_lib.models.graph import LOGITS, head_of, receivers
from mi_lib.models.hooked import Input

Site = tuple[str, int]
Edit = tuple[Site, Callable[[Tensor, Hook], Tensor | None]]


def path_patch(
    model: HookedModel,
    clean: Input,
    corrupted: Input,
    sender: str,
    to: Iterable[str] = (LOGITS,),
) -> Float[Tensor, "batch pos d_vocab"]:
    """Logits of run (D), or of (C) where the receiver is "logits".

    sender: a head, "a1.h2". to: receivers, which must all come after it.
    ValueError for prompts of unequal length, for a sender or receiver that the model has not, no receiver, a path that
    runs backwards, and "logits" beside other receivers, which reach the logits anyway.
    """
    paths = Paths(model, clean, corrupted, to)
    for name in paths.to:
        if name not in paths.reached_from(sender):
            raise ValueError(f"{sender}->{name} runs backwards: {name} is read before {sender} has written")
    return paths.logits(sender)


def path_effects(
    model: HookedModel,
    clean: Input,
    corrupted: Input,
    metric: Metric,
    to: Iterable[str] = (LOGITS,),
    *,
    logits_to_keep: int = 0,
) -> Float[Tensor, "layer head"]:
    """What is lost of the answer when the path from each head to the receivers is patched, as a share of the whole.

    (m_clean − m_patched) / (m_clean − m_corrupted), each in the mean over pairs: positive for heads that speak for the
    answer, negative for those that speak against it. 0 for heads from which no path leads to any of the receivers.
    logits_to_keep: let the metric see the logits of so many last positions alone (0: of all), which is quicker.
    ValueError as `path_patch`, and for a metric that is the same in both runs of a pair.
    """
    paths = Paths(model, clean, corrupted, to, logits_to_keep)
    with torch.no_grad():
        start, end = (metric(logits[:, -logits_to_keep:]) for logits in (paths.clean_logits, paths.corrupted_logits))
        whole, start = metric_range(start, end).mean(), start.mean()
        found = start.new_zeros(model.cfg.n_layers, model.cfg.n_heads)
        for name in all_heads(model.cfg):
            if paths.reached_from(name):
                found[layer_and_head(name, model.cfg)] = (start - metric(paths.logits(name)).mean()) / whole
    return found


class Paths:
    """Runs (A) and (B), from which (C) and (D) of any sender follow."""

    def __init__(
        self, model: HookedModel, clean: Input, corrupted: Input, to: Iterable[str], logits_to_keep: int = 0
    ) -> None:
        self.model, self.to, self.keep = model, _receivers(to, model.cfg), logits_to_keep
        pairs = read_pairs(model, clean, corrupted)
        if pairs.mask is not None:
            raise ValueError("these prompts differ in length; give prompts that all have as many tokens")
        self.tokens = pairs.clean
        layers = range(model.cfg.n_layers)
        heads = [("z", layer) for layer in layers]
        self.corrupted_logits, self.then = model.run_with_cache(pairs.corrupted, heads)  # (A)
        streams = [("resid_pre", layer) for layer in layers]
        self.clean_logits, self.now = model.run_with_cache(pairs.clean, [*heads, *streams])  # (B)

    def reached_from(self, sender: str) -> list[str]:
        """The receivers that read what the sender has written."""
        layer, _ = layer_and_head(sender, self.model.cfg)
        return [name for name in self.to if _first_unread(name, self.model.cfg) > layer]

    def logits(self, sender: str) -> Float[Tensor, "batch pos d_vocab"]:
        """(C), and (D) unless that ends in the logits itself, for the receivers that the sender reaches."""
        layer, _ = layer_and_head(sender, self.model.cfg)
        if self.to == (LOGITS,):
            # With every head frozen no position hears of another, so that those whose logits are kept run alone.
            return self._run(layer, self._frozen(sender, self.keep), self.keep)
        frozen = self._frozen(sender)
        heard: dict[Site, Tensor] = {}  # by site, what all heads read there in (C)

        def hear(value: Tensor, hook: Hook) -> None:
            heard[sites[hook.name]] = value

        places = [_place(name, self.model.cfg) for name in self.reached_from(sender)]
        sites = {self.model._resolve(site)[0]: site for site, _ in places}
        last = max(layer for _, layer in sites.values())
        self._run(layer, [*frozen, *((site, hear) for site in sites.values())], stop=last + 1)

        def say(site: Site, heads: list[int]) -> Edit:
            def edit(value: Tensor, hook: Hook) -> Tensor | None:
                if not heads:  # an MLP
                    return heard[site]
                value[:, :, heads] = heard[site][:, :, heads]
                return None

            return site, edit

        said = [say(site, [head for at, head in places if at == site and head is not None]) for site in sites.values()]
        return self._run(min(layer for _, layer in sites.values()), said)

    def _frozen(self, sender: str, last: int = 0) -> list[Edit]:
        """Every head as it was in (B), and the sender as in (A), at the last positions (0: at all).

        Layers before the sender's are clean anyway.
        """
        layer, head = layer_and_head(sender, self.model.cfg)

        def freeze(value: Tensor, hook: Hook) -> Tensor:
            value = self.now[hook.name][:, -last:].clone()
            if hook.layer == layer:
                value[:, :, head] = self.then[hook.name][:, -last:, head]
            return value

        return [(("z", at), freeze) for at in range(layer, self.model.cfg.n_layers)]

    def _run(self, start: int, edits: Sequence[Edit], last: int = 0, stop: int | None = None) -> Tensor:
        """The clean run from one layer on, under edits, at the last positions (0: at all)."""
        options = {"stop_at_layer": stop, "logits_to_keep": self.keep}
        stream = self.now["resid_pre", start][:, -last:]
        with torch.no_grad(), self.model.hooks(edits):
            return self.model(self.tokens[:, -last:], start_at_layer=start, residual=stream, **options)


def _receivers(to: Iterable[str], cfg: ModelConfig) -> tuple[str, ...]:
    found = tuple(dict.fromkeys([to] if isinstance(to, str) else to))
    if not found:
        raise ValueError("no receiver was given, so that no path ends anywhere; name at least one, such as 'logits'")
    known = receivers(cfg)
    for name in found:
        if name in known:
            continue
        head = head_of(name)
        hint = f"say which of its inputs: {name}.q, {name}.k or {name}.v" if f"{name}.q" in known else ""
        if head and f"a{head[0]}.h{head[1]}.q" in known and name.endswith((".k", ".v")):
            hint = "heads of this model share keys and values, which go by the name of the first of them"
        raise ValueError(
            f"this model has no receiver {name!r}; {hint or f'it has {known[0]} to {known[-2]}, and logits'}"
        )
    if LOGITS in found and len(found) > 1:
        raise ValueError("'logits' beside other receivers would count a path twice; patch to the logits alone")
    return found


def _first_unread(receiver: str, cfg: ModelConfig) -> int:
    """A receiver reads the heads of all layers below this one."""
    if receiver == LOGITS:
        return cfg.n_layers
    head = head_of(receiver)
    return head[0] if head else int(receiver[1:]) + (0 if cfg.parallel else 1)


def _place(receiver: str, cfg: ModelConfig) -> tuple[Site, int | None]:
    """The site at which a receiver reads, and which head of it; None for an MLP."""
    head = head_of(receiver)
    if head is None:
        return ("mlp_in", int(receiver[1:])), None
    which = receiver[-1]
    shared = cfg.n_heads // cfg.kv_heads if which in "kv" else 1
    return (which, head[0]), head[1] // shared
