"""Which name was meant by one that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def hint(word: str, known: Iterable[str], alike: float = 0.6) -> str:
    """The question which of the known names was meant, to be put behind a sentence; empty if none is near.

    alike: from 0 to 1, how much of the letters must agree.
    """
    by_lower = {name.lower(): name for name in known}
    part = [name for lower, name in by_lower.items() if word.lower() in lower]
    near = difflib.get_close_matches(word.lower(), list(by_lower), 1, alike)
    found = [by_lower[name] for name in near] or sorted(part)
    return f" Did you mean {found[0]}?" if found else ""
