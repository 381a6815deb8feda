"""What a latent answers to: the texts in which it is largest, how large it gets, and which latents are like it.

Texts are read a few at a time and nothing but the best of them is kept, so that a corpus may have any length.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from mi_lib.models import HookedModel
from mi_lib.models.sites import layer_of, resolve
from mi_lib.saes.base import Dictionary
from mi_lib.saes.entries import Values, chunks

# Tokens [batch pos], of equal length or with an attention mask; or texts, or the tokens of texts, one after another.
Texts = Int[Tensor, "batch pos"] | Iterable[str] | Iterable[Sequence[int]]
BATCH = 16  # texts that are read together


class TopText(NamedTuple):
    """A text, what a latent says at each of its tokens, and where it says most."""

    text: int  # the number of the text
    tokens: list[int]  # without padding
    words: list[str]  # the same, as strings
    activations: Float[Tensor, " pos"]
    at: int  # the position of the largest
    value: float  # the largest


def top_texts(
    model: HookedModel,
    sae: Dictionary,
    site: str | tuple,
    texts: Texts,
    latent: int,
    n: int = 10,
    *,
    attention_mask: Bool[Tensor, "batch pos"] | None = None,
    skip: int = 0,
    batch: int = BATCH,
) -> list[TopText]:
    """The n texts in which a latent is largest, largest first; fewer where it is active in fewer.

    skip: how many of each text's first tokens do not count (1 leaves out <|bos|>, whose activations are like no other).
    ValueErrors as for `top_texts_of`.
    """
    options = {"attention_mask": attention_mask, "skip": skip, "batch": batch}
    return top_texts_of(model, sae, site, texts, [latent], n, **options)[latent]  # type: ignore[arg-type]


@torch.no_grad()
def top_texts_of(
    model: HookedModel,
    sae: Dictionary,
    site: str | tuple,
    texts: Texts,
    latents: Sequence[int],
    n: int = 10,
    *,
    attention_mask: Bool[Tensor, "batch pos"] | None = None,
    skip: int = 0,
    batch: int = BATCH,
) -> dict[int, list[TopText]]:
    """`top_texts` of several latents in one reading. Memory: n texts for each latent, and the batch that is read.

    ValueError for a latent that is not there, a site of another width, no texts, and for n or batch below 1.
    """
    wanted = [checked(sae, latent) for latent in latents]
    if n < 1 or batch < 1:
        raise ValueError(f"at least one text is needed, not n = {n} and batch = {batch}")
    best: dict[int, list[TopText]] = {latent: [] for latent in wanted}
    for first, tokens, real, x in activations(model, site, texts, attention_mask, batch):
        f = sae.encode(x.to(sae.W_dec))[..., wanted].cpu()
        counts = real & (real.cumsum(-1) > skip)
        highest = f.masked_fill(~counts[..., None], 0).amax(1)  # [batch latent]
        for j, latent in enumerate(wanted):
            floor = best[latent][-1].value if len(best[latent]) == n else 0.0
            for row in (highest[:, j] > floor).nonzero()[:, 0].tolist():
                here = f[row, real[row], j].clone()
                at = skip + int(here[skip:].argmax())
                ids = tokens[row, real[row]].tolist()
                best[latent].append(TopText(first + row, ids, model.to_str_tokens(ids), here, at, here[at].item()))
            best[latent] = sorted(best[latent], key=lambda text: -text.value)[:n]
    return best


def activations(
    model: HookedModel,
    site: str | tuple,
    texts: Texts,
    attention_mask: Bool[Tensor, "batch pos"] | None = None,
    batch: int = BATCH,
) -> Iterator[tuple[int, Int[Tensor, "row pos"], Bool[Tensor, "row pos"], Float[Tensor, "row pos d"]]]:
    """Texts a few at a time: the number of the first, their tokens, which of them are real, and what is at the site.

    The model runs no further than it must. ValueError where there is no text.
    """
    name = one_site(model, site)
    layer = layer_of(name)
    enough = None if name.startswith("ln_final") else 0 if layer is None else layer + 1
    first = 0
    for tokens, real in batches(model, texts, attention_mask, batch):
        mask = None if bool(real.all()) else real
        _, cache = model.run_with_cache(tokens, name, attention_mask=mask, stop_at_layer=enough)
        if cache[name].ndim != 3:
            raise ValueError(f"a dictionary reads a site [batch pos d], and {name} is {list(cache[name].shape)}")
        yield first, tokens.cpu(), real.cpu(), cache[name]
        first += len(tokens)
    if not first:
        raise ValueError("there is no text to read")


def batches(
    model: HookedModel, texts: Texts, attention_mask: Tensor | None, batch: int
) -> Iterator[tuple[Int[Tensor, "row pos"], Bool[Tensor, "row pos"]]]:
    """Tokens and mask of a few texts at a time. A mask belongs to tokens: ValueError where there is one with texts."""
    if isinstance(texts, Tensor):
        real = torch.ones_like(texts, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
        if texts.ndim != 2 or real.shape != texts.shape:
            raise ValueError(f"tokens and their mask must be [batch pos], not {list(texts.shape)}, {list(real.shape)}")
        yield from zip(texts.split(batch), real.split(batch), strict=True)
        return
    if attention_mask is not None:
        raise ValueError("texts are padded here: an attention mask belongs to tokens [batch pos]")
    if isinstance(texts, str):
        texts = [texts]
    queue = iter(texts)
    while some := list(itertools.islice(queue, batch)):
        if isinstance(some[0], str):
            yield model.tokenize(some)  # type: ignore[arg-type]
            continue
        if not all(len(row) for row in some):
            raise ValueError("one of these texts has no tokens: leave it out")
        rows = [torch.as_tensor(row) for row in some]
        tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)  # with 0, which the mask hides
        lengths = torch.tensor([len(row) for row in rows])
        yield tokens, torch.arange(tokens.shape[1]) < lengths[:, None]


def one_site(model: HookedModel, site: str | tuple) -> str:
    """Its full name. ValueError for several; UnknownSite for none."""
    names = resolve(site, model.hook_names, model.cfg.n_layers)
    if len(names) != 1:
        raise ValueError(f"a dictionary belongs to one site, not to {len(names)}")
    return names[0]


def checked(sae: Dictionary, latent: int) -> int:
    """ValueError where there is no such latent."""
    latent = operator.index(latent)
    if not 0 <= latent < sae.n_latents:
        raise ValueError(f"there is no latent {latent}: this dictionary has {sae.n_latents}, from 0 on")
    return latent


# --- which are alike --------------------------------------------------------------------------------------------------


class Neighbour(NamedTuple):
    latent: int
    value: float  # the cosine or the correlation


@torch.no_grad()
def neighbours(sae: Dictionary, latent: int, n: int = 10, *, values: Values | None = None) -> list[Neighbour]:
    """The n latents most like this one, without itself.

    By the cosine of their decoder rows: they write alike. With values [n latent], the dictionary's activations on some
    words (whole or in chunks of rows), by correlation: they are active together; 0 for what is constant.
    """
    latent = checked(sae, latent)
    if values is None:
        alike = F.normalize(sae.W_dec, dim=1) @ F.normalize(sae.W_dec[latent], dim=0)
    else:
        alike = _correlations(values, latent, sae.n_latents)
    alike = alike.index_fill(0, torch.tensor([latent], device=alike.device), -torch.inf)
    best = alike.sort(descending=True, stable=True)
    return [Neighbour(int(i), v.item()) for i, v in zip(best.indices[:n], best.values[:n], strict=True) if i != latent]


def _correlations(values: Values, latent: int, width: int) -> Float[Tensor, " latent"]:
    """Pearson's r of one latent with all, from sums over chunks, about the first row (so that nothing cancels)."""
    sums, squares, products = torch.zeros(3, width, dtype=torch.double)
    count, origin = 0, None
    for chunk in chunks(values):
        if chunk.shape[1] != width:
            raise ValueError(f"these are activations of {chunk.shape[1]} latents, and the dictionary has {width}")
        origin = chunk[0].cpu().double() if origin is None else origin
        x = chunk.cpu().double() - origin
        count += len(x)
        sums, squares, products = sums + x.sum(0), squares + x.pow(2).sum(0), products + x[:, latent] @ x
    if origin is None:
        raise ValueError("there are no activations: give at least one row")
    variance = (squares - sums.pow(2) / count).clamp(min=0)
    covariance = products - sums * sums[latent] / count
    scale = (variance * variance[latent]).sqrt()
    return torch.where(scale > 0, covariance / scale, 0.0)


# --- how large --------------------------------------------------------------------------------------------------------


class Histogram(NamedTuple):
    """How often a latent is how large where it is active, and at which share of the words it is silent."""

    counts: Int[Tensor, " bins"]
    edges: Float[Tensor, " edge"]  # from 0 to the largest value; to 1 where it is never active
    silent: float


def histogram(values: Float[Tensor, " n"], bins: int = 20) -> Histogram:
    """values: the activations of one latent at some words. ValueError for none, NaN, or what is below 0."""
    if values.ndim != 1 or not len(values):
        raise ValueError(f"the activations of one latent are [n], not {list(values.shape)}")
    if not bool((values.isfinite() & (values >= 0)).all()):
        raise ValueError("activations of a latent are finite and at least 0; some of these are not")
    active = values[values > 0].float().cpu()
    highest = active.max().item() if len(active) else 1.0
    counts, edges = torch.histogram(active, bins, range=(0.0, highest))
    return Histogram(counts.long(), edges, 1 - len(active) / len(values))
