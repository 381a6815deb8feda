"""What helps on a page: a wait that can be ended, links past the sidebar, contents that fit, a verdict that is seen."""

from __future__ import annotations

import re
import time

import pytest

from mi_lib.course import Workspace, exercise

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FOCUSED = """() => { let a = document.activeElement
    while (a.shadowRoot && a.shadowRoot.activeElement) a = a.shadowRoot.activeElement
    return a.tagName }"""


def open_exercise(page, number: int) -> None:
    page.goto(f"/?chapter=02&exercise={number}")
    page.get_by_role("heading", name=f"02.{number} ").wait_for(timeout=60_000)  # the first page of all imports torch
    page.locator("textarea").first.wait_for()


def answer(workspace, number: int, new: str) -> None:
    """Put an answer where the stub waits for one."""
    saved = Workspace.open(workspace)
    which = exercise(f"02.{number}")
    text, version = saved.read(which)
    waits = f'    raise NotImplementedError("Exercise 02.{number} is waiting for your answer.")'
    assert waits in text
    saved.write(which, text.replace(waits, new), version)


def test_an_endless_loop_shows_seconds_and_can_be_stopped_and_holds_up_no_other_tab(page, browser, server, workspace):
    answer(workspace, 14, "    import time\n\n    while True:\n        time.sleep(0.05)")  # leaves the tests a core
    open_exercise(page, 14)
    page.get_by_role("button", name="Check").click()
    page.get_by_text("Checking …").get_by_text(re.compile(r"[1-9]\d* s")).wait_for()
    other = browser.new_page(base_url=server)
    open_exercise(other, 1)
    other.get_by_role("button", name="Check").click()
    other.get_by_test_id("stAlert").wait_for(timeout=40_000)
    other.close()
    assert page.get_by_role("button", name="Stop").count() == 1
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("You stopped this check").wait_for()


def test_two_presses_lead_a_keyboard_into_the_editor(page):
    open_exercise(page, 2)
    page.wait_for_timeout(500)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate(FOCUSED) == "TEXTAREA"
    page.goto("/")
    page.get_by_role("heading").first.wait_for()
    page.wait_for_timeout(500)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") != "Skip to the editor"


def test_the_sidebar_shows_every_exercise_of_a_chapter_at_900_pixels(browser, server):
    page = browser.new_page(base_url=server, viewport={"width": 1280, "height": 900})
    page.goto("/?chapter=01&exercise=1")  # the longest chapter
    last = page.get_by_role("button", name="The end of the chapter")
    last.wait_for()
    page.wait_for_function(  # the style sheet may come after the buttons
        "button => button.getBoundingClientRect().bottom <= 900", arg=last.element_handle(), timeout=30_000
    )
    page.close()


def test_a_new_verdict_is_brought_into_view(browser, server, workspace):
    page = browser.new_page(base_url=server, viewport={"width": 1280, "height": 600})
    answer(workspace, 2, "    # a long answer\n" * 60 + "    return 0")
    open_exercise(page, 2)
    page.locator("textarea").first.focus()
    page.keyboard.press("Control+Enter")
    alert = page.locator("[class*=st-key-verdict-] [data-testid=stAlert]")
    alert.wait_for()
    until = time.monotonic() + 30
    while not 0 <= alert.bounding_box()["y"] <= 600 - 60 and time.monotonic() < until:
        page.wait_for_timeout(100)
    assert 0 <= alert.bounding_box()["y"] <= 600 - 60
    page.close()
