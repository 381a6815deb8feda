"""What is opened in the background: in which order, and what gives way to what."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import Future
from types import ModuleType, SimpleNamespace

import pytest
from streamlit.delta_generator import DeltaGenerator
from streamlit.testing.v1 import AppTest

from app import common, opening


@pytest.fixture
def modules(monkeypatch):
    """Two modules with a `prepare`, and what they have done. The first waits until it may go on."""
    done: list[str] = []
    go_on = threading.Event()
    for name, wait in (("slow_page", True), ("quick_page", False)):
        module = ModuleType(name)

        def prepare(name: str = name, wait: bool = wait) -> None:
            if wait:
                assert go_on.wait(20)
            done.append(name)

        module.prepare = prepare  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(opening, "_EVERY", [])
    opening.begun.clear()
    yield done, go_on
    go_on.set()
    opening.begun.clear()


def test_what_needs_the_same_library_is_opened_one_after_the_other(modules):
    done, go_on = modules
    second = opening.begun("quick_page", "slow_page")
    assert not second.done()
    go_on.set()
    second.result(20)
    assert done == ["slow_page", "quick_page"]


def test_what_needs_nothing_of_it_does_not_wait(modules):
    done, _ = modules
    opening.begun("slow_page")
    opening.begun("quick_page").result(20)  # the control: the same two, not in a row
    assert done == ["quick_page"]


def test_what_fails_is_no_hindrance_to_what_comes_after(modules):
    _, go_on = modules
    go_on.set()
    opening.begun("quick_page", "no_such_page").result(20)


@pytest.fixture
def idle(monkeypatch):
    monkeypatch.setattr(common, "served", lambda: True)
    monkeypatch.setattr(opening, "LOOKED_AT", 0.0)
    opening._idle.clear()
    yield
    opening._idle.clear()


@pytest.mark.usefixtures("idle")
def test_looking_ahead_gives_way_to_what_was_asked_for_later():
    seen, begun, go_on, ended = [], threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        assert go_on.wait(20)
        seen.append("first")

    opening.ahead(first, lambda: seen.append("no longer wanted"))
    assert begun.wait(20)
    opening.ahead(lambda: seen.append("wanted now"), ended.set)
    go_on.set()
    assert ended.wait(20)
    assert seen == ["first", "wanted now"]


@pytest.mark.usefixtures("idle")
def test_what_fails_ahead_of_its_page_is_left_to_the_page():
    ended = threading.Event()

    def fail() -> None:
        raise ValueError("the page will say so")

    opening.ahead(fail, ended.set)
    assert ended.wait(20)


@pytest.mark.parametrize("served", [False, True])
def test_nothing_is_looked_into_ahead_where_no_page_is_served(monkeypatch, served):
    """A test would wait for it, and its caches would be warm by chance."""
    asked: list[tuple] = []
    monkeypatch.setattr(common, "served", lambda: served)
    monkeypatch.setattr(opening, "_idle", lambda: SimpleNamespace(put=asked.append))
    opening.ahead(print)
    assert bool(asked) == served


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(
    ("path", "begins"),
    [
        ("/explore", "app.explorer"),
        ("/explore-lens", "app.explore_lens"),
        ("/chat", opening.PICO),
        ("/chapter", None),
        ("/", None),
        ("/static/js/index.js", None),
        ("/nosuch", None),
    ],
)
def test_an_address_says_what_its_page_will_need(monkeypatch, path, begins, there):
    asked = []

    def begun(module: str, after: str | None = None):
        asked.append((module, after))
        return SimpleNamespace(done=lambda: there)

    monkeypatch.setattr(opening, "begun", begun)
    waits = opening.asked_for(path)
    assert [module for module, _ in asked] == ([begins] if begins else [])
    assert all(after == opening.PICO for module, after in asked if module == "app.explore_lens")
    assert waits == (path.startswith("/explore") and not there)


def test_a_page_that_waits_says_so_and_is_shown_when_it_can_be(monkeypatch):
    opened: Future[None] = Future()
    said: list[str] = []
    caption = DeltaGenerator.caption

    def heard(place: DeltaGenerator, text: str, **more):
        said.append(text)
        if len(said) == 3:
            opened.set_result(None)
        return caption(place, text, **more)

    monkeypatch.setattr(opening, "PATIENCE", 0.01)
    monkeypatch.setattr(opening, "_for_page", lambda module, what: opened)
    monkeypatch.setattr(DeltaGenerator, "caption", heard)

    def page() -> None:
        import streamlit as st

        from app import opening

        if opening.opened("app.chat", "Talk", "Pico"):
            st.write("here it is")

    app = AppTest.from_function(page).run(timeout=20)
    assert [each.value for each in app.markdown] == ["here it is"]
    assert not app.title
    assert not app.caption
    assert said == [":material/hourglass_top: Pico is being opened …"] * 3


@pytest.mark.parametrize("shown", [True, False])
def test_pico_is_opened_when_a_page_is_shown_or_when_nobody_asks_for_one(monkeypatch, shown):
    begun, page = threading.Event(), threading.Event()
    monkeypatch.setattr(opening, "_SHOWN", page)
    monkeypatch.setattr(opening, "NOBODY", 60.0 if shown else 0.0)
    monkeypatch.setattr(opening, "DRAWN", 0.0 if shown else 60.0)
    monkeypatch.setattr(opening, "begun", lambda module: begun.set() if module == opening.PICO else None)
    opening.at_start()
    if shown:
        assert not begun.wait(0.3)  # the first page is still being drawn
        page.set()
    assert begun.wait(20)
