"""Ctrl-C waits for the end of a step, so that what it leaves behind is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def between_steps() -> Iterator[Callable[[], None]]:
    """Call what it gives at the end of each step: it raises KeyboardInterrupt if Ctrl-C was pressed since.

    A second Ctrl-C does not wait. Where signals are somebody else's business (another thread, another handler) nothing
    is changed.
    """
    pressed = False

    def look() -> None:
        if pressed:
            raise KeyboardInterrupt

    def note(number: int, frame: Any) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    ours = threading.current_thread() is threading.main_thread()
    ours = ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, note)
    try:
        yield look
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
