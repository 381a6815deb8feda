"""Asking an oracle: the word it would answer, how sure it is, and what else it thought of.

    oracle = open_oracle()                                  the bundled one
    oracle.ask(reading, "What is the pet ?")               Answer(word="goat", chance=.93, …)

An answer is one word: the likeliest of all words (open), or of some that are named (`options`). Asked yes or no, the
oracle first says what it reads, which is kept to itself, and then the verdict, which is the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor

import mi_lib
from mi_lib import zoo
from mi_lib.models import HookedModel
from mi_lib.oracles import injection, training
from mi_lib.oracles.prompts import ids
from mi_lib.oracles.questions import BadQuestion, asks_yes_or_no, typed
from mi_lib.oracles.reading import BadReading, Reading
from mi_lib.worlds import littletown

NAME, SUBJECT, MEANS = "pico-oracle", "pico", "means.safetensors"
Question = str | Sequence[str]


@dataclass(frozen=True)
class Answer:
    """word: the likeliest. chance: its probability. best: the five likeliest with theirs."""

    word: str
    chance: float
    best: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Oracle:
    """A network that answers questions about another one's activations.

    means: the subject's mean activation at every depth, which is subtracted (None: nothing is). of: the subject.
    outright: whether it was trained to say yes or no at once.
    """

    model: HookedModel
    means: Float[Tensor, "depth d_model"] | None
    of: str = SUBJECT
    way: injection.Way = "add"
    layer: int = injection.LAYER
    outright: bool = False

    @torch.no_grad()
    def logits(
        self, readings: Sequence[Reading], questions: Sequence[Question], relative: bool = False, batch: int = 128
    ) -> Float[Tensor, "question d_vocab"]:
        """The logits of the answer to each question about the reading of the same number.

        relative: whether activations of another model than the oracle's subject are meant. BadReading, BadQuestion.
        """
        if len(readings) != len(questions):
            raise BadQuestion(f"{len(readings)} readings do not fit {len(questions)} questions: give one for each")
        words = [_words(question) for question in questions]
        vectors = [self._centred(reading, relative) for reading in readings]
        order = sorted(range(len(words)), key=lambda i: len(words[i]) + len(vectors[i]))
        found: dict[int, Tensor] = {}

        def say(rows: list[int], said: Sequence[str] = ()) -> None:
            for at in range(0, len(rows), batch):
                some = rows[at : at + batch]
                asked, depths = [words[i] for i in some], [readings[i].depth for i in some]
                read = [vectors[i] for i in some]
                begun = said[at : at + batch]
                new = training.logits(self.model, asked, depths, read, self.way, self.layer, begun)
                found.update(zip(some, new, strict=True))

        say(order)
        names = littletown.vocabulary()
        closed = [i for i in order if asks_yes_or_no(words[i]) and not self.outright]
        say(closed, [names[int(found[i].argmax())] for i in closed])
        return torch.stack([found[i] for i in range(len(words))])

    def ask(self, reading: Reading, question: Question, options: Sequence[str] = (), relative: bool = False) -> Answer:
        """The answer to one question about one reading. options: the words among which it must choose."""
        return answers(self.logits([reading], [question], relative), options)[0]

    def _centred(self, reading: Reading, relative: bool) -> Float[Tensor, "word d_model"]:
        width = self.model.cfg.d_model
        if reading.vectors.ndim != 2 or reading.vectors.shape[1] != width:
            shape = tuple(reading.vectors.shape)
            raise BadReading(f"these activations have the shape {shape}, and this oracle reads [word, {width}]")
        if not 0 <= reading.depth <= self.model.cfg.n_layers:
            raise BadReading(f"there is no layer {reading.depth}: the depths are 0 to {self.model.cfg.n_layers}")
        if not len(reading.vectors):
            raise BadReading("there are no activations in this reading: read at least one word")
        if reading.of != self.of and not relative:
            raise BadReading(
                f"these are activations of {reading.of}, and this oracle was trained on those of {self.of}: say "
                "relative=True if you mean it"
            )
        return reading.vectors if self.means is None else reading.vectors - self.means[reading.depth]


def _words(question: Question) -> list[str]:
    return typed(question if isinstance(question, str) else " ".join(question))


def answers(
    logits: Float[Tensor, "question d_vocab"], options: Sequence[str] | Sequence[Sequence[str]] = (), top: int = 5
) -> list[Answer]:
    """The likeliest word of each row. options: the words that may be said, the same for all rows or some for each.

    The chances are those among the words that may be said. BadQuestion for an option that is no word of the world.
    """
    found, names = [], littletown.vocabulary()
    each = [options] * len(logits) if not options or isinstance(options[0], str) else options
    for row, allowed in zip(logits, each, strict=True):
        if unknown := [word for word in allowed if word not in ids()]:
            raise BadQuestion(f"Littletown has no {unknown[0]!r}, so it can be no answer: name other options")
        where = torch.tensor([ids()[str(word)] for word in allowed]) if allowed else torch.arange(len(row))
        best = row[where].float().softmax(-1).topk(min(top, len(where)))
        named = tuple((names[int(where[i])], float(p)) for i, p in zip(best.indices, best.values, strict=True))
        found.append(Answer(*named[0], named))
    return found


def open_oracle(name: str | Path = NAME) -> Oracle:
    """The bundled oracle, or that of a folder: its weights, and the means that lie beside them."""
    folder = zoo.folder(str(name)) if name in zoo.names() else Path(name)
    return Oracle(mi_lib.load(str(name)), load_file(folder / MEANS)["means"])
