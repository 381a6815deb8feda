"""What linear probes find in Pico's residual stream, and what it does not use of that.

A probe is fitted at one depth on texts of the training split and read on held-out combinations. Its control is the same
probe with labels that mean nothing: every combination of words gets one at random (Hewitt & Liang 2019), so that
only a probe which learns combinations by heart could name them. What a probe finds need not matter: the last check
edits it, and the prediction stays.

The probes, the control and the edits are those of `mi_lib.probing`, the texts those of Littletown's `properties`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib import probing
from mi_lib.models import HookedModel
from mi_lib.recipes.checks import Check
from mi_lib.recipes.pico.common import ids, mean_check, token
from mi_lib.worlds.littletown import Split, properties
from mi_lib.worlds.littletown.properties import Verb

FITTED, READ, EDITED = 1500, 500, 200


def stream(model: HookedModel, texts: Sequence[Sequence[str]]) -> Float[Tensor, "depth text d_model"]:
    """The residual stream at each text's last word: before every block, and after the last one."""
    last = model.cfg.n_layers
    sites = [*(("resid_pre", depth) for depth in range(last)), ("resid_post", last - 1)]
    return probing.collect(model, [ids(words) for words in texts], sites)[:, 0]


def accuracies(
    model: HookedModel, name: str, seed: int = 21
) -> tuple[Bool[Tensor, "depth text"], Bool[Tensor, "depth text"]]:
    """For every depth: whether each held-out text is read rightly; and the same of the control."""
    rng = random.Random(f"{seed}/{name}")
    fitted = properties.examples(name, "train", FITTED, rng)
    read = properties.examples(name, "held_out", READ, rng)
    true, names = probing.numbered([e.label for e in fitted])
    asked, _ = probing.numbered([e.label for e in read], names)
    drawn, drawn_asked = (
        probing.control_labels([e.combination for e in group], len(names)) for group in (fitted, read)
    )
    x, held = (stream(model, [e.words for e in group]) for group in (fitted, read))
    return (
        probing.by_place(probing.ridge, x, true, held, asked, len(names)),
        probing.by_place(probing.ridge, x, drawn, held, drawn_asked, len(names)),
    )


def decodable(model: HookedModel) -> list[Check]:
    """Each property at its best depth, and how much of that is selectivity."""
    made = []
    for name in properties.PROPERTIES:
        right, control = (found.double() for found in accuracies(model, name))
        best = int(right.mean(1).argmax())
        made.append(
            mean_check(
                f"probe_{name}",
                f"{name}: accuracy of a linear probe on held-out combinations, at its best depth ({best})",
                right[best].tolist(),
                0.95,
                True,
                float(control[best].mean()),
                "the same probe on meaningless labels",
            )
        )
        made.append(
            mean_check(
                f"selectivity_{name}",
                f"{name}: that accuracy minus the accuracy on meaningless labels",
                (right[best] - control[best]).tolist(),
                0.3,
                True,
                float(right[0].mean() - control[0].mean()),
                "the same at depth 0, before any block",
            )
        )
    return made


# --- found, and not used ----------------------------------------------------------------------------------------------


def turned(model: HookedModel, read: Sequence[Verb], depth: int, change: probing.Change) -> list[bool]:
    """Whether a change of the last word's activation changes which form of the verb is likelier."""
    one, many = (torch.tensor([token(properties.FORMS[v.verb][i]) for v in read]) for i in (0, 1))
    return probing.turned(model, [ids(v.words) for v in read], ("resid_pre", depth), change, one, many).tolist()


def numbers(read: Sequence[Verb], nearer: bool) -> Int[Tensor, " text"]:
    """1 for many, of the noun itself or of the nearer one."""
    return torch.tensor([int(v.nearer_many if nearer else v.many) for v in read])


def used_or_not(model: HookedModel) -> list[Check]:
    """At the verb, both nouns' numbers can be read; mirroring the noun's turns the verb, the nearer noun's does not.

    The depth is the one at which mirroring the noun's own number turns most verbs, on texts of the training split.
    """
    drawn: tuple[tuple[Split, int, int], ...] = (("train", FITTED, 22), ("held_out", READ, 23))
    fitted, read = (properties.verbs(*how) for how in drawn)
    x, held = (stream(model, [v.words for v in group]) for group in (fitted, read))
    own, nearer = (numbers(fitted, which) for which in (False, True))
    depths = range(1, model.cfg.n_layers)
    shares = [np.mean(turned(model, fitted[:80], depth, probing.mirror_classes(x[depth], own))) for depth in depths]
    depth = depths[int(np.argmax(shares))]
    right = probing.ridge(x[depth], nearer)(held[depth]) == numbers(read, True)
    turned_own, turned_nearer = (
        turned(model, read[:EDITED], depth, probing.mirror_classes(x[depth], labels)) for labels in (own, nearer)
    )
    many = float(numbers(read, True).double().mean())
    where = f"at the verb (depth {depth})"
    return [
        mean_check(
            "unused_decodable",
            f"the nearer noun's number, read by a linear probe {where}",
            right.tolist(),
            0.95,
            True,
            max(many, 1 - many),
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


def measure(model: HookedModel) -> list[Check]:
    return [*decodable(model), *used_or_not(model)]
