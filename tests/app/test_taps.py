"""A tap that follows typing at once: neither the tap nor what was typed is lost, by mouse and by touch."""

from __future__ import annotations

import time

import pytest

from mi_lib.course import Workspace, exercise

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module", params=["mouse", "touch"])
def tab(request, browser, server):
    """A page, and the way a person taps on it."""
    context = browser.new_context(base_url=server, has_touch=request.param == "touch")
    page = context.new_page()
    page.set_viewport_size({"width": 1280, "height": 1400})
    page.set_default_timeout(60_000)
    yield page, page.touchscreen.tap if request.param == "touch" else page.mouse.click
    context.close()


TARGETS = {
    "Next": (lambda page: page.get_by_role("button", name="Next"), "02.12 "),
    "the sidebar's contents": (lambda page: page.get_by_role("button", name="9 · "), "02.9 "),
    "the sidebar's pages": (lambda page: page.get_by_role("link", name="Course map"), "hands on"),
    "Check": (lambda page: page.get_by_role("button", name="Check"), None),
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_tap_right_after_typing_counts_and_nothing_typed_is_lost(tab, workspace, name):
    page, tap = tab
    find, heading = TARGETS[name]
    page.goto("/?chapter=02&exercise=11")
    page.get_by_role("heading", name="02.11 ").wait_for()
    area = page.locator("textarea").first
    area.wait_for()
    page.wait_for_timeout(1000)  # figures have found their height
    target = find(page)
    target.scroll_into_view_if_needed()
    area.evaluate("area => { area.focus({ preventScroll: true }); area.setSelectionRange(9999, 9999) }")
    mark = f"# {time.monotonic_ns()}"
    page.keyboard.insert_text(mark)
    box = target.bounding_box()
    tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    if heading:
        page.get_by_role("heading", name=heading).wait_for()
    else:
        page.get_by_test_id("stAlert").wait_for()  # the verdict
    for _ in range(200):
        if mark in Workspace.open(workspace).read(exercise("02.11"))[0]:
            return
        page.wait_for_timeout(100)
    raise AssertionError("what was typed is not in the file")
