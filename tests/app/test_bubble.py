"""A word of a lesson opens its bubble: under the mouse, with the focus, and at a tap on a phone."""

from __future__ import annotations

NAT = 'a[href="glossary?term=nat"]'


def opened(page):
    """The first screen of chapter 01, once the script of the bubbles is there."""
    page.goto("/chapter?chapter=01&exercise=1")
    page.locator(".mi-bubble").wait_for(state="attached", timeout=60_000)
    page.locator(NAT).wait_for(timeout=60_000)
    return page


def test_a_word_says_what_it_means_under_the_mouse_and_escape_closes_it(page):
    opened(page)
    word, bubble = page.locator(NAT), page.locator(".mi-bubble")
    word.hover()
    bubble.get_by_text("The unit of loss and surprise").wait_for()
    assert word.get_attribute("aria-describedby") == bubble.get_attribute("id")
    assert word.get_attribute("title") is None  # or the browser would show a second bubble
    page.keyboard.press("Escape")
    assert bubble.is_hidden()
    assert page.errors == []


def test_a_keyboard_reaches_a_word_and_its_entry(page):
    from playwright.sync_api import expect

    opened(page)
    page.locator('a[href="glossary?term=loss"]').focus()
    page.keyboard.press("Tab")
    page.locator(".mi-bubble").get_by_text("The unit of loss and surprise").wait_for()
    with page.context.expect_page() as other:
        page.keyboard.press("Enter")
    expect(other.value.get_by_label("Search", exact=True)).to_have_value("nat", timeout=60_000)
    other.value.close()


def test_a_tap_opens_the_bubble_within_a_phones_width_and_leaves_the_page_where_it_is(browser, server):
    phone = browser.new_page(base_url=server, viewport={"width": 390, "height": 800}, has_touch=True)
    opened(phone).locator(NAT).tap()
    bubble = phone.locator(".mi-bubble")
    bubble.get_by_text("The unit of loss and surprise").wait_for()
    box = bubble.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert len(phone.context.pages) == 1
    phone.get_by_text("How well? A network says").tap()
    assert bubble.is_hidden()
    phone.close()
