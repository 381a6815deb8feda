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
       after is computed, of all rows one behind the other (`mi_lib.models.again`)
    3. of the last layer, keys and values are needed at every position, and the rest only where the metric looks
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.attribution.pairs import Metric, metric_range, read_pairs
from mi_lib.models import ActivationCache, Hook, HookedModel
from mi_lib.models.again import Again, Remembered, remembering
from mi_lib.models.edits import sites_of
from mi_lib.models.hooked import Edit, Input
from mi_lib.models.places import layer_number
from mi_lib.models.sites import PAIRS, layer_of

Index = tuple[int | slice, ...]
Place = tuple[str | tuple, Index]  # a site, and the index of what is patched there, after the batch axis
_AT_ONCE = 1024  # positions: a processor is no quicker with more, which only take more memory


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
        sites = list(dict.fromkeys(place.site for place in found))
        other_logits, given = model.run_with_cache(
            source, sites, attention_mask=pairs.mask, logits_to_keep=logits_to_keep
        )
        sweep = _Sweep(model, base, pairs.mask, given, logits_to_keep)
        start, end = metric(sweep.base_logits), metric(other_logits)
        m_clean, m_corrupted = (start, end) if noising else (end, start)
        whole = metric_range(m_clean, m_corrupted)
        return (sweep.run(found, batch_size, metric) - m_corrupted) / whole


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
    """A place as it was found in the model.

    positions: those that are patched, in their order; of a pattern, the queries.
    around: the index before them and behind them.
    """

    site: str
    layer: int
    positions: range
    around: tuple[Index, Index]

    @property
    def start(self) -> int:
        """The first position that it can change."""
        return self.positions.start


def _found(model: HookedModel, place: Place, length: int) -> _Found:
    site, given = place
    (name,) = model._resolve(site)
    layer = layer_of(name)
    if layer is None:
        raise ValueError(
            f"{name} lies outside the blocks; patch ('resid_pre', 0) for what enters them, or "
            f"('resid_post', {model.cfg.n_layers - 1}) for what leaves them"
        )
    index: list[Any] = list(given) if isinstance(given, tuple) else [given]
    axis = 1 if name.endswith(PAIRS) else 0
    index += [slice(None)] * (axis + 1 - len(index))
    at = index[axis]
    if isinstance(at, slice):
        positions = range(length)[at]
        positions = positions if positions.step > 0 else positions[::-1]
    elif not hasattr(at, "__index__"):
        raise ValueError(f"{at!r} is no index of positions of {name}; give a number or a slice, or several places")
    elif not -length <= operator.index(at) < length:
        raise ValueError(f"there is no position {at} in prompts of {length} tokens (patching {name})")
    else:
        positions = range(length)[operator.index(at) % length :][:1]
    if not positions:
        raise ValueError(f"{at} is no position in prompts of {length} tokens, so that nothing of {name} would change")
    return _Found(name, layer, positions, (tuple(index[:axis]), tuple(index[axis + 1 :])))


class _Layout:
    """Where the runs of several places stand: their texts one behind the other, each from its first new position on."""

    def __init__(self, texts: int, length: int) -> None:
        self.texts, self.length = texts, length
        self.starts: list[int] = []

    @property
    def sizes(self) -> list[int]:
        """How many positions of each run there are, in all of its texts."""
        return [self.texts * (self.length - start) for start in self.starts]

    def again(self, before: Remembered) -> Again:
        device = before.keys.device
        starts = torch.tensor(self.starts, device=device).repeat_interleave(self.texts)
        new = self.length - starts
        copy = torch.arange(len(starts), device=device).repeat_interleave(new)
        pos = torch.arange(len(copy), device=device) + (starts - new.cumsum(0) + new)[copy]
        return Again(copy, pos, len(starts), before)

    def part(self, value: Tensor, run: int, pairs: bool) -> tuple[Float[Tensor, "batch *rest"], int]:
        """The numbers of one run in an activation, and the first position in them."""
        if pairs:
            return value[self.texts * run : self.texts * (run + 1)], min(self.starts)
        before, start = sum(self.sizes[:run]), self.starts[run]
        return value[0, before : before + self.sizes[run]].unflatten(0, (self.texts, -1)), start


class _Whole(_Layout):
    """The same where every text is whole, in a row of its own."""

    def part(self, value: Tensor, run: int, pairs: bool) -> tuple[Float[Tensor, "batch *rest"], int]:
        return value[self.texts * run : self.texts * (run + 1)], 0


class _Sweep:
    """The runs of many places in one base run."""

    def __init__(
        self,
        model: HookedModel,
        base: Int[Tensor, "batch pos"],
        mask: Tensor | None,
        given: ActivationCache,
        keep: int,
    ) -> None:
        self.model, self.base, self.mask, self.given, self.keep = model, base, mask, given, keep
        after = [("resid_post", layer) for layer in range(model.cfg.n_layers)]
        with remembering() as self.past:
            self.base_logits, streams = model.run_with_cache(base, after, attention_mask=mask, logits_to_keep=keep)
        # What leaves the block before, since an outer edit of resid_pre will be made in the rows too.
        self.streams = [model(base, mask, stop_at_layer=0), *(streams[site] for site in after)]
        # An edit around the sweep counts on seeing whole texts, so that with one nothing is left out.
        self.whole = bool(sites_of(model._key))

    def run(self, places: Sequence[_Found], batch_size: int, metric: Metric) -> Float[Tensor, "place batch"]:
        """The metric of each place's run."""
        order = sorted(range(len(places)), key=lambda i: places[i].layer)
        if self.base.device.type == "cpu":
            batch_size = min(batch_size, _AT_ONCE // self.base.shape[1])
        size = max(1, batch_size // len(self.base))
        results: dict[int, Tensor] = {}
        for chunk in (order[i : i + size] for i in range(0, len(order), size)):
            logits = (self._of_whole if self.whole else self._of_parts)([places[i] for i in chunk])
            results.update(zip(chunk, map(metric, logits), strict=True))
        return torch.stack([results[i] for i in range(len(places))])

    def _of_whole(self, places: list[_Found]) -> Iterator[Float[Tensor, "batch kept d_vocab"]]:
        """Logits of each place's run, all of which is computed anew from the layer of its place on."""
        layout = _Whole(*self.base.shape)
        x = self.streams[0][:0]
        for layer, joining in self._layers(places):
            x = torch.cat([x, self.streams[layer].repeat(len(joining), 1, 1)])
            copies = len(x) // len(self.base)
            mask = None if self.mask is None else self.mask.repeat(copies, 1)
            with self.model.hooks(self._edits(places, joining, layout)):
                x = self.model._run_block(layer, x, self.base.repeat(copies, 1), mask)
        logits = self._unembed(x[:, -self.keep :] if self.keep else x)
        yield from logits.split(len(self.base))

    def _of_parts(self, places: list[_Found]) -> Iterator[Float[Tensor, "batch kept d_vocab"]]:
        """The same, computed from the first position on that each place can change."""
        layout, end = _Layout(*self.base.shape), self.base.shape[1] - self.keep
        x = self.streams[0][:1, :0].flatten(0, 1)
        for layer, joining in self._layers(places):
            starts = [min(places[run].start, end) if self.keep else places[run].start for run in joining]
            x = torch.cat([x, *(self.streams[layer][:, start:].flatten(0, 1) for start in starts)])
            layout.starts += starts
            again = layout.again(self.past[layer])
            if self.keep and layer == self.model.cfg.n_layers - 1 and again.first < end:
                with self.model.hooks(self._edits(places, joining, layout)):
                    before = self.model._keys_again(layer, x[None], again)
                x, layout.starts = x[again.pos >= end], [end] * len(places)
                again = layout.again(before)
            with self.model.hooks(self._edits(places, joining, layout)):
                x = self.model._block_again(layer, x[None], again)[0]
        for new, start in zip(self._unembed(x).split(layout.sizes), layout.starts, strict=True):
            new = new.unflatten(0, (len(self.base), -1))
            yield new if self.keep else torch.cat([self.base_logits[:, :start], new], 1)

    def _layers(self, places: list[_Found]) -> Iterator[tuple[int, list[int]]]:
        """Each layer from that of the first place on, and the runs that join there."""
        for layer in range(places[0].layer, self.model.cfg.n_layers):
            yield layer, [run for run, place in enumerate(places) if place.layer == layer]

    def _edits(self, places: list[_Found], joining: list[int], layout: _Layout) -> list[Edit]:
        """The exchange in the runs that join."""

        def put(value: Tensor, hook: Hook) -> Tensor:
            for run in joining:
                if places[run].site == hook.name:
                    here, first = layout.part(value, run, hook.name.endswith(PAIRS))
                    _exchange(here, self.given[hook.name], places[run], first)
            return value

        return [(site, put) for site in dict.fromkeys(places[run].site for run in joining)]

    def _unembed(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_vocab"]:
        return self.model.unembed(x if self.model.ln_final is None else self.model.ln_final(x))


def _exchange(here: Tensor, given: Tensor, place: _Found, first: int) -> None:
    """Put what is given into a place, as far as `here`, which begins at position `first`, has it."""
    at = place.positions[-(-max(first - place.start, 0) // place.positions.step) :]
    if at:
        before, behind = ((slice(None), *place.around[0]), place.around[1])
        there = slice(at.start, at.stop, at.step)
        here[(*before, slice(at.start - first, at.stop - first, at.step), *behind)] = given[(*before, there, *behind)]
