"""The heads that Wang et al. 2022 (arXiv 2211.00593, section 3 and figure 2) name in GPT-2 small, and what is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mi_lib.models.graph import head_name

_PLACES = {  # (layer, head)
    "previous token": [(2, 2), (4, 11)],
    "duplicate token": [(0, 1), (0, 10), (3, 0)],
    "induction": [(5, 5), (5, 8), (5, 9), (6, 9)],
    "s-inhibition": [(7, 3), (7, 9), (8, 6), (8, 10)],
    "name mover": [(9, 6), (9, 9), (10, 0)],
    "negative mover": [(10, 7), (11, 10)],
    "backup mover": [(9, 0), (9, 7), (10, 1), (10, 2), (10, 6), (10, 10), (11, 2), (11, 9)],
}
GPT2_SMALL: dict[str, tuple[str, ...]] = {
    role: tuple(head_name(*at) for at in heads) for role, heads in _PLACES.items()
}


@dataclass(frozen=True)
class Row:
    """Of one role: the heads that were found and are published, published alone, found alone."""

    role: str
    both: tuple[str, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]


def against_published(roles: Mapping[str, tuple[str, ...]]) -> list[Row]:
    """The heads by role, as `head_roles(…).roles` has them, beside the published ones."""
    rows = []
    for role, published in GPT2_SMALL.items():
        found = roles.get(role, ())
        rows.append(
            Row(
                role,
                tuple(head for head in published if head in found),
                tuple(head for head in published if head not in found),
                tuple(head for head in found if head not in published),
            )
        )
    return rows
