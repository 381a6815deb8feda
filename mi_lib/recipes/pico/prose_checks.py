"""What Pico's base knows of Littletown's prose, measured on combinations that training left out.

Indirect objects, repeats, facts in one hop and in two, agreement over a distance, and claims. Every check has
its control: an untrained network, corrupted names, shuffled facts or labels.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch

from mi_lib import probing
from mi_lib.induction.loss import per_token_loss
from mi_lib.models import HookedModel
from mi_lib.recipes.checks import Check
from mi_lib.recipes.pico.common import ids, logits_of, mean_check, replies, token
from mi_lib.statistics import interval
from mi_lib.worlds.littletown import Document, Writer, facts, people, prose, stories

TEXTS = 300  # held-out texts a check
JUDGED = 20  # words: a fact and its verdict


def measure(model: HookedModel, untrained: HookedModel) -> list[Check]:
    """All checks of prose. untrained: the same architecture with random weights."""
    return [
        *indirect_object(model, untrained),
        repeats(model, untrained),
        *recalled(model, untrained),
        agreement(model, untrained),
        verdicts(model, untrained),
    ]


# --- indirect objects -------------------------------------------------------------------------------------------------


def giving_stories(order: stories.Order, count: int = TEXTS, seed: int = 11) -> list[Document]:
    """Held-out stories in one sentence; their last name, the receiver's, is what is to be predicted."""
    rng = random.Random(f"{seed}/{order}")
    return [stories.giving(rng, "held_out", order, short=True) for _ in range(count)]


def corrupted(told: Document, seed: int) -> list[str]:
    """The paper's ABC: up to the receiver, three other names, none of them said twice (Wang et al. 2022, §2)."""
    rng = random.Random(seed)
    fresh = iter(rng.sample([n for n in people.NAMES if n not in told.truth.values()], 3))
    before = told.words[: told.where("receiver")[0]]
    return [next(fresh) if word in people.GENDER else word for word in before]


def name_differences(
    model: HookedModel, told: Sequence[Document], texts: Sequence[Sequence[str]] | None = None
) -> list[float]:
    """logit(receiver) − logit(giver) where the receiver's name is due. texts: read these instead of the stories."""
    read = texts if texts is not None else [story.words for story in told]
    logits = logits_of(model, read)
    at = torch.stack([row[story.where("receiver")[0]] for story, row in zip(told, logits, strict=True)])
    receivers, givers = (torch.tensor([token(story.truth[who]) for story in told]) for who in ("receiver", "giver"))
    return probing.preference(at, receivers, givers).tolist()


def indirect_object(model: HookedModel, untrained: HookedModel) -> list[Check]:
    made = []
    for order in ("ABBA", "BABA"):
        told = giving_stories(order)  # type: ignore[arg-type]
        differences, chance = name_differences(model, told), name_differences(untrained, told)
        made.append(
            mean_check(
                f"indirect_object_{order}",
                f"share of held-out stories ({order}) in which the receiver's name is likelier than the giver's",
                [d > 0 for d in differences],
                0.99,
                True,
                float(np.mean([d > 0 for d in chance])),
                "an untrained network",
            )
        )
        made.append(
            mean_check(
                f"indirect_object_difference_{order}",
                f"logit of the receiver's name minus that of the giver's, mean over held-out stories ({order})",
                differences,
                3.0,
                True,
                float(np.mean(chance)),
                "an untrained network",
            )
        )
        lost = np.array(name_differences(model, told, [corrupted(story, i) for i, story in enumerate(told)])) > 0
        made.append(
            Check(
                f"indirect_object_corrupted_{order}",
                f"how far that share is from one half when the sentence has three other names ({order})",
                abs(float(lost.mean()) - 0.5),
                0.1,
                False,
                abs(float(np.mean([d > 0 for d in differences])) - 0.5),
                "the names as they were",
                *interval(lambda rows, lost=lost: abs(lost[rows].mean() - 0.5), len(lost)),  # type: ignore[misc]
            )
        )
    return made


# --- repeats ----------------------------------------------------------------------------------------------------------


def list_losses(model: HookedModel, count: int = 200, seed: int = 12) -> np.ndarray:
    """Losses in nats on random lists [text 4]: summed over the words of first copies, how many those are, and the same
    for later copies. Held-out lengths: 8, 13, 18."""
    rng = random.Random(seed)
    texts = [prose.repeats(rng, "held_out") for _ in range(count)]
    found = []
    for text, logits in zip(texts, logits_of(model, [text.words for text in texts]), strict=True):
        loss = per_token_loss(logits[None], torch.tensor([ids(text.words)]))[0]
        copies = np.array(text.labels("copy"), dtype=object)
        first, later = (loss.numpy()[copies == label] for label in ("first", "later"))
        found.append((first.sum(), len(first), later.sum(), len(later)))
    return np.array(found)


def later_over_first(losses: np.ndarray) -> float:
    """Loss per word on later copies, as a share of that on first ones."""
    first, firsts, later, laters = losses.sum(0)
    return float((later / laters) / (first / firsts))


def repeats(model: HookedModel, untrained: HookedModel) -> Check:
    losses = list_losses(model)
    return Check(
        "repeats",
        "loss on later copies of random lists, as a share of that on first copies (lengths never trained on)",
        later_over_first(losses),
        0.2,
        False,
        later_over_first(list_losses(untrained)),
        "an untrained network",
        *interval(lambda rows: later_over_first(losses[rows]), len(losses)),
    )


# --- facts ------------------------------------------------------------------------------------------------------------


def statements(hops: int, count: int = TEXTS, seed: int = 13) -> list[tuple[list[str], str, list[str]]]:
    """Held-out statements up to their value: (words, value, all values it could have had).

    One hop: the fact is known in other phrasings. Two hops: never stated; it follows from two facts that are.
    """
    rng = random.Random(f"{seed}/{hops}")
    found: list[tuple[list[str], str, list[str]]] = []
    while len(found) < count:
        known = facts.two_hop_fact(rng) if hops == 2 else facts.fact(rng)
        ways = [way for way in facts.phrasings(known, "held_out") if "{value.value}" not in way]
        if not ways:
            continue
        writer = Writer()
        facts.state(writer, known, rng.choice(ways))
        written = writer.document("fact")
        entity = "town" if hops == 2 else known.entity
        at = written.where("value")[0]
        found.append((written.words[:at], known.value, list(facts.VALUES[entity][known.attribute])))
    return found


def right_values(model: HookedModel, asked: Sequence[tuple[list[str], str, list[str]]]) -> list[bool]:
    """Whether the likeliest next word, of all words, is the value."""
    logits = logits_of(model, [words for words, _, _ in asked])
    return [int(row[-1].argmax()) == token(value) for row, (_, value, _) in zip(logits, asked, strict=True)]


def recalled(model: HookedModel, untrained: HookedModel) -> list[Check]:
    made = []
    for hops, bound in ((1, 0.98), (2, 0.8)):
        asked = statements(hops)
        rng = random.Random(0)
        shuffled = [(words, rng.choice([v for v in values if v != value]), values) for words, value, values in asked]
        made.append(
            mean_check(
                f"facts_{'one_hop' if hops == 1 else 'two_hops'}",
                "share of facts whose value is the likeliest next word, "
                + ("in phrasings never seen with them" if hops == 1 else "which follow from two others, never stated"),
                right_values(model, asked),
                bound,
                True,
                max(float(np.mean(right_values(model, shuffled))), float(np.mean(right_values(untrained, asked)))),
                "another value of the same kind, or an untrained network, whichever is higher",
            )
        )
    return made


# --- agreement and truth ----------------------------------------------------------------------------------------------


def agreement(model: HookedModel, untrained: HookedModel, count: int = TEXTS, seed: int = 14) -> Check:
    """Sentences whose nearer noun has the other number, so that it would mislead."""
    rng = random.Random(seed)
    asked: list[tuple[list[str], str, str]] = []
    while len(asked) < count:
        text = prose.agreement(rng, "held_out")
        number, other = text.labels("number"), text.labels("attractor number")
        for at in text.where("be"):
            if number[at] != other[at] and len(asked) < count:
                be = text.words[at]
                wrong = {"is": "are", "are": "is", "was": "were", "were": "was"}[be]
                asked.append((text.words[:at], be, wrong))

    def right(network: HookedModel) -> list[bool]:
        logits = probing.end_logits(network, [ids(words) for words, _, _ in asked])
        right, wrong = (torch.tensor([token(be) for be in forms]) for forms in list(zip(*asked, strict=True))[1:])
        return (probing.preference(logits, right, wrong) > 0).tolist()

    return mean_check(
        "agreement",
        "share of verbs that agree with their noun although the nearer noun has the other number (held-out pairs)",
        right(model),
        0.98,
        True,
        float(np.mean(right(untrained))),
        "an untrained network",
    )


def verdict(words: list[str]) -> bool | None:
    """What the first word of judgement says; None if there is none."""
    return next((word in ("Yes", "True") for word in words if word in ("Yes", "True", "No", "False")), None)


def verdicts(model: HookedModel, untrained: HookedModel, count: int = TEXTS, seed: int = 15) -> Check:
    """After a held-out claim it goes on alone: it has to state the fact and then to judge. The first verdict counts."""
    rng = random.Random(seed)
    asked: list[tuple[list[str], bool]] = []
    while len(asked) < count:
        text = facts.claim(rng, "held_out", told_first=False)
        end = text.words.index(".") + 1
        asked.append((text.words[:end], text.labels("truth")[end - 1] == "true"))

    def right(network: HookedModel) -> list[bool]:
        said = replies(network, [words for words, _ in asked], longest=JUDGED)
        return [verdict(words) is true for words, (_, true) in zip(said, asked, strict=True)]

    return mean_check(
        "verdicts",
        "share of held-out claims that it judges rightly, after it has stated the fact by itself",
        right(model),
        0.95,
        True,
        float(np.mean(right(untrained))),
        "an untrained network",
    )
