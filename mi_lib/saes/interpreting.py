"""A latent's name, chosen from labels, and how well the name says where the latent is active.

    words, holds                                     the texts' words, and where each labelled concept holds
    labels = Labels.of(CONCEPTS, words)              what a name may be made of: concepts, and single words
    names = interpret(f, labels.hold(words, holds))  for each latent the best name, on training texts
    detect(names, new_f, labels.hold(new_words, new_holds))          what it is worth on others

A name is one label, or a few with "or", or a few with "and". It is graded by DETECTION: told only the name, at which
words is the latent active? (Bills et al. 2023 have a language model guess; Paulo et al. 2024, arXiv 2410.13928, score
by detection. Here the labels answer, so that nothing is drawn and nobody guesses.)

    score = P(name | active) − P(name | silent)

that is 2 × balanced accuracy − 1: of equally many active and silent words, the share told right less the share told
wrong. "Always" and "never" score exactly 0, and so does, on average, whatever knows nothing of the latent. Plain
accuracy does not do: of a latent that is active at 29 % of the words, "never" tells 71 % right.

Where a latent is rare, a name that is much too wide still tells most silent words right. So ask the harder question
too: among words at which a latent that writes alike is active (`near_misses`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.saes.entries import Entries, Values, entries

TERMS = 3  # labels in a name, at most
GAIN = 0.02  # by which another label must raise the score, or the shorter name stays
LEAST = 10  # active words, or there is nothing to name and nothing to grade


@dataclass(frozen=True)
class Labels:
    """What names are made of: first the concepts, then single words."""

    concepts: tuple[str, ...]
    words: tuple[str, ...] = ()

    @classmethod
    def of(cls, concepts: Sequence[str], words: Sequence[str] = ()) -> Labels:
        """words: of some texts; each different one becomes a label."""
        return cls(tuple(concepts), tuple(dict.fromkeys(words)))

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.concepts, *(f"the word “{word}”" for word in self.words))

    def hold(self, words: Sequence[str], holds: Bool[Tensor, "n concept"]) -> Entries:
        """At which of these words each label holds. ValueError where words and labels are not as many."""
        if holds.shape != (len(words), len(self.concepts)):
            wanted = [len(words), len(self.concepts)]
            raise ValueError(f"the labels of these words and concepts are {wanted}, not {list(holds.shape)}")
        number = {word: len(self.concepts) + i for i, word in enumerate(self.words)}
        by_row = holds.cpu().bool()
        there = torch.tensor([number.get(word, -1) for word in words], dtype=torch.long)
        row, label = by_row.nonzero(as_tuple=True)
        known = (there >= 0).nonzero()[:, 0]
        rows, labels = torch.cat([row, known]), torch.cat([label, there[known]])
        order = rows.argsort(stable=True)
        start = torch.cat([torch.zeros(1, dtype=torch.long), torch.bincount(rows, minlength=len(words)).cumsum(0)])
        return Entries(start, labels[order].int(), torch.ones(len(rows)), len(self.names))


class Name(NamedTuple):
    """labels: their numbers; none where the latent was active too rarely to be named. score: where it was chosen."""

    labels: tuple[int, ...]
    how: Literal["or", "and"]
    score: float

    def text(self, labels: Labels) -> str:
        """In words."""
        return f" {self.how} ".join(labels.names[i] for i in self.labels) or "no name"


class Detection(NamedTuple):
    """Of each latent. NaN where it is active, or silent, at too few of these words to be graded."""

    score: Float[Tensor, " latent"]
    active: Int[Tensor, " latent"]  # at how many words it is active

    @property
    def mean(self) -> float:
        """Over the latents that could be graded."""
        return self.score.nanmean().item()


def interpret(values: Values, labels: Entries, *, level: float = 0.0, terms: int = TERMS) -> list[Name]:
    """For each latent the name with the best score at these words, which must not be those it is graded on.

    level: a latent counts as active above this share of its largest value. terms: labels in a name, at most.
    ValueError for another number of words than rows, a level outside 0 … 1, and fewer than one term.
    """
    if terms < 1:
        raise ValueError(f"a name needs at least one label, not {terms}")
    _, active = _active(values, labels, level)
    search = _Search(labels, _by_column(labels), _count(labels, None))
    return [_name(rows, search, terms) if len(rows) >= LEAST else Name((), "or", 0.0) for rows in active]


class _Search(NamedTuple):
    """labels; the rows of each; how many they are."""

    labels: Entries
    rows: list[Int[Tensor, " row"]]
    total: Float[Tensor, " label"]


def _name(active: Int[Tensor, " row"], search: _Search, terms: int) -> Name:
    """The best label; then, one at a time, those that raise the score most, all by "or" or all by "and"."""
    labels, n, total = search.labels, len(search.labels), search.total
    hits = _count(labels, active)
    positive, negative = len(active), n - len(active)
    if negative < LEAST:
        return Name((), "or", 0.0)
    scores = hits / positive - (total - hits) / negative
    first = int(scores.argmax())
    best_single = scores[first].item()
    best = Name((first,), "or", best_single)
    for how in ("or", "and"):
        name, said = Name((first,), how, best_single), search.rows[first]
        is_active = torch.zeros(n, dtype=torch.bool).index_fill(0, active, True)
        while len(name.labels) < terms:
            right, wrong = said[is_active[said]], said[~is_active[said]]
            with_right, with_wrong = _count(labels, right), _count(labels, wrong)
            if how == "and":
                scores = with_right / positive - with_wrong / negative
            else:  # what they say together: what the one says, and what the other says elsewhere
                new_right, new_wrong = hits - with_right, total - hits - with_wrong
                scores = (len(right) + new_right) / positive - (len(wrong) + new_wrong) / negative
            place = int(scores.argmax())
            if scores[place].item() < name.score + GAIN:
                break
            name = Name((*name.labels, place), how, scores[place].item())
            other = search.rows[place]
            said = torch.cat([said, other]).unique() if how == "or" else said[torch.isin(said, other)]
        best = max(best, name, key=lambda name: name.score)
    return best


def detect(
    names: Sequence[Name],
    values: Values,
    labels: Entries,
    *,
    level: float = 0.0,
    among: Bool[Tensor, "n latent"] | None = None,
) -> Detection:
    """The score of each latent's name at these words.

    among: the silent words that count, for harder questions (`near_misses`); None: all. An active word always counts.
    A latent without a name is graded as "never": 0. ValueErrors as for `interpret`, and for another number of names.
    """
    found, active = _active(values, labels, level)
    if len(names) != found.width:
        raise ValueError(f"there are {len(names)} names for {found.width} latents")
    if among is not None and among.shape != (len(found), found.width):
        raise ValueError(f"the words that count must be [{len(found)} {found.width}], not {list(among.shape)}")
    scores, rows_of = [], _by_column(labels)
    for latent, (name, rows) in enumerate(zip(names, active, strict=True)):
        is_active = torch.zeros(len(found), dtype=torch.bool).index_fill(0, rows, True)
        silent = ~is_active if among is None else ~is_active & among[:, latent].cpu()
        if int(is_active.sum()) < LEAST or int(silent.sum()) < LEAST:
            scores.append(float("nan"))
            continue
        said = _holds(name, rows_of, len(found))
        scores.append(said[is_active].double().mean().item() - said[silent].double().mean().item())
    return Detection(torch.tensor(scores), torch.tensor([len(rows) for rows in active]))


def _holds(name: Name, rows_of: list[Int[Tensor, " row"]], n: int) -> Bool[Tensor, " n"]:
    """Where the name holds; nowhere if it has no labels."""
    if not name.labels:
        return torch.zeros(n, dtype=torch.bool)
    count = torch.zeros(n, dtype=torch.long)
    for label in name.labels:
        count[rows_of[label]] += 1
    return count >= (1 if name.how == "or" else len(name.labels))


def exchanged(names: Sequence[Name], seed: int = 0) -> list[Name]:
    """The control: every latent gets the name of another one. A good score here would be one of the words, not of the
    latents. ValueError for fewer than two."""
    if len(names) < 2:
        raise ValueError("a name can be exchanged only among at least two latents")
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed)).tolist()
    return [
        names[order[(order.index(i) + 1) % len(order)]] for i in range(len(names))
    ]  # one circle: nobody keeps theirs


@torch.no_grad()
def near_misses(
    values: Float[Tensor, "n latent"], decoder: Float[Tensor, "latent d"], n: int = 10
) -> Bool[Tensor, "n latent"]:
    """Hard silent words: where a latent is silent and one of the n that write most like it is active.

    ValueError for another number of rows than latents. Memory: twice n × latents bytes.
    """
    if values.ndim != 2 or values.shape[1] != len(decoder):
        raise ValueError(f"these are activations {list(values.shape)} for {len(decoder)} latents")
    rows = torch.nn.functional.normalize(decoder, dim=1)
    alike = (rows @ rows.T).fill_diagonal_(-torch.inf)
    near = alike.topk(min(n, len(decoder) - 1), dim=1).indices  # [latent n]
    active = (values > 0).T.contiguous()
    return torch.stack([active[others].any(0) & ~active[i] for i, others in enumerate(near)]).T


def _active(values: Values, labels: Entries, level: float) -> tuple[Entries, list[Int[Tensor, " row"]]]:
    """For each latent the rows at which it is active."""
    if not 0 <= level < 1:
        raise ValueError(f"the level is a share of a latent's largest value, from 0 to below 1, not {level}")
    found = entries(values)
    if len(found) != len(labels):
        raise ValueError(f"there are {len(found)} words with activations and {len(labels)} with labels")
    return found, _by_column(found, found.value > level * found.largest()[found.latent.long()])


def _by_column(found: Entries, kept: Bool[Tensor, " entry"] | None = None) -> list[Int[Tensor, " row"]]:
    """For each latent, or label, the rows in which it has an entry (one that is kept), in order."""
    column = found.latent.long()
    rows = torch.arange(len(found)).repeat_interleave(found.start.diff())
    if kept is not None:
        column, rows = column[kept], rows[kept]
    return list(rows[column.argsort(stable=True)].split(torch.bincount(column, minlength=found.width).tolist()))


def _count(labels: Entries, rows: Int[Tensor, " row"] | None) -> Float[Tensor, " label"]:
    """At how many of these rows (None: of all) each label holds."""
    latent = labels.latent if rows is None else labels.latent[labels.of_rows(rows)]
    return torch.bincount(latent, minlength=labels.width).double()
