"""No garbage is collected while much is imported: it all stays, and looking through it is a quarter of the work."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.Lock()
_within: list[bool] = []  # one entry for each block that has been entered: whether it found garbage being collected


@contextmanager
def uncollected() -> Iterator[None]:
    """Nothing is collected in here, in any thread; after the last of such blocks it is as before the first."""
    with _LOCK:
        _within.append(gc.isenabled())
        gc.disable()
    try:
        yield
    finally:
        with _LOCK:
            if len(_within) > 1:
                _within.pop()  # the first entry is kept: it alone knows how it was
            elif _within.pop():
                gc.enable()
