"""Is it used? Change what a probe reads, at the place where it reads it, and see whether the network says otherwise.

That a property can be read shows that it is there. Only an edit shows whether what follows makes use of it: that it is
enough to change this direction (mirror, flip, move), or that the answer needs it (erase). The same edit along random
directions of the same length says how much any push would do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.models import Hook, HookedModel
from mi_lib.models.again import Again, remembering
from mi_lib.models.sites import layer_of, resolve
from mi_lib.models.text import at_positions, text_positions
from mi_lib.probing.collecting import Texts, padded
from mi_lib.probing.data import Unusable, class_means, to_fit

Change = Callable[[Float[Tensor, "n d"]], Float[Tensor, "n d"]]  # of the activations at one position of each text


def mirror(direction: Float[Tensor, " d"], middle: Float[Tensor, " d"]) -> Change:
    """x − 2 ((x − middle) · u) u: mirrored at the plane through `middle` at right angles to the direction."""
    if not float(direction.norm()) > 0:
        raise Unusable("a direction of length 0 mirrors nothing")
    unit = direction / direction.norm()
    return lambda x: x - 2 * ((x - middle) @ unit)[:, None] * unit


def flip(reading: Float[Tensor, " d"], bias: float, direction: Float[Tensor, " d"]) -> Change:
    """Along `direction` until what a probe says, x · reading + bias, has the opposite sign and the same size.

    x − 2 (x · reading + bias) / (reading · direction) · direction. A probe can be told to say the opposite along any
    direction that it reads at all; along its own normal the way is shortest (this is `mirror`), and that need not be
    the way in which the network writes the property. `Unusable` where the probe does not read the direction.
    """
    reading, direction = reading.double(), direction.double()
    slope = reading @ direction
    if not float(slope.abs()) > 1e-9 * float(reading.norm() * direction.norm()):
        raise Unusable("the probe does not read this direction: nothing along it changes what it says")
    return lambda x: (x.double() - 2 * ((x.double() @ reading + bias) / slope)[:, None] * direction).to(x.dtype)


def mirror_classes(x: Float[Tensor, "n d"], y: Int[Tensor, " n"]) -> Change:
    """Mirror along the difference of two classes' means, in the middle between them: what said one says the other."""
    x, y, k = to_fit(x, y, 2)
    means = class_means(x, y, k)
    return mirror(means[1] - means[0], means.mean(0))


def to_other_mean(x: Float[Tensor, "n d"], y: Int[Tensor, " n"]) -> Callable[[Int[Tensor, " m"]], Change]:
    """Move by the difference of the means of two classes: given the labels of the texts, from their own class to the
    other one. What else a text's activation holds stays as it is."""
    x, y, k = to_fit(x, y, 2)
    means = class_means(x, y, k)
    return lambda own: lambda value: value + means[1 - own] - means[own]


def along(vector: Float[Tensor, " d"]) -> Change:
    """x + vector."""
    return lambda x: x + vector


def random_directions(like: Float[Tensor, " d"], count: int, seed: int = 0) -> Float[Tensor, "count d"]:
    """Random vectors of the same length, as a control: in any direction equally likely."""
    drawn = torch.randn(count, len(like), generator=torch.Generator().manual_seed(seed)).to(like.dtype)
    return drawn / drawn.norm(dim=-1, keepdim=True) * like.norm()


def edit_at(change: Change, positions: Int[Tensor, " batch"]) -> Callable[[Tensor, Hook], Tensor]:
    """An edit for `HookedModel.hooks`: change each text's activation at its own position, and no other."""

    def edit(value: Tensor, hook: Hook) -> Tensor:
        value = value.clone()
        rows = torch.arange(len(positions), device=value.device)
        value[rows, positions] = change(value[rows, positions]).to(value.dtype)
        return value

    return edit


@torch.no_grad()
def end_logits(
    model: HookedModel,
    texts: Texts,
    site: Any = None,
    change: Change | Callable[[slice], Change] | None = None,
    *,
    position: int = -1,
    by_rows: bool = False,
    batch: int = 64,
) -> Float[Tensor, "text d_vocab"]:
    """The logits after each text's last token, with the activation at one site and position changed, or as they are.

    by_rows: `change` is called with the rows of a batch, a slice of all texts, and gives the change for these.
    """
    found = []
    for at in range(0, len(texts), batch):
        rows = slice(at, at + batch)
        tokens, mask = padded(model, texts[rows])
        ends = text_positions(tokens, mask)
        edits: Sequence[Any] = ()
        if change is not None:
            now: Any = change(rows) if by_rows else change  # type: ignore[arg-type]
            edits = [(site, edit_at(now, text_positions(tokens, mask, position)))]
        with model.hooks(edits) if edits else nullcontext():
            found.append(at_positions(model(tokens, mask), ends))
    if not found:
        raise Unusable("there is no text to read")
    return torch.cat(found)


@torch.no_grad()
def end_logits_of_each(
    model: HookedModel, texts: Texts, edits: Sequence[tuple[Any, Change]], batch: int = 1024
) -> Float[Tensor, "edit text d_vocab"]:
    """`end_logits` for each of many edits (site, change) of the texts' last tokens, in a fraction of the time.

    The texts are read once. A change of the last token leaves the tokens before it as they are, and the blocks before
    its own: so each edit begins at its block, with the last tokens alone, and all go on together. batch: how many last
    tokens stand in one pass. `Unusable` without texts, and for a site that lies outside the blocks.
    """
    tokens, mask = padded(model, texts)
    ends = text_positions(tokens, mask)
    found = [resolve(site, model.hook_names, model.cfg.n_layers) for site, _ in edits]
    places = [name for names in found for name in names]
    layers = [layer_of(name) for name in places]
    if any(len(names) != 1 for names in found) or None in layers:
        raise Unusable("each edit needs one site, which lies in a block, such as ('resid_pre', 2)")
    entering = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
    with remembering() as past:
        _, cache = model.run_with_cache(tokens, entering, attention_mask=mask)
    streams = [at_positions(cache[site], ends) for site in entering]
    results: dict[int, Tensor] = {}
    order = sorted(range(len(edits)), key=lambda i: layers[i])  # type: ignore[arg-type, return-value]
    size = max(1, batch // len(ends))
    for chunk in (order[i : i + size] for i in range(0, len(order), size)):
        x, running = streams[0][:0], []  # [place d_model], place: the last token of a text in the run of an edit
        for layer in range(layers[chunk[0]], model.cfg.n_layers):  # type: ignore[arg-type]
            joining = [i for i in chunk if layers[i] == layer]
            running += joining
            x = torch.cat([x, streams[layer].repeat(len(joining), 1)])
            again = Again(torch.arange(len(x), device=x.device), ends.repeat(len(running)), len(x), past[layer])
            hooks = []
            for i in joining:
                rows = slice(len(ends) * running.index(i), len(ends) * (running.index(i) + 1))
                hooks.append((places[i], _in_rows(edits[i][1], rows)))
            with model.hooks(hooks) if hooks else nullcontext():
                x = model._block_again(layer, x[None], again)[0]
        out = model.unembed(x if model.ln_final is None else model.ln_final(x))
        results.update(zip(running, out.split(len(ends)), strict=True))
    return torch.stack([results[i] for i in range(len(edits))])


def _in_rows(change: Change, rows: slice) -> Callable[[Tensor, Hook], Tensor]:
    def edit(value: Tensor, hook: Hook) -> Tensor:
        value = value.clone()
        value[0, rows] = change(value[0, rows]).to(value.dtype)
        return value

    return edit


def preference(
    logits: Float[Tensor, "text d_vocab"], one: Int[Tensor, " text"], other: Int[Tensor, " text"]
) -> Float[Tensor, " text"]:
    """logit[one] − logit[other] for each text."""
    rows = torch.arange(len(logits))
    return logits[rows, one] - logits[rows, other]


def turned(
    model: HookedModel,
    texts: Texts,
    site: Any,
    change: Change | Callable[[slice], Change],
    one: Int[Tensor, " text"],
    other: Int[Tensor, " text"],
    **options: Any,
) -> Bool[Tensor, " text"]:
    """Whether the change turns over which of two tokens is the likelier one. options: those of `end_logits`."""
    before = preference(end_logits(model, texts, batch=options.get("batch", 64)), one, other)
    after = preference(end_logits(model, texts, site, change, **options), one, other)
    return (before > 0) != (after > 0)
