"""How often an oracle is right, and how often that which has no oracle is: the same questions put to everybody.

    found = everybody(oracle, subject, fitted, asked)       who: which of the questions are answered rightly

oracle          the word it says, of all words, or among the values that this kind can have
shuffled, zero  the oracle, with another question's activations, or none: what the question alone gives away
majority        the commonest answer of the questions that the probe is fitted on
probe           a linear probe (scikit-learn) on the same activations, fitted on labels of the same kind
black_box       the subject itself, given the text and the question
lens, last_lens the logit lens of the last word's activation, at the same depth and after the last block
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mi_lib import lens, probing
from mi_lib.models import HookedModel
from mi_lib.oracles import training
from mi_lib.oracles.asking import Oracle
from mi_lib.oracles.dataset import Example
from mi_lib.oracles.prompts import BOS, ids
from mi_lib.oracles.reading import Reading
from mi_lib.probing.collecting import padded

MANY = 12  # classes: of more, ridge regression is fitted, which takes a second where logistic regression takes minutes


def readings(subject: HookedModel, examples: Sequence[Example], of: str = "pico", batch: int = 64) -> list[Reading]:
    """The activations that each example asks about."""
    found = []
    for at in range(0, len(examples), batch):
        some = examples[at : at + batch]
        vectors = training.activations(subject, some, None)
        found += [Reading(v, one.depth, of) for v, one in zip(vectors, some, strict=True)]
    return found


def choice(logits: Float[Tensor, "row d_vocab"], options: Sequence[Sequence[str]]) -> list[str]:
    """The likeliest of the words that each row may say; () where it may say any."""
    names = {number: word for word, number in ids().items()}
    found = []
    for row, allowed in zip(logits, options, strict=True):
        where = [ids()[word] for word in allowed]
        found.append(allowed[int(row[where].argmax())] if allowed else names[int(row.argmax())])
    return found


def right(logits: Float[Tensor, "row d_vocab"], asked: Sequence[Example], among: bool = False) -> Bool[Tensor, " row"]:
    """Which answers are right. among: only the values that the question can have are compared."""
    said = choice(logits, [one.question.options if among else () for one in asked])
    return torch.tensor([word == one.question.answer for word, one in zip(said, asked, strict=True)])


def oracle_logits(
    oracle: Oracle, asked: Sequence[Example], read: Sequence[Reading], relative: bool = False
) -> Float[Tensor, "row d_vocab"]:
    """What the oracle says to each."""
    return oracle.logits(read, [one.question.words for one in asked], relative)


def turned(read: Sequence[Reading], kinds: Sequence[str] = ()) -> list[Reading]:
    """Each question with the activations of the one half the list away: the control "shuffled".

    kinds: what each is asked about; the activations are then those of another question of the same kind, so that the
    control still knows what such texts have in common. One that stands alone keeps its own.
    """
    rows: dict[str, list[int]] = {}
    for i in range(len(read)):
        rows.setdefault(kinds[i] if kinds else "", []).append(i)
    found = list(read)
    for members in rows.values():
        for place, i in enumerate(members):
            found[i] = read[i].shuffled(read[members[(place + len(members) // 2) % len(members)]])
    return found


@torch.no_grad()
def black_box(subject: HookedModel, asked: Sequence[Example], batch: int = 64) -> Float[Tensor, "row d_vocab"]:
    """The subject reads the text up to the same word, then the question, and answers as it would answer anybody.

    A chat goes on with the question as the person's next turn; prose is put before the question, in the same turn.
    """
    table, found = ids(), []
    for at in range(0, len(asked), batch):
        rows = []
        for one in asked[at : at + batch]:
            rows.append([table[word] for word in aloud(one)])
        tokens, mask = padded(subject, rows)
        logits = subject(tokens, mask)
        found.append(logits[torch.arange(len(rows)), mask.sum(1) - 1])
    return torch.cat(found)


def aloud(one: Example) -> list[str]:
    """The words that the black box reads."""
    words = one.text.words[: one.at + 1]
    if words[0].startswith("<|"):
        words = [*words, *([] if words[-1] == "<|end|>" else ["<|end|>"])]
        return [BOS, *words, "<|user|>", *one.question.words, "<|end|>", "<|assistant|>"]
    return [BOS, "<|user|>", *words, *one.question.words, "<|end|>", "<|assistant|>"]


def lens_logits(subject: HookedModel, read: Sequence[Reading]) -> Float[Tensor, "row d_vocab"]:
    """The logit lens of the last word that was read."""
    with torch.no_grad():
        return lens.read_out(subject, torch.stack([one.vectors[-1] for one in read]))


def majority(fitted: Sequence[Example]) -> str:
    """The commonest answer."""
    return Counter(one.question.answer for one in fitted).most_common(1)[0][0]


def _inputs(read: Sequence[Reading], most: int) -> Float[Tensor, "row feature"]:
    """All words of a reading in a row, the last one first; zeros where there are fewer."""
    rows = torch.zeros(len(read), most, read[0].vectors.shape[1])
    for i, one in enumerate(read):
        rows[i, : len(one.vectors)] = one.vectors.flip(0)
    return rows.flatten(1)


class LabelProbe(NamedTuple):
    """A linear probe for one kind of question, which has seen labels of this kind alone.

    names: its answers. most: how many words it reads, at most. logistic: whether the softmax of its scores are chances;
    those of a ridge regression are none.
    """

    probe: probing.Probe
    names: list[str]
    most: int
    logistic: bool

    def scores(self, read: Sequence[Reading]) -> Float[Tensor, "row name"]:
        return self.probe.scores(_inputs(read, self.most))


def label_probe(fitted: Sequence[Example], read: Sequence[Reading], most: int) -> LabelProbe | None:
    """A probe fitted to the answers of these questions, all of one kind; None where there are fewer than two answers.

    most: of how many words at most it reads the activations. An answer that stands alone is left out.
    """
    counts = Counter(one.question.answer for one in fitted)
    kept = [i for i, one in enumerate(fitted) if counts[one.question.answer] > 1]
    if len({fitted[i].question.answer for i in kept}) < 2:
        return None
    labels, names = probing.numbered([fitted[i].question.answer for i in kept])
    few = len(names) <= MANY
    probe = (probing.logistic if few else probing.ridge)(_inputs([read[i] for i in kept], most), labels, len(names))
    return LabelProbe(probe, names, most, few)


def probe_right(
    fitted: Sequence[Example], fitted_read: Sequence[Reading], asked: Sequence[Example], read: Sequence[Reading]
) -> Bool[Tensor, " row"]:
    """Which answers a linear probe gets right that is fitted on the same labels and the same activations."""
    most = max(len(one.vectors) for one in (*fitted_read, *read))
    probe = label_probe(fitted, fitted_read, most)
    if probe is None:
        return torch.zeros(len(asked), dtype=torch.bool)
    said = probe.scores(read).argmax(-1)
    return torch.tensor([probe.names[int(n)] == one.question.answer for n, one in zip(said, asked, strict=True)])


def by_oracle(
    oracle: Oracle, subject: HookedModel, asked: Sequence[Example], of: str = "pico"
) -> dict[str, Bool[Tensor, " row"]]:
    """Which of the questions (of one kind, open) the oracle answers rightly, and what it says without its activations.

    It may say any word; `oracle_among` and its controls choose among the values of this kind.
    """
    read, relative = readings(subject, asked, of), of != oracle.of
    said = oracle_logits(oracle, asked, read, relative)
    return {
        "oracle": right(said, asked),
        "oracle_among": right(said, asked, among=True),
        "shuffled": right(oracle_logits(oracle, asked, turned(read), relative), asked, among=True),
        "zero": right(
            oracle_logits(oracle, asked, [one.zero(oracle.means) for one in read], relative), asked, among=True
        ),
    }


def without_oracle(
    subject: HookedModel, fitted: Sequence[Example], asked: Sequence[Example], of: str = "pico"
) -> dict[str, Bool[Tensor, " row"]]:
    """Which of the questions all the others answer rightly; they choose among the values of this kind."""
    read, fitted_read = readings(subject, asked, of), readings(subject, fitted)
    deepest = [one._replace(depth=subject.cfg.n_layers) for one in asked]
    common = majority(fitted)
    return {
        "majority": torch.tensor([one.question.answer == common for one in asked]),
        "probe": probe_right(fitted, fitted_read, asked, read),
        "black_box": right(black_box(subject, asked), asked, among=True),
        "lens": right(lens_logits(subject, read), asked, among=True),
        "last_lens": right(lens_logits(subject, readings(subject, deepest, of)), asked, among=True),
    }


def everybody(
    oracle: Oracle, subject: HookedModel, fitted: Sequence[Example], asked: Sequence[Example], of: str = "pico"
) -> dict[str, Bool[Tensor, " row"]]:
    """Who answers which of the questions rightly (see above); all of one kind, and open."""
    return {**by_oracle(oracle, subject, asked, of), **without_oracle(subject, fitted, asked, of)}
