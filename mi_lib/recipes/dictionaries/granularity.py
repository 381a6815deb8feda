"""At which width is a concept one latent? What a dictionary finds by itself, and what because somebody chose its width.

For every width, site and kind of dictionary, on held-out texts, with latents and thresholds chosen on training texts:

    concepts     of the 48 labelled ones, how many have a latent with F1 ≥ .8, or a union of up to 2, 4, 8, 16 latents
    false sets   the same for sets of words that have nothing in common, as many as the concepts' and as frequent:
                 a union of latents that are words finds these too, and has then found words
    words        of single words (frequent enough to be judged), the share that has a latent with F1 ≥ .8

Controls beside each: the dictionary that the same training gives on an untrained network, the best neuron and the best
coordinate of the site, each with either sign. Intervals: over held-out texts, drawn anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib import saes
from mi_lib.recipes.dictionaries import data
from mi_lib.statistics import RESAMPLES
from mi_lib.worlds.littletown import Document
from mi_lib.worlds.littletown.concepts import CONCEPTS, WORDS, concepts

GOOD = 0.8  # the F1 that the card of Pico asks for
UNIONS = (1, 2, 4, 8, 16)
OFTEN = (30, 10)  # so often a word must stand in the texts to choose on, and in those that are judged
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
