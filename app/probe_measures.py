"""What the probes explorer measures: probes of a property at every depth, what they read in a text, what edits do."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import streamlit as st
import torch
from jaxtyping import Float, Int
from torch import Tensor

from app import common
from app.chat import open_model
from mi_lib import probing
from mi_lib.models import HookedModel
from mi_lib.probing import Change, Judged, Probe, Selectivity
from mi_lib.steering import Share, share
from mi_lib.worlds.littletown import Split, properties

FITTED, READ, EDITED = 400, 200, 40
OWN, NEARER = "the noun's own number", "the nearer noun's number"
NUMBERS = (OWN, NEARER)
NAMES = {
    OWN: "number of the noun (one or many)",
    NEARER: "number of the nearer noun (one or many)",
    "sentiment": "how good a review is, from −2 to 2",
    "truth": "whether a claim is true",
    "topic": "what a text is about",
    "subject": "who did it",
    "object": "to whom it was done",
}
SITES = {
    "resid": "the residual stream",
    "attn_out": "what each attention layer writes",
    "mlp_out": "what each MLP writes",
}
KINDS = {
    "ridge": "ridge regression",
    "means": "difference of means",
    "whitened": "difference of means, covariance corrected",
}
MEANS, NORMAL, RANDOM = "mirrored along the difference of means", "mirrored along the probe", "a random push, as long"


class Texts(NamedTuple):
    """Texts up to the word where the property is due. types: the combination of words that each label follows from."""

    rows: list[list[int]]
    labels: list[str]
    types: list[Hashable]
    forms: list[tuple[int, int]]  # the two tokens between which Pico chooses; none for other properties than number


class Data(NamedTuple):
    """x, held: activations [depth text d_model] of the texts that probes are fitted on and read on."""

    names: list[str]
    fitted: Texts
    read: Texts
    x: Float[Tensor, "depth text d_model"]
    held: Float[Tensor, "depth text d_model"]

    @property
    def y(self) -> Int[Tensor, " text"]:
        return probing.numbered(self.fitted.labels, self.names)[0]

    @property
    def held_y(self) -> Int[Tensor, " text"]:
        return probing.numbered(self.read.labels, self.names)[0]


def sites(model: HookedModel, site: str) -> list[tuple[str, int]]:
    """The places of a kind, from the first to the last."""
    last = model.cfg.n_layers
    if site == "resid":
        return [*(("resid_pre", layer) for layer in range(last)), ("resid_post", last - 1)]
    return [(site, layer) for layer in range(last)]


def depths(model: HookedModel, site: str) -> list[str]:
    blocks = [f"block {layer}" for layer in range(model.cfg.n_layers)]
    return ["embedding", *(f"after {block}" for block in blocks)] if site == "resid" else [f"in {b}" for b in blocks]


def _tokens(model: HookedModel, words: list[str]) -> list[int]:
    return model.to_tokens(" ".join(words))[0].tolist()


def texts(model: HookedModel, name: str, split: Split, count: int) -> Texts:
    if name not in NUMBERS:
        found = properties.examples(name, split, count, 31)
        rows = [_tokens(model, e.words) for e in found]
        return Texts(rows, [e.label for e in found], [e.combination for e in found], [])
    verbs = properties.verbs(split, count, 31)
    many = [v.many if name == OWN else v.nearer_many for v in verbs]
    forms = [tuple(_token(model, form) for form in properties.FORMS[v.verb]) for v in verbs]
    labels = ["many" if each else "one" for each in many]
    return Texts([_tokens(model, v.words) for v in verbs], labels, [v.nouns for v in verbs], forms)  # type: ignore[arg-type]


def _token(model: HookedModel, word: str) -> int:
    return int(model.to_tokens(word)[0, -1])


@st.cache_resource(max_entries=36, show_spinner=False)
def data(network: str, name: str, site: str) -> Data:
    """The activations at the last word of each text, at every depth. Held-out texts have new combinations of words."""
    model = open_model(network)
    fitted, read = texts(model, name, "train", FITTED), texts(model, name, "held_out", READ)
    both = _collected(network, OWN if name in NUMBERS else name)[site]  # both numbers are of the same sentences
    return Data(sorted(set(fitted.labels)), fitted, read, *both)


@st.cache_resource(max_entries=6, show_spinner="Pico reads 600 texts, to see what stands in it …")
@common.one_thread()
def _collected(network: str, name: str) -> dict[str, list[Float[Tensor, "depth text d_model"]]]:
    """By kind of site: what stands there in the texts that are fitted, and in those that are read. Each is run once."""
    model = open_model(network)
    where = [place for site in SITES for place in sites(model, site)]
    counts = [len(sites(model, site)) for site in SITES]
    rows = (texts(model, name, "train", FITTED).rows, texts(model, name, "held_out", READ).rows)
    found = [probing.collect(model, group, where)[:, 0].split(counts) for group in rows]
    return dict(zip(SITES, map(list, zip(*found, strict=True)), strict=True))


def fit(kind: str, x: Tensor, y: Tensor, classes: int) -> Probe:
    if kind == "ridge":
        return probing.ridge(x, y, classes)
    return probing.mass_mean(x, y, classes, covariance=kind == "whitened")


class Accuracy(NamedTuple):
    """At one depth, of held-out texts."""

    real: Judged
    control: Judged
    selectivity: Selectivity


@st.cache_resource(max_entries=64, show_spinner="Fitting a probe at every depth, and one on meaningless labels …")
@common.one_thread()
def accuracies(network: str, name: str, site: str, kind: str) -> list[Accuracy]:
    """At every depth: the probe, and the same probe fitted on labels that mean nothing (one for each combination)."""
    d = data(network, name, site)
    found: list[Accuracy] = []
    k = len(d.names)
    drawn, asked = (probing.control_labels(group.types, k) for group in (d.fitted, d.read))
    for x, held in zip(d.x, d.held, strict=True):
        right = fit(kind, x, d.y, k)(held) == d.held_y
        control = fit(kind, x, drawn, k)(held) == asked
        found.append(Accuracy(probing.judged(right), probing.judged(control), probing.selectivity(right, control)))
    return found


def commonest(d: Data) -> float:
    """The accuracy of whoever always says the commonest label."""
    return float(torch.bincount(d.held_y[d.held_y >= 0]).max()) / len(d.held_y)


# --- one text -----------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    """Two labels, by number: the probe is asked for `one` rather than `other`."""

    one: int
    other: int


@common.one_thread()
def projections(
    model: HookedModel, d: Data, site: str, kind: str, depth: int, pair: Pair, tokens: Int[Tensor, "1 pos"]
) -> list[float]:
    """For every word, how far it lies on `one`'s side of the boundary, against half the distance of the two means.

    +1 is where texts labelled `one` lie on average, −1 where those labelled `other` do (at their last word).
    """
    probe, place = fit(kind, d.x[depth], d.y, len(d.names)), sites(model, site)[depth]
    _, cache = model.run_with_cache(tokens, place, stop_at_layer=place[1] + 1)
    scores = probe.scores(next(iter(cache.values()))[0])
    means = probe.scores(probing.class_means(d.x[depth], d.y, len(d.names)))
    value, at = (each[:, pair.one] - each[:, pair.other] for each in (scores, means))
    middle, half = (at[pair.one] + at[pair.other]) / 2, (at[pair.one] - at[pair.other]) / 2
    return ((value - middle) / half.clamp(min=1e-9)).tolist()


def changes(d: Data, kind: str, depth: int, pair: Pair) -> dict[str, Change]:
    """The edits to compare: mirrors at the middle of two classes, and a random push as long as the means' mirror is."""
    means, pushed = _of_means(d, depth, pair)
    return {MEANS: means, **_of_a_probe(d, kind, depth, pair), RANDOM: pushed}


def _of_a_probe(d: Data, kind: str, depth: int, pair: Pair) -> dict[str, Change]:
    """The mirror along a probe's own direction, where that is not the difference of the means."""
    if kind == "means":
        return {}
    x, means = d.x[depth], probing.class_means(d.x[depth], d.y, len(d.names))
    normal = fit(kind, x, d.y, len(d.names)).direction(pair.one, pair.other)
    return {NORMAL: probing.mirror(normal.to(x.dtype), means[[pair.one, pair.other]].mean(0))}


def _of_means(d: Data, depth: int, pair: Pair) -> tuple[Change, Change]:
    """The mirror along the difference of the means, and a random push as long. They are the same for every probe."""
    means = probing.class_means(d.x[depth], d.y, len(d.names))
    middle, apart = means[[pair.one, pair.other]].mean(0), means[pair.one] - means[pair.other]
    mirrored = probing.mirror(apart, middle)

    def pushed(value: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        push = mirrored(value) - value
        return value + probing.random_directions(apart / apart.norm(), 1)[0] * push.norm(dim=-1, keepdim=True)

    return mirrored, pushed


@common.one_thread()
def next_word(
    model: HookedModel, d: Data, site: str, kind: str, depth: int, pair: Pair, tokens: list[int]
) -> dict[str, Float[Tensor, " d_vocab"]]:
    """The probabilities of the next word as it is, and with the last word's activation changed."""
    place = sites(model, site)[depth]
    edits = changes(d, kind, depth, pair)
    found = probing.end_logits_of_each(model, [tokens], [(place, change) for change in edits.values()])
    whole = probing.end_logits(model, [tokens])
    return dict(zip(("as it is", *edits), torch.cat([whole, found[:, 0]]).softmax(-1), strict=True))


def effects(network: str, name: str, site: str, kind: str, pair: Pair) -> dict[str, list[Share]]:
    """For every edit the share of held-out texts in which it changes what comes next, at each depth.

    Of a number: whether "is" or "are" (was or were) is the likelier one. Of the others: the first guess.
    """
    means = effects_of_means(network, name, site, pair)
    own = _changed(network, name, site, pair, kind) if kind != "means" else {}
    return {MEANS: means[MEANS], **own, RANDOM: means[RANDOM]}


def effects_of_means(network: str, name: str, site: str, pair: Pair) -> dict[str, list[Share]]:
    """The part of `effects` that no choice of a probe changes."""
    return _changed(network, name, site, pair, None)


@st.cache_data(max_entries=128, show_spinner="Changing what the probe reads in 40 texts, at every depth …")
@common.one_thread()
def _changed(network: str, name: str, site: str, pair: Pair, kind: str | None) -> dict[str, list[Share]]:
    """kind: of the probe whose own direction is taken; None for the means' mirror and the random push."""
    model, d = open_model(network), data(network, name, site)
    rows = [i for i, label in enumerate(d.held_y.tolist()) if label in pair][:EDITED]
    asked = [d.read.rows[i] for i in rows]
    forms = torch.tensor([d.read.forms[i] for i in rows]) if d.read.forms else None

    def choice(logits: Float[Tensor, "text d_vocab"]) -> Tensor:
        return logits.argmax(-1) if forms is None else logits.gather(1, forms).argmax(-1)

    edits: list[tuple[str, Any, Change]] = []
    for depth, place in enumerate(sites(model, site)):
        if kind is None:
            each = dict(zip((MEANS, RANDOM), _of_means(d, depth, pair), strict=True))
        else:
            each = _of_a_probe(d, kind, depth, pair)
        edits += [(edit, place, change) for edit, change in each.items()]
    before = choice(probing.end_logits(model, asked))
    found: dict[str, list[Share]] = {}
    logits = probing.end_logits_of_each(model, asked, [(place, change) for _, place, change in edits])
    for (edit, _, _), after in zip(edits, logits, strict=True):
        found.setdefault(edit, []).append(share((choice(after) != before).tolist()))
    return found
