"""At which width is a concept one latent? What a dictionary finds by itself, and what because somebody chose its width.

For every width, site and kind of dictionary, on held-out texts, with latents and thresholds chosen on training texts:

    concepts     of the 48 labelled ones, how many have a latent with F1 ≥ .8, or a union of up to 2, 4, 8, 16 latents
    false sets   the same for sets of words that have nothing in common, as many as the concepts' and as frequent:
                 a union of latents that are words finds these too, and has then found words
    words        of single words (frequent enough to be judged), the share that has a latent with F1 ≥ .8

Width is not all that somebody chooses: how many latents are active is the other half, and how often rare words are
seen. So there are flat ones with few active latents at every width ("sparse"), and such ones that saw all different
words equally often ("even").

Controls beside each: the dictionary that the same training gives on an untrained network, the best neuron and the best
coordinate of the site, each with either sign. Intervals: over held-out texts, drawn anew.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib import saes
from mi_lib.recipes.dictionaries import data
from mi_lib.recipes.dictionaries.checks import encoded
from mi_lib.recipes.dictionaries.train import (
    EARLY,
    EMBEDDINGS,
    MIDDLE,
    MLP,
    OUT,
    WIDTHS,
    Kind,
    Made,
    Network,
    made,
    subject,
)
from mi_lib.statistics import RESAMPLES
from mi_lib.worlds.littletown import Document
from mi_lib.worlds.littletown.concepts import CONCEPTS, WORDS, concepts

# Short names for the card, and whose neurons are the site's rivals: those that wrote last, or read first.
SITES = {"embeddings": EMBEDDINGS, "early": EARLY, "middle": MIDDLE, "mlp": MLP}
NEURONS = {"embeddings": 0, "early": 1, "middle": 2, "mlp": 0}  # the block whose MLP they belong to
MATRYOSHKAS, UNTRAINED, CHOSEN = ("embeddings", "early", "middle"), ("embeddings", "middle"), ("embeddings", "middle")
GOOD = 0.8  # the F1 that the card of Pico asks for
UNIONS = (1, 2, 4, 8, 16)
OFTEN = (20, 10)  # so often a word must stand in the texts to choose on, and in those that are judged
Values = Float[Tensor, "n latent"]


class Labels(NamedTuple):
    """What holds at each word of some texts."""

    concepts: Bool[Tensor, "n concept"]
    false_sets: Bool[Tensor, "n set"]
    words: Bool[Tensor, "n word"]


class Judging(NamedTuple):
    """Texts to choose on and texts to judge on, with their labels, and which words are asked for."""

    choose: Labels
    judge: Labels
    text: Int[Tensor, " n"]  # of each word that is judged on
    words: list[str]


def judging(to_choose: Sequence[Document], held_out: Sequence[Document]) -> Judging:
    mine, theirs = ([word for document in documents for word in document.words] for documents in (to_choose, held_out))
    often, often_there = Counter(mine), Counter(theirs)
    asked = sorted(w for w in often if often[w] >= OFTEN[0] and often_there[w] >= OFTEN[1])
    first, second = concepts(list(to_choose)), concepts(list(held_out))
    false = saes.sets_of_words(mine, first[:, : len(WORDS)])
    number = {word: i for i, word in enumerate(asked)}

    def are(words: list[str]) -> Bool[Tensor, "n word"]:
        at = torch.tensor([number.get(word, len(asked)) for word in words])
        return torch.nn.functional.one_hot(at, len(asked) + 1)[:, :-1].bool()

    return Judging(
        Labels(first, false(mine), are(mine)),
        Labels(second, false(theirs), are(theirs)),
        data.text_of_word(held_out),
        asked,
    )


def measured(to_choose: Values, held_out: Values, on: Judging, unions: Sequence[int] = UNIONS) -> dict[str, Any]:
    """What these latents find. A shorter union is the beginning of a longer one, for the search is greedy."""
    found: dict[str, Any] = {}
    whole = saes.choose(to_choose, on.choose.concepts, k=max(unions))
    false = saes.choose(to_choose, on.choose.false_sets, k=max(unions))
    for k in unions:
        found[f"concepts_{k}"] = f1s = good(shorter(whole, k), held_out, on.judge.concepts, on.text)
        found[f"false_sets_{k}"] = good(shorter(false, k), held_out, on.judge.false_sets, on.text)
        f1s["which"] = [CONCEPTS[i] for i in f1s.pop("which")]
        found[f"false_sets_{k}"].pop("which")
    chosen = saes.choose(to_choose, on.choose.words, k=1)
    found["words"] = of_words = good(chosen, held_out, on.judge.words, on.text)
    of_words.pop("which")
    of_words["of"] = len(on.words)
    return found


def shorter(choices: Sequence[saes.Choice], k: int) -> list[saes.Choice]:
    """The first k latents of each union. Their score is not known any more."""
    return [saes.Choice(c.latents[:k], c.thresholds[:k], float("nan")) for c in choices]


def good(
    choices: Sequence[saes.Choice], values: Values, holds: Bool[Tensor, "n concept"], text: Int[Tensor, " n"]
) -> dict[str, Any]:
    """How many choices have F1 ≥ .8 and which, the mean F1, and their 95 % intervals over texts."""
    said, n_texts = saes.says(choices, values), int(text.max()) + 1
    tallies = torch.stack([said & holds, said, holds]).float()  # [3 n concept]
    by_text = torch.zeros(3, n_texts, holds.shape[1]).index_add(1, text, tallies)

    def f1(weight: Float[Tensor, "... text"]) -> Float[Tensor, "... concept"]:
        both, says, true = (weight @ one for one in by_text)
        return 2 * both / (says + true).clamp(min=1)

    drawn = np.random.default_rng(0).integers(0, n_texts, (RESAMPLES, n_texts))
    weight = torch.stack([torch.bincount(torch.from_numpy(row), minlength=n_texts) for row in drawn]).float()
    score, again = f1(torch.ones(n_texts)), f1(weight)
    number, mean = (again >= GOOD).float().sum(1), again.mean(1)
    return {
        "found": int((score >= GOOD).sum()),
        "found_interval": _interval(number),
        "mean_f1": round(score.mean().item(), 4),
        "mean_f1_interval": _interval(mean),
        "which": (score >= GOOD).nonzero()[:, 0].tolist(),
    }


def _interval(values: Float[Tensor, " resample"]) -> list[float]:
    return [round(q.item(), 4) for q in values.quantile(torch.tensor([0.025, 0.975]))]


# --- the whole comparison ---------------------------------------------------------------------------------------------


def compared() -> list[Made]:
    """All dictionaries that the comparison needs. The prefixes of a Matryoshka one are its widths."""
    return [
        *(made("flat", site, width) for site in SITES.values() for width in WIDTHS),
        *(made("matryoshka", SITES[name], WIDTHS[-1]) for name in MATRYOSHKAS),
        *(made("flat", SITES[name], width, "untrained") for name in UNTRAINED for width in WIDTHS),
        *(made("sparse", SITES[name], width) for name in CHOSEN for width in WIDTHS[1:]),
        *(made("even", SITES[name], width) for name in CHOSEN for width in WIDTHS),
    ]


class Subject(NamedTuple):
    """A network's activations at the words to choose on, and at those to judge on, by site."""

    choose: dict[str, Float[Tensor, "n d"]]
    judge: dict[str, Float[Tensor, "n d"]]


def read(network: Network, sites: Sequence[str]) -> Subject:
    model = subject(network)
    to_choose, held_out = data.training_texts(data.CHOOSE), data.held_out_texts()
    return Subject(data.activations(model, to_choose, sites), data.activations(model, held_out, sites))


def of_dictionary(one: Made, at: Subject, on: Judging, widths: Sequence[int]) -> dict[str, Any]:
    """What a dictionary finds, by the number of its first latents that are looked at; with its FVE and L0."""
    sae = saes.load_dictionary(OUT / f"{one.name}.safetensors", site=one.site)
    x, first, second = at.judge[one.site], encoded(sae, at.choose[one.site]), encoded(sae, at.judge[one.site])
    found = {}
    for width in widths:
        f = second[:, :width]
        out = f @ sae.W_dec[:width] + sae.b_dec
        found[f"{width}"] = {
            "fve": round(saes.fve(x, out), 4),
            "l0": round(saes.l0(f), 2),
            "steps": one.steps,
            **measured(first[:, :width], f, on),
        }
    return found


def of_coordinates(first: Values, second: Values, on: Judging) -> dict[str, Any]:
    """What single neurons, or coordinates of a site, find, with either sign about the mean where they are chosen."""
    mean = first.mean(0)
    return measured(saes.both_signs(first - mean), saes.both_signs(second - mean), on, unions=(1,))


def compare() -> dict[str, Any]:
    """The whole table: site, then kind, then width. What is done is kept in `out/recipes`, a file for each cell."""
    on = judging(data.training_texts(data.CHOOSE), data.held_out_texts())
    neurons = {name: f"blocks.{block}.mlp.hook_post" for name, block in NEURONS.items()}
    pico = read("pico", sorted({*SITES.values(), *neurons.values()}))
    blind = read("untrained", [SITES[name] for name in UNTRAINED])
    table: dict[str, Any] = {"words": len(on.words), "concepts": len(CONCEPTS), "false_sets": len(WORDS)}
    for name, site in SITES.items():
        table[name] = cells = {}
        cells["flat"] = _by_width("flat", site, pico, on)
        if name in MATRYOSHKAS:
            one = made("matryoshka", site, WIDTHS[-1])
            cells["matryoshka"] = _kept(one.name, lambda one=one: of_dictionary(one, pico, on, WIDTHS))  # type: ignore[misc]
        if name in CHOSEN:
            cells["sparse"] = _by_width("sparse", site, pico, on)
            cells["even"] = _by_width("even", site, pico, on)
        if name in UNTRAINED:
            cells["untrained"] = _by_width("flat", site, blind, on, "untrained")
        for what, where in (("coordinates", site), ("neurons", neurons[name])):
            cells[what] = _kept(
                f"{what}-{where}",
                lambda where=where: of_coordinates(pico.choose[where], pico.judge[where], on),  # type: ignore[misc]
            )
    return table


def _by_width(kind: Kind, site: str, at: Subject, on: Judging, network: Network = "pico") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for width in WIDTHS:
        one = made(kind, site, width, network)
        found |= _kept(one.name, lambda one=one, width=width: of_dictionary(one, at, on, [width]))  # type: ignore[misc]
    return found


def _kept(name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    done = OUT / f"{name}.found.json"
    if not done.exists():
        done.write_text(json.dumps(measure()))
    return json.loads(done.read_text())
