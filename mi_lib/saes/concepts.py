"""Which latents stand for a labelled concept: chosen on training texts, judged on others.

A latent is a test for a concept: it says "here" where its activation is above a threshold. A concept that a dictionary
has split ("a town" became sixteen towns) is not one latent but a union of some: "here" where any of them says so.

    choices = choose(sae.encode(x), holds, k=4)             # latents and thresholds, on training texts
    judge(choices, sae.encode(new), holds_anew).f1          # what they are worth on held-out texts

    F1 = 2 · |says ∧ holds| / (|says| + |holds|)             the harmonic mean of precision and recall

A union grows by the latent and threshold that raise F1 most, as long as one does; so a smaller one is the beginning of
a larger one. But one that begins with a latent that is much too wide never gets rid of it. With `purities` the search
is made again among latents of whose new words such a share is right, and the best of the unions counts: dearer, and
fairer to concepts that were split into single words. Neither is exhaustive.

Thresholds are shares of a latent's largest activation on the training texts. They are part of the choice, and so is
what was not chosen: to judge on the same texts would reward the search. Neurons and coordinates of the residual stream
are judged by the same functions (`both_signs`), random labels too (`shuffled`, `sets_of_words`): k latents that find
any k words have found no concept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, overload

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.saes.entries import ROWS, Entries, Values, chunks, entries

LEVELS = 10
PURITIES = (0.0, 0.5, 0.8, 0.95)


def f1(active: Bool[Tensor, "n latent"], holds: Bool[Tensor, "n concept"]) -> Float[Tensor, "latent concept"]:
    """Each latent as a test for each concept. 0 where neither is ever there. ValueError for another number of rows."""
    _same_rows(len(active), len(holds))
    both = sum(a.float().T @ h.float() for a, h in zip(active.split(ROWS), holds.split(ROWS), strict=True))
    return 2 * both / (active.sum(0)[:, None] + holds.sum(0)).clamp(min=1)


class Choice(NamedTuple):
    """A union of latents, each active above its threshold (in units of activations), and its F1 where it was chosen.

    No latents, and a score of 0, for a concept that holds nowhere there.
    """

    latents: tuple[int, ...]
    thresholds: tuple[float, ...]
    score: float


class Judged(NamedTuple):
    """0 where a ratio is 0 / 0: of a concept that is never there, or a choice that never says so, nothing is known."""

    precision: Float[Tensor, " concept"]  # of where it says "here", how much is true
    recall: Float[Tensor, " concept"]  # of what is true, how much it says
    f1: Float[Tensor, " concept"]


def choose(
    values: Values,
    holds: Bool[Tensor, "n concept"],
    *,
    k: int = 1,
    levels: int = LEVELS,
    purities: Sequence[float] = (0.0,),
) -> list[Choice]:
    """For each concept the best union of at most k latents on these texts.

    values: whole, or chunks of rows in their order; only what is above 0 is active. levels: how many thresholds are
    tried, the shares 0, 1/levels, … of a latent's largest value. purities: see above (`PURITIES`).
    Memory: a chunk, and 20 bytes for each active entry.
    ValueError for another number of labels than rows, k or levels below 1, and values that are not numbers.
    """
    return [best[-1] for best in unions(values, holds, k=k, levels=levels, purities=purities)]


def unions(
    values: Values,
    holds: Bool[Tensor, "n concept"],
    *,
    k: int,
    levels: int = LEVELS,
    purities: Sequence[float] = (0.0,),
) -> list[list[Choice]]:
    """For each concept the best unions of at most 1, 2, … k latents. See `choose`."""
    if not purities or not all(0 <= purity <= 1 for purity in purities):
        raise ValueError(f"purities are shares from 0 to 1, at least one of them, not {list(purities)}")
    if k < 1 or levels < 1:
        raise ValueError(f"a union needs at least one latent and one level, not k = {k} and levels = {levels}")
    found = entries(values)
    _same_rows(len(found), len(holds))
    thresholds = torch.arange(levels)[:, None] / levels * found.largest()  # [level latent]
    search = _Search(found, thresholds)
    return [search.best(column, k, purities) for column in holds.cpu().bool().unbind(1)]


class _Search:
    """The search for one concept after another."""

    def __init__(self, found: Entries, thresholds: Float[Tensor, "level latent"]) -> None:
        self.found, self.thresholds = found, thresholds
        # code: the highest of its latent's thresholds that an entry exceeds (all exceed the first, which is 0), and the
        # latent, as one number
        above = sum((found.value > row[found.latent]).int() for row in thresholds)
        self.code = (above - 1) * found.width + found.latent
        self.active = self.count(None)

    def count(self, rows: Bool[Tensor, " n"] | None) -> Float[Tensor, "level latent"]:
        """In how many of these rows (None: of all) each latent is above each of its thresholds."""
        code = self.code if rows is None else self.code[self.found.of_rows(rows.nonzero()[:, 0])]
        reached = torch.bincount(code, minlength=self.thresholds.numel()).view(self.thresholds.shape)
        return reached.flip(0).cumsum(0).flip(0).double()

    def best(self, holds: Bool[Tensor, " n"], k: int, purities: Sequence[float]) -> list[Choice]:
        """The best of the greedy unions, for each number of latents."""
        paths = [self.greedy(holds, k, purity) for purity in purities]
        return [max((path[min(j, len(path) - 1)] for path in paths), key=lambda c: c.score) for j in range(k)]

    def greedy(self, holds: Bool[Tensor, " n"], k: int, purity: float) -> list[Choice]:
        """Unions that grow by the latent and threshold that raise F1 most, of those whose new words are so pure."""
        path = [Choice((), (), 0.0)]
        latents: list[int] = []
        thresholds: list[float] = []
        said, total = torch.zeros(len(holds), dtype=torch.bool), int(holds.sum())
        while len(latents) < k:
            new_right, new = self.count(holds & ~said), self.active - self.count(said)
            right, says = new_right + int((said & holds).sum()), new + int(said.sum())
            scores = torch.where(new_right >= purity * new, 2 * right / (says + total).clamp(min=1), 0.0)
            place = int(scores.argmax())
            if not scores.view(-1)[place] > path[-1].score:
                break
            level, latent = divmod(place, self.found.width)
            latents.append(latent)
            thresholds.append(self.thresholds[level, latent].item())
            said |= self.says(level, latent)
            path.append(Choice(tuple(latents), tuple(thresholds), scores.view(-1)[place].item()))
        return path[1:] or path

    def says(self, level: int, latent: int) -> Bool[Tensor, " n"]:
        entry = ((self.found.latent == latent) & (self.found.value > self.thresholds[level, latent])).nonzero()[:, 0]
        rows = torch.searchsorted(self.found.start, entry, right=True) - 1
        return torch.zeros(len(self.found), dtype=torch.bool).index_fill(0, rows, True)


def says(choices: Sequence[Choice], values: Values) -> Bool[Tensor, "n concept"]:
    """Where each choice says "here". ValueError for a latent that is not there, and values that are not numbers."""
    return torch.cat(list(_says(choices, values)) or [torch.zeros(0, len(choices), dtype=torch.bool)])


def _says(choices: Sequence[Choice], values: Values) -> Iterator[Bool[Tensor, "chunk concept"]]:
    highest = max((latent for choice in choices for latent in choice.latents), default=-1)
    for chunk in chunks(values):
        if highest >= chunk.shape[1]:
            raise ValueError(f"latent {highest} was chosen, and these activations have {chunk.shape[1]} latents")
        columns = [
            (chunk[:, list(choice.latents)] > torch.tensor(choice.thresholds).to(chunk)).any(1) for choice in choices
        ]
        yield torch.stack(columns, 1).cpu() if columns else torch.zeros(len(chunk), 0, dtype=torch.bool)


def judge(choices: Sequence[Choice], values: Values, holds: Bool[Tensor, "n concept"]) -> Judged:
    """Precision, recall and F1 of each choice on these texts, which must not be those on which it was chosen.

    ValueErrors as for `choose`, and for another number of choices than concepts.
    """
    if len(choices) != holds.shape[1]:
        raise ValueError(f"there are {len(choices)} choices for {holds.shape[1]} concepts")
    said, holds = says(choices, values), holds.cpu().bool()
    _same_rows(len(said), len(holds))
    right, says_, true = (said & holds).sum(0), said.sum(0), holds.sum(0)
    return Judged(right / says_.clamp(min=1), right / true.clamp(min=1), 2 * right / (says_ + true).clamp(min=1))


def _same_rows(values: int, labels: int) -> None:
    if values != labels:
        raise ValueError(f"there are {values} words with activations and {labels} with labels")


# --- controls ---------------------------------------------------------------------------------------------------------


@overload
def both_signs(values: Float[Tensor, "n coordinate"]) -> Float[Tensor, "n two_coordinates"]: ...
@overload
def both_signs(values: Values) -> Values: ...
def both_signs(values: Values) -> Values:
    """Coordinates as latents: the first half says how far above 0, the second how far below.

    A latent is active above a threshold of at least 0, so a coordinate that is low where a concept holds would else not
    be heard. Subtract the mean of the training texts first, from training and held-out ones alike.
    """
    if isinstance(values, Tensor):
        return torch.cat([values, -values], dim=1)
    return (torch.cat([chunk, -chunk], dim=1) for chunk in values)


def shuffled(holds: Bool[Tensor, "n concept"], seed: int = 0) -> Bool[Tensor, "n concept"]:
    """The labels dealt out anew over the words: as frequent as they were, and together where they were together."""
    return holds[torch.randperm(len(holds), generator=torch.Generator().manual_seed(seed)).to(holds.device)]


def sets_of_words(
    words: Sequence[str], holds: Bool[Tensor, "n concept"], seed: int = 0
) -> Callable[[Sequence[str]], Bool[Tensor, "n concept"]]:
    """For concepts that are sets of words: other words in place of theirs, which have nothing in common.

    A union of latents that are words finds these as well as the real ones: then it has found words, no concept. Each
    word of a set is replaced by one that is about as frequent among `words`. What is returned labels other texts too.
    ValueError where a concept holds at some occurrences of a word and not at others: it is no set of words.
    """
    _same_rows(len(words), len(holds))
    types, where = _types(words)
    count = torch.bincount(where, minlength=len(types))
    share = torch.zeros(len(types), holds.shape[1]).index_add(0, where, holds.float()) / count[:, None]
    if bool(((share > 0) & (share < 1)).any()):
        raise ValueError("a concept holds at some occurrences of a word and not at others: it is no set of words")
    partner = torch.arange(len(types))
    for near in count.argsort(descending=True, stable=True).split(NEAR):  # about as frequent
        generator = torch.Generator().manual_seed(seed + int(near[0]))
        partner[near] = near[torch.randperm(len(near), generator=generator)]
    member = {word: share[partner[i]] > 0 for i, word in enumerate(types)}
    nowhere = torch.zeros(holds.shape[1], dtype=torch.bool)

    def label(others: Sequence[str]) -> Bool[Tensor, "n concept"]:
        return torch.stack([member.get(word, nowhere) for word in others])

    return label


NEAR = 24  # words of like frequency that are dealt out among themselves


def _types(words: Sequence[str]) -> tuple[list[str], Int[Tensor, " n"]]:
    """The different words, and for each place the number of its word."""
    number: dict[str, int] = {}
    where = torch.tensor([number.setdefault(word, len(number)) for word in words])
    return list(number), where
