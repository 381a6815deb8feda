"""What a page needs is opened in the background, once for the server, and the page says so meanwhile.

Most pages import torch and transformers, and open a network; the first time that takes seconds. A page's module says in
`prepare()`, where it has one, which networks it needs in any case.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import streamlit as st

from app import common
from app.explorers import EXPLORERS
from mi_lib.garbage import uncollected

PICO = "app.chat"  # the page that opens Pico. Those that need it too wait for that: see `begun`
PATIENCE = 0.15  # seconds that a page waits before it says what it waits for
DRAWN = 1.5  # seconds in which a page is drawn by the browser, before anything else is begun
LOOKED_AT = 2.0  # seconds in which a page is looked at, before what may be asked for next is computed
NOBODY = 10.0  # seconds after which a server takes it that nobody wants a page yet
_SHOWN = threading.Event()  # the script of a page has come to its end
_EVERY: list[Future[None]] = []  # whatever was begun


@st.cache_resource(show_spinner=False)
def begun(module: str, after: str | None = None) -> Future[None]:
    """The page's module and what it needs, which are there when this is done. What failed, the page itself will say.

    after: whatever else is opened before. Two threads that import transformers at once get in each other's way: one of
    them is told that a name is missing from it.
    """
    found: Future[None] = Future()
    _EVERY.append(found)

    def work() -> None:
        if after:
            begun(after).exception()
        try:
            with uncollected():
                getattr(importlib.import_module(module), "prepare", lambda: None)()
            found.set_result(None)
        except BaseException as error:
            found.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return found


def at_start() -> None:
    """Open Pico, which most pages need, while nobody waits: when the first page is drawn, or if nobody asks for one."""

    def work() -> None:
        importlib.import_module("torch")  # meanwhile the browser says what it wants
        if _SHOWN.wait(NOBODY):
            time.sleep(DRAWN)
        begun(PICO)

    threading.Thread(target=work, daemon=True).start()


def asked_for(path: str) -> bool:
    """Open what the page at this path needs, if anything: its script runs only when the browser is ready.

    Whether figures will be drawn that have to wait for it.
    """
    if path == "/chat":
        begun(PICO)
    each = EXPLORERS.get(path.strip("/"))
    return each is not None and not _for_page(f"app.{each.module}", each.opens).done()


def _for_page(module: str, what: str) -> Future[None]:
    return begun(module, PICO if what == "Pico" and module != PICO else None)


def settled() -> None:
    """Wait until Pico is there, and whatever else was begun, for what imports transformers in a page's own thread."""
    begun(PICO)
    wait(_EVERY)


@st.cache_resource(show_spinner=False)
def graders_begun() -> None:
    """A page is shown. The server's graders begin when all is there that a page may wait for: nobody waits for them."""
    _SHOWN.set()

    def work() -> None:
        while any(not each.done() for each in _EVERY):
            wait(_EVERY)
        time.sleep(DRAWN)
        common.checks()

    threading.Thread(target=work, daemon=True).start()


def ahead(*calls: Callable[[], Any]) -> None:
    """Call these in the background, one after another, for what the caches then keep: probably it is asked for next.

    Later calls take the place of those that have not begun: the page has moved on.
    """
    if common.served():
        _idle().put(calls)


@st.cache_resource(show_spinner=False)
def _idle() -> SimpleQueue[tuple[Callable[[], Any], ...]]:
    asked: SimpleQueue[tuple[Callable[[], Any], ...]] = SimpleQueue()

    def work() -> None:
        while True:
            calls = asked.get()
            time.sleep(LOOKED_AT)
            for call in calls:
                if asked.empty():
                    with suppress(Exception):  # the page itself will say it
                        call()

    threading.Thread(target=work, daemon=True).start()
    return asked


def opened(module: str, title: str, what: str) -> bool:
    """Whether a page can be drawn at once; if not, its title and a word stand there until it can, and it begins anew.

    what: "Pico", or whatever is opened.
    """
    opening = _for_page(module, what)
    wait([opening], PATIENCE)
    if opening.done():
        return True
    st.title(title)
    with st.container(key="opening"):
        word = st.empty()
    while not opening.done():  # said again and again: between two of these, whoever leaves the page is heard
        word.caption(f":material/hourglass_top: {what} is being opened …")
        wait([opening], PATIENCE)
    return st.rerun()
