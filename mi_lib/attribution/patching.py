"""Exact activation patching: put what one run holds at a place into another run, and see what becomes of the answer.

    denoising    the corrupted run, with the clean value at one place: is this place enough to bring the answer back?
    noising      the clean run, with the corrupted value at one place: is it needed?

Both are told on one scale, (m_patched − m_corrupted) / (m_clean − m_corrupted): 0 is the corrupted answer, 1 the clean
one. So of denoising 1 says that the place brings all back, and of noising 1 says that nothing was lost. They differ:
behind an AND each input is needed and none suffices, behind an OR the other way round (Heimersheim and Nanda 2024,
arXiv 2404.15255, section 2; Meng et al. 2022, arXiv 2202.05262, section 2.1, for noise at the subject).

A place is (site, index): an activation, and what of it is patched, after the batch axis. (("z", 3), (-1, 7)) is what
head 7 of layer 3 has read at the last position, (("post", 1), (slice(None), 20)) is neuron 20 at all of them.

Every place needs a run of its own, but little of each run is new:

    1. layers before the place are those of the unpatched run: each row enters at its own layer, and the rows that have
       entered go through the later layers together
    2. positions before the place are too: their keys and values are taken from the unpatched run, and only what comes
       after is computed
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.attribution.pairs import Metric, metric_range, read_pairs
from mi_lib.models import Hook, HookedModel
from mi_lib.models.edits import sites_of
from mi_lib.models.hooked import Input
from mi_lib.models.places import layer_number
from mi_lib.models.sites import layer_of

Index = tuple[int | slice, ...]
Place = tuple[str | tuple, Index]  # a site, and the index of what is patched there, after the batch axis

_NOT_BY_POSITION = ("hook_attn_scores", "hook_pattern", "hook_rot_k")  # [batch head query key], or all keys at once
_TOGETHER = 4  # positions that share a start, so that their rows can share a run


def patch_places(
    model: HookedModel,
    clean: Input,
    corrupted: Input,
    metric: Metric,
    places: Sequence[Place],
    *,
    noising: bool = False,
    attention_mask: Tensor | None = None,
    logits_to_keep: int = 0,
    batch_size: int = 256,
) -> Float[Tensor, "place batch"]:
    """Where the answer of each pair stands, from corrupted (0) to clean (1), if one place is exchanged.

    noising: exchange it in the clean run instead of the corrupted one.
    metric: sees logits [batch pos d_vocab], as many rows as there are pairs and in their order; with
        `logits_to_keep = n` those of the last n positions alone, which is quicker.
    batch_size: how many rows are run together.
    ValueError for prompts of unequal length, a metric without a range, no place, and a place that is none.
    """
    pairs = read_pairs(model, clean, corrupted, attention_mask)
    found = [_found(model, place, pairs.clean.shape[1]) for place in places]
    if not found:
        raise ValueError("no place was given, so that nothing would change; name at least one")
    base, source = pairs.clean, pairs.corrupted
    if not noising:
        base, source = source, base
    with torch.no_grad():
        base_logits = model(base, pairs.mask, logits_to_keep=logits_to_keep)
        other_logits, given = model.run_with_cache(
            source, list(dict.fromkeys(place.site for place in found)), attention_mask=pairs.mask
        )
        start, end = metric(base_logits), metric(other_logits[:, -logits_to_keep:])
        m_clean, m_corrupted = (start, end) if noising else (end, start)
        whole = metric_range(m_clean, m_corrupted)
        sweep = _Sweep(model, base, pairs.mask, base_logits, given, logits_to_keep)
        logits = sweep.run(found, batch_size, metric)
        return (logits - m_corrupted) / whole


def patch_positions(
    model: HookedModel, clean: Input, corrupted: Input, metric: Metric, site: str = "resid_pre", **options: Any
) -> Float[Tensor, "layer pos batch"]:
    """One position of one layer at a time: of the stream (resid_pre, resid_mid, resid_post), or of what attention or
    MLP add (attn_out, mlp_out), or of any other site whose second axis is the position.

    options and errors: those of `patch_places`.
    """
    length = read_pairs(model, clean, corrupted, options.get("attention_mask")).clean.shape[1]
    places: list[Place] = [((site, layer), (pos,)) for layer in range(model.cfg.n_layers) for pos in range(length)]
    return patch_places(model, clean, corrupted, metric, places, **options).unflatten(0, (-1, length))


def patch_layers(
    model: HookedModel, clean: Input, corrupted: Input, metric: Metric, site: str, **options: Any
) -> Float[Tensor, "layer batch"]:
    """The whole of a site, one layer at a time. options and errors: those of `patch_places`."""
    places: list[Place] = [((site, layer), (slice(None),)) for layer in range(model.cfg.n_layers)]
    return patch_places(model, clean, corrupted, metric, places, **options)


def patch_heads(
    model: HookedModel,
    clean: Input,
    corrupted: Input,
    metric: Metric,
    site: str = "z",
    *,
    position: int | None = None,
    **options: Any,
) -> Float[Tensor, "layer head batch"]:
    """One head at a time: what it has read (z), its queries, keys or values (q, k, v), its pattern, or its output.

    position: patched at this one alone; None for all. With "pattern" and "attn_scores" it is the query's.
    Where heads share keys and values, k and v have as many rows as there are of these.
    options and errors: those of `patch_places`.
    """
    heads = model.cfg.kv_heads if site in ("k", "v", "k_input", "v_input", "rot_k") else model.cfg.n_heads
    at = slice(None) if position is None else position
    by_head = site in ("pattern", "attn_scores")

    def index(head: int) -> Index:
        return (head, at) if by_head else (at, head)

    places: list[Place] = [((site, layer), index(head)) for layer in range(model.cfg.n_layers) for head in range(heads)]
    return patch_places(model, clean, corrupted, metric, places, **options).unflatten(0, (-1, heads))


def patch_neurons(
    model: HookedModel,
    clean: Input,
    corrupted: Input,
    metric: Metric,
    layer: int,
    *,
    neurons: Iterable[int] | None = None,
    position: int | None = None,
    **options: Any,
) -> Float[Tensor, "neuron batch"]:
    """One neuron of one layer's MLP at a time (all of them, or those that are named).

    position: patched at this one alone; None for all. options and errors: those of `patch_places`. ValueError for a
    model without MLPs.
    """
    if not model.cfg.d_mlp:
        raise ValueError("this model has attention only, so that there are no neurons; patch its heads")
    layer = layer_number(model.cfg, layer)
    at = slice(None) if position is None else position
    chosen = range(model.cfg.d_mlp) if neurons is None else neurons
    places: list[Place] = [(("post", layer), (at, neuron)) for neuron in chosen]
    return patch_places(model, clean, corrupted, metric, places, **options)


class _Found(NamedTuple):
    """A place as it was found in the model. start: the first position that it can change."""

    site: str
    layer: int
    where: Index
    start: int


def _found(model: HookedModel, place: Place, length: int) -> _Found:
    site, index = place
    (name,) = model._resolve(site)
    layer = layer_of(name)
    if layer is None:
        raise ValueError(
            f"{name} lies outside the blocks; patch ('resid_pre', 0) for what enters them, or "
            f"('resid_post', {model.cfg.n_layers - 1}) for what leaves them"
        )
    index = index if isinstance(index, tuple) else (index,)
    first = index[0] if index else slice(None)
    if name.endswith(_NOT_BY_POSITION) or isinstance(first, slice):
        return _Found(name, layer, index, 0)
    if not -length <= first < length:
        raise ValueError(f"there is no position {first} in prompts of {length} tokens (patching {name})")
    return _Found(name, layer, (first % length, *index[1:]), first % length)


class _Sweep:
    """The runs of many places in one base run."""

    def __init__(
        self,
        model: HookedModel,
        base: Int[Tensor, "batch pos"],
        mask: Tensor | None,
        base_logits: Float[Tensor, "batch kept d_vocab"],
        given: Any,
        keep: int,
    ) -> None:
        self.model, self.base, self.mask, self.base_logits, self.given, self.keep = (
            *(model, base, mask, base_logits, given, keep),
        )
        after = [("resid_post", layer) for layer in range(model.cfg.n_layers - 1)]
        streams: Any = model.run_with_cache(base, after, attention_mask=mask)[1] if after else {}
        # What leaves the block before, since an outer edit of resid_pre will be made in the rows too.
        self.streams = [model(base, mask, stop_at_layer=0), *(streams[site] for site in after)]
        # An edit around the sweep counts on seeing whole texts, so that with one nothing is left out.
        self.whole = bool(sites_of(model._key))
        self.past: Any = None

    def run(self, places: Sequence[_Found], batch_size: int, metric: Metric) -> Float[Tensor, "place batch"]:
        """The metric of each place's run."""
        groups: dict[int, list[int]] = {}
        for i, place in enumerate(places):
            groups.setdefault(self._start(place), []).append(i)
        results: dict[int, Tensor] = {}
        size = max(1, batch_size // len(self.base))
        for start, members in groups.items():
            members.sort(key=lambda i: places[i].layer)
            for chunk in (members[i : i + size] for i in range(0, len(members), size)):
                logits = self._logits([places[i] for i in chunk], start)
                rows = logits.split(len(self.base))
                results.update(zip(chunk, (metric(self._all_positions(row, start)) for row in rows), strict=True))
        return torch.stack([results[i] for i in range(len(places))])

    def _start(self, place: _Found) -> int:
        """The first position that is computed anew for this place."""
        if self.whole:
            return 0
        length = self.base.shape[1]
        start = min(place.start, length - self.keep) if self.keep else place.start
        return max(start, 0) // _TOGETHER * _TOGETHER

    def _logits(self, places: list[_Found], start: int) -> Float[Tensor, "row kept d_vocab"]:
        """Rows [place batch], joined at the layer of each place: logits of the positions from `start` on."""
        model, n = self.model, len(self.base)
        if start and self.past is None:
            real = torch.ones_like(self.base, dtype=torch.bool) if self.mask is None else self.mask
            self.past = model._step(self.base, real, None)[1]
        x = self.streams[0][:0, start:]
        for layer in range(places[0].layer, model.cfg.n_layers):
            joining = [place for place in places if place.layer == layer]
            entered = len(x)
            x = torch.cat([x, self.streams[layer][:, start:].repeat(len(joining), 1, 1)])
            copies = len(x) // n
            edits = [
                (site, self._put([(entered + i * n, p) for i, p in enumerate(joining) if p.site == site], start))
                for site in dict.fromkeys(place.site for place in joining)
            ]
            mask = None if self.mask is None else self.mask.repeat(copies, 1)
            with model.hooks(edits):
                x = model._run_block(layer, x, self.base.repeat(copies, 1), mask, self.past)
        last = x[:, -self.keep :] if self.keep else x
        return model.unembed(last if model.ln_final is None else model.ln_final(last))

    def _put(self, places: list[tuple[int, _Found]], start: int) -> Callable[[Tensor, Hook], Tensor]:
        """An edit that exchanges, in the rows of each place, what stands there."""
        n = len(self.base)

        def put(value: Tensor, hook: Hook) -> Tensor:
            for row, place in places:
                here: Any = place.where
                if start:  # counted from the first position that is computed
                    here = (place.start - start, *place.where[1:])
                value[(slice(row, row + n), *here)] = self.given[place.site][(slice(None), *place.where)]
            return value

        return put

    def _all_positions(self, logits: Float[Tensor, "batch new d_vocab"], start: int) -> Tensor:
        """With the logits of the positions before, which are those of the base run."""
        if self.keep or not start:
            return logits
        return torch.cat([self.base_logits[:, :start], logits], 1)
