"""What linear probes find in Pico's residual stream, and what it does not use of that.

A probe is fitted at one depth on texts of the training split and read on held-out combinations. Its control is the same
probe with labels that mean nothing: every combination of words gets one at random (Hewitt & Liang 2019), so that
only a probe which learns combinations by heart could name them. What a probe finds need not matter: the last check
edits it, and the prediction stays.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.models import Hook, HookedModel
from mi_lib.recipes.checks import Check
from mi_lib.recipes.pico.common import logits_of, mean_check, residuals, token
from mi_lib.worlds.littletown import Split, facts, prose

PENALTY = 1e-2  # of the ridge, as a share of the mean squared activation
FITTED, READ = 1500, 500


@dataclass(frozen=True)
class Example:
    """A text read up to some word; the label that is true there; the combination of words that it follows from."""

    words: list[str]
    label: str
    combination: str


def deeds(rng: random.Random, split: Split, kind: str) -> Example:
    """Up to "Who did it ? The", or to "To whom ? To the": the subject, or the object, is due."""
    question, asked = ("Who did it ? The", "agent") if kind == "subject" else ("To whom ? To the", "patient")
    while True:
        told = prose.deed(rng, split)
        if question in " ".join(told.words):
            break
    end = next(s.start for s in told.spans if s.kind == asked and told.words[s.start - 2] in ("?", "To"))
    return Example(told.words[:end], told.truth[kind], f"{told.truth['subject']} {told.truth['object']}")


def sentiment(rng: random.Random, split: Split) -> Example:
    """Up to the word before the stars: how good it was, of five grades."""
    told = prose.review(rng, split)
    end = told.where("stars")[0]
    return Example(told.words[:end], told.truth["sentiment"], " ".join(told.words[:end]))


def truth(rng: random.Random, split: Split) -> Example:
    """Up to the verdict, when the claim and the fact have been said: true or false."""
    told = facts.claim(rng, split)
    verdict = next(span for span in told.spans if span.kind == "verdict")
    return Example(told.words[: verdict.start], verdict.value, " ".join(told.words[: verdict.start]))


def topic(rng: random.Random, split: Split) -> Example:
    """Up to "This was about": the topic of the paragraph."""
    told = prose.topic(rng, split)
    end = max(i for i, word in enumerate(told.words) if word == "about" and told.words[i - 1] == "was") + 1
    return Example(told.words[:end], told.truth["topic"], " ".join(told.words[:end]))


PROPERTIES: dict[str, Callable[[random.Random, Split], Example]] = {
    "sentiment": sentiment,
    "truth": truth,
    "topic": topic,
    "subject": lambda rng, split: deeds(rng, split, "subject"),
    "object": lambda rng, split: deeds(rng, split, "object"),
}


class Probe:
    """Ridge regression onto one-hot labels, centred; the class with the highest score is the answer."""

    def __init__(self, x: Float[Tensor, "n d"], labels: Int[Tensor, " n"], classes: int) -> None:
        self.mean = x.mean(0)
        centred = (x - self.mean).double()
        target = torch.nn.functional.one_hot(labels, classes).double()
        self.prior = target.mean(0)
        gram = centred.T @ centred
        penalty = PENALTY * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.double)
        self.weights = torch.linalg.solve(gram + penalty, centred.T @ (target - self.prior))

    def __call__(self, x: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
        return ((x - self.mean).double() @ self.weights + self.prior).argmax(-1)


def meaningless(combination: str, classes: int) -> int:
    """A label drawn for a combination of words: always the same for it, and following from nothing."""
    return zlib.crc32(f"control {combination}".encode()) % classes


def accuracies(model: HookedModel, name: str, seed: int = 21) -> tuple[list[list[bool]], list[list[bool]]]:
    """For every depth: whether each held-out text is read rightly; and the same of the control."""
    rng = random.Random(f"{seed}/{name}")
    fitted = [PROPERTIES[name](rng, "train") for _ in range(FITTED)]
    read = [PROPERTIES[name](rng, "held_out") for _ in range(READ)]
    labels = sorted({e.label for e in fitted})
    number = {label: i for i, label in enumerate(labels)}
    last = [torch.stack([r[:, -1] for r in residuals(model, [e.words for e in group])], 1) for group in (fitted, read)]
    true = [torch.tensor([number.get(e.label, -1) for e in group]) for group in (fitted, read)]
    drawn = [torch.tensor([meaningless(e.combination, len(labels)) for e in group]) for group in (fitted, read)]
    right, control = [], []
    for fit, held in zip(*last, strict=True):
        right.append((Probe(fit, true[0], len(labels))(held) == true[1]).tolist())
        control.append((Probe(fit, drawn[0], len(labels))(held) == drawn[1]).tolist())
    return right, control


def decodable(model: HookedModel) -> list[Check]:
    """Each property at its best depth, and how much of that is selectivity."""
    made = []
    for name in PROPERTIES:
        right, control = accuracies(model, name)
        best = int(np.argmax([np.mean(r) for r in right]))
        made.append(
            mean_check(
                f"probe_{name}",
                f"{name}: accuracy of a linear probe on held-out combinations, at its best depth ({best})",
                right[best],
                0.95,
                True,
                float(np.mean(control[best])),
                "the same probe on meaningless labels",
            )
        )
        made.append(
            mean_check(
                f"selectivity_{name}",
                f"{name}: that accuracy minus the accuracy on meaningless labels",
                [float(r) - float(c) for r, c in zip(right[best], control[best], strict=True)],
                0.3,
                True,
                float(np.mean(right[0]) - np.mean(control[0])),
                "the same at depth 0, before any block",
            )
        )
    return made


# --- found, and not used ----------------------------------------------------------------------------------------------


def _verbs(split: Split, count: int, seed: int) -> list[tuple[list[str], int, int, str]]:
    """(words up to the verb, noun is plural, nearer noun is plural, the verb)."""
    rng = random.Random(f"{seed}/{split}")
    found: list[tuple[list[str], int, int, str]] = []
    while len(found) < count:
        text = prose.agreement(rng, split)
        number, other = text.labels("number"), text.labels("attractor number")
        at = text.where("be")[0]
        found.append((text.words[:at], int(number[at] == "plural"), int(other[at] == "plural"), text.words[at]))
    return found


def _mirror(x: Float[Tensor, "n d"], many: Int[Tensor, " n"]) -> Callable[[Tensor, Hook], Tensor]:
    """Mirror the last position along the difference of the two classes' means: what said "one" now says "many"."""
    means = torch.stack([x[many == 0].mean(0), x[many == 1].mean(0)])
    unit, middle = (means[1] - means[0]) / (means[1] - means[0]).norm(), means.mean(0)

    def edit(value: Tensor, hook: Hook) -> Tensor:
        value = value.clone()
        value[:, -1] -= 2 * ((value[:, -1] - middle) @ unit)[:, None] * unit
        return value

    return edit


def used_or_not(model: HookedModel) -> list[Check]:
    """At the verb, both nouns' numbers can be read; mirroring the noun's turns the verb, the nearer noun's does not.

    The depth is the one at which mirroring the noun's own number turns most verbs, on texts of the training split.
    """
    fitted, read = _verbs("train", FITTED, 22), _verbs("held_out", READ, 23)
    states = [torch.stack([r[:, -1] for r in residuals(model, [v[0] for v in group])], 1) for group in (fitted, read)]
    own, nearer = (torch.tensor([v[which] for v in fitted]) for which in (1, 2))
    depths = range(1, model.cfg.n_layers)
    shares = [np.mean(_turned(model, fitted[:80], depth, _mirror(states[0][depth], own))) for depth in depths]
    depth = depths[int(np.argmax(shares))]
    x = states[0][depth]
    right = Probe(x, nearer, 2)(states[1][depth]) == torch.tensor([v[2] for v in read])
    turned_own = _turned(model, read, depth, _mirror(x, own))
    turned_nearer = _turned(model, read, depth, _mirror(x, nearer))
    where = f"at the verb (depth {depth})"
    return [
        mean_check(
            "unused_decodable",
            f"the nearer noun's number, read by a linear probe {where}",
            right.tolist(),
            0.95,
            True,
            max(float(np.mean([v[2] for v in read])), 1 - float(np.mean([v[2] for v in read]))),
            "always guessing the commoner number",
        ),
        mean_check(
            "unused_unchanged",
            f"share of verbs that change between one and many when the nearer noun's number is mirrored {where}",
            turned_nearer,
            0.05,
            False,
            float(np.mean(turned_own)),
            "the noun's own number mirrored at the same place",
        ),
        mean_check(
            "used_changed",
            f"share of verbs that change when the noun's own number is mirrored {where}",
            turned_own,
            0.9,
            True,
            float(np.mean(turned_nearer)),
            "the nearer noun's number mirrored at the same place",
        ),
    ]


def _turned(
    model: HookedModel, read: list[tuple[list[str], int, int, str]], depth: int, edit: Callable[[Tensor, Hook], Tensor]
) -> list[bool]:
    """Whether the edit changes which form of the verb is likelier. (One text at a time: the edit is at its end.)"""
    changed = []
    for words, _, _, verb in read[:200]:
        one, many = (token(be) for be in (("is", "are") if verb in ("is", "are") else ("was", "were")))
        before = logits_of(model, [words])[0][-1]
        after = logits_of(model, [words], [(("resid_pre", depth), edit)])[0][-1]
        changed.append(bool((before[one] > before[many]) != (after[one] > after[many])))
    return changed


def measure(model: HookedModel) -> list[Check]:
    return [*decodable(model), *used_or_not(model)]
